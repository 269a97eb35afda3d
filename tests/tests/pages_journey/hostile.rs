//! The worst that people can name, write and print: it shows as text, stays in its place and runs nothing.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use slipway_records::{DeploymentCause, NewDeployment, Page, VersionFilter, Write};
use slipway_tests::browser::{DESKTOP, PHONE};
use slipway_tests::server::{SHOP_YAML, Server, ServerOptions, World, shop};
use slipway_tests::wait;
use slipway_types::environment::EnvironmentSettings;
use slipway_types::fault::Fault;
use slipway_types::state::{DeploymentState, NOT_AS_APPLIED};

use crate::visit::Visit;

/// Runs if anything takes it for markup.
const SCRIPT: &str = "<script>globalThis.owned = 1</script><img src=x onerror=\"globalThis.owned = 1\">";
/// What follows it is written from right to left, where that is let happen.
const RIGHT_TO_LEFT: char = '\u{202e}';
/// Within the 63 characters that a label's value may have.
const LABEL: &str = "\"'><script>globalThis.owned = 1</script>\u{202e}dlog";
/// How long a link may take.
const LEADS_WITHIN: Duration = Duration::from_secs(45);
const BRANCH: &str = "feature/<b>&\"bold";
/// The name of a file that is not there, as an error says it.
const FILE: &str = "<img src=x onerror=globalThis.owned=1>";

/// Markup, right to left, and a word of 10 KB.
fn hostile() -> String {
    format!("{SCRIPT} {RIGHT_TO_LEFT}txt.exe {}", "w".repeat(10_000))
}

/// A server on which everything that others write says the worst.
fn published() -> Server {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.git(&["add", "--all"]);
    let author = format!("--author=\"'{RIGHT_TO_LEFT}&amp; {} <mallory@example.com>", "m".repeat(1_000));
    repository.git(&["commit", "--quiet", "--message", &hostile(), &author]);
    server.push(&app, &repository, &["HEAD:refs/heads/main"]);
    let run = server.wait_run("shop", &repository.head());
    assert_eq!(run["state"], "done", "{run:#}");
    let label = format!("note={LABEL}");
    let set = ["label", "set", "shop", "0.1.0-main.1", &label, "--reason", SCRIPT];
    server.cli(&set).ok();
    server.cli(&[&set[..], &["--component", "web"]].concat()).ok();
    // What is refused is said back.
    repository.write("slipway.yaml", format!("{SHOP_YAML}\"{}\": 1\n", SCRIPT.replace('"', "\\\"")));
    repository.commit(&hostile());
    server.push(&app, &repository, &[&format!("HEAD:refs/heads/{BRANCH}")]);
    let refused = server.wait_run("shop", &repository.head());
    assert_eq!(refused["state"], "failed", "{refused:#}");
    // What a build says of its sources is beside the graph, and where it is said what needs somebody.
    repository.write("slipway.yaml", SHOP_YAML);
    let file = json!([format!("{FILE}{RIGHT_TO_LEFT}{}", "w".repeat(10_000)), "/srv/"]);
    repository.write("web/Dockerfile", format!("FROM scratch\nCOPY {file}\n"));
    let failed = server.deliver(&app, &repository, "main", SCRIPT);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    server
}

