//! Why something failed, in words for the person who must act.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What may be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Trying again may help; the cause lies outside (network, registry, engine, full disk).
    Transient,
    /// Trying again gives the same; the input must change.
    Permanent,
    /// Slipway itself is at fault.
    Bug,
}

/// One failure: stable code, message, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Whether trying again may help.
    pub class: Class,
    /// Stable `snake_case` word for scripts, e.g. `context_missing`.
    pub code: String,
    /// One or more lines for people: what failed and where. No secrets, no source chains.
    pub message: String,
    /// What to do next, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with `code` and `message`.
    pub fn new(class: Class, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class, code: code.into(), message: message.into(), hint: None }
    }

    /// A fault that another try may cure.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Class::Transient, code, message)
    }

    /// A fault that only another input cures.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Class::Permanent, code, message)
    }

    /// A fault of Slipway's own.
    pub fn bug(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Class::Bug, code, message)
    }

    /// The same fault with the next step named.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n{hint}"))
    }
}

impl Error for Fault {}

/// An error and its sources on one line, for logs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it is not written")]
    struct Outer(#[source] fmt::Error);

    #[test]
    fn a_chain_names_every_source() {
        assert_eq!(chain(&Outer(fmt::Error)), format!("it is not written: {}", fmt::Error));
    }
}
