//! An action's own page: what it does, to what, and why somebody does it. Nothing is done by looking at it.

use std::fmt::Display;
use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use slipway_records::{Application, Deployment, Environment};
use slipway_types::id::DeploymentId;
use slipway_types::{Digest, Role};

use super::actions::{Action, Reason, Standing};
use super::preview::{Preview, has_preview, meaning, preview};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, Section, show_as};
use crate::pages::parts::{ShortDigest, Status};
use crate::pages::texts::Texts;
use crate::pages::visitor::{Member, Visitor};
use crate::problem::ApiError;
use crate::rest::deployment_aborts::{self, AbortBody};
use crate::rest::deployment_choices::{DeployBody, OfRunning};
use crate::rest::deployment_orders::{self, OrderBody};
use crate::rest::deployment_views::{DeploymentName, find};
use crate::rest::deployment_words::{self, ApproveBody, BreakGlassBody, DeclineBody};
use crate::rest::deployments;
use crate::state::ServerState;

/// To which node.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ActionQuery {
    node: String,
    /// Whether it is to be said what would change. That asks the cluster, so it is done when it is asked for.
    plan: bool,
}

/// An action, before it is done.
#[derive(Template)]
#[template(path = "deployment_action.html")]
struct ActionPage {
    t: &'static Texts,
    frame: Frame,
    name: String,
    back: String,
    label: &'static str,
    effect: &'static str,
    status: Status,
    version: String,
    /// What is approved.
    revision: Option<ShortDigest>,
    revision_value: String,
    node: String,
    /// What is returned to.
    target: Option<String>,
    /// The generation of that, where it is the visitor's to choose.
    target_value: String,
    /// The newest deployment there when this page was made.
    newest: String,
    /// Where it is said what would change.
    ask_preview: Option<String>,
    preview: Option<Preview>,
    takes_reason: bool,
    needs_reason: bool,
    reason: String,
    is_grave: bool,
    /// Why it was not done.
    refusal: Option<String>,
    post: String,
}

/// What was filled in, or is to be.
#[derive(Default)]
struct Filled {
    node: Option<String>,
    reason: Option<String>,
    refusal: Option<String>,
    plan: bool,
}

/// `APPLICATION@ENVIRONMENT#GENERATION`, as the command line names it.
pub(super) fn name_of(application: &Application, environment: &Environment, generation: u64) -> String {
    format!("{}@{}#{generation}", application.name, environment.name)
}

async fn page(
    state: &ServerState,
    (visitor, caller): (&Visitor, &Caller),
    (name, action): (DeploymentName, Action),
    (status, filled): (StatusCode, Filled),
) -> Result<Response, ApiError> {
    let t = visitor.texts();
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Operator).await?;
    let standing = Standing::look(read.as_mut(), &deployment, (&application, &environment)).await?;
    let newest = deployments::newest(read.as_mut(), application.id, environment.id).await?;
    drop(read);
    let returned_to = standing.earlier.as_ref().filter(|_| action == Action::RollBack);
    let target_value = returned_to.map(|earlier| earlier.generation.to_string()).unwrap_or_default();
    let target = match action {
        Action::Abort | Action::RollBack => standing.earlier.as_ref().map(target),
        Action::Return => Some(target(&deployment)),
        _ => None,
    };
    let may_plan = has_preview(action) && filled.refusal.is_none();
    let what = meaning(action, deployment.generation).filter(|_| may_plan && filled.plan);
    let preview = match what {
        Some(what) => {
            let names = (application.name.clone(), environment.name.clone());
            Some(preview(state, (t, caller), names, what).await?)
        }
        None => None,
    };
    let post = action.address_at(deployment.id, None);
    let reason = action.reason();
    let called = name_of(&application, &environment, deployment.generation);
    let label = (t.deployment.action)(action);
    let page = ActionPage {
        t,
        frame: Frame::new(visitor, Section::Deployments, format!("{label}: {called}")),
        name: called,
        back: address::deployment(deployment.id),
        label,
        effect: (t.deployment.effect)(action),
        status: Status::of(t, deployment.state.word()),
        version: deployment.bundle_version.to_string(),
        revision: deployment.revision.as_ref().map(|revision| ShortDigest::new(t, revision)),
        revision_value: deployment.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        node: filled.node.unwrap_or_default(),
        target,
        target_value,
        newest: newest.map(|id| id.to_string()).unwrap_or_default(),
        ask_preview: (may_plan && preview.is_none()).then(|| address::with_query(&post, [("plan", "true")])),
        preview,
        takes_reason: reason != Reason::Unasked,
        needs_reason: reason == Reason::Needed,
        reason: filled.reason.unwrap_or_default(),
        is_grave: action.is_grave(),
        refusal: filled.refusal,
        post,
    };
    show_as(status, &page)
}

fn target(earlier: &Deployment) -> String {
    format!("{} (#{})", earlier.bundle_version, earlier.generation)
}

