//! What is wrong with a `slipway.yaml`, and where.

use std::fmt;

use serde::Serialize;
use slipway_yaml::Position;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, from the repository's top.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The field, e.g. `components[1].kit`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at a place.
    pub fn new(file: &str, at: Position, path: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same mistake with the next step named.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        let Some(hint) = &self.hint else { return Ok(()) };
        // Hints of registries are whole sentences.
        let joint = if hint.starts_with(char::is_uppercase) { "." } else { ";" };
        write!(f, "{joint} {hint}")
    }
}

/// Every mistake of one file, in the file's order; one a line when shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
#[error("{}", self.lines())]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// These mistakes, put in the file's order, each once, at most `max_problems`.
    pub fn new(mut problems: Vec<Problem>, max_problems: usize) -> Self {
        problems.sort_by(|a, b| {
            (a.line, a.column, &a.path, &a.message).cmp(&(b.line, b.column, &b.path, &b.message))
        });
        problems.dedup();
        problems.truncate(max_problems);
        Self(problems)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    fn lines(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
