//! Decoding `core.oam.dev/v1beta1` Applications.

use std::collections::BTreeMap;

use slipway_types::Version;
use slipway_types::name::{BareApplicationName, ChannelName, ComponentName};
use slipway_types::selection::{LabelSelector, VersionRange};
use slipway_yaml::{Node, Value};

use super::{Document, bindings, workflow};
use crate::decode::{Decoder, Shape, join, present, shown};
use crate::{Application, Choice, Component, Phase, Placed, Places, Policy, Trait, code};

const ROOT: Shape =
    Shape { known: &["apiVersion", "kind", "metadata", "spec"], required: &["metadata", "spec"] };
const METADATA: Shape = Shape { known: &["name", "namespace", "labels", "annotations"], required: &["name"] };
const SPEC: Shape = Shape { known: &["bundle", "components", "policies", "workflow"], required: &[] };
const COMPONENT: Shape = Shape {
    known: &[
        "name",
        "type",
        "package",
        "externalRevision",
        "properties",
        "dependsOn",
        "inputs",
        "outputs",
        "traits",
        "scopes",
    ],
    required: &["name"],
};
const TRAIT: Shape = Shape { known: &["type", "properties", "disable", "phase"], required: &["type"] };
const POLICY: Shape = Shape { known: &["name", "type", "properties"], required: &["type"] };
/// The longest name of a policy, step, output or type, in characters.
const WORD_CHARS_MAX: usize = 63;

/// Reads a root that is known to be an Application of v1beta1, or was converted into one.
pub(crate) fn decode(decoder: &mut Decoder<'_>, root: Node) -> Option<Document> {
    if !decoder.shaped(&root, "", &ROOT) {
        return None;
    }
    let mut application = Application { at: Some(decoder.place(root.at)), ..Application::default() };
    if let Some(node) = present(&root, "metadata") {
        metadata(decoder, node, &mut application);
    }
    told_by_the_server(&mut decoder.violations);
    let spec = present(&root, "spec").filter(|spec| decoder.shaped(spec, "spec", &SPEC));
    if let Some(spec) = spec {
        application.bundle = choice(decoder, spec, "bundle", "bundle", BUNDLE);
        application.components = components(decoder, spec);
        application.policies = policies(decoder, spec);
        application.workflow = workflow::decode(decoder, spec);
    }
    Some(Document { application, places: Places::new(decoder.file, root) })
}

/// Fields that an export from a cluster carries: the hint names the cause, not a similar field.
fn told_by_the_server(violations: &mut [slipway_types::Violation]) {
    const WRITTEN: [&str; 8] = [
        "status",
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.generation",
        "metadata.creationTimestamp",
        "metadata.managedFields",
        "metadata.finalizers",
        "metadata.ownerReferences",
    ];
    let unknown = violations.iter_mut().filter(|violation| violation.code == code::UNKNOWN_FIELD);
    for violation in unknown.filter(|violation| WRITTEN.contains(&violation.path.as_str())) {
        violation.hint = Some("a cluster wrote this; remove it".to_owned());
    }
}

fn metadata(decoder: &mut Decoder<'_>, node: &Node, application: &mut Application) {
    if !decoder.shaped(node, "metadata", &METADATA) {
        return;
    }
    if let Some(name) = present(node, "name") {
        let name = decoder.parses::<BareApplicationName>(name, "metadata.name", code::INVALID_NAME);
        application.name = name.unwrap_or_default();
    }
    application.namespace = decoder.text_at(node, "namespace", "metadata");
    let mut texts = |key: &str| match present(node, key) {
        Some(inner) => decoder.texts(inner, &join("metadata", key)),
        None => BTreeMap::new(),
    };
    application.labels = texts("labels");
    application.annotations = texts("annotations");
}

type ChoiceKeys = &'static [&'static str];
const BUNDLE: ChoiceKeys = &["version", "channel", "selector", "range"];
const PACKAGE: ChoiceKeys = &["version", "channel", "selector"];

