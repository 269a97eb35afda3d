use slipway_types::ImageReference;

use super::prelude::*;

fn manifest(repository: &str, text: &str, subject: Option<Digest>) -> ManifestRow {
    let annotations = serde_json::json!({"org.opencontainers.image.title": "a \"b\""});
    ManifestRow {
        repository: repository.into(),
        digest: Digest::of(text),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        artifact_type: subject.map(|_| "application/vnd.example".into()),
        subject,
        size: 99,
        annotations: annotations.as_object().unwrap().clone(),
        created_at: at(1),
    }
}

async fn put(records: &Shared, manifest: &ManifestRow, tags: &[&str]) {
    let mut tx = begin(records).await;
    tx.manifest_put(manifest).await.unwrap();
    for tag in tags {
        tx.tag_put(&manifest.repository, tag, &manifest.digest).await.unwrap();
    }
    tx.commit().await.unwrap();
}

pub async fn a_blob_belongs_to_its_repository(records: Shared) {
    let digest = Digest::of("blob");
    let mut tx = begin(&records).await;
    for _ in 0..2 {
        tx.blob_link("team/a", &digest, 7).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_eq!(reader.blob_linked("team/a", &digest).await.unwrap(), Some(7));
    assert_eq!(reader.blob_linked("team/b", &digest).await.unwrap(), None);
    let mut tx = begin(&records).await;
    assert!(!tx.blob_unlink("team/b", &digest).await.unwrap());
    assert!(tx.blob_unlink("team/a", &digest).await.unwrap());
    assert!(!tx.blob_unlink("team/a", &digest).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(reader.blob_linked("team/a", &digest).await.unwrap(), None);
}

/// A repository of another registry.
fn origin(text: &str) -> ImageReference {
    text.parse().unwrap()
}

async fn link_elsewhere(records: &Shared, repository: &str, digest: &Digest, from: &str) {
    let mut tx = begin(records).await;
    tx.blob_link_elsewhere(repository, digest, 7, &origin(from)).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn a_blob_may_lie_in_another_registry(records: Shared) {
    let digest = Digest::of("blob");
    for (repository, from) in [("team/a", "r.io/x"), ("team/a", "r.io/team/a"), ("team/b", "r.io/b/c")] {
        link_elsewhere(&records, repository, &digest, from).await;
    }
    let mut reader = read(&records).await;
    assert_eq!(reader.blob_linked("team/a", &digest).await.unwrap(), Some(7));
    assert_eq!(reader.blob_origin("team/a", &digest).await.unwrap(), Some(origin("r.io/team/a")));
    assert_eq!(reader.blob_origin("team/c", &digest).await.unwrap(), None);
    let all = [origin("r.io/b/c"), origin("r.io/team/a")];
    assert_eq!(reader.blob_origins(&digest, 10).await.unwrap(), all);
    assert_eq!(reader.blob_origins(&digest, 1).await.unwrap(), all[..1]);
    assert_eq!(reader.blob_origins(&Digest::of("other"), 10).await.unwrap(), []);
    assert!(reader.repository_exists("team/b").await.unwrap());
}

pub async fn a_link_to_stored_bytes_stays_one(records: Shared) {
    let digest = Digest::of("blob");
    link_elsewhere(&records, "team/a", &digest, "r.io/team/a").await;
    let mut tx = begin(&records).await;
    tx.blob_link("team/a", &digest, 7).await.unwrap();
    tx.commit().await.unwrap();
    link_elsewhere(&records, "team/a", &digest, "r.io/team/a").await;
    let mut reader = read(&records).await;
    assert_eq!(reader.blob_origin("team/a", &digest).await.unwrap(), None);
    assert_eq!(reader.blob_linked("team/a", &digest).await.unwrap(), Some(7));
    assert_eq!(reader.blobs_referenced(&[digest]).await.unwrap(), [digest]);
}

pub async fn a_manifest_is_kept_whole(records: Shared) {
    let row = manifest("team/a", "m", Some(Digest::of("subject")));
    put(&records, &row, &[]).await;
    put(&records, &row, &[]).await;
    let mut read = read(&records).await;
    assert_eq!(read.manifest_get("team/a", &row.digest).await.unwrap().as_ref(), Some(&row));
    assert_eq!(read.manifest_get("team/b", &row.digest).await.unwrap(), None);
}

pub async fn tags_move_and_are_listed_in_byte_order(records: Shared) {
    let (one, two) = (manifest("team/a", "1", None), manifest("team/a", "2", None));
    put(&records, &one, &["b", "B", "a", "_", "latest"]).await;
    put(&records, &two, &["latest"]).await;
    put(&records, &manifest("team/b", "1", None), &["elsewhere"]).await;
    let mut reader = read(&records).await;
    assert_eq!(reader.tag_get("team/a", "b").await.unwrap(), Some(one.digest));
    assert_eq!(reader.tag_get("team/a", "latest").await.unwrap(), Some(two.digest));
    assert_eq!(reader.tag_get("team/a", "elsewhere").await.unwrap(), None);
    assert_eq!(reader.tag_list("team/a", None, 3).await.unwrap(), ["B", "_", "a"]);
    assert_eq!(reader.tag_list("team/a", Some("a"), 10).await.unwrap(), ["b", "latest"]);
    let mut tx = begin(&records).await;
    assert!(tx.tag_delete("team/a", "b").await.unwrap());
    assert!(!tx.tag_delete("team/a", "b").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(reader.tag_get("team/a", "b").await.unwrap(), None);
}

pub async fn tags_move_by_compare_and_swap(records: Shared) {
    let (one, two, three) =
        (manifest("r", "one", None), manifest("r", "two", None), manifest("r", "three", None));
    let mut tx = begin(&records).await;
    for row in [&one, &two, &three] {
        tx.manifest_put(row).await.unwrap();
    }
    assert!(!tx.tag_move("r", "s", Some(&one.digest), &two.digest).await.unwrap());
    assert!(tx.tag_move("r", "s", None, &one.digest).await.unwrap());
    assert!(!tx.tag_move("r", "s", None, &two.digest).await.unwrap());
    tx.commit().await.unwrap();
    let contend = async |to: &Digest| {
        let mut tx = begin(&records).await;
        let moved = tx.tag_move("r", "s", Some(&one.digest), to).await.unwrap();
        tx.commit().await.unwrap();
        moved
    };
    let (second, third) = futures::future::join(contend(&two.digest), contend(&three.digest)).await;
    assert!(second != third, "one of two wins");
    let winner = if second { two.digest } else { three.digest };
    assert_eq!(read(&records).await.tag_get("r", "s").await.unwrap(), Some(winner));
}

pub async fn deleting_a_manifest_takes_its_tags(records: Shared) {
    let (one, two) = (manifest("team/a", "1", None), manifest("team/a", "2", None));
    put(&records, &one, &["x", "y"]).await;
    put(&records, &two, &["z"]).await;
    put(&records, &manifest("team/b", "1", None), &["x"]).await;
    let mut tx = begin(&records).await;
    assert!(tx.manifest_delete("team/a", &one.digest).await.unwrap());
    assert!(!tx.manifest_delete("team/a", &one.digest).await.unwrap());
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    assert_eq!(read.manifest_get("team/a", &one.digest).await.unwrap(), None);
    assert_eq!(read.tag_list("team/a", None, 10).await.unwrap(), ["z"]);
    assert_eq!(read.tag_list("team/b", None, 10).await.unwrap(), ["x"]);
}

pub async fn referrers_are_sorted_by_digest(records: Shared) {
    let subject = Digest::of("subject");
    let mut expected = Vec::new();
    for n in 0..4 {
        let row = manifest("team/a", &n.to_string(), Some(subject));
        put(&records, &row, &[]).await;
        expected.push(row);
    }
    put(&records, &manifest("team/a", "other", Some(Digest::of("other"))), &[]).await;
    put(&records, &manifest("team/b", "elsewhere", Some(subject)), &[]).await;
    expected.sort_by_key(|row| row.digest);
    let mut read = read(&records).await;
    assert_eq!(read.referrers("team/a", &subject).await.unwrap(), expected);
    assert_eq!(read.referrers("team/a", &Digest::of("nothing")).await.unwrap(), []);
}

pub async fn what_of_many_is_tagged_or_referred_to_is_found_at_once(records: Shared) {
    let (one, two, other) = (Digest::of("one"), Digest::of("two"), Digest::of("other"));
    for text in ["a", "b"] {
        put(&records, &manifest("team/a", text, Some(one)), &[text, "x"]).await;
    }
    put(&records, &manifest("team/b", "c", Some(two)), &["c"]).await;
    let mut read = read(&records).await;
    let tags = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let asked = tags(&["b", "a", "c"]);
    assert_eq!(read.tags_among("team/a", &asked).await.unwrap(), tags(&["a", "b"]));
    assert_eq!(read.tags_among("team/b", &asked).await.unwrap(), tags(&["c"]));
    assert_eq!(read.tags_among("team/b", &[]).await.unwrap(), tags(&[]));
    let kind = "application/vnd.example";
    assert_eq!(read.subjects_among("team/a", kind, &[two, one, other]).await.unwrap(), [one]);
    assert_eq!(read.subjects_among("team/b", kind, &[two, one, other]).await.unwrap(), [two]);
    assert_eq!(read.subjects_among("team/a", "application/vnd.other", &[one]).await.unwrap(), []);
    assert_eq!(read.subjects_among("team/a", kind, &[]).await.unwrap(), []);
}

pub async fn repositories_are_listed_in_byte_order(records: Shared) {
    let mut tx = begin(&records).await;
    for repository in ["team/b", "team/a", "a/z"] {
        tx.manifest_put(&manifest(repository, "m", None)).await.unwrap();
        tx.manifest_put(&manifest(repository, "n", None)).await.unwrap();
    }
    for repository in ["team/a-b", "team/a"] {
        tx.blob_link(repository, &Digest::of("blob"), 1).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    let all = ["a/z", "team/a", "team/a-b", "team/b"];
    assert_eq!(read.repository_list(None, 10).await.unwrap(), all);
    assert_eq!(read.repository_list(None, 2).await.unwrap(), all[..2]);
    assert_eq!(read.repository_list(Some("team/a"), 10).await.unwrap(), all[2..]);
    assert_eq!(read.repository_list(Some("z"), 10).await.unwrap(), Vec::<String>::new());
    for repository in all {
        assert!(read.repository_exists(repository).await.unwrap());
    }
    assert!(!read.repository_exists("team").await.unwrap());
}
