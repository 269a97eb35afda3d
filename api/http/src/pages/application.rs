//! An application's bundles: which there are, where each runs, and what to choose them by.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use slipway_records::{Application, PackageVersion, Read};
use slipway_types::{ApplicationName, Role};

use super::address;
use super::bundle_filter::BundleFilter;
use super::bundle_rows::{BundleRow, Surroundings};
use super::frame::{Choice, Frame, Section, show};
use super::new_application::first_push;
use super::parts::Command;
use super::tabs::{Tab, Tabs};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::applications;
use crate::rest::bundles::check_named;
use crate::state::ServerState;

/// Bundles on one page: with five packages and eight labels each it has 70 kB.
const ROWS_MAX: u32 = 20;

/// An application and its bundles.
#[derive(Template)]
#[template(path = "application.html")]
struct ApplicationPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    git_url: String,
    is_builtin: bool,
    push: Command,
    /// Whether nothing was ever published.
    is_new: bool,
    wanted: BundleFilter,
    /// Without any filter.
    all: String,
    /// What is wrong with the filters.
    refusal: Option<String>,
    channels: Vec<Choice>,
    /// Where two of them are compared.
    compare: String,
    rows: Vec<BundleRow>,
    next: Option<String>,
}

/// What the filters lead to.
struct Found {
    versions: Vec<PackageVersion>,
    next: Option<String>,
    refusal: Option<String>,
}

/// The bundles that the form asks for, the one published last first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(filter): Query<BundleFilter>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let shown = applications::show(State(state.clone()), caller.clone(), Path(name.clone())).await?.0;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let found = match find(read.as_mut(), &application, &filter).await {
        Ok(found) => found,
        // What is wrong is said beside the form.
        Err(error) if error.status().is_client_error() => {
            Found { versions: Vec::new(), next: None, refusal: Some(error.detail().to_owned()) }
        }
        Err(error) => return Err(error),
    };
    let around = Surroundings::look(read.as_mut(), &application, &found.versions).await?;
    let channels = read.channel_list(application.id).await?;
    drop(read);
    let now = Utc::now();
    let rows = found.versions.iter().map(|version| around.row(t, version, &filter, now));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    show(&ApplicationPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, name.to_string()),
        tabs: Tabs::new(&name, Tab::Bundles),
        push: first_push(t, &shown.git_url),
        git_url: shown.git_url,
        is_builtin: shown.is_builtin,
        is_new: rows.is_empty() && filter.is_empty() && filter.after.is_empty() && found.refusal.is_none(),
        all: address::application(&name),
        compare: address::compare_bundles(&name),
        refusal: found.refusal,
        channels: channels
            .into_iter()
            .map(|channel| Choice {
                chosen: channel.name.as_str() == filter.channel.trim(),
                text: channel.name.to_string(),
                value: channel.name.to_string(),
            })
            .collect(),
        rows,
        next: found.next,
        wanted: filter,
    })
}

async fn find(
    read: &mut dyn Read,
    application: &Application,
    filter: &BundleFilter,
) -> Result<Found, ApiError> {
    let (selection, page) = (filter.selection()?, filter.page(ROWS_MAX)?);
    check_named(read, application.id, &selection).await?;
    let selected = read.select(application.id, &selection, &page, false).await?;
    let next = selected.next.map(|next| {
        let following = BundleFilter { after: next.to_string(), ..filter.clone() };
        following.address(&address::application(&application.name))
    });
    Ok(Found { versions: selected.versions, next, refusal: None })
}
