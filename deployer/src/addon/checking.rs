//! An instance of an add-on checked before it is stored.

use slipway_definitions::{Function, Reach};
use slipway_records::AddonInstance;
use slipway_types::{Fault, Version, Violation};

use crate::plan::addon::definition_of;
use crate::stage::Stage;

impl Stage {
    /// An instance as it would be stored: its definition's own name and version, and what those say. Nothing is
    /// written.
    pub(crate) async fn checked_addon(
        &self,
        mut addon: AddonInstance,
        version: Option<&Version>,
    ) -> Result<Result<AddonInstance, Vec<Violation>>, Fault> {
        let offer = self.definitions.current().await?;
        let definition = match definition_of(&offer, addon.definition.as_str(), version) {
            Ok(definition) => definition,
            Err(violation) => return Ok(Err(vec![*violation])),
        };
        addon.definition =
            definition.name().parse().expect("invariant: a definition has a definition's name");
        addon.version = definition.version().clone();
        if let Some(body) = definition.manifest().as_addon() {
            addon.binding_secrets = body.binding_generates.iter().map(ToString::to_string).collect();
            addon.in_cluster = body.reach == Reach::Cluster;
            addon.has_release = body.release;
        }
        let subject = self.subject_of(addon).await?;
        let planned = self.plan_addon(&subject, Function::Render, false).await?;
        let mut violations = planned.err().unwrap_or_default();
        // What cannot be released is not begun.
        if violations.is_empty() && subject.addon.has_release {
            let planned = self.plan_addon(&subject, Function::Release, false).await?;
            violations.extend(planned.err().unwrap_or_default());
        }
        violations.extend(self.addon_receiver_objections(&subject.environment).await?);
        Ok(if violations.is_empty() { Ok(subject.addon) } else { Err(violations) })
    }
}
