//! The seam between Slipway and its kits.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::digest::Digest;
use slipway_types::image::Platform;

use crate::context::{ContextListing, ReadError};
use crate::schema::{Schema, SchemaProblem};
use crate::verb::{Verb, VerbName};
use slipway_yaml::{self as yaml, Position, References, YamlOptions};

/// A component as its kit sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The component's name.
    pub name: String,
    /// Its context, from the repository's top; for messages only.
    #[serde(default)]
    pub context: String,
    /// What the kit's schema describes.
    #[serde(default = "empty_object")]
    pub with: Value,
    /// The application's platforms, for kits whose `with` names none.
    #[serde(default)]
    pub platforms: Vec<Platform>,
    /// The components built before it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The secrets its build may see.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How it runs, as declared.
    #[serde(default)]
    pub workload: Value,
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

/// The place of a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into `with`.
    With(String),
    /// A file of the context.
    File {
        /// Its path from the context's top.
        path: String,
        /// The place in it, if the mistake has one.
        position: Option<Position>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::With(pointer) => write!(f, "with{}", pointer.replace('/', ".")),
            Self::File { path, position: None } => f.write_str(path),
            Self::File { path, position: Some(at) } => write!(f, "{path}:{}:{}", at.line, at.column),
        }
    }
}

/// Why a kit cannot plan a component: a mistake of the declaration or of the context's files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}{}", self.prefix(), self.suffix())]
pub struct KitError {
    /// Where, if the mistake has one place.
    pub at: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl KitError {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), hint: None }
    }

    /// A mistake in `with`.
    pub fn with(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: Some(Place::With(pointer.into())), ..Self::new(message) }
    }

    /// A mistake in a file of the context.
    pub fn file(
        path: impl Into<String>,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) -> Self {
        let at = Place::File { path: path.into(), position: position.into() };
        Self { at: Some(at), ..Self::new(message) }
    }

    /// The same mistake with the next step named.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn prefix(&self) -> String {
        self.at.as_ref().map_or_else(String::new, |at| format!("{at}: "))
    }

    fn suffix(&self) -> String {
        self.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"))
    }
}

/// A plug-in that turns a component declaration into build and package steps. Pure: the same
/// declaration and files give the same verbs.
pub trait Kit: Send + Sync {
    /// What the kit says of itself.
    fn description(&self) -> &KitDescription;

    /// The digest of everything that can change what it plans.
    fn digest(&self) -> Digest;

    /// The JSON Schema of `with`.
    fn schema(&self) -> &Value;

    /// A whole `slipway.yaml` that uses the kit; for people.
    fn example(&self) -> &str;

    /// Every mistake of `with` by the schema.
    fn check(&self, with: &Value) -> Vec<SchemaProblem>;

    /// What is to be done for `declaration`.
    fn plan(&self, declaration: &Declaration, files: &dyn ContextListing) -> Result<Vec<Verb>, KitError>;

    /// The name that `kit:` says.
    fn name(&self) -> &str {
        &self.description().name
    }
}

/// A kit's `kit.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KitDescription {
    /// The name that `kit:` says.
    pub name: String,
    /// The kit's own version.
    pub version: semver::Version,
    /// Raised when the same input gives other verbs.
    pub recipe: u32,
    /// One sentence for people.
    pub description: String,
    /// The verbs it may use.
    pub verbs: BTreeSet<VerbName>,
}

/// Limits of what kits read and pack.
#[derive(Debug, Clone)]
pub struct KitLimits {
    /// The longest file a kit reads, in bytes.
    pub max_file_bytes: u64,
    /// The most files one component package may hold.
    pub max_packed_files: usize,
}

impl Default for KitLimits {
    fn default() -> Self {
        Self { max_file_bytes: 4 << 20, max_packed_files: 20_000 }
    }
}

/// What a kit plans from.
pub(crate) struct Planning<'a> {
    pub(crate) declaration: &'a Declaration,
    pub(crate) files: &'a dyn ContextListing,
    pub(crate) limits: &'a KitLimits,
}

impl Planning<'_> {
    /// `with` in the kit's own type; the schema has checked it.
    pub(crate) fn with<T: serde::de::DeserializeOwned>(&self) -> Result<T, KitError> {
        serde_json::from_value(self.declaration.with.clone())
            .map_err(|error| KitError::with("", error.to_string()))
    }

    /// The content of a file of the context.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, KitError> {
        self.files.read(path, self.limits.max_file_bytes).map_err(|error| match error {
            ReadError::Missing => self.missing(path),
            other => KitError::file(path, None, other.to_string()),
        })
    }

    /// The YAML documents of a file of the context; references pass unfollowed.
    pub(crate) fn read_yaml(&self, path: &str) -> Result<Vec<yaml::Node>, KitError> {
        let bytes = self.read(path)?;
        let options =
            YamlOptions { max_bytes: bytes.len(), references: References::Opaque, ..YamlOptions::default() };
        yaml::read(&bytes, &options).map_err(|mut errors| {
            let first = errors.swap_remove(0);
            KitError { hint: first.hint, ..KitError::file(path, first.at, first.message) }
        })
    }

    /// The error for a file the kit cannot do without.
    pub(crate) fn missing(&self, path: &str) -> KitError {
        let context = &self.declaration.context;
        let context = if context.is_empty() { "the repository's top" } else { context };
        KitError::new(format!("there is no file `{path}` in the context `{context}`"))
    }

    /// The verb that packs `paths`, which are relative to the context.
    pub(crate) fn pack(&self, mut paths: Vec<String>, entry: Option<String>) -> Result<Verb, KitError> {
        let limit = self.limits.max_packed_files;
        if paths.len() > limit {
            return Err(KitError::new(format!(
                "the package would hold {} files, the limit max_packed_files is {limit}",
                paths.len()
            ))
            .hint("choose a smaller `context`"));
        }
        paths.sort_unstable();
        paths.dedup();
        Ok(Verb::FilesPack { root: String::new(), paths, entry })
    }
}

