//! Workflows while they run: who runs after what, and a canary that people look at.

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::cluster::{self, assert_serves};
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, core, document, id_of};

fn config_map(name: &str) -> Value {
    json!({"value": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}})
}

/// A step that applies a ConfigMap of its name, with more fields.
pub(crate) fn applies(name: &str, more: &Value) -> Value {
    let mut step = json!({"name": name, "type": "apply-object", "properties": config_map(name)});
    for (key, value) in more.as_object().into_iter().flatten() {
        step[key] = value.clone();
    }
    step
}

/// An operator's file with these steps alone.
pub(crate) fn workflow(steps: &Value) -> Value {
    document(&json!({"components": [], "workflow": {"steps": steps}}))
}

/// Whether a ConfigMap is there.
pub(crate) fn is_there(space: &Namespace, name: &str) -> bool {
    cluster::object(space, "configmap", name).is_some()
}

/// What is known of a node, if anything is.
pub(crate) fn find_node<'a>(shown: &'a Value, name: &str) -> Option<&'a Value> {
    let mut nodes = shown["receiver"]["nodes"].as_array().into_iter().flatten();
    nodes.find(|node| node["node"] == name)
}

/// What is known of a node.
pub(crate) fn node_of<'a>(shown: &'a Value, name: &str) -> &'a Value {
    find_node(shown, name).unwrap_or_else(|| panic!("no node {name}: {shown:#}"))
}

#[test]
fn steps_run_by_what_others_gave_and_how_they_ended() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let version = ground.publish("one\n");
    let taken = |value: &str| json!({"inputs": [{"from": "currency"}], "if": format!("inputs.currency == \"{value}\"")});
    let by_output = workflow(&json!([
        {"name": "roll", "type": "deploy"},
        {
            "name": "read",
            "type": "collect-outputs",
            "properties": {"apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings"},
            "outputs": [{"name": "currency", "valueFrom": "output.data.currency"}],
        },
        applies("euro", &taken("EUR")),
        applies("dollar", &taken("USD")),
        applies("after", &json!({})),
    ]));
    let live = ground.deployed("prod", &version, Some(&by_output));
    assert_eq!(
        ["euro", "dollar", "after"].map(|name| is_there(space, name)),
        [true, false, true],
        "{live:#}"
    );
    assert_eq!(node_of(&live, "step.dollar")["state"], "skipped");

    let never = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings", "until": "false"});
    let after_failure = workflow(&json!([
        {"name": "roll", "type": "deploy"},
        {"name": "never", "type": "wait-for", "timeout": "3s", "properties": never},
        applies("next", &json!({})),
        applies("late", &json!({"if": "status.never.timeout"})),
        applies("always", &json!({"if": "always"})),
        applies("further", &json!({})),
    ]));
    let failed = ground.deploy("prod", &version, Some(&after_failure));
    let failed = ground.wait(&failed, &["failed", "timed_out"], LIVE_WITHIN);
    let made = ["next", "late", "always", "further"].map(|name| is_there(space, name));
    assert_eq!(made, [false, true, true, false], "{failed:#}");
}

/// A policy that names where a step deploys.
pub(crate) fn place(name: &str, space: &Namespace) -> Value {
    json!({"name": name, "type": "topology", "properties": {"clusters": ["test"], "namespace": space.name}})
}

/// A canary in `prod`, which comes after `staging`, and that another person must let go on.
fn canary(ground: &Ground, staging: &Namespace) -> Value {
    document(&json!({
        "components": [],
        "policies": [place("to-staging", staging), place("to-prod", &ground.namespace)],
        "workflow": {"steps": [
            {"name": "test", "type": "deploy", "properties": {"policies": ["to-staging"]}},
            {"name": "try", "type": "canary", "properties": {"component": "web", "replicas": 1}},
            {"name": "look", "type": "approval", "properties": {"message": "Is the canary well?"}},
            {"name": "roll", "type": "deploy", "properties": {"policies": ["to-prod"]}},
        ]},
    }))
}

/// The image of a Deployment's pods.
pub(crate) fn image_of(space: &Namespace, deployment: &str) -> Value {
    cluster::field(space, "deployment", deployment, "/spec/template/spec/containers/0/image")
}

