//! Going back: which generations were live, where a rollback leads, and what is kept for it.

use async_trait::async_trait;
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::name::EnvironmentName;

use crate::{Deployment, DeploymentCause, Result};

/// So many generations that were live are looked at for the one to return to.
pub const LIVE_MAX: u32 = 200;

/// A generation that is kept so that a rollback can return to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returnable {
    /// Where it was live.
    pub environment: EnvironmentName,
    /// Its number there.
    pub generation: u64,
}

/// Looking up what was live.
#[async_trait]
pub trait ReadRollbacks {
    /// Generations of an application in an environment that were live once, newest first, at most `limit`.
    async fn deployments_once_live(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        limit: u32,
    ) -> Result<Vec<Deployment>>;
    /// Those of them that are kept: the generations of the newest `depth` revisions, newest first.
    async fn deployments_returnable(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        depth: u32,
    ) -> Result<Vec<Deployment>>;
    /// The newest kept generation of an application, in any environment that there is, whose bundle consists of
    /// `content`: a package, an image, one of its platforms or any other part of them.
    async fn returnable_with(
        &mut self,
        application: ApplicationId,
        content: &Digest,
        depth: u32,
    ) -> Result<Option<Returnable>>;
}

/// Where a rollback leads if nobody says where: to the newest of the generations that were `live` (newest first)
/// and that ran something else than `current`, the newest that went out. Versions of secrets make no difference:
/// they are those of now in any case. After a rollback it leads further back, never to what was left before.
pub fn target<'a>(current: Option<&Deployment>, live: &'a [Deployment]) -> Option<&'a Deployment> {
    let Some(current) = current else { return live.first() };
    let from = origin(current, live);
    live.iter().find(|row| row.generation < from.generation && origin(row, live).revision != from.revision)
}

/// The generation whose revision another one took up, if it did, else itself.
fn origin<'a>(of: &'a Deployment, live: &'a [Deployment]) -> &'a Deployment {
    let mut at = of;
    loop {
        let taken = match &at.cause {
            DeploymentCause::Rollback { to, .. } => *to,
            DeploymentCause::Restart { of: Some(generation), .. } => *generation,
            _ => return at,
        };
        // Only ever an earlier one, so this ends.
        let earlier = live.iter().find(|row| row.generation == taken && taken < at.generation);
        match earlier {
            Some(earlier) => at = earlier,
            None => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use slipway_types::Version;
    use slipway_types::id::VersionId;

    use super::*;
    use crate::NewDeployment;

    fn row(generation: u64, revision: &str, cause: DeploymentCause) -> Deployment {
        let new = NewDeployment {
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            bundle_id: VersionId::new(),
            bundle_version: Version::release(1, 0, 0),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: serde_json::Value::Null,
            cause,
            created_by: "ann".to_owned(),
            document: None,
        };
        Deployment { revision: Some(Digest::of(revision)), ..new.draft(generation, DateTime::UNIX_EPOCH) }
    }

    fn deploy(generation: u64, revision: &str) -> Deployment {
        row(generation, revision, DeploymentCause::Deploy)
    }

    fn back(generation: u64, revision: &str, to: u64) -> Deployment {
        let cause = DeploymentCause::Rollback { to, reason: "x".into(), was_live: true, aborts: None };
        row(generation, revision, cause)
    }

    fn rotated(generation: u64, revision: &str, of: u64) -> Deployment {
        row(generation, revision, DeploymentCause::Restart { reason: "x".into(), of: Some(of) })
    }

    fn remove(generation: u64) -> Deployment {
        row(generation, "nothing", DeploymentCause::Remove { reason: "x".into() })
    }

    #[test]
    fn a_rollback_leads_to_the_newest_that_was_live_and_ran_something_else() {
        let one_two = || vec![deploy(2, "b"), deploy(1, "a")];
        let with = |rows: Vec<Deployment>| rows.into_iter().chain(one_two()).collect::<Vec<_>>();
        for (name, current, live, wanted) in [
            ("nothing was live", Some(deploy(1, "a")), vec![], None),
            ("the first one", Some(deploy(1, "a")), vec![deploy(1, "a")], None),
            ("what runs is live", Some(deploy(2, "b")), one_two(), Some(1)),
            ("what runs failed", Some(deploy(3, "c")), one_two(), Some(2)),
            ("it failed, being the same again", Some(deploy(3, "b")), one_two(), Some(1)),
            ("only its secrets differ", Some(rotated(3, "b2", 2)), with(vec![rotated(3, "b2", 2)]), Some(1)),
            ("a failed one is passed over", Some(deploy(4, "d")), one_two(), Some(2)),
            ("further back after a rollback", Some(back(4, "b", 2)), with(vec![deploy(3, "c")]), Some(1)),
            ("also when that failed", Some(back(4, "a", 1)), with(vec![deploy(3, "c")]), None),
            (
                "a rollback to a rollback",
                Some(back(6, "b", 4)),
                with(vec![deploy(5, "d"), back(4, "b", 2), deploy(3, "c")]),
                Some(1),
            ),
            (
                "a rollback that was left counts as what it ran",
                Some(deploy(5, "d")),
                with(vec![back(4, "b2", 2), deploy(3, "c")]),
                Some(4),
            ),
            ("it is being taken away", Some(remove(3)), one_two(), Some(2)),
            ("it was taken away", None, one_two(), Some(2)),
        ] {
            let found = target(current.as_ref(), &live).map(|row| row.generation);
            assert_eq!(found, wanted, "{name}");
        }
    }
}
