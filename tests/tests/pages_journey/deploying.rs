//! From a bundle to where it runs: it is deployed, approved, watched, and rolled back.

use std::fs;

use serde_json::{Value, json};
use slipway_tests::browser::{DESKTOP, PHONE};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{GitRepository, Server, ServerOptions, World};
use slipway_tests::wait;

use crate::bundles::{ELEMENT, SENT_WITHIN};
use crate::visit::{Taste, Visit};
use crate::words::{CHINESE, ENGLISH, Words};

const FILES: [(&str, &str); 2] = [
    (
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: settings, kit: manifests, context: settings}\n",
    ),
    (
        "settings/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: EUR}\n",
    ),
];

/// A server with two bundles and the environment `prod`, which asks for an approval and takes artifacts: it
/// needs a cluster to plan against, and no pod.
pub(crate) struct Prod {
    pub(crate) server: Server,
    // After the server, which deploys to it.
    _namespace: Namespace,
}

impl Prod {
    pub(crate) fn open() -> Self {
        Self::with(&json!({
            "receiver": {"type": "oci"},
            "gates": {"approvals": {"count": 1, "authorMay": true}},
        }))
    }

    /// The same with other settings of the environment.
    pub(crate) fn with(settings: &Value) -> Self {
        let namespace = Namespace::create();
        let server = Server::start(ServerOptions { world: Some(World::Embedded), ..namespace.options() });
        let app = server.create_app("shop");
        let repository = GitRepository::with(&FILES);
        server.publish(&app, &repository, "main", "Open the shop");
        repository.write("settings/settings.yaml", FILES[1].1.replace("EUR", "CHF"));
        server.publish(&app, &repository, "main", "Ask for francs");
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
        let file = server.scratch().join("prod.json");
        fs::write(&file, settings.to_string()).expect("a file");
        let (file, address) = (file.display().to_string(), format!("local/test/{}", namespace.name));
        server.cli(&["env", "create", "prod", "--address", &address, "-f", &file]).ok();
        Self { server, _namespace: namespace }
    }

    /// The page of the newest deployment.
    pub(crate) fn newest(&self) -> String {
        let list: Value = self.server.json(&["deploy", "list", "shop", "--env", "prod"]);
        format!("/deployments/{}", list[0]["id"].as_str().expect("an id"))
    }

    /// Makes a deployment by the command line; gives its page.
    pub(crate) fn deploy(&self, version: &str) -> String {
        let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", version, "--no-wait"];
        self.server.cli(&create).ok();
        self.newest()
    }
}

impl Visit<'_> {
    /// Approves a deployment that waits, and sees it go out on a page that nobody loads again.
    fn approve(&self, page: &str, step: &str) {
        self.browser.open(page);
        let words = self.words;
        self.await_status(words.awaiting);
        self.send_form(words.approve, &[(words.reason_optional, "looked at by hand")]);
        self.browser.await_gone("button", words.approve);
        self.mark();
        self.await_status(words.delivered);
        self.assert_same_page();
        self.browser.await_text("looked at by hand");
        self.browser.open(page);
        self.look(step);
    }

    /// Rolls back from the deployment on this page, over a page that asks for the reason.
    fn roll_back(&self, page: &str) {
        self.browser.open(page);
        self.browser.follow(self.words.roll_back);
        self.browser.await_location(&format!("{page}/roll-back"));
        self.look("roll-back");
        self.browser.open(&format!("{page}/roll-back"));
        self.send_form(self.words.roll_back, &[(self.words.reason, "francs are not taken")]);
        self.browser.await_text("francs are not taken");
        self.await_status(self.words.delivered);
        self.browser.reload();
        self.await_status(self.words.delivered);
        self.look("deployment-rolled-back");
    }

    /// Clicks on the one element that a selector names.
    pub(crate) fn click_on(&self, selector: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        // A page that lives may exchange its parts between two commands.
        wait::until(&format!("a click on {selector}"), SENT_WITHIN, || {
            let found = self.browser.attempt("POST", "/element", &wanted)?;
            let id = found[ELEMENT].as_str().expect("an element");
            self.browser.attempt("POST", &format!("/element/{id}/click"), &json!({}))
        });
    }

    /// Chooses place, bundle and configuration, each on a page of its own, sees what would change, and deploys.
    fn deploy(&self, version: &str) {
        self.browser.open("/deploy");
        self.look("deploy-place");
        self.browser.reload();
        self.browser.choose(self.words.application, "shop");
        self.browser.choose(self.words.environment, "prod");
        self.click_on("main form[action='/deploy/bundles'] button.main");
        self.browser.await_text(version);
        self.look("deploy-bundles");
        self.browser.reload();
        let chosen = self.browser.names("link").into_iter().find(|name| name.ends_with(version));
        self.browser.follow(&chosen.expect("the bundle may be chosen"));
        self.look("deploy-configuration");
        self.browser.reload();
        self.click_on("main form[action='/deploy/review'] button.main");
        self.browser.await_text("shop-settings");
        self.look("deploy-review");
        self.browser.reload();
        self.click_on("main [name=reason]");
        self.browser.write("the fair begins");
        self.click_on("main form button.main");
        self.await_status(self.words.awaiting);
    }
}

fn from_a_bundle_to_a_rollback(words: &'static Words, window: (u32, u32)) {
    let prod = Prod::open();
    let visit = Visit::begin(&prod.server, Taste { words, window });
    visit.sign_in(prod.server.token());
    let first = prod.deploy("0.1.0-main.1");
    visit.approve(&first, "deployment-first");
    visit.deploy("0.1.0-main.2");
    let second = prod.newest();
    assert_eq!(visit.browser.location(), second);
    visit.browser.await_text("the fair begins");
    visit.look("deployment-awaiting");
    visit.approve(&second, "deployment-second");
    visit.roll_back(&second);
    let running = prod.server.json(&["where", "shop", "--env", "prod"]);
    assert_eq!(running[0]["version"], "0.1.0-main.1", "{running:#}");
    visit.browser.open("/deployments");
    visit.browser.await_text("0.1.0-main.1");
    visit.look("deployments");
    visit.browser.open("/where");
    visit.browser.await_text("0.1.0-main.1");
    visit.look("what-runs-where");
}

#[test]
fn deployed_in_english_on_a_desktop() {
    from_a_bundle_to_a_rollback(&ENGLISH, DESKTOP);
}

#[test]
fn deployed_in_english_on_a_telephone() {
    from_a_bundle_to_a_rollback(&ENGLISH, PHONE);
}

#[test]
fn deployed_in_chinese_on_a_desktop() {
    from_a_bundle_to_a_rollback(&CHINESE, DESKTOP);
}

#[test]
fn deployed_in_chinese_on_a_telephone() {
    from_a_bundle_to_a_rollback(&CHINESE, PHONE);
}
