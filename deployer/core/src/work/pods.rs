//! The pods of a workload, and why it does not get ready, as they tell it.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_health::ObjectState;
use slipway_kubernetes::{CallError, Cluster, Freshness};

use super::Work;
use crate::schedule::Verdict;

impl Work {
    /// The same verdict with what the pods of a workload say, if they say why.
    pub(super) async fn with_cause(
        &self,
        cluster: &Cluster,
        live: Option<&Value>,
        verdict: Verdict,
    ) -> Verdict {
        let Verdict::NotYet { blocker } = verdict else { return verdict };
        let cause = match live {
            Some(live) => cause(cluster, live).await,
            None => None,
        };
        Verdict::NotYet {
            blocker: match cause {
                Some(cause) => format!("{blocker}: {cause}"),
                None => blocker,
            },
        }
    }
}

/// Namespace and label selector of the pods that a workload has; only selectors that name labels alone.
pub(super) fn selector(workload: &Value) -> Option<(String, String)> {
    let namespace = workload["metadata"]["namespace"].as_str()?.to_owned();
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    workload.pointer("/spec/template")?;
    let terms: Vec<String> =
        labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    (!terms.is_empty()).then(|| (namespace, terms.join(",")))
}

/// The pods of a workload: of those with its labels the ones that it owns, itself or by a ReplicaSet. A canary beside
/// it has its labels too. `None`: it makes none. Where ReplicaSets may not be listed, it is all with its labels.
pub(super) async fn pods_of_workload(
    cluster: &Cluster,
    workload: &Value,
    freshness: Freshness,
) -> Result<Option<Vec<Value>>, CallError> {
    let Some((namespace, selector)) = selector(workload) else { return Ok(None) };
    let mut pods = cluster.pods_of(&namespace, &selector, freshness).await?;
    let mut owners: BTreeSet<String> = uid(workload).map(str::to_owned).into_iter().collect();
    if pods.iter().any(|pod| !is_owned(pod, &owners)) {
        let kinds = BTreeSet::from([("apps/v1".to_owned(), "ReplicaSet".to_owned())]);
        let sets = match cluster.labelled(&selector, &kinds, Some(&namespace), freshness).await {
            Ok(sets) => sets,
            Err(CallError::Refused(_)) => return Ok(Some(pods)),
            Err(away) => return Err(away),
        };
        owners.extend(owned_sets(&sets, &owners));
    }
    pods.retain(|pod| is_owned(pod, &owners));
    Ok(Some(pods))
}

fn owned_sets(sets: &[Value], owners: &BTreeSet<String>) -> Vec<String> {
    let owned = sets.iter().filter(|set| is_owned(set, owners));
    owned.filter_map(uid).map(str::to_owned).collect()
}

fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

fn is_owned(object: &Value, owners: &BTreeSet<String>) -> bool {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut uids = references.into_iter().flatten().filter_map(|owner| owner["uid"].as_str());
    uids.any(|uid| owners.contains(uid))
}

/// What the first pod that cannot run says. That nobody answers says nothing.
async fn cause(cluster: &Cluster, workload: &Value) -> Option<String> {
    let pods = pods_of_workload(cluster, workload, Freshness::Lately).await.ok()??;
    let told = |wanted: ObjectState| {
        pods.iter().find_map(|pod| {
            let health = slipway_health::of(pod);
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            (health.state == wanted && !health.reason.is_empty())
                .then(|| format!("pod {name}: {}", health.reason))
        })
    };
    told(ObjectState::Failed).or_else(|| told(ObjectState::InProgress))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_a_workloads_by_who_owns_them_and_not_by_their_labels() {
        let owned = |uid: &str, owner: &str| {
            let labels = json!({"app": "web"});
            json!({"metadata": {"uid": uid, "labels": labels, "ownerReferences": [{"uid": owner}]}})
        };
        let sets = [owned("web-1", "web"), owned("web-2", "web"), owned("canary-1", "canary")];
        let mut owners = BTreeSet::from(["web".to_owned()]);
        owners.extend(owned_sets(&sets, &owners));
        for (pod, expected) in [
            (owned("a", "web-1"), true),
            (owned("b", "web-2"), true),
            (owned("c", "web"), true),
            (owned("d", "canary-1"), false),
            (json!({"metadata": {"uid": "e", "labels": {"app": "web"}}}), false),
        ] {
            assert_eq!(is_owned(&pod, &owners), expected, "{pod}");
        }
    }

    #[test]
    fn only_what_makes_pods_is_asked_for_them() {
        let deployment = json!({
            "metadata": {"namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web", "tier": "a"}}, "template": {}},
        });
        assert_eq!(selector(&deployment), Some(("shop".to_owned(), "app=web,tier=a".to_owned())));
        let service = json!({"metadata": {"namespace": "shop"}, "spec": {"selector": {"app": "web"}}});
        assert_eq!(selector(&service), None);
        let budget =
            json!({"metadata": {"namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}});
        assert_eq!(selector(&budget), None);
    }
}
