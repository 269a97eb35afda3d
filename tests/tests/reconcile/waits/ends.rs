//! Waits that have no time-out of their own: the deployment's deadline ends them.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use super::case::{objects, told};
use crate::cluster;
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, document, id_of};
use crate::inventory::{INVENTORY, assert_whole};
use crate::line::line_to;

/// The deployment's deadline, which is counted from its approval on.
const DEADLINE: [(&str, &str); 1] = [("SLIPWAY__DEPLOY__DEADLINE_MINUTES", "2")];
/// How long it may take until the page tells that it passed.
const LATE_WITHIN: Duration = Duration::from_secs(180);
/// How long it may take until a dead cluster is told.
const SEEN_WITHIN: Duration = Duration::from_secs(90);

/// Waits for a person, then deploys all.
fn held(timeout: Option<&str>) -> Value {
    let mut person = json!({"name": "person", "type": "suspend"});
    if let Some(timeout) = timeout {
        person["timeout"] = json!(timeout);
    }
    let roll = json!({"name": "roll", "type": "deploy", "timeout": "20s"});
    document(&json!({"components": [], "workflow": {"steps": [person, roll]}}))
}

/// Waits until the deployment waits for the person.
fn await_hold(ground: &Ground, made: &Value) {
    wait::until("it is held", MOVES_WITHIN, || {
        let shown = ground.show(made);
        let nodes = shown["receiver"]["nodes"].as_array().cloned().unwrap_or_default();
        if nodes.iter().any(|node| node["state"] == "suspended") { Ok(()) } else { Err(shown) }
    });
}

/// Asserts that one of these words is in what the page tells.
fn assert_told(shown: &Value, names: &[&str]) {
    let told = told(shown);
    assert!(names.iter().any(|name| told.contains(name)), "none of {names:?} is in: {told}");
}

#[test]
fn a_hold_that_nobody_resumes_ends_by_its_deadline_and_a_fix_goes_through() {
    let ground = Ground::with(&DEADLINE);
    let version = ground.publish("one\n");
    let made = ground.deploy("prod", &version, Some(&held(Some("20s"))));
    let ended = ground.wait(&made, &["failed", "timed_out"], LATE_WITHIN);
    assert_told(&ended, &["person", "held", "hold", "resume"]);
    assert_eq!(cluster::object(&ground.namespace, "deployment", "web"), None, "nobody let it go on");
    let live = ground.deployed("prod", &version, None);
    assert_whole(&ground, &ground.namespace, &live, None);
}

/// Has an object held that is deleted, whatever becomes of the test.
struct Stuck<'a>(&'a Namespace);

impl Stuck<'_> {
    fn let_go(&self) -> Result<String, String> {
        let patch = json!({"metadata": {"finalizers": null}}).to_string();
        self.0.try_kubectl(&["patch", "configmap", "kept", "--type=merge", "--patch", &patch])
    }
}

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}

#[test]
fn an_object_that_does_not_go_is_named_by_the_deadline_and_a_fix_goes_through() {
    let ground = Ground::with(&DEADLINE);
    let space = &ground.namespace;
    let version = ground.publish("one\n");
    let kept = objects(&json!([{
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kept", "finalizers": ["slipway.test/stuck"]},
    }]));
    let stuck = Stuck(space);
    ground.deployed("prod", &version, Some(&document(&kept)));

    let made = ground.deploy("prod", &version, None);
    let ended = ground.wait(&made, &["failed", "timed_out", "degraded"], LATE_WITHIN);
    assert_told(&ended, &["kept"]);
    let going = cluster::field(space, "configmap", "kept", "/metadata/deletionTimestamp");
    assert!(going.is_string(), "it was never deleted");

    stuck.let_go().expect("it is let go");
    let live = ground.deployed("prod", &version, None);
    assert_eq!(cluster::object(space, "configmap", "kept"), None);
    assert_whole(&ground, space, &live, None);
}

#[test]
fn a_dead_cluster_is_told_and_ends_waits_by_their_deadline_and_a_fix_goes_through() {
    let space = Namespace::create();
    let directory = tempfile::tempdir().expect("a directory");
    let (line, kubeconfig) = line_to(&space, directory.path());
    let [(key, minutes)] = DEADLINE;
    let options = space.options().env(key, minutes);
    let ground = Ground::by_kubeconfig(space, options, &kubeconfig);
    let version = ground.publish("one\n");
    let first = ground.deployed("prod", &version, None);

    // Nobody can say how it is; once the cluster is back somebody can.
    line.cut();
    ground.wait(&first, &["unreachable"], SEEN_WITHIN);
    line.mend();
    ground.wait(&first, &["live"], SEEN_WITHIN);

    let made = ground.deploy("prod", &version, Some(&held(None)));
    await_hold(&ground, &made);
    line.cut();
    ground.server.cli(&["deploy", "resume", id_of(&made)]).ok();
    let ended = ground.wait(&made, &["failed", "timed_out"], LATE_WITHIN);
    assert_told(&ended, &["cluster", "answer", "connect", "reach"]);

    line.mend();
    let live = ground.deployed("prod", &version, None);
    assert_whole(&ground, &ground.namespace, &live, None);

    // A dead cluster keeps nothing from being taken away once it is back.
    line.cut();
    let removal = ground.remove("prod");
    ground.wait(&removal, &["draft", "frozen", "approved", "deleting"], MOVES_WITHIN);
    line.mend();
    ground.wait(&removal, &["deleted"], LIVE_WITHIN);
    assert!(cluster::all(&ground.namespace, INVENTORY).is_empty());
}
