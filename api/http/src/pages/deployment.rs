//! A deployment: its graph and how each node stands, what it waits for, why it failed, what was said of it, and what
//! people do with it.

mod action_page;
mod actions;
mod evidence;
mod facts;
mod list;
mod nodes;
mod objects;
mod preview;
mod stream;

pub(in crate::pages) use actions::Action;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::Utc;
use slipway_records::Deployment;
use slipway_types::Role;

use super::address;
use super::frame::{Frame, Section, show};
use super::graph::Drawing;
use super::parts::ShortDigest;
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::audit::{self, AuditQuery, AuditView};
use crate::rest::deployment_views::{DeploymentName, detail, find};
use crate::rest::deployments::{self as rest_deployments, DeploymentQuery};
use crate::state::ServerState;

use action_page::name_of;
use actions::Standing;
use evidence::FailureRow;
use facts::{ApprovalRow, AuditRow, Facts, GateRow, Known, OrderRow, ReceiverRow};
use list::Row;
use nodes::{NodeRow, Seen};
use objects::Asked;

/// So many deployments of the same application in the same environment are shown.
const HISTORY_MAX: u32 = 10;
/// So many entries of the audit record are shown.
const AUDIT_MAX: u32 = 20;

/// A deployment.
#[derive(Template)]
#[template(path = "deployment.html")]
struct DeploymentPage {
    t: &'static Texts,
    frame: Frame,
    name: String,
    facts: Facts,
    /// What is done on this page.
    light: Vec<Button>,
    /// What has a page of its own.
    pages: Vec<Button>,
    /// What is approved.
    revision_value: String,
    revision: Option<ShortDigest>,
    orders: Vec<OrderRow>,
    gates: Vec<GateRow>,
    approvals: Vec<ApprovalRow>,
    drawing: Option<Drawing>,
    nodes: Vec<NodeRow>,
    /// Why the graph cannot be shown.
    no_graph: Option<String>,
    /// Whether the receiver never says how nodes stand.
    is_untold: bool,
    receiver: Option<ReceiverRow>,
    failures: Vec<FailureRow>,
    /// Deployments of the same application in the same environment.
    rows: Vec<Row>,
    whole_history: String,
    audit: Vec<AuditRow>,
}

/// Something that may be done.
struct Button {
    word: &'static str,
    label: &'static str,
    address: String,
    is_grave: bool,
}

/// The pages.
pub(super) fn pages() -> Router<ServerState> {
    Router::new()
        .route("/deployments/history", get(list::page))
        .route("/deployments/{deployment}", get(page))
        .route("/deployments/{deployment}/failures/{failure}/log", get(evidence::log))
        .route("/deployments/{deployment}/{action}", get(action_page::look).post(action_page::act))
}

/// What lasts as long as what it shows.
pub(super) fn streams() -> Router<ServerState> {
    Router::new().route("/deployments/{deployment}/events", get(stream::stream))
}

/// The deployment as it stands; its parts change by themselves where scripts run.
async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<DeploymentName>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Reader).await?;
    let standing = Standing::look(read.as_mut(), &deployment, (&application, &environment)).await?;
    let failures = read.failures_of(deployment.id).await?;
    let bundle = read.version_get(deployment.bundle_id).await?;
    drop(read);
    let detail = detail(&state, &deployment, &application, &environment).await?;
    let (graph, no_graph) = match state.deploying.graph(&deployment).await {
        Ok(graph) => (graph.unwrap_or_default(), None),
        // The rest of the page is worth showing without it.
        Err(fault) => (Vec::new(), Some(fault.message)),
    };
    let (here, now) = (address::deployment(deployment.id), Utc::now());
    let called_there = (application.name.to_string(), environment.name.to_string());
    let names = (called_there.0.as_str(), called_there.1.as_str());
    let known = Known { deployment: &deployment, bundle: bundle.as_ref(), detail: &detail };
    let observed = detail.receiver.as_ref().map(|receiver| receiver.nodes.as_slice()).unwrap_or_default();
    let seen = Seen {
        deployment: &deployment,
        graph: &graph,
        observed,
        failures: &failures,
        may_order: caller.may(Role::Operator, Some(application.id)),
    };
    let mut nodes = seen.rows(t, now);
    if let Some(node) = nodes.iter_mut().find(|node| node.name == asked.objects) {
        node.look = asked.address(deployment.id);
        node.live = asked.part(&state, (&deployment, &application, &environment), t, now).await;
    }
    let is_untold = nodes.iter().any(|node| node.status.is_none());
    let called = name_of(&application, &environment, deployment.generation);
    let frame = Frame::new(&member.visitor, Section::Deployments, called.clone());
    let button = |action: &Action| button(t, *action, &deployment);
    let (light, pages): (Vec<Action>, Vec<Action>) =
        standing.offered(caller).into_iter().partition(|action| action.is_light());
    show(&DeploymentPage {
        t,
        frame: if deployment.state.is_terminal() { frame } else { frame.live(format!("{here}/events")) },
        name: called,
        facts: known.facts(t, (&application.name, &environment), now),
        light: light.iter().map(button).collect(),
        pages: pages.iter().map(button).collect(),
        revision_value: deployment.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        revision: deployment.revision.as_ref().map(|revision| ShortDigest::new(t, revision)),
        orders: facts::orders(t, &detail.orders, now),
        gates: detail.gates.iter().map(|gate| facts::gate(t, gate)).collect(),
        approvals: detail.approvals.iter().map(|approval| facts::approval(t, approval, now)).collect(),
        drawing: Drawing::new(t.deployment.graph.to_owned(), &nodes::drawn(&nodes)),
        nodes,
        no_graph,
        is_untold,
        receiver: detail.receiver.as_ref().map(|receiver| facts::receiver(t, receiver, now)),
        failures: evidence::rows(t, deployment.id, failures, now),
        rows: history(&state, &member, names, &deployment.id.to_string()).await?,
        whole_history: list::address_of(names, "", None),
        audit: audited(&state, &member, &deployment.id.to_string()).await?,
    })
}

fn button(t: &'static Texts, action: Action, deployment: &Deployment) -> Button {
    Button {
        word: action.word(),
        label: (t.deployment.action)(action),
        address: action.address_at(deployment.id, None),
        is_grave: action.is_grave(),
    }
}

/// The newest deployments of the same application in the same environment.
async fn history(
    state: &ServerState,
    member: &Member,
    names: (&str, &str),
    this: &str,
) -> Result<Vec<Row>, ApiError> {
    let query = DeploymentQuery::of(names, "", (HISTORY_MAX, None))?;
    let caller = member.session.caller.clone();
    let found = rest_deployments::list(State(state.clone()), caller, Query(query)).await?.0;
    let (t, now) = (member.visitor.texts(), Utc::now());
    Ok(found.items.into_iter().map(|view| list::row(t, view, this, now)).collect())
}

/// What the audit record says of a deployment, to those who may read it.
async fn audited(state: &ServerState, member: &Member, id: &str) -> Result<Vec<AuditRow>, ApiError> {
    let caller = member.session.caller.clone();
    if !caller.may(Role::Operator, None) {
        return Ok(Vec::new());
    }
    let query = AuditQuery::of(format!("deployment/{id}"), AUDIT_MAX);
    let found = audit::list(State(state.clone()), caller, Query(query)).await?.0;
    let (t, now) = (member.visitor.texts(), Utc::now());
    Ok(found.items.into_iter().map(|entry: AuditView| facts::audited(t, entry, now)).collect())
}
