use slipway_types::name::SourceName;

use super::prelude::*;

pub async fn a_source_is_found_by_id_and_name(records: Shared) {
    let mut tx = begin(&records).await;
    let new = NewSource {
        name: word("forge"),
        kind: SourceKind::Https { url: "https://git.example.com/shop.git".into() },
        credential: Some(word("secret://builtin/forge#password")),
        poll_interval_s: 60,
    };
    let source = tx.source_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    assert_eq!(read.source_get(source.id).await.unwrap().as_ref(), Some(&source));
    assert_eq!(read.source_by_name(&source.name).await.unwrap().as_ref(), Some(&source));
    assert_eq!(read.source_get(SourceId::new()).await.unwrap(), None);
    assert_eq!(read.source_by_name(&word("other")).await.unwrap(), None);
}

pub async fn sources_are_listed_by_name(records: Shared) {
    for name in ["b", "a-2", "a", "c"] {
        source(&records, name).await;
    }
    let listed = read(&records).await.source_list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["a", "a-2", "b", "c"]);
}

pub async fn sources_are_paged_by_name(records: Shared) {
    for name in ["b", "a-2", "a", "c"] {
        source(&records, name).await;
    }
    let mut read = read(&records).await;
    let after: SourceName = word("a-2");
    let (gone, last): (SourceName, SourceName) = (word("a-9"), word("c"));
    for (after, limit, wanted) in [
        (None, 10, vec!["a", "a-2", "b", "c"]),
        (None, 2, vec!["a", "a-2"]),
        (Some(&after), 1, vec!["b"]),
        (Some(&gone), 10, vec!["b", "c"]),
        (Some(&last), 10, vec![]),
    ] {
        let page = read.source_page(after, limit).await.unwrap();
        let names: Vec<_> = page.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, wanted, "{after:?}");
    }
}

pub async fn a_source_name_is_taken_once(records: Shared) {
    let first = source(&records, "shop").await;
    let new = NewSource { name: word("shop"), kind: first.kind, credential: None, poll_interval_s: 1 };
    assert!(is_conflict(&begin(&records).await.source_insert(new).await));
}

pub async fn a_failed_sweep_keeps_the_time_of_the_last_good_one(records: Shared) {
    let source = source(&records, "shop").await;
    for (time, error) in [(at(1), None), (at(2), Some("no route to host")), (at(3), None)] {
        let mut tx = begin(&records).await;
        tx.source_swept(source.id, time, error).await.unwrap();
        tx.commit().await.unwrap();
        let now = read(&records).await.source_get(source.id).await.unwrap().unwrap();
        assert_eq!(now.last_error.as_deref(), error);
        assert_eq!(now.swept_at, Some(if error.is_some() { at(1) } else { time }));
    }
}

pub async fn an_application_is_found_by_id_and_name(records: Shared) {
    let source = source(&records, "mono").await;
    let mut tx = begin(&records).await;
    let shop = tx.application_insert(&word("commerce/shop"), source.id, "services/shop").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((shop.source_id, shop.path.as_str()), (source.id, "services/shop"));
    let mut read = read(&records).await;
    assert_eq!(read.application_get(shop.id).await.unwrap().as_ref(), Some(&shop));
    assert_eq!(read.application_by_name(&shop.name).await.unwrap().as_ref(), Some(&shop));
    assert_eq!(read.application_by_name(&word("shop")).await.unwrap(), None);
    assert_eq!(read.application_get(ApplicationId::new()).await.unwrap(), None);
}

pub async fn an_application_name_is_taken_once(records: Shared) {
    let shop = application(&records, "shop").await;
    let name: ApplicationName = word("default/shop");
    let mut tx = begin(&records).await;
    assert!(is_conflict(&tx.application_insert(&name, shop.source_id, "").await));
    let other = tx.application_insert(&word("commerce/shop"), shop.source_id, "").await.unwrap();
    assert_ne!(other.id, shop.id);
}

pub async fn applications_are_listed_by_name_and_source(records: Shared) {
    let mono = source(&records, "mono").await;
    let single = application(&records, "a").await;
    let mut tx = begin(&records).await;
    for name in ["z", "commerce/b", "c"] {
        tx.application_insert(&word(name), mono.id, name).await.unwrap();
    }
    tx.commit().await.unwrap();
    let names = |list: Vec<Application>| -> Vec<String> { list.iter().map(|a| a.name.path()).collect() };
    let mut read = read(&records).await;
    let all = names(read.application_list().await.unwrap());
    assert_eq!(all, ["commerce/b", "default/a", "default/c", "default/z"]);
    let of_mono = names(read.applications_of_source(mono.id).await.unwrap());
    assert_eq!(of_mono, ["commerce/b", "default/c", "default/z"]);
    assert_eq!(read.applications_of_source(single.source_id).await.unwrap(), [single]);
}

pub async fn a_deleted_application_is_hidden_and_continues_when_made_again(records: Shared) {
    let shop = application(&records, "shop").await;
    let first = insert_run(&records, new_run(shop.id, 1)).await;
    let other = source(&records, "other").await;

    let mut tx = begin(&records).await;
    tx.application_delete(shop.id).await.unwrap();
    tx.application_delete(shop.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    assert_eq!(reader.application_by_name(&shop.name).await.unwrap(), None);
    assert_eq!(reader.application_list().await.unwrap(), []);
    assert_eq!(reader.applications_of_source(shop.source_id).await.unwrap(), []);
    assert!(reader.run_get(first.id).await.unwrap().is_some());

    let mut tx = begin(&records).await;
    let again = tx.application_insert(&shop.name, other.id, "sub").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((again.id, again.source_id, again.path.as_str()), (shop.id, other.id, "sub"));
    assert_eq!(insert_run(&records, new_run(again.id, 2)).await.number, 2);
}
