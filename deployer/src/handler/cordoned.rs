//! Approved deployments to a cluster that takes nothing new: they wait until it does, no longer than for their gates.

use chrono::{DateTime, Utc};
use slipway_records::{Deployment, JobError};
use slipway_types::Fault;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::{CORDON_PAUSE, DeployHandler, has_waited_for};
use crate::subject::Subject;

impl DeployHandler {
    /// Whether the cluster of an approved deployment is cordoned, or was until now, so that nothing more is to be done
    /// now. The deadline of what its receiver was asked for goes on meanwhile.
    ///
    /// # Errors
    ///
    /// It is to be tried again later.
    pub(super) async fn is_cordoned(&self, subject: &Subject) -> Result<bool, JobError> {
        let Subject { deployment, environment, .. } = subject;
        let cordon = self.stage.cluster_row(environment).await?.and_then(|row| {
            let why = row.settings.cordoned?;
            Some(format!("the cluster {} is cordoned: {why}", row.name))
        });
        if deployment.state.was_asked() {
            let Some(why) = cordon else { return Ok(false) };
            self.wait_or_fail(deployment.clone(), Fault::transient("cluster_cordoned", why)).await?;
            return Ok(true);
        }
        let hours = environment.settings.expire_after_hours();
        match under(deployment, cordon, hours, Utc::now()) {
            None => Ok(false),
            Some(DeploymentEvent::Cordon(why)) => {
                self.record(deployment.clone(), DeploymentEvent::Cordon(why.clone())).await?;
                Err(JobError::Wait { why, delay: CORDON_PAUSE })
            }
            Some(event) => {
                self.record(deployment.clone(), event).await?;
                Ok(true)
            }
        }
    }
}

/// What the cordon of its cluster, or the end of it, means for an approved deployment whose receiver was not asked yet;
/// `None`: nothing. `hours` is how long it may wait since it was made.
fn under(
    deployment: &Deployment,
    cordon: Option<String>,
    hours: u32,
    now: DateTime<Utc>,
) -> Option<DeploymentEvent> {
    let waited = matches!(deployment.state, DeploymentState::Approved { cordoned: true, .. });
    match cordon {
        None => waited.then_some(DeploymentEvent::Uncordon(now)),
        Some(why) if has_waited_for(deployment, hours, now) => {
            Some(DeploymentEvent::Expire(format!("{why}; expireAfterHours = {hours} passed")))
        }
        Some(why) => Some(DeploymentEvent::Cordon(why)),
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;
    use crate::standing::tests::{minute, row};

    const HOURS: u32 = 168;
    const DEADLINE_MINUTES: i64 = 60;

    /// Made at minute 0, and approved then.
    fn approved(break_glass: Option<&str>) -> Deployment {
        let by = break_glass.map(str::to_owned);
        let frozen = DeploymentState::Frozen { revision: Digest::of("a") };
        let state = frozen.apply(DeploymentEvent::Approve(by, minute(0))).unwrap();
        row("a", state, 0, None)
    }

    fn look(deployment: &Deployment, cordon: Option<&str>, now: i64) -> Option<DeploymentEvent> {
        under(deployment, cordon.map(str::to_owned), HOURS, minute(now))
    }

    #[test]
    fn after_a_cordon_longer_than_the_deadline_the_whole_deadline_is_left() {
        for glass in [None, Some("ann")] {
            let mut deployment = approved(glass);
            for now in [1, DEADLINE_MINUTES, 10 * DEADLINE_MINUTES] {
                let waits = look(&deployment, Some("upgrade"), now).unwrap();
                assert_eq!(waits, DeploymentEvent::Cordon("upgrade".to_owned()));
                deployment.state = deployment.state.apply(waits).unwrap();
            }
            let ended = 10 * DEADLINE_MINUTES + 1;
            let goes = look(&deployment, None, ended).unwrap();
            deployment.state = deployment.state.apply(goes).unwrap();
            assert_eq!(deployment.state.deadline_since(), Some(minute(ended)));
            assert_eq!(look(&deployment, None, ended + 1), None, "it goes on once");
            let asked = DeploymentEvent::Submit(minute(ended + 2));
            deployment.state = deployment.state.apply(asked).unwrap();
            assert_eq!(deployment.state.deadline_since(), Some(minute(ended + 2)));
        }
    }

    #[test]
    fn a_cordon_is_waited_for_as_long_as_gates_and_no_longer() {
        let hours = i64::from(HOURS) * 60;
        let deployment = approved(None);
        assert_eq!(look(&deployment, None, hours + 1), None, "nothing keeps it");
        let cordoned = Some("the cluster kind is cordoned: upgrade");
        assert!(matches!(look(&deployment, cordoned, hours), Some(DeploymentEvent::Cordon(_))));
        let which = "the cluster kind is cordoned: upgrade; expireAfterHours = 168 passed".to_owned();
        assert_eq!(look(&deployment, cordoned, hours + 1), Some(DeploymentEvent::Expire(which)));
    }
}
