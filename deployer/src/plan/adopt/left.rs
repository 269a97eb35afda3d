//! What a tool has beside what is taken over from it.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_core::inventory::{INSTANCE, LAST_APPLIED, Live, MANAGED_BY, Tool, controller_of};
use slipway_handoff::ObjectRef;
use slipway_kubernetes::{CallError, Freshness};
use slipway_records::AdoptPlan;

use super::Look;

/// The most objects that are told one by one.
const TOLD_MAX: usize = 200;

impl Look<'_> {
    /// Tells what stays with the tools: of Helm and Argo CD all that carries their labels, of others, and of Argo CD
    /// where it tracks by annotations, what is of the revision's kinds in the environment's namespace.
    pub(super) async fn left(&self, tools: &BTreeSet<Tool>, told: &mut AdoptPlan) -> Result<(), CallError> {
        let graph = &self.frozen.revision.graph;
        let ours: BTreeSet<_> = graph.objects().map(|(_, object)| object.object.identity()).collect();
        let mut left = BTreeSet::new();
        for tool in tools {
            let found = match self.objects_of(tool, &mut told.notes).await {
                Ok(found) => found,
                Err(CallError::Refused(status)) => {
                    told.notes.push(format!("not known what else {tool} has: {}", status.message));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for object in found.iter().filter(|object| is_of(object, tool)) {
                let Some(reference) = ObjectRef::of(object) else { continue };
                if !ours.contains(&reference.identity()) {
                    left.insert(reference.to_string());
                }
            }
        }
        let more = left.len().saturating_sub(TOLD_MAX);
        told.left = left.into_iter().take(TOLD_MAX).collect();
        if more > 0 {
            told.notes.push(format!("{more} more objects are left with who has them"));
        }
        Ok(())
    }

    /// Objects that may be a tool's.
    async fn objects_of(&self, tool: &Tool, notes: &mut Vec<String>) -> Result<Vec<Value>, CallError> {
        let selector = match tool {
            Tool::Helm { .. } => format!("{MANAGED_BY}=Helm"),
            Tool::ArgoCd { application } => format!("{INSTANCE}={application}"),
            Tool::Manifests { .. } => return self.of_own_kinds().await,
        };
        let labelled = self.cluster.labelled_everywhere(&selector).await?;
        if !labelled.unreadable.is_empty() {
            notes.push(format!("not looked for what else {tool} has of {}", labelled.unreadable.join(", ")));
        }
        let mut found = labelled.objects;
        if matches!(tool, Tool::ArgoCd { .. }) {
            found.extend(self.of_own_kinds().await?);
        }
        Ok(found)
    }

    /// What is of the revision's kinds in the environment's namespace, but Secrets: a list would bring the values
    /// of others.
    async fn of_own_kinds(&self) -> Result<Vec<Value>, CallError> {
        let objects = self.frozen.revision.graph.objects().map(|(_, object)| &object.object);
        let namespaced = objects.filter(|object| object.namespace.is_some() && !object.is_secret());
        let kinds: BTreeSet<(String, String)> =
            namespaced.map(|object| (object.api_version.clone(), object.kind.clone())).collect();
        self.cluster.labelled("", &kinds, Some(self.dressing.address.namespace()), Freshness::Now).await
    }
}

/// Whether an object is a tool's own, and nobody made it from another.
fn is_of(object: &Value, tool: &Tool) -> bool {
    let Ok(live) = Live::of(object) else { return false };
    if live.inventory().is_some() || controller_of(&live).is_some() {
        return false;
    }
    match tool {
        Tool::Manifests { .. } => {
            matches!(Tool::of(&live), Tool::Manifests { .. }) && live.annotation(LAST_APPLIED).is_some()
        }
        tool => Tool::of(&live) == *tool,
    }
}
