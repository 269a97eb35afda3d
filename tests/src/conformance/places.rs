//! Environments that are removed, and who holds one first.

use std::collections::BTreeSet;
use std::future::Future;

use slipway_records::{Deployment, DeploymentFilter, Environment, Hold};
use slipway_types::Fault;
use slipway_types::id::{DeploymentId, EnvironmentId};
use slipway_types::state::DeploymentState;

use super::addons::{binding, instance};
use super::deployments::{bundle, environment, insert, new_deployment, save};
use super::prelude::*;

pub async fn nothing_is_deployed_in_an_environment_that_was_removed(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let mut draft = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let mut tx = begin(&records).await;
    assert!(tx.environment_remove(prod.id).await.unwrap());
    assert!(!tx.environment_remove(prod.id).await.unwrap());
    tx.commit().await.unwrap();
    let kept = read(&records).await.environment_get(prod.id).await.unwrap().unwrap();
    assert!(prod.removed_at.is_none() && kept.removed_at.is_some());

    let mut tx = begin(&records).await;
    let refused = tx.deployment_insert(new_deployment(&shop, &prod, &row)).await;
    assert!(
        matches!(&refused, Err(RecordsError::Removed { what }) if what.contains("`prod`")),
        "{refused:?}"
    );
    let refused = tx.deployment_raise(&mut draft, 9).await;
    assert!(matches!(refused, Err(RecordsError::Removed { .. })), "{refused:?}");
    // What was there stays as it was, and may end.
    drop(tx);
    draft.state = DeploymentState::Withdrawn { by: "slipway".into() };
    assert!(save(&records, &mut draft).await);
}

pub async fn environments_that_were_removed_are_found_by_name(records: Shared) {
    environment(&records, "dev").await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let prod = environment(&records, "prod").await;
        let mut tx = begin(&records).await;
        assert!(tx.environment_remove(prod.id).await.unwrap());
        tx.commit().await.unwrap();
        made.push(prod.id);
    }
    let ids = async |limit: u32| -> Vec<EnvironmentId> {
        let found = read(&records).await.environments_named(&word("prod"), limit).await.unwrap();
        found.into_iter().map(|place| place.id).collect()
    };
    assert_eq!(ids(9).await, [made[1], made[0]], "the last one first");
    made.push(environment(&records, "prod").await.id);
    assert_eq!(ids(9).await, [made[2], made[1], made[0]], "that which is there before all");
    assert_eq!(ids(2).await, [made[2], made[1]]);
    assert!(read(&records).await.environments_named(&word("test"), 9).await.unwrap().is_empty());
}

/// Removes an environment unless something waits there; whether it did.
async fn removed_if_empty(records: &Shared, environment: EnvironmentId) -> bool {
    let mut tx = begin(records).await;
    assert!(tx.environment_remove(environment).await.unwrap());
    let there = DeploymentFilter { environment: Some(environment), ..DeploymentFilter::default() };
    let is_empty = tx.deployment_list(&there, Page::first(1)).await.unwrap().is_empty();
    if is_empty {
        tx.commit().await.unwrap();
    }
    is_empty
}

/// Makes something in a place and removes that at the same time: one of them wins.
async fn have_one_winner<T>(
    n: usize,
    make: impl Future<Output = Result<T, RecordsError>>,
    remove: impl Future<Output = bool>,
) {
    let (made, is_removed) = if n.is_multiple_of(2) {
        tokio::join!(make, remove)
    } else {
        let (is_removed, made) = tokio::join!(remove, make);
        (made, is_removed)
    };
    match &made {
        Ok(_) => assert!(!is_removed, "{n}: what was made is there"),
        Err(RecordsError::Removed { .. }) => assert!(is_removed, "{n}: it is there still"),
        Err(error) => panic!("{n}: {error}"),
    }
}

pub async fn a_removal_and_a_deployment_at_the_same_time_have_one_winner(records: Shared) {
    let shop = application(&records, "shop").await;
    let row = bundle(&records, &shop, 1).await;
    for n in 0..8 {
        let place = environment(&records, &format!("place-{n}")).await;
        let deploy = async {
            let mut tx = begin(&records).await;
            let made = tx.deployment_insert(new_deployment(&shop, &place, &row)).await;
            if made.is_ok() {
                tx.commit().await.unwrap();
            }
            made
        };
        have_one_winner(n, deploy, removed_if_empty(&records, place.id)).await;
    }
}

