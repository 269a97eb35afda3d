//! What is rendered, for where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::{Address, ApplicationName, Version};

use crate::definition::Definition;
use crate::object::shape::ObjectOptions;

/// An application in an environment, its definitions already chosen.
#[derive(Debug, Clone)]
pub struct RenderRequest {
    /// The application.
    pub app: ApplicationName,
    /// Where it goes.
    pub environment: EnvironmentFacts,
    /// What the cluster there can do.
    pub cluster: ClusterFacts,
    /// Its components, in the operator's order.
    pub components: Vec<ComponentRequest>,
    /// What may be rendered.
    pub options: RenderOptions,
}

/// An instance of an add-on as its definition sees it, beside what every component has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AddonFacts {
    /// References to the secrets that were made for it, by name.
    pub secrets: BTreeMap<String, String>,
    /// Who is bound to it.
    pub bindings: Vec<BindingFacts>,
    /// Bindings that have ended: of each account the last, and none of an account that is bound now.
    pub ended: Vec<EndedFacts>,
}

/// A binding that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedFacts {
    /// Named it.
    pub name: String,
    /// What its application was called by.
    pub account: String,
}

/// An application that is bound to an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindingFacts {
    /// Names this binding and no other, as a part of a DNS label.
    pub name: String,
    /// The application, `team/name`.
    pub application: String,
    /// Its environment's name.
    pub environment: String,
    /// Its environment's namespace.
    pub namespace: String,
    /// What the application is called by, of `[a-z0-9_]`, at most 63 characters.
    pub account: String,
    /// References to the secrets that were made for it, by name.
    pub secrets: BTreeMap<String, String>,
}

/// An environment as definitions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
}

/// A cluster as definitions see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// Its Kubernetes version, e.g. `1.30`.
    pub version: String,
    /// Every kind it serves, e.g. `apps/v1/Deployment`, `v1/Service`.
    pub apis: BTreeSet<String>,
}

/// One component.
#[derive(Debug, Clone)]
pub struct ComponentRequest {
    /// Its name.
    pub name: String,
    /// The name of its objects, where it is not the component's name and the stage's suffix.
    pub object_name: Option<String>,
    /// Its type.
    pub type_definition: Arc<Definition>,
    /// The version of its package.
    pub version: Version,
    /// Its properties after all overrides.
    pub properties: Value,
    /// The images of its package; the first is the component's own.
    pub images: Vec<ImageFacts>,
    /// What its package holds.
    pub package: Holds,
    /// Its traits, in order.
    pub traits: Vec<TraitRequest>,
    /// Where it stands, e.g. `components[web]`.
    pub path: String,
}

/// One trait of a component.
#[derive(Debug, Clone)]
pub struct TraitRequest {
    /// What it is.
    pub definition: Arc<Definition>,
    /// Its properties after all overrides.
    pub properties: Value,
    /// Where it stands, e.g. `components[web].traits[hpa]`.
    pub path: String,
}

/// An image of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// What the package calls it.
    pub name: String,
    /// Where the environment pulls it: `host/repo@sha256:…`.
    pub reference: String,
    /// The platforms it is built for.
    pub platforms: Vec<String>,
}

/// What a component's package holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// An image.
    pub image: bool,
    /// A Helm chart.
    pub chart: bool,
    /// Manifests or a kustomization.
    pub files: bool,
}

/// Limits of one rendering.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// The most objects of one component.
    pub max_objects: usize,
    /// The most conflicts told of one object.
    pub max_conflicts: usize,
    /// Limits of one object.
    pub object: ObjectOptions,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { max_objects: 1000, max_conflicts: 50, object: ObjectOptions::default() }
    }
}

impl ClusterFacts {
    /// Whether it serves `kind` in `api_version`, or in any version of a group written `group/*`.
    pub fn serves(&self, api_version: &str, kind: &str) -> bool {
        let Some(group) = api_version.strip_suffix("/*") else {
            return self.apis.contains(&format!("{api_version}/{kind}"));
        };
        self.apis.iter().any(|served| {
            let rest = served.strip_prefix(group).and_then(|rest| rest.strip_prefix('/'));
            rest.and_then(|rest| rest.split_once('/')).is_some_and(|(_, served)| served == kind)
        })
    }
}

impl EnvironmentFacts {
    /// What the names of objects end with: nothing for the default stage.
    pub fn suffix(&self) -> String {
        if self.address.is_default_stage() { String::new() } else { format!("-{}", self.address.stage()) }
    }
}

impl ComponentRequest {
    /// The name of its objects in `environment`.
    pub fn object_name(&self, environment: &EnvironmentFacts) -> String {
        self.object_name.clone().unwrap_or_else(|| format!("{}{}", self.name, environment.suffix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_served_in_any_version() {
        let apis = ["batch/v1beta1/CronJob", "v1/Service", "apps.kruise.io/v1alpha1/CloneSet"];
        let cluster = ClusterFacts { version: "1.20".into(), apis: apis.map(String::from).into() };
        assert!(cluster.serves("batch/*", "CronJob") && cluster.serves("v1", "Service"));
        assert!(cluster.serves("apps.kruise.io/*", "CloneSet"));
        assert!(!cluster.serves("batch/v1", "CronJob") && !cluster.serves("apps/*", "CloneSet"));
        assert!(!cluster.serves("batch/*", "Job"));
    }
}
