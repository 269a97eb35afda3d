//! `/infrastructure`: environments, clusters and sources.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use slipway_records::{Cluster, Environment, Source, SourceKind};
use slipway_types::Role;

use super::address;
use super::frame::{Frame, Section, show};
use super::parts::Moment;
use super::texts::Texts;
use super::visitor::Member;
use crate::problem::ApiError;
use crate::state::ServerState;

/// What applications come from and go to.
#[derive(Template)]
#[template(path = "infrastructure.html")]
struct InfrastructurePage {
    t: &'static Texts,
    frame: Frame,
    environments: Vec<EnvironmentRow>,
    /// Whether the visitor may see what belongs to the whole server.
    sees_server: bool,
    clusters: Vec<ClusterRow>,
    sources: Vec<SourceRow>,
}

struct EnvironmentRow {
    name: String,
    /// What runs there.
    deployments: String,
    address: String,
    upstream: Option<String>,
    changed: Moment,
    changed_by: String,
}

struct ClusterRow {
    name: String,
    /// Kubernetes version; absent until it was looked at.
    version: Option<String>,
    nodes: Option<usize>,
    cordoned: Option<String>,
}

struct SourceRow {
    name: String,
    /// Where it is mirrored from.
    url: Option<String>,
    swept: Option<Moment>,
    error: Option<String>,
}

/// Environments for all who may read; clusters and sources for those who may read of the whole server.
pub(super) async fn page(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    caller.somewhere(Role::Reader)?;
    let sees_server = caller.may(Role::Reader, None);
    let mut read = state.records.read().await?;
    let environments = read.environment_list().await?;
    let (clusters, sources) = match sees_server {
        true => (read.cluster_list().await?, read.source_list().await?),
        false => (Vec::new(), Vec::new()),
    };
    drop(read);
    let now = Utc::now();
    show(&InfrastructurePage {
        t,
        frame: Frame::new(&member.visitor, Section::Infrastructure, t.infrastructure),
        environments: environments.into_iter().map(|row| environment(t, row, now)).collect(),
        sees_server,
        clusters: clusters.into_iter().map(cluster).collect(),
        sources: sources.into_iter().map(|row| source(t, row, now)).collect(),
    })
}

fn environment(t: &'static Texts, row: Environment, now: DateTime<Utc>) -> EnvironmentRow {
    let name = row.name.to_string();
    EnvironmentRow {
        deployments: address::with_query("/deployments", [("environment", name.as_str())]),
        name,
        address: row.address.to_string(),
        upstream: row.settings.upstream.as_ref().map(ToString::to_string),
        changed: Moment::new(t, row.changed_at, now),
        changed_by: row.changed_by,
    }
}

fn cluster(row: Cluster) -> ClusterRow {
    ClusterRow {
        name: row.name.to_string(),
        version: row.facts.as_ref().map(|facts| facts.version.clone()),
        nodes: row.facts.as_ref().map(|facts| facts.nodes),
        cordoned: row.settings.cordoned,
    }
}

fn source(t: &'static Texts, row: Source, now: DateTime<Utc>) -> SourceRow {
    SourceRow {
        name: row.name.to_string(),
        url: match row.kind {
            SourceKind::Builtin => None,
            SourceKind::Https { url } => Some(url),
        },
        swept: row.swept_at.map(|at| Moment::new(t, at, now)),
        error: row.last_error,
    }
}
