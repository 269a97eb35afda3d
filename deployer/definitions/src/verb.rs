//! What definitions may cause.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::container::ContainerRun;
use crate::kind::DefinitionKind;
use crate::object::ObjectKey;

/// One thing that a definition wants done, as it returned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields)]
pub enum Verb {
    /// Own an object, or write fields of one.
    #[serde(rename = "object.apply")]
    ObjectApply {
        /// The object.
        object: Value,
    },
    /// Run a Job to completion.
    #[serde(rename = "job.run")]
    JobRun {
        /// The Job.
        object: Value,
    },
    /// Run a container to completion.
    #[serde(rename = "container.run")]
    ContainerRun(Box<ContainerRun>),
    /// Call a URL that the server allows.
    #[serde(rename = "http.call")]
    HttpCall {
        /// The method.
        method: String,
        /// The URL.
        url: String,
        /// What is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// A reference to a secret that goes with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// Wait until an object fulfils a condition.
    #[serde(rename = "wait")]
    Wait {
        /// The object.
        object: ObjectKey,
        /// The condition, in CEL.
        until: String,
    },
    /// Give a value to other components.
    #[serde(rename = "output.set")]
    OutputSet(OutputSet),
    /// Render the package's chart.
    #[serde(rename = "chart.render")]
    ChartRender {
        /// The chart's values.
        values: Value,
        /// The release's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<String>,
    },
    /// Build the package's kustomization.
    #[serde(rename = "kustomize.build")]
    KustomizeBuild {
        /// Its directory in the package.
        path: String,
    },
    /// Take the objects of the package's manifests.
    #[serde(rename = "files.objects")]
    FilesObjects {
        /// Files and directories of the package.
        paths: Vec<String>,
    },
}

/// An output as it was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSet {
    /// Its name.
    pub name: String,
    /// The object whose field it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// The field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Where an output's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum OutputSource {
    /// From a field of an object, once it is there.
    Field {
        /// The object.
        object: ObjectKey,
        /// The field.
        path: String,
    },
    /// It is known already.
    Value {
        /// What it is.
        value: Value,
    },
}

impl OutputSet {
    /// Where the value comes from; `None` if it says both or neither.
    pub fn source(&self) -> Option<OutputSource> {
        match (&self.object, &self.path, &self.value) {
            (Some(object), Some(path), None) => {
                Some(OutputSource::Field { object: object.clone(), path: path.clone() })
            }
            (None, None, Some(value)) => Some(OutputSource::Value { value: value.clone() }),
            _ => None,
        }
    }
}

impl Verb {
    /// Its name in Starlark.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ObjectApply { .. } => "object.apply",
            Self::JobRun { .. } => "job.run",
            Self::ContainerRun(_) => "container.run",
            Self::HttpCall { .. } => "http.call",
            Self::Wait { .. } => "wait",
            Self::OutputSet(_) => "output.set",
            Self::ChartRender { .. } => "chart.render",
            Self::KustomizeBuild { .. } => "kustomize.build",
            Self::FilesObjects { .. } => "files.objects",
        }
    }

    /// Whether it brings objects that are known only once the package is rendered.
    pub fn renders_package(&self) -> bool {
        matches!(self, Self::ChartRender { .. } | Self::KustomizeBuild { .. } | Self::FilesObjects { .. })
    }

    /// Whether definitions of `kind` may return it.
    pub fn is_allowed_for(&self, kind: DefinitionKind) -> bool {
        match kind {
            DefinitionKind::Component => !matches!(self, Self::ContainerRun(_)),
            DefinitionKind::Trait | DefinitionKind::Step => {
                !self.renders_package() && !matches!(self, Self::ContainerRun(_))
            }
            DefinitionKind::Addon => matches!(
                self,
                Self::ObjectApply { .. } | Self::JobRun { .. } | Self::ContainerRun(_) | Self::OutputSet(_)
            ),
            DefinitionKind::Policy => false,
        }
    }
}
