//! What a node gives, read from objects; and when it is known that it never will.
//!
//! A Job says in its status what came of it, until somebody removes it or its time after its end is over. Where it
//! is not made again, what was not read by then cannot come, and waiting for it would only end with the node's time.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::{Graph, Node, ObjectRef, Output, Pointer, Tasks};
use slipway_health::ObjectState;
use slipway_kubernetes::Cluster;

use super::look::{Found, see};
use super::{Work, message};
use crate::hitch::Hitch;
use crate::schedule::Verdict;

/// Why a value is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It may come.
    NotYet,
    /// What would have it is gone and is not made again.
    Gone,
    /// What would have it has ended without it.
    Ended,
}

impl Work {
    /// What a node gives that is read from objects, or what stands against it.
    pub(super) async fn outputs(
        &self,
        cluster: &Cluster,
        (own_name, node): (&str, &Node),
        found: &mut Found,
    ) -> Result<Result<BTreeMap<String, Value>, Verdict>, Hitch> {
        let left = match message::of_node(cluster, node, found).await? {
            Ok(left) => left,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let mut outputs = BTreeMap::new();
        for (name, output) in &node.outputs {
            let given = match output {
                Output::Value(_) => continue,
                Output::From { object, .. } if object.is_secret() => Err(Verdict::Failed {
                    reason: format!("the output `{name}` is of a Secret: outputs are recorded and shown"),
                }),
                Output::From { object, path } => {
                    let live = see(cluster, found, object).await?;
                    self.given(own_name, name, (object, path), live)
                }
                Output::Message { object, key } => {
                    let value = left.get(object).and_then(|message| message.get(key));
                    value.cloned().ok_or_else(|| message::lacking(object, key))
                }
            };
            match given {
                Ok(value) => outputs.insert(name.clone(), value),
                Err(verdict) => return Ok(Err(verdict)),
            };
        }
        Ok(Ok(outputs))
    }

    /// The value of a node's output, or how the node stands without it.
    fn given(
        &self,
        node: &str,
        output: &str,
        (object, path): (&ObjectRef, &Pointer),
        live: Option<&Value>,
    ) -> Result<Value, Verdict> {
        if let Some(value) = live.and_then(|live| path.get(live)) {
            return Ok(value.clone());
        }
        let (graph, tasks) = (&self.submission.document.graph, self.submission.tasks);
        let is_made = || !is_past(graph, tasks, node, object);
        let anew = format!(
            "deploy it anew, so that it runs again: slipway deploy create {} --bundle {} --env ENV",
            self.submission.key.application, self.submission.document.bundle.version
        );
        Err(match missing(object, path, live, is_made) {
            Missing::NotYet => {
                Verdict::NotYet { blocker: format!("{object} has no {path} yet, the output `{output}`") }
            }
            Missing::Gone => Verdict::Failed {
                reason: format!(
                    "{object} went before its {path} was read, so the output `{output}` is not known: {anew}, and \
                     give it a longer ttlSecondsAfterFinished if it has one"
                ),
            },
            Missing::Ended => Verdict::Failed {
                reason: format!(
                    "{object} has ended without {path}, so the output `{output}` cannot come: read another field \
                     of it"
                ),
            },
        })
    }
}

/// Why a value is not at `path`. `is_made`: whether the object may still be made, should it not be there.
fn missing(object: &ObjectRef, path: &Pointer, live: Option<&Value>, is_made: impl Fn() -> bool) -> Missing {
    if !runs_to_its_end(object) {
        return Missing::NotYet;
    }
    match live {
        None if is_made() => Missing::NotYet,
        None => Missing::Gone,
        // Others may write its annotations, but nobody its status.
        Some(live) if is_of_status(path) && has_ended(live) => Missing::Ended,
        Some(_) => Missing::NotYet,
    }
}

/// Whether an object of a graph was made already by the time that `node` is looked at, or is never made.
fn is_past(graph: &Graph, tasks: Tasks, node: &str, object: &ObjectRef) -> bool {
    let has = |name: &str| {
        let found = graph.nodes().get(name);
        found.is_some_and(|node| node.objects.iter().any(|own| own.object.identity() == object.identity()))
    };
    match tasks {
        Tasks::Done => !graph.nodes().keys().any(|name| has(name)),
        Tasks::Run => graph.before(node).into_iter().any(|before| has(before)),
    }
}

fn runs_to_its_end(object: &ObjectRef) -> bool {
    matches!((object.group(), object.kind.as_str()), ("batch", "Job") | ("", "Pod"))
}

fn is_of_status(path: &Pointer) -> bool {
    path.steps().next().is_some_and(|first| first == "status")
}

pub(super) fn has_ended(live: &Value) -> bool {
    let state = slipway_health::of_object(live, false).state;
    matches!(state, ObjectState::Completed) || live["status"]["phase"] == "Failed" || has_failed(live)
}

/// Whether a Job failed for good; that it is about to (`FailureTarget`) leaves it some time.
fn has_failed(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Failed" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_handoff::Object;
    use slipway_types::Digest;

    use super::*;

    fn reference(api_version: &str, kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "migrate".into(),
        }
    }

    fn job(condition: &str) -> Value {
        let conditions = json!([{"type": condition, "status": "True"}]);
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generation": 1},
            "status": {"startTime": "2026-01-02T03:04:05Z", "conditions": conditions}})
    }

    #[test]
    fn what_cannot_come_is_told_from_what_may() {
        let status: Pointer = "/status/schema".parse().unwrap();
        let note: Pointer = "/metadata/annotations/schema".parse().unwrap();
        let (of_job, of_map) = (reference("batch/v1", "Job"), reference("v1", "ConfigMap"));
        let (runs, complete, failed) = (job("Suspended"), job("Complete"), job("Failed"));
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {"phase": "Succeeded"}});
        for (object, path, live, is_made, expected) in [
            (&of_job, &status, None, true, Missing::NotYet),
            (&of_job, &status, None, false, Missing::Gone),
            (&of_job, &note, None, false, Missing::Gone),
            (&of_job, &status, Some(&runs), false, Missing::NotYet),
            (&of_job, &status, Some(&complete), true, Missing::Ended),
            (&of_job, &status, Some(&failed), true, Missing::Ended),
            (&of_job, &note, Some(&complete), true, Missing::NotYet),
            (&reference("v1", "Pod"), &status, Some(&pod), true, Missing::Ended),
            (&of_map, &status, None, false, Missing::NotYet),
        ] {
            let found = missing(object, path, live, || is_made);
            assert_eq!(found, expected, "{object} {path} {live:?} {is_made}");
        }
    }

    #[test]
    fn what_is_made_again_may_come() {
        let of_job = reference("batch/v1", "Job");
        let migrate = Node { objects: vec![Object::new(of_job.clone(), Digest::of("m"))], ..Node::default() };
        let web = Node { needs: ["web.pre".to_owned()].into(), ..Node::default() };
        let nodes = BTreeMap::from([
            ("web.pre".to_owned(), migrate),
            ("web".to_owned(), web),
            ("db".to_owned(), Node::default()),
        ]);
        let graph = Graph::try_from(nodes).unwrap();
        assert!(is_past(&graph, Tasks::Run, "web", &of_job), "its node was ready before this one began");
        assert!(!is_past(&graph, Tasks::Run, "db", &of_job), "nothing says which comes first");
        assert!(!is_past(&graph, Tasks::Run, "web.pre", &of_job), "its own is looked at, and made anew");
        let done = graph.with_tasks_done(&BTreeMap::new());
        assert!(is_past(&done, Tasks::Done, "web.pre", &of_job), "a rollback makes no Job");
    }
}
