//! A revision: everything that was frozen, as one closed document with one digest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slipway_types::name::DefinitionName;
use slipway_types::{Address, ApplicationName, Digest, Version};

use crate::answer::Capability;
use crate::canonical;
use crate::graph::{Graph, NodeName};
use crate::node::{Node, Object, Output, Ready};
use crate::secret::SecretUse;

pub mod check;

pub use check::Limits;

/// The form of the document. Raised when a reader of the old form would misread the new one.
pub const FORMAT: u32 = 1;

/// Everything that was frozen. Its digest is the SHA-256 of its canonical JSON ([`canonical`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// [`FORMAT`].
    pub format: u32,
    /// The application.
    pub application: ApplicationName,
    /// What is deployed.
    pub bundle: Bundle,
    /// Digest of the locked component set.
    pub lock: Digest,
    /// Where.
    pub environment: Environment,
    /// The operator's configuration.
    pub configuration: Configuration,
    /// Every definition that had a part in rendering.
    pub definitions: BTreeSet<Definition>,
    /// What is done.
    pub graph: Graph,
    /// Secrets by reference and version.
    pub secrets: Vec<SecretUse>,
    /// Whether a graph that does nothing is meant.
    #[serde(default)]
    pub allow_empty: bool,
}

/// A bundle, by digest; the rest is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Digest of its index.
    pub digest: Digest,
    /// Its version.
    pub version: Version,
    /// The source's clone address, without any credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The commit it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The environment as it was when the revision was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Its address.
    pub address: Address,
    /// Digest of its settings.
    pub settings: Digest,
}

/// The operator's configuration as it was merged along the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Digest of the merged configuration.
    pub digest: Digest,
    /// The version of each level that had any; the widest level is called `""`.
    pub levels: BTreeMap<String, u64>,
}

/// A definition, exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// Its version.
    pub version: String,
    /// Digest of its folder.
    pub digest: Digest,
}

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionKind {
    /// A component type.
    Component,
    /// A trait.
    Trait,
    /// A policy.
    Policy,
    /// A workflow step.
    Step,
    /// An add-on.
    Addon,
}

impl Revision {
    /// The bytes whose SHA-256 is the revision.
    pub fn canonical(&self) -> Bytes {
        canonical::canonical(self)
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical())
    }

    /// Digests of all its manifests.
    pub fn manifests(&self) -> BTreeSet<Digest> {
        self.graph.objects().map(|(_, object)| object.manifest).collect()
    }

    /// What a receiver must be able to do to carry it out whole, beside applying objects in order.
    pub fn requires(&self) -> BTreeSet<Capability> {
        let mut wanted = BTreeSet::new();
        if !self.secrets.is_empty() {
            wanted.insert(Capability::Secrets);
        }
        wanted.extend(self.graph.nodes().values().flat_map(asked_by));
        wanted
    }

    /// The nodes that ask a receiver for a capability, by name.
    pub fn asking_for(&self, capability: Capability) -> impl Iterator<Item = &NodeName> {
        let nodes = self.graph.nodes().iter();
        nodes.filter(move |(_, node)| asked_by(node).contains(&capability)).map(|(name, _)| name)
    }
}

/// What a node asks of whoever carries it out.
fn asked_by(node: &Node) -> BTreeSet<Capability> {
    let conditions = node.objects.iter().any(|object| matches!(object.ready, Ready::Cel(_)));
    let read = node.outputs.values().any(|output| !matches!(output, Output::Value(_)));
    let owned = node.objects.iter().any(Object::is_owned_otherwise);
    let needs = [
        (Capability::Ownership, owned),
        (Capability::Conditions, conditions || !node.waits.is_empty()),
        (Capability::Outputs, read || !node.inputs.is_empty()),
        (Capability::Calls, node.call.is_some()),
        (Capability::Secrets, node.call.as_ref().is_some_and(|call| call.secret.is_some())),
        (Capability::Resume, node.hold.is_some()),
        (Capability::Workflow, node.is_conditional()),
    ];
    needs.into_iter().filter(|(_, needed)| *needed).map(|(capability, _)| capability).collect()
}
