//! The secrets of a server, and whether its key is the one they were sealed with.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use slipway_records::Records;
use slipway_secrets::{SecretOptions, Secrets};

use super::or_below;
use crate::config::Config;

/// So many stored secrets are tried with the key at every start.
const SECRETS_TRIED: usize = 16;

/// Opens the key, and says if it is another one than what is stored was sealed with.
pub(super) async fn open(config: &Config, data: &Path, records: Arc<dyn Records>) -> Result<Secrets> {
    let key_file = or_below(&config.secrets.key_file, data, "secret.key");
    // A new key would be made, which opens none of them.
    if !key_file.exists() && !records.read().await?.secret_list().await?.is_empty() {
        bail!(
            "{} is missing, and the database holds secrets that only it opens: restore it from a backup",
            key_file.display()
        );
    }
    let options = SecretOptions {
        key_file: key_file.clone(),
        file_roots: config.secrets.file_roots.clone(),
        held: config.secrets_held(),
        ..SecretOptions::default()
    };
    let secrets = Secrets::new(records, options)?;
    let unopened = secrets.unopened(SECRETS_TRIED).await?;
    if !unopened.is_empty() {
        // Not refused: where the key is lost for good, secrets are set anew on the running server.
        tracing::error!(
            key_file = %key_file.display(),
            secrets = unopened.join(", "),
            "the key does not open these secrets: put back the key they were sealed with, or set them anew"
        );
    }
    Ok(secrets)
}
