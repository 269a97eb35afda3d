//! The state of an application, folded from its parts.

use serde::{Deserialize, Serialize};

/// Where an application or one of its parts stands. The later in this order, the more it weighs: the whole
/// is what its heaviest part is, in whatever order the parts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationState {
    /// It ran to its end.
    Completed,
    /// As wanted.
    Live,
    /// Not looked at yet.
    Pending,
    /// On its way.
    Progressing,
    /// Somebody holds it.
    Suspended,
    /// It was live, and its place does not answer.
    Unreachable,
    /// It was live, and something is not as wanted.
    Degraded,
    /// Its deadline passed.
    TimedOut,
    /// It will not get there by itself.
    Failed,
    /// Being removed.
    Deleting,
}

impl ApplicationState {
    /// The state's word, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Live => "live",
            Self::Pending => "pending",
            Self::Progressing => "progressing",
            Self::Suspended => "suspended",
            Self::Unreachable => "unreachable",
            Self::Degraded => "degraded",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }

    /// Whether nothing is waited for.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Live | Self::Completed)
    }
}

/// The heaviest of `states`; `None` of none, which is shown as [`ApplicationState::Pending`]: an
/// application without parts is not live.
pub fn fold(states: impl IntoIterator<Item = ApplicationState>) -> Option<ApplicationState> {
    states.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::ApplicationState::{
        Completed, Degraded, Deleting, Failed, Live, Pending, Progressing, Suspended, TimedOut, Unreachable,
    };
    use super::*;

    #[test]
    fn the_heaviest_decides() {
        let falling = [
            Deleting,
            Failed,
            TimedOut,
            Degraded,
            Unreachable,
            Suspended,
            Progressing,
            Pending,
            Live,
            Completed,
        ];
        for (at, state) in falling.into_iter().enumerate() {
            assert_eq!(fold(falling.into_iter().skip(at)), Some(state));
            assert_eq!(fold(falling.into_iter().skip(at).rev()), Some(state));
        }
    }

    #[test]
    fn an_error_beside_a_warning_is_an_error() {
        assert_eq!(fold([Degraded, Failed]), Some(Failed));
        assert_eq!(fold([Live, Pending]), Some(Pending));
        assert_eq!(fold([Completed, Completed]), Some(Completed));
        assert_eq!(fold([Completed, Live]), Some(Live));
    }

    #[test]
    fn nothing_is_not_live() {
        assert_eq!(fold([]), None);
    }

    #[test]
    fn states_are_written_in_words() {
        for state in [TimedOut, Failed, Live, Completed] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
