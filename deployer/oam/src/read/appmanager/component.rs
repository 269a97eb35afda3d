//! AppManager's components and policies.

use std::collections::BTreeSet;

use slipway_yaml::{Node, Value};

use super::field::{self, Owner};
use super::tree::{self, Builder};
use super::{Variables, component_type, items_at, type_and_name, unknown_type};
use crate::decode::{Decoder, Shape, join, nearest, present, shown};
use crate::{Path, Segment, code};

const COMPONENT: Shape = Shape {
    known: &[
        "revisionName",
        "scopes",
        "parameterValues",
        "dataInputs",
        "dataOutputs",
        "dependencies",
        "traits",
    ],
    required: &["revisionName"],
};
const SCOPE: Shape = Shape { known: &["scopeRef"], required: &["scopeRef"] };
const SCOPE_REF: Shape =
    Shape { known: &["apiVersion", "kind", "name", "spec"], required: &["kind", "name"] };
const SCOPE_SPEC: Shape = Shape { known: &["autoCreate"], required: &[] };
const DEPENDENCY: Shape = Shape { known: &["component", "condition"], required: &["component"] };
const TRAIT: Shape = Shape {
    known: &["name", "runtime", "spec", "dataInputs", "dataOutputs", "parameterValues"],
    required: &["name"],
};
const POLICY: Shape = Shape { known: &["type", "name", "properties"], required: &["type"] };
/// AppManager's trait for a Service; the other traits go by their own names.
const SERVICE_TRAIT: &str = "service.trait.abm.io";

pub(super) fn convert_all(decoder: &mut Decoder<'_>, variables: &mut Variables, list: &Node) -> Node {
    let max = decoder.options.max_components;
    let items = decoder.items(list, "components", max, "max_components");
    let mut components = Vec::new();
    for (index, item) in items.iter().enumerate() {
        components.extend(component(decoder, variables, item, &path_of(item, "components", index), false));
    }
    Node { at: list.at, value: Value::List(components) }
}

fn path_of(item: &Node, list: &str, index: usize) -> String {
    let revision = item.get("revisionName").and_then(Node::text).unwrap_or_default();
    match revision.split('|').nth(1).filter(|name| name.parse::<slipway_types::ComponentName>().is_ok()) {
        Some(name) => format!("{list}[{name}]"),
        None => format!("{list}[{index}]"),
    }
}

/// A component as v1beta1 has it; inside an override policy only what is changed.
fn component(
    decoder: &mut Decoder<'_>,
    variables: &mut Variables,
    node: &Node,
    path: &str,
    in_override: bool,
) -> Option<Node> {
    if !decoder.shaped(node, path, &COMPONENT) {
        return None;
    }
    let mut built = Builder::at(node.at);
    let owner = revision(decoder, node, path, &mut built, in_override)?;
    let mut properties = Builder::at(node.at).build();
    field::parameters(decoder, variables, node, path, owner, &mut properties);
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    if !in_override {
        for input in field::data_inputs(decoder, node, path, owner) {
            for (target, at) in input.targets {
                declare_hole(&mut properties, &target, at);
                inputs.push(input_node(input.from, at, &target.to_string()));
            }
        }
        outputs.extend(field::data_outputs(decoder, node, path, "output"));
        scopes(decoder, node, path, &mut built);
        dependencies(decoder, node, path, &mut built);
    }
    let traits = traits(decoder, variables, node, path, &mut inputs, &mut outputs);
    built.put("properties", properties);
    for (key, items) in [("inputs", inputs), ("outputs", outputs), ("traits", traits)] {
        if !items.is_empty() {
            built.put(key, Node { at: node.at, value: Value::List(items) });
        }
    }
    Some(built.build())
}

/// `TYPE|name|version`.
fn revision(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    built: &mut Builder,
    in_override: bool,
) -> Option<Owner> {
    let revision = present(node, "revisionName")?;
    let path = join(path, "revisionName");
    let text = decoder.text(revision, &path)?;
    let split = text.rsplit_once('|').and_then(|(front, version)| Some((type_and_name(front)?, version)));
    let Some((component, version)) = split.filter(|(_, version)| !version.is_empty()) else {
        let message = format!("`{}` is not of the form TYPE|name|version", shown(text));
        decoder.wrong(code::INVALID_VALUE, revision.at, &path, message).hint =
            Some("write e.g. `K8S_MICROSERVICE|web|_`, where `_` is the bundle's version".to_owned());
        return None;
    };
    let kind = match component_type(component.kind) {
        Ok(kind) => kind,
        Err(hint) => {
            unknown_type(decoder, revision, &path, component.kind, hint);
            return None;
        }
    };
    built.put("name", tree::text(revision.at, component.name));
    // An override finds its components by name alone.
    if !in_override {
        built.put("type", tree::text(revision.at, kind));
        if version != "_" {
            let version = tree::text(revision.at, version);
            built.put("package", Builder::at(revision.at).with("version", version).build());
        }
    }
    Some(if kind == "helm" { Owner::Plain } else { Owner::Containers })
}

