//! Add-ons that run a container: when they are applied or changed, and before they are released.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{self, assert_none};
use crate::ground::Ground;
use crate::ordered::PASSWORD;

/// How long it may take until what was found of a failure is kept.
const KEPT_WITHIN: Duration = Duration::from_secs(60);
/// What of the instance is in the cluster.
const OF_GREETER: &str = "slipway.dev/team=addons,slipway.dev/application=greeter";

/// Properties of a greeter that says `word`, and whose release is this script.
fn greeter(image: &str, word: &str, release: &str) -> Value {
    // The image has one program, and this shell what is built into it.
    let says = "read word < word; printf '{\"greeting\": \"%s\"}' \"$word\" > \"$SLIPWAY_OUTPUTS\"";
    let script = |script: &str| json!(["/bin/busybox", "sh", "-c", script]);
    json!({
        "image": image,
        "command": script(says),
        "release": {"command": script(release)},
        "files": {"word": format!("{word}\n")},
        "env": {"TOKEN": "secret://builtin/greeter-token"},
        "outputs": ["greeting"],
        "pullSecrets": ["slipway-pull-default-shop"],
        "resources": {"limits": {"memory": "64Mi"}},
    })
}

/// Applies it and gives what the server then says.
fn apply(ground: &Ground, properties: &Value) -> Value {
    let file = ground.file("greeter.json", properties);
    let ready = ground.server.json(&[
        "addon",
        "apply",
        "greeter",
        "--definition",
        "container",
        "--env",
        "prod",
        "--properties",
        &file,
    ]);
    assert_eq!(ready["state"], "ready", "{ready:#}");
    ready
}

/// Name and UID of the one Job that there is.
fn job(ground: &Ground) -> (Value, Value) {
    let found = cluster::all(&ground.namespace, OF_GREETER);
    let jobs: Vec<&Value> = found.iter().filter(|object| object["kind"] == "Job").collect();
    let [job] = jobs[..] else {
        panic!("one Job, not {:?}", jobs.iter().map(|job| &job["metadata"]["name"]))
    };
    (job["metadata"]["name"].clone(), job["metadata"]["uid"].clone())
}

#[test]
fn a_container_runs_when_its_inputs_change_and_before_anything_of_it_goes() {
    let ground = Ground::prepare();
    let version = ground.publish("one\n");
    // Which brings the image, and what it is pulled by.
    ground.deployed("prod", &version, None);
    let image = ground.image("prod", &version);
    let server = &ground.server;
    let file = server.scratch().join("value");
    fs::write(&file, PASSWORD).expect("a file");
    server.cli(&["secret", "set", "greeter-token", "--from-file", &file.display().to_string()]).ok();

    let fails = "echo token=$TOKEN; echo refuses; exit 3";
    let ready = apply(&ground, &greeter(&image, "hello", fails));
    assert_eq!(ready["outputs"], json!({"greeting": "hello"}), "{ready:#}");
    let first = job(&ground);
    let again = apply(&ground, &greeter(&image, "hello", fails));
    assert!(again["generation"].as_u64() > ready["generation"].as_u64(), "{again:#}");
    assert_eq!(again["outputs"], json!({"greeting": "hello"}), "{again:#}");
    assert_eq!(job(&ground), first, "nothing changed, so nothing runs");
    let other = apply(&ground, &greeter(&image, "goodbye", fails));
    assert_eq!(other["outputs"], json!({"greeting": "goodbye"}), "{other:#}");
    let second = job(&ground);
    assert_ne!(second, first);

    server.cli(&["addon", "protect", "greeter", "--off"]).ok();
    let held = server.cli(&["addon", "release", "greeter", "--yes"]);
    assert_eq!(held.code, 1, "{}", held.stderr);
    let kept = wait::until("what was found is kept", KEPT_WITHIN, || {
        let shown = server.json(&["addon", "show", "greeter"]);
        if shown["failure"].is_object() { Ok(shown) } else { Err(shown) }
    });
    assert_eq!(kept["state"], "release_failed", "{kept:#}");
    let log = kept["failure"]["log"].as_str().unwrap_or_default();
    assert!(log.contains("refuses") && log.contains("token=***"), "{kept:#}");
    assert!(!kept.to_string().contains(PASSWORD), "{kept:#}");
    let stays = second.0.as_str().unwrap_or_default();
    assert!(cluster::object(&ground.namespace, "job", stays).is_some(), "nothing is taken away: {kept:#}");

    // It is applied as before, and runs again: who knows how far the release came.
    let whole = apply(&ground, &greeter(&image, "goodbye", "exit 0"));
    assert!(whole["failure"].is_null(), "{whole:#}");
    assert_ne!(job(&ground), second);
    server.cli(&["addon", "release", "greeter", "--yes"]).ok();
    assert_none(&ground.namespace, "slipway.dev/team=addons");
    assert_eq!(server.json(&["addon", "list"]), json!([]));
}
