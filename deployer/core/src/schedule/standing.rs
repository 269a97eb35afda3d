//! Where a node stands: pending → blocked(by) → applying → suspended → waiting(blocker) → ready | failed |
//! timed_out; what has not begun → skipped, left_out; any that has not ended → terminated. What a node does
//! not have is passed over. Only a retry leads out of failed, timed_out, skipped, left_out and terminated, or
//! being found ready late out of the first two.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_handoff::{NodeName, NodeState};
use slipway_types::state::InvalidTransition;

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Not looked at yet.
    Pending,
    /// It may not begin.
    Blocked {
        /// Why not.
        by: Blocker,
    },
    /// It is called, or its objects are written.
    Applying {
        /// Which of the two.
        doing: Doing,
        /// Whether that is under way.
        slot: Slot,
        /// Why the last try came to nothing, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// Held by its own hold.
    Suspended {
        /// When it goes on by itself; `None`: when somebody says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
        /// What people are told of it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Not ready yet.
    Waiting {
        /// What is wanting.
        blocker: String,
    },
    /// Ready.
    Ready {
        /// How its objects are since.
        health: Health,
    },
    /// It cannot become ready.
    Failed {
        /// Why.
        reason: String,
    },
    /// Its deadline passed.
    TimedOut {
        /// Which, and what it waited for.
        reason: String,
    },
    /// It never began.
    Skipped {
        /// The node that failed or timed out before it, if that is why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<NodeName>,
        /// Why.
        reason: String,
    },
    /// It is not to run: what needs it goes on without it.
    LeftOut {
        /// Why.
        reason: String,
    },
    /// Stopped where it stood.
    Terminated {
        /// By whom, and what that left.
        reason: String,
    },
}

/// Why a node may not begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// This node is not ready.
    Node(NodeName),
    /// As many nodes as may be are being applied.
    Turn,
    /// This person holds the whole.
    Order(String),
    /// This generation has not ended.
    Older(u64),
}

/// What an applying node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Its HTTP request.
    Call,
    /// Writing its objects.
    Apply,
}

/// Whether what an applying node does is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// It is.
    Has,
    /// It is tried again later.
    Rests {
        /// When.
        until: DateTime<Utc>,
    },
    /// It is tried again as soon as fewer nodes are being applied.
    Wants,
}

/// How a node that was ready is since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As wanted.
    Good,
    /// Not as wanted.
    Degraded(String),
    /// Nobody knows: its place does not answer.
    Unreachable(String),
}

/// What can happen to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It may not begin.
    Block(Blocker),
    /// It begins its call, or to write its objects.
    Begin(Doing),
    /// A try came to nothing, or what came of it is gone: it is tried again.
    Stumble {
        /// Why.
        why: String,
        /// When.
        until: DateTime<Utc>,
    },
    /// It cannot go on as it is: after a pause it begins once more.
    Anew {
        /// With what it begins.
        doing: Doing,
        /// Why.
        why: String,
        /// When.
        until: DateTime<Utc>,
    },
    /// Its pause is over, and as many nodes as may be are being applied.
    Queue,
    /// It tries again.
    Again,
    /// It comes to its hold, or stays there.
    Hold {
        /// When it goes on by itself.
        until: Option<DateTime<Utc>>,
        /// What people are told of it.
        note: String,
    },
    /// It is not ready, since this is wanting.
    Wait(String),
    /// It is ready.
    Arrive,
    /// Its objects were looked at after it was ready.
    Sense(Health),
    /// It cannot become ready.
    Fail(String),
    /// Its deadline passed.
    TimeOut(String),
    /// It will not begin.
    Skip {
        /// Because of which node.
        because: Option<NodeName>,
        /// Why.
        reason: String,
    },
    /// It is not to run.
    LeaveOut(String),
    /// It is stopped.
    Terminate(String),
    /// It is to be tried from its beginning.
    Reopen,
}