/// An input into `env[NAME].value` needs the entry it fills.
fn declare_hole(properties: &mut Node, target: &Path, at: &Node) {
    let [Segment::Key(list), Segment::Named(name), _] = target.segments() else { return };
    let item = Path::new(vec![
        Segment::Key(list.clone()),
        Segment::Named(name.clone()),
        Segment::Key("name".into()),
    ]);
    // What stands in the way is told when the properties are checked.
    drop(tree::set(properties, &item, tree::text(at.at, name.clone())));
}

fn input_node(from: &Node, at: &Node, parameter_key: &str) -> Node {
    let key = tree::text(at.at, parameter_key);
    Builder::at(from.at).with("from", from.clone()).with("parameterKey", key).build()
}

fn scopes(decoder: &mut Decoder<'_>, node: &Node, path: &str, built: &mut Builder) {
    let mut scopes = Builder::at(node.at);
    let mut seen = BTreeSet::new();
    for (item, path) in items_at(decoder, node, "scopes", path) {
        if !decoder.shaped(item, &path, &SCOPE) {
            continue;
        }
        let Some(reference) = present(item, "scopeRef") else { continue };
        let path = join(&path, "scopeRef");
        if !decoder.shaped(reference, &path, &SCOPE_REF) {
            continue;
        }
        if let Some(spec) = present(reference, "spec") {
            // Whether a namespace is made is the environment's matter.
            decoder.shaped(spec, &join(&path, "spec"), &SCOPE_SPEC);
        }
        let (Some(kind), Some(name)) =
            (decoder.text_at(reference, "kind", &path), present(reference, "name"))
        else {
            continue;
        };
        if seen.insert(kind.clone()) {
            scopes.put(&kind, name.clone());
        } else {
            let message = format!("the scope `{}` stands twice", shown(&kind));
            decoder.wrong(code::DUPLICATE_NAME, reference.at, &path, message);
        }
    }
    if !seen.is_empty() {
        built.put("scopes", scopes.build());
    }
}

fn dependencies(decoder: &mut Decoder<'_>, node: &Node, path: &str, built: &mut Builder) {
    let mut names = Vec::new();
    for (item, path) in items_at(decoder, node, "dependencies", path) {
        if !decoder.shaped(item, &path, &DEPENDENCY) {
            continue;
        }
        if let Some(condition) = present(item, "condition").filter(|node| node.text() != Some("")) {
            let message = "a dependency always holds, conditions are not evaluated";
            decoder.wrong(code::INVALID_PROPERTY, condition.at, &join(&path, "condition"), message).hint =
                Some("remove it, or use `if` of a workflow step".to_owned());
        }
        let Some(component) = present(item, "component") else { continue };
        let path = join(&path, "component");
        let Some(text) = decoder.text(component, &path) else { continue };
        match type_and_name(text) {
            Some(component_name) => names.push(tree::text(component.at, component_name.name)),
            None => {
                let message = format!("`{}` is not of the form TYPE|name", shown(text));
                decoder.wrong(code::INVALID_VALUE, component.at, &path, message);
            }
        }
    }
    if !names.is_empty() {
        built.put("dependsOn", Node { at: node.at, value: Value::List(names) });
    }
}

fn traits(
    decoder: &mut Decoder<'_>,
    variables: &mut Variables,
    node: &Node,
    path: &str,
    inputs: &mut Vec<Node>,
    outputs: &mut Vec<Node>,
) -> Vec<Node> {
    let mut traits = Vec::new();
    for (item, path) in items_at(decoder, node, "traits", path) {
        if !decoder.shaped(item, &path, &TRAIT) {
            continue;
        }
        let (Some(name), Some(name_at)) = (decoder.text_at(item, "name", &path), present(item, "name"))
        else {
            continue;
        };
        let mut properties = match present(item, "spec") {
            Some(spec) => variables.fill(decoder, spec, &join(&path, "spec")),
            None => Builder::at(item.at).build(),
        };
        field::parameters(decoder, variables, item, &path, Owner::Plain, &mut properties);
        let kind = match name.as_str() {
            SERVICE_TRAIT if service_ports(decoder, &mut properties, name_at, &path) => "expose".to_owned(),
            _ => name,
        };
        for input in field::data_inputs(decoder, item, &path, Owner::Plain) {
            for (target, at) in input.targets {
                let key = crate::Target::Trait { key: kind.clone(), path: target };
                inputs.push(input_node(input.from, at, &key.to_string()));
            }
        }
        outputs.extend(field::data_outputs(decoder, item, &path, &format!("outputs[{kind}]")));
        let mut built = Builder::at(item.at).with("type", tree::text(name_at.at, kind));
        built.put("properties", properties);
        if let Some(runtime) = present(item, "runtime") {
            built.put("phase", runtime.clone());
        }
        traits.push(built.build());
    }
    traits
}

