//! Runs that are stopped, tried again, followed and interrupted.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::time::Duration;

use serde_json::Value;
use slipway_tests::server::{GitRepository, Server, ServerOptions, StubRegistry, packages, shop};
use slipway_tests::wait;

/// A server that may pull from the stub, and an application whose only component is built on it.
fn on_base(registry: &StubRegistry) -> (Server, GitRepository) {
    let options = ServerOptions::default()
        .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", registry.address())
        // A held registry is to keep its run waiting.
        .env("SLIPWAY__REGISTRIES__RESOLVE_TIMEOUT_MS", "120000");
    let server = Server::start(options);
    let yaml = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: web, kit: dockerfile, context: web}\n";
    let dockerfile = format!("FROM {}/base:1\nCOPY index.html /srv/\n", registry.address());
    let files =
        [("slipway.yaml", yaml), ("web/Dockerfile", &dockerfile), ("web/index.html", "<p>Hello.</p>\n")];
    (server, GitRepository::with(&files))
}

/// Waits until the run of this number is in one of the states.
fn await_state(server: &Server, run: &str, states: &[&str]) -> Value {
    wait::until(&format!("{run} is {states:?}"), Duration::from_mins(1), || {
        let shown = server.cli(&["run", "show", run, "-o", "json"]);
        let is = shown.code == 0 && states.contains(&shown.json()["state"].as_str().unwrap());
        if is { Ok(shown.json()) } else { Err(shown.stdout + &shown.stderr) }
    })
}

/// Pushes without waiting for the run's progress: the push itself ends only with it.
fn push_aside(
    server: &Server,
    url: &str,
    repository: &GitRepository,
    refspec: &str,
) -> std::thread::JoinHandle<()> {
    let path = repository.path().to_owned();
    let (url, token, refspec) = (url.to_owned(), server.token().to_owned(), refspec.to_owned());
    std::thread::spawn(move || {
        // How it ends is no concern here: the server may be stopped meanwhile.
        drop(GitRepository::push_from(&path, &url, &token, &[&refspec]));
    })
}

#[test]
fn a_running_run_is_cancelled_and_a_retry_makes_the_bundle() {
    let registry = StubRegistry::start("one");
    let (server, repository) = on_base(&registry);
    let app = server.create_app("shop");
    registry.hold();
    let commit = repository.commit("one");
    let push = push_aside(&server, &app.git_url, &repository, "main");
    registry.await_held();
    await_state(&server, "shop#1", &["planning", "building"]);
    server.cli(&["run", "cancel", "shop#1"]).ok();
    let wait = server.cli(&["run", "wait", "--app", "shop", "--commit", &commit, "--timeout", "60s"]);
    assert_eq!(wait.code, 4, "cancelled: {}{}", wait.stdout, wait.stderr);
    let run = server.json(&["run", "show", "shop#1"]);
    assert!(run["reason"].as_str().unwrap_or_default().contains("admin"), "who cancelled it: {run:#}");
    push.join().unwrap();
    assert!(server.bundles("shop").is_empty());

    registry.release();
    server.cli(&["run", "retry", "shop#1"]).ok();
    let retried = await_state(&server, "shop#2", &["done", "failed"]);
    assert_eq!(retried["state"], "done", "{retried:#}");
    assert_eq!(retried["retry_of"], run["id"]);
    assert_eq!(server.bundle_of(&retried)["commit"], commit);
    // What has ended stays as it is, and what is done is not done again.
    let done = server.cli(&["run", "retry", "shop#2"]);
    assert!(done.code != 0 && done.stderr.contains("--fresh"), "{}", done.stderr);
    assert_ne!(server.cli(&["run", "cancel", "shop#1"]).code, 0);
    assert_ne!(server.cli(&["run", "cancel", "shop#2"]).code, 0);
    assert_eq!(server.json(&["run", "show", "shop#1"])["state"], "cancelled");
}

