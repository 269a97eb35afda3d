//! People are told of an incident once, also by a server that is killed while it tells them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_handoff::{Capability, NodeState};
use slipway_records::fault_point::NOTICE_POINTS;
use slipway_tests::listener::Listener;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::service::{SECRET, Service, report};
use crate::world::{Field, options};

const WITHIN: Duration = Duration::from_secs(60);

/// Where notices go.
const HOOK: &str = "/notices";

/// Ids of notices of an event, repetitions left in.
fn ids(hook: &Listener, event: &str) -> Vec<String> {
    let heard = hook.bodies(HOOK);
    let of_event = heard.iter().filter(|message| message["notice"]["event"] == event);
    of_event.map(|message| message["id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until so many different notices of an event were heard.
fn await_told(hook: &Listener, event: &str, count: usize) {
    wait::until(&format!("{count} notices say {event}"), WITHIN, || {
        let ids: BTreeSet<String> = ids(hook, event).into_iter().collect();
        if ids.len() == count { Ok(()) } else { Err(json!(hook.bodies(HOOK))) }
    });
}

#[test]
fn faults_of_kills_leave_an_incident_told_once_and_repeated_under_its_id() {
    let namespace = Namespace::create();
    let hook = Listener::start();
    let url = hook.url(HOOK);
    let channel = format!(
        "[{{name = \"ops\", kind = \"webhook\", url = {url:?}, secret = \"secret://builtin/hook\"}}]"
    );
    let options = options(&namespace)
        .env("SLIPWAY__DEPLOY__ALLOW_HTTP_RECEIVERS", "true")
        .env("SLIPWAY__NOTICES__CHANNELS", &channel)
        .env("SLIPWAY__NOTICES__ALLOW_PLAIN", "true")
        .env("SLIPWAY__NOTICES__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8")
        .env("SLIPWAY__NOTICES__GRACE_S", "0");
    let mut field = Field::on(namespace, options);
    let service = Service::start([Capability::Observe]);
    field.server.set_secret("core-key", SECRET);
    let untold = field.server.cli(&["notice", "test", "ops"]);
    assert!(untold.code == 1 && untold.stdout.contains("secret://builtin/hook"), "{}", untold.stdout);
    field.server.set_secret("hook", SECRET);
    field.server.cli(&["notice", "test", "ops"]).ok();
    assert_eq!(hook.bodies(HOOK)[0]["kind"], "test");
    let channels = field.server.json(&["notice", "list"]);
    assert_eq!(
        (&channels[0]["kind"], &channels[0]["pending"]),
        (&json!("webhook"), &json!(0)),
        "{channels:#}"
    );
    assert!(!channels.to_string().contains(&url), "{channels:#}");

    field.environment("prod", "default", &service.settings());
    let address = format!("local/test/{}/default", field.namespace.name);
    let version = field.publish("one\n");
    let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", &version, "--no-wait"];
    let made = field.server.json(&create);
    field.wait_for(&made, &["handed_off"]);
    let says = |field: &Field, state, reason: &str| {
        let event = service.happens(None, state, reason);
        assert_eq!(report(&field.server, &address, SECRET, &[event]).status, 200);
    };
    says(&field, NodeState::Ready, "");
    field.wait_for(&made, &["live"]);

    let marker = field.server.scratch().join("stopped");
    for (number, point) in NOTICE_POINTS.into_iter().enumerate() {
        let before = ids(&hook, "degraded").len();
        field.server.stop();
        drop(std::fs::remove_file(&marker));
        let armed = field.server.options_mut();
        armed.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
        armed.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
        field.server.restart();
        says(&field, NodeState::Degraded, "1 of 2 replicas");
        wait::holds(&format!("the server comes to {point}"), WITHIN, || marker.exists());
        field.server.kill9();
        field.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        field.server.restart();
        await_told(&hook, "degraded", number + 1);
        let open = field.server.json(&["incident", "list", "shop", "--env", "prod", "--open"]);
        let about = &open[0]["about"];
        assert_eq!(
            (&about["state"], &about["blocker"]),
            (&json!("degraded"), &json!("1 of 2 replicas")),
            "{open:#}"
        );
        says(&field, NodeState::Ready, "");
        await_told(&hook, "recovered", number + 1);
        // What was sent and not noted is sent again under its id, and nothing else is. While one worker is
        // held after the decision, another may be that far with the sending.
        let told = &ids(&hook, "degraded")[before..];
        assert!(told.iter().all(|id| *id == told[0]), "killed at {point}: {told:?}");
        let expected = match point {
            "notice.spread" => 1..=2,
            "notice.sent" => 2..=2,
            _ => 1..=1,
        };
        assert!(expected.contains(&told.len()), "killed at {point}: {told:?}");
    }
    let incidents = field.server.json(&["incident", "list", "shop"]);
    let all: Vec<&Value> = incidents.as_array().into_iter().flatten().collect();
    assert_eq!(all.len(), NOTICE_POINTS.len(), "{incidents:#}");
    assert!(all.iter().all(|one| one["open"] == false && one["ended"]["state"] == "live"), "{incidents:#}");
    assert!(field.server.cli(&["incident", "list", "shop"]).ok().stdout.contains("over (was degraded)"));
    assert_eq!(ids(&hook, "recovered").len(), NOTICE_POINTS.len());
}
