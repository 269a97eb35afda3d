//! What is refused before any cluster is touched, all of it at once, and that nothing was written.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use slipway_tests::services;

use crate::world::{Field, open};

/// Verbs that write.
const WRITES: [&str; 6] = ["create", "update", "patch", "delete", "deletecollection", "put"];

fn application(components: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n{components}"
    )
}

/// A server that knows the cluster by a user of this test alone.
struct Watched {
    field: Field,
    /// Its name, as the API server's audit log has it.
    user: String,
}

impl Watched {
    fn prepare() -> Self {
        let field = Field::prepare();
        let namespace = &field.namespace;
        namespace.kubectl(&["create", "serviceaccount", "slipway"]);
        let account = format!("--serviceaccount={}:slipway", namespace.name);
        let binding =
            ["create", "clusterrolebinding", &namespace.name, "--clusterrole=cluster-admin", &account];
        namespace.kubectl(&binding);
        let user = format!("system:serviceaccount:{}:slipway", namespace.name);
        let watched = Self { field, user };
        watched.rotate();
        watched
    }

    /// Gives the server the user's credential.
    fn rotate(&self) {
        let namespace = &self.field.namespace;
        let scratch = |name: &str, content: &str| {
            let file = self.field.server.scratch().join(name);
            fs::write(&file, content).expect("a file");
            file.display().to_string()
        };
        let wanted = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let wanted = scratch("token-request.json", &wanted.to_string());
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/slipway/token", namespace.name);
        let made = namespace.kubectl(&["create", "--raw", &path, "--filename", &wanted]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let config =
            namespace.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output", "json"]);
        let mut config: Value = serde_json::from_str(&config).expect("JSON");
        config["users"][0]["user"] = json!({"token": made["status"]["token"]});
        let config = scratch("own-user.json", &config.to_string());
        self.field.server.cli(&["cluster", "rotate-credentials", "test", "--kubeconfig-file", &config]).ok();
    }

    /// What the user asked for, as the API server's audit log has it.
    fn requests(&self) -> Vec<Value> {
        let log = fs::read_to_string(&self.field.namespace.cluster.audit_log).expect("the audit log");
        log.lines()
            .filter(|line| line.contains(&self.user))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| entry["user"]["username"] == self.user.as_str())
            .collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.field.namespace.try_kubectl(&["delete", "clusterrolebinding", &self.field.namespace.name]));
    }
}

impl std::ops::Deref for Watched {
    type Target = Field;

    fn deref(&self) -> &Field {
        &self.field
    }
}

/// Writes of the user anywhere in the cluster that were no dry run.
fn writes(watched: &Watched) -> Vec<String> {
    watched
        .requests()
        .iter()
        .filter(|entry| entry["verb"].as_str().is_some_and(|verb| WRITES.contains(&verb)))
        .filter_map(|entry| entry["requestURI"].as_str().map(str::to_owned))
        .filter(|uri| !uri.contains("dryRun=All"))
        .collect()
}

/// Versions of all that lies in the namespace, of every kind that the cluster lists. Events and leases are
/// others' to write at any time; kinds of other tests come and go.
fn versions(field: &Field) -> BTreeMap<String, String> {
    let kinds =
        field.namespace.kubectl(&["api-resources", "--namespaced", "--verbs", "list", "--output", "name"]);
    let passing = ["events", "events.events.k8s.io", "leases.coordination.k8s.io"];
    let kinds: Vec<&str> =
        kinds.lines().filter(|kind| !passing.contains(kind) && !kind.ends_with(".slipway.test")).collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    let list = field.namespace.kubectl(&["get", &kinds.join(","), "--output", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| {
            let name = format!("{} {} {}", item["apiVersion"], item["kind"], item["metadata"]["name"]);
            (name, item["metadata"]["resourceVersion"].to_string())
        })
        .collect()
}

/// Deploys with a document, and gives the violations of what must be refused.
fn refused(field: &Watched, document: &str) -> Vec<Value> {
    let before = versions(field);
    let body = json!({
        "application": "shop", "environment": "staging", "select": {"prerelease": "yes"}, "document": document,
    });
    let authorization = format!("Bearer {}", field.server.token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let made = field.server.request("POST", "/api/v1/deployments", &headers, body.to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let rejected = field.wait_for(&made.json(), &["rejected"]);
    assert!(!field.requests().is_empty(), "the audit log does not know the user");
    assert_eq!(writes(field), Vec::<String>::new());
    assert_eq!(versions(field), before);
    rejected["violations"].as_array().cloned().unwrap_or_default()
}

fn prepared() -> Watched {
    let field = Watched::prepare();
    field.environment("staging", "default", &open());
    field.publish("one\n");
    field
}

fn assert_told(violations: &[Value], code: &str, path: &str) {
    let told = violations.iter().find(|violation| violation["code"] == code);
    let told = told.unwrap_or_else(|| panic!("{code} is not told: {violations:#?}"));
    assert!(told["path"].as_str().is_some_and(|found| found.contains(path)), "{told:#}");
    assert!(told["message"].as_str().is_some_and(|message| message.len() > 10), "{told:#}");
}

#[test]
fn traits_that_do_not_apply_or_do_not_go_together_are_refused() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components:\n  - {name: settings, traits: [{type: scaler, properties: {replicas: 2}}]}\n",
        ),
    );
    assert_told(&found, "trait_not_applicable", "components[settings]");
    let found = refused(
        &field,
        &application(
            "  components:\n  - name: web\n    traits:\n    - {type: scaler, properties: {replicas: 2}}\n    - {type: hpa, properties: {min: 1, max: 3}}\n",
        ),
    );
    let codes: Vec<&str> = found.iter().filter_map(|violation| violation["code"].as_str()).collect();
    assert!(codes.contains(&"trait_conflict") || codes.contains(&"runtime_owned_field"), "{found:#?}");
}

