//! A cluster: what it says of itself, whether it answers, and keeping what is new away from it.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use slipway_types::Role;
use slipway_types::name::ClusterName;

use super::facts::Facts;
use super::field::Field;
use super::form::{Form, Refused, confirmed};
use super::places::{cluster_of, cluster_page, environment_page};
use super::{Around, Part, Parts, led, sent};
use crate::extract::{Body, Path};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::clusters::{self, ClusterFinding, ClusterView, Cordon};
use crate::rest::environments;
use crate::state::ServerState;

/// Name of the form that keeps what is new away.
const CORDON: &str = "cordon";
/// Name of the form that forgets the cluster.
const REMOVE: &str = "remove";

/// A cluster.
#[derive(Template)]
#[template(path = "infrastructure/cluster.html")]
struct ClusterPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    cordoned: Option<String>,
    /// What a look just found.
    findings: Vec<Finding>,
    /// What will not work there, of what was just registered.
    notes: Vec<String>,
    facts: Facts,
    created: Moment,
    created_by: String,
    environments: Vec<Link>,
    edit: Option<String>,
    /// What the visitor may do with it.
    actions: Vec<Form>,
}

/// What was looked at, and what was found.
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(own: &InfrastructureTexts, ok: bool, check: &'static str, detail: String) -> Self {
        let status =
            if ok { Status::told(Tone::Good, own.holds) } else { Status::told(Tone::Bad, own.fails) };
        Self { status, check, detail }
    }
}

/// What has just come of a form.
#[derive(Default)]
pub(super) struct Outcome {
    findings: Vec<ClusterFinding>,
    refused: Option<Refused>,
}

/// The cluster of that name.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    member: Member,
) -> Result<Response, ApiError> {
    let found = clusters::show(State(state.clone()), member.session.caller.clone(), Path(name)).await?.0;
    shown(&state, &member, found, Outcome::default()).await
}

/// The forms of a cluster's page, for a visitor's role.
fn actions(
    member: &Member,
    own: &'static InfrastructureTexts,
    found: &ClusterView,
    came: &Outcome,
) -> Vec<Form> {
    let (caller, token) = (&member.session.caller, &member.session.form_token);
    let here = cluster_page(&found.name);
    let refused = came.refused.as_ref();
    let mut actions = Vec::new();
    if caller.may(Role::Operator, None) {
        actions.push(Form::new(token, "check", format!("{here}/check"), own.check_cluster).main());
        actions.push(match &found.cordoned {
            Some(_) => Form::new(token, "uncordon", format!("{here}/uncordon"), own.uncordon),
            None => {
                let fields = Refused::typed(refused, CORDON);
                let why = Field::text("reason", own.reason, &fields).required().help(own.cordon_help);
                let form = Form::new(token, CORDON, format!("{here}/cordon"), own.cordon).folded().field(why);
                form.refused(own, Refused::error(refused, CORDON))
            }
        });
    }
    if caller.may(Role::Admin, None) {
        let form = Form::new(token, REMOVE, format!("{here}/remove"), own.remove_cluster);
        let form = form.confirm(own.remove_cluster_confirm);
        actions.push(form.refused(own, Refused::error(refused, REMOVE)));
    }
    actions
}

fn facts_of(own: &InfrastructureTexts, t: &Texts, found: &ClusterView) -> Facts {
    let reached = found.kubeconfig.clone().unwrap_or_else(|| own.own_cluster.to_owned());
    let sensing = if found.sensing == "pull" { own.sensing_pull } else { own.sensing_watch };
    Facts::default()
        .text("Kubernetes", found.version.clone())
        .text(t.nodes, found.nodes.map(|nodes| nodes.to_string()))
        .lines(own.platforms, found.platforms.clone())
        .text(own.kinds_served, found.version.as_ref().map(|_| found.apis.to_string()))
        .code(own.reached_by, reached)
        .code(own.context, found.context.clone())
        .text(own.sensing, sensing.to_owned())
        .codes(t.labels, found.labels.iter().map(|(key, value)| format!("{key}={value}")).collect())
        .code(own.identity, found.uid.clone())
}

/// A cluster's page, with what has just come of a form.
pub(super) async fn shown(
    state: &ServerState,
    member: &Member,
    found: ClusterView,
    came: Outcome,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let environments = environments::all(state, caller).await?;
    let within = environments.into_iter().filter(|place| cluster_of(&place.address) == found.name);
    let here = cluster_page(&found.name);
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Places, found.name.clone()).at(here.clone());
    let status = Refused::status(came.refused.as_ref());
    let actions = actions(member, own, &found, &came);
    let finding = |found: ClusterFinding| Finding::new(own, found.ok, found.check, found.detail);
    let page = ClusterPage {
        t,
        own,
        frame,
        parts,
        facts: facts_of(own, t, &found),
        actions,
        findings: came.findings.into_iter().map(finding).collect(),
        environments: within
            .map(|place| Link { address: environment_page(&place.name), text: place.name })
            .collect(),
        edit: caller.may(Role::Admin, None).then(|| format!("{here}/edit")),
        name: found.name.clone(),
        cordoned: found.cordoned,
        notes: found.notes,
        created: Moment::new(t, found.created_at, Utc::now()),
        created_by: found.created_by,
    };
    show_as(status, &page)
}

/// Looks at the cluster as the API does, and shows what was found.
pub(super) async fn check(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, _) = sent(posted);
    let looked = clusters::check(State(state.clone()), member.session.caller.clone(), Path(name)).await?.0;
    let came = Outcome { findings: looked.findings, refused: None };
    shown(&state, &member, looked.cluster, came).await
}

/// Shows the cluster again, with what was refused.
async fn again(
    state: &ServerState,
    member: &Member,
    name: ClusterName,
    refused: Refused,
) -> Result<Response, ApiError> {
    let caller = member.session.caller.clone();
    let found = clusters::show(State(state.clone()), caller, Path(name)).await?.0;
    shown(state, member, found, Outcome { refused: Some(refused), ..Outcome::default() }).await
}

fn reason_of(fields: &Fields) -> Result<Cordon, ApiError> {
    let reason = fields.text("reason").map(str::to_owned);
    let reason = reason.ok_or_else(|| ApiError::bad_request("bad_body", "reason: say why"))?;
    Ok(Cordon { reason })
}

/// Lets nothing new go there.
pub(super) async fn cordon(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let done = match reason_of(&fields) {
        Ok(why) => clusters::cordon(State(state.clone()), caller, Path(name.clone()), Body(why)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(&cluster_page(name.as_str()))),
        Err(error) => again(&state, &member, name, Refused::of(CORDON, error, fields)?).await,
    }
}

/// Lets things go there again.
pub(super) async fn uncordon(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let Json(_) = clusters::uncordon(State(state), posted.session.caller, Path(name.clone())).await?;
    Ok(led(&cluster_page(name.as_str())))
}

/// Forgets the cluster.
pub(super) async fn remove(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let done = match confirmed(&fields) {
        Ok(()) => clusters::remove(State(state.clone()), caller, Path(name.clone())).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(Part::Places.address())),
        Err(error) => again(&state, &member, name, Refused::of(REMOVE, error, fields)?).await,
    }
}