#[test]
fn a_newer_push_supersedes_only_what_is_queued() {
    let registry = StubRegistry::start("one");
    let (server, repository) = on_base(&registry);
    let app = server.create_app("shop");
    registry.hold();
    let mut pushes = Vec::new();
    let mut commits = Vec::new();
    // More than the server plans at once.
    for number in 1..=12 {
        repository.write("web/index.html", format!("{number}\n"));
        commits.push(repository.commit(&number.to_string()));
        pushes.push(push_aside(
            &server,
            &app.git_url,
            &repository,
            &format!("{}:refs/heads/main", commits[commits.len() - 1]),
        ));
        await_state(&server, &format!("shop#{number}"), &["queued", "planning", "building"]);
    }
    registry.release();
    for push in pushes {
        push.join().unwrap();
    }
    let states: Vec<_> =
        commits.iter().map(|commit| server.wait_run("shop", commit)["state"].clone()).collect();
    assert_eq!(states[11], "done", "{states:?}");
    assert_eq!(states[0], "done", "what ran already is not pushed aside: {states:?}");
    assert!(states.iter().all(|state| state == "done" || state == "superseded"), "{states:?}");
    let done = states.iter().filter(|state| *state == "done").count();
    assert_eq!(server.bundles("shop").len(), done);
}

#[test]
fn a_stopped_server_finishes_the_run_after_its_restart() {
    let registry = StubRegistry::start("one");
    let (mut server, repository) = on_base(&registry);
    let app = server.create_app("shop");
    registry.hold();
    let commit = repository.commit("one");
    let push = push_aside(&server, &app.git_url, &repository, "main");
    registry.await_held();
    server.stop();
    push.join().unwrap();
    registry.release();
    server.restart();
    let run = server.wait_run("shop", &commit);
    assert_eq!(server.bundle_of(&run)["version"], "0.1.0-main.1");
    assert_eq!(
        server.json(&["run", "list", "--app", "shop"]).as_array().unwrap().len(),
        1,
        "one run of one commit"
    );
}

#[test]
fn a_killed_server_finishes_the_run_after_its_restart() {
    let registry = StubRegistry::start("one");
    let (mut server, repository) = on_base(&registry);
    let app = server.create_app("shop");
    registry.hold();
    let commit = repository.commit("one");
    let push = push_aside(&server, &app.git_url, &repository, "main");
    registry.await_held();
    server.kill9();
    push.join().unwrap();
    registry.release();
    server.restart();
    let run = server.wait_run("shop", &commit);
    assert_eq!(server.bundle_of(&run)["version"], "0.1.0-main.1");
}

#[test]
fn logs_are_read_from_any_byte() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    let whole = server.cli(&["run", "logs", "shop#1", "web"]).ok().stdout;
    assert!(whole.contains("assemble"), "{whole}");
    for offset in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        let rest = server.cli(&["run", "logs", "shop#1", "web", "--offset", &offset.to_string()]).ok().stdout;
        assert_eq!(rest, whole[offset..]);
    }
    let piece = server.get("/api/v1/runs/shop%231/builds/web/log?offset=3&limit=5");
    assert_eq!(piece.text(), whole[3..8]);
    assert_eq!(piece.header("slipway-next-offset"), Some("8"));
    assert_eq!(server.cli(&["run", "logs", "shop#1", "web", "-f"]).ok().stdout, whole);
    let lines = server.cli(&["run", "logs", "shop#1", "web", "-o", "json"]).ok().stdout;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON in each line")).collect();
    for (line, written) in lines.iter().zip(whole.lines()) {
        assert_eq!(line["text"], written);
        let offset = usize::try_from(line["offset"].as_u64().expect("an offset")).expect("it fits");
        assert!(whole[offset..].starts_with(written), "{line}");
    }
    assert_eq!(lines.len(), whole.lines().count());
    let beyond = server.cli(&["run", "logs", "shop#1", "web", "--offset", "99999999"]);
    assert!(beyond.stdout.is_empty(), "{}", beyond.stdout);
    assert_eq!(server.cli(&["run", "logs", "shop#1"]).code, 2, "which component?");
}

#[test]
fn a_fresh_run_reuses_nothing_and_gives_the_same_images() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let first = server.publish(&app, &repository, "main", "one");
    server.cli(&["run", "start", "--app", "shop", "--ref", "main", "--fresh"]).ok();
    let run = await_state(&server, "shop#2", &["done", "failed"]);
    let second = server.bundle_of(&run);
    let builds = run["builds"].as_array().unwrap();
    assert!(!builds.is_empty(), "{run:#}");
    for build in builds {
        assert_ne!(build["state"], "reused", "{build:#}");
    }
    let images =
        |bundle: &Value| packages(bundle).iter().map(|package| package["images"].clone()).collect::<Vec<_>>();
    assert_eq!(images(&first), images(&second), "assembled images are reproducible");
}
