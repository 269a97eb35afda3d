//! Deployments as answers show them.

use std::collections::HashMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use slipway_records::deploying::GateView;
use slipway_records::{Application, Deployment, Environment, Observation, OrderRow, Read};
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId};
use slipway_types::state::DeploymentState;
use slipway_types::{Role, Violation};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// So many orders are shown: at least as many as may be pending.
const ORDERS_SHOWN: u32 = 20;

/// A deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeploymentView {
    pub(crate) id: String,
    pub(crate) application: String,
    pub(crate) environment: String,
    /// When that environment was removed; absent: it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment_removed_at: Option<DateTime<Utc>>,
    /// Rises for each application and environment.
    pub(crate) generation: u64,
    /// The bundle's version.
    pub(crate) bundle: String,
    pub(crate) bundle_digest: String,
    /// Digest of the locked component set.
    pub(crate) lock: String,
    /// `deploy`, `promote`, `follow`, `reach`, `rollback`, `restart` or `remove`.
    pub(crate) cause: &'static str,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    /// Digest of all that was frozen: what approvals are about.
    pub(crate) revision: Option<String>,
    /// The revision it replaced.
    pub(crate) predecessor: Option<String>,
    /// `draft`, `rejected`, `awaiting`, `delivered`, `live` and others.
    pub(crate) state: &'static str,
    /// Why it waits, failed or ended; of one that had failed when it was superseded, why it failed.
    pub(crate) reason: Option<String>,
    pub(crate) frozen_at: Option<DateTime<Utc>>,
    pub(crate) handed_off_at: Option<DateTime<Utc>>,
    /// When it was live for the first time, or delivered: a rollback returns to it at once.
    pub(crate) live_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// A person's word on a deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ApprovalView {
    pub(crate) person: String,
    /// The token's name.
    pub(crate) token: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) reason: Option<String>,
    /// Whether it is about the frozen revision; whose word counts, the gate says.
    pub(crate) counts: bool,
}

/// Where a node stands, by the receiver's word.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct NodeView {
    pub(crate) node: String,
    /// `pending`, `blocked`, `applying`, `waiting`, `ready`, `failed` and others.
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) observed_at: DateTime<Utc>,
}

/// What the receiver says.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ObservationView {
    /// The receiver's name for it.
    pub(crate) run: String,
    /// When it must have ended; absent: nothing is waited for.
    pub(crate) deadline: Option<DateTime<Utc>>,
    /// When the receiver last answered; of the built-in core when it last had news, for it is asked only then.
    pub(crate) looked_at: Option<DateTime<Utc>>,
    /// Why it gives no answer.
    pub(crate) trouble: Option<String>,
    pub(crate) trouble_since: Option<DateTime<Utc>>,
    /// Where the application stands by its last words, the heaviest of its parts: `failed` as soon as one node is,
    /// while others run on. Also `completed` and `pending`, which no deployment is.
    pub(crate) application: Option<String>,
    pub(crate) nodes: Vec<NodeView>,
}

impl From<Observation> for ObservationView {
    fn from(observation: Observation) -> Self {
        let nodes = observation.nodes.into_iter().map(|(node, seen)| NodeView {
            node,
            state: seen.state,
            reason: seen.reason,
            observed_at: seen.at,
        });
        Self {
            run: observation.run,
            deadline: observation.deadline,
            looked_at: observation.looked_at,
            trouble_since: observation.trouble.as_ref().map(|trouble| trouble.since),
            trouble: observation.trouble.map(|trouble| trouble.why),
            application: observation.application,
            nodes: nodes.collect(),
        }
    }
}

/// An order to the receiver, and what came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OrderView {
    /// The receiver tells repetitions by it.
    pub(crate) id: String,
    /// `suspend`, `resume`, `retry`, `terminate` or `promote`.
    pub(crate) word: &'static str,
    /// Only at this node.
    pub(crate) node: Option<String>,
    pub(crate) person: String,
    pub(crate) reason: Option<String>,
    pub(crate) given_at: DateTime<Utc>,
    /// `pending`: it is told until the receiver answers. Then `told`, `refused`, `overtaken` by something newer, or
    /// `expired`.
    pub(crate) state: &'static str,
    /// Why it waits, or was not taken.
    pub(crate) why: Option<String>,
    pub(crate) settled_at: Option<DateTime<Utc>>,
}

impl From<OrderRow> for OrderView {
    fn from(row: OrderRow) -> Self {
        Self {
            id: row.id.to_string(),
            word: row.order.word.word(),
            node: row.order.node,
            person: row.order.person,
            reason: row.order.reason,
            given_at: row.given_at,
            state: row.state.word(),
            why: row.why,
            settled_at: row.settled_at,
        }
    }
}

/// The deployment that took another's place, of the same application in the same environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SuccessorView {
    pub(crate) id: String,
    pub(crate) generation: u64,
}

/// A deployment with all that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeploymentDetail {
    #[serde(flatten)]
    pub(crate) deployment: DeploymentView,
    /// What took its place, of one that is superseded.
    pub(crate) superseded_by: Option<SuccessorView>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) violations: Vec<Violation>,
    pub(crate) notes: Vec<String>,
    /// How its environment's gates stand now.
    #[schema(value_type = Vec<Object>)]
    pub(crate) gates: Vec<GateView>,
    pub(crate) approvals: Vec<ApprovalView>,
    /// The newest orders to its receiver, at most 20, newest first.
    pub(crate) orders: Vec<OrderView>,
    /// What the receiver says, of one that reports.
    pub(crate) receiver: Option<ObservationView>,
    /// Why this bundle, in words.
    pub(crate) explanation: Vec<String>,
    /// What was asked for, and why this bundle was taken.
    #[schema(value_type = Object)]
    pub(crate) choice: serde_json::Value,
    /// Why it exists.
    #[schema(value_type = Object)]
    pub(crate) why: serde_json::Value,
}

