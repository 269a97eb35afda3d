use slipway_records::{Deployment, Environment, Returnable};

use super::deployments::{bundle, environment, insert, new_deployment, save};
use super::prelude::*;

/// A deployment that was live as this revision.
async fn live(
    records: &Shared,
    shop: &Application,
    environment: &Environment,
    bundle: &PackageVersion,
    revision: &str,
) {
    let mut made = insert(records, new_deployment(shop, environment, bundle)).await;
    made.revision = Some(Digest::of(revision));
    made.live_at = Some(at(1));
    assert!(save(records, &mut made).await);
}

fn generations(rows: &[Deployment]) -> Vec<u64> {
    rows.iter().map(|row| row.generation).collect()
}

pub async fn the_last_live_revisions_are_kept_however_often_each_was_live(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (environment(&records, "prod").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    for revision in ["a", "b", "b", "c"] {
        live(&records, &shop, &prod, &row, revision).await;
    }
    insert(&records, new_deployment(&shop, &prod, &row)).await;
    live(&records, &shop, &dev, &row, "d").await;
    let mut read = read(&records).await;
    let all = read.deployments_once_live(prod.id, shop.id, 10).await.unwrap();
    assert_eq!(generations(&all), [4, 3, 2, 1]);
    assert_eq!(generations(&read.deployments_once_live(prod.id, shop.id, 2).await.unwrap()), [4, 3]);
    for (depth, wanted) in [(1, &[4][..]), (2, &[4, 3, 2]), (3, &[4, 3, 2, 1]), (50, &[4, 3, 2, 1])] {
        let kept = read.deployments_returnable(prod.id, shop.id, depth).await.unwrap();
        assert_eq!(generations(&kept), wanted, "{depth}");
    }
    assert!(read.deployments_returnable(prod.id, cart.id, 5).await.unwrap().is_empty());
}

pub async fn a_kept_generation_is_found_by_any_part_of_its_bundle(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let prod = environment(&records, "prod").await;
    let (first, second) = (bundle(&records, &shop, 1).await, bundle(&records, &shop, 2).await);
    live(&records, &shop, &prod, &first, "a").await;
    live(&records, &shop, &prod, &second, "b").await;
    let (image, layer) = (Digest::of("image"), Digest::of("layer"));
    let mut tx = begin(&records).await;
    tx.manifest_note(&first.digest, &[image]).await.unwrap();
    tx.manifest_note(&image, &[layer]).await.unwrap();
    tx.commit().await.unwrap();
    let found = |generation| Some(Returnable { environment: prod.name.clone(), generation });
    for (application, content, depth, wanted) in [
        (&shop, &first.digest, 2, found(1)),
        (&shop, &image, 2, found(1)),
        (&shop, &layer, 2, found(1)),
        (&shop, &layer, 1, None),
        (&shop, &second.digest, 1, found(2)),
        (&shop, &Digest::of("other"), 2, None),
        (&cart, &layer, 2, None),
    ] {
        let held = read(&records).await.returnable_with(application.id, content, depth).await.unwrap();
        assert_eq!(held, wanted, "{content} {depth}");
    }
    let mut tx = begin(&records).await;
    assert!(tx.environment_remove(prod.id).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.returnable_with(shop.id, &layer, 2).await.unwrap(), None);
}
