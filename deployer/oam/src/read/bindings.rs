//! Decoding `dependsOn`, `inputs` and `outputs`.

use slipway_yaml::Node;

use crate::binding::{InvalidBinding, Source, Target};
use crate::decode::{Decoder, Shape, join, present, shown};
use crate::{Input, Output, Placed, code};

const INPUT: Shape = Shape { known: &["from", "parameterKey"], required: &["from"] };
const COMPONENT_INPUT: Shape =
    Shape { known: &["from", "parameterKey"], required: &["from", "parameterKey"] };
const OUTPUT: Shape = Shape { known: &["name", "valueFrom"], required: &["name", "valueFrom"] };
/// The longest name of an output, in characters.
const OUTPUT_CHARS_MAX: usize = 128;

/// Whose inputs are decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Component,
    Step,
}

pub(super) fn depends_on(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Vec<Placed<String>> {
    let Some(list) = present(node, "dependsOn") else { return Vec::new() };
    let path = join(path, "dependsOn");
    let max = decoder.options.max_items;
    let mut names: Vec<Placed<String>> = Vec::new();
    for (index, item) in decoder.items(list, &path, max, "max_items").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(text) = decoder.text(item, &path) else { continue };
        if names.iter().any(|name| name.value == text) {
            let message = format!("`{}` stands twice", shown(text));
            decoder.wrong(code::DUPLICATE_NAME, item.at, &path, message).hint = Some("remove one".to_owned());
        }
        names.push(Placed { value: text.to_owned(), at: Some(decoder.place(item.at)) });
    }
    names
}

pub(super) fn inputs(decoder: &mut Decoder<'_>, node: &Node, path: &str, of: Of) -> Vec<Input> {
    let Some(list) = present(node, "inputs") else { return Vec::new() };
    let path = join(path, "inputs");
    let max = decoder.options.max_items;
    let mut inputs: Vec<Input> = Vec::new();
    for (index, item) in decoder.items(list, &path, max, "max_items").iter().enumerate() {
        let path = format!("{path}[{index}]");
        // A step may use what it takes in its `if` alone.
        let shape = if of == Of::Component { &COMPONENT_INPUT } else { &INPUT };
        if !decoder.shaped(item, &path, shape) {
            continue;
        }
        let from = output_name(decoder, item, "from", &path);
        let parameter_key = present(item, "parameterKey").and_then(|key| target(decoder, key, &path, of));
        let Some(from) = from else { continue };
        inputs.push(Input { from, parameter_key, at: Some(decoder.place(item.at)) });
    }
    two_writers(decoder, &inputs, &path);
    inputs
}

/// The text of a `parameterKey` that can be read.
fn target(decoder: &mut Decoder<'_>, node: &Node, path: &str, of: Of) -> Option<String> {
    let path = join(path, "parameterKey");
    let text = decoder.text(node, &path)?;
    match text.parse::<Target>() {
        Ok(Target::Trait { .. }) if of == Of::Step => {
            let message = format!("`{}` names a trait, and steps have none", shown(text));
            decoder.wrong(code::INVALID_PROPERTY, node.at, &path, message);
            None
        }
        Ok(_) => Some(text.to_owned()),
        Err(error) => {
            let hint = match of {
                Of::Component => {
                    "write e.g. `env[0].value`, `values.db.host` or `traits[hpa].properties.max`"
                }
                Of::Step => "write the property it fills, e.g. `url` or `body.host`",
            };
            decoder.wrong(code::INVALID_PROPERTY, node.at, &path, error.to_string()).hint =
                Some(hint.to_owned());
            None
        }
    }
}

/// Two inputs must not fill one property.
fn two_writers(decoder: &mut Decoder<'_>, inputs: &[Input], path: &str) {
    let targets: Vec<Option<Target>> =
        inputs.iter().map(|input| input.parameter_key.as_ref()?.parse().ok()).collect();
    for (index, target) in targets.iter().enumerate() {
        let Some(shown) = target.as_ref().map(ToString::to_string) else { continue };
        if targets[..index].contains(target) {
            let message = format!("two inputs fill `{shown}`");
            let mut violation = slipway_types::Violation::new(
                code::FIELD_CONFLICT,
                format!("{path}[{index}].parameterKey"),
                message,
            );
            violation.at.clone_from(&inputs[index].at);
            decoder.violations.push(violation.hint("keep the one that is meant"));
        }
    }
}

pub(super) fn outputs(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Vec<Output> {
    let Some(list) = present(node, "outputs") else { return Vec::new() };
    let path = join(path, "outputs");
    let max = decoder.options.max_items;
    let mut outputs = Vec::new();
    for (index, item) in decoder.items(list, &path, max, "max_items").iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !decoder.shaped(item, &path, &OUTPUT) {
            continue;
        }
        let name = output_name(decoder, item, "name", &path);
        let value_from = present(item, "valueFrom").and_then(|value| source(decoder, value, &path));
        if let (Some(name), Some(value_from)) = (name, value_from) {
            outputs.push(Output { name, value_from, at: Some(decoder.place(item.at)) });
        }
    }
    outputs
}

fn source(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let path = join(path, "valueFrom");
    let text = decoder.text(node, &path)?;
    // Who takes the output shall not be told that there is none.
    if let Err(error) = text.parse::<Source>() {
        let message = match error {
            InvalidBinding::Path(_) => {
                format!("`{}` is no plain field: expressions are not evaluated", shown(text))
            }
            error => error.to_string(),
        };
        decoder.wrong(code::INVALID_PROPERTY, node.at, &path, message).hint =
            Some("write a field such as `output.status.host`, and join texts where it is used".to_owned());
    }
    Some(text.to_owned())
}

/// The name of an output. AppManager's may hold dots.
fn output_name(decoder: &mut Decoder<'_>, node: &Node, key: &str, path: &str) -> Option<String> {
    let value = present(node, key)?;
    let path = join(path, key);
    let text = decoder.text(value, &path)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if text.is_empty() || text.len() > OUTPUT_CHARS_MAX || !text.chars().all(allowed) {
        let message = format!("`{}` is no name of an output: letters, digits, `-`, `_` and `.`", shown(text));
        decoder.wrong(code::INVALID_NAME, value.at, &path, message);
        return None;
    }
    Some(text.to_owned())
}
