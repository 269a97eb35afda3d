//! Environments that deploy by themselves, and the gates that stop them.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::world::{Field, open};

#[test]
fn a_push_is_live_where_main_is_followed_and_stops_at_the_next_gate() {
    let field = Field::prepare();
    let mut dev = open();
    dev["follow"] = json!({"branch": "main"});
    field.environment("dev", "default", &dev);
    field.environment(
        "staging",
        "staging",
        &json!({
            "upstream": "dev",
            "follow": {"from": "dev"},
            "gates": {"approvals": {"count": 1}},
        }),
    );
    let version = field.publish("one\n");
    let live = field.wait("dev", &["delivered"]);
    assert_eq!((live["bundle"].as_str(), live["cause"].as_str()), (Some(&*version), Some("follow")));
    let waiting = field.wait("staging", &["awaiting"]);
    assert_eq!(waiting["bundle"], version.as_str());
    assert!(waiting["reason"].as_str().is_some_and(|why| why.contains("0 of 1 approvals")), "{waiting:#}");

    let second = field.publish("two\n");
    field.wait_for_version("dev", &second);
}

#[test]
fn a_hold_is_never_replaced_and_a_failure_stops_the_following() {
    let field = Field::prepare();
    let mut dev = open();
    dev["follow"] = json!({"branch": "main"});
    field.environment("dev", "default", &dev);
    let first = field.publish("one\n");
    field.wait("dev", &["delivered"]);
    field.server.cli(&["hold", "shop", "--env", "dev", "--reason", "a demo"]).ok();
    let second = field.publish("two\n");
    let place = field.place("dev").expect("dev runs something");
    assert_eq!((place["version"].as_str(), place["pin"]["reason"].as_str()), (Some(&*first), Some("a demo")));
    field.server.cli(&["release", "shop", "--env", "dev"]).ok();
    field.wait_for_version("dev", &second);

    // What cannot be rendered is a failure: it holds the environment.
    let level = format!("local/test/{}", field.namespace.name);
    let wrong = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec: {components: [{name: web, properties: {port: 99999}}]}\n";
    let file = field.server.scratch().join("wrong.yaml");
    std::fs::write(&file, wrong).expect("a file");
    let file = file.display().to_string();
    field.server.cli(&["env", "config", "shop", "--level", &level, "--set", &file]).ok();
    field.publish("three\n");
    let rejected = field.wait("dev", &["rejected"]);
    assert_eq!(rejected["cause"], "follow");
    let place = wait::until("following stops", Duration::from_secs(90), || {
        let place = field.place("dev").expect("dev runs something");
        let is = place["pin"]["reason"].as_str().is_some_and(|why| why.contains("following stopped"));
        if is { Ok(place) } else { Err(place) }
    });
    assert_eq!(place["version"], second.as_str());
    for show in [["env", "show", "dev"], ["deploy", "show", "shop@dev"]] {
        let told = field.server.cli(&show).stdout;
        assert!(
            told.contains("following stopped") && told.contains("slipway release shop --env dev"),
            "{told}"
        );
    }
}

#[test]
fn a_held_bundle_goes_nowhere_until_its_check_is_waived() {
    let field = Field::prepare();
    let file = field.repository.path().join("slipway.yaml");
    let declared = std::fs::read_to_string(file).expect("the file");
    let check = "checks:\n  - {name: unit, image: web, command: [/bin/busybox, \"false\"]}\n";
    field.repository.write("slipway.yaml", declared + check);
    let mut dev = open();
    dev["follow"] = json!({"branch": "main"});
    field.environment("dev", "default", &dev);
    let version = field.publish("one\n");
    wait::until("the check fails", Duration::from_secs(90), || {
        let checks = field.server.json(&["check", "list", "shop", &version]);
        if checks[0]["state"] == "failed" { Ok(()) } else { Err(checks) }
    });
    let plan =
        field.server.cli(&["deploy", "plan", "shop", "--env", "dev", "--bundle", &version, "-o", "json"]);
    assert!(plan.code != 0 && plan.stdout.contains("bundle_held"), "{}{}", plan.stdout, plan.stderr);
    assert!(plan.stdout.contains("source/unit is failed: exit code 1"), "{}", plan.stdout);
    let deployments = field.server.json(&["deploy", "list", "shop", "--env", "dev"]);
    assert_eq!(deployments, json!([]));
    field.server.cli(&["check", "waive", "shop", &version, "unit", "--reason", "a demo"]).ok();
    assert_eq!(field.wait("dev", &["delivered"])["bundle"], version.as_str());
}

#[test]
fn a_pin_stops_what_was_on_its_way_and_nothing_deployed_is_hidden() {
    let field = Field::prepare();
    field.environment("prod", "default", &json!({"gates": {"approvals": {"count": 1, "authorMay": true}}}));
    let first = field.publish("one\n");
    let second = field.publish("two\n");
    let deploy = |version: &str| {
        let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", version, "--no-wait"];
        let made = field.server.json(&create);
        field.wait_for(&made, &["awaiting"]);
        made
    };
    let approve = |made: &Value| {
        let told = field.server.cli(&["deploy", "approve", made["id"].as_str().expect("an id")]).ok().stderr;
        assert!(!told.contains("0 of 1"), "the gates are told as they were before: {told}");
    };
    approve(&deploy(&first));
    field.wait("prod", &["delivered"]);

    let waiting = deploy(&second);
    field.server.cli(&["pin", "shop", &first, "--env", "prod", "--reason", "the fair"]).ok();
    approve(&waiting);
    let id = waiting["id"].as_str().expect("an id");
    let shut = wait::until("the pin is the only closed gate", Duration::from_secs(60), || {
        let shown = field.server.json(&["deploy", "show", id]);
        let closed = shown["gates"].as_array().into_iter().flatten().filter(|gate| gate["open"] == false);
        let closed: Vec<Value> = closed.cloned().collect();
        if matches!(&closed[..], [gate] if gate["gate"] == "pin") {
            Ok(closed[0].clone())
        } else {
            Err(shown)
        }
    });
    assert!(shut["detail"].as_str().is_some_and(|why| why.contains("the fair")), "{shut:#}");
    assert_eq!(field.place("prod").expect("prod runs something")["version"], first.as_str());

    // Neither is hidden while it is there.
    let hidden = field.server.cli(&["app", "delete", "shop", "--yes"]);
    assert!(hidden.code == 1 && hidden.stderr.contains("on its way, in `prod`"), "{}", hidden.stderr);

    field.server.cli(&["release", "shop", "--env", "prod"]).ok();
    field.wait_for_version("prod", &second);
}
