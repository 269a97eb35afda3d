//! How a call ends when it does not end well.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use slipway_types::Place;

/// Why a call brought no value.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The plug-in understood what it was given and refuses it: whoever wrote that changes it.
    #[error("{}", list(.0))]
    Refused(Vec<Refusal>),
    /// The plug-in itself is wrong: its author corrects it.
    #[error("{}{}", located(.at.as_ref(), .text.as_deref(), .message), chain(.called_from))]
    Failed {
        /// What is wrong, in one or a few sentences.
        message: String,
        /// Where in the plug-in's text.
        at: Option<Place>,
        /// What stands there.
        text: Option<String>,
        /// The calls that led there, innermost first.
        called_from: Vec<Place>,
    },
    /// The plug-in wanted more than it may have: its author makes it modest, or the server's
    /// administrator raises the limit.
    #[error("{}", exceeded(program, *which, *limit, at.as_ref()))]
    Limit {
        /// The program's title.
        program: String,
        /// Which limit.
        which: Limit,
        /// Its value, in the unit the option's name ends with.
        limit: u64,
        /// Where the plug-in was, if it could still be asked.
        at: Option<Place>,
    },
    /// The function returned what is not JSON: the plug-in's author corrects it.
    #[error("the value returned is no JSON{}: {why}", within(path))]
    BadResult {
        /// Where in the value, e.g. `[0].object.spec`; empty for all of it.
        path: String,
        /// What stands there.
        why: String,
    },
    /// The input cannot be given to a plug-in: whoever wrote it changes it.
    #[error("the input cannot be passed on{}: {why}", within(path))]
    BadInput {
        /// Where in the input, e.g. `properties.port`; empty for all of it.
        path: String,
        /// What stands there.
        why: String,
    },
    /// The child could not be started or was ended from outside: try again, then look at the
    /// server.
    #[error(
        "the plug-in host failed: {0}; try again, and if it stays so look at the server's memory and limits"
    )]
    Host(#[from] io::Error),
}

/// What a plug-in says about its input with `refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Relative to the properties, e.g. `ports[0].port`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A limit of [`PluginOptions`](crate::PluginOptions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `max_memory_bytes`.
    Memory,
    /// `max_stack_bytes`.
    Stack,
    /// `max_cpu_ms`.
    Cpu,
    /// `call_timeout_ms`.
    Wall,
    /// `max_program_bytes`.
    ProgramSize,
    /// `max_input_bytes`.
    InputSize,
    /// `max_output_bytes`.
    OutputSize,
    /// `max_output_values`.
    OutputValues,
    /// `max_depth`.
    Depth,
    /// `max_call_depth`.
    CallDepth,
}

impl Limit {
    /// The option that holds it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Memory => "max_memory_bytes",
            Self::Stack => "max_stack_bytes",
            Self::Cpu => "max_cpu_ms",
            Self::Wall => "call_timeout_ms",
            Self::ProgramSize => "max_program_bytes",
            Self::InputSize => "max_input_bytes",
            Self::OutputSize => "max_output_bytes",
            Self::OutputValues => "max_output_values",
            Self::Depth => "max_depth",
            Self::CallDepth => "max_call_depth",
        }
    }

    fn sentence(self, limit: u64) -> String {
        match self {
            Self::Memory => format!("needs more than {} of memory", size(limit)),
            Self::Stack => format!("nests so deeply that {} of stack are not enough", size(limit)),
            Self::Cpu => format!("computes for more than {limit} ms"),
            Self::Wall => format!("did not answer within {limit} ms"),
            Self::ProgramSize => format!("is longer than {}", size(limit)),
            Self::InputSize => format!("was to be given more than {}", size(limit)),
            Self::OutputSize => format!("returned more than {}", size(limit)),
            Self::OutputValues => format!("returned more than {limit} values"),
            Self::Depth => format!("was given or returned lists or dicts nested more than {limit} deep"),
            Self::CallDepth => format!("calls more than {limit} functions inside each other"),
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Memory => "build less at once",
            Self::Stack => "nest less",
            Self::Cpu | Self::Wall => "loop over less",
            Self::ProgramSize => "split it into several definitions",
            Self::InputSize => "shorten the properties",
            Self::OutputSize | Self::OutputValues => "return less",
            Self::Depth => "nest less, and let no value contain itself",
            Self::CallDepth => "call in a loop instead of by recursion",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.option())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn located(at: Option<&Place>, text: Option<&str>, message: &str) -> String {
    let place = at.map(|at| format!("{at}: ")).unwrap_or_default();
    let text = text.map(|text| format!("at `{text}`: ")).unwrap_or_default();
    format!("{place}{text}{message}")
}

fn chain(called_from: &[Place]) -> String {
    called_from.iter().fold(String::new(), |text, at| format!("{text}, called from {at}"))
}

fn exceeded(program: &str, which: Limit, limit: u64, at: Option<&Place>) -> String {
    let place = at.map(|at| format!(" (at {at})")).unwrap_or_default();
    format!("{program} {}{place}: {}", which.sentence(limit), which.way_out())
}

fn size(bytes: u64) -> String {
    match bytes {
        whole if whole >= 1 << 20 && whole % (1 << 20) == 0 => format!("{} MiB", whole >> 20),
        whole if whole >= 1 << 10 && whole % (1 << 10) == 0 => format!("{} KiB", whole >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

fn within(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at `{path}`") }
}
