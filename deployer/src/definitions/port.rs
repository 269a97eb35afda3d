//! What the HTTP side asks about definitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use slipway_definitions::{Catalogue, Definition, DefinitionKind, code};
use slipway_oci::source::ImageSource as _;
use slipway_oci::{ImageError, Manifest};
use slipway_records::defining::{
    CheckedDefinition, Defining, DefinitionSource, KnownDefinition, KnownDefinitions,
};
use slipway_types::name::DefinitionName;
use slipway_types::{Fault, ImageReference, Version, Violation};

use super::{Offer, artifact, check, is_builtin};
use crate::configuration::types_of;
use crate::stage::Stage;

#[async_trait]
impl Defining for Stage {
    async fn known(&self) -> Result<KnownDefinitions, Fault> {
        let offer = self.definitions.current().await?;
        let usable = offer.catalogue.list().map(|definition| KnownDefinition {
            kind: definition.kind(),
            name: definition.manifest().name.clone(),
            version: definition.version().clone(),
            digest: definition.digest(),
            description: definition.manifest().description.clone(),
            aliases: definition.manifest().aliases.iter().map(ToString::to_string).collect(),
            source: offer.source(definition),
        });
        Ok(KnownDefinitions {
            usable: usable.collect(),
            disabled: offer.installed.iter().filter(|row| !row.enabled).cloned().collect(),
            unusable: offer.unusable().cloned().collect(),
            faults: offer.faults.clone(),
        })
    }

