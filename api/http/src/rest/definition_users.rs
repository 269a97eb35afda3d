//! Who uses a definition: what runs, what is held, what operators wrote.

use std::collections::BTreeMap;

use slipway_records::defining::KnownDefinition;
use slipway_records::{
    AddonInstance, Configuration, DefinitionHold, DefinitionUse, InstalledDefinition, Read,
};
use slipway_types::id::ApplicationId;
use slipway_types::{DefinitionKind, Digest};

use crate::problem::ApiError;

/// How a user begins that is a configuration.
pub(super) const CONFIGURATION_OF: &str = "the configuration of ";

/// All users of all definitions.
pub(super) struct Users {
    uses: Vec<DefinitionUse>,
    holds: Vec<DefinitionHold>,
    configurations: Vec<Configuration>,
    addons: Vec<AddonInstance>,
    /// Of those that hold or configure something.
    names: BTreeMap<ApplicationId, String>,
}

impl Users {
    pub(super) async fn read(read: &mut (dyn Read + '_)) -> Result<Self, ApiError> {
        let configurations = read.configurations_in_force(None).await?;
        Self::with(read, configurations).await
    }

    /// All but those that merely write its name.
    pub(super) async fn running_or_holding(read: &mut (dyn Read + '_)) -> Result<Self, ApiError> {
        Self::with(read, Vec::new()).await
    }

    async fn with(read: &mut (dyn Read + '_), configurations: Vec<Configuration>) -> Result<Self, ApiError> {
        let uses = read.definition_uses().await?;
        let holds = read.definition_holds(None).await?;
        let addons = read.addon_list().await?;
        let mut names = BTreeMap::new();
        let holding = holds.iter().map(|hold| hold.application_id);
        for id in holding.chain(configurations.iter().map(|row| row.application_id)) {
            if let std::collections::btree_map::Entry::Vacant(place) = names.entry(id)
                && let Some(application) = read.application_get(id).await?
            {
                place.insert(application.name.to_string());
            }
        }
        Ok(Self { uses, holds, configurations, addons, names })
    }

    /// Deployments that were made by the definition and have not ended.
    pub(super) fn running(&self, digest: &Digest) -> Vec<String> {
        let made = self.uses.iter().filter(|used| used.definition.digest == *digest);
        made.map(|used| format!("{}@{}", used.application, used.environment)).collect()
    }

    /// Applications that hold this major version.
    pub(super) fn holding(&self, kind: DefinitionKind, name: &str, major: u64) -> Vec<String> {
        let held = self
            .holds
            .iter()
            .filter(|hold| hold.kind == kind && hold.name.as_str() == name && hold.major == major);
        held.filter_map(|hold| self.names.get(&hold.application_id).cloned()).collect()
    }

    /// Applications whose configuration names one of these, and at which level.
    fn configuring(
        &self,
        kind: DefinitionKind,
        names: &[String],
        named_by: impl Fn(&str) -> Vec<(DefinitionKind, String)>,
    ) -> Vec<String> {
        let named = |row: &&Configuration| {
            named_by(&row.document).iter().any(|(of, name)| *of == kind && names.contains(name))
        };
        let shown = |row: &Configuration| {
            let level = if row.level.is_empty() { "all environments" } else { &row.level };
            let name = self.names.get(&row.application_id)?;
            Some(format!("{CONFIGURATION_OF}{name} for {level}"))
        };
        self.configurations.iter().filter(named).filter_map(shown).collect()
    }

    /// What needs this very definition: what was made by it; who holds its major version, where no other
    /// version of that is left; whose configuration names it, where none is left at all.
    pub(super) fn needing(
        &self,
        row: &InstalledDefinition,
        usable: &[KnownDefinition],
        named_by: impl Fn(&str) -> Vec<(DefinitionKind, String)>,
    ) -> Vec<String> {
        let same = usable.iter().filter(|known| known.kind == row.kind && known.name == row.name);
        let (own, others): (Vec<_>, Vec<_>) = same.partition(|known| known.version == row.version);
        let mut needing = self.running(&row.digest);
        let of_it = self.addons.iter().filter(|addon| {
            row.kind == DefinitionKind::Addon && addon.definition == row.name && addon.version == row.version
        });
        needing.extend(of_it.map(|addon| format!("the add-on {}", addon.name)));
        let major = row.version.core().0;
        if others.iter().all(|known| known.version.core().0 != major) {
            let holding = self.holding(row.kind, row.name.as_str(), major);
            needing.extend(holding.iter().map(|name| format!("{name} holds major version {major}")));
        }
        if others.is_empty() {
            let aliases = own.iter().flat_map(|known| known.aliases.iter().cloned());
            let names: Vec<String> = aliases.chain([row.name.to_string()]).collect();
            needing.extend(self.configuring(row.kind, &names, named_by));
        }
        needing
    }
}
