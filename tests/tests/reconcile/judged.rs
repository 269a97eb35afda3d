//! Custom resources whose readiness a condition of the operators says.

use serde_json::json;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::flow::find_node;
use crate::ground::{Ground, LIVE_WITHIN, document};
use crate::waits::widgets;

/// Takes the definition of the namespace's kind away, whatever becomes of the test.
struct Defined<'a>(&'a Namespace);

impl Drop for Defined<'_> {
    fn drop(&mut self) {
        widgets::forget(self.0);
    }
}

#[test]
fn a_custom_resource_is_ready_while_its_condition_holds() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let _defined = Defined(space);
    widgets::define(space);
    ground.server.cli(&["cluster", "check", "test"]).ok();
    let rule = json!({
        "selector": {"resourceTypes": [widgets::kind(space)]},
        "cel": "object.status.phase == 'Ready'",
    });
    let file = document(&json!({
        "components": [{
            "name": "extra",
            "type": "manifests",
            "properties": {"objects": [widgets::widget(space)]},
        }],
        "policies": [{"name": "judge", "type": "health", "properties": {"rules": [rule]}}],
    }));
    let made = ground.deploy("prod", &ground.publish("one\n"), Some(&file));
    let is_waited_for = || {
        wait::until("it is waited for, and all else is ready", LIVE_WITHIN, || {
            let shown = ground.show(&made);
            let is =
                |name: &str, state: &str| find_node(&shown, name).is_some_and(|node| node["state"] == state);
            if is("extra", "waiting") && is("web", "ready") { Ok(shown) } else { Err(shown) }
        })
    };
    is_waited_for();
    widgets::report(space, "Pending");
    let shown = is_waited_for();
    assert_eq!(shown["state"], "progressing", "{shown:#}");
    widgets::report(space, "Ready");
    ground.live(&made);

    // It is looked at afterwards, too.
    widgets::report(space, "Broken");
    ground.wait(&made, &["degraded"], LIVE_WITHIN);
    widgets::report(space, "Ready");
    ground.live(&made);
}
