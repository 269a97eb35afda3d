//! Sources and their webhook secrets, kept in memory for a moment, so that a burst of webhooks does
//! not become a burst of lookups.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use slipway_secrets::SecretError;
use slipway_types::SecretReference;
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::SourceName;

use super::webhook_secret_name;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Most sources remembered, those that do not exist included.
const SOURCES_MAX: usize = 4_096;

/// A source that receives webhooks.
pub(crate) struct Known {
    pub(super) source: SourceId,
    /// For whom the queue takes turns.
    pub(super) application: Option<ApplicationId>,
    pub(super) secret: SecretString,
}

/// The outcome of an earlier lookup.
struct Lately(Option<Arc<Known>>);

type Entry = (Instant, Option<Arc<Known>>);

/// What was looked up lately.
pub(crate) struct SecretCache {
    life: Duration,
    entries: Mutex<HashMap<SourceName, Entry>>,
}

impl fmt::Debug for SecretCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCache")
    }
}

impl SecretCache {
    pub(crate) fn new(life: Duration) -> Self {
        Self { life, entries: Mutex::default() }
    }

    /// The source's secret has changed.
    pub(crate) fn forget(&self, source: &SourceName) {
        self.lock().remove(source);
    }

    /// Any secret may have changed.
    pub(crate) fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SourceName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found lately, which may be that there is none.
    fn get(&self, source: &SourceName) -> Option<Lately> {
        let entries = self.lock();
        let (at, known) = entries.get(source)?;
        (at.elapsed() < self.life).then(|| Lately(known.clone()))
    }

    fn put(&self, source: SourceName, known: Option<Arc<Known>>) {
        let mut entries = self.lock();
        if entries.len() >= SOURCES_MAX {
            entries.clear();
        }
        entries.insert(source, (Instant::now(), known));
    }
}

/// The source of that name, if it exists and has a webhook secret.
pub(super) async fn look_up(state: &ServerState, name: &str) -> Result<Option<Arc<Known>>, ApiError> {
    let Ok(name) = name.parse::<SourceName>() else { return Ok(None) };
    if let Some(Lately(known)) = state.webhook_secrets.get(&name) {
        return Ok(known);
    }
    let known = load(state, &name).await?.map(Arc::new);
    state.webhook_secrets.put(name, known.clone());
    Ok(known)
}

async fn load(state: &ServerState, name: &SourceName) -> Result<Option<Known>, ApiError> {
    let mut read = state.records.read().await?;
    let Some(source) = read.source_by_name(name).await? else { return Ok(None) };
    let applications = read.applications_of_source(source.id).await?;
    drop(read);
    let reference = SecretReference::builtin(webhook_secret_name(name));
    let secret = match state.secrets.resolve(&reference).await {
        Ok(resolved) => resolved.value,
        Err(SecretError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let application = applications.first().map(|application| application.id);
    Ok(Some(Known { source: source.id, application, secret }))
}
