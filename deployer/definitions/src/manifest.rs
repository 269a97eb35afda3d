//! `definition.yaml`: what a definition says of itself.

mod read;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use slipway_types::Version;
use slipway_types::name::{DefinitionName, OutputName};

use crate::field_path::PathPattern;
use crate::kind::DefinitionKind;
use crate::object::GroupKind;

/// The level of the plug-in API that this Slipway speaks: functions, values and library modules.
pub const API_LEVEL: u64 = 1;
/// The name of the file.
pub const MANIFEST_FILE: &str = "definition.yaml";
/// The `apiVersion` of the file.
pub const MANIFEST_API_VERSION: &str = "slipway.dev/v1";

/// A definition's own words.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What it extends.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// Other names that it answers to.
    pub aliases: BTreeSet<DefinitionName>,
    /// Its version.
    pub version: Version,
    /// One sentence for people.
    pub description: String,
    /// What a cluster must serve.
    pub requires: Vec<Requirement>,
    /// The outputs it may set.
    pub outputs: BTreeSet<String>,
    /// The kinds without a namespace that it may render.
    pub cluster_scoped: BTreeSet<String>,
    /// What only its kind has.
    pub body: Body,
}

/// What only definitions of one kind say.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A component type.
    Component(ComponentBody),
    /// A trait.
    Trait(TraitBody),
    /// A policy.
    Policy,
    /// A workflow step.
    Step,
    /// An add-on.
    Addon(AddonBody),
}

/// What a component type says.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentBody {
    /// What traits apply to; `None`: whatever the package's objects are.
    pub workload: Option<WorkloadKind>,
    /// What the component's package must hold.
    pub takes: Takes,
    /// What operators may set where the developer says nothing else.
    pub overridable: Vec<String>,
}

/// The kind of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadKind {
    /// Group and version, as the definition prefers it.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

impl WorkloadKind {
    /// The kind without its version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(&self.api_version, &self.kind)
    }
}

/// What a component's package must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// An image, in the package or named by the property `image`.
    Image,
    /// A Helm chart.
    Chart,
    /// Manifests or a kustomization.
    Files,
    /// Nothing.
    Nothing,
}

/// What a trait says.
#[derive(Debug, Clone, PartialEq)]
pub struct TraitBody {
    /// What it applies to.
    pub applies_to: Vec<Applicability>,
    /// The traits that may not stand beside it.
    pub conflicts_with: BTreeSet<DefinitionName>,
    /// When its own objects are applied.
    pub phase: Phase,
    /// Fields that a controller of this trait writes at run time.
    pub owns: Vec<Owned>,
    /// Fields of the component type that it may write over.
    pub overwrites: Vec<PathPattern>,
    /// Whether one component may have several of it.
    pub repeatable: bool,
}

/// What a trait applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applicability {
    /// Everything.
    Any,
    /// Components of this type.
    Type(DefinitionName),
    /// Workloads of this kind.
    Workload(GroupKind),
}

/// Fields that a controller writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Owned {
    /// Of which workloads; `None`: all.
    pub workload: Option<GroupKind>,
    /// Which fields.
    pub path: PathPattern,
}

/// When objects are applied, seen from the workload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before it.
    Pre,
    /// With it.
    #[default]
    Main,
    /// After it.
    Post,
}

/// A kind that a cluster must serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Group and version; `group/*` for any version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// How a cluster comes to serve it.
    pub install: Option<String>,
}

/// What an add-on says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonBody {
    /// Secrets that Slipway makes once for each instance, and that it alone sees.
    pub generates: BTreeSet<OutputName>,
    /// Secrets that Slipway makes for each binding, and gives to the application as outputs.
    pub binding_generates: BTreeSet<OutputName>,
    /// Who reaches what it makes.
    pub reach: Reach,
    /// Whether it has a function `release`: what that returns is run to its end before anything is taken away.
    pub release: bool,
}

/// Who reaches what an add-on makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// What runs in the same cluster.
    #[default]
    Cluster,
    /// Whoever has its outputs.
    Anywhere,
}

impl Manifest {
    /// What an add-on says, if this is one.
    pub fn as_addon(&self) -> Option<&AddonBody> {
        match &self.body {
            Body::Addon(body) => Some(body),
            _ => None,
        }
    }

    /// What a trait says, if this is one.
    pub fn as_trait(&self) -> Option<&TraitBody> {
        match &self.body {
            Body::Trait(body) => Some(body),
            _ => None,
        }
    }

    /// What a component type says, if this is one.
    pub fn as_component(&self) -> Option<&ComponentBody> {
        match &self.body {
            Body::Component(body) => Some(body),
            _ => None,
        }
    }
}
