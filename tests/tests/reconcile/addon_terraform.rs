//! The add-on `terraform` on a real cluster, with a command that keeps its state where Terraform does.

use std::fs;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::addon_runs::KEPT_WITHIN;
use crate::cluster::{self, assert_none};
use crate::ground::{Ground, of_web};
use crate::ordered::PASSWORD;

/// Where the state is.
const STATE: &str = "tfstate-default-network-state";

/// The ServiceAccount of the guide, which may change ConfigMaps too, as the module has one.
fn account(ground: &Ground) {
    let space = &ground.namespace;
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch", "delete"]},
    ]);
    let rbac = "rbac.authorization.k8s.io";
    let name = json!({"name": "terraform"});
    cluster::make(space, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name}));
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": name, "rules": rules});
    cluster::make(space, &role);
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"),
        "kind": "RoleBinding",
        "metadata": name,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "terraform"},
        "subjects": [{"kind": "ServiceAccount", "name": "terraform"}],
    });
    cluster::make(space, &binding);
}

/// A module that makes a ConfigMap with a word, and a Secret with what is not to be seen.
fn module() -> String {
    json!({
        "variable": {"word": {}, "token": {"sensitive": true}, "outputs_secret": {}},
        "resource": {
            "kubernetes_config_map_v1": {
                "board": {"metadata": {"name": "board"}, "data": {"word": "${var.word}"}},
            },
            "kubernetes_secret_v1": {
                "outputs": {"metadata": {"name": "${var.outputs_secret}"}, "data": {"password": "${var.token}"}},
            },
        },
        "output": {
            "word": {"value": "the word is ${var.word}"},
            "token": {"value": "${var.token}", "sensitive": true},
        },
    })
    .to_string()
}

/// A file of properties: the module for a word, with these outputs.
fn properties(ground: &Ground, word: &str, outputs: &[&str]) -> String {
    let properties = json!({
        "image": ground.namespace.cluster.terraform_image,
        "files": {"main.tf.json": module()},
        "serviceAccount": "terraform",
        "variables": {"word": word, "token": "secret://builtin/network-token"},
        "outputs": outputs,
        "secretOutputs": ["password"],
    });
    ground.file("network.json", &properties)
}

/// What applies the module.
fn applies(file: &str) -> [&str; 9] {
    ["addon", "apply", "network", "--definition", "terraform", "--env", "prod", "--properties", file]
}

/// Applies it for a word.
fn apply(ground: &Ground, word: &str) {
    let ready = ground.server.json(&applies(&properties(ground, word, &["word"])));
    assert_eq!(ready["outputs"]["word"], format!("the word is {word}"), "{ready:#}");
}

/// A sensitive output is not given away, and the run says what to do instead.
fn assert_keeps_what_is_sensitive(ground: &Ground) {
    let refused = ground.server.cli(&applies(&properties(ground, "hello", &["word", "token"])));
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let kept = wait::until("what was found is kept", KEPT_WITHIN, || {
        let shown = ground.server.json(&["addon", "show", "network"]);
        if shown["failure"].is_object() { Ok(shown) } else { Err(shown) }
    });
    let log = kept["failure"]["log"].as_str().unwrap_or_default();
    assert!(log.contains("the output token is not there, or is sensitive"), "{kept:#}");
    assert!(!kept.to_string().contains(PASSWORD), "{kept:#}");
}

/// The UID of the module's ConfigMap, and what it says.
fn board(ground: &Ground) -> (Value, Value) {
    let board = cluster::object(&ground.namespace, "configmap", "board").expect("the module makes it");
    (board["metadata"]["uid"].clone(), board["data"]["word"].clone())
}

#[test]
fn a_module_is_applied_changed_and_destroyed() {
    let ground = Ground::prepare();
    let (server, space) = (&ground.server, &ground.namespace);
    account(&ground);
    let file = server.scratch().join("value");
    fs::write(&file, PASSWORD).expect("a file");
    server.cli(&["secret", "set", "network-token", "--from-file", &file.display().to_string()]).ok();

    assert_keeps_what_is_sensitive(&ground);
    apply(&ground, "hello");
    let (uid, word) = board(&ground);
    assert_eq!(word, "hello");
    apply(&ground, "goodbye");
    assert_eq!(board(&ground), (uid, json!("goodbye")), "it is changed, not made anew");

    server.json(&["addon", "bind", "network", "shop", "--env", "prod", "--as", "NETWORK"]);
    let named = of_web(&json!({"properties": {"env": {"TOKEN": "addon://network/password"}}}));
    ground.deployed("prod", &ground.publish("one\n"), Some(&named));
    cluster::assert_variable(space, "web", "TOKEN", PASSWORD);
    cluster::assert_variable(space, "web", "NETWORK_WORD", "the word is goodbye");

    server.json(&["addon", "unbind", "network", "shop", "--env", "prod"]);
    server.cli(&["addon", "protect", "network", "--off"]).ok();
    server.cli(&["addon", "release", "network", "--yes"]).ok();
    for (kind, name) in [("configmap", "board"), ("secret", "network-outputs")] {
        assert!(cluster::object(space, kind, name).is_none(), "{kind} {name} is destroyed");
    }
    assert!(cluster::object(space, "secret", STATE).is_some(), "the state is not Slipway's to remove");
    assert_none(space, "slipway.dev/team=addons");
    assert_eq!(server.json(&["addon", "list"]), json!([]));
}
