//! Where a server keeps what it must not lose: database and object store.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use secrecy::SecretString;
use slipway_network::Network;
use slipway_objects::{Blobs, BlobsOptions};
use slipway_records::Records;
use slipway_records_postgres::{PostgresOptions, PostgresRecords};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::Secrets;
use slipway_types::secret::{SecretProvider, SecretReference};
use url::Url;

use crate::config::Config;
use crate::serve::or_below;

pub(super) async fn open_records(config: &Config, data: &Path) -> Result<Arc<dyn Records>> {
    if !config.database.url.is_empty() {
        let options = PostgresOptions {
            url: config.database.url.clone(),
            password: database_password(config)?,
            max_connections: config.database.max_connections,
            ..PostgresOptions::default()
        };
        let records =
            PostgresRecords::connect(options).await.context("cannot open the PostgreSQL database")?;
        return Ok(Arc::new(records));
    }
    let path = data.join("slipway.db");
    let is_empty = std::fs::metadata(&path).map_or(true, |file| file.len() == 0);
    // The key is made after the database: that it is there alone means that the database was lost.
    if is_empty && data.join("secret.key").exists() {
        bail!(
            "{} was used before, but its database slipway.db is gone or empty: put it back, or restore a \
             backup (`slipway admin restore`); to begin anew, move secret.key away",
            data.display()
        );
    }
    let records = SqliteRecords::open(&path, SqliteOptions::default())
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))?;
    Ok(Arc::new(records))
}

/// The password comes from the environment: the built-in secrets lie in the database it opens.
fn database_password(config: &Config) -> Result<Option<SecretString>> {
    if config.database.password.is_empty() {
        return Ok(None);
    }
    let reference: SecretReference = config.database.password.parse().context("database.password")?;
    if reference.provider != SecretProvider::Env {
        bail!("database.password must be secret://env/VARIABLE");
    }
    let value = std::env::var(&reference.path)
        .with_context(|| format!("database.password: {} is not set", reference.path))?;
    Ok(Some(value.into()))
}

pub(super) async fn open_blobs(
    config: &Config,
    data: &Path,
    secrets: &Secrets,
    network: &Network,
) -> Result<Blobs> {
    let storage = &config.storage;
    let url = if storage.url.is_empty() {
        let directory = data.join("blobs");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Url::from_file_path(&directory)
            .map_err(|()| anyhow::anyhow!("the data directory must be absolute"))?
            .to_string()
    } else {
        storage.url.clone()
    };
    let mut options = BlobsOptions::new(url, or_below(&storage.spool_dir, data, "spool"));
    options.max_spool_bytes = storage.max_spool_bytes;
    options.network = network.clone();
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    options.s3.endpoint = given(&storage.s3_endpoint);
    options.s3.region.clone_from(&storage.s3_region);
    options.s3.access_key = given(&storage.s3_access_key).map(Into::into);
    options.s3.path_style = storage.s3_path_style;
    options.s3.allow_http = storage.s3_allow_http;
    if !storage.s3_secret_key.is_empty() {
        let reference: SecretReference = storage.s3_secret_key.parse().context("storage.s3_secret_key")?;
        options.s3.secret_key = Some(secrets.resolve(&reference).await?.value);
    }
    Blobs::open(options).await.context("cannot open the object store")
}
