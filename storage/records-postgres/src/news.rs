//! News of commits, between servers by `NOTIFY`.
//!
//! A commit's news go to this process's listeners at once and into the transaction as
//! notifications; those that come back to the process that sent them are left out, so that each
//! comes once whether or not the connection that listens is up.

use std::str::FromStr;
use std::time::Duration;

use slipway_records::{Change, Changes, Result};
use slipway_types::id::InstanceId;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Executor, PgConnection};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::error::{UnknownWord, failed};

/// The channel of all news, one of the database's own.
const CHANNEL: &str = "slipway_changes";
/// Between two tries to connect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// A connection that told nothing for so long is asked whether it is still there.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// How long connecting or such an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a transaction tells, and whom.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) changes: Changes,
    /// Tells this process's own notifications.
    origin: InstanceId,
}

impl News {
    pub(crate) fn new() -> Self {
        Self { changes: Changes::default(), origin: InstanceId::new() }
    }

    /// Makes the changes notifications of the transaction: other servers get them when it commits.
    pub(crate) async fn announce(&self, db: &mut PgConnection, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let payloads: Vec<String> =
            changes.iter().map(|change| format!("{} {}", self.origin, Word(*change))).collect();
        sqlx::query!(
            r#"select count(pg_notify($1, payload)) as "count!" from unnest($2::text[]) payload"#,
            CHANNEL,
            &payloads,
        )
        .fetch_one(db)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Tells this process.
    pub(crate) fn send(&self, changes: &[Change]) {
        for change in changes {
            self.changes.send(*change);
        }
    }

    fn hear(&self, payload: &str) {
        let Some((origin, word)) = payload.split_once(' ') else { return };
        if origin == self.origin.to_string() {
            return;
        }
        // A newer release may tell what this one does not know.
        if let Ok(Word(change)) = word.parse() {
            self.changes.send(change);
        }
    }
}

/// A change as it stands in a notification.
#[derive(Debug, PartialEq)]
struct Word(Change);

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Change::Job => f.write_str("job"),
            Change::Run(run) => write!(f, "run {run}"),
            Change::Build(run, build) => write!(f, "build {run} {build}"),
            Change::Deployment(deployment) => write!(f, "deployment {deployment}"),
            Change::Log(log) => write!(f, "log {log}"),
        }
    }
}

impl FromStr for Word {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord(text.chars().take(200).collect());
        let mut parts = text.split(' ');
        let kind = parts.next();
        let mut id = || parts.next().and_then(|part| part.parse::<Uuid>().ok()).ok_or_else(unknown);
        let change = match kind {
            Some("job") => Change::Job,
            Some("run") => Change::Run(id()?.into()),
            Some("build") => Change::Build(id()?.into(), id()?.into()),
            Some("deployment") => Change::Deployment(id()?.into()),
            Some("log") => Change::Log(id()?),
            _ => return Err(unknown()),
        };
        Ok(Self(change))
    }
}

/// Begins to listen; ends when the handle is dropped. The first connection is made before this
/// returns, later ones as often as needed.
pub(crate) async fn listen(
    options: PgConnectOptions,
    news: std::sync::Arc<News>,
) -> Result<AbortOnDropHandle<()>> {
    let mut listener = connect(&options).await.map_err(failed)?;
    let task = tokio::spawn(async move {
        loop {
            let ended = hear_all(&mut listener, &news).await;
            tracing::warn!(
                error = ended.as_ref().map(tracing::field::display),
                "news of other servers are lost"
            );
            listener = reconnect(&options).await;
            // What was told meanwhile is not known: let the workers look.
            news.changes.send(Change::Job);
        }
    });
    Ok(AbortOnDropHandle::new(task))
}

async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(ANSWER_TIMEOUT)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn reconnect(options: &PgConnectOptions) -> PgListener {
    loop {
        match connect(options).await {
            Ok(listener) => {
                tracing::info!("listening for news of other servers again");
                return listener;
            }
            Err(error) => tracing::debug!(%error, "cannot listen for news of other servers"),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Passes on what is told until the connection is lost; returns why, if that is known.
async fn hear_all(listener: &mut PgListener, news: &News) -> Option<sqlx::Error> {
    loop {
        match tokio::time::timeout(QUIET_MAX, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => news.hear(notification.payload()),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => return Some(error),
            Err(_quiet) => match tokio::time::timeout(ANSWER_TIMEOUT, listener.execute("select 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Some(error),
                Err(_gone) => return None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::id::{BuildId, RunId};

    use super::*;

    #[test]
    fn changes_are_told_whole() {
        let (run, build) = (RunId::new(), BuildId::new());
        for change in [Change::Job, Change::Run(run), Change::Build(run, build), Change::Log(Uuid::now_v7())]
        {
            assert_eq!(Word(change).to_string().parse::<Word>().unwrap(), Word(change));
        }
        for unknown in ["", "run", "run x", "build 0190b3f8-7f7e-7000-8000-000000000000", "news"] {
            assert!(unknown.parse::<Word>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn own_notifications_are_left_out() {
        let news = News::new();
        let mut heard = news.changes.subscribe();
        news.hear(&format!("{} job", news.origin));
        assert!(heard.try_recv().is_err());
        news.hear(&format!("{} job", InstanceId::new()));
        assert_eq!(heard.try_recv().unwrap(), Change::Job);
    }
}
