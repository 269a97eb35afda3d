use futures::future::join_all;
use slipway_types::id::DeliveryId;

use super::prelude::*;

fn new_delivery(source: SourceId, external_id: Option<&str>) -> NewDelivery {
    NewDelivery {
        source_id: source,
        origin: Origin::Github,
        external_id: external_id.map(str::to_owned),
        event: "push".into(),
        git_ref: Some(branch("main")),
        commit: Some(commit(1)),
        actor: "ann".into(),
        fresh: true,
        state: DeliveryState::Received,
    }
}

async fn insert(records: &Shared, delivery: NewDelivery) -> Inserted<Delivery> {
    let mut tx = begin(records).await;
    let inserted = tx.delivery_insert(delivery).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

pub async fn a_delivery_is_kept_whole(records: Shared) {
    let source = source(&records, "shop").await;
    let full = insert(&records, new_delivery(source.id, Some("1"))).await.into_inner();
    let bare = NewDelivery {
        git_ref: None,
        commit: None,
        fresh: false,
        state: DeliveryState::Ignored { reason: "a ping".into() },
        ..new_delivery(source.id, None)
    };
    let bare = insert(&records, bare).await.into_inner();
    let mut read = read(&records).await;
    assert_eq!(read.delivery_get(full.id).await.unwrap(), Some(full));
    assert_eq!(read.delivery_get(bare.id).await.unwrap(), Some(bare));
    assert_eq!(read.delivery_get(DeliveryId::new()).await.unwrap(), None);
}

pub async fn a_repeated_delivery_is_found(records: Shared) {
    let source = source(&records, "shop").await;
    let first = insert(&records, new_delivery(source.id, Some("1"))).await;
    assert!(first.is_new());
    let repeat = NewDelivery { actor: "eve".into(), ..new_delivery(source.id, Some("1")) };
    assert_eq!(insert(&records, repeat).await, Inserted::Existing(first.into_inner()));
    let elsewhere = NewDelivery { origin: Origin::Gitlab, ..new_delivery(source.id, Some("1")) };
    assert!(insert(&records, elsewhere).await.is_new());
}

pub async fn deliveries_without_external_id_are_all_kept(records: Shared) {
    let source = source(&records, "shop").await;
    for _ in 0..2 {
        assert!(insert(&records, new_delivery(source.id, None)).await.is_new());
    }
}

pub async fn deliveries_are_paged_newest_first(records: Shared) {
    let source_a = source(&records, "a").await;
    let source_b = source(&records, "b").await;
    let mut expected = Vec::new();
    for n in 0..5 {
        let text = n.to_string();
        expected.insert(0, insert(&records, new_delivery(source_a.id, Some(&text))).await.into_inner());
        insert(&records, new_delivery(source_b.id, Some(&text))).await;
    }
    let mut read = read(&records).await;
    let first = read.delivery_list(source_a.id, Page::first(2)).await.unwrap();
    assert_eq!(first, expected[..2]);
    let after = Page { limit: 10, after: Some(first[1].id.as_uuid()) };
    assert_eq!(read.delivery_list(source_a.id, after).await.unwrap(), expected[2..]);
}

pub async fn a_delivery_is_settled_once(records: Shared) {
    let source = source(&records, "shop").await;
    let delivery = insert(&records, new_delivery(source.id, None)).await.into_inner();
    let planned = DeliveryState::Planned { runs: vec![RunId::new()] };
    let mut tx = begin(&records).await;
    assert!(tx.delivery_settle(delivery.id, &planned).await.unwrap());
    let ignored = DeliveryState::Ignored { reason: "late".into() };
    assert!(!tx.delivery_settle(delivery.id, &ignored).await.unwrap());
    tx.commit().await.unwrap();
    let now = read(&records).await.delivery_get(delivery.id).await.unwrap().unwrap();
    assert_eq!(now, Delivery { state: planned, ..delivery });
}

pub async fn a_named_commit_is_known_by_source_ref_and_commit(records: Shared) {
    let source_a = source(&records, "a").await;
    let source_b = source(&records, "b").await;
    insert(&records, new_delivery(source_a.id, None)).await;
    let mut read = read(&records).await;
    let main = branch("main");
    assert!(read.delivery_names(source_a.id, &main, &commit(1)).await.unwrap());
    assert!(!read.delivery_names(source_a.id, &main, &commit(2)).await.unwrap());
    assert!(!read.delivery_names(source_a.id, &GitRef::Tag("main".into()), &commit(1)).await.unwrap());
    assert!(!read.delivery_names(source_b.id, &main, &commit(1)).await.unwrap());
}

pub async fn the_last_hundred_refusals_are_kept_and_all_are_counted(records: Shared) {
    let source_a = source(&records, "a").await;
    let source_b = source(&records, "b").await;
    let refusal = |n| Refusal { at: at(n), address: "192.0.2.1".into(), reason: format!("reason {n}") };
    let mut tx = begin(&records).await;
    tx.refusal_add(source_b.id, &refusal(0)).await.unwrap();
    for n in 0..103 {
        tx.refusal_add(source_a.id, &refusal(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    let (kept, count) = read.refusals(source_a.id).await.unwrap();
    let expected: Vec<_> = (3..103).rev().map(refusal).collect();
    assert_eq!((kept, count), (expected, 103));
    assert_eq!(read.refusals(source_b.id).await.unwrap(), (vec![refusal(0)], 1));
}

pub async fn parallel_repeats_of_a_delivery_make_one(records: Shared) {
    let source = source(&records, "shop").await;
    let all = join_all((0..8).map(|_| insert(&records, new_delivery(source.id, Some("1"))))).await;
    assert_eq!(all.iter().filter(|inserted| inserted.is_new()).count(), 1);
    assert_eq!(read(&records).await.delivery_list(source.id, Page::default()).await.unwrap().len(), 1);
}
