//! A cluster that is cordoned for longer than a receiver has for a revision.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_handoff::Capability;
use slipway_tests::database_file::DatabaseFile;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::service::{SECRET, Service};
use crate::world::{Field, options};

const CORDONED: &str = "the cluster test is cordoned: it is upgraded";

/// The field, whose cluster takes nothing, and whose environments hand off to a service.
fn cordoned() -> (Field, Service) {
    let namespace = Namespace::create();
    let options = options(&namespace).env("SLIPWAY__DEPLOY__ALLOW_HTTP_RECEIVERS", "true");
    let field = Field::on(namespace, options);
    let service = Service::start([Capability::Observe]);
    field.server.set_secret("core-key", SECRET);
    let mut settings = service.settings();
    field.environment("dev", "default", &settings);
    settings["gates"] = json!({"labels": "tested"});
    field.environment("prod", "prod", &settings);
    field.server.cli(&["cluster", "cordon", "test", "--reason", "it is upgraded"]).ok();
    (field, service)
}

/// Deploys to an environment, and waits until the cordon alone keeps it.
fn kept(field: &Field, environment: &str, version: &str) -> Value {
    let create = ["deploy", "create", "shop", "--env", environment, "--bundle", version, "--no-wait"];
    let made = field.server.json(&create);
    wait::until(&format!("the cordon keeps {environment}"), Duration::from_secs(60), || {
        let shown = field.server.json(&["deploy", "show", made["id"].as_str().expect("an id")]);
        let is = (shown["state"].as_str(), shown["reason"].as_str()) == (Some("approved"), Some(CORDONED));
        if is { Ok(()) } else { Err(shown) }
    });
    made
}

/// Carries out a statement while the server is stopped, and lets every job look at once then.
fn while_stopped(field: &mut Field, statement: &'static str, rows: u64) {
    field.server.stop();
    let database = DatabaseFile::open(&field.server.data());
    assert_eq!(database.execute(statement), rows);
    database.execute("update job set run_at = 0 where state = 'ready' and kind = 'deploy'");
    field.server.restart();
}

#[test]
fn what_waited_for_long_passes_its_gates_again_and_has_the_whole_deadline() {
    let (mut field, service) = cordoned();
    let version = field.publish("one\n");
    field.server.cli(&["label", "set", "shop", &version, "tested=yes"]).ok();
    let open = kept(&field, "dev", &version);
    let gated = kept(&field, "prod", &version);
    field.server.cli(&["label", "remove", "shop", &version, "tested"]).ok();
    // Two hours, where a receiver has one.
    let earlier = "update deployment set created_at = created_at - 7200000, frozen_at = frozen_at - 7200000,
        state_json = json_set(state_json, '$.at', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-2 hours'))
        where state = 'approved'";
    while_stopped(&mut field, earlier, 2);
    assert_eq!(states(&field, [&open, &gated]), ["approved", "approved"]);
    assert!(service.submissions().is_empty(), "{:#?}", service.submissions());

    field.server.cli(&["cluster", "uncordon", "test"]).ok();
    field.wait_for(&open, &["handed_off"]);
    let waits = field.wait_for(&gated, &["awaiting"]);
    assert!(waits["reason"].as_str().is_some_and(|why| why.contains("`tested`")), "{waits:#}");
    field.server.cli(&["label", "set", "shop", &version, "tested=yes"]).ok();
    field.wait_for(&gated, &["handed_off"]);
    let submissions = service.submissions();
    assert_eq!(submissions.len(), 2, "{submissions:#?}");
    let left = Utc::now() + TimeDelta::minutes(50);
    assert!(submissions.iter().all(|one| one.deadline > left), "{submissions:#?}");

    // No longer than gates may stay closed.
    field.server.cli(&["cluster", "cordon", "test", "--reason", "it is upgraded"]).ok();
    let third = kept(&field, "dev", &field.publish("two\n"));
    let week = "update deployment set created_at = created_at - 169 * 3600000 where state = 'approved'";
    while_stopped(&mut field, week, 1);
    let expired = field.wait_for(&third, &["expired"]);
    let why = format!("{CORDONED}; expireAfterHours = 168 passed");
    assert_eq!(expired["reason"], why, "{expired:#}");
    assert_eq!(states(&field, [&open, &gated]), ["handed_off", "handed_off"]);
}

fn states(field: &Field, deployments: [&Value; 2]) -> [String; 2] {
    deployments.map(|made| {
        let shown = field.server.json(&["deploy", "show", made["id"].as_str().expect("an id")]);
        shown["state"].as_str().expect("a state").to_owned()
    })
}
