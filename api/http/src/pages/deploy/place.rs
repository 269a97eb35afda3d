//! Which application, and where.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use slipway_types::Role;

use super::steps::Steps;
use super::wanted::{BUNDLES, CONFIGURATION, PLACE, Wanted};
use crate::pages::forms::Fields;
use crate::pages::frame::{Choice, Frame, Section, show};
use crate::pages::texts::{DeployTexts, Texts};
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The applications that the visitor may deploy, and the environments.
#[derive(Template)]
#[template(path = "deploy_place.html")]
struct PlacePage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    steps: Steps,
    applications: Vec<Choice>,
    environments: Vec<Choice>,
    /// Chosen before the place.
    chosen: Option<Bundle>,
    next: &'static str,
}

/// A bundle of an application.
struct Bundle {
    application: String,
    version: String,
}

/// The bundle that was chosen first, if it is of an application that the visitor may deploy.
fn chosen(wanted: &Wanted, applications: &[Choice]) -> Option<Bundle> {
    let is_known = applications.iter().any(|application| application.chosen);
    (is_known && !wanted.bundle.is_empty())
        .then(|| Bundle { application: wanted.application.clone(), version: wanted.bundle.clone() })
}

fn choices(names: impl Iterator<Item = String>, chosen: &str) -> Vec<Choice> {
    names.map(|name| Choice { chosen: name == chosen, value: name.clone(), text: name }).collect()
}

/// The form.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let d = t.deploying;
    caller.somewhere(Role::Operator)?;
    let wanted = Wanted::of(&Fields::of(query.unwrap_or_default().as_bytes()));
    let mut read = state.records.read().await?;
    let mut applications = read.application_list().await?;
    applications.retain(|application| caller.may(Role::Operator, Some(application.id)));
    applications.sort_by_key(|application| application.name.to_string());
    let environments = read.environment_list().await?;
    drop(read);
    let names = applications.iter().map(|application| application.name.to_string());
    let places = environments.iter().map(|environment| environment.name.to_string());
    let applications = choices(names, &wanted.application);
    let chosen = chosen(&wanted, &applications);
    show(&PlacePage {
        t,
        d,
        frame: Frame::new(&member.visitor, Section::Places, d.deploy),
        steps: Steps::new(d, &wanted, PLACE),
        next: if chosen.is_some() { CONFIGURATION } else { BUNDLES },
        chosen,
        applications,
        environments: choices(places, &wanted.environment),
    })
}
