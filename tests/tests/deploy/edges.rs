//! Which node waits for which: dependencies, inputs of workloads and of traits, and outputs of what comes after.

use serde_json::{Value, json};
use slipway_handoff::Capability::Outputs;

use crate::workflows::{field_that, plan};

/// A trait whose objects come after the workload.
const INGRESS: &str = "type: ingress, properties: {domain: shop.example.com, http: {/: 8080}}";
/// A step that takes the output `route`.
const TELLS: &str = "
  workflow:
    mode: {steps: DAG}
    steps:
    - {name: roll, type: deploy}
    - name: tell
      type: apply-object
      inputs: [{from: route, parameterKey: value.data.at}]
      properties: {value: {apiVersion: v1, kind: ConfigMap, metadata: {name: told}, data: {to: all}}}
";

/// Nodes, each with those that it waits for.
type Edges = &'static [(&'static str, &'static [&'static str])];

/// The component `web` with that trait, and the fields that follow.
fn routed(fields: &str) -> String {
    format!("  components:\n  - {{name: web, traits: [{{{INGRESS}}}]{fields}}}\n")
}

fn needs<'g>(graph: &'g Value, node: &str) -> Vec<&'g str> {
    graph[node]["needs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn nodes_wait_for_what_they_are_given_and_nothing_more() {
    let (field, _service) = field_that(&[Outputs]);
    field.publish("one\n");
    let currency = "  - {name: settings, outputs: [{name: currency, valueFrom: output.data.currency}]}\n";
    let takes = |output: &str| {
        let input = format!("{{from: {output}, parameterKey: properties.env.CURRENCY}}");
        routed(&format!(", properties: {{env: {{MODE: fast}}}}, inputs: [{input}]"))
    };
    let to_trait =
        routed(", inputs: [{from: currency, parameterKey: \"traits[ingress].properties.domain\"}]");
    let late = ", outputs: [{name: route, valueFrom: outputs.ingress.metadata.uid}]";
    let cases: [(String, Edges); 5] = [
        (
            "  components:\n  - {name: web, dependsOn: [settings]}\n".to_owned(),
            &[("web", &["settings"]), ("settings", &[])],
        ),
        (
            routed("") + "  - {name: settings, dependsOn: [web]}\n",
            &[("web", &[]), ("web.post", &["web"]), ("settings", &["web.post"])],
        ),
        (takes("currency") + currency, &[("web", &["settings"]), ("web.post", &["web"]), ("settings", &[])]),
        (to_trait + currency, &[("web", &[]), ("web.post", &["settings", "web"]), ("settings", &[])]),
        (routed(late) + TELLS, &[("web", &[]), ("web.post", &["web"]), ("step.tell", &["web.post"])]),
    ];
    for (spec, edges) in cases {
        let found = plan(&field, "staging", &spec);
        assert_eq!(found["violations"], json!([]), "{spec}{found:#}");
        for (node, expected) in edges {
            assert_eq!(needs(&found["graph"], node), *expected, "{node} of {spec}{found:#}");
        }
    }

    let found = plan(&field, "staging", &(takes("nothing") + currency));
    let mut told = found["violations"].as_array().into_iter().flatten();
    let told = told.find(|told| told["code"] == "unknown_output").unwrap_or_else(|| panic!("{found:#}"));
    let path = told["path"].as_str().unwrap_or_default();
    assert!(path.starts_with("components[web].inputs"), "{told:#}");
}
