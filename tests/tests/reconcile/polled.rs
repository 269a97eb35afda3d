//! Clusters that are polled: because somebody chose that, or because the user may not watch.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::cluster::{self, make};
use crate::ground::{Ground, settings};
use crate::line::line_to;

/// How long the cluster may take to give a service account its token.
const TOKEN_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take until a process has learnt how a cluster is sensed.
const LEARNT_WITHIN: Duration = Duration::from_secs(90);
/// How soon a change is to be told: by a poll, or in the half minute over which those are looked at that a process
/// has just learnt of. What is sensed is looked at by itself after half an hour.
const SEEN_WITHIN: Duration = Duration::from_secs(90);
/// How soon it is to be told that a cluster is away, and that it is back: three polls, and the pauses between tries.
const AWAY_WITHIN: Duration = Duration::from_secs(150);

/// A user who may do everything in the cluster but watch: a kubeconfig in `directory`; gives its path.
fn who_may_not_watch(space: &Namespace, directory: &Path) -> String {
    let verbs =
        ["get", "list", "create", "update", "patch", "delete", "deletecollection", "bind", "escalate"];
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]);
    user(space, directory, &rights(space, "ClusterRole", &rules))
}

/// A user who may do everything in the namespace, and beyond it only what a look at a cluster needs.
fn who_may_act_here_alone(space: &Namespace, directory: &Path) -> String {
    let there = json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
    ]);
    let here = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let mut all = rights(space, "ClusterRole", &there);
    all.extend(rights(space, "Role", &here));
    user(space, directory, &all)
}

/// A role, with what gives it to the user.
fn rights(space: &Namespace, kind: &str, rules: &Value) -> Vec<Value> {
    let (api_version, name) = ("rbac.authorization.k8s.io/v1", space.name.as_str());
    let role = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "rules": rules});
    let binding = json!({
        "apiVersion": api_version, "kind": format!("{kind}Binding"), "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "slipway", "namespace": name}],
    });
    vec![role, binding]
}

/// A user with these rights: a kubeconfig in `directory`; gives its path.
fn user(space: &Namespace, directory: &Path, rights: &[Value]) -> String {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "slipway"}});
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "slipway-user", "annotations": {"kubernetes.io/service-account.name": "slipway"}},
    });
    for object in [&account, &token].into_iter().chain(rights) {
        make(space, object);
    }
    let token = wait::until("the service account has a token", TOKEN_WITHIN, || {
        let token = cluster::field(space, "secret", "slipway-user", "/data/token");
        token.as_str().map(ToOwned::to_owned).ok_or("none yet")
    });
    let token = String::from_utf8(STANDARD.decode(token).expect("base64")).expect("text");
    let config = space.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output", "json"]);
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["users"][0]["user"] = json!({"token": token});
    let file = directory.join("user.json");
    fs::write(&file, config.to_string()).expect("a file");
    file.display().to_string()
}

/// What lies in no namespace, and so does not go with it.
struct Rights<'a>(&'a Namespace);

impl Drop for Rights<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            drop(self.0.try_kubectl(&["delete", kind, &self.0.name, "--ignore-not-found"]));
        }
    }
}

fn await_log(ground: &Ground, said: &str) {
    wait::until(said, LEARNT_WITHIN, || {
        let log = ground.server.log();
        if log.contains(said) { Ok(()) } else { Err(log) }
    });
}

/// A deployment of a ConfigMap, which is live.
fn live(ground: &Ground) -> Value {
    ground.declare(&[settings()]);
    ground.deployed("prod", &ground.publish("one\n"), None)
}

fn pay_in(ground: &Ground, currency: &str) {
    let patch = json!({"data": {"currency": currency}}).to_string();
    ground.namespace.kubectl(&["patch", "configmap", "shop-settings", "--type=merge", "--patch", &patch]);
}

/// What somebody changes is told soon, and so is that it is undone.
fn assert_seen(ground: &Ground, live: &Value) {
    pay_in(ground, "USD");
    ground.wait(live, &["degraded"], SEEN_WITHIN);
    pay_in(ground, "EUR");
    ground.wait(live, &["live"], SEEN_WITHIN);
}

#[test]
fn a_user_without_the_right_to_watch_sees_what_changes() {
    let space = Namespace::create();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let kubeconfig = who_may_not_watch(&space, directory.path());
    let options = space.options();
    let ground = Ground::by_kubeconfig(space, options, &kubeconfig);
    let _rights = Rights(&ground.namespace);
    let live = live(&ground);
    await_log(&ground, "is polled, since it may not be watched");
    assert_seen(&ground, &live);
    let log = ground.server.log();
    assert!(!log.contains("cannot be sensed"), "what may be listed is sensed: {log}");
}

#[test]
fn a_user_of_one_namespace_sees_what_changes_by_watches_there() {
    let space = Namespace::create();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let kubeconfig = who_may_act_here_alone(&space, directory.path());
    let options = space.options();
    let ground = Ground::by_kubeconfig(space, options, &kubeconfig);
    let _rights = Rights(&ground.namespace);
    let live = live(&ground);
    await_log(&ground, "is sensed namespace by namespace");
    assert_seen(&ground, &live);
    let log = ground.server.log();
    assert!(!log.contains("cannot be sensed"), "what may be watched in its namespace is sensed: {log}");
    let checked = ground.server.json(&["cluster", "check", "test"]);
    let findings = checked["findings"].as_array().into_iter().flatten();
    let changes: Vec<&Value> = findings.filter(|finding| finding["check"] == "changes").collect();
    let told = format!("watched in the namespace {}", ground.namespace.name);
    assert!(changes[0]["detail"].as_str().is_some_and(|detail| detail.ends_with(&told)), "{checked:#}");
}

#[test]
fn a_polled_cluster_tells_what_changes_and_that_it_is_away_and_back() {
    let space = Namespace::create();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (line, kubeconfig) = line_to(&space, directory.path());
    let options = space.options();
    let ground = Ground::by_kubeconfig(space, options, &kubeconfig);
    ground.server.cli(&["cluster", "add", "test", "--sensing", "pull"]).ok();
    let shown = ground.server.json(&["cluster", "show", "test"]);
    assert_eq!(shown["sensing"], "pull");
    await_log(&ground, "is polled, as its registration says");
    let live = live(&ground);
    assert_seen(&ground, &live);
    line.cut();
    ground.wait(&live, &["unreachable"], AWAY_WITHIN);
    line.mend();
    ground.wait(&live, &["live"], AWAY_WITHIN);
    assert_seen(&ground, &live);
}
