//! What the steps of a workflow become, and which environment comes before which.

use std::fs;

use serde_json::{Value, json};
use slipway_handoff::Capability::{self, Outputs, Ownership, Resume};
use slipway_tests::namespace::Namespace;

use crate::service::{SECRET, Service};
use crate::world::{Field, open, options};

/// A field whose environment `staging` hands off to a service that can do this.
pub(crate) fn field_that(can: &[Capability]) -> (Field, Service) {
    let namespace = Namespace::create();
    let options = options(&namespace).env("SLIPWAY__DEPLOY__ALLOW_HTTP_RECEIVERS", "true");
    let field = Field::on(namespace, options);
    let service = Service::start(can.iter().copied());
    field.server.set_secret("core-key", SECRET);
    field.environment("staging", "default", &service.settings());
    (field, service)
}

fn document(spec: &str) -> String {
    format!("apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n{spec}")
}

/// What a deployment with this `spec` would be.
pub(crate) fn plan(field: &Field, environment: &str, spec: &str) -> Value {
    let body = json!({
        "application": "shop", "environment": environment, "select": {"prerelease": "yes"},
        "document": document(spec), "objects": true,
    });
    let authorization = format!("Bearer {}", field.server.token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let answer =
        field.server.request("POST", "/api/v1/deployments/plan", &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

const STEPS: &str = "
  components: []
  workflow:
    mode: {steps: DAG}
    steps:
    - {name: roll, type: deploy, timeout: 30m, dependsOn: [tell]}
    - name: tell
      type: apply-object
      if: status.migrate.succeeded && context.stage == \"default\"
      inputs: [{from: began, parameterKey: value.data.at}]
      properties: {value: {apiVersion: v1, kind: ConfigMap, metadata: {name: told}, data: {to: all}}}
    - name: migrate
      type: job
      timeout: 2m
      properties: {image: \"busybox:1\", cmd: [\"true\"]}
      outputs: [{name: began, valueFrom: output.status.startTime}]
    - {name: only-blue, type: suspend, if: context.stage == \"blue\"}
    - {name: last, type: suspend, dependsOn: [roll]}
";

#[test]
fn steps_are_ordered_timed_and_bound() {
    let (field, _service) = field_that(&[Outputs, Resume]);
    field.publish("one\n");
    let found = plan(&field, "staging", STEPS);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    let graph = &found["graph"];
    assert_eq!(graph["step.migrate"]["timeout_ms"], 120_000, "{graph:#}");
    assert_eq!(graph["step.migrate"]["outputs"]["began"]["from"]["path"], "/status/startTime", "{graph:#}");
    let tell = &graph["step.tell"];
    assert_eq!(tell["inputs"][0]["node"], "step.migrate", "{tell:#}");
    assert_eq!(tell["inputs"][0]["holes"][0]["path"], "/data/at", "{tell:#}");
    assert_eq!((&tell["needs"], &graph["web"]["needs"]), (&json!(["step.migrate"]), &json!(["step.tell"])));
    assert_eq!(
        (&graph["web"]["timeout_ms"], &graph["settings"]["timeout_ms"]),
        (&json!(1_800_000), &json!(1_800_000))
    );
    assert!(graph["step.only-blue"].is_null(), "{graph:#}");
    // A stop for a person lasts as long as anything may.
    assert_eq!(graph["step.last"]["timeout_ms"], 604_800_000, "{graph:#}");
}

const INTO_A_GROUP: &str = "
  components: []
  workflow:
    mode: {steps: DAG}
    steps:
    - {name: roll, type: deploy, if: status.smoke.succeeded}
    - {name: first, type: step-group, subSteps: [{name: smoke, type: suspend, timeout: 1m}]}
";

const GROUPS_IN_A_GROUP: &str = "
  components: []
  workflow:
    mode: {steps: DAG}
    steps:
    - {name: roll, type: deploy, dependsOn: [outer]}
    - name: outer
      type: step-group
      mode: StepByStep
      timeout: 5m
      subSteps:
      - name: inner
        type: step-group
        subSteps: [{name: left, type: suspend, timeout: 1m}, {name: right, type: suspend}]
      - {name: then, type: suspend}
";

#[test]
fn a_step_waits_for_one_in_a_later_group() {
    let (field, _service) = field_that(&[Resume]);
    field.publish("one\n");
    let found = plan(&field, "staging", INTO_A_GROUP);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert_eq!(found["graph"]["web"]["needs"], json!(["step.smoke"]), "{found:#}");
    let found = plan(&field, "staging", GROUPS_IN_A_GROUP);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    let graph = &found["graph"];
    assert_eq!(graph["step.then"]["needs"], json!(["step.left", "step.right"]), "{graph:#}");
    assert_eq!(graph["web"]["needs"], json!(["step.then"]), "{graph:#}");
    let times = ["left", "right"].map(|step| graph[format!("step.{step}")]["timeout_ms"].clone());
    assert_eq!(times, [json!(60_000), json!(300_000)], "the group's holds for the groups in it: {graph:#}");
}

#[test]
fn what_the_contract_cannot_carry_is_refused_with_its_place() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    field.publish("one\n");
    let step = |fields: &str| {
        format!(
            "  components: []\n  workflow:\n    steps:\n    - {{name: roll, type: deploy}}\n    - {{name: it, {fields}}}\n"
        )
    };
    let job = "type: job, properties: {image: \"busybox:1\"}";
    let cases = [
        (step("type: suspend, if: always"), "condition_unsupported", "workflow.steps[it].if"),
        (step("type: suspend, if: status.roll.failed"), "condition_unsupported", "workflow.steps[it].if"),
        (
            step(&format!("{job}, outputs: [{{name: x, valueFrom: outputs.nothing.status.y}}]")),
            "unknown_output",
            "workflow.steps[it].outputs[x]",
        ),
        (
            step("type: suspend, outputs: [{name: x, valueFrom: output.status.y}]"),
            "unknown_output",
            "workflow.steps[it].outputs[x]",
        ),
        (
            "  components: []\n  policies: [{name: keep, type: garbage-collect, properties: {rules: [{selector: {componentNames: [web]}, propagation: orphan}]}}]\n".to_owned(),
            "propagation_unsupported",
            "policies[keep]",
        ),
        (
            "  components:\n  - {name: web, outputs: [{name: ip, valueFrom: output.status.x}]}\n  workflow:\n    steps:\n    - {name: roll, type: deploy}\n    - {name: call, type: http, inputs: [{from: ip, parameterKey: body.ip}], properties: {url: \"https://x.example\", method: POST, body: {of: web}}}\n".to_owned(),
            "invalid_property",
            "workflow.steps[call].inputs[ip]",
        ),
        // Only where `a` is deployed is it known that it waits for `b`.
        (
            "  components: []\n  workflow:\n    mode: {steps: DAG}\n    steps:\n    - {name: roll, type: deploy}\n    - {name: a, type: suspend, if: context.stage == \"other\" || status.b.succeeded}\n    - {name: b, type: suspend, dependsOn: [a]}\n".to_owned(),
            "dependency_cycle",
            "workflow.steps[a].if",
        ),
    ];
    for (spec, code, path) in cases {
        let found = plan(&field, "staging", &spec);
        let told = found["violations"].as_array().into_iter().flatten().find(|told| told["code"] == code);
        let told = told.unwrap_or_else(|| panic!("{code} is not told: {spec}{found:#}"));
        assert!(told["path"].as_str().is_some_and(|found| found.starts_with(path)), "{told:#}");
        assert!(told["at"]["line"].is_u64() && told["hint"].is_string(), "{told:#}");
    }
}

#[test]
fn copies_keep_what_their_component_has() {
    let (field, _service) = field_that(&[Ownership]);
    field.publish("one\n");
    let spec = "  components:\n  - {name: settings, dependsOn: [web]}\n  policies:\n  - {name: twice, type: replication, properties: {keys: [east, west], selector: [web]}}\n  - {name: once, type: apply-once, properties: {enable: true, rules: [{selector: {componentNames: [web], resourceTypes: [Deployment]}, strategy: {path: [spec.replicas]}}]}}\n";
    let found = plan(&field, "staging", spec);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    let graph = &found["graph"];
    assert_eq!(graph["settings"]["needs"], json!(["web-east", "web-west"]), "{graph:#}");
    for copy in ["web-east", "web-west"] {
        let objects = graph[copy]["objects"].as_array().cloned().unwrap_or_default();
        let deployment = objects.iter().find(|object| object["object"]["kind"] == "Deployment").cloned();
        assert_eq!(deployment.unwrap_or_default()["once"], json!(["/spec/replicas"]), "{graph:#}");
    }
}

const PLACES: &str = "
  components: []
  policies:
  - {name: to-first, type: topology, properties: {clusters: [test], stage: default}}
  - {name: to-second, type: topology, properties: {clusters: [test], stage: second}}
  - {name: only-web, type: override, properties: {selector: [web], components: []}}
  - {name: more, type: override, properties: {components: [{name: web, properties: {replicas: 2}}]}}
  workflow:
    steps:
    - {name: first, type: deploy, properties: {policies: [to-first]}}
    - {name: second, type: deploy, properties: {policies: [to-second, only-web, more]}}
";

#[test]
fn an_environment_waits_for_the_one_of_an_earlier_step() {
    let field = Field::prepare();
    field.environment("first", "default", &json!({"gates": {"approvals": {"count": 1, "authorMay": true}}}));
    field.environment("second", "second", &open());
    field.publish("one\n");
    let found = plan(&field, "second", PLACES);
    let kinds = |kind: &str| {
        found["objects"].as_array().into_iter().flatten().filter(|object| object["kind"] == kind).count()
    };
    assert_eq!((kinds("Deployment"), kinds("ConfigMap")), (1, 0), "{found:#}");
    let note = "`second` comes after `first`: the step `second` waits for the step `first`";
    assert_eq!(found["notes"][0], note, "{found:#}");

    let file = field.server.scratch().join("places.yaml");
    fs::write(&file, document(PLACES)).expect("a file");
    let file = file.display().to_string();
    // Made where the second step deploys: that waits all the same.
    let create =
        ["deploy", "create", "shop", "--env", "second", "--prerelease", "yes", "-f", &file, "--no-wait"];
    field.server.cli(&create);
    let first = field.wait("first", &["awaiting"]);
    let second = field.wait("second", &["awaiting"]);
    assert!(second["reason"].as_str().is_some_and(|why| why.contains("`first` comes first")), "{second:#}");
    field.server.cli(&["deploy", "approve", first["id"].as_str().expect("an id")]).ok();
    field.wait("first", &["delivered"]);
    let delivered = field.wait("second", &["delivered"]);
    assert_eq!(delivered["id"], second["id"]);
}

const TOLD: &str = "
  components: []
  policies:
  - {name: to-first, type: topology, properties: {clusters: [test], stage: default}}
  - {name: to-second, type: topology, properties: {clusters: [test], stage: second}}
  workflow:
    mode: {steps: DAG}
    steps:
    - {name: second, type: deploy, if: status.first.succeeded, properties: {policies: [to-second]}}
    - {name: first, type: deploy, properties: {policies: [to-first]}}
    - name: tell
      type: apply-object
      dependsOn: [second]
      properties: {value: {apiVersion: v1, kind: ConfigMap, metadata: {name: told}, data: {to: all}}}
";

#[test]
fn in_a_dag_dependencies_and_conditions_say_what_runs_where_and_after_which() {
    let field = Field::prepare();
    field.environment("first", "default", &open());
    field.environment("second", "second", &open());
    field.publish("one\n");
    let (first, second) = (plan(&field, "first", TOLD), plan(&field, "second", TOLD));
    assert_eq!(
        (&first["violations"], &second["violations"]),
        (&json!([]), &json!([])),
        "{first:#} {second:#}"
    );
    let is_told = |found: &Value| !found["graph"]["step.tell"].is_null();
    assert_eq!((is_told(&first), is_told(&second)), (false, true), "{first:#} {second:#}");
    let note = "`second` comes after `first`: the step `second` waits for the step `first`";
    assert_eq!(first["notes"][0], note, "{first:#}");
}

#[test]
fn a_step_without_a_topology_deploys_here() {
    let field = Field::prepare();
    field.environment("first", "default", &open());
    field.environment("second", "second", &open());
    field.publish("one\n");
    let spec = "
  components: []
  policies:
  - {name: to-second, type: topology, properties: {clusters: [test], stage: second}}
  workflow:
    steps:
    - {name: here, type: deploy}
    - {name: there, type: deploy, properties: {policies: [to-second]}}
";
    let found = plan(&field, "first", spec);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert!(found["graph"]["web"].is_object(), "{found:#}");
    assert_eq!(found["reaches"], json!(["second"]), "{found:#}");
}

#[test]
fn an_environment_in_which_nothing_is_deployed_keeps_nobody_waiting() {
    let field = Field::prepare();
    field.environment("first", "default", &open());
    field.environment("second", "second", &open());
    field.publish("one\n");
    // In `first` the step is left out.
    let spec = PLACES
        .replace("name: first, type: deploy,", "name: first, type: deploy, if: context.stage == \"second\",");
    let file = field.server.scratch().join("places.yaml");
    fs::write(&file, document(&spec)).expect("a file");
    let file = file.display().to_string();
    let create =
        ["deploy", "create", "shop", "--env", "second", "--prerelease", "yes", "-f", &file, "--no-wait"];
    field.server.cli(&create);
    field.wait("first", &["withdrawn"]);
    field.wait("second", &["delivered"]);
}
