use slipway_records::{Deployment, RevisionSecret};
use slipway_types::SecretScope;
use slipway_types::state::DeploymentState;

use super::deployments::{bundle, environment, insert, new_deployment, save};
use super::prelude::*;

fn used(reference: &str, scope: Option<SecretScope>, version: &str) -> RevisionSecret {
    let components = vec!["api".to_owned(), "web".to_owned()];
    RevisionSecret { reference: word(reference), scope, version: version.to_owned(), components }
}

async fn note(records: &Shared, revision: &Digest, secrets: &[RevisionSecret]) {
    let mut tx = begin(records).await;
    tx.revision_secrets_note(revision, secrets).await.unwrap();
    tx.commit().await.unwrap();
}

/// The next deployment in a place, in a state and with a revision of that name.
async fn deployed_as(
    records: &Shared,
    before: &Deployment,
    state: DeploymentState,
    revision: &str,
) -> Deployment {
    let mut made = before.clone();
    made.state = state;
    made.revision = Some(Digest::of(revision));
    made.handed_off_at = made.state.is_out().then(|| at(1));
    assert!(save(records, &mut made).await);
    made
}

async fn ids_with(records: &Shared, found_by: &str) -> Vec<slipway_types::id::DeploymentId> {
    let found = read(records).await.deployments_with_secret(found_by).await.unwrap();
    found.into_iter().map(|row| row.id).collect()
}

pub async fn who_uses_a_secret_is_told_while_it_is_out_or_on_its_way(records: Shared) {
    let shop = application(&records, "shop").await;
    let (prod, row) = (environment(&records, "prod").await, bundle(&records, &shop, 1).await);
    let scope = SecretScope::Application(shop.name.clone());
    let secrets = [
        used("secret://builtin/db#user", Some(scope.clone()), "2"),
        used("secret://builtin/db#password", Some(scope), "2"),
        used("secret://kubernetes/kind/shop/tls#key", None, "77/ab"),
    ];
    let (one, two) = (Digest::of("one"), Digest::of("two"));
    for _ in 0..2 {
        note(&records, &one, &secrets).await;
    }
    note(&records, &two, &secrets[2..]).await;
    let (db, tls) = ("secret://builtin/db", "secret://kubernetes/shop/tls");
    assert!(ids_with(&records, db).await.is_empty(), "nothing is deployed");

    let first = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let first = deployed_as(&records, &first, DeploymentState::Live, "one").await;
    let second = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let second = deployed_as(&records, &second, DeploymentState::Frozen { revision: two }, "two").await;
    assert_eq!(ids_with(&records, db).await, [first.id]);
    assert_eq!(ids_with(&records, tls).await, [first.id, second.id]);
    assert!(ids_with(&records, "secret://builtin/d").await.is_empty());
    let found = read(&records).await.secret_uses(db).await.unwrap();
    let [user, password, certificate] = secrets.clone();
    assert_eq!(found, [(one, password.clone()), (one, user.clone())]);
    let noted = read(&records).await.revision_secrets(&one).await.unwrap();
    assert_eq!(noted, [password, user, certificate]);
    let noted = read(&records).await.revision_secrets(&Digest::of("three")).await.unwrap();
    assert!(noted.is_empty(), "{noted:?}");

    // What went out later is what runs.
    let second = deployed_as(&records, &second, DeploymentState::Live, "two").await;
    assert!(ids_with(&records, db).await.is_empty());
    assert_eq!(ids_with(&records, tls).await, [second.id]);
    let gone = DeploymentState::Deleted;
    deployed_as(&records, &second, gone.clone(), "two").await;
    deployed_as(&records, &first, gone, "one").await;
    let mut reader = read(&records).await;
    assert!(reader.deployments_with_secret(tls).await.unwrap().is_empty());
    assert!(reader.secret_uses(tls).await.unwrap().is_empty());
}

pub async fn what_was_frozen_without_notes_is_found_until_it_is_noted(records: Shared) {
    let shop = application(&records, "shop").await;
    let (prod, row) = (environment(&records, "prod").await, bundle(&records, &shop, 1).await);
    let draft = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let unnoted = async || {
        let found = read(&records).await.deployments_with_unnoted_secrets().await.unwrap();
        found.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert!(unnoted().await.is_empty(), "a draft has no revision");
    let made = deployed_as(&records, &draft, DeploymentState::Live, "one").await;
    assert_eq!(unnoted().await, [made.id]);
    note(&records, &Digest::of("one"), &[]).await;
    assert!(unnoted().await.is_empty(), "it has none");
}
