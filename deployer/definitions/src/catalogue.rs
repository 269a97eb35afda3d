//! All definitions at hand: several versions of one name side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use slipway_types::name::DefinitionName;
use slipway_types::{Version, Violation};

use crate::code;
use crate::definition::{Definition, Origin};
use crate::kind::DefinitionKind;
use crate::suggestion::did_you_mean;

/// Definitions by kind, name and version.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Versions in rising order of precedence.
    definitions: BTreeMap<(DefinitionKind, String), Vec<Arc<Definition>>>,
    /// Versions that are known and not to be used, and why.
    withheld: BTreeMap<(DefinitionKind, String), Vec<(Version, String)>>,
}

/// A definition that has no place in a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// The version is there with other contents.
    #[error("{definition} is there already with other contents: raise its version")]
    Version {
        /// Which.
        definition: String,
    },
    /// A name belongs to another definition.
    #[error("{definition} cannot answer to `{name}`{}: that is {} {holder}", of_alias(*.alias), held_as(*.holder_alias))]
    Name {
        /// Which.
        definition: String,
        /// The name.
        name: String,
        /// Whether it is an alias.
        alias: bool,
        /// Whose name it is.
        holder: String,
        /// Whether it is an alias there.
        holder_alias: bool,
        /// Whether the holder is part of Slipway.
        builtin: bool,
    },
}

fn of_alias(alias: bool) -> &'static str {
    if alias { ", its alias" } else { "" }
}

fn held_as(alias: bool) -> &'static str {
    if alias { "an alias of" } else { "the name of" }
}

impl Taken {
    /// What it means for the definition, with the way out.
    pub fn violation(&self) -> Violation {
        let (path, hint) = match self {
            Self::Version { .. } => {
                ("metadata.version", "a version never changes: raise metadata.version".to_owned())
            }
            Self::Name { name, alias, holder, builtin, .. } => {
                let (path, first) = match alias {
                    true => ("metadata.aliases", format!("remove `{name}` from metadata.aliases")),
                    false => ("metadata.name", "give it another name".to_owned()),
                };
                // What is part of Slipway cannot be removed.
                let second = if *builtin { String::new() } else { format!(", or uninstall {holder}") };
                (path, first + &second)
            }
        };
        Violation::new(code::NAME_TAKEN, path, self.to_string()).hint(hint)
    }
}

impl Catalogue {
    /// The catalogue of the definitions that are part of Slipway.
    pub fn builtin() -> Self {
        let mut catalogue = Self::default();
        for definition in crate::builtin::definitions() {
            let added = catalogue.add(Arc::clone(definition));
            debug_assert!(added.is_ok(), "{added:?}");
        }
        catalogue
    }

    /// Adds `definition`; adding it again changes nothing.
    pub fn add(&mut self, definition: Arc<Definition>) -> Result<(), Taken> {
        self.check_names(&definition)?;
        let versions = self.definitions.entry((definition.kind(), definition.name().to_owned())).or_default();
        match versions.binary_search_by(|known| known.version().precedence(definition.version())) {
            Ok(place) if versions[place].digest() == definition.digest() => Ok(()),
            Ok(_) => Err(Taken::Version { definition: definition.to_string() }),
            Err(place) => {
                versions.insert(place, definition);
                Ok(())
            }
        }
    }

    fn check_names(&self, definition: &Definition) -> Result<(), Taken> {
        let aliases = definition.manifest().aliases.iter().map(DefinitionName::as_str);
        for name in aliases.chain([definition.name()]) {
            let holder = self
                .all(definition.kind())
                .find(|known| known.name() != definition.name() && known.answers_to(name));
            if let Some(holder) = holder {
                return Err(Taken::Name {
                    definition: definition.to_string(),
                    name: name.to_owned(),
                    alias: name != definition.name(),
                    holder: holder.to_string(),
                    holder_alias: name != holder.name(),
                    builtin: holder.origin() == Origin::Builtin,
                });
            }
        }
        Ok(())
    }

    /// Notes that a version is known and not to be used, and why: told to whoever asks for it.
    pub fn withhold(&mut self, kind: DefinitionKind, name: &str, version: Version, why: String) {
        self.withheld.entry((kind, name.to_owned())).or_default().push((version, why));
    }

