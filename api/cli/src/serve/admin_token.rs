//! The first admin token: the one that the configuration gives, else one in a file that only its owner can
//! read.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use slipway_records::{NewAuditEntry, NewToken, Records, RecordsError, Write};
use slipway_secrets::Secrets;
use slipway_types::secret::{SecretProvider, SecretReference};
use slipway_types::{Digest, Role};

use super::instance::private;

/// Name of the file in the data directory.
pub(crate) const FILE: &str = "admin.token";
/// Name of the token.
const NAME: &str = "admin";
/// Who the audit record says made it.
const SLIPWAY: &str = "slipway";

/// The token that `server.admin_token` gives; `None` where it gives none.
pub(super) async fn given(reference: &str, secrets: &Secrets) -> Result<Option<SecretString>> {
    if reference.is_empty() {
        return Ok(None);
    }
    let token = secrets.resolve(&parse(reference)?).await.context("server.admin_token")?.value;
    let token = SecretString::from(token.expose_secret().trim());
    if !slipway_secrets::is_token(token.expose_secret()) {
        bail!(
            "server.admin_token: what it names is no token: that is {} and 43 of the characters A-Z a-z 0-9 - _",
            slipway_secrets::TOKEN_PREFIX
        );
    }
    Ok(Some(token))
}

/// The reference, which must not lead into the database that the token opens.
pub(crate) fn parse(reference: &str) -> Result<SecretReference> {
    let parsed: SecretReference = reference.parse().context("server.admin_token")?;
    if parsed.provider == SecretProvider::Builtin {
        bail!("server.admin_token must be secret://env/VARIABLE or secret://file/PATH");
    }
    Ok(parsed)
}

/// Makes `token` the administrator's; the one before it ends. Its hash is all that is kept.
pub(super) async fn install(records: &dyn Records, token: &SecretString) -> Result<()> {
    let hash = slipway_secrets::hash(token.expose_secret());
    match try_install(records, &hash).await {
        // Another server that starts now was quicker.
        Err(error) if matches!(error.downcast_ref(), Some(RecordsError::Conflict { .. })) => {
            try_install(records, &hash).await
        }
        outcome => outcome,
    }
}

async fn try_install(records: &dyn Records, hash: &Digest) -> Result<()> {
    let mut tx = records.begin().await?;
    if let Some(row) = tx.token_by_hash(hash).await? {
        if row.revoked_at.is_some() {
            tracing::warn!("the token that server.admin_token names was revoked: put another there");
            return Ok(());
        }
        let is_whole =
            row.role == Some(Role::Admin) && row.application_id.is_none() && row.expires_at.is_none();
        if !is_whole {
            bail!(
                "server.admin_token names the token `{}`, which is not an administrator's without end",
                row.name
            );
        }
        return Ok(());
    }
    for row in tx.token_list().await? {
        if row.name == NAME && row.revoked_at.is_none() {
            tx.token_revoke(row.id, Utc::now()).await?;
            let detail = json!({"id": row.id, "because": "server.admin_token names another"});
            tx.audit(NewAuditEntry { detail, ..entry("token.revoke") }).await?;
        }
    }
    insert(tx.as_mut(), *hash).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes the first token if there is none. The file comes first: a process killed between the two
/// finds it again and uses it.
pub(super) async fn ensure(records: &dyn Records, directory: &Path) -> Result<()> {
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
    insert(tx.as_mut(), hash).await?;
    tx.commit().await?;
    Ok(())
}

async fn insert(tx: &mut dyn Write, hash: Digest) -> Result<()> {
    let token = NewToken {
        name: NAME.to_owned(),
        hash,
        person: None,
        break_glass: false,
        role: Some(Role::Admin),
        application_id: None,
        pulls_for: None,
        grants: Vec::new(),
        expires_at: None,
    };
    tx.token_insert(token).await?;
    tx.audit(entry("token.create")).await?;
    Ok(())
}

/// What the audit record keeps of the administrator's token.
fn entry(action: &'static str) -> NewAuditEntry {
    NewAuditEntry {
        actor: SLIPWAY.to_owned(),
        action,
        subject: format!("token/{NAME}"),
        detail: json!({"role": Role::Admin}),
    }
}
