//! The world that every case is deployed into.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{GitRepository, Server, ServerOptions, World};
use slipway_yaml::{References, YamlOptions};

/// Environments by their place `cluster/namespace[/stage]`.
const ENVIRONMENTS: [(&str, &str); 4] = [
    ("local/oam-test", "test"),
    ("local/oam-live", "live"),
    ("local/oam-test/dev", "dev"),
    ("local/oam-test/pre", "pre"),
];
/// The environment that a case is deployed to.
pub(crate) const DEFAULT: &str = "test";

/// A server with the cluster `local` and its environments.
pub(crate) struct Field {
    pub(crate) server: Server,
    namespace: Namespace,
    /// Applications by what their bundle holds.
    applications: BTreeMap<String, String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oam")
}

/// A file of the list as text.
pub(crate) fn text(path: &str) -> String {
    let path = directory().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of the list as JSON.
pub(crate) fn read(path: &str) -> Value {
    let options = YamlOptions { references: References::Opaque, ..YamlOptions::default() };
    let documents = slipway_yaml::read(text(path).as_bytes(), &options)
        .unwrap_or_else(|errors| panic!("{path}: {errors:?}"));
    documents.first().map(slipway_yaml::Node::to_json).unwrap_or_default()
}

impl Field {
    pub(crate) fn prepare() -> Self {
        let namespace = Namespace::create();
        for name in ["oam-test", "oam-live"] {
            // One that an earlier run left does as well.
            drop(namespace.try_kubectl(&["create", "namespace", name]));
        }
        let options = ServerOptions { world: Some(World::Embedded), ..namespace.options() };
        let kubectl = slipway_tests::services::tool("kubectl").display().to_string();
        let options = options.env("SLIPWAY__DEPLOY__KUSTOMIZE", &kubectl);
        let server = Server::start(options);
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        let add = ["cluster", "add", "local", "--kubeconfig-file", &kubeconfig, "--label", "region=north"];
        server.cli(&add).ok();
        for (place, name) in ENVIRONMENTS {
            server.cli(&["env", "create", name, "--address", &format!("home/{place}")]).ok();
        }
        Self { server, namespace, applications: BTreeMap::new() }
    }

    /// Gives the cluster the kinds that some cases have.
    pub(crate) fn add_kinds(&self) {
        let kinds = directory().join("crds").display().to_string();
        self.namespace.kubectl(&["apply", "--server-side", "--filename", &kinds]);
        self.namespace.kubectl(&["wait", "--for", "condition=Established", "--filename", &kinds]);
        self.server.cli(&["cluster", "check", "local"]).ok();
    }

    /// The place of an environment.
    pub(crate) fn place(environment: &str) -> &'static str {
        ENVIRONMENTS.iter().find(|(_, name)| *name == environment).map(|(place, _)| *place).expect("known")
    }

    /// An application whose bundle holds what the case says.
    pub(crate) fn application(&mut self, bundle: &Value) -> String {
        let key = bundle.to_string();
        if let Some(known) = self.applications.get(&key) {
            return known.clone();
        }
        let name = format!("sample-{}", self.applications.len());
        let app = self.server.create_app(&name);
        let repository = GitRepository::new();
        let components: Vec<Value> = match bundle.as_array() {
            Some(list) => list.iter().map(|one| component(&repository, one)).collect(),
            None => vec![component(&repository, &json!({"name": "unused", "image": "unused"}))],
        };
        let file = json!({
            "apiVersion": "slipway.dev/v1",
            "kind": "Application",
            "metadata": {"name": name},
            "components": components,
        });
        repository.write("slipway.yaml", file.to_string());
        self.server.publish(&app, &repository, "main", "Begin");
        self.applications.insert(key, name.clone());
        name
    }

    /// The plan of a document in an environment.
    pub(crate) fn plan(&self, application: &str, environment: &str, document: &str) -> Value {
        let body = json!({
            "application": application,
            "environment": environment,
            "select": {"prerelease": "yes"},
            "document": document,
            "objects": true,
        });
        let authorization = format!("Bearer {}", self.server.token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer =
            self.server.request("POST", "/api/v1/deployments/plan", &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let kinds = directory().join("crds").display().to_string();
        drop(self.namespace.try_kubectl(&["delete", "--ignore-not-found", "--filename", &kinds]));
        for name in ["oam-test", "oam-live"] {
            drop(self.namespace.try_kubectl(&["delete", "namespace", name, "--wait=false"]));
        }
    }
}

/// A component of `slipway.yaml` for a package of the list, its files written.
fn component(repository: &GitRepository, package: &Value) -> Value {
    let name = package["name"].as_str().expect("a name");
    let mut component = json!({"name": name, "context": name});
    let files = package["chart"].as_str().or(package["files"].as_str());
    if let Some(files) = files {
        copy(repository, &directory().join(files), name);
        component["kit"] = if package["chart"].is_string() { "helm" } else { "kustomize" }.into();
        if package["files"].is_string() {
            component["with"] = json!({"path": "overlays/test"});
        }
    } else {
        repository.write(&format!("{name}/Dockerfile"), "FROM scratch\nCOPY file /file\n");
        repository.write(&format!("{name}/file"), name);
        component["kit"] = "dockerfile".into();
    }
    if let Some(kind) = package["type"].as_str() {
        component["workload"] = json!({"type": kind});
        for key in ["properties", "overridable"] {
            if !package[key].is_null() {
                component["workload"][key] = package[key].clone();
            }
        }
    }
    component
}

fn copy(repository: &GitRepository, from: &Path, to: &str) {
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let path = format!("{to}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            copy(repository, &entry.path(), &path);
        } else {
            repository.write(&path, fs::read(entry.path()).expect("a file"));
        }
    }
}
