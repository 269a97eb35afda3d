//! Add-ons that run a container: when they are applied or changed, and before they are released.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{self, assert_none};
use crate::ground::Ground;
use crate::ordered::PASSWORD;

/// How long it may take until what was found of a failure is kept.
pub(crate) const KEPT_WITHIN: Duration = Duration::from_secs(60);
/// What of the instance is in the cluster.
const OF_GREETER: &str = "slipway.dev/team=addons,slipway.dev/application=greeter";
/// What of the other one is.
const OF_TELLER: &str = "slipway.dev/team=addons,slipway.dev/application=teller";

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

/// What applies an instance, with its properties in a file.
fn applies<'a>(name: &'a str, file: &'a str) -> [&'a str; 9] {
    ["addon", "apply", name, "--definition", "container", "--env", "prod", "--properties", file]
}

/// Applies it and gives what the server then says.
fn apply(ground: &Ground, properties: &Value) -> Value {
    let file = ground.file("greeter.json", properties);
    let ready = ground.server.json(&applies("greeter", &file));
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

/// An instance whose container writes what a Secret of the namespace says, `seconds` after it began.
fn teller(image: &str, seconds: u32) -> Value {
    let says = format!("/bin/busybox sleep {seconds}; printf '%s' \"$WORD\" > \"$SLIPWAY_OUTPUTS\"");
    json!({
        "image": image,
        "command": ["/bin/busybox", "sh", "-c", says],
        "release": {"command": ["/bin/busybox", "true"]},
        "env": {"WORD": {"secretKeyRef": {"name": "word", "key": "word"}}},
        "outputs": ["greeting"],
        "pullSecrets": ["slipway-pull-default-shop"],
    })
}

/// What gave too little runs again with the same inputs, when somebody applies it again.
fn assert_runs_until_it_gives(ground: &Ground, image: &str) {
    let word = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "word"},
        "stringData": {"word": "no object"},
    });
    cluster::make(&ground.namespace, &word);
    let file = ground.file("teller.json", &teller(image, 0));
    let lacking = ground.server.cli(&applies("teller", &file));
    assert_eq!(lacking.code, 1, "{}", lacking.stderr);
    let shown = ground.server.json(&["addon", "show", "teller"]);
    assert!(shown["reason"].to_string().contains("it runs anew"), "{shown:#}");
    let better = json!({"stringData": {"word": "{\"greeting\": \"hello\"}"}}).to_string();
    ground.namespace.kubectl(&["patch", "secret", "word", "--type", "merge", "--patch", &better]);
    let ready = ground.server.json(&applies("teller", &file));
    assert_eq!(ready["outputs"], json!({"greeting": "hello"}), "{ready:#}");
}

/// A release that comes while it is applied takes back what that made, not what was there before.
fn assert_is_not_overtaken(ground: &Ground, image: &str) {
    let server = &ground.server;
    let file = ground.file("teller.json", &teller(image, 15));
    server.cli(&["addon", "protect", "teller", "--off"]).ok();
    server.cli(&[&applies("teller", &file)[..], &["--no-wait"]].concat()).ok();
    wait::until("its Job is there", KEPT_WITHIN, || {
        let found = cluster::all(&ground.namespace, OF_TELLER);
        let is =
            found.iter().any(|object| object["kind"] == "Job" && object.to_string().contains("sleep 15"));
        if is { Ok(()) } else { Err(json!(found)) }
    });
    server.cli(&["addon", "release", "teller", "--yes", "--no-wait"]).ok();
    wait::until("the release waits", KEPT_WITHIN, || {
        let shown = server.json(&["addon", "show", "teller"]);
        let waits = shown["reason"].to_string().contains("what was applied before has not ended");
        if waits { Ok(()) } else { Err(shown) }
    });
    assert_none(&ground.namespace, OF_TELLER);
    wait::until("it is released", KEPT_WITHIN, || {
        let left = server.json(&["addon", "list"]);
        if left == json!([]) { Ok(()) } else { Err(left) }
    });
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

    assert_runs_until_it_gives(&ground, &image);
    assert_is_not_overtaken(&ground, &image);

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
