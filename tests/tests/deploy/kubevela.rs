//! Hand-off to KubeVela: the Application lies in a real API server, and the test says what KubeVela would.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::world::{Field, options};

/// As much of KubeVela's definition as an API server needs to keep Applications.
const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.core.oam.dev}
spec:
  group: core.oam.dev
  names: {kind: Application, listKind: ApplicationList, plural: applications, singular: application}
  scope: Namespaced
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

fn define(namespace: &Namespace, field: &std::path::Path) {
    let file = field.join("definition.yaml");
    fs::write(&file, DEFINITION).expect("a file");
    let file = file.display().to_string();
    namespace.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file]);
    let established = "condition=established";
    namespace.kubectl(&["wait", "--for", established, "crd/applications.core.oam.dev", "--timeout", "60s"]);
}

/// Writes the status that KubeVela writes for a generation.
fn says(namespace: &Namespace, generation: u64, phase: &str, finished: bool, web: &Value) {
    let status = json!({"status": {
        "status": phase,
        "workflow": {"appRevision": format!("g{generation}"), "finished": finished},
        "services": [web],
    }});
    let patch = status.to_string();
    namespace.kubectl(&["patch", "applications.core.oam.dev/shop", "--type", "merge", "--patch", &patch]);
}

fn web(healthy: bool, message: &str) -> Value {
    json!({"name": "web", "healthy": healthy, "message": message})
}

#[test]
fn an_application_of_kubevela_is_watched_from_its_status() {
    let namespace = Namespace::create();
    let scratch = tempfile::tempdir().expect("a directory");
    define(&namespace, scratch.path());
    let options = options(&namespace);
    let field = Field::on(namespace, options);
    field.environment("prod", "default", &json!({"receiver": {"type": "kubevela"}}));
    let version = field.publish("one\n");
    let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", &version, "--no-wait"];
    let made = field.server.json(&create);
    let shown = field.wait_for(&made, &["progressing"]);
    assert!(shown["reason"].as_str().is_some_and(|why| why.contains("not taken up")), "{shown:#}");
    says(&field.namespace, 1, "runningWorkflow", false, &web(false, "0/1 ready"));
    wait::until("the reason is told", Duration::from_secs(90), || {
        let shown = field.server.json(&["deploy", "show", "shop@prod"]);
        if shown["reason"].to_string().contains("web: 0/1 ready") { Ok(()) } else { Err(shown) }
    });
    says(&field.namespace, 1, "running", true, &web(true, ""));
    let live = field.wait_for(&made, &["live"]);
    assert_eq!(live["receiver"]["nodes"][0]["state"], "ready", "{live:#}");
    says(&field.namespace, 1, "unhealthy", true, &web(false, "0/1 ready"));
    field.wait_for(&made, &["degraded"]);
    says(&field.namespace, 1, "running", true, &web(true, ""));
    field.wait_for(&made, &["live"]);

    let refused = field.server.cli(&["deploy", "terminate", "shop@prod", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("cannot be stopped"), "{}", refused.stderr);

    let second = field.publish("two\n");
    let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", &second, "--no-wait"];
    let next = field.server.json(&create);
    field.wait_for(&next, &["handed_off", "progressing"]);
    let refused = field.server.cli(&["deploy", "suspend", "shop@prod"]);
    assert!(refused.code == 1 && refused.stderr.contains("cannot suspend"), "{}", refused.stderr);
    says(&field.namespace, 2, "workflowFailed", true, &web(false, "no such image"));
    let failed = field.wait_for(&next, &["failed"]);
    assert!(failed["reason"].as_str().is_some_and(|why| why.contains("no such image")), "{failed:#}");

    let remove = ["deploy", "remove", "shop", "--env", "prod", "--reason", "done with it", "--yes"];
    field.server.cli(&remove).ok();
    field.wait("prod", &["deleted"]);
    let left = field.namespace.kubectl(&["get", "applications.core.oam.dev", "--output", "name"]);
    assert_eq!(left.trim(), "");
    field.namespace.kubectl(&["get", "configmap", "shop-slipway-removed"]);
    assert_eq!(field.place("prod"), None);
}
