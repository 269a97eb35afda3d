//! A server with something on every page there is, and where that is.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::listener::Listener;
use crate::namespace::Namespace;
use crate::server::{GitRepository, Server, ServerOptions, shop};
use crate::wait;

/// Lines that are added to the longest log.
const LONG_LOG_LINES: u32 = 5_000;
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

/// Of [`Whole`], which knows what is in braces. A new page is added here.
pub const PAGES: &[&str] = &[
    "/",
    "/?q=nothing-like-it",
    "/new-application",
    "/applications/shop",
    "/applications/shop?branch=none",
    "/applications/shop?selector=%3D%3D",
    "/applications/shop?channel=stable",
    "/applications/till",
    "/applications/shop/packages",
    "/applications/shop/packages?channel=stable",
    "/applications/shop/packages/web/0.1.0-main.1",
    "/applications/till/packages/settings/0.1.0-main.2",
    "/applications/till/packages/compare",
    "/applications/till/packages/compare?from=settings%2F0.1.0-main.1&to=settings%2F0.1.0-main.2",
    "/applications/shop/bundles/0.1.0-main.1",
    "/applications/till/bundles/0.1.0-main.2",
    "/applications/till/bundles/compare",
    "/applications/till/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.2",
    "/applications/shop/runs",
    "/applications/shop/runs?state=failed",
    "/applications/shop/runs/1",
    "/applications/shop/runs/2",
    "/applications/shop/runs/1/logs/run",
    "/applications/shop/runs/1/logs/build.web",
    "/applications/shop/runs/1/logs/build.web?find=assembling",
    "/applications/till/runs/2/logs/run",
    "/applications/shop/bundles/compare",
    "/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.1",
    "/applications/shop/packages/compare?from=web%2F0.1.0-main.1&to=web%2F0.1.0-main.1",
    "/deployments",
    "/deployments?application=shop",
    "/deployments/history",
    "/deployments/history?state=awaiting",
    "/deployments/{delivered}",
    "/deployments/{delivered}?objects=settings",
    "/deployments/{delivered}/remove",
    "/deployments/{waiting}",
    "/deployments/{waiting}/decline",
    "/where",
    "/deploy",
    "/deploy/bundles?application=till&environment=prod",
    "/deploy/configuration?application=till&environment=prod&bundle=0.1.0-main.2",
    "/deploy/part?application=till&environment=prod&bundle=0.1.0-main.2&add=step%2Fnew&kind%3Astep%2Fnew=suspend",
    "/deploy/review?application=till&environment=prod&bundle=0.1.0-main.2",
    "/infrastructure",
    "/infrastructure/new-environment",
    "/infrastructure/environments/prod",
    "/infrastructure/environments/prod/edit",
    "/infrastructure/new-cluster",
    "/infrastructure/clusters/test",
    "/infrastructure/clusters/test/edit",
    "/infrastructure/kits",
    "/infrastructure/kits/dockerfile",
    "/infrastructure/definitions",
    "/infrastructure/definitions?kind=trait&q=nothing-like-it",
    "/infrastructure/definitions/component/webservice",
    "/infrastructure/definitions/addon/redis",
    "/infrastructure/addons",
    "/infrastructure/addons/cache",
    "/infrastructure/addons/cache/edit",
    "/infrastructure/new-addon",
    "/infrastructure/sources",
    "/infrastructure/sources/shop",
    "/infrastructure/secrets",
    "/infrastructure/secrets?application=shop",
    "/infrastructure/secrets/signing?application=shop",
    "/infrastructure/tokens",
    "/infrastructure/notices",
    "/infrastructure/server",
    "/infrastructure/audit",
    "/infrastructure/audit?subject=application%2Fnone",
];

/// The application `shop` of [`publish_shop`] with a secret; `till` with two bundles, one delivered to `prod`, one that
/// waits for approval, and a long log of its second run; an add-on in `stage` that waits, for the cluster of both is
/// cordoned; and a channel of notices.
#[derive(Debug)]
pub struct Whole {
    /// The server.
    pub server: Server,
    /// Ids of the two deployments.
    delivered: String,
    waiting: String,
    // After the server, which knows it.
    _namespace: Namespace,
}

impl Whole {
    /// One that is started as tests start it.
    pub fn open() -> Self {
        Self::open_in(ServerOptions::default())
    }

    /// One that is started so.
    pub fn open_in(options: ServerOptions) -> Self {
        let namespace = Namespace::create();
        let server = Server::start(heard(options));
        server.set_secret("hook", &"told".repeat(8));
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

    /// The address of a page of [`PAGES`].
    pub fn address(&self, page: &str) -> String {
        page.replace("{delivered}", &self.delivered).replace("{waiting}", &self.waiting)
    }
}

/// With a channel whose listener is content with all.
fn heard(options: ServerOptions) -> ServerOptions {
    let url = Listener::start().url("/notices");
    let channel = format!(
        "[{{name = \"ops\", kind = \"webhook\", url = {url:?}, secret = \"secret://builtin/hook\"}}]"
    );
    options
        .env("SLIPWAY__NOTICES__CHANNELS", &channel)
        .env("SLIPWAY__NOTICES__ALLOW_PLAIN", "true")
        .env("SLIPWAY__NOTICES__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8")
}

/// Publishes the application `shop`: a bundle with labels and a channel, then a run that failed.
pub fn publish_shop(server: &Server) {
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "Open the shop");
    server.cli(&["label", "set", "shop", "0.1.0-main.1", "tier=gold", "--reason", "it shines"]).ok();
    server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.1", "--reason", "it was looked at"]).ok();
    repository.write("web/Dockerfile", "FROM scratch\nCOPY nothing.html /srv/\n");
    let failed = server.deliver(&app, &repository, "main", "Show nothing");
    assert_eq!(failed["state"], "failed", "{failed:#}");
}

fn publish_till(server: &Server) {
    let app = server.create_app("till");
    let repository = GitRepository::with(&TILL);
    server.publish(&app, &repository, "main", "Open the till");
    repository.write("settings/settings.yaml", TILL[1].1.replace("EUR", "CHF"));
    server.publish(&app, &repository, "main", "Take francs");
    let run = server.json(&["run", "show", "till#2"]);
    let log = run["id"].as_str().and_then(|id| id.parse().ok()).expect("a run has an id");
    server.append_log(log, &[(long_log().as_str(), 1)]);
}

/// What a build of many parts writes, in colours.
fn long_log() -> String {
    let line = |n: u32| {
        let (step, seconds, minor) = (4 + n / 500, f64::from(n) * 0.037, n % 17);
        format!(
            "#{step} {seconds:.3} \u{1b}[1;32mCompiling\u{1b}[0m part-{n} v0.{minor}.3 (/src/parts/part-{n})\n"
        )
    };
    (1..=LONG_LOG_LINES).map(line).collect()
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
