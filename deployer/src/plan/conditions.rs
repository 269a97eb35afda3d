//! When steps run, as far as it is known before anything is handed off.
//!
//! A condition is decided here where it can be, over facts of the environment and over which steps run at all;
//! "the step X succeeded" becomes a need. What only the run can tell becomes a condition of the step's nodes
//! ([`super::asking`]), or is refused where the receiver judges none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_oam::condition::{Expression, Operand, Operator};
use slipway_oam::{Condition, StepAt, Workflow};
use slipway_types::Violation;

/// A condition that the contract cannot carry.
const UNSUPPORTED: &str = "condition_unsupported";
const SUCCEEDED: &str = "succeeded";
const SKIPPED: &str = "skipped";
/// The `reason` of a step that did not run.
const SKIP: &str = "Skip";

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It runs, after these have succeeded.
    Runs(BTreeSet<String>),
    /// The run decides.
    Asks(Asks),
    /// It is left out.
    Skipped,
}

/// What the run decides of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asks {
    /// The condition, with no fact of the environment left in it.
    pub(super) condition: Condition,
    /// Whether it may hold although something before it failed.
    pub(super) crosses: bool,
}

impl Asks {
    /// The steps whose phase it asks for.
    pub(super) fn steps(&self) -> BTreeSet<String> {
        let operands = self.condition.operands().into_iter();
        let steps = operands.filter_map(|operand| match operand {
            Operand::Status { step, .. } => Some(step.clone()),
            Operand::Input { .. } | Operand::Context(_) | Operand::Literal(_) => None,
        });
        steps.collect()
    }

    /// The outputs whose values it asks for.
    pub(super) fn outputs(&self) -> BTreeSet<String> {
        let operands = self.condition.operands().into_iter();
        let outputs = operands.filter_map(|operand| match operand {
            Operand::Input { name, .. } => Some(name.clone()),
            Operand::Status { .. } | Operand::Context(_) | Operand::Literal(_) => None,
        });
        outputs.collect()
    }
}

/// What becomes of each step, by name, and the conditions that cannot be carried. `context` are the facts
/// that conditions may ask for, `is_asked` whether the receiver may judge what only the run can tell.
pub(super) fn decide(
    workflow: &Workflow,
    context: &BTreeMap<&'static str, String>,
    is_asked: bool,
) -> (BTreeMap<String, Verdict>, Vec<Violation>) {
    let steps = workflow.all_steps().map(|at| (at.step.name.as_str(), at)).collect();
    let mut deciding = Deciding {
        steps,
        context,
        is_asked,
        verdicts: BTreeMap::new(),
        open: BTreeSet::new(),
        violations: Vec::new(),
    };
    for at in workflow.all_steps() {
        deciding.verdict(&at.step.name);
    }
    if let Some(first) = workflow.steps.first() {
        deciding.violations.retain(|violation| {
            // Nothing can have failed before the first step.
            violation.path != format!("workflow.steps[{}].if", first.name)
                || first.condition.as_ref().is_none_or(|text| text.value.trim() != "always")
        });
    }
    (deciding.verdicts, deciding.violations)
}

struct Deciding<'a> {
    steps: BTreeMap<&'a str, StepAt<'a>>,
    context: &'a BTreeMap<&'static str, String>,
    is_asked: bool,
    verdicts: BTreeMap<String, Verdict>,
    open: BTreeSet<String>,
    violations: Vec<Violation>,
}

/// Whether a formula holds, and what must have succeeded for that; or why that cannot be said.
type Decided = Result<Option<BTreeSet<String>>, Undecided>;

/// Why it cannot be said whether a formula holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Undecided {
    /// The run tells; perhaps also when something failed.
    Run { why: String, crosses: bool },
    /// Nobody can.
    Never(String),
}

impl Undecided {
    /// Of two reasons the one that counts for both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (never @ Self::Never(_), _) | (_, never @ Self::Never(_)) => never,
            (Self::Run { why, crosses }, Self::Run { crosses: also, .. }) => {
                Self::Run { why, crosses: crosses || also }
            }
        }
    }
}

