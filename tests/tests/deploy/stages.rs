//! Stages of one namespace: nothing of one leads to the other.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use slipway_tests::wait;

use crate::world::{Field, open, page};

const CHART: [(&str, &str); 4] = [
    (
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: cache, kit: helm, context: cache}\n",
    ),
    ("cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.0.0\n"),
    (
        "cache/templates/whole.yaml",
        "\
apiVersion: v1
kind: ConfigMap
metadata: {name: cache-settings}
data: {size: \"1\", peer: \"tcp://cache:6379\"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: cache}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: cache}
rules: [{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: cache}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: cache}
subjects: [{kind: ServiceAccount, name: cache, namespace: {{ .Release.Namespace }}}]
---
apiVersion: v1
kind: Service
metadata: {name: cache}
spec: {selector: {app: cache}, ports: [{port: 6379, protocol: TCP}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: cache}
spec:
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: cache, port: {number: 6379}}}}]}
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: cache}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cache}}
",
    ),
    (
        "cache/templates/deployment.yaml",
        "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec:
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      serviceAccountName: cache
      containers:
      - name: cache
        image: {{ .Release.Name }}.invalid/none
        envFrom: [{configMapRef: {name: cache-settings}}]
      volumes: [{name: settings, configMap: {name: cache-settings}}]
",
    ),
];

#[test]
fn two_stages_share_a_namespace_and_do_not_meet() {
    let field = Field::prepare();
    field.environment("main", "default", &open());
    field.environment("blue", "blue", &open());
    let first = field.publish("one\n");
    let second = field.publish("two\n");
    for (environment, version) in [("main", &first), ("blue", &second)] {
        field.server.cli(&["deploy", "create", "shop", "--env", environment, "--bundle", version]).ok();
        let delivered = field.wait(environment, &["delivered"]);
        field.apply(&field.namespace, delivered["reason"].as_str().expect("an artifact"));
    }
    let pages = (page(&field.namespace, "web"), page(&field.namespace, "web-blue"));
    assert_eq!(pages, ("one\n".into(), "two\n".into()));
    let selected = |service: &str| {
        let endpoints =
            ["get", "endpoints", service, "--output", "jsonpath={.subsets[*].addresses[*].targetRef.name}"];
        field.namespace.kubectl(&endpoints)
    };
    assert!(
        selected("web").starts_with("web-") && !selected("web").contains("web-blue"),
        "{}",
        selected("web")
    );
    assert!(selected("web-blue").starts_with("web-blue-"), "{}", selected("web-blue"));
    let settings = field.namespace.kubectl(&["get", "configmaps", "--output", "name"]);
    for name in ["configmap/shop-settings", "configmap/shop-settings-blue"] {
        assert!(settings.lines().any(|line| line == name), "{settings}");
    }
}

/// What lies at a path of an object of the namespace.
fn value(field: &Field, kind: &str, name: &str, pointer: &str) -> Value {
    let object = field.namespace.kubectl(&["get", kind, name, "--output", "json"]);
    let object: Value = serde_json::from_str(&object).expect("JSON");
    object.pointer(pointer).cloned().unwrap_or_default()
}

/// The pods that a Service leads to, by its own selector; waits until there is one.
fn pods(field: &Field, service: &str) -> BTreeSet<String> {
    let selector = value(field, "service", service, "/spec/selector");
    let labels = selector.as_object().expect("a selector").iter();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let selector = selector.join(",");
    let get = ["get", "pods", "--selector", &selector, "--output", "name"];
    wait::until(&format!("{service} has a pod"), Duration::from_secs(60), || {
        let listed = field.namespace.kubectl(&get);
        if listed.trim().is_empty() { Err(listed) } else { Ok(listed.lines().map(str::to_owned).collect()) }
    })
}

#[test]
fn two_stages_of_one_chart_share_a_namespace() {
    let field = Field::prepare();
    for (path, content) in CHART {
        field.repository.write(path, content);
    }
    field.environment("main", "default", &open());
    field.environment("blue", "blue", &open());
    let bundle = field.server.publish(&field.app, &field.repository, "main", "Add a chart");
    let version = bundle["version"].as_str().expect("a version");
    for environment in ["main", "blue"] {
        let plan = field.server.json(&["deploy", "plan", "shop", "--env", environment, "--bundle", version]);
        assert_eq!(plan["violations"], serde_json::json!([]), "{plan:#}");
        let told = plan["notes"].to_string().contains("`cache`, which is `cache-blue`");
        assert_eq!(told, environment == "blue", "{plan:#}");
        field.server.cli(&["deploy", "create", "shop", "--env", environment, "--bundle", version]).ok();
        let delivered = field.wait(environment, &["delivered"]);
        field.apply(&field.namespace, delivered["reason"].as_str().expect("an artifact"));
    }
    for (name, settings) in [("cache", "cache-settings"), ("cache-blue", "cache-settings-blue")] {
        let pod = "/spec/template/spec";
        assert_eq!(value(&field, "deployment", name, &format!("{pod}/volumes/0/configMap/name")), settings);
        let from = format!("{pod}/containers/0/envFrom/0/configMapRef/name");
        assert_eq!(value(&field, "deployment", name, &from), settings);
        assert_eq!(value(&field, "deployment", name, &format!("{pod}/serviceAccountName")), name);
        assert_eq!(value(&field, "hpa", name, "/spec/scaleTargetRef/name"), name);
        assert_eq!(value(&field, "rolebinding", name, "/subjects/0/name"), name);
        assert_eq!(value(&field, "rolebinding", name, "/roleRef/name"), name);
        let backend = "/spec/rules/0/http/paths/0/backend/service/name";
        assert_eq!(value(&field, "ingress.networking.k8s.io", name, backend), name);
        assert_eq!(value(&field, "configmap", settings, "/data/size"), "1");
    }
    let (main, blue) = (pods(&field, "cache"), pods(&field, "cache-blue"));
    assert!(main.is_disjoint(&blue), "{main:?} {blue:?}");
    assert!(blue.iter().all(|pod| pod.starts_with("pod/cache-blue-")), "{blue:?}");
}
