//! What is set for this deployment alone: components, policies and the workflow, and the same as YAML beside it.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use slipway_records::deploying::{DeployRequest, InForce, PartInForce};
use slipway_records::detail::BundleDetail;
use slipway_types::{DefinitionKind, Violation};

use super::document::{Document, PartContent};
use super::known::{Known, Offered};
use super::part::Part;
use super::steps::Steps;
use super::wanted::{CONFIGURATION, Chosen, Wanted};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, Section, show_as};
use crate::pages::texts::{DeployTexts, Texts};
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest document that pages take, in bytes: each form of a page carries it.
pub(super) const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// The configuration.
#[derive(Template)]
#[template(path = "deploy_configuration.html")]
struct ConfigurationPage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    steps: Steps,
    wanted: Wanted,
    method: &'static str,
    /// Whether forms can change the document.
    has_forms: bool,
    components: Vec<ComponentRow>,
    policies: Vec<PartRow>,
    more_policies: Vec<Offered>,
    workflow: Vec<PartRow>,
    more_steps: Vec<Offered>,
    /// What the environment's levels are wrong in.
    trouble: Vec<String>,
    lines: usize,
    refusal: Option<String>,
}

/// A component.
struct ComponentRow {
    name: String,
    kind: Option<String>,
    /// By which it is changed.
    part: String,
    /// How many properties are set here.
    set: usize,
    may_set: bool,
    traits: Vec<PartRow>,
    more_traits: Vec<Offered>,
}

/// A trait, policy or step.
struct PartRow {
    name: String,
    kind: String,
    /// By which it is changed; absent if it holds already, by a wider level.
    part: Option<String>,
}

/// What a page is made from.
pub(super) struct Ground {
    pub(super) chosen: Chosen,
    pub(super) known: Known,
    pub(super) in_force: InForce,
    /// Why that is not known.
    pub(super) trouble: Vec<Violation>,
}

impl Ground {
    pub(super) async fn look(
        state: &ServerState,
        member: &Member,
        wanted: &Wanted,
    ) -> Result<Self, ApiError> {
        let caller = &member.session.caller;
        let chosen = wanted.chosen(state.records.read().await?.as_mut(), caller).await?;
        let known = Known::of(state, caller, chosen.application.id).await?;
        let request = DeployRequest {
            application: chosen.application.clone(),
            environment: chosen.environment.clone(),
            bundle: chosen.bundle.clone(),
            document: None,
        };
        let found = state.deploying.in_force(&request).await.map_err(ApiError::of_fault)?;
        let (in_force, trouble) = match found {
            Ok(in_force) => (in_force, Vec::new()),
            Err(trouble) => (InForce::default(), trouble),
        };
        Ok(Self { chosen, known, in_force, trouble })
    }

    /// The names of all components: those that hold, those of the bundle where that is not known, and those that
    /// the document adds.
    fn components(&self, document: &Document) -> Result<Vec<String>, ApiError> {
        let mut names: Vec<String> = self.in_force.components.iter().map(|one| one.name.clone()).collect();
        if !self.trouble.is_empty() {
            let detail: BundleDetail = serde_json::from_value(self.chosen.bundle.detail.clone())
                .map_err(|error| ApiError::internal(&error))?;
            names.extend(detail.members.iter().map(|member| member.component.to_string()));
        }
        for name in document.components() {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn component(&self, name: String, document: &Document) -> ComponentRow {
        let holds = self.in_force.components.iter().find(|one| one.name == name);
        let part = Part::Component(name.clone());
        let here = document.part(&part);
        let set = here.as_ref().and_then(|here| here.properties.as_object()).map_or(0, serde_json::Map::len);
        let kind = here.and_then(|here| here.kind).or_else(|| holds.and_then(|holds| holds.kind.clone()));
        let own = document.traits(&name);
        let wider = holds.map_or(&[][..], |holds| holds.traits.as_slice());
        ComponentRow {
            traits: rows(own, named(wider)),
            more_traits: self.known.of_kind(DefinitionKind::Trait),
            may_set: kind.is_some()
                && !holds.is_some_and(|holds| holds.overridable.as_ref().is_some_and(Vec::is_empty)),
            part: part.to_string(),
            set,
            kind,
            name,
        }
    }
}

fn named(parts: &[PartInForce]) -> impl Iterator<Item = (&String, &String)> {
    parts.iter().map(|part| (&part.name, &part.kind))
}

/// What the document says, and before it what holds already and is not changed by it.
fn rows<'a>(
    own: Vec<(Part, PartContent)>,
    wider: impl Iterator<Item = (&'a String, &'a String)>,
) -> Vec<PartRow> {
    let is_own = |name: &str| own.iter().any(|(_, content)| content.name == name);
    let mut rows: Vec<PartRow> = wider
        .filter(|(name, _)| !is_own(name))
        .map(|(name, kind)| PartRow { name: name.clone(), kind: kind.clone(), part: None })
        .collect();
    rows.extend(own.into_iter().map(|(part, content)| PartRow {
        part: Some(part.to_string()),
        kind: content.kind.unwrap_or_default(),
        name: content.name,
    }));
    rows
}

/// The configuration as the address has it.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&Fields::of(query.unwrap_or_default().as_bytes()));
    answer(&state, &member, wanted, StatusCode::OK, None).await
}

