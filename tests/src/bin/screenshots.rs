//! Takes the pictures of the README: a server with a small shop that is built and deployed for real, and a Chromium
//! on its pages. `docs/take-screenshots` runs it.

#![expect(clippy::print_stdout, reason = "it says what it wrote")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::browser::{Browser, BrowserOptions, Motion, Scheme};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository, Server};
use slipway_tests::wait;

/// Width and height of each picture, in pixels.
const WINDOW: (u32, u32) = (1200, 760);
const MOVES_WITHIN: Duration = Duration::from_mins(3);

/// Pages by the names of their pictures.
const PAGES: [(&str, &str); 6] = [
    ("home", "/"),
    ("application", "/applications/shop"),
    ("run", "/applications/shop/runs/1"),
    ("bundle", "/applications/shop/bundles/0.1.0-main.1"),
    ("where", "/where"),
    ("deployments", "/deployments"),
];

const SHOP: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop, labels: {team: commerce}}
components:
  - name: web
    kit: dockerfile
    context: web
    workload:
      type: webservice
      properties: {port: 8080, cmd: [/bin/busybox, httpd, -f, -p, \"8080\", -h, /srv]}
      overridable: [replicas]
  - {name: assets, kit: dockerfile, context: assets}
  - {name: settings, kit: manifests, context: settings}
";
const BILLING: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: billing}
components:
  - {name: api, kit: dockerfile, context: api}
";

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).map(PathBuf::from).context("usage: screenshots DIRECTORY")?;
    fs::create_dir_all(&directory)?;
    let namespace = Namespace::create();
    let server = Server::start(namespace.options());
    let deployment = open_shop(&server, &namespace);
    fail_billing(&server);
    let browser = Browser::start(
        server.url(),
        &BrowserOptions { window: WINDOW, motion: Motion::Reduced, ..BrowserOptions::default() },
    );
    browser.open("/sign-in");
    browser.fill("Access token", server.token());
    browser.press_button("Sign in");
    browser.await_location("/");
    for (name, path) in PAGES.into_iter().chain([("deployment", deployment.as_str())]) {
        for (scheme, suffix) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.prefers(scheme, Motion::Reduced);
            browser.open(path);
            let file = directory.join(format!("{name}-{suffix}.png"));
            take(&browser, &file)?;
            println!("{}", file.display());
        }
    }
    Ok(())
}

/// What a window shows, as it is: nothing is hidden here.
fn take(browser: &Browser, file: &Path) -> Result<()> {
    let shot = browser.cdp("Page.captureScreenshot", json!({ "format": "png" }));
    let data = shot["data"].as_str().context("a picture is base64")?;
    fs::write(file, STANDARD.decode(data)?).with_context(|| file.display().to_string())
}

fn commit(repository: &GitRepository, author: &str, message: &str) {
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", message, "--author", author]);
}

/// Commits and publishes; gives the version.
fn publish(server: &Server, app: &App, repository: &GitRepository, branch: &str, by: (&str, &str)) -> String {
    commit(repository, by.0, by.1);
    server.push(app, repository, &[&format!("HEAD:refs/heads/{branch}")]);
    let run = server.wait_run_of(&app.name, &repository.head(), branch);
    let bundle = server.bundle_of(&run);
    bundle["version"].as_str().expect("a version").to_owned()
}

/// Three versions; one is live in `staging`, and waits for an approval in `prod`. Gives the page of what is live.
fn open_shop(server: &Server, namespace: &Namespace) -> String {
    let app = server.create_app("shop");
    let repository = GitRepository::with(&[
        ("slipway.yaml", SHOP),
        ("web/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY site /srv\n"),
        ("web/site/index.html", "<!doctype html>\n<title>Shop</title>\n<p>Hello.</p>\n"),
        ("assets/Dockerfile", "FROM scratch\nCOPY logo.svg /assets/\n"),
        ("assets/logo.svg", "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'/>\n"),
        (
            "settings/settings.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: EUR}\n",
        ),
    ]);
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    let (ada, grace) = ("Ada King <ada@example.com>", "Grace Lin <grace@example.com>");
    let first = publish(server, &app, &repository, "main", (ada, "Open the shop"));
    repository.write("web/site/index.html", "<!doctype html>\n<title>Shop</title>\n<p>Welcome.</p>\n");
    let second = publish(server, &app, &repository, "main", (grace, "Welcome whoever comes in"));
    repository.write("web/site/cart.html", "<!doctype html>\n<title>Cart</title>\n<p>Empty.</p>\n");
    publish(server, &app, &repository, "feature/cart", (ada, "Keep what was chosen in a cart"));
    for (version, label, why) in [
        (&first, "tier=gold", "the fair ran on it"),
        (&second, "qa=passed", "suite 812"),
        (&second, "tier=gold", "the same, painted"),
    ] {
        server.cli(&["label", "set", "shop", version, label, "--reason", why]).ok();
    }
    server.cli(&["channel", "set", "shop", "stable", &first, "--reason", "soaked a week"]).ok();

    let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
    server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
    let gates =
        json!({"receiver": {"type": "core"}, "upstream": "staging", "gates": {"approvals": {"count": 1}}});
    for (name, settings) in [("staging", json!({"receiver": {"type": "core"}})), ("prod", gates)] {
        let file = server.scratch().join(format!("{name}.json"));
        fs::write(&file, settings.to_string()).expect("a file");
        let (file, address) = (file.display().to_string(), format!("local/test/{}/{name}", namespace.name));
        server.cli(&["env", "create", name, "--address", &address, "-f", &file]).ok();
    }
    server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &second]).ok();
    server.cli(&["deploy", "create", "shop", "--env", "prod", "--bundle", &second, "--no-wait"]).ok();
    wait::until("prod waits for an approval", MOVES_WITHIN, || {
        let list = server.json(&["deploy", "list", "shop", "--env", "prod"]);
        let newest: Value = list[0].clone();
        if newest["state"] == "awaiting" { Ok(()) } else { Err(newest) }
    });
    let live = server.json(&["deploy", "list", "shop", "--env", "staging"]);
    format!("/deployments/{}", live[0]["id"].as_str().expect("a deployment has an id"))
}

/// An application whose last run failed.
fn fail_billing(server: &Server) {
    let app = server.create_app("billing");
    let repository = GitRepository::with(&[
        ("slipway.yaml", BILLING),
        ("api/Dockerfile", "FROM scratch\nCOPY invoice.py /app/\n"),
    ]);
    commit(&repository, "Grace Lin <grace@example.com>", "Write the first invoice");
    server.push(&app, &repository, &["HEAD:refs/heads/main"]);
    server.wait_run_of("billing", &repository.head(), "main");
}
