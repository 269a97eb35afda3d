//! Conditions in CEL, bounded whoever wrote them.
//!
//! An expression is text from a definition or a policy, and what it looks at comes from a cluster, so both
//! are limited. Before parsing: [`BYTES_MAX`] and [`BRACKETS_MAX`], for the parser descends by recursion.
//! After parsing: [`DEPTH_MAX`] of the tree, a closed list of functions, patterns of `matches` that are
//! literals and compile small. While evaluating: [`STEPS_MAX`]. The evaluator counts nothing itself, so the
//! tree is rewritten: each loop is charged, before it runs, for its rounds times the size of its body, and
//! each value that is copied or compared for its size. Nothing depends on how fast the machine is.
//!
//! Optional values (`?.`) and timestamps are left out. A field that is missing makes a condition not yet
//! true; anything else that goes wrong is an error of the condition.

mod meter;
mod missing;
mod pattern;
mod shape;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::parser::Expression as Tree;
use cel::{Context, Env, ExecutionError};
use serde_json::Value;

use self::meter::Meter;
use self::missing::Path;
use self::pattern::Pattern;
use crate::fields::Object;
use crate::object::{Health, before_its_rules, of};

/// The longest expression, in bytes.
pub const BYTES_MAX: usize = 4_096;
/// The most brackets that are open at once.
pub const BRACKETS_MAX: usize = 10;
/// The deepest tree of operators, calls and fields.
pub const DEPTH_MAX: usize = 40;
/// The most patterns of `matches`.
pub const PATTERNS_MAX: usize = 16;
/// The most steps of one evaluation: parts of the expression looked at, nodes and 16 bytes of text of
/// values copied or compared, bytes of text matched times what the pattern costs.
pub const STEPS_MAX: u64 = 500_000;

/// Standard functions without optional values; those that are allowed are fewer, see [`shape`].
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Longer than is read.
    #[error("the expression has {0} bytes: expected 1 to {BYTES_MAX}")]
    Length(usize),
    /// Nested deeper than is read.
    #[error("the expression nests too deep: at most {BRACKETS_MAX} brackets open, {DEPTH_MAX} levels in all")]
    Depth,
    /// Not CEL.
    #[error("the expression is not CEL: {0}")]
    Syntax(String),
    /// CEL that is not offered here.
    #[error("{0} is not offered in expressions")]
    Unsupported(String),
    /// A pattern that is no regular expression, or too large a one.
    #[error("the pattern `{pattern}` is refused: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// A name that nothing was given for.
    #[error("`{0}` is not known here")]
    Unknown(String),
    /// A field that is not there, or not yet.
    #[error("`{0}` is not there yet")]
    Missing(String),
    /// The result is of another type.
    #[error("the expression gives a value of type {0}: expected true or false")]
    NotBoolean(String),
    /// It does too much.
    #[error("the expression takes more than {STEPS_MAX} steps: look at fewer or smaller values")]
    Steps,
    /// Values that do not go together. Never names a value.
    #[error("the expression fails: {0}")]
    Failed(String),
}

/// A condition that was read and found within its limits.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    tree: Tree,
    names: BTreeSet<String>,
    paths: Vec<Path>,
    patterns: Arc<[Pattern]>,
}

impl Expression {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        shape::before_parsing(text)?;
        let parser = ENVIRONMENT.parser().max_recursion_depth(shape::PARSER_DEPTH);
        let tree = parser.parse(text).map_err(shape::syntax)?;
        let checked = shape::check(&tree)?;
        Ok(Self {
            text: text.to_owned(),
            paths: missing::paths(&tree),
            tree: meter::metered(tree, &mut 0),
            names: checked.names,
            patterns: checked.patterns.into(),
        })
    }

    /// The names it looks up: `self`, or what [`Expression::eval_with`] has to be given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The first name that it looks up that is neither one of `known` nor a type's.
    pub fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.names().find(|name| !known.contains(name) && !shape::TYPES.contains(name))
    }

    /// Whether it holds for `object`, which it calls `self`.
    pub fn eval(&self, object: &Value) -> Result<bool, ExpressionError> {
        self.decide(&|name| (name == "self").then_some(object))
    }

    /// Whether it holds for what these names stand for: outputs and states of nodes.
    pub fn eval_with(&self, values: &BTreeMap<String, Value>) -> Result<bool, ExpressionError> {
        self.decide(&|name| values.get(name))
    }

    /// Where `object` stands if this says when it is ready. As with the rules of kinds, one that is being
    /// deleted is not ready, nor is one whose status is of an older generation.
    pub fn health(&self, object: &Value) -> Health {
        if object.is_null() {
            return of(object);
        }
        if let Some(health) = before_its_rules(&Object::new(object)) {
            return health;
        }
        match self.eval(object) {
            Ok(true) => Health::current(format!("`{self}` holds")),
            Ok(false) => Health::in_progress(format!("`{self}` does not hold yet")),
            Err(error @ ExpressionError::Missing(_)) => Health::in_progress(error.to_string()),
            Err(error) => Health::failed(error.to_string()),
        }
    }

    fn decide<'v>(&self, value_of: &dyn Fn(&str) -> Option<&'v Value>) -> Result<bool, ExpressionError> {
        let meter = Arc::new(Meter::default());
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for name in &self.names {
            match value_of(name) {
                Some(value) => context.add_variable_as_val(name, values::convert(value, &meter)?),
                None if shape::TYPES.contains(&name.as_str()) => {}
                None => return Err(ExpressionError::Unknown(name.clone())),
            }
        }
        meter::add_functions(&mut context, &meter, &self.patterns);
        let result = cel::Value::resolve_val(&self.tree, &context);
        if meter.is_spent() {
            return Err(ExpressionError::Steps);
        }
        match result {
            Ok(value) => value
                .downcast_ref::<CelBool>()
                .map(|held| *held.inner())
                .ok_or_else(|| ExpressionError::NotBoolean(value.get_type().name().to_owned())),
            Err(error) => Err(self.explain(&error, value_of)),
        }
    }

    /// Says what went wrong without any value: they may be secret.
    fn explain<'v>(
        &self,
        error: &ExecutionError,
        value_of: &dyn Fn(&str) -> Option<&'v Value>,
    ) -> ExpressionError {
        if let Some(missing) = missing::name(error, &self.paths, value_of) {
            return ExpressionError::Missing(missing);
        }
        ExpressionError::Failed(match error {
            ExecutionError::NoSuchOverload(overload) => overload.to_string(),
            ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
                format!("`{operator}` does not take these values")
            }
            ExecutionError::Overflow(operator, ..) => format!("`{operator}` overflows"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "a number is divided by zero".to_owned()
            }
            ExecutionError::ValuesNotComparable(..) => "values that cannot be compared".to_owned(),
            ExecutionError::UnexpectedType { want, .. } => format!("a value of type {want} is expected"),
            ExecutionError::FunctionError { function, .. } => {
                format!("`{function}` does not take this value")
            }
            ExecutionError::UndeclaredReference(name) => return ExpressionError::Unknown(name.to_string()),
            _ => "values that do not go together".to_owned(),
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