    async fn details(
        &self,
        kind: DefinitionKind,
        name: &str,
        version: Option<&Version>,
    ) -> Result<Option<Value>, Fault> {
        let offer = self.definitions.current().await?;
        let found = match version {
            Some(version) => offer.catalogue.get(kind, name, version).map(Arc::clone),
            None => offer.catalogue.resolve(kind, name, None, "").ok(),
        };
        let disabled = offer.installed.iter().rev().find(|row| {
            row.kind == kind
                && row.name.as_str() == name
                && version.is_none_or(|version| row.version == *version)
        });
        let found = match (found, disabled) {
            (Some(found), _) => found,
            (None, Some(row)) => match self.definitions.load(row).await? {
                Ok(found) => found,
                Err(_) => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        Ok(Some(shown(&offer, &found)))
    }

    async fn fetch(
        &self,
        reference: &ImageReference,
    ) -> Result<Result<CheckedDefinition, Vec<Violation>>, Fault> {
        let (layer, pinned) = match self.pull(reference).await? {
            Ok(pulled) => pulled,
            Err(violations) => return Ok(Err(violations)),
        };
        let definition = match artifact::read(layer).await? {
            Ok(definition) => definition,
            Err(violations) => return Ok(Err(violations)),
        };
        let offer = self.definitions.current().await?;
        let disabled = self.definitions.disabled(&offer).await?;
        let installed = match stands(&offer, &disabled, &definition) {
            Ok(installed) => installed,
            Err(violation) => return Ok(Err(vec![*violation])),
        };
        let violations = check::check(&self.plugins, &definition).await?;
        if !violations.is_empty() {
            return Ok(Err(violations));
        }
        // Packed anew: what is kept is what was read, in one form.
        let kept = self.blobs.put(artifact::pack(definition.folder())).await;
        let kept = kept.map_err(|error| {
            Fault::transient("storage_unavailable", format!("the object store fails: {error}"))
        })?;
        self.definitions.forget(&kept.digest).await;
        Ok(Ok(CheckedDefinition {
            kind: definition.kind(),
            name: definition.manifest().name.clone(),
            version: definition.version().clone(),
            digest: definition.digest(),
            archive: kept.digest,
            reference: pinned.to_string(),
            beside_builtin: is_builtin(&definition),
            installed,
        }))
    }

    async fn objection(
        &self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
    ) -> Result<Option<Violation>, Fault> {
        let offer = self.definitions.current().await?;
        let Some(row) = offer.row(kind, name.as_str(), version) else { return Ok(None) };
        // What cannot be read is told as a fault once it is enabled.
        let Ok(definition) = self.definitions.load(row).await? else { return Ok(None) };
        Ok(offer.objection(&definition))
    }

    fn named_by(&self, document: &str) -> Vec<(DefinitionKind, String)> {
        types_of(document, &self.options.files)
    }
}

/// Whether just this is installed already; or why it cannot be. What is disabled keeps its names, for it may
/// be offered again.
fn stands(
    offer: &Offer,
    disabled: &[Arc<Definition>],
    definition: &Arc<Definition>,
) -> Result<bool, Box<Violation>> {
    let version = definition.version();
    if let Some(row) = offer.row(definition.kind(), definition.name(), version) {
        if row.digest == definition.digest() {
            return Ok(true);
        }
        let message = format!("{definition} is installed already with other contents");
        let violation = Violation::new(code::NAME_TAKEN, "metadata.version", message);
        return Err(Box::new(violation.hint("a version never changes: raise metadata.version")));
    }
    let mut catalogue = offer.catalogue.clone();
    for known in disabled {
        // One that clashes with what is offered now takes no name from that.
        drop(catalogue.add(Arc::clone(known)));
    }
    let added = catalogue.add(Arc::clone(definition));
    added.map(|()| false).map_err(|taken| Box::new(taken.violation()))
}

impl Offer {
    /// Why an installed definition cannot be offered. Those of a directory give way to it.
    fn objection(&self, definition: &Arc<Definition>) -> Option<Violation> {
        let mut catalogue = Catalogue::default();
        let is_of_directory =
            |known: &Definition| matches!(self.source(known), DefinitionSource::Directory { .. });
        for known in self.catalogue.list().filter(|known| !is_of_directory(known)) {
            drop(catalogue.add(Arc::clone(known)));
        }
        Some(catalogue.add(Arc::clone(definition)).err()?.violation())
    }
}

impl Stage {
    /// The layer of a definition and the reference by digest that it came from.
    async fn pull(
        &self,
        reference: &ImageReference,
    ) -> Result<Result<(bytes::Bytes, ImageReference), Vec<Violation>>, Fault> {
        let fetched = self.images.fetch_manifest(reference).await.map_err(not_pulled)?;
        let layer = match &fetched.manifest {
            Manifest::Image(manifest) => artifact::layer(manifest),
            Manifest::Index(_) => {
                let message = "it is an index of images, no definition";
                Err(vec![Violation::new(code::INVALID_DEFINITION, "package", message)])
            }
        };
        let layer = match layer {
            Ok(layer) => layer,
            Err(violations) => return Ok(Err(violations)),
        };
        let bytes = self.images.fetch_bytes(reference, layer, artifact::MAX_LAYER_BYTES).await;
        Ok(Ok((bytes.map_err(not_pulled)?, reference.pinned(fetched.digest))))
    }
}

fn not_pulled(error: ImageError) -> Fault {
    tracing::warn!(%error, "cannot pull a definition");
    error.into()
}

fn shown(offer: &Offer, definition: &Definition) -> Value {
    let mut shown = definition.details();
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let files = definition.folder().files().iter().map(|(path, bytes)| (path.clone(), text(bytes)));
    shown["files"] = files.collect::<BTreeMap<_, _>>().into_iter().collect();
    shown["source"] = serde_json::to_value(offer.source(definition)).unwrap_or_default();
    let versions = offer.catalogue.versions(definition.kind(), definition.name());
    shown["versions"] = versions.iter().map(|known| known.version().to_string()).collect();
    shown
}

#[cfg(test)]
mod tests {
    use slipway_definitions::{Folder, FolderOptions, scaffold};

    use super::*;

    fn definition(name: &str, more: &str) -> Arc<Definition> {
        let files =
            scaffold(DefinitionKind::Trait, &name.parse().unwrap()).into_iter().map(|(path, text)| {
                let named = format!("  name: {name}\n");
                (path, text.replace(&named, &format!("{named}{more}")).into())
            });
        let folder = Folder::new(files.collect(), &FolderOptions::default()).unwrap();
        Arc::new(Definition::load(folder).unwrap())
    }

    #[test]
    fn what_is_disabled_keeps_its_names_and_gets_none_of_others_back() {
        let (first, second) = (definition("aaa", "  aliases: [zoom]\n"), definition("zoom", ""));
        assert!(first.answers_to("zoom"));
        let mut offer = Offer::default();
        assert_eq!(stands(&offer, &[], &second).ok(), Some(false));
        let refused = stands(&offer, &[Arc::clone(&first)], &second).unwrap_err();
        assert_eq!(refused.code, code::NAME_TAKEN);
        assert_eq!(offer.objection(&first), None);
        let source = DefinitionSource::Directory { path: "/d".to_owned() };
        offer.add(&second, source, true).unwrap();
        assert_eq!(offer.objection(&first), None, "those of a directory give way");
        offer.sources.clear();
        assert!(offer.objection(&first).is_some_and(|taken| taken.message.contains("`zoom`")));
        assert_eq!(offer.objection(&second), None);
    }
}
