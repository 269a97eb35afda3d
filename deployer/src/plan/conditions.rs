//! When steps run, as far as it is known before anything is handed off.
//!
//! A node of the graph starts when all that it needs are ready, and nothing else: the contract knows no
//! conditions. So a condition is decided here, over facts of the environment and over which steps run at
//! all; "the step X succeeded" becomes a need. What only the run could tell is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_oam::condition::{Expression, Operand, Operator};
use slipway_oam::{Condition, Step, Workflow};
use slipway_types::Violation;

/// A condition that the contract cannot carry.
const UNSUPPORTED: &str = "condition_unsupported";
const SUCCEEDED: &str = "succeeded";
const SKIPPED: &str = "skipped";

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs, after these have succeeded.
    Runs(BTreeSet<String>),
    /// It is left out.
    Skipped,
}

/// What becomes of each step, by name, and the conditions that cannot be carried. `context` are the facts
/// that conditions may ask for.
pub(super) fn decide(
    workflow: &Workflow,
    context: &BTreeMap<&'static str, String>,
) -> (BTreeMap<String, Verdict>, Vec<Violation>) {
    let steps = workflow.all_steps().map(|(group, step)| (step.name.as_str(), (group, step))).collect();
    let mut deciding =
        Deciding { steps, context, verdicts: BTreeMap::new(), open: BTreeSet::new(), violations: Vec::new() };
    for (_, step) in workflow.all_steps() {
        deciding.verdict(&step.name);
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
    steps: BTreeMap<&'a str, (Option<&'a Step>, &'a Step)>,
    context: &'a BTreeMap<&'static str, String>,
    verdicts: BTreeMap<String, Verdict>,
    open: BTreeSet<String>,
    violations: Vec<Violation>,
}

/// Whether a formula holds, and what must have succeeded for that; or why nobody can say.
type Decided = Result<Option<BTreeSet<String>>, String>;

impl Deciding<'_> {
    fn verdict(&mut self, name: &str) -> Verdict {
        if let Some(known) = self.verdicts.get(name) {
            return known.clone();
        }
        let Some((group, step)) = self.steps.get(name).copied() else { return Verdict::Skipped };
        if !self.open.insert(name.to_owned()) {
            return Verdict::Runs(BTreeSet::new());
        }
        let around = group.map(|group| self.verdict(&group.name));
        let verdict = match around {
            Some(Verdict::Skipped) => Verdict::Skipped,
            _ => self.own_verdict(group, step),
        };
        self.open.remove(name);
        self.verdicts.insert(name.to_owned(), verdict.clone());
        verdict
    }

    fn own_verdict(&mut self, group: Option<&Step>, step: &Step) -> Verdict {
        let Some(text) = &step.condition else { return Verdict::Runs(BTreeSet::new()) };
        let decided = match text.value.parse::<Condition>() {
            Ok(Condition::Always) => Err("it is to run even if a step before it failed".to_owned()),
            Ok(Condition::When(expression)) => self.formula(&expression, false),
            Err(error) => Err(error.to_string()),
        };
        match decided {
            Ok(Some(after)) => Verdict::Runs(after),
            Ok(None) => Verdict::Skipped,
            Err(why) => {
                let path = super::steps::path(group, step);
                let message = format!("`{}` cannot be handed off: {why}", text.value);
                self.violations.push(
                    Violation::new(UNSUPPORTED, format!("{path}.if"), message).at(text.at.clone()).hint(
                        "a deployment ends at the first step that fails, and a step runs when those before it succeeded; ask for `status.STEP.succeeded` or a fact of the environment such as `context.stage`",
                    ),
                );
                Verdict::Runs(BTreeSet::new())
            }
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
        for part in decided {
            after.extend(part?.into_iter().flatten());
        }
        Ok(Some(after))
    }

    fn any(&mut self, parts: &[Expression], negated: bool) -> Decided {
        let decided: Vec<Decided> = parts.iter().map(|part| self.formula(part, negated)).collect();
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
                let (left, right) = (self.value(left)?, self.value(right)?);
                let holds = compared(&left, operator, &right)
                    .ok_or_else(|| format!("{left} and {right} cannot be compared so"))?;
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
            _ => return Err("a phase can only be equal to a word or not".to_owned()),
        };
        if self.open.contains(step) {
            return Err(format!("it asks for `{step}`, which waits for it"));
        }
        let after = || Some(BTreeSet::from([step.to_owned()]));
        match (self.verdict(step), wanted) {
            (Verdict::Skipped, word) => Ok(((word == SKIPPED) == equal).then(BTreeSet::new)),
            (Verdict::Runs(_), SUCCEEDED) if equal => Ok(after()),
            (Verdict::Runs(_), SKIPPED) => Ok(if equal { None } else { after() }),
            (Verdict::Runs(_), SUCCEEDED) => Err(format!("it is to run if `{step}` does not succeed")),
            (Verdict::Runs(_), _) if !equal => Ok(after()),
            (Verdict::Runs(_), word) => Err(format!("it is to run if `{step}` is `{word}`")),
        }
    }

    fn value(&self, operand: &Operand) -> Result<Value, String> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Context(field) => {
                let known = self.context.get(field.as_str()).cloned().map(Value::String);
                let names = || self.context.keys().copied().collect::<Vec<_>>().join(", ");
                known.ok_or_else(|| format!("`context.{field}` is not known, {} are", names()))
            }
            Operand::Input { name, .. } => {
                Err(format!("the value of `{name}` is known only while it is deployed"))
            }
            Operand::Status { step, field } => {
                Err(format!("the {field} of `{step}` is known only while it is deployed"))
            }
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
mod tests {
    use super::*;

    fn decided(conditions: &[(&str, &str)]) -> (BTreeMap<String, Verdict>, Vec<Violation>) {
        let step = |(name, condition): &(&str, &str)| Step {
            name: (*name).to_owned(),
            kind: "suspend".to_owned(),
            condition: (!condition.is_empty()).then(|| slipway_oam::Placed::nowhere((*condition).to_owned())),
            ..Step::default()
        };
        let workflow = Workflow { steps: conditions.iter().map(step).collect(), ..Workflow::default() };
        decide(&workflow, &BTreeMap::from([("stage", "blue".to_owned()), ("namespace", "shop".to_owned())]))
    }

    fn last(conditions: &[(&str, &str)]) -> Result<Verdict, String> {
        let (verdicts, violations) = decided(conditions);
        match violations.first() {
            Some(violation) => Err(violation.message.clone()),
            None => Ok(verdicts[conditions.last().unwrap().0].clone()),
        }
    }

    #[test]
    fn facts_and_earlier_steps_decide() {
        let runs = |after: &[&str]| Ok(Verdict::Runs(after.iter().map(|&name| name.to_owned()).collect()));
        let two = |condition| last(&[("a", ""), ("b", condition)]);
        for (condition, expected) in [
            ("status.a.succeeded", runs(&["a"])),
            ("status.a.phase == \"succeeded\" && context.stage == 'blue'", runs(&["a"])),
            ("!(status.a.failed)", runs(&["a"])),
            ("status.a.phase != 'timeout'", runs(&["a"])),
            ("context.stage == 'green'", Ok(Verdict::Skipped)),
            ("context.stage == 'green' || status.a.succeeded", runs(&["a"])),
            ("!(context.stage == 'green' || context.namespace != 'shop')", runs(&[])),
            ("status.a.skipped", Ok(Verdict::Skipped)),
            ("context.stage == 'green' && status.a.failed", Ok(Verdict::Skipped)),
            ("1 < 2", runs(&[])),
            ("true", runs(&[])),
            ("false", Ok(Verdict::Skipped)),
        ] {
            assert_eq!(two(condition), expected, "{condition}");
        }
        let after_skipped = last(&[("a", "false"), ("b", "status.a.skipped")]);
        assert_eq!(after_skipped, runs(&[]));
        assert_eq!(last(&[("a", "false"), ("b", "status.a.succeeded")]), Ok(Verdict::Skipped));
        assert_eq!(last(&[("a", "always")]), runs(&[]));
    }

    #[test]
    fn what_only_the_run_tells_is_refused() {
        for (condition, why) in [
            ("always", "even if a step before it failed"),
            ("status.a.failed", "if `a` is `failed`"),
            ("!(status.a.succeeded)", "does not succeed"),
            ("status.a.message == 'x'", "message of `a`"),
            ("inputs.x == 1", "value of `x`"),
            ("context.nothing == 'x'", "`context.nothing` is not known"),
            ("context.stage < 1", "cannot be compared"),
        ] {
            let told = last(&[("a", ""), ("b", condition)]).unwrap_err();
            assert!(told.contains(why), "{condition}: {told}");
        }
        let (_, violations) = decided(&[("a", "status.b.succeeded"), ("b", "status.a.succeeded")]);
        assert!(violations[0].message.contains("waits for it"), "{violations:?}");
    }
}