#[test]
fn two_writers_of_one_field_and_fields_of_a_controller_are_refused() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components:\n  - name: web\n    properties: {cpu: \"1\"}\n    traits: [{type: resources, properties: {cpu: \"2\", memory: 1Gi}}]\n",
        ),
    );
    assert_told(&found, "field_conflict", "components[web]");
    let found = refused(
        &field,
        &application(
            "  components:\n  - name: web\n    properties: {replicas: 3}\n    traits: [{type: hpa, properties: {min: 1, max: 3}}]\n",
        ),
    );
    assert_told(&found, "runtime_owned_field", "components[web]");
}

#[test]
fn undeclared_overrides_and_wrong_properties_are_refused_with_their_place() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components:\n  - name: web\n    properties:\n      port: 9090\n      replicas: many\n",
        ),
    );
    assert_told(&found, "override_not_declared", "properties.port");
    let told = found.iter().find(|violation| violation["code"] == "override_not_declared").expect("told");
    assert_eq!(told["at"]["line"], 8, "{told:#}");
}

#[test]
fn unknown_outputs_cycles_and_unknown_definitions_are_refused_at_once() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components:\n  - {name: web, dependsOn: [settings], inputs: [{from: nowhere, parameterKey: \"properties.env[0].value\"}]}\n  - {name: settings, dependsOn: [web]}\n",
        ),
    );
    assert_told(&found, "unknown_output", "components[web]");
    assert_told(&found, "dependency_cycle", "");
    let found = refused(&field, &application("  components:\n  - {name: web, traits: [{type: levitate}]}\n"));
    assert_told(&found, "unknown_definition", "traits[levitate]");
}

#[test]
fn what_the_cluster_lacks_is_refused() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components:\n  - {name: web, traits: [{type: canary, properties: {steps: [{weight: 50}]}}]}\n",
        ),
    );
    assert_told(&found, "requirement_missing", "components[web]");
}

#[test]
fn places_that_nobody_registered_are_refused() {
    let field = prepared();
    let found = refused(
        &field,
        &application(
            "  components: []\n  policies:\n  - {name: where, type: topology, properties: {clusters: [mars]}}\n",
        ),
    );
    assert_told(&found, "unregistered_cluster", "policies[where]");
    let found = refused(
        &field,
        &application(
            "  components: []\n  policies:\n  - {name: where, type: topology, properties: {clusters: [test], namespace: elsewhere}}\n",
        ),
    );
    assert_told(&found, "unregistered_environment", "policies[where]");
}

#[test]
fn an_object_of_another_application_is_not_taken() {
    let field = prepared();
    let foreign = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop-settings\n  labels: {slipway.dev/team: default, slipway.dev/application: other, slipway.dev/stage: default}\n";
    let file = field.server.scratch().join("foreign.yaml");
    fs::write(&file, foreign).expect("a file");
    field.namespace.kubectl(&["apply", "--filename", &file.display().to_string()]);
    let found = refused(&field, &application("  components: []\n"));
    assert_told(&found, "object_owned_elsewhere", "components[settings]");
}

#[test]
fn an_image_for_other_machines_is_refused() {
    let field = Watched::prepare();
    field.environment("staging", "default", &open());
    let yaml = fs::read_to_string(field.repository.path().join("slipway.yaml")).expect("the file");
    let yaml = yaml.replace(
        "    context: web\n    workload",
        "    context: web\n    with: {platforms: [linux/arm64]}\n    workload",
    );
    field.repository.write("slipway.yaml", yaml);
    field.publish("one\n");
    let found = refused(&field, &application("  components: []\n"));
    assert_told(&found, "platform_missing", "components[web]");
    assert!(services::tool("kubectl").exists());
}
