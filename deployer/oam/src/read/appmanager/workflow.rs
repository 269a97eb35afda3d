//! AppManager's workflow steps.

use slipway_yaml::{Node, Value};

use super::tree::{self, Builder};
use super::{items_at, unknown_type};
use crate::decode::{Decoder, Shape, join, present};
use crate::{code, read};

const WORKFLOW: Shape = Shape { known: &["steps"], required: &["steps"] };
const STEP: Shape =
    Shape { known: &["type", "name", "stage", "inputs", "outputs", "properties"], required: &["type"] };
const APPLY: Shape = Shape { known: &["policies", "components", "rollout"], required: &[] };
const APPLY_COMPONENT: Shape = Shape { known: &["type", "name"], required: &["name"] };
/// When AppManager renders a step's components unless told otherwise.
const USUAL_STAGE: &str = "pre-render";

/// The workflow as v1beta1 has it. Steps for some components only add a policy that picks them.
pub(super) fn convert(decoder: &mut Decoder<'_>, node: &Node, policies: &mut Vec<Node>) -> Node {
    let mut steps = Vec::new();
    let mut at = node.at;
    if decoder.shaped(node, "workflow", &WORKFLOW) {
        let Some(list) = present(node, "steps") else { return Builder::at(at).build() };
        at = list.at;
        let max = decoder.options.max_steps;
        for (index, item) in decoder.items(list, "workflow.steps", max, "max_steps").iter().enumerate() {
            let path = read::application::item_path("workflow.steps", item, index, &["name", "type"]);
            if decoder.shaped(item, &path, &STEP) {
                steps.extend(step(decoder, item, &path, policies));
            }
        }
    }
    let steps = Node { at, value: Value::List(steps) };
    Builder::at(node.at).with("steps", steps).build()
}

fn step(decoder: &mut Decoder<'_>, node: &Node, path: &str, policies: &mut Vec<Node>) -> Option<Node> {
    if let Some(stage) = present(node, "stage").filter(|stage| stage.text() != Some(USUAL_STAGE)) {
        let message = format!("a step runs at its turn; only the stage `{USUAL_STAGE}` says so");
        decoder.wrong(code::INVALID_PROPERTY, stage.at, &join(path, "stage"), message).hint =
            Some("put the step before or after the others".to_owned());
    }
    let kind_at = present(node, "type")?;
    let kind = decoder.text(kind_at, &join(path, "type"))?;
    let mut properties = present(node, "properties").cloned();
    let kind = match kind {
        "apply-components" => {
            properties = apply(decoder, node, path, policies);
            "deploy"
        }
        "rollout-promotion" => {
            let hint = "let the trait `canary` pause, and put a `suspend` step after it".to_owned();
            unknown_type(decoder, kind_at, &join(path, "type"), kind, hint);
            return None;
        }
        "remoteDeploy" => {
            let hint = "name the other unit's environment in a topology policy".to_owned();
            unknown_type(decoder, kind_at, &join(path, "type"), kind, hint);
            return None;
        }
        other => other,
    };
    let mut built = Builder::at(node.at).with("type", tree::text(kind_at.at, kind));
    for key in ["name", "inputs", "outputs"] {
        if let Some(value) = present(node, key) {
            built.put(key, value.clone());
        }
    }
    if let Some(properties) = properties {
        built.put("properties", properties);
    }
    Some(built.build())
}

/// The properties of the `deploy` step that does what an `apply-components` step does.
fn apply(decoder: &mut Decoder<'_>, node: &Node, path: &str, policies: &mut Vec<Node>) -> Option<Node> {
    let properties = present(node, "properties")?;
    let path = join(path, "properties");
    if !decoder.shaped(properties, &path, &APPLY) {
        return None;
    }
    if let Some(rollout) = present(properties, "rollout") {
        let message = "a step has no rollout of its own";
        decoder.wrong(code::INVALID_PROPERTY, rollout.at, &join(&path, "rollout"), message).hint =
            Some("give the component the trait `canary` or `blue-green`".to_owned());
    }
    let mut names = match present(properties, "policies") {
        Some(node) => node.clone(),
        None => Node { at: properties.at, value: Value::List(Vec::new()) },
    };
    let mut picked = Vec::new();
    for (item, path) in items_at(decoder, properties, "components", &path) {
        if decoder.shaped(item, &path, &APPLY_COMPONENT) {
            picked.extend(present(item, "name").cloned());
        }
    }
    if let (false, Value::List(names)) = (picked.is_empty(), &mut names.value) {
        let at = present(properties, "components").map_or(properties.at, |node| node.at);
        let step = present(node, "name").and_then(Node::text).unwrap_or("apply");
        let name = tree::text(at, format!("{step}-components"));
        let selector = Node { at, value: Value::List(picked) };
        let policy = Builder::at(at)
            .with("name", name.clone())
            .with("type", tree::text(at, "override"))
            .with("properties", Builder::at(at).with("selector", selector).build());
        policies.push(policy.build());
        names.push(name);
    }
    Some(Builder::at(properties.at).with("policies", names).build())
}
