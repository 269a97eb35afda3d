//! What came of a rendering.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use slipway_types::Place;

use crate::hooks::Hooks;
use crate::secrets::{SecretValue, is_secret};

/// An object, and the file of the chart that it came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenderedObject {
    /// The object.
    pub object: Value,
    /// The template, e.g. `redis/templates/service.yaml`; kustomize tells none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What tells an object from others of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectName {
    /// Group and version.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace, if it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// Something that a person should know and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// Where, if it has a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// Stable `snake_case` word, e.g. `lookup_is_empty`.
    pub code: String,
    /// What to know.
    pub message: String,
}

/// All that came of a component. It holds no secret but in `secrets`, which is never written.
#[derive(Debug, Clone, Serialize)]
pub struct Rendered {
    /// Those of a chart's `crds/`: they come first.
    pub crds: Vec<RenderedObject>,
    /// All others, in the order of the program that rendered them.
    pub objects: Vec<RenderedObject>,
    /// What a chart runs before, after and beside.
    pub hooks: Hooks,
    /// The objects that are in no namespace, hooks included.
    pub cluster_scoped: Vec<ObjectName>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// The data of Secrets, to be stored before the objects are.
    #[serde(skip)]
    pub secrets: Vec<SecretValue>,
}

impl ObjectName {
    /// The name of `object`; what it lacks is empty.
    pub fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace,
            name: text("/metadata/name"),
        }
    }

    /// Group, version and kind, as targets list them.
    pub(crate) fn api(&self) -> String {
        format!("{}/{}", self.api_version, self.kind)
    }

    /// The group; none for the core.
    pub(crate) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl RenderedObject {
    /// What it is and where it comes from, for messages.
    pub(crate) fn described(&self) -> String {
        let name = ObjectName::of(&self.object);
        match &self.source {
            Some(source) => format!("{name} of {source}"),
            None => name.to_string(),
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        is_secret(&self.object)
    }
}

impl Rendered {
    /// Every object, hooks included.
    pub fn all(&self) -> impl Iterator<Item = &RenderedObject> {
        self.crds.iter().chain(&self.objects).chain(self.hooks.objects())
    }
}
