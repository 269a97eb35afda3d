//! What the HTTP side asks of the deploy stage at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use slipway_handoff::{Mode, Node};
use slipway_records::deploying::{
    ClusterLook, DeployPlan, DeployRequest, Deploying, DeploymentOrder, ExplainedKey, GateView, GraphNode,
    HeardKind, InForce, ObjectChange, OrderRefused, OrderTold, OriginView, ReportRefused, ReportTaken,
    RunningView, SecretName, SecretUser,
};
use slipway_records::{
    AddonInstance, AdoptPlan, AdoptRequest, Application, Cluster, Deployment, Environment, LiveObjects,
    LiveWanted, PackageVersion,
};
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::{Address, Fault, RegistryPrefix, Version, Violation};

use crate::configuration::LevelAuthor;
use crate::gates::Gate;
use crate::plan::{Change, Difference, Frozen, PlanRequest, Running, compare};
use crate::stage::Stage;
use crate::standing;

fn request(wanted: &DeployRequest) -> PlanRequest {
    PlanRequest {
        application: wanted.application.clone(),
        environment: wanted.environment.clone(),
        bundle: wanted.bundle.clone(),
        document: wanted.document.clone(),
        keep: false,
    }
}

fn view(gate: Gate) -> GateView {
    GateView { gate: gate.gate, open: gate.open, detail: gate.detail, opens_in_s: gate.opens_in_s }
}

fn graph_node(name: &str, node: &Node) -> GraphNode {
    GraphNode {
        name: name.to_owned(),
        component: node.component.as_ref().map(ToString::to_string),
        needs: node.needs.iter().cloned().collect(),
        after: node.after.difference(&node.needs).cloned().collect(),
        when: node.when.clone(),
        objects: node.objects.iter().map(|object| object.object.to_string()).collect(),
        holds: node.hold.is_some(),
        message: node.hold.as_ref().and_then(|hold| hold.message.clone()),
        calls: node.call.is_some(),
    }
}

fn change(found: Difference) -> ObjectChange {
    ObjectChange {
        object: found.object,
        change: match found.change {
            Change::Create => "create",
            Change::Update => "update",
            Change::Same => "same",
            Change::Remove => "remove",
            Change::Keep => "keep",
            Change::Unknown => "unknown",
        },
        fields: found.fields,
    }
}

impl Stage {
    /// What would change in the cluster: objects of the new revision that are `written`, then those that it no
    /// longer has.
    async fn against_cluster(
        &self,
        wanted: &DeployRequest,
        (frozen, written): (&Frozen, &Frozen),
        running: Option<&Running>,
    ) -> Result<(Vec<Difference>, Vec<Violation>), Fault> {
        let (application, address) = (&wanted.application.name, &wanted.environment.address);
        let cluster = self.cluster_of(&wanted.environment).await?;
        let (mut differences, violations) = compare(&cluster, written, application, address, &[]).await?;
        if let Some(running) = running {
            differences.extend(running.removed(&cluster, frozen, application, address).await?);
        }
        Ok((differences, violations))
    }

    /// Shows a revision: what of it is `written`, and what that would change. Beside it what the cluster's API server
    /// says against it.
    pub(crate) async fn shown(
        &self,
        wanted: &DeployRequest,
        (frozen, written): (&Frozen, &Frozen),
        mut shown: DeployPlan,
    ) -> (DeployPlan, Vec<Violation>) {
        shown.revision = Some(frozen.revision.digest());
        shown.objects = written.objects();
        shown.graph = serde_json::to_value(&written.revision.graph).ok();
        let running = match self.running(&wanted.application, &wanted.environment).await {
            Ok(running) => running,
            Err(fault) => {
                shown.notes.push(format!("not compared with what runs: {}", fault.message));
                None
            }
        };
        shown.running = running.as_ref().map(|running| RunningView {
            generation: running.generation,
            version: running.version.to_string(),
            revision: running.revision,
            differences: running.differences(frozen, written).into_iter().map(change).collect(),
        });
        match self.against_cluster(wanted, (frozen, written), running.as_ref()).await {
            Ok((differences, violations)) => {
                shown.differences = differences.into_iter().map(change).collect();
                (shown, violations)
            }
            Err(fault) => {
                shown.notes.push(format!("not compared with the cluster: {}", fault.message));
                (shown, Vec::new())
            }
        }
    }
}

#[async_trait]
impl Deploying for Stage {
    async fn plan(&self, wanted: &DeployRequest) -> Result<DeployPlan, Fault> {
        let request = request(wanted);
        let plan = Stage::plan(self, &request).await?;
        let mut shown = DeployPlan {
            violations: plan.violations,
            notes: plan.notes,
            reaches: plan.reaches.iter().map(ToString::to_string).collect(),
            ..DeployPlan::default()
        };
        let Some(frozen) = plan.revision else { return Ok(shown) };
        match self.objections(&wanted.environment, &frozen.revision, Mode::Apply).await {
            Ok(found) => shown.violations.extend(found),
            Err(fault) => shown.notes.push(format!("not known what the receiver can do: {}", fault.message)),
        }
        let (mut shown, against) = self.shown(wanted, (&frozen, &frozen), shown).await;
        shown.violations.extend(against);
        Ok(shown)
    }

