//! Inputs: values that are known only when another node is ready, and the holes they fill.
//!
//! Before rendering, a text that cannot be anything else is put where the operator wants the value.
//! Where it turns up alone in an object is a hole; where it turns up inside a longer text, the
//! definition has computed with it, and that cannot be frozen.

use serde_json::Value;
use slipway_handoff::{Hole, HoleType, Input, Node, NodeName, Pointer};
use slipway_oam::{Application, Component, Properties, Step, Target};
use slipway_types::Violation;

use super::drawing::Drawing;
use super::{Chosen, steps};

/// What stands for an output's value until it is known.
pub(super) fn placeholder(output: &str) -> String {
    format!("slipway-output.{output}.hole")
}

/// Puts placeholders where inputs point; what cannot take one is a violation.
pub(super) fn place(application: &mut Application) -> Vec<Violation> {
    let mut violations = Vec::new();
    for component in &mut application.components {
        let path = format!("components[{}]", component.name);
        for (index, input) in component.inputs.clone().into_iter().enumerate() {
            let Some(key) = &input.parameter_key else { continue };
            let Ok(target) = key.parse::<Target>() else { continue };
            if !fill_one(component, &target, &placeholder(&input.from)) {
                let message = format!("`{key}` is no place that a value could be put");
                violations.push(
                    Violation::new("invalid_property", format!("{path}.inputs[{index}]"), message)
                        .at(input.at.clone())
                        .hint("name a property, e.g. properties.env[0].value; the list must have the item"),
                );
            }
        }
    }
    violations
}

/// The same for a step, whose inputs fill its own properties.
pub(super) fn place_in_step(step: &mut Step, path: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, input) in step.inputs.clone().into_iter().enumerate() {
        let filled = match input.parameter_key.as_ref().map(|key| key.parse::<Target>()) {
            Some(Ok(Target::Properties(path))) => {
                fill_at(&mut step.properties, &path, &placeholder(&input.from))
            }
            Some(_) => false,
            // Its only use is in the condition.
            None if step.condition.is_some() => true,
            None => false,
        };
        if !filled {
            violations.push(
                Violation::new(
                    "invalid_property",
                    format!("{path}.inputs[{index}]"),
                    "it fills no property of the step",
                )
                .at(input.at.clone())
                .hint("name one in `parameterKey`, e.g. env[0].value; a list must have the item"),
            );
        }
    }
    violations
}

fn fill_one(component: &mut Component, target: &Target, text: &str) -> bool {
    let (properties, path) = match target {
        Target::Properties(path) => (&mut component.properties, path),
        Target::Trait { key, path } => {
            let Some(index) = (0..component.traits.len()).find(|index| component.trait_key(*index) == *key)
            else {
                return false;
            };
            (&mut component.traits[index].properties, path)
        }
    };
    fill_at(properties, path, text)
}

fn fill_at(properties: &mut Properties, path: &slipway_oam::Path, text: &str) -> bool {
    let mut value = Value::Object(std::mem::take(properties));
    let filled = path.fill(&mut value, Value::String(text.to_owned()));
    if let Value::Object(fields) = value {
        *properties = fields;
    }
    filled
}

/// Who takes a value: where it stands, and the nodes with its objects.
struct Taker {
    path: String,
    what: String,
    nodes: Vec<NodeName>,
}

/// Finds the holes in every object, and binds them to the nodes that give the values.
pub(super) fn fill(drawing: &mut Drawing, chosen: &Chosen) {
    let givers: Vec<(String, NodeName)> = drawing
        .nodes
        .iter()
        .flat_map(|(node, drawn)| drawn.outputs.keys().map(move |output| (output.clone(), node.clone())))
        .collect();
    for component in &chosen.merged.application().components {
        let own = |node: &Node| node.component.as_ref().is_some_and(|name| *name.as_str() == component.name);
        let nodes = drawing.nodes.iter().filter(|(_, node)| own(node)).map(|(name, _)| name.clone());
        let taker = Taker {
            path: format!("components[{}]", chosen.merged.original_of(&component.name)),
            what: format!("`{}`", component.name),
            nodes: nodes.collect(),
        };
        take(drawing, &givers, &taker, &component.inputs);
    }
    for step in chosen.steps.iter().filter(|step| step.here) {
        let node = steps::node_of(step);
        let taker = Taker {
            path: step.path.clone(),
            what: format!("the step `{}`", step.step.name),
            nodes: drawing.nodes.keys().filter(|name| **name == node).cloned().collect(),
        };
        take(drawing, &givers, &taker, &step.step.inputs);
    }
}

fn take(drawing: &mut Drawing, givers: &[(String, NodeName)], taker: &Taker, inputs: &[slipway_oam::Input]) {
    for input in inputs.iter().filter(|input| input.parameter_key.is_some()) {
        let Some((_, giver)) = givers.iter().find(|(output, _)| *output == input.from) else {
            let message = format!("nothing gives an output `{}` here", input.from);
            let path = format!("{}.inputs[{}]", taker.path, input.from);
            drawing.wrong(Violation::new("unknown_output", path, message).at(input.at.clone()));
            continue;
        };
        bind(drawing, taker, input, giver);
    }
}

fn bind(drawing: &mut Drawing, taker: &Taker, input: &slipway_oam::Input, giver: &NodeName) {
    let (output, text) = (&input.from, placeholder(&input.from));
    let path = format!("{}.inputs[{output}]", taker.path);
    let mut found = false;
    for name in &taker.nodes {
        let mut holes = Vec::new();
        for object in drawing.nodes[name].objects.clone() {
            let Some(manifest) = drawing.manifest(&object.manifest) else { continue };
            let mut places = Vec::new();
            let mut computed = false;
            search(&manifest, &text, String::new(), &mut places, &mut computed);
            if computed {
                let message =
                    format!("the value of `{output}` is used inside a longer text of {}", object.object);
                drawing.wrong(
                    Violation::new("invalid_property", path.clone(), message)
                        .at(input.at.clone())
                        .hint("a value that is known later can only fill a field alone"),
                );
            }
            holes.extend(places.into_iter().filter_map(|place| {
                let path: Pointer = place.parse().ok()?;
                Some(Hole { object: object.object.clone(), path, accepts: HoleType::String })
            }));
        }
        if holes.is_empty() {
            continue;
        }
        found = true;
        if let Some(node) = drawing.nodes.get_mut(name) {
            node.needs.insert(giver.clone());
            node.inputs.push(Input { node: giver.clone(), output: output.clone(), holes });
        }
    }
    if !found {
        let message = format!("the value of `{output}` reaches no object of {}", taker.what);
        drawing.wrong(
            Violation::new("invalid_property", path, message)
                .at(input.at.clone())
                .hint("values that are known later fill fields of objects alone"),
        );
    }
}

fn search(value: &Value, text: &str, at: String, places: &mut Vec<String>, computed: &mut bool) {
    match value {
        Value::String(found) if found == text => places.push(at),
        Value::String(found) => *computed |= found.contains(text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, text, format!("{at}/{index}"), places, computed);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let step = key.replace('~', "~0").replace('/', "~1");
                search(item, text, format!("{at}/{step}"), places, computed);
            }
        }
        _ => {}
    }
}
