//! What is kept when a node fails: conditions, events, and the ends of containers' logs.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::ground::{Ground, document};
use crate::kills::{await_point, restart_armed};
use crate::ordered::{PASSWORD, holding};

/// How long it may take until the end of a node is on the page, and until what was found is kept.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
const KEPT_WITHIN: Duration = Duration::from_secs(60);

/// An operator's file whose nodes have little time: what crashes at once is between its second restart, after some ten
/// seconds, and its third, after some thirty, also if it starts late.
fn short(component: &Value) -> Value {
    let roll = json!({"name": "roll", "type": "deploy", "timeout": "28s"});
    document(&json!({"components": [component], "workflow": {"steps": [roll]}}))
}

/// What is kept of a deployment's node, as soon as it is.
fn kept(ground: &Ground, deployment: &Value, node: &str) -> Value {
    wait::until(&format!("something is kept of {node}"), KEPT_WITHIN, || {
        let shown = ground.show(deployment);
        let mut failures = shown["failures"].as_array().into_iter().flatten();
        failures.find(|failure| failure["node"] == node).cloned().ok_or(shown)
    })
}

/// The container of a component.
fn container<'f>(failure: &'f Value, component: &str) -> &'f Value {
    let mut containers = failure["containers"].as_array().into_iter().flatten();
    let of = |one: &&Value| one["pod"].as_str().is_some_and(|pod| pod.starts_with(&format!("{component}-")));
    containers.find(of).unwrap_or_else(|| panic!("no container of {component}: {failure:#}"))
}

#[test]
fn a_crash_leaves_its_last_lines_without_secrets() {
    let ground = Ground::prepare();
    let version = ground.publish("one\n");
    ground.set_secret("db", PASSWORD);
    let script = "echo begins; echo password=$DB_PASSWORD; echo ends; exit 3";
    let crashes = short(&json!({"name": "web", "properties": {
        "cmd": ["/bin/busybox", "sh", "-c", script],
        "env": {"DB_PASSWORD": "secret://builtin/db"},
    }}));
    let made = ground.deploy("prod", &version, Some(&crashes));
    let ended = ground.wait(&made, &["failed", "timed_out"], ENDS_WITHIN);
    let failure = kept(&ground, &made, "web");

    assert_eq!(failure["notes"], json!([]), "{failure:#}");
    let reason = ended["receiver"]["nodes"].as_array().into_iter().flatten();
    let mut reason = reason.filter(|node| node["node"] == "web").map(|node| node["reason"].clone());
    assert_eq!(reason.next(), Some(failure["blocker"].clone()));
    let conditions = failure["objects"][0]["conditions"].as_array().cloned().unwrap_or_default();
    let is_missing = |condition: &Value| condition["type"] == "Available" && condition["status"] == "False";
    assert!(conditions.iter().any(is_missing), "{failure:#}");
    let events = failure["events"].as_array().cloned().unwrap_or_default();
    let crashed = |event: &Value| event["type"] == "Warning" && event["reason"] == "BackOff";
    assert!(events.iter().any(crashed), "{failure:#}");
    let found = container(&failure, "web");
    assert_eq!(found["exit_code"], 3, "{failure:#}");
    assert!(found["restarts"].as_u64() >= Some(1), "{failure:#}");
    let lines = json!(["begins", "password=***", "ends"]);
    assert_eq!(found["log"]["tail"], lines, "{failure:#}");
    // The node may be just removing it, having started the next one.
    let previous = &found["previous"];
    let is_gone = previous["problem"].as_str().is_some_and(|why| why.contains("not there any more"));
    assert!(is_gone || previous["tail"] == lines, "{failure:#}");

    let printed = ground.server.cli(&["deploy", "logs", "shop@prod", "--node", "web"]).ok();
    assert_eq!(printed.stdout, "begins\npassword=***\nends\n");
    if !is_gone {
        let before = ground.server.json(&["deploy", "logs", "shop@prod", "--previous"]);
        assert_eq!((&before["lines"], &before["text"]), (&json!(3), &json!(printed.stdout)), "{before:#}");
    }
    let page = ground.server.cli(&["deploy", "show", "shop@prod"]).ok().stdout;
    for expected in ["exit code 3", "    | password=***\n", "slipway deploy logs shop@prod#1 --node web"] {
        assert!(page.contains(expected), "no `{expected}` in:\n{page}");
    }
    let now = ground.server.json(&["deploy", "objects", "shop@prod", "--node", "web"]);
    let is_deployment =
        |object: &&Value| object["object"].as_str().is_some_and(|it| it.contains("/Deployment "));
    let mut objects = now["objects"].as_array().into_iter().flatten();
    let workload = objects.find(is_deployment).cloned().unwrap_or_default();
    assert!(["progressing", "failed"].contains(&workload["state"].as_str().unwrap_or_default()), "{now:#}");
    assert!(workload["created_at"].is_string() && workload["generation"] == 1, "{now:#}");
    assert!(workload["events"].as_array().is_some_and(|events| events.iter().any(crashed)), "{now:#}");
    assert!(!now.to_string().contains(PASSWORD), "{now:#}");
    assert!(!failure.to_string().contains(PASSWORD) && !ground.server.log().contains(PASSWORD));
    assert_eq!(holding(&ground.server.data()), Vec::<String>::new());
}

