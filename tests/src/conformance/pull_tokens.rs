use slipway_records::{Environment, TokenPage, TokenRow, pull_token};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::state::DeploymentState;

use super::deployments::{bundle, environment, insert, new_deployment, save};
use super::prelude::*;

/// The token by which the environment pulls the application.
fn new_token(environment: &Environment, application: &Application) -> NewToken {
    let name = pull_token::name(&environment.name, &application.name);
    NewToken {
        hash: Digest::of(&name),
        name,
        person: None,
        role: None,
        break_glass: false,
        application_id: Some(application.id),
        pulls_for: Some(environment.id),
        grants: Vec::new(),
        expires_at: None,
    }
}

async fn made(records: &Shared, environment: &Environment, application: &Application) -> TokenRow {
    let mut tx = begin(records).await;
    let row = tx.token_insert(new_token(environment, application)).await.unwrap();
    tx.commit().await.unwrap();
    row
}

fn names(rows: &[TokenRow]) -> Vec<&str> {
    rows.iter().map(|row| row.name.as_str()).collect()
}

pub async fn a_token_that_pulls_has_no_role_and_is_listed(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let reader = NewToken { role: Some(Role::Reader), ..new_token(&prod, &shop) };
    let mut tx = begin(&records).await;
    let row = tx.token_insert(reader.clone()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((row.role, row.pulls_for, row.application_id), (None, Some(prod.id), Some(shop.id)));
    let mut reading = read(&records).await;
    assert_eq!(reading.token_by_hash(&reader.hash).await.unwrap(), Some(row.clone()));
    assert_eq!(reading.token_get(row.id).await.unwrap(), Some(row.clone()));
    assert_eq!(reading.token_list().await.unwrap(), vec![row.clone()]);
    let page = TokenPage { limit: 10, ..TokenPage::default() };
    assert_eq!(reading.token_page(&page).await.unwrap(), [row]);
}

pub async fn a_token_is_found_by_its_name_until_it_is_revoked(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let first = made(&records, &prod, &shop).await;
    let mut tx = begin(&records).await;
    assert_eq!(tx.token_live_by_name(&first.name).await.unwrap().as_ref(), Some(&first));
    assert_eq!(tx.token_live_by_name("pull prod").await.unwrap(), None);
    assert!(tx.token_revoke(first.id, at(1)).await.unwrap());
    assert_eq!(tx.token_live_by_name(&first.name).await.unwrap(), None);
    let again = NewToken { hash: Digest::of("again"), expires_at: Some(at(2)), ..new_token(&prod, &shop) };
    let again = tx.token_insert(again).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.token_live_by_name(&first.name).await.unwrap(), Some(again));
}

pub async fn tokens_that_pull_are_found_by_place_and_end_with_it(records: Shared) {
    let (shop, till) = (application(&records, "shop").await, application(&records, "commerce/till").await);
    let (prod, test) = (environment(&records, "prod").await, environment(&records, "test").await);
    for (place, product) in [(&prod, &shop), (&prod, &till), (&test, &shop), (&test, &till)] {
        made(&records, place, product).await;
    }
    let mut reading = read(&records).await;
    let of_prod = reading.pull_tokens_of_environment(prod.id).await.unwrap();
    assert_eq!(names(&of_prod), ["pull prod commerce till", "pull prod default shop"]);
    let of_shop = reading.pull_tokens_of_application(shop.id).await.unwrap();
    assert_eq!(names(&of_shop), ["pull prod default shop", "pull test default shop"]);
    drop(reading);
    let mut tx = begin(&records).await;
    pull_token::end_of_environment(tx.as_mut(), &prod, "ann").await.unwrap();
    assert!(tx.pull_tokens_of_environment(prod.id).await.unwrap().is_empty());
    assert_eq!(tx.pull_tokens_of_environment(test.id).await.unwrap().len(), 2);
    pull_token::end_of_application(tx.as_mut(), shop.id, "ben").await.unwrap();
    assert!(tx.pull_tokens_of_application(shop.id).await.unwrap().is_empty());
    assert_eq!(names(&tx.pull_tokens_of_application(till.id).await.unwrap()), ["pull test commerce till"]);
    tx.commit().await.unwrap();
    let kept = read(&records).await.audit_list(None, None, 10).await.unwrap();
    let told: Vec<_> =
        kept.iter().rev().map(|entry| (entry.actor.as_str(), entry.subject.as_str())).collect();
    let expected = [
        ("ann", "token/pull prod commerce till"),
        ("ann", "token/pull prod default shop"),
        ("ben", "token/pull test default shop"),
    ];
    assert_eq!(told, expected);
}

