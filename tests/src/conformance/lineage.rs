use super::prelude::*;

async fn bundle_of(records: &Shared, run: &Run, version: &str, member: &Digest) -> PackageVersion {
    let detail = serde_json::json!({"members": [{"component": "api", "digest": member}]});
    insert_version(records, NewVersion { detail, ..new_version(run, None, version) }).await
}

pub async fn bundles_are_found_by_what_they_consist_of(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let run = insert_run(&records, new_run(shop, 1)).await;
    let package = insert_version(&records, new_version(&run, Some("api"), "1.0.0")).await;
    let other = application(&records, "other").await.id;
    let foreign = insert_run(&records, new_run(other, 1)).await;
    bundle_of(&records, &foreign, "1.0.0", &package.digest).await;
    bundle_of(&records, &run, "0.9.0", &Digest::of("another package")).await;
    let mut wanted = Vec::new();
    for version in ["1.0.0", "1.0.2", "1.0.1"] {
        wanted.insert(0, bundle_of(&records, &run, version, &package.digest).await);
    }
    let mut read = read(&records).await;
    let first = read.bundles_with(shop, &package.digest, Page::first(2)).await.unwrap();
    assert_eq!(first, wanted[..2]);
    let after = Page { limit: 2, after: Some(first[1].id.as_uuid()) };
    assert_eq!(read.bundles_with(shop, &package.digest, after).await.unwrap(), wanted[2..]);
    let nothing = Digest::of("nothing");
    assert_eq!(read.bundles_with(shop, &nothing, Page::default()).await.unwrap(), []);
}

pub async fn every_change_of_a_label_is_kept(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let run = insert_run(&records, new_run(shop, 1)).await;
    let version = insert_version(&records, new_version(&run, None, "1.0.0")).await;
    let other = insert_version(&records, new_version(&run, None, "2.0.0")).await;
    for (key, new, reason) in [
        ("tier", Some("gold"), Some("paid")),
        ("tier", Some("silver"), None),
        ("keep", Some(""), None),
        ("tier", None, None),
    ] {
        let change = LabelChange {
            version_id: version.id,
            key: word(key),
            old: None,
            check: false,
            new: new.map(word::<LabelValue>),
            by: "ann".into(),
            reason: reason.map(str::to_owned),
        };
        let mut tx = begin(&records).await;
        assert!(tx.label_change(&change).await.unwrap());
        tx.commit().await.unwrap();
    }
    let mut read = read(&records).await;
    let all = read.label_history(version.id, None, 10).await.unwrap();
    let text = |value: &Option<LabelValue>| value.as_ref().map(ToString::to_string);
    let told: Vec<_> = all.iter().map(|one| (one.key.to_string(), text(&one.from), text(&one.to))).collect();
    let row = |key: &str, from: Option<&str>, to: Option<&str>| {
        (key.to_owned(), from.map(str::to_owned), to.map(str::to_owned))
    };
    let wanted = [
        row("tier", Some("silver"), None),
        row("keep", None, Some("")),
        row("tier", Some("gold"), Some("silver")),
        row("tier", None, Some("gold")),
    ];
    assert_eq!(told, wanted);
    assert_eq!(all[3].reason.as_deref(), Some("paid"));
    assert!(all.iter().all(|one| one.by == "ann" && one.at <= Utc::now()));
    assert_eq!(read.label_history(version.id, Some(all[1].seq), 1).await.unwrap(), all[2..3]);
    assert_eq!(read.label_history(other.id, None, 10).await.unwrap(), []);
}
