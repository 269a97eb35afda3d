//! The demonstration that deploys.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use slipway_tests::namespace::Namespace;
use slipway_tests::server::{Finished, binary, run_within};
use slipway_tests::wait;
use tempfile::TempDir;

use crate::cluster::{self, assert_none};
use crate::inventory::INVENTORY;

/// How long all of it may take, on a machine that is busy with others.
const ENDS_WITHIN: Duration = Duration::from_secs(400);

/// `slipway demo --once --deploy ARGS`, as somebody calls it who has nothing but a kubeconfig.
fn demo(home: &TempDir, args: &[&str]) -> Finished {
    let mut command = Command::new(binary());
    command.args(["demo", "--once", "--deploy", "--data"]).arg(home.path().join("data")).args(args);
    let path = std::env::var_os("PATH").expect("a PATH");
    command.env_clear().env("PATH", path).env("HOME", home.path());
    run_within(command, ENDS_WITHIN)
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn kubeconfig(space: &Namespace) -> String {
    space.cluster.kubeconfig.display().to_string()
}

/// What it says it has done, in its order.
fn assert_shown(finished: &Finished) {
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let text = finished.text();
    let starts = [
        "bundle shop 0.1.0-main.1 ",
        "bundle shop 0.1.0-main.2  3 packages: 2 new (config, web), 1 reused",
        "deployed shop 0.1.0-main.1: live",
        "deployed shop 0.1.0-main.2: live",
        "rolled back to shop 0.1.0-main.1: live",
        "removed shop: deleted",
    ];
    assert_eq!(text.lines().count(), starts.len(), "{text}");
    for (line, start) in text.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}: expected {start}");
    }
}

#[test]
fn the_demonstration_deploys_where_nodes_cannot_pull_from_it() {
    let (space, home) = (Namespace::create(), home());
    let finished = demo(&home, &["--kubeconfig", &kubeconfig(&space), "--namespace", &space.name]);
    assert_shown(&finished);
    for told in ["which is loopback", "Hello.", "Good morning.", "web        ready"] {
        assert!(finished.stderr.contains(told), "it does not say `{told}`: {}", finished.stderr);
    }
    assert!(cluster::all(&space, INVENTORY).is_empty(), "nothing is left");
    assert_none(&space, "slipway.dev/application=shop");
}

#[test]
fn the_demonstration_has_a_pod_where_nodes_reach_it() {
    let (space, home) = (Namespace::create(), home());
    // Free on every address: on loopback another's would pass for the server's own.
    let port = TcpListener::bind("0.0.0.0:0").and_then(|probe| probe.local_addr()).expect("a port").port();
    let listen = format!("{}:{port}", space.cluster.host_address);
    let (file, name) = (kubeconfig(&space), space.name.clone());
    let showing = std::thread::spawn(move || {
        demo(&home, &["--kubeconfig", &file, "--namespace", &name, "--listen", &listen])
    });
    // It is seen from outside while it is shown.
    wait::holds("web is there, or it is over", ENDS_WITHIN, || {
        showing.is_finished() || cluster::object(&space, "deployment", "web").is_some()
    });
    let wanted = cluster::object(&space, "deployment", "web").map(|web| web["spec"]["replicas"].clone());
    let finished = showing.join().expect("it ends");
    assert_shown(&finished);
    assert_eq!(wanted, Some(1.into()), "{}", finished.stderr);
    assert_none(&space, "slipway.dev/application=shop");
}

#[test]
fn the_demonstration_starts_nothing_without_a_cluster() {
    let home = home();
    let absent = home.path().join("absent").display().to_string();
    let finished = demo(&home, &["--kubeconfig", &absent]);
    assert_ne!(finished.code, 0);
    assert!(finished.stderr.contains(&absent) && finished.stderr.contains("--kubeconfig FILE"));
    let dead = home.path().join("dead");
    let text = "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n\
                clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n";
    std::fs::write(&dead, text).expect("a file");
    let finished = demo(&home, &["--kubeconfig", &dead.display().to_string()]);
    assert_ne!(finished.code, 0);
    assert!(finished.stderr.contains("leads to none"), "{}", finished.stderr);
    assert!(!home.path().join("data").exists(), "nothing was started");
}

#[test]
fn the_demonstration_names_what_stands_against_it() {
    let (space, home) = (Namespace::create(), home());
    space.kubectl(&["create", "configmap", "shop-settings", "--from-literal=greeting=theirs"]);
    let finished = demo(&home, &["--kubeconfig", &kubeconfig(&space), "--namespace", &space.name]);
    assert_ne!(finished.code, 0, "{}", finished.text());
    assert!(finished.stderr.contains("shop@demo#1 is rejected"), "{}", finished.stderr);
    assert!(finished.stderr.contains("shop-settings"), "{}", finished.stderr);
    assert_eq!(cluster::field(&space, "configmap", "shop-settings", "/data/greeting"), "theirs");
}
