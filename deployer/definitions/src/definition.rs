//! A definition, read and ready to be called.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use slipway_plugins::Program;
use slipway_types::{Digest, Hasher, Place, Version, Violation};
use slipway_yaml::YamlOptions;

use crate::builtin;
use crate::code;
use crate::folder::{ENTRY_FILE, Folder};
use crate::kind::DefinitionKind;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::properties;
use crate::schema::{InvalidSchema, SCHEMA_FILE, Schema};

/// Where a definition comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is part of Slipway.
    Builtin,
    /// Somebody brought it.
    Installed,
}

/// A component type, trait, policy, workflow step or add-on of one version.
pub struct Definition {
    manifest: Manifest,
    schema: Schema,
    program: Program,
    folder: Folder,
    origin: Origin,
    digest: Digest,
}

impl Definition {
    /// Reads a definition from its folder; on mistakes, those of all its files.
    pub fn load(folder: Folder) -> Result<Self, Vec<Violation>> {
        Self::of(folder, Origin::Installed)
    }

    pub(crate) fn of(folder: Folder, origin: Origin) -> Result<Self, Vec<Violation>> {
        let mut violations = Vec::new();
        let file = |path: &str| folder.file(path).unwrap_or_default();
        let manifest = Manifest::read(file(MANIFEST_FILE)).map_err(|found| violations.extend(found)).ok();
        let schema = Schema::compile(file(SCHEMA_FILE))
            .map_err(|error| violations.push(of_schema(error, file(SCHEMA_FILE))))
            .ok();
        let modules = folder.modules().map_err(|found| violations.extend(found)).ok();
        let (Some(manifest), Some(schema), Some(mut modules)) = (manifest, schema, modules) else {
            return Err(violations);
        };
        modules.extend(builtin::library().iter().map(|(name, text)| (name.clone(), (*text).to_owned())));
        let title = format!("{} {}@{}", manifest.kind.noun(), manifest.name, manifest.version);
        let program = Program::new(modules, ENTRY_FILE).titled(title);
        let digest = match origin {
            Origin::Installed => folder.digest(),
            Origin::Builtin => with_library(folder.digest()),
        };
        Ok(Self { manifest, schema, program, folder, origin, digest })
    }

    /// What it extends.
    pub fn kind(&self) -> DefinitionKind {
        self.manifest.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.manifest.name.as_str()
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.manifest.version
    }

    /// The digest of its files; for a built-in one also of the library that is part of Slipway.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The schema of its properties.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What is called.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its files.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// `properties` with defaults filled in, and everything that is wrong with them; `path` is where
    /// they stand, e.g. `components[web].properties`.
    pub fn check_properties(&self, properties: &Value, path: &str) -> (Value, Vec<Violation>) {
        properties::check(&self.schema, properties, path)
    }

    /// Whether `name` is its name or one of its aliases.
    pub fn answers_to(&self, name: &str) -> bool {
        self.name() == name || self.manifest.aliases.iter().any(|alias| alias.as_str() == name)
    }

    /// The definition as JSON, for lists and for `definition show`.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "kind": self.kind(),
            "name": self.name(),
            "version": self.version(),
            "digest": self.digest(),
            "builtin": self.origin == Origin::Builtin,
            "description": self.manifest.description,
            "aliases": self.manifest.aliases,
        })
    }

    /// Everything the definition says of itself, its schema and the names of its files, as JSON.
    pub fn details(&self) -> Value {
        let mut details = self.to_json();
        let manifest = self.folder.file(MANIFEST_FILE).unwrap_or_default();
        let manifest = slipway_yaml::read(manifest, &YamlOptions::default()).unwrap_or_default();
        let spec = manifest.first().and_then(|document| document.get("spec"));
        details["spec"] = spec.map(slipway_yaml::Node::to_json).unwrap_or_default();
        details["schema"] = self.schema.source().clone();
        details["files"] = self.folder.files().keys().cloned().collect();
        details
    }
}

/// The violation of a schema, with its place in the file if that can be found.
fn of_schema(error: InvalidSchema, text: &[u8]) -> Violation {
    let pointer = error.path.trim_end_matches('/');
    if pointer.is_empty() {
        return Violation::new(code::INVALID_DEFINITION, SCHEMA_FILE, error.message);
    }
    // JSON is YAML, whose reader knows where things stand.
    let documents = slipway_yaml::read(text, &YamlOptions::default()).unwrap_or_default();
    let node = documents.first().and_then(|document| document.pointer(pointer));
    let at =
        node.map(|node| Place { file: SCHEMA_FILE.to_owned(), line: node.at.line, column: node.at.column });
    let path = if at.is_some() { pointer.to_owned() } else { format!("{SCHEMA_FILE}{pointer}") };
    Violation::new(code::INVALID_DEFINITION, path, error.message).at(at)
}

fn with_library(folder: Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(folder.as_bytes());
    let library: BTreeMap<_, _> =
        builtin::library().iter().map(|(name, text)| (name.as_str(), *text)).collect();
    for (name, text) in library {
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finish()
}

/// As people name it: `trait hpa 1.2.0`.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` {}", self.kind().noun(), self.name(), self.version())
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}@{} ({})", self.kind(), self.name(), self.version(), self.digest.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_a_schema_has_its_place() {
        let text = b"{\n  \"properties\": {\n    \"a\": {\"typ\": 1}\n  }\n}";
        let of = |path: &str| {
            of_schema(InvalidSchema { path: path.to_owned(), message: "no".to_owned() }, text).to_string()
        };
        assert_eq!(of("/properties/a/typ"), "schema.json:3:18: /properties/a/typ: no");
        assert_eq!(of("/properties/gone"), "schema.json/properties/gone: no");
        assert_eq!(of("/"), "schema.json: no");
    }
}
