//! Why nothing was rendered.

use std::io;
use std::path::PathBuf;

use slipway_types::Violation;

use crate::secrets::KeptSecretsError;

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// What was submitted cannot be rendered as it stands; every reason that was found.
    #[error("{}", sentence(.0))]
    Refused(Vec<Violation>),
    /// The program is not on this machine.
    #[error("`{program}` was not found: install it, or name its path by `{option}`")]
    ProgramMissing {
        /// What was looked for.
        program: PathBuf,
        /// The option that names it.
        option: &'static str,
    },
    /// The program could not be run.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The program does not tell its version as expected.
    #[error("`{program}` does not tell its version: is it the program it should be?")]
    Version {
        /// The program.
        program: PathBuf,
    },
    /// The store of generated secrets failed.
    #[error("generated secrets cannot be kept")]
    Kept(#[source] KeptSecretsError),
}

impl RenderError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

fn sentence(violations: &[Violation]) -> String {
    match violations {
        [] => "refused".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// All that stands against a rendering, up to a limit.
pub(crate) struct Findings {
    found: Vec<Violation>,
    max: usize,
    more: usize,
}

impl Findings {
    pub(crate) fn new(max: usize) -> Self {
        Self { found: Vec::new(), max: max.max(1), more: 0 }
    }

    pub(crate) fn push(&mut self, violation: Violation) {
        if self.found.len() < self.max {
            self.found.push(violation);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Goes on only if nothing was found.
    pub(crate) fn check(mut self) -> Result<(), RenderError> {
        if self.found.is_empty() {
            return Ok(());
        }
        if let (Some(last), more @ 1..) = (self.found.last_mut(), self.more) {
            last.message.push_str(&format!(" (and {more} more problems)"));
        }
        Err(RenderError::Refused(self.found))
    }
}

impl Extend<Violation> for Findings {
    fn extend<I: IntoIterator<Item = Violation>>(&mut self, violations: I) {
        violations.into_iter().for_each(|violation| self.push(violation));
    }
}
