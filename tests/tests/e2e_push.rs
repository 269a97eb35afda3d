//! From `git push` to a bundle, on the embedded default.

use std::fs;
use std::process::Command;
use std::time::Duration;

use slipway_tests::server::{SHOP_YAML, Server, binary, packages, run_within, shop};

#[test]
fn one_push_sqlite_gives_a_bundle_and_a_second_reuses_the_rest() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let first = server.publish(&app, &repository, "main", "Add the shop");
    assert_eq!(first["version"], "0.1.0-main.1");
    assert_eq!(first["branch"], "main");
    assert!(packages(&first).iter().all(|package| package["reused"] == false), "{first:#}");

    repository.write("web/index.html", "<p>Good morning.</p>\n");
    let second = server.publish(&app, &repository, "main", "Greet");
    assert_eq!(second["version"], "0.1.0-main.2");
    for (old, new) in packages(&first).iter().zip(packages(&second)) {
        assert_eq!(old["component"], new["component"]);
        let changed = new["component"] == "web";
        assert_eq!(new["reused"], !changed, "{new:#}");
        assert_eq!(new["digest"] != old["digest"], changed, "{new:#}");
        assert_eq!(new["images"] != old["images"], changed, "{new:#}");
        assert_eq!(new["version"] == second["version"], changed, "an unchanged component keeps its version");
    }
    let versions: Vec<_> = server.bundles("shop").iter().map(|bundle| bundle["version"].clone()).collect();
    assert_eq!(versions, ["0.1.0-main.2", "0.1.0-main.1"]);
}

#[test]
fn one_push_sqlite_wait_tells_the_outcome_by_its_exit_code() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let wait = |commit: &str, timeout: &str| {
        server.cli(&["run", "wait", "--app", "shop", "--commit", commit, "--timeout", timeout]).code
    };
    let good = repository.commit("Add the shop");
    server.push(&app, &repository, &["main"]);
    assert_eq!(wait(&good, "100s"), 0, "done");
    assert_eq!(wait(&good[..12], "100s"), 0, "the beginning of a commit");

    repository.write("slipway.yaml", SHOP_YAML.replace("web}", "absent}"));
    let bad = repository.commit("Break it");
    server.push(&app, &repository, &["main"]);
    assert_eq!(wait(&bad, "100s"), 1, "failed");

    let skipped = repository.commit("Look away [skip ci]");
    server.push(&app, &repository, &["main"]);
    assert_eq!(wait(&skipped, "100s"), 0, "skipped");

    assert_eq!(server.cli(&["run", "wait", "shop#2"]).code, 1, "by number: failed");

    for wrong in [&["--app", "shop"][..], &["shop#1", "--app", "shop"], &["shop"], &[]] {
        assert_eq!(server.cli(&[&["run", "wait"], wrong].concat()).code, 2, "usage: {wrong:?}");
    }
    assert_eq!(wait(&"0".repeat(40), "1s"), 3, "no such run");
}

#[test]
fn demo_once_names_two_bundles() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.args(["demo", "--once", "--data"]).arg(directory.path().join("data"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory.path());
    let finished = run_within(command, Duration::from_secs(100));
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let text = finished.text();
    let lines: Vec<_> = text.lines().rev().take(2).collect();
    assert!(lines[1].starts_with("bundle shop 0.1.0-main.1 "), "{text}");
    assert!(lines[0].starts_with("bundle shop 0.1.0-main.2  4 packages: 1 new (web), 3 reused"), "{text}");
    // Nothing goes on running that could be tried.
    let told = &finished.stderr;
    assert!(told.contains("two pushes of shop became two bundles") && !told.contains("Try next"), "{told}");
    // Nothing was written into the home besides what was named.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
