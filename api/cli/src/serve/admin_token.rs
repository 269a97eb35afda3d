//! The first admin token, in a file that only its owner can read.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use slipway_records::{NewToken, Records};
use slipway_types::Role;

use super::instance::private;

/// Name of the file in the data directory.
pub(crate) const FILE: &str = "admin.token";

/// Makes the first token if there is none. The file comes first: a process killed between the two
/// finds it again and uses it.
pub(crate) async fn ensure(records: &dyn Records, directory: &Path) -> Result<()> {
    let mut tx = records.begin().await?;
    if !tx.token_list().await?.is_empty() {
        return Ok(());
    }
    let path = directory.join(FILE);
    let hash = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => slipway_secrets::hash(text.trim()),
        _ => {
            let (token, hash) = slipway_secrets::new_token();
            let mut file = private()
                .create(true)
                .truncate(true)
                .open(&path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            writeln!(file, "{}", token.expose_secret())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            hash
        }
    };
    let token = NewToken {
        name: "admin".to_owned(),
        hash,
        role: Some(Role::Admin),
        application_id: None,
        grants: Vec::new(),
        expires_at: None,
    };
    tx.token_insert(token).await?;
    tx.commit().await?;
    Ok(())
}