impl Move {
    fn word(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Begin(_) => "begin",
            Self::Stumble { .. } => "stumble",
            Self::Anew { .. } => "begin anew",
            Self::Queue => "queue",
            Self::Again => "try again",
            Self::Hold { .. } => "hold",
            Self::Wait(_) => "wait",
            Self::Arrive => "arrive",
            Self::Sense(_) => "sense",
            Self::Fail(_) => "fail",
            Self::TimeOut(_) => "time out",
            Self::Skip { .. } => "skip",
            Self::LeaveOut(_) => "leave out",
            Self::Terminate(_) => "terminate",
            Self::Reopen => "reopen",
        }
    }
}

impl Standing {
    /// The state in the contract's words.
    pub fn state(&self) -> NodeState {
        match self {
            Self::Pending => NodeState::Pending,
            Self::Blocked { .. } => NodeState::Blocked,
            Self::Applying { .. } => NodeState::Applying,
            Self::Suspended { .. } => NodeState::Suspended,
            Self::Waiting { .. } => NodeState::Waiting,
            Self::Ready { health: Health::Good } => NodeState::Ready,
            Self::Ready { health: Health::Degraded(_) } => NodeState::Degraded,
            Self::Ready { health: Health::Unreachable(_) } => NodeState::Unreachable,
            Self::Failed { .. } => NodeState::Failed,
            Self::TimedOut { .. } => NodeState::TimedOut,
            Self::Skipped { .. } | Self::LeftOut { .. } => NodeState::Skipped,
            Self::Terminated { .. } => NodeState::Terminated,
        }
    }

