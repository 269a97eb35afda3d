//! A server whose environments the built-in core drives, and the shop that is deployed there.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::forge::Forge;
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions};
use slipway_tests::wait;

/// How long a deployment may take that nothing stands against, on a machine that is busy with others.
pub(crate) const LIVE_WITHIN: Duration = Duration::from_secs(150);
/// How long a deployment may take to where no pod has to start.
pub(crate) const MOVES_WITHIN: Duration = Duration::from_secs(120);

/// States that nothing leads out of, and that are not what anybody waits for.
const LOST: [&str; 5] = ["rejected", "broken", "declined", "expired", "superseded"];

/// Everything a deployment needs.
pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) repository: GitRepository,
    /// Where the environment `prod` lies.
    pub(crate) namespace: Namespace,
    app: App,
}

/// A component of the developers' file that serves the page.
pub(crate) fn served(name: &str) -> Value {
    json!({
        "name": name,
        "kit": "dockerfile",
        "context": "web",
        "workload": {
            "type": "webservice",
            "properties": {
                "port": 8080,
                "cmd": ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/srv"],
            },
            "overridable": ["replicas", "env", "probes", "cmd", "volumeMounts"],
        },
    })
}

/// A component of the developers' file that is a ConfigMap.
pub(crate) fn settings() -> Value {
    json!({"name": "settings", "kit": "manifests", "context": "settings"})
}

/// Settings of an environment that the core drives, without gates.
pub(crate) fn core() -> Value {
    json!({"receiver": {"type": "core"}})
}

/// The same with a gate, so that a test may come between freezing and handing off.
pub(crate) fn gated() -> Value {
    json!({"receiver": {"type": "core"}, "gates": {"approvals": {"count": 1, "authorMay": true}}})
}

/// An operator's file.
pub(crate) fn document(spec: &Value) -> Value {
    json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": spec,
    })
}

