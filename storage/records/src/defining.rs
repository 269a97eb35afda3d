//! The port by which HTTP asks for definitions: what plans may use here, and what may be installed.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use slipway_types::name::DefinitionName;
use slipway_types::{DefinitionKind, Digest, Fault, ImageReference, Version, Violation};

use crate::InstalledDefinition;

/// A definition as this server knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDefinition {
    /// What it extends.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// Its version.
    pub version: Version,
    /// Digest of its files.
    pub digest: Digest,
    /// One sentence for people.
    pub description: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Where it comes from.
    pub source: DefinitionSource,
}

/// Where a definition comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum DefinitionSource {
    /// It is part of Slipway.
    Builtin,
    /// A directory of this server's machine.
    Directory {
        /// Which.
        path: String,
    },
    /// It was installed from a registry.
    Package {
        /// Where from, by digest.
        reference: String,
    },
}

/// What of an installed or found definition cannot be used by this server, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefinitionFault {
    /// Where it lies: a path, or the reference it was installed from.
    pub place: String,
    /// What is wrong with it.
    pub violations: Vec<Violation>,
}

/// All definitions of this server at one moment.
#[derive(Debug, Clone, Default)]
pub struct KnownDefinitions {
    /// Those that new plans may use, by kind, name and rising version.
    pub usable: Vec<KnownDefinition>,
    /// Those installed that new plans may not use.
    pub disabled: Vec<InstalledDefinition>,
    /// Those installed and not disabled that this server cannot use: faults tell why.
    pub unusable: Vec<InstalledDefinition>,
    /// What cannot be used.
    pub faults: Vec<DefinitionFault>,
}

/// A definition that was pulled and checked, and could be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedDefinition {
    /// What it extends: decides who may install it.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// Its version.
    pub version: Version,
    /// Digest of its files.
    pub digest: Digest,
    /// The blob that holds its files, in the object store already.
    pub archive: Digest,
    /// Where it came from, by digest.
    pub reference: String,
    /// Whether it would be another version of a definition that is part of Slipway.
    pub beside_builtin: bool,
    /// Whether it is installed already, just so.
    pub installed: bool,
}

/// Definitions, as far as they must be answered for at once.
#[async_trait]
pub trait Defining: Send + Sync {
    /// All there are.
    async fn known(&self) -> Result<KnownDefinitions, Fault>;
    /// One with its schema and files: the given version, else the one that new plans would use.
    async fn details(
        &self,
        kind: DefinitionKind,
        name: &str,
        version: Option<&Version>,
    ) -> Result<Option<Value>, Fault>;
    /// Pulls a definition and checks it as a whole: its files, its level of the plug-in API, its names and,
    /// in the caged host, its examples. Nothing is installed by that.
    async fn fetch(
        &self,
        reference: &ImageReference,
    ) -> Result<Result<CheckedDefinition, Vec<Violation>>, Fault>;
    /// Why an installed definition cannot be offered to plans again, if its names are others' now.
    async fn objection(
        &self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
    ) -> Result<Option<Violation>, Fault>;
    /// The definitions that an operator's document names, by the names it uses.
    fn named_by(&self, document: &str) -> Vec<(DefinitionKind, String)>;
}
