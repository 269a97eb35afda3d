//! What is wrong with a configuration, all of it at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What a value's origin is where nobody gave it.
pub(super) const DEFAULT: &str = "default";

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mistake {
    /// The file, the variable or `flag` that says it; absent for what nobody gave.
    from: Option<String>,
    /// The line of that file.
    line: Option<usize>,
    /// `section.key`, or the section where it is about several.
    field: Option<String>,
    /// What is wrong, and what is expected.
    message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, self.line) {
            (Some(from), Some(line)) => write!(f, "{from}:{line}: {}", self.message),
            (Some(from), None) => write!(f, "{from}: {}", self.message),
            (None, _) => f.write_str(&self.message),
        }
    }
}

/// Where the values of a configuration come from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// By `section.key`: a file, a variable, `flag` or `default`.
    pub(crate) of: BTreeMap<String, String>,
    /// Lines of the file by `section.key` and `section`.
    pub(super) lines: BTreeMap<String, usize>,
    /// That file.
    pub(super) file: Option<String>,
}

impl Origins {
    /// The line on which the file gives a value, if `from` is the file.
    pub(super) fn line(&self, from: &str, path: &str) -> Option<usize> {
        self.lines.get(path).copied().filter(|_| self.file.as_deref() == Some(from))
    }
}

/// All that is wrong.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes what is wrong with a value, wherever it comes from.
    pub(crate) fn note(&mut self, field: &str, message: impl fmt::Display) {
        let (field, message) = (Some(field.to_owned()), message.to_string());
        self.0.push(Mistake { from: None, line: None, field, message });
    }

    /// What came of a check of a value; why it is wrong is noted.
    pub(crate) fn of<T>(&mut self, field: &str, outcome: anyhow::Result<T>) -> Option<T> {
        outcome.map_err(|error| self.note(field, format!("{error:#}"))).ok()
    }

    /// Notes what is wrong with what one layer says.
    pub(super) fn note_in(&mut self, from: &str, line: Option<usize>, field: Option<&str>, message: String) {
        let (from, field) = (Some(from.to_owned()), field.map(str::to_owned));
        self.0.push(Mistake { from, line, field, message });
    }

    /// Tells of each where its value comes from.
    pub(crate) fn place(&mut self, origins: &Origins) {
        for mistake in self.0.iter_mut().filter(|mistake| mistake.from.is_none()) {
            let Some(field) = &mistake.field else { continue };
            mistake.from = origins.of.get(field).filter(|from| *from != DEFAULT).cloned();
            mistake.line = mistake.from.as_deref().and_then(|from| origins.line(from, field));
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match lines.as_slice() {
            [only] => f.write_str(only),
            lines => write!(f, "the configuration has {} mistakes:\n  {}", lines.len(), lines.join("\n  ")),
        }
    }
}

impl std::error::Error for Mistakes {}
