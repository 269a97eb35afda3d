//! What people do with a deployment: which of it fits, and who may.

use slipway_records::{Application, Deployment, DeploymentCause, Environment, Read};
use slipway_types::Role;
use slipway_types::id::DeploymentId;
use slipway_types::state::DeploymentState;

use crate::auth::Caller;
use crate::pages::address;
use crate::problem::ApiError;
use crate::rest::{deployment_aborts, rollbacks};

/// Something that people do with a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pages) enum Action {
    /// Says yes to its revision.
    Approve,
    /// Says no.
    Decline,
    /// Takes it back before it goes out.
    Withdraw,
    /// Goes past closed gates.
    BreakGlass,
    /// Holds it where it stands.
    Suspend,
    /// Lets it go on, or one of its nodes.
    Resume,
    /// Tries it again, or one of its nodes.
    Retry,
    /// Stops it where it stands.
    Terminate,
    /// Stops it on its way, and goes back to what was live before it.
    Abort,
    /// Back to what was live before it.
    RollBack,
    /// Back to this very one.
    Return,
    /// What runs again, with the configuration and the secrets of now.
    Restart,
    /// Takes away what runs.
    Remove,
}

/// Whether an action takes a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Unasked,
    Optional,
    Needed,
}

/// A deployment among those of its application and environment.
pub(super) struct Standing<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) environment: &'a Environment,
    /// Whether it is what its environment runs, or is to run.
    pub(super) is_current: bool,
    /// What an abort or a rollback would return to.
    pub(super) earlier: Option<Deployment>,
}

impl Action {
    /// All of them, in the order in which they are offered.
    pub(in crate::pages) const ALL: [Self; 13] = [
        Self::Approve,
        Self::Decline,
        Self::Withdraw,
        Self::BreakGlass,
        Self::Resume,
        Self::Retry,
        Self::Suspend,
        Self::Abort,
        Self::RollBack,
        Self::Return,
        Self::Restart,
        Self::Terminate,
        Self::Remove,
    ];

    /// Its word in addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Decline => "decline",
            Self::Withdraw => "withdraw",
            Self::BreakGlass => "break-glass",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Terminate => "terminate",
            Self::Abort => "abort",
            Self::RollBack => "roll-back",
            Self::Return => "return",
            Self::Restart => "restart",
            Self::Remove => "remove",
        }
    }

    /// The one with that word.
    pub(super) fn of_word(word: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|action| action.word() == word);
        found.ok_or_else(|| ApiError::not_found("page", word.chars().take(40).collect::<String>()))
    }

    /// Where it is done, to one node or to the whole.
    pub(super) fn address_at(self, deployment: DeploymentId, node: Option<&str>) -> String {
        let path = format!("{}/{}", address::deployment(deployment), self.word());
        address::with_query(&path, node.map(|node| ("node", node)))
    }

    /// Whether a reason is asked for, as the API asks for it.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Withdraw => Reason::Unasked,
            Self::Approve | Self::Decline | Self::Suspend | Self::Resume | Self::Retry | Self::Terminate => {
                Reason::Optional
            }
            Self::BreakGlass | Self::Abort | Self::RollBack | Self::Return | Self::Restart | Self::Remove => {
                Reason::Needed
            }
        }
    }

    /// Whether it is done on the deployment's own page; the others have a page of their own, which says what they do.
    pub(super) fn is_light(self) -> bool {
        matches!(self, Self::Approve | Self::Suspend | Self::Resume | Self::Retry)
    }

    /// Whether what runs is stopped or taken away, or a rule is passed.
    pub(super) fn is_grave(self) -> bool {
        matches!(self, Self::BreakGlass | Self::Terminate | Self::Remove)
    }

    /// Whether it is for a deployment in `state`. The deploy stage decides; this is what is worth offering.
    pub(super) fn fits(self, state: &DeploymentState) -> bool {
        use DeploymentState as S;
        match self {
            Self::Approve | Self::BreakGlass => matches!(state, S::Frozen { .. } | S::Awaiting { .. }),
            Self::Decline => matches!(state, S::Frozen { .. } | S::Awaiting { .. } | S::Approved { .. }),
            Self::Withdraw => state.is_pending(),
            Self::Suspend => matches!(state, S::HandedOff { .. } | S::Progressing { .. }),
            Self::Resume => {
                matches!(state, S::Suspended { .. } | S::HandedOff { .. } | S::Progressing { .. })
            }
            Self::Retry => matches!(state, S::Failed { .. } | S::TimedOut { .. } | S::Terminated { .. }),
            Self::Terminate => matches!(
                state,
                S::HandedOff { .. }
                    | S::Progressing { .. }
                    | S::Suspended { .. }
                    | S::Failed { .. }
                    | S::TimedOut { .. }
            ),
            Self::Abort => is_on_its_way(state),
            Self::RollBack => {
                (state.is_out() || matches!(state, S::Terminated { .. })) && !is_on_its_way(state)
            }
            Self::Return => matches!(state, S::Superseded { .. } | S::Terminated { .. }),
            Self::Restart | Self::Remove => {
                state.is_out() && !matches!(state, S::Deleting { .. } | S::Terminating { .. })
            }
        }
    }
}

