use std::os::unix::fs::symlink;

use slipway_records_sqlite::{SqliteOptions, SqliteRecords};

use super::*;

/// A fresh database.
pub(crate) async fn database() -> (tempfile::TempDir, Arc<dyn Records>) {
    let directory = tempfile::tempdir().unwrap();
    let records =
        SqliteRecords::open(&directory.path().join("slipway.db"), SqliteOptions::default()).await.unwrap();
    (directory, Arc::new(records))
}

pub(crate) async fn secrets(configure: impl FnOnce(&mut SecretOptions)) -> (tempfile::TempDir, Secrets) {
    let (directory, records) = database().await;
    let mut options =
        SecretOptions { key_file: directory.path().join("secret.key"), ..SecretOptions::default() };
    configure(&mut options);
    (directory, Secrets::new(records, options).unwrap())
}

fn reference(text: &str) -> SecretReference {
    text.parse().unwrap()
}

async fn value(secrets: &Secrets, text: &str) -> Result<String> {
    Ok(secrets.resolve(&reference(text)).await?.value.expose_secret().to_owned())
}

#[tokio::test]
async fn a_built_in_secret_is_set_read_listed_and_removed() {
    let (_directory, secrets) = secrets(|_| {}).await;
    assert_eq!(secrets.set("npm-token", &"one".into(), "ann").await.unwrap().version, 1);
    secrets.set("npm-token", &"two".into(), "bob").await.unwrap();
    let found = secrets.resolve(&reference("secret://builtin/npm-token")).await.unwrap();
    assert_eq!((found.value.expose_secret(), found.version.as_str()), ("two", "2"));
    let mut tx = secrets.0.records.begin().await.unwrap();
    let rows = tx.secret_list().await.unwrap();
    assert_eq!((rows.len(), rows[0].set_by.as_str()), (1, "bob"));
    assert!(tx.secret_remove("npm-token").await.unwrap() && !tx.secret_remove("npm-token").await.unwrap());
    tx.commit().await.unwrap();
    let error = value(&secrets, "secret://builtin/npm-token").await.unwrap_err();
    assert!(matches!(error, SecretError::Missing { .. }));
    assert!(Fault::from(error).hint.unwrap().contains("slipway secret set npm-token"));
}

#[tokio::test]
async fn another_key_opens_nothing_and_the_error_shows_no_value() {
    let (directory, first) = secrets(|_| {}).await;
    first.set("a", &"hunter2".into(), "ann").await.unwrap();
    let options = SecretOptions { key_file: directory.path().join("other.key"), ..SecretOptions::default() };
    let second = Secrets::new(Arc::clone(&first.0.records), options).unwrap();
    let error = value(&second, "secret://builtin/a").await.unwrap_err();
    assert!(error.to_string().contains("secret.key") && !format!("{error:?}").contains("hunter2"));
    assert!(first.unopened(9).await.unwrap().is_empty());
    assert_eq!(second.unopened(9).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn names_and_sizes_have_rules() {
    let (_directory, secrets) = secrets(|options| options.max_secret_bytes = 5).await;
    for bad in ["", "A", "a//b", "/a", "a/", "-a", "a b", "a/../b", &"a".repeat(201)] {
        let error = secrets.set(bad, &"x".into(), "ann").await.unwrap_err();
        assert!(matches!(error, SecretError::Name { .. }), "{bad}: {error}");
    }
    for good in ["a", "webhook/shop", "npm_token.v2"] {
        secrets.set(good, &"12345".into(), "ann").await.unwrap();
    }
    for bad in ["", "123456"] {
        let error = secrets.set("a", &bad.into(), "ann").await.unwrap_err();
        assert!(matches!(error, SecretError::Size { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_server_environment_is_closed_but_for_listed_variables() {
    let (_directory, secrets) = secrets(|options| options.env_allowed = vec!["CARGO_PKG_NAME".into()]).await;
    assert_eq!(value(&secrets, "secret://env/CARGO_PKG_NAME").await.unwrap(), "slipway-secrets");
    let error = value(&secrets, "secret://env/PATH").await.unwrap_err();
    assert!(
        matches!(&error, SecretError::NotAllowed { .. }) && error.to_string().contains("SLIPWAY_SECRET_")
    );
    let error = value(&secrets, "secret://env/SLIPWAY_SECRET_NONE").await.unwrap_err();
    assert!(matches!(error, SecretError::Missing { .. }));
}

#[tokio::test]
async fn files_are_read_below_their_roots_only() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("stolen"), "no").unwrap();
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("token"), "yes\n").unwrap();
    std::fs::create_dir(root.path().join("directory")).unwrap();
    // Kubernetes' way: a link inside the root.
    symlink("token", root.path().join("inside")).unwrap();
    symlink(outside.path().join("stolen"), root.path().join("escape")).unwrap();
    let path = root.path().to_owned();
    let (_directory, secrets) = secrets(|options| options.file_roots = vec![path.clone()]).await;

    let below = |name: &str| format!("secret://file/{}/{name}", path.display());
    assert_eq!(value(&secrets, &below("token")).await.unwrap(), "yes");
    assert_eq!(value(&secrets, "secret://file/inside").await.unwrap(), "yes");
    assert!(matches!(value(&secrets, &below("none")).await, Err(SecretError::Missing { .. })));
    for refused in [
        below("escape"),
        below("../token"),
        below("directory"),
        "secret://file/escape".to_owned(),
        format!("secret://file/{}/stolen", outside.path().display()),
        "secret://file//etc/passwd".to_owned(),
    ] {
        let error = value(&secrets, &refused).await.unwrap_err();
        assert!(matches!(error, SecretError::NotAllowed { .. }), "{refused}: {error}");
    }
}

#[tokio::test]
async fn a_key_picks_a_field_and_wrong_ones_do_not_quote_the_value() {
    let (_directory, secrets) = secrets(|_| {}).await;
    secrets.set("db", &r#"{"user":"u","port":5}"#.into(), "ann").await.unwrap();
    secrets.set("plain", &"hunter2".into(), "ann").await.unwrap();
    assert_eq!(value(&secrets, "secret://builtin/db#user").await.unwrap(), "u");
    assert_eq!(value(&secrets, "secret://builtin/db#port").await.unwrap(), "5");
    for wrong in ["secret://builtin/db#none", "secret://builtin/plain#user"] {
        let error = value(&secrets, wrong).await.unwrap_err();
        assert!(matches!(error, SecretError::Field { .. }) && !error.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_file_version_follows_its_value_and_the_master_key() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_owned();
    let (_a, ours) = secrets(|options| options.file_roots = vec![path.clone()]).await;
    let (_b, theirs) = secrets(|options| options.file_roots = vec![path.clone()]).await;
    let version = async |secrets: &Secrets, value: &str| {
        std::fs::write(path.join("t"), value).unwrap();
        secrets.resolve(&reference("secret://file/t")).await.unwrap().version
    };
    let first = version(&ours, "one").await;
    assert_eq!(first, version(&ours, "one").await);
    assert_ne!(first, version(&ours, "two").await);
    assert_ne!(first, version(&theirs, "one").await);
}
