//! Decoding `components`.

use std::collections::BTreeMap;

use slipway_buildkits::suggestion::did_you_mean;
use slipway_buildkits::{Kit, Kits, VerbName, path as tree_path};
use slipway_types::name::ComponentName;
use slipway_yaml::{Node, Value};

use super::decode::{Decoder, join, join_pointer, shown};
use super::path::{InvalidRepositoryPath, RepositoryPath, WatchPattern};
use super::{Component, Positioned, Workload, graph};
use crate::backend::Choice;

/// What components are decoded against.
pub(super) struct Workspace<'k> {
    kits: &'k Kits,
}

const KNOWN: [&str; 10] =
    ["name", "kit", "context", "with", "needs", "watch", "secrets", "backend", "workload", "checks"];
const SECRET_CHARS_MAX: usize = 63;
const OVERRIDABLE_CHARS_MAX: usize = 200;

impl<'k> Workspace<'k> {
    pub(super) fn new(kits: &'k Kits) -> Self {
        Self { kits }
    }

    /// Every component, checked each by itself and then together.
    pub(super) fn components(
        &self,
        decoder: &mut Decoder<'_>,
        node: &Node,
        path: &str,
    ) -> Option<Vec<Component>> {
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            decoder.problem(node.at, path, "an application has at least one component");
            return None;
        }
        let items = decoder.items(node, path, decoder.options().max_components);
        let decoded: Vec<Option<Component>> =
            items.iter().map(|(item, path)| self.component(decoder, item, path)).collect();
        check_unique(decoder, &items);
        let components: Vec<Component> = decoded.iter().flatten().cloned().collect();
        // Names that could not be read might be the ones that are missing.
        if components.len() == items.len() {
            graph::check(decoder, &components);
        }
        (components.len() == items.len()).then_some(components)
    }

    fn component(&self, decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Component> {
        let required: &[&str] =
            if self.reads_no_files(node) { &["name", "kit"] } else { &["name", "kit", "context"] };
        let fields = decoder.fields(node, path, &KNOWN, required)?;
        let name = fields.get("name").and_then(|(node, path)| decoder.parsed::<ComponentName>(node, &path));
        let kit = fields.get("kit").and_then(|(node, path)| self.kit(decoder, node, &path));
        let context = match fields.get("context") {
            Some((node, path)) => located(decoder, node, &path, RepositoryPath::resolve),
            None => Self::own_directory(decoder, node, path),
        };
        let with = decoder.optional_mapping(&fields, "with");
        if let (Some((kit, _)), Some(with)) = (&kit, &with) {
            check_with(decoder, *kit, with);
        }
        let needs = fields.get("needs").map(|(node, path)| decoder.parsed_list(node, &path));
        let watch = fields.get("watch").map(|(node, path)| {
            decoder.distinct(node, &path, |decoder, node, path| {
                located(decoder, node, path, WatchPattern::resolve)
            })
        });
        let secrets = fields.get("secrets").map(|(node, path)| decoder.distinct(node, &path, secret));
        let backend = fields.get("backend").and_then(|(node, path)| decoder.parsed::<Choice>(node, &path));
        let workload = fields.get("workload").and_then(|(node, path)| workload(decoder, node, &path));
        Some(Component {
            at: node.at,
            name: name?,
            kit: kit?.1,
            context: context?,
            with: with?,
            needs: needs.unwrap_or_default(),
            watch: watch.unwrap_or_default(),
            secrets: secrets.unwrap_or_default(),
            backend,
            workload,
        })
    }

    /// Whether the component's kit only names an image, so that it may do without a context.
    fn reads_no_files(&self, node: &Node) -> bool {
        let kit = node.get("kit").and_then(Node::text).and_then(|name| self.kits.get(name));
        kit.is_some_and(|kit| kit.description().verbs.iter().all(|verb| *verb == VerbName::ImagePin))
    }

    /// Where a component without `context` lies: in the file's own directory.
    fn own_directory(decoder: &Decoder<'_>, node: &Node, path: &str) -> Option<Positioned<RepositoryPath>> {
        let value = RepositoryPath::resolve(tree_path::parent(decoder.file()), ".").ok()?;
        Some(Positioned { value, at: node.at, path: join(path, "context") })
    }

    fn kit(
        &self,
        decoder: &mut Decoder<'_>,
        node: &Node,
        path: &str,
    ) -> Option<(&'k dyn Kit, Positioned<String>)> {
        let text = decoder.text(node, path)?;
        let Some(kit) = self.kits.get(text) else {
            let message = format!("unknown kit `{}`", shown(text));
            decoder.problem(node.at, path, message).hint = Some(did_you_mean(text, &self.kits.names()));
            return None;
        };
        Some((kit, Positioned { value: text.to_owned(), at: node.at, path: path.to_owned() }))
    }
}

