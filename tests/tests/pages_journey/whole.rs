//! A server with something on every page there is.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::listener::Listener;
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{GitRepository, Server, ServerOptions};
use slipway_tests::wait;

use crate::shop::publish_shop;

const MOVES_WITHIN: Duration = Duration::from_secs(90);

/// What is deployed: it runs no pod.
const TILL: [(&str, &str); 2] = [
    (
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: till}\ncomponents:\n  - {name: settings, kit: manifests, context: settings}\n",
    ),
    (
        "settings/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: till-settings}\ndata: {currency: EUR}\n",
    ),
];

/// The application `shop` of [`publish_shop`] with a secret; `till` with two bundles, one delivered to `prod`, one that
/// waits for approval; an add-on in `stage` that waits, for the cluster of both is cordoned; and a channel of notices.
pub(crate) struct Whole {
    pub(crate) server: Server,
    /// Ids of the two deployments.
    delivered: String,
    waiting: String,
    // After the server, which knows it.
    _namespace: Namespace,
}

impl Whole {
    pub(crate) fn open() -> Self {
        let namespace = Namespace::create();
        let server = Server::start(heard());
        server.set_secret("hook", "told");
        publish_shop(&server);
        let key = server.scratch().join("key");
        fs::write(&key, "a key").expect("a file");
        let key = key.display().to_string();
        server.cli(&["secret", "set", "signing", "--app", "shop", "--from-file", &key]).ok();
        publish_till(&server);
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
        let approved =
            json!({"receiver": {"type": "oci"}, "gates": {"approvals": {"count": 1, "authorMay": true}}});
        for (name, settings) in [("prod", approved), ("stage", json!({"receiver": {"type": "core"}}))] {
            let file = server.scratch().join(format!("{name}.json"));
            fs::write(&file, settings.to_string()).expect("a file");
            let (file, address) =
                (file.display().to_string(), format!("local/test/{}/{name}", namespace.name));
            server.cli(&["env", "create", name, "--address", &address, "-f", &file]).ok();
        }
        deploy(&server, "0.1.0-main.1");
        server.cli(&["deploy", "approve", "till@prod", "--reason", "looked at by hand"]).ok();
        let delivered = newest_once(&server, "delivered");
        let waiting = deploy(&server, "0.1.0-main.2");
        // Nothing of the add-on is to run: it waits for the cluster.
        server.cli(&["cluster", "cordon", "test", "--reason", "it is upgraded"]).ok();
        let apply = ["addon", "apply", "cache", "--definition", "redis", "--env", "stage"];
        server.cli(&[&apply[..], &["--set", "memory=64mb", "--no-wait"]].concat()).ok();
        Self { server, delivered, waiting, _namespace: namespace }
    }

    /// The address of a page of [`crate::audit::PAGES`].
    pub(crate) fn address(&self, page: &str) -> String {
        page.replace("{delivered}", &self.delivered).replace("{waiting}", &self.waiting)
    }
}

/// With a channel whose listener is content with all.
fn heard() -> ServerOptions {
    let url = Listener::start().url("/notices");
    let channel = format!(
        "[{{name = \"ops\", kind = \"webhook\", url = {url:?}, secret = \"secret://builtin/hook\"}}]"
    );
    ServerOptions::default()
        .env("SLIPWAY__NOTICES__CHANNELS", &channel)
        .env("SLIPWAY__NOTICES__ALLOW_PLAIN", "true")
        .env("SLIPWAY__NOTICES__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8")
}

fn publish_till(server: &Server) {
    let app = server.create_app("till");
    let repository = GitRepository::with(&TILL);
    server.publish(&app, &repository, "main", "Open the till");
    repository.write("settings/settings.yaml", TILL[1].1.replace("EUR", "CHF"));
    server.publish(&app, &repository, "main", "Take francs");
}

/// Deploys a bundle of `till` to `prod`, as far as to the gate; gives the deployment's id.
fn deploy(server: &Server, version: &str) -> String {
    server.cli(&["deploy", "create", "till", "--env", "prod", "--bundle", version, "--no-wait"]).ok();
    newest_once(server, "awaiting")
}

/// Waits until the newest deployment of `till` is in that state; gives its id.
fn newest_once(server: &Server, state: &str) -> String {
    wait::until(&format!("the newest deployment is {state}"), MOVES_WITHIN, || {
        let list: Value = server.json(&["deploy", "list", "till", "--env", "prod"]);
        let newest = &list[0];
        match (newest["state"] == state, newest["id"].as_str()) {
            (true, Some(id)) => Ok(id.to_owned()),
            _ => Err(newest.clone()),
        }
    })
}
