use std::collections::BTreeMap;

use slipway_records::{AddonBinding, AddonInstance, Environment};
use slipway_types::id::{AddonBindingId, AddonId};
use slipway_types::state::{AddonEvent, AddonState};

use super::deployments::environment;
use super::prelude::*;

pub(super) fn instance(name: &str, place: &Environment) -> AddonInstance {
    AddonInstance {
        id: AddonId::new(),
        name: word(name),
        team: word("commerce"),
        owner: "ann".into(),
        environment_id: place.id,
        definition: word("redis"),
        version: word("1.2.0"),
        properties: serde_json::json!({"memory": "1gb", "nested": {"list": [1, "two"]}}),
        protected: true,
        state: AddonState::Applying { why: Some("1 of 2 pods".into()) },
        outputs: BTreeMap::from([
            ("host".to_owned(), "orders.data.svc".into()),
            ("port".to_owned(), 6379.into()),
        ]),
        binding_secrets: vec!["password".into()],
        in_cluster: true,
        has_release: false,
        failure: None,
        generation: 3,
        ready_generation: 2,
        handed_off: 3,
        revision: Some(Digest::of("third")),
        predecessor: Some(Digest::of("second")),
        sequence: 17,
        created_at: at(1),
        created_by: "ann".into(),
        changed_at: at(2),
        changed_by: "bob".into(),
        cordoned_at: Some(at(3)),
        row_version: 1,
    }
}

pub(super) fn binding(addon: &AddonInstance, application: &Application, place: &Environment) -> AddonBinding {
    AddonBinding {
        id: AddonBindingId::new(),
        addon_id: addon.id,
        addon: addon.name.clone(),
        application_id: application.id,
        application: application.name.clone(),
        environment_id: place.id,
        environment: place.name.clone(),
        account: "shop_prod".into(),
        prefix: Some("DB".into()),
        generation: 3,
        created_at: at(5),
        created_by: "ann".into(),
        ended_at: None,
    }
}

pub async fn an_add_on_is_kept_whole_and_its_name_is_taken_until_it_is_released(records: Shared) {
    let place = environment(&records, "data").await;
    let (mut orders, carts) = (instance("orders", &place), instance("carts", &place));
    let mut tx = begin(&records).await;
    tx.addon_insert(&orders).await.unwrap();
    tx.addon_insert(&carts).await.unwrap();
    tx.commit().await.unwrap();
    let mut found = read(&records).await;
    assert_eq!(found.addon_get(orders.id).await.unwrap(), Some(orders.clone()));
    assert_eq!(found.addon_by_name(&word("orders")).await.unwrap(), Some(orders.clone()));
    assert_eq!(found.addon_list().await.unwrap(), [carts.clone(), orders.clone()]);
    drop(found);
    let again = instance("orders", &place);
    let refused = begin(&records).await.addon_insert(&again).await;
    assert!(matches!(refused, Err(RecordsError::Conflict { .. })), "{refused:?}");

    orders.state = AddonState::Released;
    let mut tx = begin(&records).await;
    assert!(tx.addon_save(&mut orders).await.unwrap());
    tx.addon_insert(&again).await.unwrap();
    tx.commit().await.unwrap();
    let mut found = read(&records).await;
    assert_eq!(found.addon_by_name(&word("orders")).await.unwrap().unwrap().id, again.id);
    assert_eq!(found.addon_get(orders.id).await.unwrap().unwrap().state, AddonState::Released);
    assert_eq!(found.addon_list().await.unwrap(), [carts, again]);
}

pub async fn an_add_on_is_saved_only_on_the_version_read(records: Shared) {
    let place = environment(&records, "data").await;
    let mut mine = instance("orders", &place);
    let mut theirs = mine.clone();
    let mut tx = begin(&records).await;
    tx.addon_insert(&mine).await.unwrap();
    assert!(theirs.change(AddonEvent::Change, "bob", at(9)));
    assert!(tx.addon_save(&mut theirs).await.unwrap());
    assert!(!tx.addon_save(&mut mine).await.unwrap());
    tx.commit().await.unwrap();
    let kept = read(&records).await.addon_get(mine.id).await.unwrap().unwrap();
    assert_eq!((kept.generation, kept.row_version), (4, theirs.row_version));
    assert_eq!(kept, theirs);
}

pub async fn an_application_is_bound_once_in_an_environment_until_that_ends(records: Shared) {
    let (data, prod) = (environment(&records, "data").await, environment(&records, "prod").await);
    let shop = application(&records, "shop").await;
    let (orders, carts) = (instance("orders", &data), instance("carts", &data));
    let first = binding(&orders, &shop, &prod);
    let mut tx = begin(&records).await;
    tx.addon_insert(&orders).await.unwrap();
    tx.addon_insert(&carts).await.unwrap();
    assert!(tx.addon_bind(&first).await.unwrap());
    assert!(!tx.addon_bind(&binding(&orders, &shop, &prod)).await.unwrap());
    let elsewhere = AddonBinding { prefix: None, ..binding(&orders, &shop, &data) };
    let other = binding(&carts, &shop, &prod);
    assert!(tx.addon_bind(&elsewhere).await.unwrap());
    assert!(tx.addon_bind(&other).await.unwrap());
    tx.commit().await.unwrap();
    let mut found = read(&records).await;
    assert_eq!(found.addon_bindings_of(shop.id, prod.id).await.unwrap(), [first.clone(), other.clone()]);
    assert_eq!(found.addon_bindings(orders.id).await.unwrap(), [first.clone(), elsewhere.clone()]);
    drop(found);

    let mut tx = begin(&records).await;
    assert!(tx.addon_unbind(first.id, "bob", at(7)).await.unwrap());
    assert!(!tx.addon_unbind(first.id, "eve", at(8)).await.unwrap());
    let second = binding(&orders, &shop, &prod);
    assert!(tx.addon_bind(&second).await.unwrap());
    tx.commit().await.unwrap();
    let mut found = read(&records).await;
    let ended = AddonBinding { ended_at: Some(at(7)), ..first };
    assert_eq!(found.addon_bindings(orders.id).await.unwrap(), [ended, elsewhere.clone(), second.clone()]);
    assert_eq!(found.addon_bindings_live().await.unwrap(), [elsewhere, other, second]);
}