/// Exactly one of `keys`.
fn choice(
    decoder: &mut Decoder<'_>,
    parent: &Node,
    key: &str,
    path: &str,
    keys: ChoiceKeys,
) -> Option<Placed<Choice>> {
    let node = present(parent, key)?;
    if !decoder.shaped(node, path, &Shape { known: keys, required: &[] }) {
        return None;
    }
    let given: Vec<&str> = keys.iter().copied().filter(|key| present(node, key).is_some()).collect();
    let [key] = given[..] else {
        let message = if given.is_empty() { "no choice is made" } else { "more than one choice is made" };
        let hint = format!("give exactly one of `{}`", keys.join("`, `"));
        decoder.wrong(code::INVALID_VALUE, node.at, path, message).hint = Some(hint);
        return None;
    };
    let (value, path) = (present(node, key)?, join(path, key));
    let invalid = code::INVALID_VALUE;
    let value = match key {
        "version" => Choice::Version(decoder.parses::<Version>(value, &path, invalid)?),
        "channel" => Choice::Channel(decoder.parses::<ChannelName>(value, &path, invalid)?),
        "selector" => Choice::Selector(decoder.parses::<LabelSelector>(value, &path, invalid)?),
        _ => Choice::Range(decoder.parses::<VersionRange>(value, &path, invalid)?),
    };
    Some(Placed { value, at: Some(decoder.place(node.at)) })
}

/// Where an item is named in paths: by its name, else by its number.
pub(super) fn item_path(list: &str, item: &Node, index: usize, keys: &[&str]) -> String {
    let named = keys.iter().find_map(|key| item.get(key).and_then(Node::text));
    match named.filter(|name| is_word(name)) {
        Some(name) => format!("{list}[{name}]"),
        None => format!("{list}[{index}]"),
    }
}

