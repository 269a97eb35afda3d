//! Definitions to choose from, and the schemas of their properties.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_types::id::ApplicationId;
use slipway_types::{DefinitionKind, Role, Version};

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A definition to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) name: String,
    /// One sentence, in the definition's words.
    pub(super) description: String,
}

/// What plans of an application may use, by kind and name: of several versions the newest it is not held from.
#[derive(Debug, Default)]
pub(super) struct Known {
    offered: BTreeMap<(DefinitionKind, String), (Version, String)>,
}

impl Known {
    pub(super) async fn of(
        state: &ServerState,
        caller: &Caller,
        application: ApplicationId,
    ) -> Result<Self, ApiError> {
        caller.somewhere(Role::Reader)?;
        let holds = state.records.read().await?.definition_holds(Some(application)).await?;
        let known = state.defining.known().await.map_err(ApiError::of_fault)?;
        let mut offered = BTreeMap::new();
        // Versions rise, so the last one stays.
        for definition in known.usable {
            let name = definition.name.to_string();
            let hold = holds.iter().find(|hold| hold.kind == definition.kind && hold.name == definition.name);
            if hold.is_none_or(|hold| hold.major == definition.version.core().0) {
                offered.insert((definition.kind, name), (definition.version, definition.description));
            }
        }
        Ok(Self { offered })
    }

    /// Those of a kind, by name.
    pub(super) fn of_kind(&self, kind: DefinitionKind) -> Vec<Offered> {
        let of_kind = self.offered.iter().filter(|((found, _), _)| *found == kind);
        let offered = of_kind.map(|((_, name), (_, description))| Offered {
            name: name.clone(),
            description: description.clone(),
        });
        offered.collect()
    }

    /// What a definition says of itself, its schema too; `None` if there is none.
    pub(super) async fn details(
        &self,
        state: &ServerState,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let version = self.offered.get(&(kind, name.to_owned())).map(|(version, _)| version);
        state.defining.details(kind, name, version).await.map_err(ApiError::of_fault)
    }
}
