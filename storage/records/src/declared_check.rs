//! Checks that developers declare: run by Slipway over what a bundle holds, and until they are green the
//! bundle is held.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{ApplicationId, CheckId, RunId, VersionId};
use slipway_types::name::CheckName;
use slipway_types::state::DeclaredCheckState;
use slipway_types::{Digest, ImageReference};

use crate::Result;
use crate::job::{JobPayload, NewJob};

/// The back-end whose checks take a place on a cluster.
pub const ON_CLUSTERS: &str = "kaniko";

/// What a check runs, every name in it resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// The image, by digest; what was built has the host by which builds know the built-in registry.
    pub image: ImageReference,
    /// Program and arguments, in the place of the image's own.
    pub command: Vec<String>,
    /// Variables beside the image's own.
    pub env: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout_seconds: u32,
    /// The back-end that runs it.
    pub backend: String,
    /// Why that one.
    pub backend_why: String,
}

impl CheckOrder {
    /// Digest of all that can change the answer: neither the time it may take nor who runs it.
    pub fn inputs(&self) -> Digest {
        let image = self.image.digest.map_or_else(|| self.image.to_string(), |digest| digest.to_string());
        Digest::of(serde_json::json!(["check/1", image, self.command, self.env]).to_string())
    }
}

/// An operator's word that a check holds its bundle no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A check of one bundle version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredCheck {
    /// Identity; names its log.
    pub id: CheckId,
    /// Of which version.
    pub version_id: VersionId,
    /// Whose.
    pub application_id: ApplicationId,
    /// The run that published the version.
    pub run_id: RunId,
    /// `source/NAME`.
    pub name: CheckName,
    /// What it runs.
    pub order: CheckOrder,
    /// Digest of what can change the answer.
    pub inputs: Digest,
    /// Whether an earlier answer does not do.
    pub fresh: bool,
    /// Where it stands.
    pub state: DeclaredCheckState,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Why it holds nothing although it is not green.
    pub waiver: Option<Waiver>,
    /// Rises with every stored change.
    pub generation: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl DeclaredCheck {
    /// Whether it holds its bundle.
    pub fn holds(&self) -> bool {
        self.waiver.is_none() && !matches!(self.state, DeclaredCheckState::Passed { .. })
    }

    /// The job that runs it: clusters have room of their own.
    pub fn job(&self) -> NewJob {
        let check = self.id;
        let payload = match self.order.backend.as_str() {
            ON_CLUSTERS => JobPayload::ClusterCheck { check },
            _ => JobPayload::Check { check },
        };
        NewJob::new(payload, Some(self.application_id))
    }

    /// How it stands, for people: `source/unit is failed: exit code 1`.
    pub fn standing(&self) -> String {
        let said = format!("{} is {}", self.name, self.state.word());
        self.state.reason().map_or(said.clone(), |why| {
            let line: String = why.lines().next().unwrap_or_default().chars().take(200).collect();
            format!("{said}: {line}")
        })
    }
}

/// Looking up checks that developers declare.
#[async_trait]
pub trait ReadDeclaredChecks {
    /// One check.
    async fn declared_check_get(&mut self, id: CheckId) -> Result<Option<DeclaredCheck>>;
    /// The checks of a bundle version, by name.
    async fn declared_checks_of(&mut self, version: VersionId) -> Result<Vec<DeclaredCheck>>;
    /// The checks among those of these versions that hold them, by version and name.
    async fn declared_checks_holding(&mut self, versions: &[VersionId]) -> Result<Vec<DeclaredCheck>>;
    /// The checks that ended and hold what the newest run of an application published, newest version first.
    async fn declared_checks_red_last(&mut self, limit: u32) -> Result<Vec<DeclaredCheck>>;
    /// The newest check of the application with these inputs that passed by itself at `since` or later.
    async fn declared_check_passed(
        &mut self,
        application: ApplicationId,
        inputs: &Digest,
        since: DateTime<Utc>,
    ) -> Result<Option<DeclaredCheck>>;
}

/// Changing checks that developers declare.
#[async_trait]
pub trait WriteDeclaredChecks {
    /// Stores new checks; those that exist (same version and name) stay as they are. Gives those that
    /// are new.
    async fn declared_checks_insert(&mut self, checks: &[DeclaredCheck]) -> Result<Vec<CheckId>>;
    /// Stores everything that may change if the row still has `check.generation`, and raises it;
    /// `false` if somebody was faster.
    async fn declared_check_save(&mut self, check: &mut DeclaredCheck) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_image_command_and_variables_and_nothing_else() {
        let digest = Digest::of("x");
        let order = CheckOrder {
            image: format!("registry.slipway.internal/default/shop/i/api@{digest}").parse().unwrap(),
            command: vec!["/test".into()],
            env: BTreeMap::from([("A".into(), "1".into())]),
            timeout_seconds: 10,
            backend: "docker".into(),
            backend_why: String::new(),
        };
        let elsewhere = CheckOrder {
            image: format!("registry.slipway.internal/default/shop/i/web@{digest}").parse().unwrap(),
            timeout_seconds: 99,
            backend: "kaniko".into(),
            ..order.clone()
        };
        assert_eq!(order.inputs(), elsewhere.inputs());
        let changes: [fn(&mut CheckOrder); 3] = [
            |order| order.command.push("-v".into()),
            |order| drop(order.env.insert("A".into(), "2".into())),
            |order| order.image.digest = Some(Digest::of("y")),
        ];
        for change in changes {
            let mut other = order.clone();
            change(&mut other);
            assert_ne!(order.inputs(), other.inputs());
        }
    }
}
