//! Why a workload does not get ready, as its pods tell it.

use serde_json::Value;
use slipway_health::ObjectState;
use slipway_kubernetes::Cluster;

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
        let cause = match live.and_then(selector) {
            Some((namespace, selector)) => cause(cluster, &namespace, &selector).await,
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

/// What the first pod that cannot run says. That nobody answers says nothing.
async fn cause(cluster: &Cluster, namespace: &str, selector: &str) -> Option<String> {
    let pods = cluster.pods_of(namespace, selector).await.ok()?;
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
