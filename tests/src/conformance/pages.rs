use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::name::{AddonName, ChannelName, ClusterName, EnvironmentName};
use slipway_types::state::AddonState;

use super::addons::{binding, instance};
use super::deployments::{bundle, environment};
use super::prelude::*;

/// What each list holds, not in its order.
const NAMES: [&str; 4] = ["b", "a-2", "a", "c"];

/// Holds that a list of [`NAMES`] goes on behind a name, be it there or not, and ends.
async fn assert_paged(mut page: impl AsyncFnMut(Option<&str>, u32) -> Vec<String>) {
    for (after, limit, wanted) in [
        (None, 10, vec!["a", "a-2", "b", "c"]),
        (None, 2, vec!["a", "a-2"]),
        (Some("a-2"), 1, vec!["b"]),
        (Some("a-9"), 10, vec!["b", "c"]),
        (Some("c"), 10, vec![]),
    ] {
        assert_eq!(page(after, limit).await, wanted, "{after:?}");
    }
}

fn texts<T>(rows: &[T], name: impl Fn(&T) -> String) -> Vec<String> {
    rows.iter().map(name).collect()
}

pub async fn applications_are_paged_by_full_name(records: Shared) {
    let mono = source(&records, "mono").await;
    let mut tx = begin(&records).await;
    for name in NAMES {
        tx.application_insert(&word(name), mono.id, name).await.unwrap();
    }
    let gone = tx.application_insert(&word("a-3"), mono.id, "").await.unwrap();
    tx.application_delete(gone.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_paged(async |after: Option<&str>, limit: u32| {
        let after = after.map(word::<ApplicationName>);
        let rows = reader.application_page(after.as_ref(), limit).await.unwrap();
        texts(&rows, |row| row.name.to_string())
    })
    .await;
    // A team's are in order of its name, not of theirs.
    let mut tx = begin(&records).await;
    tx.application_insert(&word("commerce/z"), mono.id, "").await.unwrap();
    tx.commit().await.unwrap();
    let first = read(&records).await.application_page(None, 2).await.unwrap();
    assert_eq!(texts(&first, |row| row.name.path()), ["commerce/z", "default/a"]);
}

pub async fn sources_are_looked_up_together(records: Shared) {
    let (shop, _other, till) =
        (source(&records, "shop").await, source(&records, "other").await, source(&records, "till").await);
    let mut reader = read(&records).await;
    let ids = [till.id, SourceId::new(), shop.id, till.id];
    let mut found = reader.sources_get(&ids).await.unwrap();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(found, [shop, till]);
    assert_eq!(reader.sources_get(&[]).await.unwrap(), []);
}

pub async fn clusters_are_paged_by_name(records: Shared) {
    let mut tx = begin(&records).await;
    for name in NAMES {
        let settings = ClusterSettings::default();
        tx.cluster_insert(&word(name), &format!("uid of {name}"), &settings, None, "ann").await.unwrap();
    }
    let settings = ClusterSettings::default();
    let gone = tx.cluster_insert(&word("a-3"), "another", &settings, None, "ann").await.unwrap();
    assert!(tx.cluster_remove(gone.id).await.unwrap());
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_paged(async |after: Option<&str>, limit: u32| {
        let after = after.map(word::<ClusterName>);
        let rows = reader.cluster_page(after.as_ref(), limit).await.unwrap();
        texts(&rows, |row| row.name.to_string())
    })
    .await;
}

pub async fn environments_are_paged_by_name(records: Shared) {
    for name in NAMES {
        environment(&records, name).await;
    }
    let mut tx = begin(&records).await;
    let settings = EnvironmentSettings::default();
    let gone = tx.environment_insert(&word("a-3"), &word("eu/kind/gone"), &settings, "ann").await.unwrap();
    assert!(tx.environment_remove(gone.id).await.unwrap());
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_paged(async |after: Option<&str>, limit: u32| {
        let after = after.map(word::<EnvironmentName>);
        let rows = reader.environment_page(after.as_ref(), limit).await.unwrap();
        texts(&rows, |row| row.name.to_string())
    })
    .await;
    let known = reader.environment_by_name(&word("b")).await.unwrap().unwrap();
    let found = reader.environments_get(&[known.id, gone.id]).await.unwrap();
    let mut names = texts(&found, |row| row.name.to_string());
    names.sort();
    assert_eq!(names, ["a-3", "b"]);
}

pub async fn add_ons_are_paged_by_name_with_their_bindings(records: Shared) {
    let place = environment(&records, "data").await;
    let shop = application(&records, "shop").await;
    let mut tx = begin(&records).await;
    let mut bound = Vec::new();
    for name in NAMES {
        let addon = instance(name, &place);
        let binding = binding(&addon, &shop, &place);
        tx.addon_insert(&addon).await.unwrap();
        assert!(tx.addon_bind(&binding).await.unwrap());
        bound.push((addon.id, binding));
    }
    let gone = slipway_records::AddonInstance { state: AddonState::Released, ..instance("a-3", &place) };
    tx.addon_insert(&gone).await.unwrap();
    let (_, ended) = &bound[2];
    assert!(tx.addon_unbind(ended.id, "bob", at(7)).await.unwrap());
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_paged(async |after: Option<&str>, limit: u32| {
        let after = after.map(word::<AddonName>);
        let rows = reader.addon_page(after.as_ref(), limit).await.unwrap();
        texts(&rows, |row| row.name.to_string())
    })
    .await;
    let ids: Vec<_> = bound[1..].iter().map(|(id, _)| *id).collect();
    let found = reader.addon_bindings_among(&ids).await.unwrap();
    assert_eq!(texts(&found, |row| row.addon.to_string()), ["a-2", "c"]);
}

pub async fn channels_are_paged_by_name(records: Shared) {
    let (shop, other) = (application(&records, "shop").await, application(&records, "other").await);
    for (application, names) in [(&shop, &NAMES[..]), (&other, &["a-3"][..])] {
        let to = bundle(&records, application, 1).await.id;
        let mut tx = begin(&records).await;
        for name in names {
            let change = ChannelMove {
                application_id: application.id,
                name: word(name),
                from: None,
                to,
                by: "ann".into(),
                reason: None,
            };
            assert!(tx.channel_move(&change).await.unwrap());
        }
        tx.commit().await.unwrap();
    }
    let mut reader = read(&records).await;
    assert_paged(async |after: Option<&str>, limit: u32| {
        let after = after.map(word::<ChannelName>);
        let rows = reader.channel_page(shop.id, after.as_ref(), limit).await.unwrap();
        texts(&rows, |row| row.name.to_string())
    })
    .await;
}

pub async fn secrets_are_paged_by_name_and_by_what_that_begins_with(records: Shared) {
    let scoped = ["team/x:b", "team/x:a", "team/x-2:c", "team/x/y", "Team/x:a"];
    let mut tx = begin(&records).await;
    for name in NAMES.into_iter().chain(scoped).chain(["a-3"]) {
        let sealed = SealedSecret { sealed_key: vec![1], sealed_value: vec![2] };
        tx.secret_put(name, &sealed, "ann").await.unwrap();
    }
    assert!(tx.secret_remove("a-3").await.unwrap());
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    for (prefix, after, limit, wanted) in [
        ("", None, 3, vec!["Team/x:a", "a", "a-2"]),
        ("", Some("a-2"), 3, vec!["b", "c", "team/x-2:c"]),
        ("", Some("team/x:a"), 9, vec!["team/x:b"]),
        ("team/x:", None, 9, vec!["team/x:a", "team/x:b"]),
        ("team/x:", Some("a"), 1, vec!["team/x:a"]),
        ("team/x:", Some("team/x:a"), 9, vec!["team/x:b"]),
        ("team/x:", Some("team/x:b"), 9, vec![]),
        ("team/x:", Some("z"), 9, vec![]),
        ("none", None, 9, vec![]),
    ] {
        let rows = reader.secret_page(prefix, after, limit).await.unwrap();
        assert_eq!(texts(&rows, |row| row.name.clone()), wanted, "{prefix} {after:?}");
    }
}