fn check_with(decoder: &mut Decoder<'_>, kit: &dyn Kit, with: &Positioned<Node>) {
    for problem in kit.check(&with.value.to_json()) {
        let node = with.value.pointer(&problem.pointer).unwrap_or(&with.value);
        let key_at = problem.key.as_deref().and_then(|key| node.entry(key)).map(|entry| entry.key_at);
        let path = join_pointer(&with.path, &problem.pointer);
        decoder.problem(key_at.unwrap_or(node.at), &path, problem.message).hint = problem.hint;
    }
}

/// Names must differ, also those of components that are wrong in other ways.
fn check_unique(decoder: &mut Decoder<'_>, items: &[(&Node, String)]) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (item, path) in items {
        let Some((node, name)) = item.get("name").and_then(|node| node.text().map(|name| (node, name)))
        else {
            continue;
        };
        if let Some(line) = seen.get(name) {
            let message = format!("the component `{}` is declared twice, first on line {line}", shown(name));
            decoder.problem(node.at, &join(path, "name"), message);
        } else {
            seen.insert(name, node.at.line);
        }
    }
}

/// A path or glob, from the file's directory.
fn located<T>(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    resolve: fn(&str, &str) -> Result<T, InvalidRepositoryPath>,
) -> Option<Positioned<T>> {
    let text = decoder.text(node, path)?;
    match resolve(tree_path::parent(decoder.file()), text) {
        Ok(value) => Some(Positioned { value, at: node.at, path: path.to_owned() }),
        Err(error) => {
            decoder.problem(node.at, path, error.to_string()).hint = error.hint.map(str::to_owned);
            None
        }
    }
}

fn secret(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Positioned<String>> {
    let text = decoder.text(node, path)?;
    let valid = text.len() <= SECRET_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    checked(decoder, node, path, text, valid, "a secret's name: letters, digits, `-`, `_` and `.`")
}

fn workload(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Workload> {
    let fields = decoder.fields(node, path, &["type", "properties", "overridable"], &["type"])?;
    let kind = fields.get("type").and_then(|(node, path)| {
        let text = decoder.text(node, &path)?;
        let valid = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        checked(decoder, node, &path, text, valid, "a workload type: lower-case letters, digits and `-`")
    });
    let properties = decoder.optional_mapping(&fields, "properties");
    let overridable =
        fields.get("overridable").map(|(node, path)| decoder.distinct(node, &path, property_path));
    Some(Workload { kind: kind?, properties: properties?, overridable: overridable.unwrap_or_default() })
}

/// `replicas`, `resources.limits`, `env.*`.
fn property_path(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Positioned<String>> {
    let text = decoder.text(node, path)?;
    let is_part = |part: &str| {
        part == "*"
            || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))
    };
    let valid = text.len() <= OVERRIDABLE_CHARS_MAX && text.split('.').all(is_part);
    checked(decoder, node, path, text, valid, "a property's path, such as `replicas` or `env.*`")
}

fn checked(
    decoder: &mut Decoder<'_>,
    node: &Node,
    path: &str,
    text: &str,
    valid: bool,
    wanted: &str,
) -> Option<Positioned<String>> {
    if !valid {
        decoder.problem(node.at, path, format!("`{}` is not {wanted}", shown(text)));
        return None;
    }
    Some(Positioned { value: text.to_owned(), at: node.at, path: path.to_owned() })
}