impl Deciding<'_> {
    fn verdict(&mut self, name: &str) -> Verdict {
        if let Some(known) = self.verdicts.get(name) {
            return known.clone();
        }
        let Some(at) = self.steps.get(name).cloned() else { return Verdict::Skipped };
        if !self.open.insert(name.to_owned()) {
            return Verdict::Runs(BTreeSet::new());
        }
        let around = at.group().map(|group| self.verdict(&group.name));
        let verdict = match around {
            Some(Verdict::Skipped) => Verdict::Skipped,
            _ => self.own_verdict(&at),
        };
        self.open.remove(name);
        self.verdicts.insert(name.to_owned(), verdict.clone());
        verdict
    }

    fn own_verdict(&mut self, at: &StepAt<'_>) -> Verdict {
        let Some(text) = &at.step.condition else { return Verdict::Runs(BTreeSet::new()) };
        let (condition, decided) = match text.value.parse::<Condition>() {
            Ok(Condition::Always) => {
                let why = "it is to run even if a step before it failed".to_owned();
                (Some(Condition::Always), Err(Undecided::Run { why, crosses: true }))
            }
            Ok(Condition::When(expression)) => {
                let decided = self.formula(&expression, false);
                let condition = decided.is_err().then(|| Condition::When(self.resolved(expression)));
                (condition, decided)
            }
            Err(error) => (None, Err(Undecided::Never(error.to_string()))),
        };
        match (decided, condition) {
            (Ok(Some(after)), _) => Verdict::Runs(after),
            (Ok(None), _) => Verdict::Skipped,
            (Err(Undecided::Run { crosses, .. }), Some(condition)) if self.is_asked => {
                Verdict::Asks(Asks { condition, crosses })
            }
            (Err(Undecided::Run { why, .. } | Undecided::Never(why)), _) => {
                let path = format!("{}.if", at.path());
                let message = format!("`{}` cannot be handed off: {why}", text.value);
                self.violations.push(
                    Violation::new(UNSUPPORTED, path, message).at(text.at.clone()).hint(
                        "a deployment ends at the first step that fails, and a step runs when those before it succeeded; ask for `status.STEP.succeeded` or a fact of the environment such as `context.stage`",
                    ),
                );
                Verdict::Runs(BTreeSet::new())
            }
        }
    }

    /// The same with the environment's facts in their places, and what they decide already.
    fn resolved(&mut self, expression: Expression) -> Expression {
        if matches!(expression, Expression::Compare { .. }) {
            let decided = match self.formula(&expression, false) {
                Ok(None) => Some(false),
                Ok(Some(after)) => after.is_empty().then_some(true),
                Err(_) => None,
            };
            if let Some(holds) = decided {
                return Expression::Holds(Operand::Literal(Value::Bool(holds)));
            }
        }
        let context = self.context;
        let operand = |operand: Operand| match operand {
            Operand::Context(field) => {
                let fact = context.get(field.as_str()).cloned();
                fact.map_or(Operand::Context(field), |fact| Operand::Literal(Value::String(fact)))
            }
            operand => operand,
        };
        let mut all = |parts: Vec<Expression>| -> Vec<Expression> {
            parts.into_iter().map(|part| self.resolved(part)).collect()
        };
        match expression {
            Expression::Or(parts) => Expression::Or(all(parts)),
            Expression::And(parts) => Expression::And(all(parts)),
            Expression::Not(inner) => Expression::Not(Box::new(self.resolved(*inner))),
            Expression::Compare { left, operator, right } => {
                Expression::Compare { left: operand(left), operator, right: operand(right) }
            }
            Expression::Holds(held) => Expression::Holds(operand(held)),
        }
    }

    /// `negated`: whether the opposite is asked.
    fn formula(&mut self, expression: &Expression, negated: bool) -> Decided {
        match expression {
            Expression::Not(inner) => self.formula(inner, !negated),
            Expression::And(parts) if !negated => self.all(parts, negated),
            Expression::Or(parts) if negated => self.all(parts, negated),
            Expression::And(parts) | Expression::Or(parts) => self.any(parts, negated),
            Expression::Holds(operand) => self.compare(
                operand,
                if negated { Operator::NotEqual } else { Operator::Equal },
                &Operand::Literal(Value::Bool(true)),
            ),
            Expression::Compare { left, operator, right } => {
                let operator = if negated { opposite(*operator) } else { *operator };
                self.compare(left, operator, right)
            }
        }
    }

    fn all(&mut self, parts: &[Expression], negated: bool) -> Decided {
        let decided: Vec<Decided> = parts.iter().map(|part| self.formula(part, negated)).collect();
        if decided.iter().any(|part| matches!(part, Ok(None))) {
            return Ok(None);
        }
        let mut after = BTreeSet::new();
        let mut undecided: Option<Undecided> = None;
        for part in decided {
            match part {
                Ok(needed) => after.extend(needed.into_iter().flatten()),
                Err(why) => undecided = Some(undecided.map_or(why.clone(), |first| first.and(why))),
            }
        }
        undecided.map_or(Ok(Some(after)), Err)
    }

    fn any(&mut self, parts: &[Expression], negated: bool) -> Decided {
        let decided: Vec<Decided> = parts.iter().map(|part| self.formula(part, negated)).collect();
        if self.is_asked {
            return any_at_run(decided);
        }
        let holds = decided.iter().position(|part| matches!(part, Ok(Some(_))));
        let mut decided = decided.into_iter();
        match holds {
            Some(at) => decided.nth(at).unwrap_or(Ok(None)),
            None => decided.find(Result::is_err).unwrap_or(Ok(None)),
        }
    }

    fn compare(&mut self, left: &Operand, operator: Operator, right: &Operand) -> Decided {
        match (left, right) {
            (Operand::Status { step, field }, Operand::Literal(value))
            | (Operand::Literal(value), Operand::Status { step, field })
                if field == "phase" =>
            {
                self.phase(step, operator, value)
            }
            _ => {
                is_comparable(left, right)?;
                let (left, right) = (self.value(left)?, self.value(right)?);
                let holds = compared(&left, operator, &right)
                    .ok_or_else(|| Undecided::Never(format!("{left} and {right} cannot be compared so")))?;
                Ok(holds.then(BTreeSet::new))
            }
        }
    }

    /// A step that runs has succeeded when another looks at it: else the deployment has ended.
    fn phase(&mut self, step: &str, operator: Operator, value: &Value) -> Decided {
        let wanted = value.as_str().unwrap_or_default();
        let equal = match operator {
            Operator::Equal => true,
            Operator::NotEqual => false,
            _ => return Err(Undecided::Never("a phase can only be equal to a word or not".to_owned())),
        };
        if self.open.contains(step) {
            return Err(Undecided::Never(format!("it asks for `{step}`, which waits for it")));
        }
        let run = |why| Err(Undecided::Run { why, crosses: true });
        if self.is_asked && self.may_be_left_out(step) {
            let crosses = wanted != SUCCEEDED || !equal;
            return Err(Undecided::Run { why: format!("it asks how `{step}` ends"), crosses });
        }
        let after = || Some(BTreeSet::from([step.to_owned()]));
        match (self.verdict(step), wanted) {
            (Verdict::Skipped, word) => Ok(((word == SKIPPED) == equal).then(BTreeSet::new)),
            (Verdict::Runs(_), SUCCEEDED) if equal => Ok(after()),
            (Verdict::Runs(_), SKIPPED) => Ok(if equal { None } else { after() }),
            (Verdict::Runs(_) | Verdict::Asks(_), SUCCEEDED) => {
                run(format!("it is to run if `{step}` does not succeed"))
            }
            (Verdict::Runs(_) | Verdict::Asks(_), _) if !equal => Ok(after()),
            (Verdict::Runs(_) | Verdict::Asks(_), word) => {
                run(format!("it is to run if `{step}` is `{word}`"))
            }
        }
    }

    /// Whether the run may leave a step out: by its condition, that of a group around it, or since nothing gives
    /// what it takes.
    fn may_be_left_out(&mut self, step: &str) -> bool {
        let Some(at) = self.steps.get(step).cloned() else { return false };
        let mut asked = at.groups.iter().copied().chain([at.step]);
        !at.step.inputs.is_empty() || asked.any(|step| matches!(self.verdict(&step.name), Verdict::Asks(_)))
    }

    /// The message of a step, or the word for why it ended so.
    fn told(&mut self, step: &str, field: &str) -> Result<Value, Undecided> {
        if self.open.contains(step) {
            return Err(Undecided::Never(format!("it asks for `{step}`, which waits for it")));
        }
        match (self.verdict(step), field) {
            (Verdict::Skipped, "reason") => Ok(Value::from(SKIP)),
            (Verdict::Skipped, _) => Ok(Value::from("")),
            (Verdict::Runs(_) | Verdict::Asks(_), _) => {
                let why = format!("the {field} of `{step}` is known only while it is deployed");
                Err(Undecided::Run { why, crosses: true })
            }
        }
    }

    fn value(&mut self, operand: &Operand) -> Result<Value, Undecided> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Context(field) => {
                let known = self.context.get(field.as_str()).cloned().map(Value::String);
                let names = || self.context.keys().copied().collect::<Vec<_>>().join(", ");
                known.ok_or_else(|| {
                    Undecided::Never(format!("`context.{field}` is not known, {} are", names()))
                })
            }
            Operand::Input { name, .. } => {
                let why = format!("the value of `{name}` is known only while it is deployed");
                Err(Undecided::Run { why, crosses: false })
            }
            Operand::Status { step, field } if field == "phase" => {
                let why = format!("the phase of `{step}` can only be compared with a word in quotes");
                Err(Undecided::Never(why))
            }
            Operand::Status { step, field } => self.told(step, field),
        }
    }
}

