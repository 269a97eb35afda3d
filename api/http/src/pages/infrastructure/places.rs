//! `/infrastructure`: environments and clusters.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use slipway_types::Role;

use super::environment_facts::{gate_names, receiver_name};
use super::{Around, Part, Parts};
use crate::pages::frame::{Frame, show};
use crate::pages::parts::Moment;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::clusters::{self, ClusterView};
use crate::rest::environments::{self, EnvironmentView};
use crate::state::ServerState;

/// Where applications run.
#[derive(Template)]
#[template(path = "infrastructure/places.html")]
struct PlacesPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    /// Whether the visitor may make environments and register clusters.
    may_change: bool,
    environments: Vec<EnvironmentRow>,
    /// Whether the visitor may see what belongs to the whole server.
    sees_server: bool,
    clusters: Vec<ClusterRow>,
}

struct EnvironmentRow {
    name: String,
    page: String,
    address: String,
    upstream: Option<String>,
    receiver: &'static str,
    gates: Vec<&'static str>,
    follows: bool,
    changed: Moment,
    changed_by: String,
}

struct ClusterRow {
    name: String,
    page: String,
    /// Kubernetes version; absent until it was looked at.
    version: Option<String>,
    nodes: Option<usize>,
    platforms: String,
    /// How many environments lie there.
    environments: usize,
    cordoned: Option<String>,
}

/// An environment's page.
pub(super) fn environment_page(name: &str) -> String {
    format!("/infrastructure/environments/{name}")
}

/// A cluster's page.
pub(super) fn cluster_page(name: &str) -> String {
    format!("/infrastructure/clusters/{name}")
}

/// The cluster that an address lies in.
pub(super) fn cluster_of(address: &str) -> &str {
    address.split('/').nth(1).unwrap_or_default()
}

/// Environments for all who may read; clusters for those who may read of the whole server.
pub(super) async fn page(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let sees_server = caller.may(Role::Reader, None);
    let environments = environments::all(&state, caller).await?;
    let clusters = match sees_server {
        true => clusters::all(&state, caller).await?,
        false => Vec::new(),
    };
    let now = Utc::now();
    let clusters = clusters.into_iter().map(|cluster| {
        let within = environments.iter().filter(|place| cluster_of(&place.address) == cluster.name).count();
        cluster_row(cluster, within)
    });
    let clusters = clusters.collect();
    let Around { t, own, frame, parts } =
        Around::new(&member, Part::Places, member.visitor.texts().infrastructure);
    show(&PlacesPage {
        t,
        own,
        frame,
        parts,
        may_change: caller.may(Role::Admin, None),
        environments: environments.into_iter().map(|row| environment_row(t, own, row, now)).collect(),
        sees_server,
        clusters,
    })
}

fn environment_row(
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    row: EnvironmentView,
    now: DateTime<Utc>,
) -> EnvironmentRow {
    let settings = &row.settings;
    EnvironmentRow {
        page: environment_page(&row.name),
        upstream: settings.upstream.as_ref().map(ToString::to_string),
        receiver: receiver_name(own, &settings.receiver),
        gates: gate_names(own, &settings.gates),
        follows: settings.follow.is_some(),
        changed: Moment::new(t, row.changed_at, now),
        changed_by: row.changed_by,
        address: row.address,
        name: row.name,
    }
}

fn cluster_row(row: ClusterView, environments: usize) -> ClusterRow {
    ClusterRow {
        page: cluster_page(&row.name),
        name: row.name,
        version: row.version,
        nodes: row.nodes,
        platforms: row.platforms.join(", "),
        environments,
        cordoned: row.cordoned,
    }
}