    /// Why versions of the major `held` (without one: any) are withheld.
    fn why_withheld(&self, kind: DefinitionKind, name: &str, held: Option<u64>) -> Option<String> {
        let withheld = self.withheld.get(&(kind, name.to_owned()))?;
        let fitting =
            withheld.iter().filter(|(version, _)| held.is_none_or(|major| version.core().0 == major));
        let why: Vec<&str> = fitting.map(|(_, why)| why.as_str()).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }

    /// Removes one version; whether it was there.
    pub fn remove(&mut self, kind: DefinitionKind, name: &str, version: &Version) -> bool {
        let key = (kind, name.to_owned());
        let Some(versions) = self.definitions.get_mut(&key) else { return false };
        let before = versions.len();
        versions.retain(|known| known.version() != version);
        let removed = versions.len() < before;
        if versions.is_empty() {
            self.definitions.remove(&key);
        }
        removed
    }

    /// The definition that `name` means: the highest version of the major `held`, without one the
    /// highest of all; releases before pre-releases. `path` is where the name stands.
    pub fn resolve(
        &self,
        kind: DefinitionKind,
        name: &str,
        held: Option<u64>,
        path: &str,
    ) -> Result<Arc<Definition>, Box<Violation>> {
        let versions = self.versions(kind, name);
        if versions.is_empty() {
            let known: Vec<&str> = self.names(kind).collect();
            let message = format!("there is no {} `{}`", kind.noun(), crate::suggestion::shortened(name));
            let violation = Violation::new(code::UNKNOWN_DEFINITION, path, message);
            let hint = self.why_withheld(kind, name, held).unwrap_or_else(|| did_you_mean(name, &known));
            return Err(Box::new(violation.hint(hint)));
        }
        let fitting = || {
            versions.iter().rev().filter(|known| held.is_none_or(|major| known.version().core().0 == major))
        };
        let chosen = fitting().find(|known| !known.version().is_prerelease()).or_else(|| fitting().next());
        chosen.map(Arc::clone).ok_or_else(|| {
            let there: Vec<String> = versions.iter().map(|known| known.version().to_string()).collect();
            let major = held.unwrap_or_default();
            let message = format!(
                "there is no version {major} of the {} `{name}`, which this application holds",
                kind.noun()
            );
            let own = versions.first().map_or(name, |definition| definition.name());
            let hint = self.why_withheld(kind, own, held).unwrap_or_else(|| {
                format!(
                    "there is {}; move the application to another major version: slipway definition hold APP \
                     {kind}/{own} --major N",
                    there.join(", ")
                )
            });
            Box::new(Violation::new(code::UNKNOWN_DEFINITION, path, message).hint(hint))
        })
    }

    /// All versions of what `name` means, rising.
    pub fn versions(&self, kind: DefinitionKind, name: &str) -> &[Arc<Definition>] {
        if let Some(versions) = self.definitions.get(&(kind, name.to_owned())) {
            return versions;
        }
        let answering = self.definitions.iter().find(|((known, _), versions)| {
            *known == kind && versions.iter().any(|definition| definition.answers_to(name))
        });
        answering.map(|(_, versions)| versions.as_slice()).unwrap_or_default()
    }

    /// One version.
    pub fn get(&self, kind: DefinitionKind, name: &str, version: &Version) -> Option<&Arc<Definition>> {
        self.versions(kind, name).iter().find(|known| known.version() == version)
    }