/// A document as it was written, checked by itself.
pub(super) async fn take(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&posted.fields);
    let member = Member { visitor: posted.visitor, session: posted.session };
    if wanted.document.len() > DOCUMENT_BYTES_MAX {
        let why = format!("longer than {DOCUMENT_BYTES_MAX} bytes: use `slipway deploy create -f FILE`");
        return answer(&state, &member, wanted, StatusCode::UNPROCESSABLE_ENTITY, Some(why)).await;
    }
    let wrong = match wanted.document.trim().is_empty() {
        true => Vec::new(),
        false => state.deploying.check_document(&wanted.document),
    };
    if wrong.is_empty() {
        return go_to(&state, &member, wanted).await;
    }
    let why = wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    answer(&state, &member, wanted, StatusCode::UNPROCESSABLE_ENTITY, Some(why)).await
}

/// Leads to the configuration page, or answers with it if the document is too long for an address.
pub(super) async fn go_to(
    state: &ServerState,
    member: &Member,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    if wanted.fits_address() {
        return Ok(Redirect::to(&wanted.address(CONFIGURATION)).into_response());
    }
    answer(state, member, wanted, StatusCode::OK, None).await
}

async fn answer(
    state: &ServerState,
    member: &Member,
    wanted: Wanted,
    status: StatusCode,
    refusal: Option<String>,
) -> Result<Response, ApiError> {
    if let Some(first) = wanted.missing(CONFIGURATION) {
        return Ok(Redirect::to(&first).into_response());
    }
    let t = member.visitor.texts();
    let d = t.deploying;
    let ground = Ground::look(state, member, &wanted).await?;
    let name = &ground.chosen.application.name;
    let read = Document::read(&wanted.document, name);
    let has_forms = read.as_ref().is_ok_and(Document::has_forms);
    let refusal = refusal.or_else(|| read.as_ref().err().cloned());
    let document = read.ok().filter(Document::has_forms).unwrap_or_else(|| Document::new(name));
    let components = ground.components(&document)?.into_iter();
    let page = ConfigurationPage {
        t,
        d,
        frame: Frame::new(&member.visitor, Section::Places, d.step_configuration),
        steps: Steps::new(d, &wanted, CONFIGURATION),
        method: wanted.method(),
        has_forms,
        components: components.map(|name| ground.component(name, &document)).collect(),
        policies: rows(document.policies(), named(&ground.in_force.policies)),
        more_policies: ground.known.of_kind(DefinitionKind::Policy),
        workflow: rows(document.steps(), named(&ground.in_force.steps)),
        more_steps: ground.known.of_kind(DefinitionKind::Step),
        trouble: ground.trouble.iter().map(ToString::to_string).collect(),
        lines: (wanted.document.lines().count() + 2).clamp(12, 40),
        refusal,
        wanted,
    };
    show_as(status, &page)
}
