//! A forge and servers that build from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use slipway_tests::forge::Forge;
use slipway_tests::server::{CliOutput, GitRepository, Server, ServerOptions};
use slipway_tests::wait;

/// No change is like another.
static CHANGES: AtomicU64 = AtomicU64::new(1);

/// A server that may fetch from this machine by plain HTTP.
pub(crate) fn neighbourly() -> Server {
    Server::start(
        ServerOptions::default()
            .env("SLIPWAY__GIT__ALLOW_HTTP", "true")
            .env("SLIPWAY__GIT__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
    )
}

/// Files of the application `name`.
pub(crate) fn files(name: &str) -> GitRepository {
    let manifest = format!(
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\n\
         components:\n  - {{name: web, kit: dockerfile, context: web}}\n"
    );
    GitRepository::with(&[
        ("slipway.yaml", manifest.as_str()),
        ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
        ("web/index.html", "0\n"),
    ])
}

/// Commits a change and brings it to a ref of the forge's repository, by force.
pub(crate) fn change(forge: &Forge, name: &str, repository: &GitRepository, to: &str) -> String {
    repository.write("web/index.html", format!("{}\n", CHANGES.fetch_add(1, Ordering::Relaxed)));
    let commit = repository.commit("Change the page");
    forge.receive(name, repository, &format!("{commit}:{to}"));
    commit
}

/// `slipway source check`: the findings, and whether all is well by the exit code.
pub(crate) fn check(server: &Server, source: &str) -> (Vec<Value>, i32) {
    let output: CliOutput = server.cli(&["source", "check", source, "-o", "json"]);
    (output.json().as_array().expect("a list").clone(), output.code)
}

/// Asserts that the first thing wrong with a source is of this kind and says this.
pub(crate) fn assert_found(server: &Server, source: &str, kind: &str, part: &str) {
    let (findings, code) = check(server, source);
    let bad = findings.iter().find(|finding| finding["ok"] == false);
    let bad = bad.unwrap_or_else(|| panic!("nothing is wrong with {source}: {findings:#?}"));
    assert_eq!(code, 1, "{findings:#?}");
    assert_eq!(bad["check"], kind, "{findings:#?}");
    assert!(bad["detail"].as_str().unwrap_or_default().contains(part), "`{part}` is not in {bad:#}");
}

/// A delivery by its id, once it is settled.
pub(crate) fn settled(server: &Server, source: &str, id: &str) -> Value {
    wait::until(&format!("{id} is settled"), Duration::from_mins(2), || {
        let listed = server.json(&["source", "deliveries", source, "--limit", "1000"]);
        let listed = listed.as_array().expect("a list");
        let found = listed.iter().find(|delivery| delivery["id"] == id);
        let found = found.unwrap_or_else(|| panic!("{id} is not among {listed:#?}"));
        if found["state"] == "received" { Err(found.clone()) } else { Ok(found.clone()) }
    })
}