#[test]
fn a_canary_is_looked_at_let_on_by_another_person_and_taken_back() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let staging = Namespace::create();
    ground.environment("staging", &staging, &core());
    ground.deployed("prod", &ground.publish("one\n"), None);
    let before = image_of(space, "web");
    let file = canary(&ground, &staging);

    let second = ground.deploy("prod", &ground.publish("two\n"), Some(&file));
    let held = ground.wait(&second, &["suspended"], LIVE_WITHIN);
    assert!(node_of(&held, "step.look")["reason"].to_string().contains("Is the canary well?"), "{held:#}");
    assert_serves(&staging, "web", "two\n");
    assert_serves(space, "web--canary", "two\n");
    assert_eq!(image_of(space, "web"), before, "what ran runs on");
    is_let_on(&ground, &second);
    ground.live(&second);
    assert_serves(space, "web", "two\n");
    assert_eq!(cluster::object(space, "deployment", "web--canary"), None);

    let after = (image_of(space, "web"), cluster::field(space, "deployment", "web", "/spec"));
    let third = ground.deploy("prod", &ground.publish("three\n"), Some(&file));
    ground.wait(&third, &["suspended"], LIVE_WITHIN);
    let shown = is_stopped(&ground, &third);
    assert_eq!(node_of(&shown, "step.try")["state"], "ready", "{shown:#}");
    assert!(node_of(&shown, "web")["reason"].to_string().contains("as it was before"), "{shown:#}");
    let rollback = ["deploy", "rollback", "shop", "--env", "prod", "--reason", "it is slow", "--no-wait"];
    ground.live(&ground.server.json(&rollback));
    assert_eq!(cluster::object(space, "deployment", "web--canary"), None);
    let now = (image_of(space, "web"), cluster::field(space, "deployment", "web", "/spec"));
    assert_eq!(now, after, "the stable Deployment was not touched");
}

#[test]
fn nobody_approves_twice_and_who_tries_moves_nothing() {
    let ground = Ground::prepare();
    let file = workflow(&json!([
        {"name": "look", "type": "approval", "properties": {"count": 2}},
        {"name": "roll", "type": "deploy"},
        applies("after", &json!({})),
    ]));
    let made = ground.deploy("prod", &ground.publish("one\n"), Some(&file));
    ground.wait(&made, &["suspended"], LIVE_WITHIN);
    let resume = ["deploy", "resume", id_of(&made), "--node", "step.look", "--reason", "it is well"];
    let [bob, eve] = ["bob", "eve"].map(|name| {
        let token = ground.server.json(&["token", "create", name, "--role", "operator", "--person", name]);
        token["token"].as_str().expect("a token").to_owned()
    });
    ground.server.cli_as(&bob, &resume).ok();
    ground.wait(&made, &["suspended"], MOVES_WITHIN);
    let twice = ground.server.cli_as(&bob, &resume);
    assert!(twice.code != 0 && twice.stderr.contains("1 of 2 approvals (bob)"), "{}", twice.stderr);
    assert_eq!(ground.show(&made)["state"], "suspended");
    ground.server.cli_as(&eve, &resume).ok();
    ground.live(&made);
    assert!(is_there(&ground.namespace, "after"));
}

#[test]
fn an_application_is_failed_as_soon_as_one_node_is() {
    let ground = Ground::prepare();
    let wrong = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings",
        "until": "object.data.currency + 1 == 2",
    });
    let file = document(&json!({
        "components": [],
        "workflow": {"mode": {"steps": "DAG"}, "steps": [
            {"name": "roll", "type": "deploy"},
            {"name": "wrong", "type": "wait-for", "dependsOn": ["roll"], "properties": wrong},
            {"name": "person", "type": "suspend"},
        ]},
    }));
    let made = ground.deploy("prod", &ground.publish("one\n"), Some(&file));
    let shown = wait::until("the application is failed", LIVE_WITHIN, || {
        let shown = ground.show(&made);
        if shown["receiver"]["application"] == "failed" { Ok(shown) } else { Err(shown) }
    });
    assert_eq!(node_of(&shown, "step.person")["state"], "suspended", "{shown:#}");
    ground.wait(&made, &["suspended"], MOVES_WITHIN);
    let open = ground.server.json(&["incident", "list", "shop", "--env", "prod", "--open"]).to_string();
    assert!(open.contains("step.wrong"), "{open}");
    ground.server.cli(&["deploy", "resume", id_of(&made), "--node", "step.person"]).ok();
    ground.wait(&made, &["failed"], MOVES_WITHIN);
}