/// What a step tells is a text; compared with anything else it could not be judged when it ended.
fn is_comparable(left: &Operand, right: &Operand) -> Result<(), Undecided> {
    match (left, right) {
        (Operand::Status { step, field }, Operand::Literal(value))
        | (Operand::Literal(value), Operand::Status { step, field })
            if !value.is_string() =>
        {
            Err(Undecided::Never(format!("the {field} of `{step}` is a text: compare it with one in quotes")))
        }
        _ => Ok(()),
    }
}

/// One of the parts will do. Of several that hold by what succeeds, the run finds out which.
fn any_at_run(decided: Vec<Decided>) -> Decided {
    if decided.iter().any(|part| matches!(part, Ok(Some(after)) if after.is_empty())) {
        return Ok(Some(BTreeSet::new()));
    }
    let mut parts = decided.into_iter().filter(|part| !matches!(part, Ok(None)));
    let Some(first) = parts.next() else { return Ok(None) };
    let several = |part: Decided| {
        let why = "one of several steps must have succeeded".to_owned();
        part.err().unwrap_or(Undecided::Run { why, crosses: true })
    };
    match parts.next() {
        None => first,
        Some(second) => {
            let undecided = several(first).and(several(second));
            Err(parts.fold(undecided, |all, part| all.and(several(part))))
        }
    }
}

fn opposite(operator: Operator) -> Operator {
    match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::NotEqual => Operator::Equal,
        Operator::AtMost => Operator::More,
        Operator::More => Operator::AtMost,
        Operator::AtLeast => Operator::Less,
        Operator::Less => Operator::AtLeast,
    }
}

fn compared(left: &Value, operator: Operator, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        _ => None,
    };
    match operator {
        Operator::Equal => Some(order.map_or(left == right, std::cmp::Ordering::is_eq)),
        Operator::NotEqual => Some(order.map_or(left != right, std::cmp::Ordering::is_ne)),
        Operator::AtMost => order.map(std::cmp::Ordering::is_le),
        Operator::AtLeast => order.map(std::cmp::Ordering::is_ge),
        Operator::Less => order.map(std::cmp::Ordering::is_lt),
        Operator::More => order.map(std::cmp::Ordering::is_gt),
    }
}

#[cfg(test)]
mod tests;
