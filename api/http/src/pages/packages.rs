//! An application's component packages.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use slipway_records::{PackageVersion, Page, VersionFilter};
use slipway_types::name::InvalidName;
use slipway_types::{ApplicationName, GitRef, Role};
use uuid::Uuid;

use super::address;
use super::bundle_rows::{author_name, commit_link, runs_of};
use super::frame::{Frame, Section, show};
use super::parts::{Moment, ShortDigest, size};
use super::tabs::{Link, Tab, Tabs};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::runs::branch_ref;
use crate::state::ServerState;

/// Versions on one page.
const ROWS_MAX: u32 = 50;

/// Which packages; empty fields ask for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PackagesQuery {
    component: String,
    branch: String,
    after: Option<Uuid>,
}

/// An application's component packages.
#[derive(Template)]
#[template(path = "packages.html")]
struct PackagesPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    component: String,
    branch: String,
    /// Where two of them are compared.
    compare: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// A version of a component package.
struct Row {
    component: Link,
    version: Link,
    /// By which it is chosen to be compared.
    name: String,
    at: Moment,
    branch: Option<String>,
    commit: Option<Link>,
    author: Option<String>,
    size: String,
    digest: ShortDigest,
    labels: Vec<String>,
}

/// The versions of packages that the form asks for, newest first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(query): Query<PackagesQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let page = Page { limit: ROWS_MAX, after: query.after };
    let filter = VersionFilter { application: Some(application.id), ..filter(&query)? };
    let versions = read.version_list(&filter, page).await?;
    let source = read.source_get(application.source_id).await?;
    let runs = runs_of(read.as_mut(), &versions).await?;
    drop(read);
    let now = Utc::now();
    let row = |version: &PackageVersion| {
        let component = version.component.as_ref()?;
        let page = address::package(&name, component, &version.version);
        let component = component.to_string();
        let only = address::with_query(&address::packages(&name), [("component", component.as_str())]);
        Some(Row {
            name: format!("{component}/{}", version.version),
            component: Link { text: component, address: only },
            version: Link { text: version.version.to_string(), address: page },
            at: Moment::new(t, version.created_at, now),
            branch: version.source_ref().and_then(GitRef::branch).map(str::to_owned),
            commit: commit_link(&application, source.as_ref(), version),
            author: runs.get(&version.run_id).map(|run| author_name(&run.author)),
            size: size(version.size),
            digest: ShortDigest::new(t, &version.digest),
            labels: version.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        })
    };
    let last = versions.last().filter(|_| versions.len() >= ROWS_MAX as usize);
    let next = last.map(|last| {
        let after = last.id.to_string();
        let pairs = [
            ("component", query.component.as_str()),
            ("branch", query.branch.as_str()),
            ("after", after.as_str()),
        ];
        address::with_query(&address::packages(&name), pairs)
    });
    show(&PackagesPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, name.to_string()),
        tabs: Tabs::new(&name, Tab::Packages),
        compare: address::compare_packages(&name),
        rows: versions.iter().filter_map(row).collect(),
        next,
        component: query.component,
        branch: query.branch,
    })
}

fn filter(query: &PackagesQuery) -> Result<VersionFilter, ApiError> {
    let component = match query.component.trim() {
        "" => None,
        text => {
            let bad = |error: InvalidName| ApiError::bad_request("bad_query", format!("component: {error}"));
            Some(Some(text.parse().map_err(bad)?))
        }
    };
    let git_ref = match query.branch.trim() {
        "" => None,
        branch => Some(branch_ref(branch)?),
    };
    Ok(VersionFilter { component, git_ref, ..VersionFilter::default() })
}
