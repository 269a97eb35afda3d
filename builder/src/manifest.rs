//! `slipway.yaml`: read, checked as far as it can be without the tree, every field with its place.
//!
//! What needs the tree (a missing context, a link leading outside) the planner checks later and
//! reports at the places kept here.

mod check;
mod component;
mod decode;
mod graph;
mod path;
mod problem;
mod view;

use std::collections::BTreeMap;

use slipway_buildkits::{Declaration, Kits};
use slipway_types::image::Platform;
use slipway_types::label::{InvalidLabel, LabelKey, LabelValue};
use slipway_types::name::{ApplicationName, ComponentName};
use slipway_yaml::{self as yaml, Node, Position, References, YamlOptions};

pub use check::{Check, CheckIn, TIMEOUT_SECONDS_DEFAULT};
pub use path::{InvalidRepositoryPath, RepositoryPath, WatchPattern};
pub use problem::{Problem, Problems};
pub use view::{ComponentView, ManifestView, WorkloadView};

use crate::backend::Choice;

use component::Workspace;
use decode::Decoder;

/// The published JSON Schema of `slipway.yaml`, for editors.
pub const SCHEMA_JSON: &str = include_str!("manifest/slipway.schema.json");

/// A value and where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positioned<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub at: Position,
    /// Which field it is, e.g. `components[1].context`.
    pub path: String,
}

/// Limits of one `slipway.yaml`.
#[derive(Debug, Clone)]
pub struct ManifestOptions {
    /// The longest file, in bytes.
    pub max_manifest_bytes: usize,
    /// The deepest nesting.
    pub max_depth: usize,
    /// The most values and keys together.
    pub max_nodes: usize,
    /// The most components.
    pub max_components: usize,
    /// The most items of any list of a component, and of labels.
    pub max_items: usize,
    /// The most problems reported at once.
    pub max_problems: usize,
}

impl Default for ManifestOptions {
    fn default() -> Self {
        Self {
            max_manifest_bytes: 1 << 20,
            max_depth: 32,
            max_nodes: 50_000,
            max_components: 200,
            max_items: 100,
            max_problems: 100,
        }
    }
}

/// A checked `slipway.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file's path from the repository's top.
    pub file: String,
    /// The application it speaks of; must be the one that received the push.
    pub name: Positioned<ApplicationName>,
    /// Labels, already under `source/`.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Platforms for components whose `with` names none.
    pub platforms: Vec<Positioned<Platform>>,
    /// The back-end for components that name none.
    pub backend: Option<Positioned<Choice>>,
    /// The components in the file's order, never none.
    pub components: Vec<Component>,
    /// Checks of what is built, those of components among them, in the file's order.
    pub checks: Vec<Check>,
}

/// One declared component.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Where the component begins.
    pub at: Position,
    /// Its name, unique in the file.
    pub name: Positioned<ComponentName>,
    /// A kit that exists.
    pub kit: Positioned<String>,
    /// Its directory, from the repository's top.
    pub context: Positioned<RepositoryPath>,
    /// What the kit's schema describes, by which it has been checked.
    pub with: Positioned<Node>,
    /// Components built before it: all exist, without a cycle.
    pub needs: Vec<Positioned<ComponentName>>,
    /// Further paths it depends on.
    pub watch: Vec<Positioned<WatchPattern>>,
    /// The only secrets its build may see.
    pub secrets: Vec<Positioned<String>>,
    /// What builds its image.
    pub backend: Option<Positioned<Choice>>,
    /// How it runs.
    pub workload: Option<Workload>,
}

/// How a component runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The component type, a definition of the deploy side.
    pub kind: Positioned<String>,
    /// Its properties; the definition checks them.
    pub properties: Positioned<Node>,
    /// The properties operators may set, as dotted paths; `*` stands for one part.
    pub overridable: Vec<Positioned<String>>,
}

impl Manifest {
    /// Reads the file at `file_name` (from the repository's top), with the default limits.
    pub fn parse(bytes: &[u8], file_name: &str) -> Result<Self, Problems> {
        Self::parse_with(bytes, file_name, &ManifestOptions::default())
    }

