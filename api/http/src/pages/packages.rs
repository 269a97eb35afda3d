//! An application's component packages.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use slipway_records::{Application, PackageVersion, Read};
use slipway_types::{ApplicationName, GitRef, Role};

use super::address;
use super::bundle_rows::{author_name, commit_link, runs_of};
use super::frame::{Choice, Frame, Section, show};
use super::package_filter::{PackagesQuery, ROWS_MAX};
use super::parts::{Moment, ShortDigest, size};
use super::tabs::{Link, Tab, Tabs};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// An application's component packages.
#[derive(Template)]
#[template(path = "packages.html")]
struct PackagesPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    wanted: PackagesQuery,
    channels: Vec<Choice>,
    /// Environments that run the application.
    places: Vec<Choice>,
    /// Without any filter.
    all: String,
    /// What is wrong with the filters.
    refusal: Option<String>,
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
    branch: Option<Link>,
    commit: Option<Link>,
    author: Option<String>,
    size: String,
    digest: ShortDigest,
    labels: Vec<Link>,
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
    let (versions, refusal) = match query.find(read.as_mut(), &application).await {
        Ok(versions) => (versions, None),
        // What is wrong is said beside the form.
        Err(error) if error.status().is_client_error() => (Vec::new(), Some(error.detail().to_owned())),
        Err(error) => return Err(error),
    };
    let channels = read.channel_list(application.id).await?;
    let channels = channels.into_iter().map(|channel| channel.name.to_string());
    let places = places(read.as_mut(), &application).await?;
    let source = read.source_get(application.source_id).await?;
    let runs = runs_of(read.as_mut(), &versions).await?;
    drop(read);
    let now = Utc::now();
    let row = |version: &PackageVersion| {
        let component = version.component.as_ref()?;
        let page = address::package(&name, component, &version.version);
        let component = component.to_string();
        let narrowed = |more: PackagesQuery| more.address(&address::packages(&name));
        let first = PackagesQuery { after: None, ..query.clone() };
        let only = narrowed(PackagesQuery { component: component.clone(), ..PackagesQuery::default() });
        let branch = version.source_ref().and_then(GitRef::branch).map(|branch| Link {
            text: branch.to_owned(),
            address: narrowed(PackagesQuery { branch: branch.to_owned(), ..first.clone() }),
        });
        let labels = version.labels.iter().map(|(key, value)| {
            let label = format!("{key}={value}");
            // A list of labels has commas between them: what holds one itself cannot be asked for.
            let only = (!label.contains(',')).then(|| narrowed(first.with_label(&label)));
            Link { address: only.unwrap_or_default(), text: label }
        });
        Some(Row {
            name: format!("{component}/{}", version.version),
            component: Link { text: component, address: only },
            version: Link { text: version.version.to_string(), address: page },
            at: Moment::new(t, version.created_at, now),
            branch,
            commit: commit_link(&application, source.as_ref(), version),
            author: runs.get(&version.run_id).map(|run| author_name(&run.author)),
            size: size(version.size),
            digest: ShortDigest::new(t, &version.digest),
            labels: labels.collect(),
        })
    };
    let last = versions.last().filter(|_| versions.len() >= ROWS_MAX as usize);
    let next = last.map(|last| {
        let after = PackagesQuery { after: Some(last.id.as_uuid()), ..query.clone() };
        after.address(&address::packages(&name))
    });
    show(&PackagesPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, name.to_string()),
        tabs: Tabs::new(&name, Tab::Packages),
        compare: address::compare_packages(&name),
        rows: versions.iter().filter_map(row).collect(),
        next,
        all: address::packages(&name),
        refusal,
        channels: channels.map(|name| choice(name, &query.channel)).collect(),
        places: places.into_iter().map(|name| choice(name, &query.place)).collect(),
        wanted: query,
    })
}

fn choice(name: String, chosen: &str) -> Choice {
    Choice { chosen: name == chosen.trim(), text: name.clone(), value: name }
}

/// The environments that run an application, by name.
async fn places(read: &mut dyn Read, application: &Application) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    for deployment in read.deployments_out_of(application.id).await? {
        let environment = read.environment_get(deployment.environment_id).await?;
        names.extend(environment.map(|environment| environment.name.to_string()));
    }
    names.sort();
    Ok(names)
}