pub async fn a_token_that_pulls_ends_with_the_last_deployment_of_its_place(records: Shared) {
    let shop = application(&records, "shop").await;
    let bundle = bundle(&records, &shop, 1).await;
    let (live, waiting) = (|| DeploymentState::Live, || DeploymentState::Draft { why: None });
    let taken_back = || DeploymentState::Withdrawn { by: "ann".into() };
    let stopped = || DeploymentState::Terminated { by: "ann".into() };
    for (n, (before, now, ends)) in [
        (None, DeploymentState::Deleted, true),
        (None, taken_back(), true),
        (None, live(), false),
        (None, stopped(), false),
        (Some(live()), taken_back(), false),
        (Some(live()), DeploymentState::Deleted, true),
        (Some(waiting()), DeploymentState::Deleted, false),
    ]
    .into_iter()
    .enumerate()
    {
        let place = environment(&records, &format!("place-{n}")).await;
        let token = made(&records, &place, &shop).await;
        let case = format!("{before:?}, {now:?}");
        let mut last = None;
        for state in before.into_iter().chain([now]) {
            let mut deployment = insert(&records, new_deployment(&shop, &place, &bundle)).await;
            let left = state.is_out()
                || matches!(state, DeploymentState::Deleted | DeploymentState::Terminated { .. });
            deployment.handed_off_at = left.then(|| at(1));
            deployment.state = state;
            assert!(save(&records, &mut deployment).await);
            last = Some(deployment);
        }
        let mut tx = begin(&records).await;
        pull_token::follow(tx.as_mut(), &last.unwrap()).await.unwrap();
        let kept = tx.token_live_by_name(&token.name).await.unwrap();
        assert_eq!(kept.is_none(), ends, "{case}");
        tx.commit().await.unwrap();
    }
}

pub async fn stages_of_one_namespace_keep_what_their_pull_secret_may_hold(records: Shared) {
    let shop = application(&records, "shop").await;
    let bundle = bundle(&records, &shop, 1).await;
    let mut stages = Vec::new();
    for (name, address) in [("prod", "eu/kind/shop"), ("canary", "eu/kind/shop/canary")] {
        let mut tx = begin(&records).await;
        let settings = EnvironmentSettings::default();
        let stage = tx.environment_insert(&word(name), &word(address), &settings, "ann").await.unwrap();
        tx.commit().await.unwrap();
        made(&records, &stage, &shop).await;
        stages.push(stage);
    }
    let mut live = insert(&records, new_deployment(&shop, &stages[0], &bundle)).await;
    (live.state, live.handed_off_at) = (DeploymentState::Live, Some(at(1)));
    assert!(save(&records, &mut live).await);
    let mut gone = insert(&records, new_deployment(&shop, &stages[1], &bundle)).await;
    (gone.state, gone.handed_off_at) = (DeploymentState::Deleted, Some(at(1)));
    assert!(save(&records, &mut gone).await);

    let mut tx = begin(&records).await;
    let both = ["pull canary default shop", "pull prod default shop"];
    pull_token::follow(tx.as_mut(), &gone).await.unwrap();
    assert_eq!(names(&tx.pull_tokens_of_application(shop.id).await.unwrap()), both);
    assert!(tx.environment_remove(stages[1].id).await.unwrap());
    pull_token::end_of_environment(tx.as_mut(), &stages[1], "ann").await.unwrap();
    assert_eq!(names(&tx.pull_tokens_of_application(shop.id).await.unwrap()), both);
    live.state = DeploymentState::Deleted;
    assert!(tx.deployment_save(&mut live).await.unwrap());
    pull_token::follow(tx.as_mut(), &live).await.unwrap();
    assert!(tx.pull_tokens_of_application(shop.id).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}
