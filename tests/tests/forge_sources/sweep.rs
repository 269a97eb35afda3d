//! What no webhook told, or told at the wrong time, is found by the sweep.

use std::time::Duration;

use serde_json::Value;
use slipway_tests::forge::{Behaviour, Forge};
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::world::{change, files, neighbourly, settled};

const FOUND_WITHIN: Duration = Duration::from_mins(2);

/// The runs of a commit.
fn runs(server: &Server, commit: &str) -> Vec<Value> {
    let listed = server.json(&["run", "list", "--app", "shop", "--commit", commit]);
    listed.as_array().expect("a list").clone()
}

/// The source `shop` once this holds of it.
fn source_once(server: &Server, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until("the source is as it should be", FOUND_WITHIN, || {
        let source = server.json(&["source", "show", "shop"]);
        if holds(&source) { Ok(source) } else { Err(source) }
    })
}

#[test]
fn a_push_that_no_webhook_told_of_is_found_in_the_interval_and_at_start() {
    let forge = Forge::start();
    let repository = files("shop");
    let mut server = neighbourly();
    let first = change_first(&forge, &repository);
    server.create_app_with("shop", &["--source", &first.1, "--poll", "30s"]);
    let run = server.wait_run_of("shop", &first.0, "main");
    assert_eq!(run["state"], "done", "{run:#}");
    assert_eq!(run["actor"], "sweep", "{run:#}");

    let second = change(&forge, "shop", &repository, "refs/heads/main");
    let run = server.wait_run_of("shop", &second, "main");
    assert_eq!(run["state"], "done", "{run:#}");

    server.stop();
    let third = change(&forge, "shop", &repository, "refs/heads/dev");
    forge.receive("shop", &repository, &format!("{third}:refs/tags/v1.0.0"));
    server.restart();
    for (git_ref, version) in [("refs/heads/dev", "0.1.0-dev.1"), ("refs/tags/v1.0.0", "1.0.0")] {
        let run = server.wait_run_of("shop", &third, git_ref);
        assert_eq!(run["state"], "done", "{run:#}");
        assert!([version, "1.0.1-dev.1"].contains(&run["version"].as_str().unwrap_or_default()), "{run:#}");
    }
    for commit in [&first.0, &second] {
        assert_eq!(runs(&server, commit).len(), 1);
    }
    assert_eq!(runs(&server, &third).len(), 2);
}

fn change_first(forge: &Forge, repository: &slipway_tests::server::GitRepository) -> (String, String) {
    let url = forge.create("shop");
    (change(forge, "shop", repository, "refs/heads/main"), url)
}

#[test]
fn a_webhook_that_came_while_the_forge_was_away_is_made_good_by_the_sweep() {
    let forge = Forge::start();
    let repository = files("shop");
    let (first, url) = change_first(&forge, &repository);
    let mut server = neighbourly();
    let app = server.create_app_with("shop", &["--source", &url, "--poll", "24h"]);
    assert_eq!(server.wait_run("shop", &first)["state"], "done");

    // Told of a commit that the forge does not show yet.
    repository.write("web/index.html", "soon\n");
    let early = repository.commit("Not there yet");
    let delivery = settled(&server, "shop", &server.tell(&app, "refs/heads/main", &early));
    assert_eq!(delivery["state"], "ignored", "{delivery:#}");
    assert!(delivery["reason"].as_str().unwrap_or_default().starts_with("gone"), "{delivery:#}");

    // Told of a commit while the forge is down, for longer than is tried.
    forge.behave(Behaviour::Status(503));
    let delivery = settled(&server, "shop", &server.tell(&app, "refs/heads/late", &early));
    assert_eq!(delivery["state"], "failed", "{delivery:#}");
    assert!(delivery["reason"].as_str().unwrap_or_default().contains("cannot be reached"), "{delivery:#}");

    forge.behave(Behaviour::Serve);
    forge.receive("shop", &repository, &format!("{early}:refs/heads/main"));
    forge.receive("shop", &repository, &format!("{early}:refs/heads/late"));
    server.stop();
    server.restart();
    for branch in ["main", "late"] {
        let run = server.wait_run_of("shop", &early, branch);
        assert_eq!(run["state"], "done", "{run:#}");
    }
    let count = server.json(&["source", "deliveries", "shop"]).as_array().map(Vec::len);
    let swept = server.json(&["source", "show", "shop"])["swept_at"].clone();
    server.stop();
    server.restart();
    source_once(&server, |source| source["swept_at"] != swept);
    let again = server.json(&["source", "deliveries", "shop"]).as_array().map(Vec::len);
    assert_eq!(count, again, "a sweep that finds nothing new delivers nothing");
}

#[test]
fn what_is_gone_from_the_forge_is_ignored_as_gone() {
    let forge = Forge::start();
    let repository = files("shop");
    let (first, url) = change_first(&forge, &repository);
    let server = neighbourly();
    let app = server.create_app_with("shop", &["--source", &url, "--poll", "24h"]);
    assert_eq!(server.wait_run("shop", &first)["state"], "done");

    let pushed_away = change(&forge, "shop", &repository, "refs/heads/main");
    repository.git(&["reset", "--quiet", "--hard", &first]);
    let head = change(&forge, "shop", &repository, "refs/heads/main");
    let delivery = settled(&server, "shop", &server.tell(&app, "refs/heads/main", &pushed_away));
    assert_eq!(delivery["state"], "ignored", "{delivery:#}");
    assert!(delivery["reason"].as_str().unwrap_or_default().starts_with("gone"), "{delivery:#}");
    assert!(runs(&server, &pushed_away).is_empty());
    let delivery = settled(&server, "shop", &server.tell(&app, "refs/heads/main", &head));
    assert_eq!(delivery["state"], "planned", "{delivery:#}");
    assert_eq!(server.wait_run("shop", &head)["state"], "done");

    let on_branch = change(&forge, "shop", &repository, "refs/heads/short-lived");
    forge.receive("shop", &repository, ":refs/heads/short-lived");
    let delivery = settled(&server, "shop", &server.tell(&app, "refs/heads/short-lived", &on_branch));
    assert_eq!(delivery["state"], "ignored", "{delivery:#}");
    assert!(
        delivery["reason"].as_str().unwrap_or_default().contains("does not exist any more"),
        "{delivery:#}"
    );
}

#[test]
fn a_forge_that_cannot_be_reached_shows_at_the_source_and_stops_nothing_else() {
    let forge = Forge::start();
    let repository = files("shop");
    let (first, url) = change_first(&forge, &repository);
    let mut server = neighbourly();
    server.create_app_with("shop", &["--source", &url, "--poll", "24h"]);
    let other = server.create_app("other");
    assert_eq!(server.wait_run("shop", &first)["state"], "done");
    forge.behave(Behaviour::Status(500));
    server.stop();
    server.restart();
    let source = source_once(&server, |source| source["last_error"].is_string());
    assert!(source["last_error"].as_str().unwrap_or_default().contains("cannot be reached"), "{source:#}");
    let bundle = server.publish(&other, &files("other"), "main", "Begin");
    assert_eq!(bundle["version"], "0.1.0-main.1");
    assert_eq!(server.bundles("shop").len(), 1, "what was published stays");
}
