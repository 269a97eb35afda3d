//! From a repository at a forge to a run, by what the page tells when an application is made.

use serde_json::Value;
use slipway_tests::forge::Forge;
use slipway_tests::server::{App, Server, ServerOptions, shop};

use crate::visit::Visit;

#[test]
fn a_webhook_is_set_up_by_what_the_page_tells() {
    let forge = Forge::start();
    let url = forge.create("shop");
    let server = Server::start(
        ServerOptions::default()
            .env("SLIPWAY__GIT__ALLOW_HTTP", "true")
            .env("SLIPWAY__GIT__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
    );
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    browser.open("/new-application");
    browser.fill("Name", "shop");
    browser.fill("Repository (optional)", &url);
    browser.press_button("Create");
    browser.find("heading", "Webhook");
    browser.await_text(&format!("{}/hooks/shop/generic", server.url()));
    let secret = browser.run_script("return document.querySelector('[data-copy]')?.dataset.copy", &[]);
    let secret = secret.as_str().expect("the page shows the secret").to_owned();
    visit.look("created-application-mirrored");

    let repository = shop();
    let commit = repository.commit("Open the shop");
    let path = forge.path("shop");
    repository.git(&["push", "--quiet", path.to_str().expect("a path"), "HEAD:refs/heads/main"]);
    let app =
        App { name: "shop".to_owned(), git_url: url, webhook_urls: Value::Null, webhook_secret: secret };
    server.tell(&app, "refs/heads/main", &commit);
    let run = server.wait_run("shop", &commit);
    assert_eq!(run["state"], "done", "{run:#}");
    // Once only: whoever comes later finds the secret on no page.
    for path in ["/applications/shop", "/infrastructure"] {
        assert!(!visit.source(path, 200).contains(&app.webhook_secret), "{path}");
    }
    browser.open("/applications/shop/runs/1");
    visit.await_status("done");
}
