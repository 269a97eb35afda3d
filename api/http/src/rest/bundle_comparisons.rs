//! Two bundles of an application, compared.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_git::CommitInfo;
use slipway_records::PackageVersion;
use slipway_records::detail::BundleMember;
use slipway_types::{ApplicationName, Version};
use utoipa::{IntoParams, ToSchema};

use super::run_views::image_reference;
use crate::auth::Caller;
use crate::bundle_comparison::{self, Change, ComponentComparison};
use crate::extract::{Path, Query};
use crate::history::History;
use crate::problem::ApiError;
use crate::state::ServerState;
use crate::value_differences::Difference;

/// Differences of one component's configuration that are told.
const DIFFERENCES_MAX: usize = 100;

/// Which two.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparisonQuery {
    /// The version that is compared with.
    #[param(value_type = String)]
    from: Version,
    /// The version that is compared.
    #[param(value_type = String)]
    to: Version,
}

/// How two bundles differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BundleComparisonView {
    application: String,
    from: ComparedBundle,
    to: ComparedBundle,
    /// Whether both lock the same components.
    same: bool,
    /// Every component of either, those that differ first.
    components: Vec<ComparedComponent>,
    /// `null` where one is of no commit, or the history cannot be read now.
    commits: Option<ComparedCommits>,
}

/// One of the two.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedBundle {
    version: String,
    digest: String,
    lock_digest: String,
    /// Absent of what people composed.
    commit: Option<String>,
    created_at: DateTime<Utc>,
}

/// What became of a component.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedComponent {
    component: String,
    /// `added`, `removed`, `changed` or `same`.
    change: &'static str,
    from: Option<ComparedPackage>,
    to: Option<ComparedPackage>,
    /// Where what its developers declared for the deploy side differs, 100 places at most; of the first 40 components
    /// that changed.
    configuration: Vec<Difference>,
    /// How many more such places there are.
    configuration_more: usize,
}

/// A component in one of the two.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedPackage {
    version: String,
    digest: String,
    /// Full references by digest.
    images: Vec<String>,
}

/// The commits that one of the two has and the other has not, newest first, 50 of each at most.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedCommits {
    /// Those of `to` alone.
    added: Vec<ComparedCommit>,
    /// Those of `from` alone.
    dropped: Vec<ComparedCommit>,
    /// Whether there may be more.
    more: bool,
}

/// A commit.
#[derive(Debug, Serialize, ToSchema)]
struct ComparedCommit {
    commit: String,
    /// First line of its message.
    subject: String,
    author: String,
    committed_at: DateTime<Utc>,
}

impl ComparedBundle {
    fn of(version: &PackageVersion) -> Self {
        Self {
            version: version.version.to_string(),
            digest: version.digest.to_string(),
            lock_digest: version.fingerprint.to_string(),
            commit: version.source_commit().map(ToString::to_string),
            created_at: version.created_at,
        }
    }
}

impl ComparedComponent {
    fn of(state: &ServerState, compared: ComponentComparison) -> Self {
        let package = |member: &BundleMember| ComparedPackage {
            version: member.version.to_string(),
            digest: member.digest.to_string(),
            images: member.images.iter().map(|image| image_reference(state, image)).collect(),
        };
        let change = compared.change().word();
        let mut configuration = compared.configuration;
        let configuration_more = configuration.len().saturating_sub(DIFFERENCES_MAX);
        configuration.truncate(DIFFERENCES_MAX);
        Self {
            component: compared.component.to_string(),
            change,
            from: compared.from.as_ref().map(package),
            to: compared.to.as_ref().map(package),
            configuration,
            configuration_more,
        }
    }
}

impl From<History> for ComparedCommits {
    fn from(history: History) -> Self {
        let commit = |info: CommitInfo| ComparedCommit {
            commit: info.id.to_string(),
            subject: info.subject,
            author: info.author,
            committed_at: info.committed_at,
        };
        Self {
            more: history.may_be_longer(),
            added: history.added.into_iter().map(commit).collect(),
            dropped: history.dropped.into_iter().map(commit).collect(),
        }
    }
}

/// How two bundles differ: components, digests, configuration, commits.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/compare", tag = "bundles",
    params(("application" = String, Path), ComparisonQuery), responses((status = 200, body = BundleComparisonView)))]
pub(crate) async fn compare(
    State(state): State<ServerState>,
    caller: Caller,
    Path(application): Path<ApplicationName>,
    Query(asked): Query<ComparisonQuery>,
) -> Result<Json<BundleComparisonView>, ApiError> {
    let ends = (&asked.from, &asked.to);
    let found = bundle_comparison::compare(&state, &caller, &application, ends).await?;
    let components = found.components.into_iter().map(|one| ComparedComponent::of(&state, one));
    let components: Vec<ComparedComponent> = components.collect();
    Ok(Json(BundleComparisonView {
        application: found.application.name.to_string(),
        from: ComparedBundle::of(&found.from),
        to: ComparedBundle::of(&found.to),
        same: components.iter().all(|one| one.change == Change::Same.word()),
        components,
        commits: found.history.map(ComparedCommits::from),
    }))
}
