//! Registered clusters.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::deploying::{ClusterLook, Heard, HeardKind};
use slipway_records::{Cluster, NewAuditEntry, Read};
use slipway_types::environment::{ClusterSettings, Sensing};
use slipway_types::name::ClusterName;
use slipway_types::{Fault, Role, SecretReference};
use utoipa::ToSchema;

use super::labels::checked_reason;
use super::list::{List, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterView {
    pub(crate) name: String,
    /// UID of its namespace `kube-system`: what it is, however it is reached.
    pub(crate) uid: String,
    /// Where its kubeconfig is kept; absent: the cluster this server runs in.
    pub(crate) kubeconfig: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Why nothing new may go there.
    pub(crate) cordoned: Option<String>,
    /// How the built-in core hears what changes there: `watch` or `pull`.
    pub(crate) sensing: &'static str,
    /// Kubernetes version.
    pub(crate) version: Option<String>,
    pub(crate) nodes: Option<usize>,
    pub(crate) platforms: Vec<String>,
    /// How many kinds it serves.
    pub(crate) apis: usize,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: String,
    /// Of what was just registered: what will not work there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// How a cluster is reached.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterBody {
    /// `secret://…` of a kubeconfig; absent: the cluster this server runs in.
    #[schema(value_type = Option<String>)]
    pub(crate) kubeconfig: Option<SecretReference>,
    /// Context of the kubeconfig; absent: its current one.
    pub(crate) context: Option<String>,
    /// For selectors of policies.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// How the built-in core hears what changes there: `watch`, or `pull` to ask now and then; absent: as before, and
    /// at first `watch`.
    #[schema(value_type = Option<String>)]
    pub(crate) sensing: Option<Sensing>,
    /// Whether another cluster may take the name over.
    #[serde(default)]
    pub(crate) replace: bool,
}

/// Why nothing new may go to a cluster.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cordon {
    pub(crate) reason: String,
}

/// One finding of a look at a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterFinding {
    pub(crate) check: &'static str,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

/// What a look at a cluster found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterCheck {
    pub(crate) cluster: ClusterView,
    pub(crate) findings: Vec<ClusterFinding>,
}

impl From<Cluster> for ClusterView {
    fn from(cluster: Cluster) -> Self {
        let facts = cluster.facts;
        Self {
            name: cluster.name.to_string(),
            uid: cluster.uid,
            kubeconfig: cluster.settings.kubeconfig.map(|reference| reference.to_string()),
            context: cluster.settings.context,
            labels: cluster.settings.labels,
            cordoned: cluster.settings.cordoned,
            sensing: cluster.settings.sensing.word(),
            version: facts.as_ref().map(|facts| facts.version.clone()),
            nodes: facts.as_ref().map(|facts| facts.nodes),
            platforms: facts.iter().flat_map(|facts| &facts.platforms).map(ToString::to_string).collect(),
            apis: facts.as_ref().map_or(0, |facts| facts.apis.len()),
            created_at: cluster.created_at,
            created_by: cluster.created_by,
            notes: Vec::new(),
        }
    }
}

async fn found(read: &mut dyn Read, name: &ClusterName) -> Result<Cluster, ApiError> {
    read.cluster_by_name(name).await?.ok_or_else(|| {
        ApiError::not_found("cluster", name).hint("`slipway cluster list` shows the registered ones")
    })
}

fn entry(
    caller: &Caller,
    action: &'static str,
    name: &ClusterName,
    detail: serde_json::Value,
) -> NewAuditEntry {
    NewAuditEntry { actor: caller.name().to_owned(), action, subject: format!("cluster/{name}"), detail }
}

fn moved(name: &ClusterName) -> ApiError {
    ApiError::conflict("changed_meanwhile", format!("cluster `{name}` was changed by somebody else"))
        .hint("look at it again and decide anew")
}

/// All clusters, for pages that show or offer every one.
pub(crate) async fn all(state: &ServerState, caller: &Caller) -> Result<Vec<ClusterView>, ApiError> {
    caller.on_server(Role::Reader)?;
    let rows = state.records.read().await?.cluster_list().await?;
    Ok(rows.into_iter().map(ClusterView::from).collect())
}

