//! What the container of a Job left when it ended: a JSON object as its termination message. Once the pod is gone it
//! cannot be read any more.
//!
//! The kubelet cuts it at 4096 bytes, and whoever may look at pods reads it: no secret belongs there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use slipway_handoff::{Graph, Node, ObjectRef, Output};
use slipway_health::ObjectState;
use slipway_kubernetes::{Cluster, Freshness};

use super::given::has_ended;
use super::look::{Found, see};
use super::pods::selector;
use crate::hitch::Hitch;
use crate::schedule::Verdict;

/// What the Jobs of a node left whose messages it gives, or what stands against that.
pub(super) async fn of_node<'n>(
    cluster: &Cluster,
    node: &'n Node,
    found: &mut Found,
) -> Result<Result<BTreeMap<&'n ObjectRef, Map<String, Value>>, Verdict>, Hitch> {
    let jobs: BTreeSet<&ObjectRef> = node.outputs.values().filter_map(job_of).collect();
    let mut all = BTreeMap::new();
    for object in jobs {
        let Some(job) = see(cluster, found, object).await? else {
            return Ok(Err(Verdict::Gone { what: format!("{object} is gone") }));
        };
        let Some((namespace, selector)) = selector(job) else {
            let blocker = format!("{object} does not say yet which pods it has");
            return Ok(Err(Verdict::NotYet { blocker }));
        };
        let is_over = has_ended(job);
        match left(object, is_over, &cluster.pods_of(&namespace, &selector, Freshness::Now).await?) {
            Ok(message) => all.insert(object, message),
            Err(verdict) => return Ok(Err(verdict)),
        };
    }
    Ok(Ok(all))
}

fn job_of(output: &Output) -> Option<&ObjectRef> {
    match output {
        Output::Message { object, .. } => Some(object),
        Output::From { .. } | Output::Value(_) => None,
    }
}

/// What stands against an output that was not left.
pub(super) fn lacking(object: &ObjectRef, key: &str) -> Verdict {
    let reason = format!(
        "{object} completed and left no output `{key}`: its container writes it; applied again, it runs anew"
    );
    Verdict::Failed { reason }
}

/// Whether a Job of a graph completed without all that is read from its message: only another run of it can bring that.
pub(super) async fn is_lacking(
    cluster: &Cluster,
    graph: &Graph,
    object: &ObjectRef,
    job: &Value,
) -> Result<bool, Hitch> {
    let keys = keys_of(graph, object);
    if keys.is_empty() || slipway_health::of_object(job, false).state != ObjectState::Completed {
        return Ok(false);
    }
    let Some((namespace, selector)) = selector(job) else { return Ok(false) };
    Ok(lacks(object, &keys, &cluster.pods_of(&namespace, &selector, Freshness::Now).await?))
}

/// What is read from the message of a Job.
fn keys_of<'g>(graph: &'g Graph, job: &ObjectRef) -> BTreeSet<&'g str> {
    let outputs = graph.nodes().values().flat_map(|node| node.outputs.values());
    let keys = outputs.filter_map(|output| match output {
        Output::Message { object, key } if object.identity() == job.identity() => Some(key.as_str()),
        Output::Message { .. } | Output::From { .. } | Output::Value(_) => None,
    });
    keys.collect()
}

/// Whether the pods of a Job say that it left less than these. A pod that is gone says nothing.
fn lacks(job: &ObjectRef, keys: &BTreeSet<&str>, pods: &[Value]) -> bool {
    match left(job, false, pods) {
        Ok(message) => keys.iter().any(|key| !message.contains_key(*key)),
        Err(verdict) => matches!(verdict, Verdict::Failed { .. }),
    }
}

