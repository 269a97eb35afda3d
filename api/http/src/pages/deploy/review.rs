//! What would become of it: the difference, the gates and what stands against it; and the button.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use slipway_records::deploying::ObjectChange;
use slipway_types::Violation;
use slipway_types::id::DeploymentId;

use super::document::Document;
use super::steps::Steps;
use super::verdict::{Reason, reason};
use super::violations::part_of;
use super::wanted::{REVIEW, Wanted};
use crate::auth::Caller;
use crate::extract::Body;
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, Section, show_as};
use crate::pages::parts::{Status, Tone};
use crate::pages::texts::{DeployTexts, Texts};
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::deployment_choices::DeployBody;
use crate::rest::deployment_plans::{self, PlanView};
use crate::rest::deployments;
use crate::state::ServerState;

/// What would become of it.
#[derive(Template)]
#[template(path = "deploy_review.html")]
struct ReviewPage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    steps: Steps,
    wanted: Wanted,
    method: &'static str,
    /// The address of this very page, to look again.
    again: Option<String>,
    plan: Option<Planned>,
    /// The newest deployment there when this page was made.
    newest: String,
    /// Why it was not deployed, or not planned.
    refusal: Option<String>,
    reason: String,
}

/// A plan as it is shown.
struct Planned {
    /// Branch and commit.
    source: Option<String>,
    runs_now: Option<String>,
    violations: Vec<Against>,
    gates: Vec<Reason>,
    notes: Vec<String>,
    reaches: Vec<String>,
    changes: Vec<Change>,
    /// How many objects stay as they are.
    same: usize,
    /// Beside what runs, whatever the cluster holds.
    beside: Vec<Change>,
    revision: Option<String>,
    may_deploy: bool,
    would_wait: bool,
}

/// What stands against it.
struct Against {
    words: String,
    /// The part that it is about, if the document has it.
    part: Option<String>,
}

/// What would become of one object.
struct Change {
    status: Status,
    object: String,
    fields: Vec<String>,
}

/// A violation with its way out.
pub(super) fn in_words(violation: &Violation) -> String {
    match &violation.hint {
        Some(hint) => format!("{violation}: {hint}"),
        None => violation.to_string(),
    }
}

fn body(wanted: &Wanted, reason: Option<String>) -> Result<DeployBody, ApiError> {
    let place = (wanted.application_name()?, wanted.environment_name()?);
    let document = Some(wanted.document.clone()).filter(|document| !document.trim().is_empty());
    Ok(DeployBody::plain(place, (Some(wanted.version()?), None), document, reason))
}

/// The plan, as the API makes it.
pub(super) async fn plan(
    state: &ServerState,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<PlanView, ApiError> {
    let body = body(wanted, None)?;
    Ok(deployment_plans::plan(State(state.clone()), caller.clone(), Body(body)).await?.0)
}

/// What would become of what the address names.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&Fields::of(query.unwrap_or_default().as_bytes()));
    answer(&state, &member, wanted, String::new(), None).await
}

/// The same where the document is too long for an address.
pub(super) async fn sent(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&posted.fields);
    let member = Member { visitor: posted.visitor, session: posted.session };
    answer(&state, &member, wanted, String::new(), None).await
}

/// Deploys what was looked at: if it would become something else by now, it is shown again.
pub(super) async fn deploy(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let Posted { visitor, session, fields } = posted;
    let member = Member { visitor, session };
    let wanted = Wanted::of(&fields);
    let reason = fields.text("reason").unwrap_or_default().to_owned();
    match make(&state, &member, &wanted, &fields).await {
        Ok(address) => Ok(Redirect::to(&address).into_response()),
        Err(error) if is_told_here(&error) => {
            let why = error.way_out().map_or_else(
                || error.detail().to_owned(),
                |way_out| format!("{}: {way_out}", error.detail()),
            );
            answer(&state, &member, wanted, reason, Some((error.status(), why))).await
        }
        Err(error) => Err(error),
    }
}

async fn make(
    state: &ServerState,
    member: &Member,
    wanted: &Wanted,
    fields: &Fields,
) -> Result<String, ApiError> {
    let caller = &member.session.caller;
    wanted.chosen(state.records.read().await?.as_mut(), caller).await?;
    let body = body(wanted, fields.text("reason").map(str::to_owned))?;
    let seen = fields.text("revision").unwrap_or_default();
    let now = plan(state, caller, wanted).await?;
    if now.revision.as_deref() != Some(seen) {
        let detail = member.visitor.texts().deploying.changed_meanwhile;
        return Err(ApiError::conflict("changed_meanwhile", detail));
    }
    let newest = fields.text("newest").map(str::parse::<DeploymentId>).transpose();
    let newest = newest.map_err(|error| ApiError::bad_request("bad_body", format!("newest: {error}")))?;
    let made = deployments::create_after(state, caller, &body, newest).await?;
    Ok(address::deployment(&made.id))
}

/// Whether the page itself tells of it; who may not be here, or asks for what is not there, gets another page.
fn is_told_here(error: &ApiError) -> bool {
    let status = error.status();
    let elsewhere = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    (status.is_client_error() && !elsewhere.contains(&status)) || status == StatusCode::SERVICE_UNAVAILABLE
}

