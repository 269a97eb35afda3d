//! The definitions of one application: those of the server, each in the major version that it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use slipway_definitions::{Definition, DefinitionKind};
use slipway_handoff::DefinitionKind as FrozenKind;
use slipway_records::{DefinitionHold, FrozenDefinition};
use slipway_types::Violation;

use super::Offer;

/// What an application's plans choose from.
#[derive(Debug, Clone)]
pub struct HeldDefinitions {
    offer: Arc<Offer>,
    /// By kind and the definition's own name.
    majors: BTreeMap<(DefinitionKind, String), u64>,
}

impl HeldDefinitions {
    /// All there are, under what the application holds.
    pub fn new(offer: Arc<Offer>, holds: Vec<DefinitionHold>) -> Self {
        let majors = holds.into_iter().map(|hold| ((hold.kind, hold.name.to_string()), hold.major)).collect();
        Self { offer, majors }
    }

    /// The definition that `name`, which may be an alias, means to this application; `path` is where the name
    /// stands.
    pub fn resolve(
        &self,
        kind: DefinitionKind,
        name: &str,
        path: &str,
    ) -> Result<Arc<Definition>, Box<Violation>> {
        let catalogue = &self.offer.catalogue;
        let own = catalogue.versions(kind, name).first().map_or(name, |definition| definition.name());
        let held = self.majors.get(&(kind, own.to_owned())).copied();
        catalogue.resolve(kind, name, held, path)
    }

    /// What people should know: newer major versions of what was used.
    pub fn newer(&self, used: &[FrozenDefinition]) -> Vec<String> {
        let told = used.iter().filter_map(|used| {
            let newest = self.offer.catalogue.resolve(used.kind, used.name.as_str(), None, "").ok()?;
            let (major, newer) = (used.version.core().0, newest.version().core().0);
            (newer > major && !newest.version().is_prerelease()).then(|| {
                format!(
                    "{newest} is there; this application holds major version {major}: slipway definition hold \
                     APP {}/{} --major {newer}",
                    used.kind, used.name
                )
            })
        });
        told.collect()
    }
}

/// A definition as a revision names it.
pub fn of_revision(definition: &slipway_handoff::Definition) -> Option<FrozenDefinition> {
    let kind = match definition.kind {
        FrozenKind::Component => DefinitionKind::Component,
        FrozenKind::Trait => DefinitionKind::Trait,
        FrozenKind::Policy => DefinitionKind::Policy,
        FrozenKind::Step => DefinitionKind::Step,
        FrozenKind::Addon => DefinitionKind::Addon,
    };
    let version = definition.version.parse().ok()?;
    Some(FrozenDefinition { kind, name: definition.name.clone(), version, digest: definition.digest })
}
