//! What stands in the way of an effect: for now, or for good.

use slipway_kubernetes::CallError;
use slipway_types::{Class, Fault};

/// What stands in the way of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hitch {
    /// The same again later may work, within the deadline.
    Passing(String),
    /// The cluster, or what leads to it, does not answer.
    Away(String),
    /// Only another revision, or somebody who changes the cluster, can help.
    Lasting(String),
}

impl From<Fault> for Hitch {
    fn from(fault: Fault) -> Self {
        let text = match fault.hint {
            Some(hint) => format!("{}: {hint}", fault.message),
            None => fault.message,
        };
        if fault.class == Class::Transient { Self::Passing(text) } else { Self::Lasting(text) }
    }
}

impl From<CallError> for Hitch {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Away(why) => Self::Away(why),
            CallError::Unreachable(outage) => Self::Away(outage.told()),
            CallError::Refused(status) => match status.code {
                // Credentials are renewed, rights given and namespaces made while a deployment waits for them.
                401 | 403 | 404 => Self::Passing(CallError::Refused(status).says()),
                _ => Self::Lasting(CallError::Refused(status).says()),
            },
        }
    }
}
