//! Which bundle: by its branch first, each with what stands against it in the environment.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use slipway_records::{Application, PackageVersion, Page, Read, VersionFilter};
use slipway_types::GitRef;

use super::steps::Steps;
use super::verdict::Verdict;
use super::wanted::{BUNDLES, CONFIGURATION, Wanted};
use crate::pages::address;
use crate::pages::bundle_filter::BundleFilter;
use crate::pages::bundle_rows::{BundleRow, Surroundings};
use crate::pages::forms::Fields;
use crate::pages::frame::{Frame, Section, show};
use crate::pages::texts::{DeployTexts, Texts};
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::deployment_gates::of_bundles;
use crate::state::ServerState;

/// Bundles on one page: signatures are read of each that has any, where a gate asks for them.
const ROWS_MAX: u32 = 10;
/// Of so many of the newest bundles the branches are offered.
const NEWEST_MAX: u32 = 100;

/// The bundles to choose from.
#[derive(Template)]
#[template(path = "deploy_bundles.html")]
struct BundlesPage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    steps: Steps,
    wanted: Wanted,
    q: String,
    branches: Vec<Branch>,
    refusal: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
    is_new: bool,
    application: String,
}

/// A branch that bundles come from.
struct Branch {
    /// Empty: all of them.
    name: String,
    address: String,
    is_chosen: bool,
}

/// A bundle.
struct Row {
    bundle: BundleRow,
    verdict: Verdict,
    /// Where to go on with it; absent where it cannot be deployed.
    choose: Option<String>,
}

/// What was found.
struct Found {
    versions: Vec<PackageVersion>,
    next: Option<String>,
    refusal: Option<String>,
}

fn filter(wanted: &Wanted, fields: &Fields) -> BundleFilter {
    let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
    BundleFilter {
        branch: wanted.branch.clone(),
        q: text("q"),
        after: text("after"),
        ..BundleFilter::default()
    }
}

/// The bundles of the branch, the one published last first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let d = t.deploying;
    let fields = Fields::of(query.unwrap_or_default().as_bytes());
    let wanted = Wanted::of(&fields);
    if let Some(first) = wanted.missing(BUNDLES) {
        return Ok(Redirect::to(&first).into_response());
    }
    let filter = filter(&wanted, &fields);
    let mut read = state.records.read().await?;
    let (application, environment) = wanted.place(read.as_mut(), caller).await?;
    let branches = branches(read.as_mut(), &application, &wanted).await?;
    let found = match find(read.as_mut(), &application, &wanted, &filter).await {
        Ok(found) => found,
        // What is wrong is said beside the form.
        Err(error) if error.status().is_client_error() => {
            Found { versions: Vec::new(), next: None, refusal: Some(error.detail().to_owned()) }
        }
        Err(error) => return Err(error),
    };
    let around = Surroundings::look(read.as_mut(), &application, &found.versions).await?;
    let running = read.deployment_out(environment.id, application.id).await?;
    drop(read);
    let now = Utc::now();
    let gates = of_bundles(&state, caller, &environment, &found.versions).await;
    let mut rows = Vec::new();
    for (version, gates) in found.versions.iter().zip(gates) {
        let bundle = around.row(t, version, &BundleFilter::default(), now)?;
        let is_running = running.as_ref().is_some_and(|running| running.bundle_id == version.id);
        let gates = gates.map_err(|error| error.detail().to_owned());
        let verdict = Verdict::new(d, is_running, &bundle.held, gates);
        let choose = verdict
            .may_go()
            .then(|| Wanted { bundle: version.version.to_string(), ..wanted.clone() }.address(CONFIGURATION));
        rows.push(Row { bundle, verdict, choose });
    }
    show(&BundlesPage {
        t,
        d,
        frame: Frame::new(&member.visitor, Section::Places, d.choose_bundle),
        steps: Steps::new(d, &wanted, BUNDLES),
        is_new: branches.len() <= 1 && rows.is_empty() && filter.is_empty(),
        q: filter.q,
        branches,
        refusal: found.refusal,
        rows,
        next: found.next,
        application: address::application(&application.name),
        wanted,
    })
}

/// The branches of the newest bundles, and all of them.
async fn branches(
    read: &mut dyn Read,
    application: &Application,
    wanted: &Wanted,
) -> Result<Vec<Branch>, ApiError> {
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(None),
        ..VersionFilter::default()
    };
    let newest = read.version_list(&filter, Page::first(NEWEST_MAX)).await?;
    let mut names = vec![String::new()];
    for branch in newest.iter().filter_map(|version| version.source_ref().and_then(GitRef::branch)) {
        if !names.iter().any(|name| name == branch) {
            names.push(branch.to_owned());
        }
    }
    if !names.contains(&wanted.branch) {
        names.push(wanted.branch.clone());
    }
    let branch = |name: String| Branch {
        address: Wanted { branch: name.clone(), ..wanted.clone() }.address(BUNDLES),
        is_chosen: name == wanted.branch,
        name,
    };
    Ok(names.into_iter().map(branch).collect())
}

async fn find(
    read: &mut dyn Read,
    application: &Application,
    wanted: &Wanted,
    filter: &BundleFilter,
) -> Result<Found, ApiError> {
    let (selection, page) = (filter.selection()?, filter.page(ROWS_MAX)?);
    let selected = read.select(application.id, &selection, &page, false).await?;
    let next = selected.next.map(|next| {
        let more = [("q", filter.q.clone()), ("after", next.to_string())];
        let more = more.iter().map(|(name, value)| (*name, value.as_str()));
        let rest = address::with_query("", more);
        format!("{}&{}", wanted.address(BUNDLES), rest.trim_start_matches('?'))
    });
    Ok(Found { versions: selected.versions, next, refusal: None })
}
