//! Installed definitions, the major versions that applications hold, and what live revisions were made by.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::ApplicationId;
use slipway_types::name::{DefinitionName, EnvironmentName};
use slipway_types::{ApplicationName, DefinitionKind, Digest, Version};

use crate::{Configuration, Result};

/// A definition that somebody brought to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledDefinition {
    /// What it extends.
    pub kind: DefinitionKind,
    /// Its name; with kind and version its identity.
    pub name: DefinitionName,
    /// Its version.
    pub version: Version,
    /// Digest of its files: what revisions name it by.
    pub digest: Digest,
    /// The blob that holds its files.
    pub archive: Digest,
    /// Where it came from, by digest.
    pub reference: String,
    /// Whether new plans may use it.
    pub enabled: bool,
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
    /// By whom.
    pub installed_by: String,
}

/// A definition that a frozen revision was made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenDefinition {
    /// What it extends.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// Its version.
    pub version: Version,
    /// Digest of its files.
    pub digest: Digest,
}

/// A deployment that has not ended and whose revision was made by a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionUse {
    /// Which definition.
    pub definition: FrozenDefinition,
    /// Whose deployment.
    pub application: ApplicationName,
    /// Where.
    pub environment: EnvironmentName,
}

/// A major version that an application keeps to until somebody says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionHold {
    /// Which application.
    pub application_id: ApplicationId,
    /// What the definition extends.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: DefinitionName,
    /// The major version.
    pub major: u64,
    /// Since when.
    pub set_at: DateTime<Utc>,
    /// By whom.
    pub set_by: String,
}

/// Looking up definitions.
#[async_trait]
pub trait ReadDefinitions {
    /// All installed definitions by kind, name and the text of their version.
    async fn definition_list(&mut self) -> Result<Vec<InstalledDefinition>>;
    /// What deployments that have not ended were made by.
    async fn definition_uses(&mut self) -> Result<Vec<DefinitionUse>>;
    /// What one application holds, or all that are there hold, by application, kind and name.
    async fn definition_holds(&mut self, application: Option<ApplicationId>) -> Result<Vec<DefinitionHold>>;
    /// What operators wrote for one application, or for all that are there, by application and level: the
    /// newest versions. Removed levels and deleted applications are left out.
    async fn configurations_in_force(
        &mut self,
        application: Option<ApplicationId>,
    ) -> Result<Vec<Configuration>>;
}

/// Changing definitions.
#[async_trait]
pub trait WriteDefinitions {
    /// Keeps an installed definition. `Conflict` if that version is there.
    async fn definition_insert(&mut self, definition: &InstalledDefinition) -> Result<()>;
    /// Offers a definition to new plans or no longer; `false` if it is not installed.
    async fn definition_enable(
        &mut self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
        enabled: bool,
    ) -> Result<bool>;
    /// Forgets a definition; `false` if it is not installed.
    async fn definition_remove(
        &mut self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
    ) -> Result<bool>;
    /// Notes what a revision was made by; again the same changes nothing.
    async fn revision_made_by(&mut self, revision: &Digest, definitions: &[FrozenDefinition]) -> Result<()>;
    /// Holds a major version where the application holds none of that definition yet; whether it did.
    async fn definition_hold_first(&mut self, hold: &DefinitionHold) -> Result<bool>;
    /// Holds a major version in the place of another.
    async fn definition_hold_put(&mut self, hold: &DefinitionHold) -> Result<()>;
    /// Lets go; `false` if nothing was held.
    async fn definition_hold_remove(
        &mut self,
        application: ApplicationId,
        kind: DefinitionKind,
        name: &DefinitionName,
    ) -> Result<bool>;
}
