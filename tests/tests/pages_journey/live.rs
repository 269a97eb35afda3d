//! A log that is watched while it grows, over the death of the server that writes it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::browser::Browser;
use slipway_tests::server::{GitRepository, Server, ServerOptions, World};
use slipway_tests::wait;

use crate::visit::Visit;

/// Another process takes up a job once the lease of the first has run out.
const TAKEN_UP_WITHIN: Duration = Duration::from_mins(2);
const COMES_WITHIN: Duration = Duration::from_secs(60);

const FILES: [(&str, &str); 3] = [
    (
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: web, kit: dockerfile, context: web}\n",
    ),
    ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
    ("web/index.html", "<p>Hello.</p>\n"),
];

/// A server that stops for good when it has stored the first layer.
fn stopping(marker: &Path) -> Server {
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    Server::start(
        options
            .env("SLIPWAY_TEST_STOP_AT", "build.layer_stored:1")
            .env("SLIPWAY_TEST_STOP_MARKER", &marker.display().to_string()),
    )
}

fn shown(browser: &Browser) -> Value {
    browser.run_script(
        "return [...document.querySelectorAll('ol.log li code')].map(line => line.textContent)",
        &[],
    )
}

#[test]
fn a_watched_log_goes_on_after_the_server_was_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let marker = directory.path().join("stopped");
    let mut server = stopping(&marker);
    let app = server.create_app("shop");
    let repository = GitRepository::with(&FILES);
    repository.commit("Open the shop");
    let (path, token) = (repository.path().to_owned(), server.token().to_owned());
    let url = app.git_url;
    let push =
        thread::spawn(move || drop(GitRepository::push_from(&path, &url, &token, &["HEAD:refs/heads/main"])));
    wait::holds("a layer is stored", COMES_WITHIN, || marker.exists());
    let browser = {
        let visit = Visit::signed_in(&server, server.token());
        visit.browser
    };
    browser.open("/applications/shop/runs/1/logs/build.web");
    browser.field("Follow");
    browser.await_text("assembling for linux/amd64");
    browser.run_script("document.body.dataset.marked = 'yes'", &[]);
    browser.assert_clean();

    server.kill9();
    push.join().expect("git ends with the server");
    server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
    server.restart();
    wait::until("the build's end", TAKEN_UP_WITHIN, || {
        let status = browser.run_script("return document.querySelector('#standing .status')?.innerText", &[]);
        let is_told = status.as_str().is_some_and(|word| word.trim() == "pushed");
        if is_told {
            Ok(())
        } else {
            Err(format!("{status}; {}", server.cli(&["run", "show", "shop#1"]).stdout))
        }
    });
    assert_eq!(browser.run_script("return document.body.dataset.marked", &[]), json!("yes"), "loaded again");
    let written = server.cli(&["run", "logs", "shop#1", "web"]).ok().stdout;
    let written: Vec<&str> = written.lines().collect();
    wait::until("each line of the log, once", COMES_WITHIN, || {
        let shown = shown(&browser);
        if shown == json!(written) { Ok(()) } else { Err(format!("{shown:#} instead of {written:#?}")) }
    });
}