/// What is on its way is aborted, what has ended is rolled back: both lead to what was live before.
fn is_on_its_way(state: &DeploymentState) -> bool {
    use DeploymentState as S;
    matches!(state, S::HandedOff { .. } | S::Progressing { .. } | S::Suspended { .. } | S::Terminating { .. })
}

impl<'a> Standing<'a> {
    pub(super) async fn look(
        read: &mut dyn Read,
        deployment: &'a Deployment,
        (application, environment): (&Application, &'a Environment),
    ) -> Result<Self, ApiError> {
        let running = read.deployment_out(environment.id, application.id).await?;
        let is_stopped = matches!(deployment.state, DeploymentState::Terminated { .. });
        let is_current = running.map_or(is_stopped, |running| running.id == deployment.id);
        let earlier = if is_current && Action::Abort.fits(&deployment.state) {
            Some(deployment_aborts::live_before(read, deployment, application, environment).await)
        } else if is_current && Action::RollBack.fits(&deployment.state) {
            Some(rollbacks::earlier(read, application, environment, None).await)
        } else {
            None
        };
        let earlier = match earlier {
            Some(Ok(earlier)) => Some(earlier),
            // Nothing else was live.
            Some(Err(error)) if error.status().is_client_error() => None,
            Some(Err(error)) => return Err(error),
            None => None,
        };
        Ok(Self { deployment, environment, is_current, earlier })
    }

    /// Whether an action is worth offering to somebody who may do it.
    fn fits(&self, action: Action) -> bool {
        let is_removal = matches!(self.deployment.cause, DeploymentCause::Remove { .. });
        let more = match action {
            Action::Approve => self.environment.settings.gates.approvals.is_some(),
            // A node's own hold is let go at the node.
            Action::Resume => matches!(self.deployment.state, DeploymentState::Suspended { .. }),
            Action::Abort => self.earlier.is_some() && !is_removal,
            Action::RollBack => self.earlier.is_some(),
            Action::Return => !self.is_current && !is_removal && self.deployment.handed_off_at.is_some(),
            Action::Restart | Action::Remove => self.is_current && !is_removal,
            _ => true,
        };
        more && action.fits(&self.deployment.state)
    }

    /// What `caller` may do.
    pub(super) fn offered(&self, caller: &Caller) -> Vec<Action> {
        let is_place_there = self.environment.removed_at.is_none();
        if !is_place_there || !caller.may(Role::Operator, Some(self.deployment.application_id)) {
            return Vec::new();
        }
        let may = |action: &Action| *action != Action::BreakGlass || caller.0.may_break_glass();
        Action::ALL.into_iter().filter(|action| may(action) && self.fits(*action)).collect()
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;

    #[test]
    fn each_action_has_an_address_of_its_own() {
        for action in Action::ALL {
            assert_eq!(Action::of_word(action.word()).ok(), Some(action));
        }
        assert!(Action::of_word("promote-all").is_err());
        let id = DeploymentId::new();
        assert_eq!(
            Action::Resume.address_at(id, Some("step.a&b")),
            format!("/deployments/{id}/resume?node=step.a%26b")
        );
    }

    #[test]
    fn what_has_ended_can_only_be_returned_to() {
        let fitting = |state: &DeploymentState| -> Vec<Action> {
            Action::ALL.into_iter().filter(|action| action.fits(state)).collect()
        };
        let superseded = DeploymentState::Superseded { by: DeploymentId::new(), failed: None };
        assert_eq!(fitting(&superseded), [Action::Return]);
        assert!(fitting(&DeploymentState::Rejected { violations: 1 }).is_empty());
        assert!(fitting(&DeploymentState::Deleted).is_empty());
        let waiting = DeploymentState::Awaiting { revision: Digest::of("x"), missing: Vec::new() };
        let gates = [Action::Approve, Action::Decline, Action::Withdraw, Action::BreakGlass];
        assert_eq!(fitting(&waiting), gates);
        assert_eq!(fitting(&DeploymentState::Live), [Action::RollBack, Action::Restart, Action::Remove]);
    }

    #[test]
    fn what_destroys_has_a_page_of_its_own() {
        for action in Action::ALL {
            assert!(!action.is_grave() || !action.is_light(), "{action:?}");
            assert!(!action.is_light() || action.reason() == Reason::Optional, "{action:?}");
        }
    }
}