    /// Every definition, by kind, name and rising version.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values().flatten()
    }

    /// The catalogue as JSON.
    pub fn to_json(&self) -> Value {
        self.list().map(|definition| definition.to_json()).collect()
    }

    fn all(&self, kind: DefinitionKind) -> impl Iterator<Item = &Arc<Definition>> {
        self.list().filter(move |definition| definition.kind() == kind)
    }

    fn names(&self, kind: DefinitionKind) -> impl Iterator<Item = &str> {
        self.definitions.keys().filter(move |(known, _)| *known == kind).map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::{Folder, FolderOptions};

    fn definition(name: &str, version: &str, more: &str) -> Arc<Definition> {
        let manifest = format!(
            "apiVersion: slipway.dev/v1\nkind: TraitDefinition\nmetadata: {{name: {name}, version: {version}, \
             description: x{more}}}\nspec: {{api: 1, appliesTo: ['*']}}\n"
        );
        let schema = r#"{"type": "object", "additionalProperties": false}"#;
        let files = [("definition.yaml", manifest.as_str()), ("schema.json", schema), ("main.star", "")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        Arc::new(Definition::load(Folder::new(files, &FolderOptions::default()).unwrap()).unwrap())
    }

    fn catalogue(versions: &[&str]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for version in versions {
            catalogue.add(definition("hpa", version, "")).unwrap();
        }
        catalogue
    }

    fn resolved(catalogue: &Catalogue, held: Option<u64>) -> Result<String, Box<Violation>> {
        let found = catalogue.resolve(DefinitionKind::Trait, "hpa", held, "t");
        found.map(|definition| definition.version().to_string())
    }

    #[test]
    fn the_highest_version_of_the_held_major_is_meant() {
        let catalogue = catalogue(&["2.0.0", "1.2.0", "1.10.0", "1.11.0-rc.1", "3.0.0-rc.1"]);
        assert_eq!(resolved(&catalogue, None).unwrap(), "2.0.0");
        assert_eq!(resolved(&catalogue, Some(1)).unwrap(), "1.10.0");
        assert_eq!(resolved(&catalogue, Some(3)).unwrap(), "3.0.0-rc.1", "nothing else is there");
        let violation = resolved(&catalogue, Some(4)).unwrap_err();
        assert_eq!(violation.code, code::UNKNOWN_DEFINITION);
        assert!(violation.hint.unwrap().starts_with("there is 1.2.0, 1.10.0"));
    }

    #[test]
    fn a_name_that_clashes_is_told_with_the_way_out() {
        let mut builtin = Catalogue::builtin();
        let taken = builtin.add(definition("mine", "1.0.0", ", aliases: [hpa]")).unwrap_err().violation();
        assert_eq!(taken.path, "metadata.aliases");
        assert!(taken.message.contains("cannot answer to `hpa`, its alias: that is the name of"), "{taken}");
        assert_eq!(taken.hint.as_deref(), Some("remove `hpa` from metadata.aliases"));
        let mut catalogue = Catalogue::default();
        catalogue.add(definition("autoscaler", "1.0.0", ", aliases: [zoom]")).unwrap();
        let taken = catalogue.add(definition("zoom", "1.0.0", "")).unwrap_err().violation();
        assert!(taken.message.contains("`zoom`: that is an alias of trait `autoscaler` 1.0.0"), "{taken}");
        assert_eq!(
            taken.hint.as_deref(),
            Some("give it another name, or uninstall trait `autoscaler` 1.0.0")
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let violation =
            catalogue(&["1.0.0"]).resolve(DefinitionKind::Trait, "hap", None, "components[web].traits[hap]");
        let violation = violation.unwrap_err();
        assert_eq!(violation.to_string(), "components[web].traits[hap]: there is no trait `hap`");
        assert_eq!(violation.hint.as_deref(), Some("did you mean `hpa`?"));
        let other = catalogue(&["1.0.0"]).resolve(DefinitionKind::Policy, "hpa", None, "p").unwrap_err();
        assert_eq!(other.hint.as_deref(), Some("none is allowed here"));
    }

    #[test]
    fn a_version_and_a_name_are_taken_once() {
        let mut catalogue = catalogue(&["1.0.0"]);
        assert_eq!(catalogue.add(definition("hpa", "1.0.0", "")), Ok(()));
        assert!(matches!(catalogue.add(definition("hpa", "1.0.0", " y")), Err(Taken::Version { .. })));
        let with_alias = definition("autoscaler", "1.0.0", ", aliases: [cpuscaler]");
        assert_eq!(catalogue.add(with_alias), Ok(()));
        let found = catalogue.resolve(DefinitionKind::Trait, "cpuscaler", None, "t").unwrap();
        assert_eq!(found.name(), "autoscaler");
        assert!(matches!(catalogue.add(definition("cpuscaler", "1.0.0", "")), Err(Taken::Name { .. })));
        assert!(matches!(
            catalogue.add(definition("x", "1.0.0", ", aliases: [hpa]")),
            Err(Taken::Name { .. })
        ));
        assert_eq!(catalogue.list().count(), 2);
        let version = "1.0.0".parse().unwrap();
        assert!(catalogue.remove(DefinitionKind::Trait, "hpa", &version));
        assert!(!catalogue.remove(DefinitionKind::Trait, "hpa", &version));
        assert_eq!(catalogue.to_json()[0]["name"], "autoscaler");
        let details = catalogue.list().next().unwrap().details();
        assert_eq!(details["spec"]["appliesTo"][0], "*");
        assert_eq!(details["files"], serde_json::json!(["definition.yaml", "main.star", "schema.json"]));
    }
}
