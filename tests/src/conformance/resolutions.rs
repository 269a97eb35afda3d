use super::prelude::*;

fn resolution(name: &str, digest: &str, age_minutes: i64) -> Resolution {
    let resolved_at = (Utc::now() - TimeDelta::minutes(age_minutes)).trunc_subsecs(3);
    Resolution { reference: name.parse().unwrap(), digest: Digest::of(digest), resolved_at }
}

async fn put(records: &Shared, resolution: &Resolution) {
    let mut tx = begin(records).await;
    tx.resolution_put(resolution).await.unwrap();
    tx.commit().await.unwrap();
}

async fn get(records: &Shared, name: &str) -> Option<Resolution> {
    read(records).await.resolution_get(&name.parse().unwrap()).await.unwrap()
}

pub async fn the_last_resolution_of_a_reference_is_kept(records: Shared) {
    assert_eq!(get(&records, "alpine:3").await, None);
    let first = resolution("alpine:3", "a", 10);
    put(&records, &first).await;
    assert_eq!(get(&records, "docker.io/library/alpine:3").await, Some(first.clone()));
    assert_eq!(get(&records, "alpine:4").await, None);
    put(&records, &resolution("alpine:3", "older", 20)).await;
    assert_eq!(get(&records, "alpine:3").await, Some(first), "an older answer came late");
    let newer = resolution("alpine:3", "b", 5);
    put(&records, &newer).await;
    assert_eq!(get(&records, "alpine:3").await, Some(newer));
}

pub async fn old_resolutions_go_a_few_at_a_time(records: Shared) {
    for (name, age) in [("a:1", 50), ("b:1", 40), ("c:1", 30), ("d:1", 1)] {
        put(&records, &resolution(name, name, age)).await;
    }
    let before = Utc::now() - TimeDelta::minutes(20);
    for expected in [2, 1, 0] {
        let mut tx = begin(&records).await;
        assert_eq!(tx.resolutions_remove(before, 2).await.unwrap(), expected);
        tx.commit().await.unwrap();
    }
    assert!(get(&records, "c:1").await.is_none() && get(&records, "d:1").await.is_some());
}