/// Whoever made it may not approve it, and another person may.
pub(crate) fn is_let_on(ground: &Ground, deployment: &Value) {
    let resume = ["deploy", "resume", id_of(deployment), "--node", "step.look", "--reason", "it is well"];
    let own = ground.server.cli(&resume);
    assert!(own.code != 0 && own.stderr.contains("others must approve"), "{}", own.stderr);
    let bob = ground.server.json(&["token", "create", "bob", "--role", "operator", "--person", "bob"]);
    ground.server.cli_as(bob["token"].as_str().expect("a token"), &resume).ok();
}

/// Somebody takes it back: what brings back what was live before, the same however often that is asked for.
pub(crate) fn is_aborted(ground: &Ground, deployment: &Value) -> Value {
    let abort = ["deploy", "abort", id_of(deployment), "--reason", "too many errors", "--yes", "--no-wait"];
    let back = ground.server.json(&abort);
    assert_eq!(back["cause"], "rollback", "{back:#}");
    ground.live(&back);
    assert_eq!(ground.server.json(&abort)["id"], back["id"]);
    let stopped = ground.show(deployment);
    assert!(["terminated", "superseded"].iter().any(|state| stopped["state"] == *state), "{stopped:#}");
    back
}

/// Somebody stops it, and is told what may follow.
fn is_stopped(ground: &Ground, deployment: &Value) -> Value {
    ground.server.cli(&["deploy", "terminate", id_of(deployment), "--yes"]).ok();
    let shown = ground.wait(deployment, &["terminated"], MOVES_WITHIN);
    let said = ground.server.cli(&["deploy", "show", id_of(deployment)]).ok();
    for next in ["slipway deploy retry shop@prod#", "slipway deploy rollback shop --env prod"] {
        assert!(said.stderr.contains(next), "{}", said.stderr);
    }
    shown
}

#[test]
fn a_second_set_of_pods_gets_the_traffic_when_somebody_says_so() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    ground.deployed("prod", &ground.publish("one\n"), None);
    let file = workflow(&json!([
        {"name": "new", "type": "blue-green", "properties": {"component": "web"}},
        {"name": "look", "type": "suspend", "properties": {"message": "Look at web--preview."}},
        {"name": "roll", "type": "deploy"},
    ]));
    let second = ground.deploy("prod", &ground.publish("two\n"), Some(&file));
    ground.wait(&second, &["suspended"], LIVE_WITHIN);
    let track =
        |service: &str| cluster::field(space, "service", service, "/spec/selector/slipway.dev~1track");
    let colour = track("web--preview").as_str().expect("a colour").to_owned();
    assert_serves(space, &format!("web--{colour}"), "two\n");
    assert_eq!(track("web"), Value::Null, "the traffic is where it was");
    assert_serves(space, "web", "one\n");

    ground.server.cli(&["deploy", "promote", id_of(&second)]).ok();
    ground.live(&second);
    assert_eq!(track("web"), json!(colour));
    assert_eq!(cluster::object(space, "deployment", "web"), None, "nothing leads there");
    assert_eq!(cluster::object(space, "service", "web--preview"), None);

    // One that is taken back is gone, and the traffic is where it was.
    let third = ground.deploy("prod", &ground.publish("three\n"), Some(&file));
    ground.wait(&third, &["suspended"], LIVE_WITHIN);
    let other = track("web--preview").as_str().expect("a colour").to_owned();
    assert_ne!(other, colour);
    assert_serves(space, &format!("web--{other}"), "three\n");
    is_aborted(&ground, &third);
    assert_eq!(track("web"), json!(colour));
    assert_serves(space, &format!("web--{colour}"), "two\n");
    assert_eq!(cluster::object(space, "deployment", &format!("web--{other}")), None);
    assert_eq!(cluster::object(space, "service", "web--preview"), None);
}