/// The page before something is done.
pub(super) async fn look(
    State(state): State<ServerState>,
    member: Member,
    Path((name, word)): Path<(DeploymentName, String)>,
    Query(query): Query<ActionQuery>,
) -> Result<Response, ApiError> {
    let action = Action::of_word(&word)?;
    let node = Some(query.node).filter(|node| !node.is_empty());
    let filled = Filled { node, plan: query.plan, ..Filled::default() };
    let who = (&member.visitor, &member.session.caller);
    page(&state, who, (name, action), (StatusCode::OK, filled)).await
}

/// Does it as the API does, and leads to what came of it; or says beside the form why not.
pub(super) async fn act(
    State(state): State<ServerState>,
    Path((name, word)): Path<(DeploymentName, String)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let action = Action::of_word(&word)?;
    let Posted { visitor, session, fields } = posted;
    match carry_out(&state, &session.caller, (name, action), &fields).await {
        Ok(next) => Ok(Redirect::to(&next).into_response()),
        Err(error) if error.status().is_client_error() => {
            let filled = Filled {
                node: fields.text("node").map(str::to_owned),
                reason: fields.text("reason").map(str::to_owned),
                refusal: Some(error.in_words()),
                plan: false,
            };
            let who = (&visitor, &session.caller);
            page(&state, who, (name, action), (error.status(), filled)).await
        }
        Err(error) => Err(error),
    }
}

/// Does it; gives the address of the deployment to look at then.
async fn carry_out(
    state: &ServerState,
    caller: &Caller,
    (name, action): (DeploymentName, Action),
    fields: &Fields,
) -> Result<String, ApiError> {
    let text = |field: &str| fields.text(field).map(str::to_owned);
    let reason = text("reason");
    let needed = || reason.clone().ok_or_else(|| ApiError::bad_request("bad_body", "reason: say why"));
    let (server, caller, path) = (State(state.clone()), caller.clone(), Path(name));
    match action {
        Action::Approve => {
            let revision = text("revision").unwrap_or_default().parse::<Digest>();
            let revision =
                revision.map_err(|error| ApiError::bad_request("bad_body", format!("revision: {error}")))?;
            let body = Body(ApproveBody { revision, reason });
            deployment_words::approve(server, caller, path, body).await.map(drop)?;
        }
        Action::Decline => {
            let body = Body(DeclineBody { reason });
            deployment_words::decline(server, caller, path, body).await.map(drop)?;
        }
        Action::Withdraw => deployment_words::withdraw(server, caller, path).await.map(drop)?,
        Action::BreakGlass => {
            let body = Body(BreakGlassBody { reason: needed()? });
            deployment_words::break_glass(server, caller, path, body).await.map(drop)?;
        }
        Action::Suspend | Action::Resume | Action::Retry | Action::Terminate => {
            let body = Body(OrderBody { node: text("node"), reason });
            let told = match action {
                Action::Suspend => deployment_orders::suspend(server, caller, path, body).await,
                Action::Resume => deployment_orders::resume(server, caller, path, body).await,
                Action::Retry => deployment_orders::retry(server, caller, path, body).await,
                _ => deployment_orders::terminate(server, caller, path, body).await,
            };
            told.map(drop)?;
        }
        Action::Abort => {
            let body = Body(AbortBody { reason: needed()? });
            let (_, made) = deployment_aborts::abort(server, caller, path, body).await?;
            return Ok(address::deployment(&made.0.id));
        }
        Action::RollBack | Action::Return | Action::Restart | Action::Remove => {
            return again(state, &caller, (name, action), fields, needed()?).await;
        }
    }
    Ok(address::deployment(name.0))
}

/// Makes another deployment of the same application in the same environment, if it is the one that was looked at
/// which still runs there.
async fn again(
    state: &ServerState,
    caller: &Caller,
    (name, action): (DeploymentName, Action),
    fields: &Fields,
    reason: String,
) -> Result<String, ApiError> {
    let newest = unseen::<DeploymentId>(fields, "newest")?;
    let to = unseen::<u64>(fields, "target")?;
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Operator).await?;
    let place = (&application, &environment);
    let is_current = Standing::look(read.as_mut(), &deployment, place).await?.is_current;
    drop(read);
    if !is_current && action != Action::Return {
        return Err(deployments::changed_meanwhile());
    }
    let what = match (action, to) {
        (Action::RollBack, Some(to)) => OfRunning::RollBack(Some(to)),
        _ => meaning(action, deployment.generation)
            .expect("invariant: only what makes a deployment is asked for"),
    };
    let body = DeployBody::of_running((application.name, environment.name), what, reason);
    let made = deployments::create_after(state, caller, &body, newest).await?;
    Ok(address::deployment(&made.id))
}

/// What the page sent along unseen, if it did.
fn unseen<T: FromStr<Err: Display>>(fields: &Fields, name: &str) -> Result<Option<T>, ApiError> {
    let given = fields.text(name).map(str::parse).transpose();
    given.map_err(|error: T::Err| ApiError::bad_request("bad_body", format!("{name}: {error}")))
}