/// The view of a deployment in an environment that is there.
pub(super) fn view(deployment: &Deployment, application: &str, environment: &str) -> DeploymentView {
    let text = |digest: Option<slipway_types::Digest>| digest.map(|digest| digest.to_string());
    DeploymentView {
        id: deployment.id.to_string(),
        application: application.to_owned(),
        environment: environment.to_owned(),
        environment_removed_at: None,
        generation: deployment.generation,
        bundle: deployment.bundle_version.to_string(),
        bundle_digest: deployment.bundle_digest.to_string(),
        lock: deployment.lock.to_string(),
        cause: deployment.cause.word(),
        created_by: deployment.created_by.clone(),
        created_at: deployment.created_at,
        revision: text(deployment.revision),
        predecessor: text(deployment.predecessor),
        state: deployment.state.word(),
        reason: deployment.state.reason(),
        frozen_at: deployment.frozen_at,
        handed_off_at: deployment.handed_off_at,
        live_at: deployment.live_at,
        finished_at: deployment.finished_at,
    }
}

/// The view of a deployment in an environment that is there or was.
fn view_in(deployment: &Deployment, application: &str, environment: &Environment) -> DeploymentView {
    DeploymentView {
        environment_removed_at: environment.removed_at,
        ..view(deployment, application, environment.name.as_str())
    }
}

/// Everything about a deployment.
pub(crate) async fn detail(
    state: &ServerState,
    deployment: &Deployment,
    application: &Application,
    environment: &Environment,
) -> Result<DeploymentDetail, ApiError> {
    let mut read = state.records.read().await?;
    let approvals = read.approvals_of(deployment.id).await?;
    let bundle = read.version_get(deployment.bundle_id).await?;
    let observation = read.observation_get(deployment.id).await?;
    let orders = read.orders_of(deployment.id, ORDERS_SHOWN).await?;
    let newer = match deployment.state {
        DeploymentState::Superseded { by, .. } => read.deployment_get(by).await?,
        _ => None,
    };
    drop(read);
    let gates = match &bundle {
        Some(bundle) if deployment.state.is_pending() => {
            let gates = state.deploying.gates(deployment, environment, bundle).await;
            gates.map_err(ApiError::of_fault)?
        }
        _ => Vec::new(),
    };
    Ok(DeploymentDetail {
        deployment: view_in(deployment, &application.name.to_string(), environment),
        superseded_by: newer
            .map(|newer| SuccessorView { id: newer.id.to_string(), generation: newer.generation }),
        violations: deployment.violations.clone(),
        notes: deployment.notes.clone(),
        gates,
        approvals: approvals
            .into_iter()
            .map(|approval| ApprovalView {
                counts: Some(approval.revision) == deployment.revision,
                person: approval.person,
                token: approval.token,
                at: approval.at,
                reason: approval.reason,
            })
            .collect(),
        orders: orders.into_iter().map(OrderView::from).collect(),
        receiver: observation.map(ObservationView::from),
        explanation: in_words(&deployment.choice),
        choice: deployment.choice.clone(),
        why: serde_json::to_value(&deployment.cause).expect("invariant: a cause is JSON"),
    })
}

/// Why a bundle was chosen, in words.
pub(super) fn in_words(choice: &serde_json::Value) -> Vec<String> {
    if let Some(asked) = choice["asked"].as_str() {
        return vec![asked.to_owned()];
    }
    let lines = choice["explanation"]["lines"].as_array();
    lines.into_iter().flatten().filter_map(|line| line.as_str()).map(str::to_owned).collect()
}

/// A deployment's name in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeploymentName(pub(crate) DeploymentId);

impl FromStr for DeploymentName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "expected a deployment's id".to_owned())
    }
}

impl<'de> serde::Deserialize<'de> for DeploymentName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A deployment that the caller may see, with what it is about.
pub(crate) async fn find(
    caller: &Caller,
    read: &mut dyn Read,
    name: DeploymentName,
    role: Role,
) -> Result<(Deployment, Application, Environment), ApiError> {
    let missing = || ApiError::not_found("deployment", name.0);
    let deployment = read.deployment_get(name.0).await?.ok_or_else(missing)?;
    let application = read.application_get(deployment.application_id).await?.ok_or_else(missing)?;
    if !caller.may(Role::Reader, Some(application.id)) {
        return Err(missing());
    }
    caller.on_application(&application, role)?;
    let environment = read.environment_get(deployment.environment_id).await?.ok_or_else(missing)?;
    Ok((deployment, application, environment))
}

/// What deployments are about.
pub(super) struct Places {
    applications: HashMap<ApplicationId, String>,
    environments: HashMap<EnvironmentId, Environment>,
}

impl Places {
    /// Looks up names of applications, and environments, those that were removed too.
    pub(super) async fn look(read: &mut dyn Read, deployments: &[Deployment]) -> Result<Self, ApiError> {
        let applications =
            super::names_of(read, deployments.iter().map(|deployment| deployment.application_id)).await?;
        let ids: Vec<EnvironmentId> =
            deployments.iter().map(|deployment| deployment.environment_id).collect();
        let environments = read.environments_get(&ids).await?;
        let environments = environments.into_iter().map(|place| (place.id, place)).collect();
        Ok(Self { applications, environments })
    }

    /// The view of one of the deployments.
    pub(super) fn view(&self, deployment: &Deployment) -> DeploymentView {
        let application = self.applications.get(&deployment.application_id).map_or("", String::as_str);
        match self.environments.get(&deployment.environment_id) {
            Some(environment) => view_in(deployment, application, environment),
            None => view(deployment, application, ""),
        }
    }
}