/// How receivers tell the worst of what they have.
fn told() -> [(&'static str, DeploymentState); 3] {
    let why = format!("ConfigMap settings {NOT_AS_APPLIED}: {}", hostile());
    let fault = Fault::permanent("refused", hostile()).hint(hostile());
    [
        ("drifted", DeploymentState::Degraded { why }),
        ("broken", DeploymentState::Failed { node: Some(SCRIPT.to_owned()), fault }),
        ("held", DeploymentState::Suspended { by: hostile() }),
    ]
}

/// Has the bundle out in an environment for each of these; gives the pages of the deployments. Nobody drives them: their
/// receiver never reports back.
fn hand_out(server: &Server) -> Vec<String> {
    let settings: EnvironmentSettings =
        serde_json::from_value(json!({"receiver": {"type": "oci"}})).expect("settings");
    server.write(async |tx: &mut dyn Write| {
        let shop = "shop".parse().expect("a name");
        let shop = tx.application_by_name(&shop).await.expect("an answer").expect("the application");
        let bundles =
            VersionFilter { application: Some(shop.id), component: Some(None), ..VersionFilter::default() };
        let bundles = tx.version_list(&bundles, Page::first(1)).await.expect("an answer");
        let bundle = bundles.first().expect("the bundle");
        let mut pages = Vec::new();
        for (name, state) in told() {
            let address = format!("local/test/{name}").parse().expect("an address");
            let name = name.parse().expect("a name");
            let place = tx.environment_insert(&name, &address, &settings, "ann").await.expect("a place");
            let new = NewDeployment {
                application_id: shop.id,
                environment_id: place.id,
                bundle_id: bundle.id,
                bundle_version: bundle.version.clone(),
                bundle_digest: bundle.digest,
                lock: bundle.fingerprint,
                choice: json!({}),
                cause: DeploymentCause::Deploy,
                created_by: hostile(),
                document: None,
            };
            let mut made = tx.deployment_insert(new).await.expect("a deployment");
            made.handed_off_at = Some(Utc::now());
            made.state = state;
            assert!(tx.deployment_save(&mut made).await.expect("an answer"), "somebody else changed it");
            pages.push(format!("/deployments/{}", made.id));
        }
        pages
    })
}

/// Holds that a page of hostile texts is one of texts.
fn assert_only_text(visit: &Visit<'_>) {
    let browser = &visit.browser;
    assert_eq!(browser.run_script("return globalThis.owned ?? null", &[]), json!(null), "something ran");
    let taken = "return document.querySelectorAll('main script, main img, main b, [onerror]').length";
    assert_eq!(browser.run_script(taken, &[]), json!(0), "markup on {}", browser.location());
    browser.assert_fits_the_window();
    browser.assert_accessible();
    browser.assert_clean();
}

#[test]
fn hostile_names_labels_and_commits_are_text_and_break_no_page() {
    let server = published();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    for window in [PHONE, DESKTOP] {
        browser.window(window);
        for (path, text) in [
            ("/", "shop"),
            ("/", FILE),
            ("/applications/shop", SCRIPT),
            ("/applications/shop", LABEL),
            ("/applications/shop/packages", LABEL),
            ("/applications/shop/runs", SCRIPT),
            ("/applications/shop/runs", BRANCH),
            ("/applications/shop/runs/1", SCRIPT),
            ("/applications/shop/runs/2", BRANCH),
            ("/applications/shop/runs/2", "<script>globalThis.owned"),
            ("/applications/shop/runs/3", FILE),
            ("/applications/shop/bundles/0.1.0-main.1", SCRIPT),
            ("/applications/shop/bundles/0.1.0-main.1", LABEL),
            ("/applications/shop/packages/web/0.1.0-main.1", SCRIPT),
            ("/applications/shop/packages/web/0.1.0-main.1", LABEL),
            ("/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.1", "0.1.0-main.1"),
            ("/infrastructure/sources/shop", BRANCH),
            ("/infrastructure/audit", "shop"),
        ] {
            browser.open(path);
            browser.await_text(text);
            assert_only_text(&visit);
            visit.source(path, 200);
        }
    }
    browser.open("/applications/shop?branch=%3Cscript%3E&q=%22%3E%3Cimg%20src%3Dx%3E");
    assert_only_text(&visit);
    assert_eq!(browser.field("Branch").value(), "<script>");
    browser.open(
        "/applications/shop/packages?component=%3Cscript%3E&branch=%22%3E%3Cimg&labels=%3Cb%3E&digest=%26",
    );
    assert_only_text(&visit);
    browser.await_text("labels: `<b>`");
    assert_eq!(browser.field("Component").value(), "<script>");
    assert_eq!(browser.field("Branch").value(), "\"><img");
    // The hostile label is a link, and narrows to what has it.
    for (page, narrowed) in [("", "selector="), ("/packages", "labels=")] {
        browser.open(&format!("/applications/shop{page}"));
        browser.run_script(
            "[...document.querySelectorAll('a.chip')].find(chip => chip.innerText.startsWith('note=')).click()",
            &[],
        );
        wait::holds("the chip's link", LEADS_WITHIN, || browser.location().contains(narrowed));
        browser.await_text("0.1.0-main.1");
        assert_only_text(&visit);
    }
}

#[test]
fn what_receivers_tell_is_text_and_breaks_no_page() {
    // One process alone: the deployments are written beside it.
    let server = Server::start(ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() });
    let app = server.create_app("shop");
    server.publish(&app, &shop(), "main", "Open the shop");
    let deployments = hand_out(&server);
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    let lists = ["/", "/where", "/deployments", "/deployments/history"].map(str::to_owned);
    for window in [PHONE, DESKTOP] {
        browser.window(window);
        for path in lists.iter().chain(&deployments) {
            browser.open(path);
            browser.await_text(SCRIPT);
            assert_only_text(&visit);
            visit.source(path, 200);
        }
    }
    for path in ["/", "/where"] {
        browser.open(path);
        browser.await_text("drifted");
        browser.await_text(NOT_AS_APPLIED);
    }
}

mod docker {
    use std::fs;

    use slipway_tests::server::GitRepository;
    use slipway_tests::services;

    use super::*;

    /// Prints colours, markup, a title for the terminal, a link, right to left, and a word of 10 KB.
    const PRINTED: &str = "\
#!/bin/sh
printf '\\033[31mred <script>globalThis.owned = 1</script>\\033[0m plain\\n'
printf '\\033]0;owned\\007\\033]8;;javascript:owned\\033\\\\link\\033]8;;\\033\\\\ \\033[2J\\033[1;1Hhome\\n'
printf 'a\\342\\200\\256txt.exe\\n'
/bin/busybox printf '%010000d\\n' 0
";

    #[test]
    fn hostile_logs_are_text() {
        let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
        let server = Server::start(options.env("SLIPWAY__BUILD__DOCKER_HOST", &services::docker().host));
        let app = server.create_app("shop");
        let yaml = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: web, kit: dockerfile, context: web}\n";
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY print /print\nRUN [\"/bin/busybox\", \"sh\", \"/print\"]\n";
        let files = [("slipway.yaml", yaml), ("web/Dockerfile", dockerfile), ("web/print", PRINTED)];
        let repository = GitRepository::with(&files);
        repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
        server.publish(&app, &repository, "main", "Print the worst");
        let visit = Visit::signed_in(&server, server.token());
        let browser = &visit.browser;
        for window in [PHONE, DESKTOP] {
            browser.window(window);
            browser.open("/applications/shop/runs/1/logs/build.web");
            for text in ["red <script>globalThis.owned = 1</script> plain", "a⟨U+202E⟩txt.exe", "0000000000"]
            {
                browser.await_text(text);
            }
            assert_only_text(&visit);
            let red = browser.run_script("return document.querySelector('.log .fg1')?.textContent", &[]);
            assert_eq!(red, json!("red <script>globalThis.owned = 1</script>"));
            assert_ne!(browser.title(), "owned");
            assert!(!browser.text().contains('\u{1b}'), "an escape is left");
        }
    }
}
