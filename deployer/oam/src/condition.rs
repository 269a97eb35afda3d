//! When a workflow step runs: the text of its `if`.
//!
//! A small language that is both KubeVela's and CEL's: `status.NAME.phase`, `inputs.NAME`,
//! `context.FIELD`, literals, comparisons, `!`, `&&`, `||` and brackets; or the word `always`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

mod parse;

/// The most characters of an `if`.
pub const CONDITION_CHARS_MAX: usize = 2000;

const SUCCEEDED: &str = "succeeded";

/// The phases a step may be in, each also usable alone: `status.deploy.failed`.
pub const PHASES: [&str; 8] =
    [SUCCEEDED, "failed", "skipped", "terminated", "timeout", "failedAfterRetries", "running", "pending"];

/// When a step runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Whatever happened before.
    Always,
    /// When this holds.
    When(Expression),
}

/// A formula that is true or false. Shown as CEL.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// One of these.
    Or(Vec<Expression>),
    /// All of these.
    And(Vec<Expression>),
    /// Not this.
    Not(Box<Expression>),
    /// Two values compared.
    Compare {
        /// The one.
        left: Operand,
        /// How.
        operator: Operator,
        /// The other.
        right: Operand,
    },
    /// A value that is itself true or false.
    Holds(Operand),
}

/// A value in a formula.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A field of another step's state: `status.NAME.phase`, `.message` or `.reason`.
    Status {
        /// The step.
        step: String,
        /// The field.
        field: String,
    },
    /// One of the step's inputs, or a part of it.
    Input {
        /// The output's name, as the step's `inputs` give it.
        name: String,
        /// The part of it.
        path: crate::Path,
    },
    /// A fact about the deployment, such as `context.name`.
    Context(String),
    /// Text, a number, `true` or `false`.
    Literal(Value),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    More,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {column}: {message}")]
pub struct InvalidCondition {
    /// The character at fault, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        if text.trim() == "always" {
            return Ok(Self::Always);
        }
        parse::expression(text).map(Self::When)
    }
}

impl Condition {
    /// Every value the condition looks at.
    pub fn operands(&self) -> Vec<&Operand> {
        let mut found = Vec::new();
        let mut open = match self {
            Self::Always => Vec::new(),
            Self::When(expression) => vec![expression],
        };
        while let Some(expression) = open.pop() {
            match expression {
                Expression::Or(parts) | Expression::And(parts) => open.extend(parts.iter().rev()),
                Expression::Not(inner) => open.push(inner),
                Expression::Compare { left, right, .. } => found.extend([left, right]),
                Expression::Holds(operand) => found.push(operand),
            }
        }
        found
    }

    /// The steps that must have ended well before it can hold, whatever else is so.
    pub fn must_succeed(&self) -> BTreeSet<String> {
        match self {
            Self::Always => BTreeSet::new(),
            Self::When(expression) => expression.must_succeed(false),
        }
    }
}

impl Expression {
    /// `negated`: of the opposite.
    fn must_succeed(&self, negated: bool) -> BTreeSet<String> {
        let of = |part: &Self| part.must_succeed(negated);
        match (self, negated) {
            (Self::Not(inner), _) => inner.must_succeed(!negated),
            (Self::And(parts), false) | (Self::Or(parts), true) => parts.iter().flat_map(of).collect(),
            // One of the parts will do: certain is what all of them ask.
            (Self::And(parts), true) | (Self::Or(parts), false) => {
                parts.iter().map(of).reduce(|all, one| &all & &one).unwrap_or_default()
            }
            (Self::Compare { left, operator, right }, _) => {
                let equal = (*operator == Operator::Equal) != negated;
                let known = matches!(operator, Operator::Equal | Operator::NotEqual);
                let found = awaited(left, right).filter(|(_, word)| known && (*word == SUCCEEDED) == equal);
                found.map(|(step, _)| step.to_owned()).into_iter().collect()
            }
            (Self::Holds(_), _) => BTreeSet::new(),
        }
    }
}

/// The step whose phase is compared, and with which word. What is not equal to another word has succeeded,
/// since a deployment ends at the first step that fails.
fn awaited<'a>(left: &'a Operand, right: &'a Operand) -> Option<(&'a str, &'a str)> {
    match (left, right) {
        (Operand::Status { step, field }, Operand::Literal(Value::String(word)))
        | (Operand::Literal(Value::String(word)), Operand::Status { step, field })
            if field == "phase" =>
        {
            Some((step.as_str(), word.as_str()))
        }
        _ => None,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("true"),
            Self::When(expression) => expression.fmt(f),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                let before = if index == 0 { "" } else { word };
                match part {
                    Self::Or(_) | Self::And(_) => write!(f, "{before}({part})")?,
                    part => write!(f, "{before}{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Or(parts) => joined(f, parts, " || "),
            Self::And(parts) => joined(f, parts, " && "),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::Compare { left, operator, right } => write!(f, "{left} {operator} {right}"),
            Self::Holds(operand) => operand.fmt(f),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        match self {
            Self::Status { step, field } => write!(f, "status[{}].{field}", quoted(step)),
            Self::Input { name, path } => {
                write!(f, "inputs[{}]", quoted(name))?;
                path.segments().iter().try_for_each(|segment| match segment {
                    crate::Segment::Index(index) => write!(f, "[{index}]"),
                    crate::Segment::Key(key) | crate::Segment::Named(key) => write!(f, "[{}]", quoted(key)),
                })
            }
            Self::Context(field) => write!(f, "context.{field}"),
            Self::Literal(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::More => ">",
        })
    }
}

#[cfg(test)]
mod tests;
