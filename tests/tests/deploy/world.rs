//! A server, a cluster it is registered with, and an application that runs there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions, World};
use slipway_tests::{services, wait};

/// How long a deployment may take on its way.
const MOVES_WITHIN: Duration = Duration::from_secs(90);

const SLIPWAY_YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - name: web
    kit: dockerfile
    context: web
    workload:
      type: webservice
      properties:
        port: 8080
        cmd: [/bin/busybox, httpd, -f, -p, \"8080\", -h, /srv]
      overridable: [replicas, env, cpu, memory]
  - name: settings
    kit: manifests
    context: settings
";

/// Everything a deployment needs.
pub(crate) struct Field {
    pub(crate) server: Server,
    pub(crate) namespace: Namespace,
    pub(crate) app: App,
    pub(crate) repository: GitRepository,
}

/// The shop: a web server that needs nothing, and a ConfigMap.
pub(crate) fn shop() -> GitRepository {
    let repository = GitRepository::new();
    repository.write("slipway.yaml", SLIPWAY_YAML);
    repository.write("web/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY site /srv\n");
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    repository.write("web/site/index.html", "one\n");
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: EUR}\n";
    repository.write("settings/settings.yaml", settings);
    repository
}

/// A server that the cluster's nodes reach, and pull from.
pub(crate) fn options(namespace: &Namespace) -> ServerOptions {
    ServerOptions { world: Some(World::Embedded), ..namespace.options() }
}

impl Field {
    /// A server with the cluster `test`, and the application `shop`, nothing pushed yet.
    pub(crate) fn prepare() -> Self {
        let namespace = Namespace::create();
        let options = options(&namespace);
        Self::on(namespace, options)
    }

    /// The same on a server with other options.
    pub(crate) fn on(namespace: Namespace, options: ServerOptions) -> Self {
        Self::on_server(Server::start(options), namespace)
    }

    /// The same on a server that runs already.
    pub(crate) fn on_server(server: Server, namespace: Namespace) -> Self {
        let app = server.create_app("shop");
        let field = Self { server, namespace, app, repository: shop() };
        field.register();
        field
    }

    fn register(&self) {
        let kubeconfig = self.namespace.cluster.kubeconfig.display().to_string();
        self.server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
    }

    /// Describes an environment in the namespace, a stage of its own for each but the first.
    pub(crate) fn environment(&self, name: &str, stage: &str, settings: &Value) {
        self.environment_at(name, &format!("local/test/{}/{stage}", self.namespace.name), settings);
    }

    /// Describes an environment at an address.
    pub(crate) fn environment_at(&self, name: &str, address: &str, settings: &Value) {
        let file = self.server.scratch().join(format!("{name}.json"));
        fs::write(&file, settings.to_string()).expect("a file");
        let file = file.display().to_string();
        self.server.cli(&["env", "create", name, "--address", address, "-f", &file]).ok();
    }

    /// Pushes a page to `main` and gives the bundle's version.
    pub(crate) fn publish(&self, page: &str) -> String {
        self.repository.write("web/site/index.html", page);
        let bundle = self.server.publish(&self.app, &self.repository, "main", &format!("Show {page}"));
        bundle["version"].as_str().expect("a version").to_owned()
    }

    /// What `where` says of an environment.
    pub(crate) fn place(&self, environment: &str) -> Option<Value> {
        let places = self.server.json(&["where", "shop", "--env", environment]);
        places.as_array().and_then(|places| places.first()).cloned()
    }

    /// Waits until the newest deployment in an environment is in one of these states.
    pub(crate) fn wait(&self, environment: &str, states: &[&str]) -> Value {
        wait::until(&format!("{environment} is {states:?}"), MOVES_WITHIN, || {
            let list = self.server.json(&["deploy", "list", "shop", "--env", environment]);
            let newest = list.as_array().and_then(|list| list.first()).cloned().unwrap_or_default();
            let is = newest["state"].as_str().is_some_and(|state| states.contains(&state));
            if is { Ok(newest) } else { Err(newest) }
        })
    }

    /// Waits until an environment runs a version.
    pub(crate) fn wait_for_version(&self, environment: &str, version: &str) {
        wait::until(&format!("{environment} runs {version}"), MOVES_WITHIN, || {
            let place = self.place(environment).unwrap_or_default();
            if place["version"] == version { Ok(()) } else { Err(place) }
        });
    }

    /// Waits until a deployment is in one of these states.
    pub(crate) fn wait_for(&self, deployment: &Value, states: &[&str]) -> Value {
        let id = deployment["id"].as_str().expect("an id");
        wait::until(&format!("{id} is {states:?}"), MOVES_WITHIN, || {
            let shown = self.server.json(&["deploy", "show", id]);
            let is = shown["state"].as_str().is_some_and(|state| states.contains(&state));
            if is { Ok(shown) } else { Err(shown) }
        })
    }

    /// Pulls an artifact with stock tools and gives the directory of its files.
    pub(crate) fn pull(&self, artifact: &str) -> PathBuf {
        let directory = self.server.scratch().join(format!("pulled-{}", artifact.len()));
        drop(fs::remove_dir_all(&directory));
        fs::create_dir(&directory).expect("a directory");
        let mut oras = std::process::Command::new(services::tool("oras"));
        oras.args(["pull", "--plain-http", "--username", "any", "--password", self.server.token()]);
        oras.args(["--output"]).arg(&directory).arg(artifact);
        let pulled = slipway_tests::server::run_within(oras, MOVES_WITHIN);
        assert_eq!(pulled.code, 0, "oras pull {artifact}: {}", pulled.stderr);
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            if entry.path().extension().is_some_and(|end| end == "gz" || end == "tgz") {
                let mut tar = std::process::Command::new("tar");
                tar.arg("-xzf").arg(entry.path()).arg("-C").arg(&directory);
                assert_eq!(slipway_tests::server::run_within(tar, MOVES_WITHIN).code, 0);
                fs::remove_file(entry.path()).expect("a file");
            }
        }
        directory
    }

    /// Applies what an artifact holds with stock tools, as a receiver would.
    pub(crate) fn apply(&self, namespace: &Namespace, artifact: &str) {
        let directory = self.pull(artifact);
        let files = directory.display().to_string();
        namespace.kubectl(&["apply", "--server-side", "--recursive", "--filename", &files]);
    }
}

/// What a pod of the component serves.
pub(crate) fn page(namespace: &Namespace, object: &str) -> String {
    let deployment = format!("deployment/{object}");
    namespace.kubectl(&["rollout", "status", &deployment, "--timeout", "90s"]);
    let look = ["exec", &deployment, "--", "/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"];
    namespace.kubectl(&look)
}

/// No gates at all.
pub(crate) fn open() -> Value {
    json!({"receiver": {"type": "oci"}})
}
