use slipway_records::{RestartFate, RestartPlace, Rotation};

use super::deployments::deployed;
use super::prelude::*;

const SECRET: &str = "application/default/shop:db";

fn rotation(version: u64) -> Rotation {
    Rotation {
        secret: SECRET.into(),
        version,
        reason: "yearly".into(),
        person: "ann".into(),
        actor: "ann's laptop".into(),
        started_at: at(1),
        ended_at: None,
        problem: None,
    }
}

async fn rotated(records: &Shared, version: u64) -> Rotation {
    let rotation = rotation(version);
    let mut tx = begin(records).await;
    tx.rotation_insert(&rotation).await.unwrap();
    tx.commit().await.unwrap();
    rotation
}

pub async fn a_rotation_is_kept_whole_and_ends_once(records: Shared) {
    let (two, ten) = (rotated(&records, 2).await, rotated(&records, 10).await);
    let refused = begin(&records).await.rotation_insert(&two).await;
    assert!(is_conflict(&refused), "{refused:?}");
    let mut reader = read(&records).await;
    assert_eq!(reader.rotation_get(SECRET, 2).await.unwrap(), Some(two.clone()));
    assert_eq!(reader.rotation_get(SECRET, 3).await.unwrap(), None);
    assert_eq!(reader.rotation_newest(SECRET).await.unwrap(), Some(ten));
    assert_eq!(reader.rotation_newest("db").await.unwrap(), None);
    for (problem, ends) in [(Some("the database"), true), (None, false)] {
        let mut tx = begin(&records).await;
        assert_eq!(tx.rotation_end(SECRET, 2, at(5), problem).await.unwrap(), ends);
        tx.commit().await.unwrap();
    }
    let ended = Rotation { ended_at: Some(at(5)), problem: Some("the database".into()), ..two };
    assert_eq!(reader.rotation_get(SECRET, 2).await.unwrap(), Some(ended));
}

pub async fn a_place_is_restarted_once_for_each_version(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (deployed(&records, &shop, "prod").await, deployed(&records, &cart, "dev").await);
    for version in [2, 3] {
        rotated(&records, version).await;
    }
    let place = |of: &slipway_records::Deployment, version| RestartPlace {
        secret: SECRET,
        version,
        environment: of.environment_id,
        application: of.application_id,
    };
    let mut tx = begin(&records).await;
    for of in [&prod, &dev] {
        assert!(tx.rotation_place(place(of, 2)).await.unwrap());
        assert!(!tx.rotation_place(place(of, 2)).await.unwrap(), "it is known");
    }
    assert!(tx.rotation_place(place(&prod, 3)).await.unwrap());
    let left = RestartFate::Left { problem: "it is suspended".into(), hint: Some("let it go on".into()) };
    let made = RestartFate::Made(prod.id);
    assert!(tx.rotation_settle(place(&prod, 2), &made).await.unwrap());
    for fate in [&left, &made] {
        assert!(!tx.rotation_settle(place(&prod, 2), fate).await.unwrap(), "it is settled");
    }
    assert!(tx.rotation_settle(place(&dev, 2), &left).await.unwrap());
    assert!(!tx.rotation_settle(place(&dev, 2), &made).await.unwrap(), "it is settled");
    assert!(!tx.rotation_settle(place(&dev, 3), &made).await.unwrap(), "it is not known");
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    let found = reader.rotation_restarts(SECRET, 2).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|row| (row.application.path(), row.environment.as_str(), &row.fate, row.generation))
        .collect();
    assert_eq!(
        shown,
        [
            ("default/cart".to_owned(), "dev", &left, None),
            ("default/shop".to_owned(), "prod", &made, Some(prod.generation)),
        ]
    );
    assert_eq!((found[1].environment_id, found[1].application_id), (prod.environment_id, shop.id));
    let waiting = reader.rotation_restarts(SECRET, 3).await.unwrap();
    assert_eq!(waiting.iter().map(|row| &row.fate).collect::<Vec<_>>(), [&RestartFate::Waiting]);
}
