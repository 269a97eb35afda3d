//! What a secret is rotated to reaches the pods that run.

use serde_json::{Value, json};

use crate::cluster::{self, assert_variable};
use crate::ground::{Ground, of_web};

const FIRST: &str = "the-first-of-its-kind";
const NEXT: &str = "the-next-of-its-kind";
const RESTART: [&str; 8] =
    ["deploy", "restart", "shop", "--env", "prod", "--reason", "it may be stuck", "--no-wait"];

fn template(ground: &Ground) -> Value {
    cluster::field(&ground.namespace, "deployment", "web", "/spec/template")
}

fn made_for(ground: &Ground) -> Value {
    template(ground)["metadata"]["annotations"]["slipway.dev/secrets"].clone()
}

/// Rotates the secret with everything that runs with it; gives the deployment once it is live.
fn rotate(ground: &Ground, value: &str) -> Value {
    let file = ground.server.scratch().join("next");
    std::fs::write(&file, value).expect("a file");
    let file = file.display().to_string();
    let args = ["secret", "rotate", "db", "--app", "shop", "--from-file", &file, "--restart"];
    ground.server.cli(&args).ok();
    ground.live(&ground.newest("prod"))
}

#[test]
fn pods_run_with_what_a_secret_was_rotated_to() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let version = ground.publish("one\n");
    ground.set_secret("db", FIRST);
    let document = of_web(&json!({"properties": {"env": {"DB_PASSWORD": "secret://builtin/db"}}}));
    ground.deployed("prod", &version, Some(&document));
    assert_variable(space, "web", "DB_PASSWORD", FIRST);
    let generation = || cluster::field(space, "deployment", "web", "/metadata/generation");
    assert_eq!((made_for(&ground), generation()), (Value::Null, json!(1)), "one roll-out is enough");

    // Nothing changed: nothing is made anew.
    let again = ground.live(&ground.server.json(&RESTART));
    assert_eq!((&again["generation"], generation()), (&json!(2), json!(1)), "{again:#}");

    let rotated = rotate(&ground, NEXT);
    assert_eq!((&rotated["generation"], &rotated["cause"]), (&json!(3), &json!("restart")), "{rotated:#}");
    assert_variable(space, "web", "DB_PASSWORD", NEXT);
    let (made, changed) = (made_for(&ground), generation());
    assert!(made.as_str().is_some_and(|digest| digest.len() == 64), "{made}");
    assert!(!template(&ground).to_string().contains(NEXT));
    let first_pods = cluster::pods(space, "web");

    // It is neither taken for somebody else's change, nor taken away, nor made once more.
    let again = ground.live(&ground.server.json(&RESTART));
    assert_eq!((again["generation"].clone(), made_for(&ground), generation()), (json!(4), made, changed));
    let uids = |pods: &[Value]| pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(uids(&cluster::pods(space, "web")), uids(&first_pods));

    // What ran before comes back with the secrets of now.
    let changed = of_web(&json!({"properties": {
        "env": {"DB_PASSWORD": "secret://builtin/db", "GREETING": "hello"},
    }}));
    ground.deployed("prod", &version, Some(&changed));
    let before = made_for(&ground);
    ground.set_secret("db", FIRST);
    ground.live(&ground.server.json(&crate::rollback::ROLLBACK));
    // Pods of another template would run with it anyhow.
    assert_ne!(made_for(&ground), before);
    assert_variable(space, "web", "GREETING", "");
    assert_variable(space, "web", "DB_PASSWORD", FIRST);
}