/// Its first instance ends badly, and the second runs without ever being ready.
#[test]
fn the_last_lines_of_this_instance_and_of_the_one_before_are_kept() {
    let ground = Ground::prepare();
    let version = ground.publish("one\n");
    let second = "/bin/busybox seq 1 600; exec /bin/busybox sleep 100000";
    let script = format!("if test -e /kept/ran; then {second}; fi; : > /kept/ran; echo before; exit 3");
    let restarts = short(&json!({"name": "web", "properties": {
        "cmd": ["/bin/busybox", "sh", "-c", script],
        "volumeMounts": {"emptyDir": [{"name": "kept", "mountPath": "/kept"}]},
        "probes": {"ready": {"exec": ["/bin/busybox", "false"]}},
    }}));
    let made = ground.deploy("prod", &version, Some(&restarts));
    ground.wait(&made, &["failed", "timed_out"], ENDS_WITHIN);
    let failure = kept(&ground, &made, "web");
    let found = container(&failure, "web");
    assert_eq!((&found["state"], &found["restarts"]), (&json!("running"), &json!(1)), "{failure:#}");
    assert_eq!(found["log"]["tail"], json!(["596", "597", "598", "599", "600"]), "{failure:#}");
    assert_eq!(found["previous"]["tail"], json!(["before"]), "{failure:#}");

    let now = ground.server.json(&["deploy", "logs", "shop@prod", "--node", "web"]);
    let text = now["text"].as_str().unwrap_or_default();
    assert_eq!((&now["lines"], text.lines().count()), (&json!(500), 500), "{now:#}");
    assert!(text.starts_with("101\n") && text.ends_with("\n600\n"), "{now:#}");
    let before = ground.server.cli(&["deploy", "logs", "shop@prod", "--previous"]).ok();
    assert_eq!(before.stdout, "before\n");
}

/// The image of a pod cannot be pulled, and the server is killed before what was found is kept.
#[test]
fn a_server_that_is_killed_before_gathering_does_it_when_it_is_back() {
    let mut ground = Ground::prepare();
    let version = ground.publish("one\n");
    let marker = ground.server.scratch().join("stopped");
    ground.server.stop();
    restart_armed(&mut ground, &marker, "core.gathering");
    let extra =
        json!({"name": "extra", "type": "worker", "properties": {"image": "127.0.0.1:1/nobody/nothing:1"}});
    let made = ground.deploy("prod", &version, Some(&short(&extra)));
    await_point(&marker, "core.gathering");
    ground.server.kill9();
    ground.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
    ground.server.restart();
    let failure = kept(&ground, &made, "extra");

    let found = container(&failure, "extra");
    let problem = found["log"]["problem"].as_str().unwrap_or_default();
    assert!(problem.starts_with("it has not started"), "{failure:#}");
    assert_eq!((&found["log"]["bytes"], &found["previous"]), (&json!(0), &json!(null)), "{failure:#}");
    let events = failure["events"].as_array().cloned().unwrap_or_default();
    let pulls = |event: &Value| {
        event["type"] == "Warning"
            && event["message"].as_str().is_some_and(|said| said.contains("nobody/nothing"))
    };
    assert!(events.iter().any(pulls), "{failure:#}");
    let refused = ground.server.cli(&["deploy", "logs", "shop@prod", "--node", "extra"]);
    assert!(refused.code != 0 && refused.stderr.contains("it has not started"), "{refused:?}");
}