    async fn rollback_plan(
        &self,
        wanted: &DeployRequest,
        to: u64,
        was_live: bool,
    ) -> Result<DeployPlan, Fault> {
        self.plan_of_rollback(wanted, to, was_live).await
    }

    async fn adoption(&self, wanted: &AdoptRequest) -> Result<AdoptPlan, Fault> {
        self.adoption_of(wanted).await
    }

    async fn gates(
        &self,
        deployment: &Deployment,
        environment: &Environment,
        bundle: &PackageVersion,
    ) -> Result<Vec<GateView>, Fault> {
        let gates = standing::gates(self, deployment, environment, bundle).await?;
        Ok(gates.into_iter().map(view).collect())
    }

    async fn gates_of_drafts(
        &self,
        drafts: &[(Deployment, &PackageVersion)],
        environment: &Environment,
    ) -> Result<Vec<Result<Vec<GateView>, Fault>>, Fault> {
        let found = standing::gates_of_drafts(self, drafts, environment).await?;
        let views = |gates: Vec<Gate>| gates.into_iter().map(view).collect();
        Ok(found.into_iter().map(|gates| gates.map(views)).collect())
    }

    async fn graph(&self, deployment: &Deployment) -> Result<Option<Vec<GraphNode>>, Fault> {
        let Some(revision) = &deployment.revision else { return Ok(None) };
        let Some(document) = self.revision_document(revision).await? else { return Ok(None) };
        let nodes = document.graph.nodes();
        let order = document.graph.order().into_iter();
        Ok(Some(order.map(|name| graph_node(name, &nodes[name])).collect()))
    }

    async fn live_objects(
        &self,
        deployment: &Deployment,
        application: &Application,
        environment: &Environment,
        wanted: &LiveWanted,
    ) -> Result<Option<LiveObjects>, Fault> {
        self.live_objects_of(deployment, application, environment, wanted).await
    }

    async fn in_force(&self, wanted: &DeployRequest) -> Result<Result<InForce, Vec<Violation>>, Fault> {
        Stage::in_force(self, &request(wanted)).await
    }

    async fn explain(
        &self,
        wanted: &DeployRequest,
        key: &str,
    ) -> Result<Result<ExplainedKey, Vec<Violation>>, Fault> {
        let explained = self.explain(&request(wanted)).await?;
        Ok(explained.and_then(|(merged, authors)| {
            if let Some(violation) = merged.unknown_key(key) {
                return Err(vec![violation]);
            }
            let origins = merged.origin_of(key);
            Ok(ExplainedKey {
                value: origins.last().map_or(Value::Null, |origin| origin.value.clone()),
                origins: origins
                    .into_iter()
                    .map(|origin| {
                        let author = author_of(&authors, &origin.level);
                        OriginView {
                            value: origin.value,
                            place: origin.at,
                            by: author.map(|author| author.by.clone()),
                            at: author.map(|author| author.at),
                            version: author.map(|author| author.version),
                            commit: author.and_then(|author| author.commit.clone()),
                            level: origin.level,
                        }
                    })
                    .collect(),
            })
        }))
    }

    fn check_document(&self, document: &str) -> Vec<Violation> {
        slipway_oam::read(document.as_bytes(), "document", &self.options.files).err().unwrap_or_default()
    }

    async fn level_notes(&self, application: &Application, level: &str) -> Result<Vec<String>, Fault> {
        Stage::level_notes(self, application, level).await
    }

    fn check_settings(&self, settings: &EnvironmentSettings) -> Vec<Violation> {
        let available = self.receivers();
        let mut found =
            slipway_handoff::settings::violations(&settings.receiver, &available, self.options.allow_http);
        for violation in &mut found {
            violation.path = format!("settings.{}", violation.path);
        }
        found
    }

    async fn look_at_cluster(&self, name: &str, settings: &ClusterSettings) -> Result<ClusterLook, Fault> {
        let (uid, facts) = self.clusters.look(name, settings).await?;
        Ok(ClusterLook { uid, facts })
    }

    async fn heard_kinds(&self, cluster: &Cluster) -> Result<Vec<HeardKind>, Fault> {
        Stage::heard_kinds(self, cluster).await
    }

    async fn pull_objection(
        &self,
        cluster: &ClusterSettings,
        own: Option<&RegistryPrefix>,
    ) -> Option<String> {
        Stage::pull_objection(self, cluster, own).await
    }

    async fn report(
        &self,
        address: &Address,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<ReportTaken, ReportRefused> {
        self.take_report(address, headers, body).await
    }

    async fn order(&self, order: &DeploymentOrder) -> Result<OrderTold, OrderRefused> {
        self.tell(order).await
    }

    async fn secret_users(&self, secret: &SecretName) -> Result<Vec<SecretUser>, Fault> {
        self.users_of(secret).await
    }

    async fn check_addon(
        &self,
        draft: AddonInstance,
        version: Option<&Version>,
    ) -> Result<Result<AddonInstance, Vec<Violation>>, Fault> {
        self.checked_addon(draft, version).await
    }
}

fn author_of<'a>(authors: &'a [LevelAuthor], level: &str) -> Option<&'a LevelAuthor> {
    authors.iter().find(|author| author.level == level)
}