/// Makes the ports of AppManager's Service trait those of `expose`, which has one number for a port.
fn service_ports(decoder: &mut Decoder<'_>, properties: &mut Node, name: &Node, path: &str) -> bool {
    let ports = tree::entry_mut(properties, "ports").map(|ports| &mut ports.value);
    let Some(Value::List(ports)) = ports else { return true };
    let differs = |port: &&Node| {
        present(port, "targetPort")
            .is_some_and(|target| Some(&target.value) != port.get("port").map(|n| &n.value))
    };
    if let Some(port) = ports.iter().find(differs) {
        let message = format!("`{SERVICE_TRAIT}` maps a port to another one, and no trait here does");
        let at = present(port, "targetPort").unwrap_or(name);
        decoder.wrong(code::UNKNOWN_DEFINITION, at.at, path, message).hint = Some(
            "let the developers declare it: `ports: [{port: 80, containerPort: 5000, expose: true}]`"
                .to_owned(),
        );
        return false;
    }
    for port in ports {
        if let Value::Map(entries) = &mut port.value {
            entries.retain(|entry| entry.key != "targetPort");
        }
    }
    true
}

pub(super) fn convert_policies(
    decoder: &mut Decoder<'_>,
    variables: &mut Variables,
    list: &Node,
    spec: &Node,
) -> Vec<Node> {
    let max = decoder.options.max_policies;
    let declared = declared_outputs(spec);
    let mut policies = Vec::new();
    for (index, item) in decoder.items(list, "policies", max, "max_policies").iter().enumerate() {
        let path = crate::read::application::item_path("policies", item, index, &["name", "type"]);
        if !decoder.shaped(item, &path, &POLICY) {
            continue;
        }
        let mut policy = item.clone();
        if let Some(properties) = tree::entry_mut(&mut policy, "properties") {
            *properties = variables.fill(decoder, properties, &join(&path, "properties"));
            if let Some(components) = tree::entry_mut(properties, "components") {
                override_components(decoder, variables, components, &path, &declared);
            }
        }
        policies.push(policy);
    }
    policies
}

/// Rewrites those components of an override that are written in AppManager's way.
fn override_components(
    decoder: &mut Decoder<'_>,
    variables: &mut Variables,
    components: &mut Node,
    path: &str,
    declared: &BTreeSet<&str>,
) {
    let Value::List(items) = &mut components.value else { return };
    let list = format!("{path}.properties.components");
    for (index, item) in items.iter_mut().enumerate() {
        if present(item, "revisionName").is_none() {
            continue;
        }
        let path = path_of(item, &list, index);
        for input in field::data_inputs(decoder, item, &path, Owner::Plain) {
            no_input_here(decoder, input.from, &input.path, declared);
        }
        if let Some(converted) = component(decoder, variables, item, &path, true) {
            *item = converted;
        }
    }
}

/// An override may not take outputs; where the output does not even exist, that is said instead.
fn no_input_here(decoder: &mut Decoder<'_>, from: &Node, path: &str, declared: &BTreeSet<&str>) {
    let Some(name) = decoder.text(from, path) else { return };
    if declared.contains(name) {
        let message = "an override cannot take outputs";
        decoder.wrong(code::INVALID_PROPERTY, from.at, path, message).hint =
            Some("move it into `dataInputs` of the component itself".to_owned());
    } else {
        let message = format!("nothing gives the output `{}`", shown(name));
        let near = nearest(name, declared.iter().copied());
        decoder.wrong(code::UNKNOWN_OUTPUT, from.at, path, message).hint = Some(near.map_or_else(
            || "remove it, or declare the output".to_owned(),
            |word| format!("did you mean `{word}`?"),
        ));
    }
}

/// The names of all `dataOutputs`, as far as they can be read.
fn declared_outputs(spec: &Node) -> BTreeSet<&str> {
    let components = present(spec, "components").map(Node::items).unwrap_or_default();
    let owners = components.iter().flat_map(|component| {
        std::iter::once(component).chain(present(component, "traits").map(Node::items).unwrap_or_default())
    });
    let outputs = owners.flat_map(|owner| present(owner, "dataOutputs").map(Node::items).unwrap_or_default());
    outputs.filter_map(|output| output.get("name").and_then(Node::text)).collect()
}