/// The clusters, by name.
#[utoipa::path(get, path = "/api/v1/clusters", tag = "clusters", params(NamePageQuery),
    responses((status = 200, body = List<ClusterView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<ClusterView>>, ApiError> {
    caller.on_server(Role::Reader)?;
    let page = query.page::<ClusterName>()?;
    let rows = state.records.read().await?.cluster_page(page.after.as_ref(), page.limit).await?;
    let rows = rows.into_iter().map(|row| (row.name.clone(), ClusterView::from(row))).collect();
    Ok(Json(List::keyed(page.limit, rows)))
}

/// One cluster.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}", tag = "clusters", params(("cluster" = String, Path)),
    responses((status = 200, body = ClusterView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
) -> Result<Json<ClusterView>, ApiError> {
    caller.on_server(Role::Reader)?;
    Ok(Json(found(state.records.read().await?.as_mut(), &name).await?.into()))
}

/// Registers a cluster, or changes how it is reached. It must answer.
#[utoipa::path(put, path = "/api/v1/clusters/{cluster}", tag = "clusters", params(("cluster" = String, Path)),
    request_body = ClusterBody,
    responses((status = 200, body = ClusterView), (status = 201, body = ClusterView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
    Body(body): Body<ClusterBody>,
) -> Result<(StatusCode, Json<ClusterView>), ApiError> {
    caller.on_server(Role::Admin)?;
    let known = state.records.read().await?.cluster_by_name(&name).await?;
    let settings = ClusterSettings {
        kubeconfig: body.kubeconfig,
        context: body.context,
        labels: body.labels,
        cordoned: known.as_ref().and_then(|known| known.settings.cordoned.clone()),
        sensing: body.sensing.or(known.map(|known| known.settings.sensing)).unwrap_or_default(),
    };
    let look = state.deploying.look_at_cluster(name.as_str(), &settings).await;
    let ClusterLook { uid, facts } = look.map_err(ApiError::of_fault)?;
    let notes = state.deploying.pull_objection(&settings, None).await.into_iter().collect();
    let mut tx = state.records.begin().await?;
    if let Some(other) = tx.cluster_by_uid(&uid).await?.filter(|other| other.name != name) {
        let detail = format!("this cluster is registered as `{}` already", other.name);
        return Err(ApiError::conflict("cluster_known", detail).hint("use that name, or remove it first"));
    }
    let (status, cluster) = match tx.cluster_by_name(&name).await? {
        None => {
            let made = tx.cluster_insert(&name, &uid, &settings, Some(&facts), caller.name()).await?;
            (StatusCode::CREATED, made)
        }
        Some(mut cluster) => {
            if cluster.uid != uid && !body.replace {
                let detail =
                    format!("`{name}` is another cluster: its kube-system has the UID {}", cluster.uid);
                return Err(ApiError::conflict("cluster_differs", detail).hint(
                    "give it a name of its own, or say that it takes the name over: slipway cluster replace",
                ));
            }
            cluster.uid = uid;
            cluster.settings = settings;
            cluster.facts = Some(facts);
            if !tx.cluster_save(&mut cluster).await? {
                return Err(moved(&name));
            }
            (StatusCode::OK, cluster)
        }
    };
    let detail = json!({"uid": cluster.uid, "settings": cluster.settings, "replace": body.replace});
    tx.audit(entry(&caller, "cluster.put", &name, detail)).await?;
    tx.commit().await?;
    Ok((status, Json(ClusterView { notes, ..cluster.into() })))
}

/// Looks at a cluster again.
#[utoipa::path(post, path = "/api/v1/clusters/{cluster}/check", tag = "clusters", params(("cluster" = String, Path)),
    responses((status = 200, body = ClusterCheck)))]
pub(crate) async fn check(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
) -> Result<Json<ClusterCheck>, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut cluster = found(state.records.read().await?.as_mut(), &name).await?;
    let look = state.deploying.look_at_cluster(name.as_str(), &cluster.settings).await;
    let mut findings = findings(&cluster, &look);
    if look.as_ref().is_ok_and(|look| look.uid == cluster.uid) {
        findings.push(match state.deploying.heard_kinds(&cluster).await {
            Ok(kinds) => ClusterFinding { check: "changes", ok: true, detail: hearing(&kinds) },
            Err(fault) => ClusterFinding { check: "changes", ok: false, detail: fault.to_string() },
        });
    }
    if let Ok(look) = look.map_err(|_: Fault| ())
        && look.uid == cluster.uid
    {
        cluster.facts = Some(look.facts);
        let mut tx = state.records.begin().await?;
        if tx.cluster_save(&mut cluster).await? {
            tx.commit().await?;
        }
    }
    Ok(Json(ClusterCheck { cluster: cluster.into(), findings }))
}

/// How the built-in core hears of changes, in words.
fn hearing(kinds: &[HeardKind]) -> String {
    let mut groups: BTreeMap<(Heard, Option<&str>), Vec<&str>> = BTreeMap::new();
    for heard in kinds {
        groups.entry((heard.how, heard.namespace.as_deref())).or_default().push(&heard.kind);
    }
    let groups = groups.into_iter().map(|((how, namespace), kinds)| {
        let how = match how {
            Heard::Watched => "watched",
            Heard::Polled => "polled",
            Heard::Looked => "looked at one by one",
        };
        let place =
            namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("the namespace {name}"));
        format!("{} {how} in {place}", kinds.join(", "))
    });
    groups.collect::<Vec<_>>().join("; ")
}

