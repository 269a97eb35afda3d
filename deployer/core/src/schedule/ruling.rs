//! Whether a node runs at all, once everything that comes before it has ended.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use slipway_handoff::ObjectRef;
use slipway_health::{Expression, ExpressionError};

use super::Schedule;
use super::standing::Standing;

/// What becomes of a node whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It begins.
    Runs,
    /// It is left out, and why.
    LeavesOut(String),
    /// Nobody can say, and why.
    Fails(String),
}

impl Schedule {
    /// Whether a node runs. The answer stays the same: what it looks at has ended.
    pub(super) fn ruling(&self, at: usize) -> Ruling {
        let node = &self.plan.step(at).node;
        if node.temporary && self.plan.is_rollback {
            return Ruling::LeavesOut("a rollback goes without it".to_owned());
        }
        if node.temporary && self.course.is_first {
            return Ruling::LeavesOut("nothing runs yet that it could stand beside".to_owned());
        }
        let is_given = |name: &str| self.node(name).is_some_and(|giver| giver.standing.is_ready());
        if let Some(input) = node.inputs.iter().find(|input| !is_given(&input.node)) {
            return Ruling::LeavesOut(format!("`{}` is not there to give `{}`", input.node, input.output));
        }
        let Some(text) = &node.when else { return Ruling::Runs };
        let decided =
            Expression::parse(text).and_then(|condition| condition.eval_with(&self.ended_before(at)));
        match decided {
            Ok(true) => Ruling::Runs,
            Ok(false) => Ruling::LeavesOut(format!("its condition does not hold: {text}")),
            Err(error @ ExpressionError::Missing(_)) => Ruling::LeavesOut(format!("its condition: {error}")),
            Err(error) => Ruling::Fails(format!("its condition: {error}")),
        }
    }

    /// What conditions of a node may ask for: how what comes before it ended, why, and what it gave.
    fn ended_before(&self, at: usize) -> BTreeMap<String, Value> {
        let (mut nodes, mut outputs) = (Map::new(), Map::new());
        for before in self.plan.before(at) {
            let (name, progress) = (&self.plan.step(before).name, self.progress(before));
            let message =
                if progress.standing.is_ready() { String::new() } else { progress.standing.reason() };
            let told = json!({
                "state": progress.standing.end(),
                "message": message,
                "reason": progress.reason_of_end(),
            });
            nodes.insert(name.clone(), told);
            let given = progress.outputs.iter().map(|(output, value)| (output.clone(), value.clone()));
            outputs.insert(name.clone(), Value::Object(given.collect()));
        }
        BTreeMap::from([
            ("nodes".to_owned(), Value::Object(nodes)),
            ("outputs".to_owned(), Value::Object(outputs)),
        ])
    }

    /// Objects that are not to stay, although the graph has them: of nodes that were left out, and of those that
    /// are there on the way only.
    pub fn unwanted(&self) -> Vec<ObjectRef> {
        let steps = self.plan.steps.iter().zip(&self.nodes);
        let unwanted = steps.filter(|(step, progress)| {
            step.node.temporary || matches!(progress.standing, Standing::LeftOut { .. })
        });
        unwanted.flat_map(|(step, _)| step.objects().cloned()).collect()
    }
}
