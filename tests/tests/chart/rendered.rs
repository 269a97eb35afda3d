//! What the chart renders, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{binary, run_within};
use tempfile::TempDir;

use crate::helm::{deploy, helm, helm_ok, values};

const FILES: [&str; 4] = ["single", "ha", "kaniko", "corporate"];
const WITHIN: Duration = Duration::from_mins(1);
/// An authority that signs nothing.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUFr5oeLvFz9QHN0826eNGVIm4pBUwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEY29ycDAgFw0yNjExMjExNDM0MjBaGA8yMTI2MTAyODE0MzQy
MFowDzENMAsGA1UEAwwEY29ycDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDD/
84Cz+4G4sdXLBeZXN5e9iRhpQHmllnqal+DU0idYby1yV6qauyo5bhRf9e2DeRCl
dhIeK2ZeeFuxz0NNqOijUzBRMB0GA1UdDgQWBBSU3TPIpYhxBBmifoeQLLOtCcoA
sDAfBgNVHSMEGDAWgBSU3TPIpYhxBBmifoeQLLOtCcoAsDAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIC5UU2+GRjrC3aXxZ7SuUfvynyvTD0sI1Oj/
tqvnh8foAiBeD2kinEmk+l4VQ1vSmtejlg4uyIn22ocEWM+RYBkYPw==
-----END CERTIFICATE-----
";

#[test]
fn chart_passes_lint_and_manifests_are_what_it_renders_now() {
    for file in FILES {
        helm_ok("lint", &["--values", &values(file)]);
    }
    let mut render = Command::new(deploy("render"));
    render.arg("--check");
    let checked = run_within(render, WITHIN);
    assert_eq!(checked.code, 0, "{}{}", checked.text(), checked.stderr);
}

/// Custom resources of the Prometheus operator, with schemas that take everything; gone when dropped.
struct OpenSchemas<'a>(&'a Namespace);

const KINDS: [(&str, &str); 2] = [("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")];

impl<'a> OpenSchemas<'a> {
    fn create(namespace: &'a Namespace, directory: &Path) -> Self {
        let definitions: Vec<Value> = KINDS.iter().map(|(kind, plural)| definition(kind, plural)).collect();
        let path = directory.join("definitions.json");
        fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": definitions}).to_string())
            .expect("a file");
        namespace.kubectl(&["apply", "--filename", path.to_str().expect("text")]);
        for (_, plural) in KINDS {
            let name = format!("customresourcedefinition/{plural}.monitoring.coreos.com");
            namespace.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", &name]);
        }
        Self(namespace)
    }
}

impl Drop for OpenSchemas<'_> {
    fn drop(&mut self) {
        for (_, plural) in KINDS {
            let name = format!("customresourcedefinition/{plural}.monitoring.coreos.com");
            drop(self.0.try_kubectl(&["delete", "--ignore-not-found", "--wait=false", &name]));
        }
    }
}