/// Whether this can name a policy, step or output.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= WORD_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The type at `key`; whether there is such a definition is not known here.
pub(super) fn kind(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<String> {
    let value = present(node, "type")?;
    let path = join(path, "type");
    let text = decoder.text(value, &path)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./@".contains(&b);
    if text.len() > WORD_CHARS_MAX
        || !text.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !text.bytes().all(allowed)
    {
        let message = format!("`{}` is no type: letters, digits, `-`, `_`, `.` and `/`", shown(text));
        decoder.wrong(code::INVALID_NAME, value.at, &path, message);
        return None;
    }
    Some(text.to_owned())
}

/// The name at `key`, which must be a word.
pub(super) fn word(decoder: &mut Decoder<'_>, node: &Node, key: &str, path: &str) -> Option<String> {
    let value = present(node, key)?;
    let path = join(path, key);
    let text = decoder.text(value, &path)?;
    if !is_word(text) {
        let message = format!(
            "`{}` is no name: letters, digits, `-`, `_` and `.`, a letter first, at most {WORD_CHARS_MAX}",
            shown(text)
        );
        decoder.wrong(code::INVALID_NAME, value.at, &path, message);
        return None;
    }
    Some(text.to_owned())
}

fn components(decoder: &mut Decoder<'_>, spec: &Node) -> Vec<Component> {
    let Some(node) = present(spec, "components") else { return Vec::new() };
    let max = decoder.options.max_components;
    let items = decoder.items(node, "components", max, "max_components").iter().enumerate();
    let mut components: Vec<Component> = items
        .map(|(index, item)| component(decoder, item, &item_path("components", item, index, &["name"])))
        .collect();
    let names = components.iter().map(|component| (component.name.as_str(), component.at.as_ref()));
    distinct(&mut decoder.violations, names, "component", |name| format!("components[{name}]"));
    components.retain(|component| !component.name.is_empty());
    components
}

fn component(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Component {
    let mut component = Component { at: Some(decoder.place(node.at)), ..Component::default() };
    if !decoder.shaped(node, path, &COMPONENT) {
        return component;
    }
    if let Some(name) = present(node, "name") {
        let name = decoder.parses::<ComponentName>(name, &join(path, "name"), code::INVALID_NAME);
        component.name = name.unwrap_or_default();
    }
    component.kind = kind(decoder, node, path);
    component.package = choice(decoder, node, "package", &join(path, "package"), PACKAGE);
    component.external_revision = decoder.text_at(node, "externalRevision", path);
    component.properties = decoder.properties(node, path);
    component.depends_on = bindings::depends_on(decoder, node, path);
    component.inputs = bindings::inputs(decoder, node, path, bindings::Of::Component);
    component.outputs = bindings::outputs(decoder, node, path);
    component.traits = traits(decoder, node, path);
    if let Some(scopes) = present(node, "scopes") {
        component.scopes = decoder.texts(scopes, &join(path, "scopes"));
    }
    component
}

fn traits(decoder: &mut Decoder<'_>, component: &Node, path: &str) -> Vec<Trait> {
    let Some(node) = present(component, "traits") else { return Vec::new() };
    let path = join(path, "traits");
    let max = decoder.options.max_traits;
    let items = decoder.items(node, &path, max, "max_traits").iter().enumerate();
    let mut traits: Vec<Trait> = items
        .map(|(index, item)| a_trait(decoder, item, &item_path(&path, item, index, &["type"])))
        .collect();
    let keys: Vec<String> = traits
        .iter()
        .map(|this| {
            this.instance().map_or(this.kind.clone(), |name| format!("{} {}", this.kind, shown(name)))
        })
        .collect();
    let names = keys.iter().map(String::as_str).zip(traits.iter().map(|this| this.at.as_ref()));
    let kind_of = |key: &str| key.split(' ').next().unwrap_or_default().to_owned();
    distinct(&mut decoder.violations, names, "trait", |key| format!("{path}[{}]", kind_of(key)));
    traits.retain(|this| !this.kind.is_empty());
    traits
}

fn a_trait(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Trait {
    let mut this = Trait { at: Some(decoder.place(node.at)), ..Trait::default() };
    if !decoder.shaped(node, path, &TRAIT) {
        return this;
    }
    this.kind = kind(decoder, node, path).unwrap_or_default();
    this.properties = decoder.properties(node, path);
    if let Some(disable) = present(node, "disable") {
        match disable.value {
            Value::Bool(value) => this.disable = value,
            _ => {
                let message = format!("expected true or false, found {}", disable.kind());
                decoder.wrong(code::WRONG_TYPE, disable.at, &join(path, "disable"), message);
            }
        }
    }
    this.phase = present(node, "phase").and_then(|phase| {
        decoder.word(phase, &join(path, "phase"), &[("pre", Phase::Pre), ("post", Phase::Post)])
    });
    this
}

fn policies(decoder: &mut Decoder<'_>, spec: &Node) -> Vec<Policy> {
    let Some(node) = present(spec, "policies") else { return Vec::new() };
    let max = decoder.options.max_policies;
    let items = decoder.items(node, "policies", max, "max_policies").iter().enumerate();
    let mut policies: Vec<Policy> = items
        .map(|(index, item)| policy(decoder, item, &item_path("policies", item, index, &["name", "type"])))
        .collect();
    let names = policies.iter().map(|policy| (policy.name.as_str(), policy.at.as_ref()));
    distinct(&mut decoder.violations, names, "policy", |name| format!("policies[{name}]"));
    policies.retain(|policy| !policy.name.is_empty() && !policy.kind.is_empty());
    policies
}

fn policy(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Policy {
    let mut policy = Policy { at: Some(decoder.place(node.at)), ..Policy::default() };
    if !decoder.shaped(node, path, &POLICY) {
        return policy;
    }
    policy.kind = kind(decoder, node, path).unwrap_or_default();
    policy.name = match present(node, "name") {
        Some(_) => word(decoder, node, "name", path).unwrap_or_default(),
        None => policy.kind.clone(),
    };
    policy.properties = decoder.properties(node, path);
    policy
}

/// Reports names that stand twice; those that could not be read are not compared.
pub(super) fn distinct<'n>(
    violations: &mut Vec<slipway_types::Violation>,
    names: impl Iterator<Item = (&'n str, Option<&'n slipway_types::Place>)>,
    what: &str,
    path: impl Fn(&str) -> String,
) {
    let mut seen: BTreeMap<&str, Option<&slipway_types::Place>> = BTreeMap::new();
    for (name, at) in names.filter(|(name, _)| !name.is_empty()) {
        if let Some(first) = seen.get(name) {
            let line = first.map_or(String::new(), |place| format!(", first on line {}", place.line));
            let hint = match what {
                "trait" => "tell traits of one type apart by `properties.name`, or remove one",
                _ => "give each a name of its own",
            };
            let message = format!("the {what} `{}` stands twice{line}", shown(name));
            let violation = slipway_types::Violation::new(code::DUPLICATE_NAME, path(name), message);
            violations.push(violation.at(at.cloned()).hint(hint));
        } else {
            seen.insert(name, at);
        }
    }
}
