//! Decoding `spec.workflow`.

use std::time::Duration;

use slipway_yaml::Node;

use super::application::{distinct, item_path, kind, word};
use super::bindings::{self, Of};
use crate::decode::{Decoder, Shape, join, present};
use crate::{Condition, Mode, Placed, Step, StepMode, StepRetry, Workflow, code, duration};

const WORKFLOW: Shape = Shape { known: &["mode", "steps"], required: &[] };
const MODE: Shape = Shape { known: &["steps", "subSteps"], required: &[] };
const META: Shape = Shape { known: &["alias"], required: &[] };
const STEP: Shape = Shape {
    known: &[
        "name",
        "type",
        "meta",
        "if",
        "timeout",
        "retry",
        "dependsOn",
        "inputs",
        "outputs",
        "properties",
        "mode",
        "subSteps",
    ],
    required: &["type"],
};
const RETRY: Shape = Shape { known: &["limit", "backoff"], required: &["limit"] };
const MODES: [(&str, StepMode); 2] = [("StepByStep", StepMode::StepByStep), ("DAG", StepMode::Dag)];
/// The step type that holds others.
pub(crate) const GROUP: &str = "step-group";

pub(super) fn decode(decoder: &mut Decoder<'_>, spec: &Node) -> Option<Workflow> {
    let node = present(spec, "workflow")?;
    if !decoder.shaped(node, "workflow", &WORKFLOW) {
        return None;
    }
    if let Some(entry) = node.entry("ref") {
        let at = decoder.place(entry.key_at);
        let told = decoder.violations.iter_mut().find(|violation| violation.at.as_ref() == Some(&at));
        if let Some(violation) = told {
            violation.hint = Some("an operator's file is whole: write the steps here".to_owned());
        }
    }
    let mut mode = Mode::default();
    if let Some(given) = present(node, "mode").filter(|given| decoder.shaped(given, "workflow.mode", &MODE)) {
        let mut one = |key: &str, default| {
            let value = present(given, key)?;
            Some(decoder.word(value, &join("workflow.mode", key), &MODES).unwrap_or(default))
        };
        mode.steps = one("steps", mode.steps).unwrap_or(mode.steps);
        mode.sub_steps = one("subSteps", mode.sub_steps).unwrap_or(mode.sub_steps);
    }
    let steps = steps(decoder, node, "workflow", 0).unwrap_or_default();
    let mut workflow = Workflow { mode, steps, at: Some(decoder.place(node.at)) };
    let count = workflow.all_steps().count();
    decoder.fits(node, "workflow.steps", count, decoder.options.max_steps, "max_steps");
    let names = workflow.all_steps().map(|at| (at.step.name.as_str(), at.step.at.as_ref()));
    let mut twice = Vec::new();
    distinct(&mut twice, names, "step", |name| format!("workflow.steps[{name}]"));
    decoder.violations.extend(twice);
    keep_read(&mut workflow.steps);
    Some(workflow)
}

/// Drops what has no name or no type, which was told.
fn keep_read(steps: &mut Vec<Step>) {
    steps.retain(|step| !step.name.is_empty() && !step.kind.is_empty());
    for step in steps {
        keep_read(&mut step.sub_steps);
    }
}

/// The steps that stand in `depth` groups; `None`: those are too many.
fn steps(decoder: &mut Decoder<'_>, node: &Node, path: &str, depth: usize) -> Option<Vec<Step>> {
    let key = if depth == 0 { "steps" } else { "subSteps" };
    let Some(list) = present(node, key) else { return Some(Vec::new()) };
    let path = join(path, key);
    let most = decoder.options.max_group_depth;
    if depth > most {
        let message = format!("{depth} groups stand in each other, the limit max_group_depth is {most}");
        decoder.wrong(code::LIMIT_EXCEEDED, list.at, &path, message).hint =
            Some("put these steps into the group around, or into one beside it".to_owned());
        return None;
    }
    let max = decoder.options.max_steps;
    let items = decoder.items(list, &path, max, "max_steps").iter().enumerate();
    let one = |(index, item): (usize, &Node)| {
        step(decoder, item, &item_path(&path, item, index, &["name", "type"]), depth)
    };
    Some(items.map(one).collect())
}

