//! What a request to an API server came to.

use std::error::Error;

use kube::core::Status;

/// Why a request did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server is away or overloaded: ask again.
    #[error("{0}")]
    Away(String),
    /// It said no.
    #[error("{} {}", .0.code, .0.message)]
    Refused(Box<Status>),
}

impl CallError {
    /// What an error of the client means.
    pub fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if passes(&status) => {
                Self::Away(format!("{} {}", status.code, status.message))
            }
            kube::Error::Api(status) => Self::Refused(status),
            other => Self::Away(chain(&other)),
        }
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }
}

/// Whether what the API server said holds for now alone: overload, a full quota, a change by another.
fn passes(status: &Status) -> bool {
    match status.code {
        // What older servers say of an object that is not of its kind's shape.
        500 if status.message.contains("failed to create typed patch object") => false,
        403 => status.message.contains("exceeded quota"),
        409 => status.reason == "Conflict",
        code => code == 429 || code >= 500,
    }
}

/// An error and its sources on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