/// A kit compiled into Slipway.
pub(crate) struct BuiltinKit {
    description: KitDescription,
    digest: Digest,
    schema: Schema,
    example: &'static str,
    limits: KitLimits,
    plan: PlanFunction,
}

pub(crate) type PlanFunction = fn(&Planning<'_>) -> Result<Vec<Verb>, KitError>;

impl BuiltinKit {
    /// The kit of a folder's `kit.yaml` and `schema.json`, both compiled in.
    pub(crate) fn new(kit_yaml: &str, schema_json: &str, limits: KitLimits, plan: PlanFunction) -> Self {
        let documents = yaml::read(kit_yaml.as_bytes(), &YamlOptions::default())
            .expect("invariant: a built-in kit.yaml is valid, held by a test");
        let description: KitDescription = serde_json::from_value(documents[0].to_json())
            .expect("invariant: a built-in kit.yaml describes a kit, held by a test");
        let schema = serde_json::from_str(schema_json).ok().map(Schema::compile);
        let schema = schema
            .and_then(Result::ok)
            .expect("invariant: a built-in schema.json is a JSON Schema, held by a test");
        // Parsed and written again, so that layout and comments of the files do not count.
        let digest = Digest::of(serde_json::json!([description, schema.source()]).to_string());
        Self { description, digest, schema, example: "", limits, plan }
    }

    /// With an example for people, which changes no plan.
    pub(crate) fn with_example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    fn hold_to_its_verbs(&self, verbs: &[Verb]) -> Result<(), KitError> {
        match verbs.iter().find(|verb| !self.description.verbs.contains(&verb.name())) {
            Some(verb) => Err(KitError::new(format!(
                "the kit `{}` may not use the verb `{}`",
                self.description.name,
                verb.name()
            ))
            .hint("its kit.yaml must list it")),
            None => Ok(()),
        }
    }
}

impl Kit for BuiltinKit {
    fn description(&self) -> &KitDescription {
        &self.description
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn schema(&self) -> &Value {
        self.schema.source()
    }

    fn example(&self) -> &str {
        self.example
    }

    fn check(&self, with: &Value) -> Vec<SchemaProblem> {
        self.schema.problems(with)
    }

    fn plan(&self, declaration: &Declaration, files: &dyn ContextListing) -> Result<Vec<Verb>, KitError> {
        if let Some(problem) = self.check(&declaration.with).into_iter().next() {
            return Err(KitError { hint: problem.hint, ..KitError::with(problem.pointer, problem.message) });
        }
        let verbs = (self.plan)(&Planning { declaration, files, limits: &self.limits })?;
        self.hold_to_its_verbs(&verbs)?;
        Ok(verbs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::MemoryContext;

    const SCHEMA: &str = r#"{"type": "object"}"#;

    fn declaration() -> Declaration {
        serde_json::from_value(serde_json::json!({"name": "x"})).unwrap()
    }

    fn kit(verbs: &str) -> BuiltinKit {
        let text = format!("{{name: t, version: 1.0.0, recipe: 1, description: d, verbs: [{verbs}]}}");
        BuiltinKit::new(&text, SCHEMA, KitLimits::default(), |planning| {
            Ok(vec![planning.pack(vec!["b".into(), "a".into(), "b".into()], None)?])
        })
    }

    #[test]
    fn a_kit_is_held_to_the_verbs_it_names() {
        let files = MemoryContext::default();
        let message = |verbs| kit(verbs).plan(&declaration(), &files).map_err(|e| e.to_string());
        assert_eq!(
            message("image.pin"),
            Err("the kit `t` may not use the verb `files.pack`; its kit.yaml must list it".into())
        );
        assert!(message("container.run").is_err(), "it packs files, which it does not name");
        let packed =
            Verb::FilesPack { root: String::new(), paths: vec!["a".into(), "b".into()], entry: None };
        assert_eq!(message("files.pack"), Ok(vec![packed]));
    }

    #[test]
    fn the_digest_follows_what_can_change_the_plan() {
        assert_eq!(kit("files.pack").digest(), kit("  files.pack  ").digest());
        assert_ne!(kit("files.pack").digest(), kit("files.pack, image.pin").digest());
    }

    #[test]
    fn limits_are_named() {
        let limits = KitLimits { max_file_bytes: 3, max_packed_files: 1 };
        let files = MemoryContext::new([("a", "long")]);
        let declaration = declaration();
        let planning = Planning { declaration: &declaration, files: &files, limits: &limits };
        let read = planning.read("a").unwrap_err().to_string();
        assert_eq!(read, "a: the file has 4 bytes, more than the limit max_file_bytes = 3");
        let pack = planning.pack(vec!["a".into(), "b".into()], None).unwrap_err().to_string();
        assert!(pack.contains("2 files, the limit max_packed_files is 1"), "{pack}");
    }
}