fn definition(kind: &str, plural: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[test]
fn cluster_accepts_every_object_and_slipway_every_setting() {
    let (namespace, builds) = (Namespace::create(), Namespace::create());
    let scratch = TempDir::new().expect("a directory");
    let _schemas = OpenSchemas::create(&namespace, scratch.path());
    let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
    for file in FILES {
        let rendered = helm_ok(
            "install",
            &[
                "--dry-run",
                "server",
                "--kubeconfig",
                &kubeconfig,
                "--namespace",
                &namespace.name,
                "--values",
                &values(file),
                "--set",
                &format!("kaniko.namespace={},kaniko.createNamespace=false", builds.name),
            ],
        );
        let path = scratch.path().join(file).with_extension("yaml");
        fs::write(&path, rendered).expect("a file");
        // Objects of two namespaces, each of which names its own.
        let mut kubectl = Command::new(slipway_tests::services::tool("kubectl"));
        kubectl.args([
            "--kubeconfig",
            &kubeconfig,
            "apply",
            "--dry-run=server",
            "--output=json",
            "--filename",
        ]);
        let applied = run_within(
            {
                kubectl.arg(&path);
                kubectl
            },
            WITHIN,
        );
        assert_eq!(applied.code, 0, "{file}: {}", applied.stderr);
        let list: Value = serde_json::from_str(&applied.text()).expect("JSON");
        let objects = list["items"].as_array().expect("objects");
        check_kinds(file, objects);
        check_settings(file, objects, scratch.path());
    }
}

/// What has to be among the objects of a value file.
fn check_kinds(file: &str, objects: &[Value]) {
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    let expected: &[(&str, usize)] = match file {
        "single" => {
            &[("Deployment", 1), ("PersistentVolumeClaim", 1), ("Role", 0), ("PodDisruptionBudget", 0)]
        }
        "ha" => &[("Deployment", 4), ("PodDisruptionBudget", 3), ("PersistentVolumeClaim", 0), ("Role", 0)],
        "kaniko" => &[("Deployment", 1), ("Role", 1), ("RoleBinding", 1)],
        _ => &[("Ingress", 1), ("NetworkPolicy", 2), ("PrometheusRule", 1), ("PodMonitor", 1), ("Role", 1)],
    };
    for (kind, number) in expected {
        assert_eq!(count(kind), *number, "{file}: {kind} among {kinds:?}");
    }
    assert_eq!(count("ClusterRole") + count("ClusterRoleBinding"), 0, "{file}");
}

/// The configuration in the ConfigMap is one that the server takes.
fn check_settings(file: &str, objects: &[Value], scratch: &Path) {
    let directory = scratch.join(file);
    fs::create_dir(&directory).expect("a directory");
    let map = objects.iter().find(|object| object["data"]["slipway.toml"].is_string()).expect("a ConfigMap");
    let mounted = format!("{}/", directory.display());
    for (name, text) in map["data"].as_object().expect("files") {
        let text = text.as_str().expect("text");
        let text = text.replace("/etc/slipway/config/", &mounted).replace("/etc/slipway/ca/", &mounted);
        fs::write(directory.join(name), text).expect("a file");
    }
    fs::write(directory.join("bundle.pem"), AUTHORITY).expect("a file");
    let mut check = Command::new(binary());
    check.args(["config", "check", "--config"]).arg(directory.join("slipway.toml"));
    for name in ["ADMIN_TOKEN", "DATABASE", "S3", "REGISTRY", "PROXY", "MIRROR"] {
        check.env(format!("SLIPWAY_SECRET_{name}"), "x");
    }
    let checked = run_within(check, WITHIN);
    assert_eq!(checked.code, 0, "{file}: {}", checked.stderr);
}

#[test]
fn wrong_values_are_refused_with_the_way_out() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let base = format!("image.repository=r.io/slipway,image.digest={digest},publicUrl=http://s");
    let shared = "config.database.url=postgres://u@h/d,config.storage.url=s3://b,secrets.existing=s,\
                  secrets.keys.keyFile=k,secrets.keys.adminToken=t,persistence.enabled=false";
    let refused = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let finished = helm("template", &sets);
        assert_ne!(finished.code, 0, "{sets:?} are taken");
        finished.stderr
    };
    for (set, part) in [
        ("publicUrl=", "publicUrl: set the address"),
        ("server.replicas=2", "several pods are one Slipway only if they share"),
        ("splitRoles=true", "several pods are one Slipway only if they share"),
        ("persistence.enabled=false", "persistence.enabled is false"),
        ("kaniko.enabled=true", "kaniko.image: name the executor's image"),
        ("kaniko.image=r.io/kaniko:latest", "image"),
        ("secrets.keys.adminToken=t", "set secrets.existing"),
        ("secrets.env.SLIPWAY_SECRET_X=x", "set secrets.existing"),
        ("secrets.env.PATH=x", "PATH"),
        ("ingress.enabled=true", "ingress.host"),
        ("image.digest=v1", "digest"),
        ("replicas=2", "replicas"),
        ("service.type=Loadbalancer", "type"),
        ("config.server.listen=0.0.0.0:8080", "config.server.listen"),
    ] {
        let said = refused(&[&base, set]);
        assert!(said.contains(part), "{set}: {said}");
    }
    for (set, part) in [
        ("persistence.enabled=true", "several pods cannot share one claim"),
        ("secrets.keys.adminToken=", "secrets.keys.adminToken"),
        ("secrets.keys.keyFile=", "secrets.keys.keyFile"),
        ("config.storage.url=", "several pods are one Slipway only if they share"),
    ] {
        let said = refused(&[&base, shared, "server.replicas=2", set]);
        assert!(said.contains(part), "{set}: {said}");
    }
    helm_ok("template", &["--set", &base, "--set", shared, "--set", "server.replicas=2"]);
}