    /// The state's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Blocked { .. } => "blocked",
            Self::Applying { .. } => "applying",
            Self::Suspended { .. } => "suspended",
            Self::Waiting { .. } => "waiting",
            Self::Ready { .. } => "ready",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed out",
            Self::Skipped { .. } => "skipped",
            Self::LeftOut { .. } => "left out",
            Self::Terminated { .. } => "terminated",
        }
    }

    /// Why, for people: what it waits for, or why it ended so.
    pub fn reason(&self) -> String {
        match self {
            Self::Pending | Self::Applying { trouble: None, .. } | Self::Ready { health: Health::Good } => {
                String::new()
            }
            Self::Blocked { by: Blocker::Node(name) } => format!("waits for `{name}`"),
            Self::Blocked { by: Blocker::Turn } => {
                "waits for its turn: max_parallel nodes are being applied".to_owned()
            }
            Self::Blocked { by: Blocker::Order(by) } => format!("held by {by}"),
            Self::Blocked { by: Blocker::Older(generation) } => {
                format!("waits for generation {generation} to end")
            }
            Self::Applying { trouble: Some(why), .. } => format!("{why}; it is tried again"),
            Self::Suspended { until, note } => {
                let until = until.map_or_else(|| "it is resumed".to_owned(), |until| until.to_rfc3339());
                let colon = if note.is_empty() { "" } else { ": " };
                format!("held until {until}{colon}{note}")
            }
            Self::Waiting { blocker } => blocker.clone(),
            Self::Ready { health: Health::Degraded(why) | Health::Unreachable(why) } => why.clone(),
            Self::Failed { reason }
            | Self::TimedOut { reason }
            | Self::Skipped { reason, .. }
            | Self::LeftOut { reason }
            | Self::Terminated { reason } => reason.clone(),
        }
    }

    /// Whether it waits to begin.
    pub fn is_ahead(&self) -> bool {
        matches!(self, Self::Pending | Self::Blocked { .. })
    }

    /// Whether it has begun and not ended: its deadline runs.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Applying { .. } | Self::Suspended { .. } | Self::Waiting { .. })
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        self.is_ahead() || self.is_running()
    }

    /// Whether it became ready, however it is since.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }

    /// Whether it is not to run.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut { .. })
    }

    /// Whether what needs it may go on.
    pub fn is_done(&self) -> bool {
        self.is_ready() || self.is_left_out()
    }

    /// Whether it ended, and what needs it may not go on.
    pub fn is_lost(&self) -> bool {
        !self.is_open() && !self.is_done()
    }

    /// What conditions call where it ended.
    pub(super) fn end(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Skipped { .. } | Self::LeftOut { .. } => "skipped",
            Self::Terminated { .. } => "terminated",
            Self::Pending
            | Self::Blocked { .. }
            | Self::Applying { .. }
            | Self::Suspended { .. }
            | Self::Waiting { .. } => "open",
        }
    }

    /// The standing after `event`.
    pub fn apply(self, event: Move) -> Result<Self, InvalidTransition> {
        use Move as M;
        let refused = InvalidTransition { what: "node", state: self.word(), event: event.word() };
        match (self, event) {
            (Self::Pending | Self::Blocked { .. }, M::Block(by)) => Ok(Self::Blocked { by }),
            (Self::Pending | Self::Blocked { .. }, M::Begin(doing)) => {
                Ok(Self::Applying { doing, slot: Slot::Has, trouble: None })
            }
            (Self::Applying { doing: Doing::Call, slot: Slot::Has, .. }, M::Begin(Doing::Apply)) => {
                Ok(Self::Applying { doing: Doing::Apply, slot: Slot::Has, trouble: None })
            }
            (Self::Applying { doing, slot: Slot::Has, .. }, M::Stumble { why, until }) => {
                Ok(Self::Applying { doing, slot: Slot::Rests { until }, trouble: Some(why) })
            }
            // Something of what was written is gone.
            (Self::Waiting { .. }, M::Stumble { why, until }) => {
                Ok(Self::Applying { doing: Doing::Apply, slot: Slot::Rests { until }, trouble: Some(why) })
            }
            (
                Self::Applying { slot: Slot::Has, .. } | Self::Waiting { .. },
                M::Anew { doing, why, until },
            ) => Ok(Self::Applying { doing, slot: Slot::Rests { until }, trouble: Some(why) }),
            (Self::Applying { doing, slot: Slot::Rests { .. }, trouble }, M::Queue) => {
                Ok(Self::Applying { doing, slot: Slot::Wants, trouble })
            }
            (Self::Applying { doing, slot: Slot::Rests { .. } | Slot::Wants, trouble }, M::Again) => {
                Ok(Self::Applying { doing, slot: Slot::Has, trouble })
            }
            (state, M::Hold { until, note })
                if state.is_ahead() || state.is_at_work() || matches!(state, Self::Suspended { .. }) =>
            {
                Ok(Self::Suspended { until, note })
            }
            (Self::Suspended { .. } | Self::Waiting { .. }, M::Wait(blocker)) => {
                Ok(Self::Waiting { blocker })
            }
            (state, M::Wait(blocker)) if state.is_ahead() || state.is_at_work() => {
                Ok(Self::Waiting { blocker })
            }
            // Late, after all.
            (Self::Failed { .. } | Self::TimedOut { .. }, M::Arrive) => {
                Ok(Self::Ready { health: Health::Good })
            }
            (state, M::Arrive) if state.is_open() && !state.is_resting() => {
                Ok(Self::Ready { health: Health::Good })
            }
            (Self::Ready { .. }, M::Sense(health)) => Ok(Self::Ready { health }),
            (
                Self::Pending | Self::Blocked { .. } | Self::Applying { .. } | Self::Waiting { .. },
                M::Fail(reason),
            ) => Ok(Self::Failed { reason }),
            (state, M::TimeOut(reason)) if state.is_running() => Ok(Self::TimedOut { reason }),
            (state, M::Skip { because, reason }) if state.is_ahead() => Ok(Self::Skipped { because, reason }),
            (state, M::LeaveOut(reason)) if state.is_ahead() => Ok(Self::LeftOut { reason }),
            (state, M::Terminate(reason)) if state.is_open() => Ok(Self::Terminated { reason }),
            (state, M::Reopen) if !state.is_open() && !state.is_ready() => Ok(Self::Pending),
            _ => Err(refused),
        }
    }

    /// Whether its call or its writing is under way.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(self, Self::Applying { slot: Slot::Has, .. })
    }

    fn is_resting(&self) -> bool {
        matches!(self, Self::Applying { slot: Slot::Rests { .. } | Slot::Wants, .. })
    }
}

#[cfg(test)]
mod tests;
