//! What one component gives another, and in which order: an address, and a secret that is nowhere else.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset, TimeDelta};
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster::{self, assert_variable};
use crate::ground::{Ground, document, served, settings};
use crate::rollback::ROLLBACK;

/// In the clear in no file, row, answer or object but Secrets.
pub(crate) const PASSWORD: &str = "correct-horse-battery-staple";
/// What it is rotated to.
const NEXT_PASSWORD: &str = "another-horse-in-the-stable";
/// How long the database takes until it is ready.
const DELAY_S: i64 = 6;

fn ordered() -> Value {
    document(&json!({"components": [
        {
            "name": "db",
            "properties": {
                "probes": {"ready": {"tcp": 8080, "initialDelaySeconds": DELAY_S}},
                "env": {"DB_PASSWORD": "secret://builtin/db"},
            },
            "outputs": [{"name": "dbHost", "valueFrom": "outputs.service.spec.clusterIP"}],
        },
        {
            "name": "web",
            "properties": {"env": {"DB_PASSWORD": "secret://builtin/db"}},
            "inputs": [{"from": "dbHost", "parameterKey": "properties.env.DB_HOST"}],
        },
    ]}))
}

fn created(space: &Namespace, kind: &str, name: &str) -> DateTime<FixedOffset> {
    let at = cluster::field(space, kind, name, "/metadata/creationTimestamp");
    DateTime::parse_from_rfc3339(at.as_str().expect("a time")).expect("a time")
}

#[test]
fn a_database_comes_first_and_its_output_and_password_arrive() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    ground.declare(&[served("db"), served("web"), settings()]);
    let version = ground.publish("one\n");
    ground.set_secret("db", PASSWORD);

    let live = ground.deployed("prod", &version, Some(&ordered()));
    let waited = created(space, "deployment", "web") - created(space, "deployment", "db");
    // Times of objects are whole seconds.
    assert!(waited >= TimeDelta::seconds(DELAY_S - 1), "web came {waited} after db");
    let address = cluster::field(space, "service", "db", "/spec/clusterIP");
    assert_variable(space, "web", "DB_HOST", address.as_str().expect("an address"));
    for component in ["db", "web"] {
        assert_variable(space, component, "DB_PASSWORD", PASSWORD);
        let kept = cluster::field(space, "secret", &format!("{component}-env"), "/data/DB_PASSWORD");
        assert_eq!(kept, STANDARD.encode(PASSWORD));
    }
    assert_in_secrets_alone(space);
    assert_told_nowhere(&ground, &live);
    is_rolled_back_with_the_secrets_of_now(&ground, &version);
}

/// What ran before comes back, and what was rotated meanwhile stays.
fn is_rolled_back_with_the_secrets_of_now(ground: &Ground, version: &str) {
    let space = &ground.namespace;
    let mut changed = ordered();
    changed["spec"]["components"][1]["properties"]["env"]["GREETING"] = "hello".into();
    ground.deployed("prod", version, Some(&changed));
    assert_variable(space, "web", "GREETING", "hello");
    ground.set_secret("db", NEXT_PASSWORD);
    let back = ground.live(&ground.server.json(&ROLLBACK));
    assert_eq!(back["cause"], "rollback", "{back:#}");
    let kept = cluster::field(space, "secret", "web-env", "/data/DB_PASSWORD");
    assert_eq!(kept, STANDARD.encode(NEXT_PASSWORD));
    assert_variable(space, "web", "GREETING", "");
    assert_variable(space, "web", "DB_PASSWORD", NEXT_PASSWORD);
}

/// The value, and what all of its base64 forms share.
fn forms() -> Vec<String> {
    let encoded = |before: &str| STANDARD.encode(format!("{before}{PASSWORD}"))[4..32].to_owned();
    vec![PASSWORD.to_owned(), encoded(""), encoded("1"), encoded("12")]
}

fn leaks(text: &str) -> bool {
    forms().iter().any(|form| text.contains(form))
}

/// Files below a directory that hold the value.
pub(crate) fn holding(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path).is_ok_and(|bytes| leaks(&String::from_utf8_lossy(&bytes))) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Nothing in the namespace but the data of Secrets holds the value.
fn assert_in_secrets_alone(space: &Namespace) {
    let kinds = "deployments.apps,replicasets.apps,pods,services,configmaps,events";
    assert!(!leaks(&space.kubectl(&["get", kinds, "--output", "json"])));
    for name in ["db-env", "web-env"] {
        let mut secret = cluster::object(space, "secret", name).expect("a Secret");
        assert!(leaks(&secret.to_string()), "this test does not find what is there");
        secret["data"].take();
        assert!(!leaks(&secret.to_string()), "{secret:#}");
    }
}

/// Nothing of the server holds or tells the value: neither what it keeps nor what it says.
fn assert_told_nowhere(ground: &Ground, live: &Value) {
    assert!(!leaks(&ground.show(live).to_string()) && !leaks(&ground.server.log()));
    for args in [
        &["audit", "list", "--limit", "100", "-o", "json"][..],
        &["deploy", "plan", "shop", "--env", "prod", "--branch", "main", "--objects", "-o", "json"],
        &["secret", "list"],
    ] {
        let said = ground.server.cli(args);
        assert!(!leaks(&said.stdout) && !leaks(&said.stderr), "{args:?}");
    }
    // The database and every stored artifact lie there, the revision's among them.
    assert_eq!(holding(&ground.server.data()), Vec::<String>::new());
    let arguments = fs::read(format!("/proc/{}/cmdline", ground.server.pid())).expect("arguments");
    assert!(!leaks(&String::from_utf8_lossy(&arguments)));
}
