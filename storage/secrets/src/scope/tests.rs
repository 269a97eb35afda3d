use secrecy::ExposeSecret as _;
use slipway_records::{NewSource, SourceKind};
use slipway_types::Fault;

use super::*;
use crate::provider::tests::secrets;

const SHOP: &str = "commerce/shop";

fn reference(text: &str) -> SecretReference {
    text.parse().unwrap()
}

async fn set(secrets: &Secrets, scope: &str, name: &str, value: &str) {
    let mut tx = secrets.0.records.begin().await.unwrap();
    let scope = scope.parse().unwrap();
    secrets.set_within(tx.as_mut(), &scope, name, &value.into(), "ann").await.unwrap();
    tx.commit().await.unwrap();
}

async fn got(
    secrets: &Secrets,
    name: &str,
    app: &str,
    env: Option<&str>,
) -> Result<(String, String, String)> {
    let (application, environment) = (app.parse().unwrap(), env.map(|env| env.parse().unwrap()));
    let asker = Asker { application: &application, environment: environment.as_ref() };
    let found = secrets.resolve_for(&reference(&format!("secret://builtin/{name}")), asker).await?;
    let Resolved { value, version } = found.resolved;
    Ok((value.expose_secret().to_owned(), version, found.scope.to_string()))
}

#[tokio::test]
async fn the_narrowest_scope_that_has_a_name_gives_it() {
    let (_directory, secrets) = secrets(|_| {}).await;
    let expected = [
        ("global", "global", "1"),
        ("team/commerce", "team", "1"),
        ("application/commerce/shop", "application", "1"),
        ("environment/commerce/shop/prod", "environment", "1"),
    ];
    for (scope, value, version) in expected {
        set(&secrets, scope, "db", value).await;
        let found = got(&secrets, "db", SHOP, Some("prod")).await.unwrap();
        assert_eq!(found, (value.to_owned(), version.to_owned(), scope.to_owned()));
    }
    assert_eq!(got(&secrets, "db", SHOP, Some("staging")).await.unwrap().0, "application");
    assert_eq!(got(&secrets, "db", SHOP, None).await.unwrap().0, "application");
    assert_eq!(got(&secrets, "db", "commerce/cart", Some("prod")).await.unwrap().0, "team");
    assert_eq!(got(&secrets, "db", "shop", Some("prod")).await.unwrap().0, "global");
    let scope = "environment/commerce/shop/prod".parse().unwrap();
    let exact = secrets.resolve_in(&reference("secret://builtin/db"), &scope).await.unwrap();
    assert_eq!(exact.value.expose_secret(), "environment");
}

#[tokio::test]
async fn scopes_of_others_are_out_of_reach_by_any_name() {
    let (_directory, secrets) = secrets(|_| {}).await;
    set(&secrets, "application/commerce/cart", "db", "theirs").await;
    set(&secrets, "team/finance", "db", "theirs").await;
    set(&secrets, "environment/commerce/shop/prod", "only-prod", "x").await;
    for (name, env) in [
        ("db", Some("prod")),
        ("application/commerce/cart:db", Some("prod")),
        ("team/finance:db", Some("prod")),
        ("team/finance/db", Some("prod")),
        ("only-prod", Some("staging")),
        ("only-prod", None),
    ] {
        let error = got(&secrets, name, SHOP, env).await.unwrap_err();
        assert!(matches!(error, SecretError::Missing { .. }), "{name}: {error}");
    }
    for other in ["secret://env/SLIPWAY_SECRET_X", "secret://file//etc/hostname"] {
        let application = SHOP.parse().unwrap();
        let asker = Asker { application: &application, environment: None };
        let error = secrets.resolve_for(&reference(other), asker).await.unwrap_err();
        assert!(matches!(error, SecretError::NotAllowed { .. }), "{other}: {error}");
    }
}

#[tokio::test]
async fn what_is_the_servers_own_no_application_gets() {
    let configured =
        |options: &mut crate::SecretOptions| options.held = vec![reference("secret://builtin/harbor")];
    let (_directory, secrets) = secrets(configured).await;
    let own = [
        "kubeconfig/kind",
        "webhook/shop",
        "pull/prod/commerce/shop",
        "harbor",
        "forge",
        "rendered/commerce/cart/prod/s/k",
    ];
    for name in own {
        set(&secrets, "global", name, "the server's").await;
    }
    let source = NewSource {
        name: "shop".parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: Some(reference("secret://builtin/forge")),
        poll_interval_s: 300,
    };
    let mut tx = secrets.0.records.begin().await.unwrap();
    tx.source_insert(source).await.unwrap();
    tx.commit().await.unwrap();
    for name in own {
        let error = got(&secrets, name, SHOP, Some("prod")).await.unwrap_err();
        assert!(matches!(error, SecretError::NotAllowed { .. }), "{name}: {error}");
        assert!(Fault::from(error).hint.unwrap().contains("--app"), "{name}");
    }
    set(&secrets, "application/commerce/shop", "forge", "a second one").await;
    assert_eq!(got(&secrets, "forge", SHOP, Some("prod")).await.unwrap().0, "a second one");
}

#[tokio::test]
async fn the_servers_own_uses_are_told() {
    let configured =
        |options: &mut crate::SecretOptions| options.held = vec![reference("secret://builtin/harbor#user")];
    let (_directory, secrets) = secrets(configured).await;
    let mut read = secrets.0.records.read().await.unwrap();
    for (name, uses) in [("harbor", 1), ("webhook/shop", 1), ("pull/prod/commerce/shop", 1), ("db", 0)] {
        let found = secrets.server_uses_of(read.as_mut(), name).await.unwrap();
        assert_eq!(found.len(), uses, "{name}: {found:?}");
    }
}