pub async fn no_add_on_and_no_binding_comes_to_an_environment_that_was_removed(records: Shared) {
    let (data, prod) = (environment(&records, "data").await, environment(&records, "prod").await);
    let shop = application(&records, "shop").await;
    let (orders, there) = (instance("orders", &data), instance("carts", &prod));
    let mut tx = begin(&records).await;
    tx.addon_insert(&orders).await.unwrap();
    assert!(tx.environment_remove(prod.id).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = begin(&records).await;
    let made = tx.addon_insert(&there).await;
    let bound = tx.addon_bind(&binding(&orders, &shop, &prod)).await.map(drop);
    for refused in [made, bound] {
        assert!(
            matches!(&refused, Err(RecordsError::Removed { what }) if what.contains("`prod`")),
            "{refused:?}"
        );
    }
    let elsewhere = binding(&orders, &shop, &data);
    assert!(tx.addon_bind(&elsewhere).await.unwrap());
    tx.commit().await.unwrap();
    let mut found = read(&records).await;
    assert_eq!(found.addon_list().await.unwrap(), [orders]);
    assert_eq!(found.addon_bindings_live().await.unwrap(), [elsewhere]);
}

/// Removes an environment unless an add-on lies there or is bound there; whether it did.
async fn removed_if_free(records: &Shared, environment: EnvironmentId) -> bool {
    let mut tx = begin(records).await;
    assert!(tx.environment_remove(environment).await.unwrap());
    let lying = tx.addon_list().await.unwrap();
    let bound = tx.addon_bindings_live().await.unwrap();
    let is_free = lying.iter().all(|addon| addon.environment_id != environment)
        && bound.iter().all(|binding| binding.environment_id != environment);
    if is_free {
        tx.commit().await.unwrap();
    }
    is_free
}

pub async fn a_removal_and_an_add_on_at_the_same_time_have_one_winner(records: Shared) {
    let (shop, data) = (application(&records, "shop").await, environment(&records, "data").await);
    let orders = instance("orders", &data);
    let mut tx = begin(&records).await;
    tx.addon_insert(&orders).await.unwrap();
    tx.commit().await.unwrap();
    for n in 0..16 {
        let place = environment(&records, &format!("place-{n}")).await;
        let make = async {
            let mut tx = begin(&records).await;
            let made = if n < 8 {
                tx.addon_insert(&instance(&format!("carts-{n}"), &place)).await
            } else {
                tx.addon_bind(&binding(&orders, &shop, &place)).await.map(drop)
            };
            if made.is_ok() {
                tx.commit().await.unwrap();
            }
            made
        };
        have_one_winner(n, make, removed_if_free(&records, place.id)).await;
    }
}

pub async fn what_is_out_is_found_by_its_environment(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (environment(&records, "prod").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    let mut expected = Vec::new();
    for (application, place, state, is_out) in [
        (&shop, &prod, DeploymentState::Live, false),
        (&shop, &prod, DeploymentState::Degraded { why: "web".into() }, true),
        (&cart, &prod, DeploymentState::Terminated { by: "ann".into() }, true),
        (&shop, &dev, DeploymentState::Deleted, false),
    ] {
        let mut made = insert(&records, new_deployment(application, place, &row)).await;
        (made.state, made.handed_off_at) = (state, Some(at(1)));
        assert!(save(&records, &mut made).await);
        expected.extend(is_out.then_some(made.id));
    }
    // On its way it is not out.
    insert(&records, new_deployment(&shop, &prod, &row)).await;
    insert(&records, new_deployment(&cart, &dev, &row)).await;
    expected.sort();
    let mut read = read(&records).await;
    for (place, wanted) in [(&prod, expected), (&dev, Vec::new())] {
        let out = read.deployments_out_in(place.id).await.unwrap();
        let mut found: Vec<_> = out.iter().map(|row| row.id).collect();
        found.sort();
        assert_eq!(found, wanted, "{}", place.name);
    }
}

/// Puts a deployment into a state, of which a receiver has heard if it `went_out`.
async fn stand(
    records: &Shared,
    (application, place): (&Application, &Environment),
    bundle: &PackageVersion,
    (state, went_out): (DeploymentState, bool),
) -> DeploymentId {
    let mut made = insert(records, new_deployment(application, place, bundle)).await;
    (made.state, made.handed_off_at) = (state, went_out.then(|| at(1)));
    assert!(save(records, &mut made).await);
    made.id
}

fn degraded() -> DeploymentState {
    DeploymentState::Degraded { why: "web".into() }
}

pub async fn what_is_out_and_on_its_way_is_found_among_places(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (environment(&records, "prod").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    let withdrawn = || DeploymentState::Withdrawn { by: "ann".into() };
    stand(&records, (&shop, &prod), &row, (DeploymentState::Live, true)).await;
    let in_prod = stand(&records, (&shop, &prod), &row, (degraded(), true)).await;
    stand(&records, (&shop, &prod), &row, (withdrawn(), false)).await;
    let in_dev = stand(&records, (&shop, &dev), &row, (DeploymentState::Live, true)).await;
    let draft = insert(&records, new_deployment(&shop, &dev, &row)).await.id;
    stand(&records, (&cart, &prod), &row, (DeploymentState::Live, true)).await;
    stand(&records, (&cart, &prod), &row, (DeploymentState::Deleted, true)).await;
    let other_draft = insert(&records, new_deployment(&cart, &dev, &row)).await.id;

    let mut read = read(&records).await;
    for (applications, environments, out, pending) in [
        (vec![shop.id, cart.id], vec![prod.id, dev.id], vec![in_prod, in_dev], vec![draft, other_draft]),
        (vec![shop.id], vec![prod.id], vec![in_prod], vec![]),
        (vec![cart.id], vec![prod.id, dev.id], vec![], vec![other_draft]),
        (vec![shop.id, cart.id], vec![dev.id], vec![in_dev], vec![draft, other_draft]),
        (vec![shop.id], vec![], vec![], vec![]),
        (vec![], vec![prod.id], vec![], vec![]),
    ] {
        let ids = |found: Vec<Deployment>| found.iter().map(|row| row.id).collect::<BTreeSet<_>>();
        let found = read.deployments_out_among(&applications, &environments).await.unwrap();
        assert_eq!(
            ids(found),
            out.into_iter().collect::<BTreeSet<_>>(),
            "{applications:?} in {environments:?}"
        );
        let found = read.deployments_pending_among(&applications, &environments).await.unwrap();
        assert_eq!(
            ids(found),
            pending.into_iter().collect::<BTreeSet<_>>(),
            "{applications:?} in {environments:?}"
        );
    }
    for (applications, mut wanted) in [
        (vec![shop.id, cart.id], vec![(shop.id, prod.id), (shop.id, dev.id), (cart.id, dev.id)]),
        (vec![cart.id], vec![(cart.id, dev.id)]),
        (vec![], vec![]),
    ] {
        let mut found = read.deployment_places(&applications).await.unwrap();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}

pub async fn what_runs_not_as_it_was_wanted_is_found(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (environment(&records, "prod").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    let suspended = || DeploymentState::Suspended { by: "ann".into() };
    // What was taken over from is not what runs.
    stand(&records, (&shop, &prod), &row, (degraded(), true)).await;
    stand(&records, (&shop, &prod), &row, (DeploymentState::Live, true)).await;
    let of_shop = stand(&records, (&shop, &dev), &row, (degraded(), true)).await;
    insert(&records, new_deployment(&shop, &dev, &row)).await;
    let of_cart = stand(&records, (&cart, &prod), &row, (suspended(), true)).await;
    stand(&records, (&cart, &dev), &row, (DeploymentState::Terminated { by: "ann".into() }, true)).await;

    let mut read = read(&records).await;
    for (application, limit, wanted) in [
        (None, 9, vec![of_shop, of_cart]),
        (None, 1, vec![of_shop]),
        (Some(cart.id), 9, vec![of_cart]),
        (Some(shop.id), 9, vec![of_shop]),
    ] {
        let found = read.deployments_troubled(application, limit).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), wanted, "{application:?}");
    }
    drop(read);

    let fault = Fault::permanent("refused", "no such kind");
    for (state, is_found) in [
        (suspended(), true),
        (degraded(), true),
        (DeploymentState::Unreachable { since: at(1) }, true),
        (DeploymentState::Failed { node: None, fault }, true),
        (DeploymentState::TimedOut { node: None, which: "an hour".into() }, true),
        (DeploymentState::Progressing { blocker: None }, false),
        (DeploymentState::Terminating { by: "ann".into() }, false),
    ] {
        let word = state.word();
        let made = stand(&records, (&shop, &dev), &row, (state, true)).await;
        let found = self::read(&records).await.deployments_troubled(Some(shop.id), 9).await.unwrap();
        let found: Vec<_> = found.iter().map(|row| row.id).collect();
        assert_eq!(found, if is_found { vec![made] } else { vec![] }, "{word}");
    }
}

async fn holds_first(records: &Shared, hold: &Hold) -> bool {
    let mut tx = begin(records).await;
    let is_first = tx.hold_first(hold).await.unwrap();
    tx.commit().await.unwrap();
    is_first
}

pub async fn the_first_hold_of_a_place_stays(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let hold = |by: &str| Hold {
        environment_id: prod.id,
        application_id: shop.id,
        version_id: None,
        reason: "x".into(),
        by: by.into(),
        at: at(1),
        rollback_to: None,
    };
    let mut tx = begin(&records).await;
    assert!(tx.hold_first(&hold("slipway")).await.unwrap());
    assert_eq!(tx.hold_get(prod.id, shop.id).await.unwrap(), Some(hold("slipway")));
    let pin = Hold { version_id: Some(row.id), ..hold("ann") };
    tx.hold_put(&pin).await.unwrap();
    assert!(!tx.hold_first(&hold("slipway")).await.unwrap());
    assert_eq!(tx.hold_get(prod.id, shop.id).await.unwrap(), Some(pin));
    assert!(tx.hold_release(prod.id, shop.id).await.unwrap());
    tx.commit().await.unwrap();

    let (ann, slipway) = (hold("ann"), hold("slipway"));
    let (is_ann, is_slipway) = tokio::join!(holds_first(&records, &ann), holds_first(&records, &slipway));
    assert!(is_ann != is_slipway, "{is_ann} {is_slipway}");
    let kept = read(&records).await.hold_get(prod.id, shop.id).await.unwrap();
    assert_eq!(kept, Some(if is_ann { ann } else { slipway }));
}
