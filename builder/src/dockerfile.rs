//! Dockerfiles as data: a parser with BuildKit's reading of the format.
//!
//! Where the classic builder and BuildKit read a file differently, this reads it as BuildKit does.
//! Nothing here does I/O. Every fault names its line.

pub(crate) mod duration;
pub(crate) mod expand;
pub(crate) mod glob;
mod heredoc;
mod instruction;
mod lines;
pub(crate) mod parse;
mod stages;
#[cfg(test)]
mod tests;
mod words;

pub use instruction::{
    Argument, CommandLine, Copy, Document, Healthcheck, Instruction, Located, Onbuild, Pair, Run, Stage,
};
pub use stages::{BaseKey, BaseReference, Parameters, Requirement, Requirements};
pub(crate) use stages::{CopyOrigin, StageBase, StagePlan};

/// Largest Dockerfile that is read.
pub const MAX_DOCKERFILE_BYTES: usize = 1 << 20;

/// A Dockerfile that cannot be read, or one whose parts do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong, for people.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, column: None, message: message.into() }
    }
}

/// The `# syntax=` directive: which front-end the author asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// Its line.
    pub line: usize,
    /// The front-end's image.
    pub image: String,
}

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The front-end asked for, if any.
    pub syntax: Option<Syntax>,
    /// The escape character: `\` or a backquote.
    pub escape: char,
    /// `ARG` instructions before the first `FROM`.
    pub global_arguments: Vec<(usize, Vec<Argument>)>,
    /// The stages in order; at least one.
    pub stages: Vec<Stage>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::dockerfile(bytes)
    }
}