/// An operator's file that says something of `web` alone.
pub(crate) fn of_web(fields: &Value) -> Value {
    let mut web = json!({"name": "web"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        web[key] = value.clone();
    }
    document(&json!({"components": [web]}))
}

/// The id of a deployment.
pub(crate) fn id_of(deployment: &Value) -> &str {
    deployment["id"].as_str().expect("an id")
}

impl Ground {
    /// A server with the cluster `test`, the application `shop` and the environment `prod`; nothing pushed yet.
    pub(crate) fn prepare() -> Self {
        Self::with(&[])
    }

    /// The same with more of the server's environment.
    pub(crate) fn with(env: &[(&str, &str)]) -> Self {
        let namespace = Namespace::create();
        let options = env.iter().fold(namespace.options(), |options, (key, value)| options.env(key, value));
        Self::on(namespace, options)
    }

    /// The same with other options.
    pub(crate) fn on(namespace: Namespace, options: ServerOptions) -> Self {
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        Self::by_kubeconfig(namespace, options, &kubeconfig)
    }

    /// The same on a server that reaches the cluster by another kubeconfig.
    pub(crate) fn by_kubeconfig(namespace: Namespace, options: ServerOptions, kubeconfig: &str) -> Self {
        let server = Server::start(options);
        let app = server.create_app("shop");
        Self::furnish(server, app, namespace, kubeconfig)
    }

    /// The same with developers who push to the repository `shop` of a forge, by [`Ground::publish_at`].
    pub(crate) fn at_forge(namespace: Namespace, options: ServerOptions, forge: &Forge) -> Self {
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        let options = options
            .env("SLIPWAY__GIT__ALLOW_HTTP", "true")
            .env("SLIPWAY__GIT__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");
        let server = Server::start(options);
        let app = server.create_app_with("shop", &["--source", &forge.create("shop"), "--poll", "24h"]);
        Self::furnish(server, app, namespace, &kubeconfig)
    }

    fn furnish(server: Server, app: App, namespace: Namespace, kubeconfig: &str) -> Self {
        server.cli(&["cluster", "add", "test", "--kubeconfig-file", kubeconfig]).ok();
        let ground = Self { server, repository: GitRepository::new(), namespace, app };
        ground.declare(&[served("web"), settings()]);
        let repository = &ground.repository;
        repository.write("web/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY site /srv\n");
        repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
        let settings =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: EUR}\n";
        repository.write("settings/settings.yaml", settings);
        ground.environment("prod", &ground.namespace, &core());
        ground
    }

    /// Writes the developers' file.
    pub(crate) fn declare(&self, components: &[Value]) {
        let declared = json!({
            "apiVersion": "slipway.dev/v1",
            "kind": "Application",
            "metadata": {"name": "shop"},
            "components": components,
        });
        self.repository.write("slipway.yaml", declared.to_string());
    }

    /// Describes an environment in a namespace.
    pub(crate) fn environment(&self, name: &str, namespace: &Namespace, settings: &Value) {
        let file = self.file(&format!("{name}.json"), settings);
        let address = format!("local/test/{}", namespace.name);
        self.server.cli(&["env", "create", name, "--address", &address, "-f", &file]).ok();
    }

    /// Pushes a page to `main` and gives the bundle's version.
    pub(crate) fn publish(&self, page: &str) -> String {
        self.repository.write("web/site/index.html", page);
        let bundle = self.server.publish(&self.app, &self.repository, "main", &format!("Show {page}"));
        bundle["version"].as_str().expect("a version").to_owned()
    }

    /// The same by way of a forge, and of its webhook.
    pub(crate) fn publish_at(&self, forge: &Forge, page: &str) -> String {
        self.repository.write("web/site/index.html", page);
        let commit = self.repository.commit(&format!("Show {page}"));
        forge.receive("shop", &self.repository, "HEAD:refs/heads/main");
        self.server.tell(&self.app, "refs/heads/main", &commit);
        let bundle = self.server.bundle_of(&self.server.wait_run_of("shop", &commit, "main"));
        bundle["version"].as_str().expect("a version").to_owned()
    }

    /// Gives an environment other settings.
    pub(crate) fn set(&self, environment: &str, settings: &Value) {
        let file = self.file("settings.json", settings);
        self.server.cli(&["env", "set", environment, "-f", &file]).ok();
    }

    /// Stores a secret of the application.
    pub(crate) fn set_secret(&self, name: &str, value: &str) {
        let file = self.server.scratch().join("value");
        fs::write(&file, value).expect("a file");
        let path = file.display().to_string();
        self.server.cli(&["secret", "set", name, "--app", "shop", "--from-file", &path]).ok();
        fs::remove_file(&file).expect("the file goes");
    }

    /// Writes what a command is to read; gives its path.
    pub(crate) fn file(&self, name: &str, content: &Value) -> String {
        let file = self.server.scratch().join(name);
        fs::write(&file, content.to_string()).expect("a file");
        file.display().to_string()
    }

    /// Makes a deployment.
    pub(crate) fn deploy(&self, environment: &str, version: &str, document: Option<&Value>) -> Value {
        let file = document.map(|document| self.file("application.json", document));
        let mut args =
            vec!["deploy", "create", "shop", "--env", environment, "--bundle", version, "--no-wait"];
        args.extend(file.iter().flat_map(|file| ["-f", file.as_str()]));
        self.server.json(&args)
    }

    /// Makes one and waits until it is live.
    pub(crate) fn deployed(&self, environment: &str, version: &str, document: Option<&Value>) -> Value {
        self.live(&self.deploy(environment, version, document))
    }

    /// Opens the gate of one that waits there.
    pub(crate) fn approve(&self, deployment: &Value) {
        self.wait(deployment, &["awaiting"], MOVES_WITHIN);
        self.server.cli(&["deploy", "approve", id_of(deployment)]).ok();
    }

    /// Begins to take the application away.
    pub(crate) fn remove(&self, environment: &str) -> Value {
        let remove = ["deploy", "remove", "shop", "--env", environment, "--reason", "the fair is over"];
        self.server.json(&[&remove[..], &["--yes", "--no-wait"]].concat())
    }

    /// What a deployment would be, with its objects; nothing may stand against it.
    pub(crate) fn plan(&self, environment: &str, version: &str, document: Option<&Value>) -> Value {
        let file = document.map(|document| self.file("planned.json", document));
        let mut args = vec!["deploy", "plan", "shop", "--env", environment, "--bundle", version, "--objects"];
        args.extend(file.iter().flat_map(|file| ["-f", file.as_str()]));
        self.server.json(&args)
    }

    /// The image of a bundle's `web`, as the cluster pulls it.
    pub(crate) fn image(&self, environment: &str, version: &str) -> String {
        let plan = self.plan(environment, version, None);
        let mut objects = plan["objects"].as_array().into_iter().flatten();
        let web = objects.find(|object| object["kind"] == "Deployment").expect("a Deployment");
        let image = web.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str);
        image.expect("an image").to_owned()
    }

    /// The newest deployment in an environment; null without one.
    pub(crate) fn newest(&self, environment: &str) -> Value {
        self.server.json(&["deploy", "list", "shop", "--env", environment, "--limit", "1"])[0].clone()
    }

    /// All that is known of a deployment.
    pub(crate) fn show(&self, deployment: &Value) -> Value {
        self.server.json(&["deploy", "show", id_of(deployment)])
    }

    /// Waits until a deployment is in one of these states.
    pub(crate) fn wait(&self, deployment: &Value, states: &[&str], within: Duration) -> Value {
        wait::until(&format!("{} is {states:?}", id_of(deployment)), within, || {
            let shown = self.show(deployment);
            let state = shown["state"].as_str().unwrap_or_default().to_owned();
            let is = states.contains(&state.as_str());
            assert!(is || !LOST.contains(&state.as_str()), "not {states:?} any more: {shown:#}");
            if is { Ok(shown) } else { Err(shown) }
        })
    }

    /// Waits until a deployment is live.
    pub(crate) fn live(&self, deployment: &Value) -> Value {
        self.wait(deployment, &["live"], LIVE_WITHIN)
    }
}
