//! A manifest as JSON, canonical: paths resolved, defaults filled, no places.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use slipway_types::image::Platform;
use slipway_types::label::Labels;
use slipway_types::name::{ApplicationName, CheckName, ComponentName};

use super::{Check, CheckIn, Component, Manifest, Workload};
use crate::backend::Choice;

/// What `slipway validate -o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestView {
    /// The file, from the repository's top.
    pub file: String,
    /// The application.
    pub name: ApplicationName,
    /// Labels under `source/`.
    pub labels: Labels,
    /// Platforms for components whose `with` names none.
    pub platforms: Vec<Platform>,
    /// The back-end for components that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Choice>,
    /// The components in the file's order.
    pub components: Vec<ComponentView>,
    /// The checks, those of components among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// `source/NAME`.
    pub name: CheckName,
    /// A component, or an image.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables beside the image's own.
    pub env: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout_seconds: u32,
    /// Components whose images it names.
    pub needs: Vec<ComponentName>,
}

impl From<&Check> for CheckView {
    fn from(check: &Check) -> Self {
        Self {
            name: check.name.value.clone(),
            image: match &check.image.value {
                CheckIn::Component(component) => component.to_string(),
                CheckIn::Reference(reference) => reference.to_string(),
            },
            command: check.command.clone(),
            env: check.env.clone(),
            timeout_seconds: check.timeout_seconds,
            needs: check.needs.iter().map(|need| need.value.clone()).collect(),
        }
    }
}

/// One component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentView {
    /// Its name.
    pub name: ComponentName,
    /// Its kit.
    pub kit: String,
    /// Its directory, from the repository's top; `.` is the top.
    pub context: String,
    /// What the kit's schema describes.
    pub with: Json,
    /// Components built before it.
    pub needs: Vec<ComponentName>,
    /// Watched globs, from the repository's top.
    pub watch: Vec<String>,
    /// Secrets its build may see.
    pub secrets: Vec<String>,
    /// What builds its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Choice>,
    /// How it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadView>,
}

/// How a component runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadView {
    /// The component type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties.
    pub properties: Json,
    /// What operators may set.
    pub overridable: Vec<String>,
}

impl WorkloadView {
    /// The view of `workload`.
    pub fn of(workload: &Workload) -> Self {
        Self {
            kind: workload.kind.value.clone(),
            properties: workload.properties.value.to_json(),
            overridable: workload.overridable.iter().map(|path| path.value.clone()).collect(),
        }
    }

    /// The same as JSON.
    pub fn to_json(&self) -> Json {
        serde_json::json!({
            "type": self.kind, "properties": self.properties, "overridable": self.overridable,
        })
    }
}

impl ComponentView {
    fn of(component: &Component) -> Self {
        Self {
            name: component.name.value.clone(),
            kit: component.kit.value.clone(),
            context: component.context.value.to_string(),
            with: component.with.value.to_json(),
            needs: component.needs.iter().map(|need| need.value.clone()).collect(),
            watch: component.watch.iter().map(|watch| watch.value.as_str().to_owned()).collect(),
            secrets: component.secrets.iter().map(|secret| secret.value.clone()).collect(),
            backend: component.backend.as_ref().map(|backend| backend.value),
            workload: component.workload.as_ref().map(WorkloadView::of),
        }
    }
}

impl Manifest {
    /// The manifest as JSON shows it.
    pub fn view(&self) -> ManifestView {
        ManifestView {
            file: self.file.clone(),
            name: self.name.value.clone(),
            labels: self.labels.clone(),
            platforms: self.platforms.iter().map(|platform| platform.value.clone()).collect(),
            backend: self.backend.as_ref().map(|backend| backend.value),
            components: self.components.iter().map(ComponentView::of).collect(),
            checks: self.checks.iter().map(CheckView::from).collect(),
        }
    }
}
