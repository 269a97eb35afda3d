//! Selectors of pods that stay as they stand.
//!
//! A workload's selector never changes while it lives (`apps/v1`), and what Slipway renders asks for one label more
//! than what other tools made: the stage. So the narrower selector that is wanted gives way to the one that stands
//! there, which the pods of the revision fit as well. A Service that is taken over keeps its selector for as long
//! as the generation lives that took it: else it would lead nowhere until all pods have the new label.

use serde_json::{Map, Value};

/// Puts the selector that stands in `live` in place of the one in `sent`, if that only adds labels to it; of a
/// Service only if it is `taken_over`.
pub fn keep_selector(sent: &mut Value, live: &Value, taken_over: bool) {
    let pointer = match sent["kind"].as_str() {
        Some("Service") if taken_over && sent["apiVersion"] == "v1" => "/spec/selector",
        _ if sent.pointer("/spec/template/metadata/labels").is_some() => "/spec/selector/matchLabels",
        _ => return,
    };
    let expressions = "/spec/selector/matchExpressions";
    if sent.pointer(expressions) != live.pointer(expressions) {
        return;
    }
    let Some(standing) = live.pointer(pointer).and_then(Value::as_object) else { return };
    if let Some(wanted) = sent.pointer_mut(pointer).and_then(Value::as_object_mut)
        && is_narrower(wanted, standing)
    {
        wanted.clone_from(standing);
    }
}

/// Whether `wanted` asks for all that `standing` does, and for more.
fn is_narrower(wanted: &Map<String, Value>, standing: &Map<String, Value>) -> bool {
    let has = |(key, value): (&String, &Value)| wanted.get(key) == Some(value);
    !standing.is_empty() && wanted.len() > standing.len() && standing.iter().all(has)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(labels: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": {"app": "web"}}}}})
    }

    fn service(labels: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": labels}})
    }

    #[test]
    fn only_a_selector_that_adds_labels_gives_way() {
        let (staged, plain) = (json!({"app": "web", "slipway.dev/stage": "default"}), json!({"app": "web"}));
        let other = json!({"app": "other"});
        for (sent, live, taken_over, kept) in [
            (workload(&staged), workload(&plain), false, true),
            (workload(&staged), workload(&other), false, false),
            (workload(&plain), workload(&staged), false, false),
            (workload(&staged), workload(&json!({})), false, false),
            (service(&staged), service(&plain), true, true),
            (service(&staged), service(&plain), false, false),
        ] {
            let mut body = sent.clone();
            keep_selector(&mut body, &live, taken_over);
            let expected = if kept { &live } else { &sent };
            assert_eq!(&body["spec"]["selector"], &expected["spec"]["selector"], "{sent} {live}");
        }
    }
}