    /// Reads the file at `file_name` (from the repository's top).
    pub fn parse_with(bytes: &[u8], file_name: &str, options: &ManifestOptions) -> Result<Self, Problems> {
        let mut decoder = Decoder::new(file_name, options);
        let root = match root(bytes, options) {
            Ok(root) => root,
            Err(errors) => {
                for error in errors {
                    decoder.report("", error);
                }
                return Err(decoder.into_problems());
            }
        };
        let manifest = application(&mut decoder, &root);
        let problems = decoder.into_problems();
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(problems),
        }
    }

    /// The component of that name.
    pub fn component(&self, name: &ComponentName) -> Option<&Component> {
        self.components.iter().find(|component| component.name.value == *name)
    }

    /// A problem at `field`, for what only the tree can tell.
    pub fn problem<T>(&self, field: &Positioned<T>, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, field.at, &field.path, message)
    }

    /// The component as its kit sees it.
    pub fn declaration(&self, component: &Component) -> Declaration {
        let workload = component.workload.as_ref().map(view::WorkloadView::of);
        Declaration {
            name: component.name.value.to_string(),
            context: component.context.value.to_string(),
            with: component.with.value.to_json(),
            platforms: self.platforms.iter().map(|platform| platform.value.clone()).collect(),
            needs: component.needs.iter().map(|need| need.value.to_string()).collect(),
            secrets: component.secrets.iter().map(|secret| secret.value.clone()).collect(),
            workload: workload.map_or(serde_json::Value::Null, |workload| workload.to_json()),
        }
    }

    /// What a kit found wrong, at the place in this file that it speaks of: the value inside `with`,
    /// else the component's context or kit.
    pub fn kit_problem(&self, component: &Component, error: &slipway_buildkits::KitError) -> Problem {
        use slipway_buildkits::Place;
        let (at, path, message) = match &error.at {
            Some(Place::With(pointer)) => {
                let at = component.with.value.pointer(pointer).map_or(component.with.at, |node| node.at);
                (at, decode::join_pointer(&component.with.path, pointer), error.message.clone())
            }
            Some(place @ Place::File { .. }) => {
                (component.context.at, component.context.path.clone(), format!("{place}: {}", error.message))
            }
            None => (component.context.at, component.context.path.clone(), error.message.clone()),
        };
        Problem { hint: error.hint.clone(), ..Problem::new(&self.file, at, &path, message) }
    }
}

/// The file's one document.
fn root(bytes: &[u8], options: &ManifestOptions) -> Result<Node, Vec<yaml::YamlError>> {
    let wrong = |at, message: String, hint: &str| {
        Err(vec![yaml::YamlError { at, message, hint: Some(hint.to_owned()) }])
    };
    if bytes.len() > options.max_manifest_bytes {
        let limit = options.max_manifest_bytes;
        let message = format!("the file has {} bytes, the limit max_manifest_bytes is {limit}", bytes.len());
        return wrong(Position::START, message, "move large values into files of a component's context");
    }
    let yaml_options = YamlOptions {
        max_bytes: options.max_manifest_bytes,
        max_depth: options.max_depth,
        max_nodes: options.max_nodes,
        max_problems: options.max_problems,
        references: References::Refused,
        ..YamlOptions::default()
    };
    let mut documents = yaml::read(bytes, &yaml_options)?;
    if let Some(second) = documents.get(1) {
        return wrong(
            second.at,
            "a second document begins here".into(),
            "one file describes one application",
        );
    }
    match documents.pop() {
        Some(root) if root.value != yaml::Value::Null => Ok(root),
        _ => wrong(Position::START, "the file is empty".into(), "begin with `apiVersion: slipway.dev/v1`"),
    }
}

fn application(decoder: &mut Decoder<'_>, root: &Node) -> Option<Manifest> {
    let known = ["apiVersion", "kind", "metadata", "platforms", "backend", "components", "checks"];
    let fields = decoder.fields(root, "", &known, &["apiVersion", "kind", "metadata", "components"])?;
    if let Some((node, path)) = fields.get("apiVersion") {
        decoder.constant(node, &path, "slipway.dev/v1");
    }
    if let Some((node, path)) = fields.get("kind") {
        decoder.constant(node, &path, "Application");
    }
    let metadata = fields.get("metadata").and_then(|(node, path)| metadata(decoder, node, &path));
    let platforms = match fields.get("platforms") {
        Some((node, path)) => decoder.parsed_list(node, &path),
        None => Vec::new(),
    };
    let backend = fields.get("backend").and_then(|(node, path)| decoder.parsed::<Choice>(node, &path));
    let (node, path) = fields.get("components")?;
    let components = Workspace::new(Kits::builtin()).components(decoder, node, &path)?;
    let checks = check::all(decoder, &fields, node, &components);
    let (name, labels) = metadata?;
    Some(Manifest { file: decoder.file().to_owned(), name, labels, platforms, backend, components, checks })
}

type Metadata = (Positioned<ApplicationName>, BTreeMap<LabelKey, LabelValue>);

fn metadata(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Option<Metadata> {
    let fields = decoder.fields(node, path, &["name", "labels"], &["name"])?;
    let labels = match fields.get("labels") {
        Some((node, path)) => labels(decoder, node, &path),
        None => BTreeMap::new(),
    };
    let (node, path) = fields.get("name")?;
    let name = decoder.parsed::<ApplicationName>(node, &path)?;
    Some((name, labels))
}

fn labels(decoder: &mut Decoder<'_>, node: &Node, path: &str) -> BTreeMap<LabelKey, LabelValue> {
    let mut labels = BTreeMap::new();
    for entry in decoder.entries(node, path) {
        let path = format!("{path}.{}", decode::shown(&entry.key));
        let key = LabelKey::of_source(&entry.key);
        if key.is_err() {
            // The message names the key as written, without the prefix it would get.
            let error = InvalidLabel::Key(decode::shown(&entry.key));
            decoder.problem(entry.key_at, &path, error.to_string());
        }
        let value = decoder.parsed::<LabelValue>(&entry.value, &path);
        if let (Ok(key), Some(value)) = (key, value) {
            labels.insert(key, value.value);
        }
    }
    labels
}

#[cfg(test)]
mod tests;
