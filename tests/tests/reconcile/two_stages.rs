//! A canary by way of two stages that people stop half-way, with two servers, while the API server is killed.

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::audit::assert_in_order;
use crate::cluster::{assert_serves, field, object};
use crate::flow::{find_node, is_aborted, is_let_on, node_of, place};
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, core, document};
use crate::inventory::{assert_accounted, assert_risen, assert_whole, marks};

/// Staging, then in `prod` a canary and one of two components; before that and before the other a person looks.
fn course(staging: &Namespace, prod: &Namespace) -> Value {
    let half = json!({"component": "settings", "cluster": "test", "namespace": prod.name});
    document(&json!({
        "components": [],
        "policies": [place("to-staging", staging), place("to-prod", prod)],
        "workflow": {"steps": [
            {"name": "test", "type": "deploy", "properties": {"policies": ["to-staging"]}},
            {"name": "try", "type": "canary", "properties": {"component": "web", "replicas": 1}},
            {"name": "look", "type": "approval", "properties": {"message": "Is the canary well?"}},
            {"name": "half", "type": "apply-component", "properties": half},
            {"name": "again", "type": "suspend", "properties": {"message": "Is it well still?"}},
            {"name": "roll", "type": "deploy", "properties": {"policies": ["to-prod"]}},
        ]},
    }))
}

/// Pushes a page, and a ConfigMap that is another with each.
fn publish(ground: &Ground, page: &str) -> String {
    let settings = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shop-settings}}\ndata: {{page: {page}}}\n"
    );
    ground.repository.write("settings/settings.yaml", settings);
    ground.publish(&format!("{page}\n"))
}

/// Waits until a node of a deployment is in a state.
fn await_node(ground: &Ground, deployment: &Value, node: &str, state: &str) {
    wait::until(&format!("{node} is {state}"), LIVE_WITHIN, || {
        let shown = ground.show(deployment);
        let is = find_node(&shown, node).is_some_and(|found| found["state"] == state);
        if is { Ok(()) } else { Err(shown) }
    });
}

/// Which page both components are of in a namespace.
fn assert_pages(space: &Namespace, web: &str, settings: &str) {
    assert_serves(space, "web", &format!("{web}\n"));
    assert_eq!(field(space, "configmap", "shop-settings", "/data/page"), settings);
}

#[test]
fn two_stages_end_as_people_say_with_two_servers_and_an_api_server_that_is_killed() {
    let (namespace, staging) = (Namespace::create(), Namespace::create());
    let options = namespace.options_of_two();
    let ground = Ground::on(namespace, options);
    let space = &ground.namespace;
    ground.environment("staging", &staging, &core());
    ground.deployed("prod", &publish(&ground, "one"), None);
    assert_pages(space, "one", "one");
    let before = marks(space);

    let second = ground.deploy("prod", &publish(&ground, "two"), Some(&course(&staging, space)));
    wait::until("staging is on its way", MOVES_WITHIN, || {
        let newest = ground.newest("staging");
        let is = ["progressing", "live"].contains(&newest["state"].as_str().unwrap_or_default());
        if is { Ok(()) } else { Err(newest) }
    });
    space.restart_api_server();
    await_node(&ground, &second, "step.look", "suspended");
    assert_pages(&staging, "two", "two");
    assert_pages(space, "one", "one");
    assert_serves(space, "web--canary", "two\n");

    is_let_on(&ground, &second);
    space.restart_api_server();
    await_node(&ground, &second, "step.again", "suspended");
    let held = ground.show(&second);
    assert_eq!(node_of(&held, "settings")["state"], "ready", "{held:#}");
    assert_pages(space, "one", "two");
    assert_serves(space, "web--canary", "two\n");
    assert_risen(&before, &marks(space));
    assert_accounted(&ground, space);

    let half = marks(space);
    let back = ground.live(&is_aborted(&ground, &second));
    assert_pages(space, "one", "one");
    assert_eq!(object(space, "deployment", "web--canary"), None);
    assert_risen(&half, &marks(space));
    assert_whole(&ground, space, &back, None);
    assert_whole(&ground, &staging, &ground.live(&ground.newest("staging")), None);
    // Each generation wrote the ConfigMap of its place.
    assert_in_order(space, 3);
    assert_in_order(&staging, 1);
    let dead = ground.server.value("select count(*) from job where state = 'dead'");
    assert_eq!(dead, "0");
}