/// `is_over`: whether the Job has ended. It was so before its pods were read, so one that succeeded is among them or is
/// gone for good.
fn left(object: &ObjectRef, is_over: bool, pods: &[Value]) -> Result<Map<String, Value>, Verdict> {
    let succeeded = pods.iter().rev().find(|pod| pod["status"]["phase"] == "Succeeded");
    let Some(pod) = succeeded else {
        if !is_over {
            return Err(Verdict::NotYet { blocker: format!("{object} has not completed") });
        }
        let reason = format!(
            "{object} has ended, and its pod is gone, which said what it gives: deploy it with another input, or remove \
             the Job and try again (slipway deploy retry), so that it runs again"
        );
        return Err(Verdict::Failed { reason });
    };
    let message = pod.pointer("/status/containerStatuses/0/state/terminated/message");
    let message = message.and_then(Value::as_str).unwrap_or_default();
    // The text is not repeated: it may hold what it should not.
    serde_json::from_str(message).map_err(|_| Verdict::Failed {
        reason: format!(
            "{object} completed, and what its container wrote to its termination message is no JSON object of at \
             most 4096 bytes; applied again, it runs anew"
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> ObjectRef {
        ObjectRef {
            api_version: "batch/v1".into(),
            kind: "Job".into(),
            namespace: Some("data".into()),
            name: "orders-apply".into(),
        }
    }

    fn pod(phase: &str, message: &str) -> Value {
        let statuses = json!([{"state": {"terminated": {"message": message}}}]);
        json!({"status": {"phase": phase, "containerStatuses": statuses}})
    }

    #[test]
    fn the_pod_that_succeeded_says_what_is_given() {
        let pods = [pod("Failed", "out of luck"), pod("Succeeded", r#"{"host": "db", "port": 5432}"#)];
        let left = left(&job(), true, &pods).unwrap();
        assert_eq!((&left["host"], &left["port"]), (&json!("db"), &json!(5432)));
    }

    #[test]
    fn what_is_no_object_is_not_repeated() {
        for message in ["hunter2", "[1]", r#"{"cut": "#, ""] {
            let Err(Verdict::Failed { reason }) = left(&job(), true, &[pod("Succeeded", message)]) else {
                panic!("{message} is taken")
            };
            assert!(reason.contains("orders-apply") && !reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn a_message_whose_pod_is_gone_does_not_come_any_more() {
        let Err(Verdict::Failed { reason }) = left(&job(), true, &[pod("Failed", "{}")]) else {
            panic!("somebody took the pod away")
        };
        assert!(reason.contains("remove the Job and try again"), "{reason}");
        let runs = left(&job(), false, &[pod("Running", "")]);
        assert!(matches!(runs, Err(Verdict::NotYet { .. })), "{runs:?}");
    }

    #[test]
    fn what_left_too_little_is_to_run_again() {
        let keys = BTreeSet::from(["host", "port"]);
        for (pods, expected) in [
            (vec![pod("Succeeded", r#"{"host": "db", "port": 1}"#)], false),
            (vec![pod("Succeeded", r#"{"host": "db"}"#)], true),
            (vec![pod("Succeeded", "db")], true),
            (vec![pod("Failed", "")], false),
            (vec![], false),
        ] {
            assert_eq!(lacks(&job(), &keys, &pods), expected, "{pods:?}");
        }
    }

    #[test]
    fn what_is_read_of_a_job_is_what_its_node_gives() {
        let other = ObjectRef { name: "orders-other".into(), ..job() };
        let message = |object: ObjectRef, key: &str| Output::Message { object, key: key.into() };
        let outputs = BTreeMap::from([
            ("host".to_owned(), message(job(), "host")),
            ("else".to_owned(), message(other, "else")),
            ("port".to_owned(), Output::Value(json!(5432))),
        ]);
        let nodes = BTreeMap::from([("run.apply".to_owned(), Node { outputs, ..Node::default() })]);
        let graph = Graph::try_from(nodes).unwrap();
        assert_eq!(keys_of(&graph, &job()), BTreeSet::from(["host"]));
    }
}