fn findings(cluster: &Cluster, look: &Result<ClusterLook, Fault>) -> Vec<ClusterFinding> {
    let finding = |check, ok, detail| ClusterFinding { check, ok, detail };
    match look {
        Err(fault) => vec![finding("answers", false, fault.to_string())],
        Ok(look) => {
            let facts = &look.facts;
            let same = look.uid == cluster.uid;
            let identity = if same {
                format!("kube-system has the UID {}", look.uid)
            } else {
                format!(
                    "another cluster answers: UID {}, registered is {}; `slipway cluster replace` takes it",
                    look.uid, cluster.uid
                )
            };
            let platforms: Vec<String> = facts.platforms.iter().map(ToString::to_string).collect();
            vec![
                finding("answers", true, format!("Kubernetes {}", facts.version)),
                finding("identity", same, identity),
                finding("kinds", !facts.apis.is_empty(), format!("{} kinds", facts.apis.len())),
                finding("nodes", facts.nodes > 0, format!("{} nodes: {}", facts.nodes, platforms.join(", "))),
            ]
        }
    }
}

async fn set_cordon(
    state: &ServerState,
    caller: &Caller,
    name: &ClusterName,
    reason: Option<String>,
) -> Result<ClusterView, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut tx = state.records.begin().await?;
    let mut cluster = found(tx.as_mut(), name).await?;
    cluster.settings.cordoned.clone_from(&reason);
    if !tx.cluster_save(&mut cluster).await? {
        return Err(moved(name));
    }
    tx.audit(entry(caller, "cluster.cordon", name, json!({"reason": reason}))).await?;
    tx.commit().await?;
    Ok(cluster.into())
}

/// Lets nothing new go to a cluster.
#[utoipa::path(put, path = "/api/v1/clusters/{cluster}/cordon", tag = "clusters", params(("cluster" = String, Path)),
    request_body = Cordon, responses((status = 200, body = ClusterView)))]
pub(crate) async fn cordon(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
    Body(cordon): Body<Cordon>,
) -> Result<Json<ClusterView>, ApiError> {
    let reason = checked_reason(Some(cordon.reason))?;
    Ok(Json(set_cordon(&state, &caller, &name, reason).await?))
}

/// Lets things go to a cluster again.
#[utoipa::path(delete, path = "/api/v1/clusters/{cluster}/cordon", tag = "clusters",
    params(("cluster" = String, Path)), responses((status = 200, body = ClusterView)))]
pub(crate) async fn uncordon(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
) -> Result<Json<ClusterView>, ApiError> {
    Ok(Json(set_cordon(&state, &caller, &name, None).await?))
}

/// Forgets a cluster that no environment is in.
#[utoipa::path(delete, path = "/api/v1/clusters/{cluster}", tag = "clusters", params(("cluster" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ClusterName>,
) -> Result<StatusCode, ApiError> {
    caller.on_server(Role::Admin)?;
    let mut tx = state.records.begin().await?;
    let cluster = found(tx.as_mut(), &name).await?;
    let environments = tx.environment_list().await?;
    let within: Vec<String> = environments
        .iter()
        .filter(|environment| environment.address.cluster() == name.as_str())
        .map(|environment| environment.name.to_string())
        .collect();
    if !within.is_empty() {
        let detail = format!("environments are in cluster `{name}`: {}", within.join(", "));
        return Err(ApiError::conflict("cluster_in_use", detail).hint("remove these environments first"));
    }
    tx.cluster_remove(cluster.id).await?;
    tx.audit(entry(&caller, "cluster.remove", &name, json!({}))).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_heard_of_in_the_same_way_are_told_together() {
        let heard = |kind: &str, namespace: Option<&str>, how| HeardKind {
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            how,
        };
        let found = [
            heard("Deployment", None, Heard::Watched),
            heard("Service", None, Heard::Watched),
            heard("ConfigMap", Some("shop"), Heard::Polled),
            heard("Secret", Some("shop"), Heard::Looked),
        ];
        let told = "Deployment, Service watched in all namespaces; ConfigMap polled in the namespace shop; \
                    Secret looked at one by one in the namespace shop";
        assert_eq!(hearing(&found), told);
    }
}
