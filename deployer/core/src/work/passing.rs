//! Objects that go by themselves once they have done what they are for.

use serde_json::Value;
use slipway_handoff::ObjectRef;

/// Where kinds say after how many seconds the cluster removes what has ended.
const TIMES: [(&str, &str, &str); 3] = [
    ("batch", "Job", "/spec/ttlSecondsAfterFinished"),
    ("apps.kruise.io", "BroadcastJob", "/spec/completionPolicy/ttlSecondsAfterFinished"),
    ("apps.kruise.io", "ImagePullJob", "/spec/completionPolicy/ttlSecondsAfterFinished"),
];

/// Whether the cluster may remove such an object by itself: its manifest says whether it does.
pub(super) fn may_go_by_itself(object: &ObjectRef) -> bool {
    TIMES.into_iter().any(|(group, kind, _)| (group, kind) == (object.group(), object.kind.as_str()))
}

/// Whether the cluster removes an object of this manifest by itself, whether it succeeded or failed
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/>).
pub(super) fn goes_by_itself(manifest: &Value) -> bool {
    let Some(object) = ObjectRef::of(manifest) else { return false };
    TIMES.into_iter().any(|(group, kind, time)| {
        (group, kind) == (object.group(), object.kind.as_str())
            && manifest.pointer(time).is_some_and(Value::is_number)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_time_after_its_end_goes_by_itself() {
        let job = |group: &str, kind: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "migrate"}, "spec": spec});
        let time = json!({"ttlSecondsAfterFinished": 60});
        assert!(goes_by_itself(&job("batch", "Job", time.clone())));
        assert!(goes_by_itself(&job("apps.kruise.io", "BroadcastJob", json!({"completionPolicy": time}))));
        assert!(!goes_by_itself(&job("batch", "Job", json!({"ttlSecondsAfterFinished": null}))));
        assert!(!goes_by_itself(&job("batch", "Job", json!({}))));
        assert!(!goes_by_itself(&job("example.com", "Job", time)));
        assert!(!goes_by_itself(&json!({})));
    }
}