fn step(decoder: &mut Decoder<'_>, node: &Node, path: &str, depth: usize) -> Step {
    let mut step = Step { at: Some(decoder.place(node.at)), ..Step::default() };
    if !decoder.shaped(node, path, &STEP) {
        return step;
    }
    step.kind = kind(decoder, node, path).unwrap_or_default();
    step.name = match present(node, "name") {
        Some(_) => word(decoder, node, "name", path).unwrap_or_default(),
        None => step.kind.clone(),
    };
    let meta_path = join(path, "meta");
    step.alias = present(node, "meta")
        .filter(|meta| decoder.shaped(meta, &meta_path, &META))
        .and_then(|meta| decoder.text_at(meta, "alias", &meta_path));
    step.condition = present(node, "if").and_then(|value| condition(decoder, value, &join(path, "if")));
    step.timeout = present(node, "timeout").and_then(|value| timeout(decoder, value, &join(path, "timeout")));
    step.retry = present(node, "retry").and_then(|value| retry(decoder, value, &join(path, "retry")));
    step.depends_on = bindings::depends_on(decoder, node, path);
    step.inputs = bindings::inputs(decoder, node, path, Of::Step);
    step.outputs = bindings::outputs(decoder, node, path);
    step.properties = decoder.properties(node, path);
    step.mode = present(node, "mode").and_then(|value| decoder.word(value, &join(path, "mode"), &MODES));
    if let Some(inner) = steps(decoder, node, path, depth + 1) {
        step.sub_steps = inner;
        group(decoder, node, path, &step);
    }
    step
}

/// Only a group holds steps, and it holds some.
fn group(decoder: &mut Decoder<'_>, node: &Node, path: &str, step: &Step) {
    let is_group = step.kind.split('@').next() == Some(GROUP);
    if is_group && step.sub_steps.is_empty() {
        let path = join(path, "subSteps");
        decoder.wrong(code::MISSING_FIELD, node.at, &path, "a group without steps does nothing");
    }
    for key in ["subSteps", "mode"] {
        if let Some(entry) = node.entry(key).filter(|_| !is_group && !step.kind.is_empty()) {
            let message = format!("only a `{GROUP}` has `{key}`");
            decoder.wrong(code::UNKNOWN_FIELD, entry.key_at, &join(path, key), message).hint =
                Some(format!("put the steps into one of type `{GROUP}`, or beside this one"));
        }
    }
}

fn condition(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Placed<String>> {
    // `if: true` is a boolean in YAML, and as good a formula as any.
    let text = match &node.value {
        slipway_yaml::Value::Bool(value) => value.to_string(),
        _ => decoder.text(node, path)?.to_owned(),
    };
    if let Err(error) = text.parse::<Condition>() {
        decoder.wrong(code::INVALID_CONDITION, node.at, path, error.to_string()).hint =
            Some("write e.g. `status.build.phase == \"succeeded\"`, or `always`".to_owned());
        return None;
    }
    Some(Placed { value: text, at: Some(decoder.place(node.at)) })
}

fn retry(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<StepRetry> {
    if !decoder.shaped(node, path, &RETRY) {
        return None;
    }
    // Both are read before either is missed: one mistake must not hide the other.
    let backoff_ms = backoff_ms(decoder, node, path);
    let limit = retry_limit(decoder, node, path);
    Some(StepRetry { limit: limit?, backoff_ms: backoff_ms? })
}

fn backoff_ms(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<u64> {
    let Some(value) = present(node, "backoff") else { return Some(StepRetry::BACKOFF_MS_DEFAULT) };
    let text = timeout(decoder, value, &join(path, "backoff"))?;
    let pause = duration::parse(&text.value).ok()?;
    u64::try_from(pause.as_millis()).ok()
}

fn retry_limit(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<u32> {
    let limit = present(node, "limit")?;
    let number = match &limit.value {
        slipway_yaml::Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    let number = number.filter(|number| (1..=StepRetry::LIMIT_MAX).contains(number));
    if number.is_none() {
        let message = format!("expected a number from 1 to {}", StepRetry::LIMIT_MAX);
        decoder.wrong(code::INVALID_RETRY, limit.at, &join(path, "limit"), message);
    }
    number
}

fn timeout(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Placed<String>> {
    let text = decoder.text(node, path)?;
    let message = match duration::parse(text) {
        Ok(time) if time <= Duration::from_millis(decoder.options.max_timeout_ms) => {
            return Some(Placed { value: text.to_owned(), at: Some(decoder.place(node.at)) });
        }
        Ok(_) => format!("longer than the limit max_timeout_ms, {}", decoder.options.max_timeout_ms),
        Err(error) => error.to_string(),
    };
    decoder.wrong(code::INVALID_TIMEOUT, node.at, path, message).hint =
        Some("write e.g. `30s`, `10m` or `1h30m`".to_owned());
    None
}
