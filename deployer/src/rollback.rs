//! Revisions that are taken up again instead of planned, and what that would do.

use std::collections::BTreeMap;

use slipway_handoff::{Graph, Mode, Node, NodeName, Revision, TaskOutputs};
use slipway_records::deploying::{DeployPlan, DeployRequest};
use slipway_records::{Application, Environment};
use slipway_types::{Fault, Violation};

use crate::handler::is_removal;
use crate::plan::{Frozen, SecretsOf};
use crate::receivers::key;
use crate::stage::Stage;

/// A generation whose revision is taken up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    /// Which one.
    pub(crate) generation: u64,
    /// Whether its secrets get the versions of now; else it is taken up as it was frozen.
    pub(crate) with_secrets_of_now: bool,
    /// The word of the cause, where violations stand.
    pub(crate) cause: &'static str,
}

impl Stage {
    /// The revision of an earlier generation as it is taken up, or what stands against that.
    pub(crate) async fn taken_up(
        &self,
        application: &Application,
        environment: &Environment,
        earlier: Earlier,
    ) -> Result<Result<Frozen, Vec<Violation>>, Fault> {
        let Earlier { generation, with_secrets_of_now, cause } = earlier;
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let found = read.deployment_by_generation(environment.id, application.id, generation).await;
        drop(read);
        let found = found.map_err(|error| crate::records_fault(&error))?;
        let revision = found.filter(|earlier| !is_removal(earlier)).and_then(|earlier| earlier.revision);
        let Some(revision) = revision else {
            let message = format!("generation {generation} was never frozen");
            return Ok(Err(vec![Violation::new("revision_missing", cause, message)]));
        };
        let mut frozen = self.kept_revision(&key(&application.name, environment), &revision).await?;
        if with_secrets_of_now {
            let place = SecretsOf { application: &application.name, environment };
            let (uses, violations) = self.secrets_of_now(&frozen.revision.secrets, place).await?;
            if !violations.is_empty() {
                return Ok(Err(violations));
            }
            frozen.revision.secrets = uses;
        }
        Ok(Ok(frozen))
    }

    /// What a rollback to the generation `to` would do. Nothing is planned, as nothing is when it is done. What the
    /// API server says against an object is a note: it stands in nobody's way beforehand.
    pub(crate) async fn plan_of_rollback(
        &self,
        wanted: &DeployRequest,
        to: u64,
        was_live: bool,
    ) -> Result<DeployPlan, Fault> {
        let earlier = Earlier { generation: to, with_secrets_of_now: was_live, cause: "rollback" };
        let frozen = match self.taken_up(&wanted.application, &wanted.environment, earlier).await? {
            Ok(frozen) => frozen,
            Err(violations) => return Ok(DeployPlan { violations, ..DeployPlan::default() }),
        };
        let mut shown = DeployPlan { notes: notes(&frozen, to, was_live), ..DeployPlan::default() };
        match self.objections(&wanted.environment, &frozen.revision, Mode::Apply).await {
            Ok(found) => shown.violations.extend(found),
            Err(fault) => shown.notes.push(format!("not known what the receiver can do: {}", fault.message)),
        }
        let kept = frozen.without_temporary();
        let written = if was_live { kept.with_tasks_done() } else { kept.clone() };
        let revision = frozen.revision.digest();
        let (mut shown, against) = self.shown(wanted, (&kept, &written), shown).await;
        shown.revision = Some(revision);
        shown.notes.extend(against.iter().map(ToString::to_string));
        Ok(shown)
    }
}

fn notes(frozen: &Frozen, to: u64, was_live: bool) -> Vec<String> {
    let secrets = if was_live { ", with the secrets of now" } else { "" };
    let mut notes =
        vec![format!("the revision of generation {to} as it was frozen{secrets}: nothing is planned anew")];
    let graph = &frozen.revision.graph;
    let objects = graph.objects().map(|(_, object)| &object.object);
    let tasks: Vec<String> = objects
        .filter(|object| was_live && graph.has_task(object))
        .map(|object| format!("{} {}", object.kind, object.name))
        .collect();
    if !tasks.is_empty() {
        notes.push(format!("not run again: {}", tasks.join(", ")));
    }
    notes
}

impl Frozen {
    /// The same without what stands there on the way only: a rollback has none of it.
    fn without_temporary(&self) -> Self {
        let one = |(name, node): (&NodeName, &Node)| {
            let mut node = node.clone();
            if node.temporary {
                node.objects.clear();
                node.inputs.clear();
            }
            (name.clone(), node)
        };
        let nodes: BTreeMap<NodeName, Node> = self.revision.graph.nodes().iter().map(one).collect();
        self.with(Graph::try_from(nodes).expect("invariant: what nodes need is as it was in a graph"))
    }

    /// The same where every task is done.
    fn with_tasks_done(&self) -> Self {
        self.with(self.revision.graph.with_tasks_done(&TaskOutputs::new()))
    }

    fn with(&self, graph: Graph) -> Self {
        let revision = Revision { graph, ..self.revision.clone() };
        Self { revision, manifests: self.manifests.clone() }
    }
}