async fn answer(
    state: &ServerState,
    member: &Member,
    wanted: Wanted,
    reason: String,
    refused: Option<(StatusCode, String)>,
) -> Result<Response, ApiError> {
    if let Some(first) = wanted.missing(REVIEW) {
        return Ok(Redirect::to(&first).into_response());
    }
    let caller = &member.session.caller;
    // Who may not deploy gets no plan here, even one without a document.
    let mut read = state.records.read().await?;
    let chosen = wanted.chosen(read.as_mut(), caller).await?;
    // Before the plan: what is deployed after this look is not in it.
    let newest = deployments::newest(read.as_mut(), chosen.application.id, chosen.environment.id).await?;
    drop(read);
    let t = member.visitor.texts();
    let d = t.deploying;
    let (planned, failed) = match plan(state, caller, &wanted).await {
        Ok(plan) => (Some(planned(d, &wanted, plan)?), None),
        Err(error) if is_told_here(&error) => (None, Some((error.status(), error.detail().to_owned()))),
        Err(error) => return Err(error),
    };
    let told = refused.or(failed);
    let status = told.as_ref().map_or(StatusCode::OK, |(status, _)| *status);
    let page = ReviewPage {
        t,
        d,
        frame: Frame::new(&member.visitor, Section::Places, d.step_review),
        steps: Steps::new(d, &wanted, REVIEW),
        method: wanted.method(),
        again: wanted.fits_address().then(|| wanted.address(REVIEW)),
        plan: planned,
        newest: newest.map(|id| id.to_string()).unwrap_or_default(),
        refusal: told.map(|(_, why)| why),
        reason,
        wanted,
    };
    show_as(status, &page)
}

fn planned(d: &'static DeployTexts, wanted: &Wanted, plan: PlanView) -> Result<Planned, ApiError> {
    let document = Document::read(&wanted.document, &wanted.application_name()?);
    let document = document.ok().filter(Document::has_forms);
    let against = |violation: &Violation| Against {
        words: in_words(violation),
        part: document
            .as_ref()
            .and_then(|document| part_of(document, violation))
            .map(|part| part.to_string()),
    };
    let commit = plan.bundle.commit.as_ref().map(|commit| commit.get(..8).unwrap_or(commit).to_owned());
    let source = match (plan.bundle.branch, commit) {
        (Some(branch), Some(commit)) => Some(format!("{branch}@{commit}")),
        (branch, commit) => branch.or(commit),
    };
    let is_change = |change: &&ObjectChange| change.change != "same";
    let (runs_now, beside) = match plan.running {
        Some(running) => (Some((d.words.now_runs)(&running.version)), running.differences),
        None => (None, Vec::new()),
    };
    Ok(Planned {
        source,
        runs_now,
        violations: plan.violations.iter().map(against).collect(),
        would_wait: plan.gates.iter().any(|gate| !gate.open),
        gates: plan.gates.iter().map(|gate| reason(d, gate)).collect(),
        notes: plan.notes,
        reaches: plan.reaches,
        same: plan.differences.iter().filter(|change| change.change == "same").count(),
        changes: plan.differences.iter().filter(is_change).map(|change| shown(d, change)).collect(),
        beside: beside.iter().filter(is_change).map(|change| shown(d, change)).collect(),
        may_deploy: plan.violations.is_empty() && plan.revision.is_some(),
        revision: plan.revision,
    })
}

fn shown(d: &'static DeployTexts, change: &ObjectChange) -> Change {
    let tone = match change.change {
        "create" => Tone::Good,
        "update" => Tone::Changes,
        "remove" => Tone::Bad,
        _ => Tone::Off,
    };
    Change {
        status: Status::told(tone, (d.words.change)(change.change)),
        object: change.object.clone(),
        fields: change.fields.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::ENGLISH;

    fn view(violations: Vec<Violation>) -> PlanView {
        let change = |change| ObjectChange {
            object: "Deployment <b>".to_owned(),
            change,
            fields: vec!["spec.replicas: 1 → <script>".to_owned()],
        };
        PlanView {
            bundle: deployment_plans::PlannedBundle {
                version: "1.0.0".to_owned(),
                digest: String::new(),
                commit: Some("0123456789".to_owned()),
                branch: Some("main".to_owned()),
            },
            explanation: Vec::new(),
            revision: Some("sha256:1".to_owned()),
            violations,
            notes: vec!["<b>".to_owned()],
            differences: vec![change("update"), change("same"), change("remove")],
            running: None,
            objects: None,
            graph: None,
            gates: Vec::new(),
            reaches: Vec::new(),
        }
    }

    #[test]
    fn what_stands_against_it_leads_to_its_part_and_keeps_the_button_away() {
        let document = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec: {policies: \
                        [{name: where, type: topology}]}\n";
        let wanted = Wanted { application: "shop".into(), document: document.into(), ..Wanted::default() };
        let wrong = Violation::new("x", "policies[where].properties.clusters", "no").hint("do");
        let shown = planned(ENGLISH.deploying, &wanted, view(vec![wrong])).unwrap();
        assert_eq!(shown.violations[0].part.as_deref(), Some("policy/0"));
        assert_eq!(shown.violations[0].words, "policies[where].properties.clusters: no: do");
        assert!(!shown.may_deploy);
        assert_eq!((shown.changes.len(), shown.same), (2, 1));
        assert_eq!(shown.source.as_deref(), Some("main@01234567"));
        assert!(planned(ENGLISH.deploying, &wanted, view(Vec::new())).unwrap().may_deploy);
    }
}
