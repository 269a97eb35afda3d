//! What operators write is read as meant, and every mistake is named with its place.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write as _;

use serde_json::{Value, json};
use slipway_oam::check::Known;
use slipway_oam::{Document, OamOptions, Phase, Source, StepMode, Target, inspect, read, read_all, schema};
use slipway_types::Violation;

const MISTAKES: &str = include_str!("reading/mistakes.txt");
const EXAMPLE: &str = include_str!("reading/example.yaml");
const APPMANAGER: &str = include_str!("reading/appmanager.yaml");

/// One case of `mistakes.txt`.
struct Case {
    title: &'static str,
    /// Whether a JSON Schema can see the mistake.
    schema_sees: bool,
    yaml: String,
    report: &'static str,
}

/// `=== title` (with `[schema]` if the JSON Schema sees it too), the file, `--->` and the report.
/// `→` in a file stands for a tab.
fn cases() -> Vec<Case> {
    let case = |text: &'static str| {
        let (title, rest) = text.split_once('\n').unwrap();
        let (yaml, report) = rest.split_once("--->\n").unwrap_or_else(|| panic!("{title}"));
        let (title, schema_sees) = title.strip_suffix(" [schema]").map_or((title, false), |t| (t, true));
        Case { title, schema_sees, yaml: yaml.replace('→', "\t"), report: report.trim_end() }
    };
    MISTAKES.split("=== ").skip(1).map(case).collect()
}

fn parse(yaml: &str) -> Result<Document, Vec<Violation>> {
    read(yaml.as_bytes(), "app.yaml", &OamOptions::default())
}

/// Everything wrong with a file that is all there is.
fn violations(yaml: &str) -> Vec<Violation> {
    let options = OamOptions::default();
    parse(yaml).map_or_else(|violations| violations, |document| document.check(&Known::default(), &options))
}

fn report(violations: &[Violation]) -> String {
    let mut report = String::new();
    for violation in violations {
        let place = violation.at.as_ref().map(|place| format!("{}:{}", place.line, place.column));
        let hint = violation.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        let (code, path) = (&violation.code, &violation.path);
        let place = place.unwrap_or_else(|| "nowhere".to_owned());
        writeln!(report, "{place} {code} {path}: {}{hint}", violation.message).unwrap();
    }
    if report.is_empty() { "accepted".to_owned() } else { report.trim_end().to_owned() }
}

#[test]
fn every_kind_of_mistake_is_named_with_its_place() {
    let (mut wrong, mut all) = (String::new(), String::new());
    for case in cases() {
        let got = report(&violations(&case.yaml));
        let mark = if case.schema_sees { " [schema]" } else { "" };
        writeln!(all, "=== {}{mark}\n{}--->\n{got}\n", case.title, case.yaml.replace('\t', "→")).unwrap();
        if got != case.report {
            writeln!(wrong, "=== {}\n{}--->\n{got}\n", case.title, case.yaml).unwrap();
        }
    }
    if let Some(path) = std::env::var_os("SLIPWAY_WRITE_MISTAKES") {
        std::fs::write(path, format!("{}\n", all.trim_end())).unwrap();
    }
    assert!(wrong.is_empty(), "these reports differ:\n{wrong}");
}

#[test]
fn the_example_reads_as_written_and_keeps_its_places() {
    let document = parse(EXAMPLE).unwrap();
    assert_eq!(report(&document.check(&Known::default(), &OamOptions::default())), "accepted");
    let application = &document.application;
    let web = application.component("web").unwrap();
    assert_eq!(web.traits[0].phase, Some(Phase::Post));
    assert_eq!(web.trait_key(0), "hpa");
    assert_eq!(web.trait_key(2), "gateway:inner");
    assert_eq!(
        web.inputs[1].parameter_key.as_ref().unwrap().parse::<Target>().unwrap().to_string(),
        web.inputs[1].parameter_key.clone().unwrap()
    );
    let workflow = application.workflow.as_ref().unwrap();
    assert_eq!((workflow.mode.steps, workflow.mode.sub_steps), (StepMode::Dag, StepMode::StepByStep));
    assert_eq!(
        workflow.all_steps().map(|at| at.step.name.as_str()).collect::<Vec<_>>(),
        ["canary", "suspend", "both", "hook", "rest"]
    );
    assert_eq!(application.policies[1].name, "garbage-collect");
    let place = |path: &str| document.place_of(path).map(|place| format!("{}:{}", place.line, place.column));
    for (path, wanted) in [
        ("metadata.name", "4:9"),
        ("components[web]", "14:7"),
        ("components[web].properties.replicas", "18:19"),
        ("components[web].properties.env[1].value", "22:20"),
        ("components[web].properties.env[MODE].value", "22:20"),
        ("components[web].properties.env[MODE].missing", "21:13"),
        ("components[web].traits[hpa].properties.max", "30:37"),
        ("components[web].traits[gateway:inner].properties.http", "32:59"),
        ("policies[where].properties.clusters[1]", "37:36"),
        ("policies[garbage-collect]", "38:7"),
        ("workflow.steps[both].subSteps[hook].inputs[0].from", "56:57"),
        ("spec.bundle.range", "8:19"),
    ] {
        assert_eq!(place(path).as_deref(), Some(wanted), "{path}");
    }
    assert_eq!(place("nothing.like.it"), None);
    assert_eq!(place("a b"), None);
}

#[test]
fn the_canonical_form_knows_no_order_of_keys_and_no_places() {
    let one = parse(EXAMPLE).unwrap().application;
    let other = EXAMPLE
        .replace("        replicas: 2\n", "")
        .replace("            value: fast\n", "            value: fast\n        replicas: 2\n");
    assert_ne!(other, EXAMPLE);
    let other = parse(&format!("# moved\n{other}")).unwrap().application;
    assert_eq!(one.canonical_json(), other.canonical_json());
    assert!(!one.canonical_json().contains("\"at\""));
    let mut again: slipway_oam::Application = serde_json::from_str(&one.canonical_json()).unwrap();
    assert_eq!(again.canonical_json(), one.canonical_json());
    again.components[0].properties.insert("x".to_owned(), Value::Bool(true));
    assert_ne!(again.canonical_json(), one.canonical_json());
}

#[test]
fn appmanagers_form_becomes_the_same_model() {
    let document = parse(APPMANAGER).unwrap();
    assert_eq!(report(&document.check(&Known::default(), &OamOptions::default())), "accepted");
    let wanted = json!({
        "name": "shop",
        "annotations": {"appId": "shop", "appPackageId": "42", "appPackageVersion": "1.4.2", "clusterId": "master", "unitId": ""},
        "bundle": {"version": "1.4.2"},
        "components": [
            {
                "name": "db", "type": "helm", "package": {"version": "2.0.0"},
                "properties": {"values": {"zone": "north", "port": 5432}},
                "outputs": [{"name": "Global.DB_HOST", "valueFrom": "output.spec.values.host"}],
            },
            {
                "name": "web", "type": "webservice",
                "properties": {
                    "replicas": 2,
                    "env": [{"name": "DB_URL", "value": "db.north:5432"}, {"name": "DB_HOST"}],
                },
                "dependsOn": ["db"],
                "inputs": [
                    {"from": "Global.DB_HOST", "parameterKey": "env[DB_HOST].value"},
                    {"from": "Global.DB_HOST", "parameterKey": "config.host"},
                    {"from": "Global.DB_HOST", "parameterKey": "traits[gateway.trait.abm.io].properties.domain"},
                ],
                "outputs": [{"name": "route", "valueFrom": "outputs[gateway.trait.abm.io].spec.route"}],
                "traits": [
                    {"type": "expose", "properties": {"ports": [{"port": 80}]}, "phase": "post"},
                    {"type": "gateway.trait.abm.io", "properties": {"path": "/shop", "auth": {"enabled": true}}, "phase": "pre"},
                ],
                "scopes": {"Namespace": "shop", "Stage": "prod"},
            },
            {"name": "job", "type": "task"},
        ],
        "policies": [
            {"name": "dev", "type": "topology", "properties": {"cluster": "master", "namespace": "default", "stage": "dev"}},
            {
                "name": "sizes", "type": "override",
                "properties": {"components": [{"name": "web", "properties": {"replicas": 3}, "traits": [{"type": "hpa", "properties": {"max": 4}}]}]},
            },
            {"name": "rest-components", "type": "override", "properties": {"selector": ["job"]}},
        ],
        "workflow": {
            "mode": {"steps": "StepByStep", "subSteps": "DAG"},
            "steps": [
                {"name": "first", "type": "deploy", "properties": {"policies": ["dev", "sizes"]}},
                {"name": "ok", "type": "suspend"},
                {"name": "rest", "type": "deploy", "properties": {"policies": ["dev", "rest-components"]}},
            ],
        },
    });
    assert_eq!(serde_json::to_value(&document.application).unwrap(), wanted);
    assert!(document.application.components.iter().all(|component| component.kind_is_rough));
    let source: Source = document.application.components[1].outputs[0].value_from.parse().unwrap();
    assert_eq!(source.path.to_string(), "spec.route");
    let place = document.place_of("components[web].properties.replicas").unwrap();
    assert_eq!((place.line, place.column), (19, 35));
}

#[test]
fn a_file_may_hold_several_applications() {
    let bank = EXAMPLE.replace("name: shop", "name: bank");
    let documents =
        read_all(format!("---\n{EXAMPLE}---\n---\n{bank}").as_bytes(), "app.yaml", &OamOptions::default())
            .unwrap();
    let names: Vec<&str> = documents.iter().map(|document| document.application.name.as_str()).collect();
    assert_eq!(names, ["shop", "bank"]);
    let line = |index: usize| documents[index].place_of("components[web]").unwrap().line;
    assert_eq!((line(0), line(1)), (15, 74));
}

#[test]
fn names_of_other_levels_are_known_when_they_are_given() {
    let part = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components: [{name: web, dependsOn: [db], inputs: [{from: host, parameterKey: \"env[HOST].value\"}]}]\n  workflow: {steps: [{name: go, type: deploy, properties: {policies: [north]}}]}\n";
    let codes = |known: &Known| {
        let found = parse(part).unwrap().check(known, &OamOptions::default());
        found.into_iter().map(|violation| violation.code).collect::<Vec<_>>()
    };
    assert_eq!(
        codes(&Known::default()),
        ["unknown_dependency", "unknown_output", "invalid_property", "unknown_policy"]
    );
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let known = Known { components: set(&["web", "db"]), outputs: set(&["host"]), policies: set(&["north"]) };
    assert_eq!(codes(&known), [""; 0]);
}

#[test]
fn limits_are_named() {
    let small = OamOptions {
        max_file_bytes: 600,
        max_depth: 8,
        max_values: 60,
        max_documents: 2,
        max_components: 2,
        max_traits: 1,
        max_policies: 1,
        max_steps: 2,
        max_items: 1,
        max_violations: 3,
        ..OamOptions::default()
    };
    let spec = |spec: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec: {spec}\n"
        )
    };
    let refused = |yaml: &str| report(&read(yaml.as_bytes(), "app.yaml", &small).unwrap_err());
    for (yaml, wanted) in [
        ("#".repeat(601), "max_file_bytes is 600"),
        (
            spec(&format!("{{a: {}{}}}", "[".repeat(20), "]".repeat(20))),
            "nested deeper than the limit max_depth, 8",
        ),
        (spec(&format!("[{}]", "1,".repeat(60))), "more values than the limit max_values, 60"),
        ("a: 1\n---\n".repeat(3), "the limit max_documents is 2"),
        (spec("{components: [{name: a}, {name: b}, {name: c}]}"), "3 items, the limit max_components is 2"),
        (
            spec("{components: [{name: a, traits: [{type: a}, {type: b}]}]}"),
            "2 items, the limit max_traits is 1",
        ),
        (spec("{components: [{name: a, dependsOn: [a, b]}]}"), "2 items, the limit max_items is 1"),
        (spec("{policies: [{type: a}, {type: b}]}"), "2 items, the limit max_policies is 1"),
        (
            spec(
                "{workflow: {steps: [{name: a, type: step-group, subSteps: [{name: b, type: c}, {name: d, type: c}]}]}}",
            ),
            "3 items, the limit max_steps is 2",
        ),
    ] {
        let got = refused(&yaml);
        assert!(got.contains("limit_exceeded") && got.contains(wanted), "{wanted}: {got}");
    }
    assert_eq!(refused(&spec("{a: 1, b: 2, c: 3, d: 4}")).lines().count(), 3);
}

#[test]
fn parameters_cannot_make_a_small_file_large() {
    let value = "x".repeat(10_000);
    let mut uses = String::new();
    for n in 0..200 {
        writeln!(uses, "        - {{name: n{n}, value: \"{{{{ BIG }}}}\", toFieldPaths: [spec.a{n}]}}")
            .unwrap();
    }
    let yaml = format!(
        "apiVersion: core.oam.dev/v1alpha2\nkind: ApplicationConfiguration\nmetadata: {{name: shop}}\nspec:\n  parameterValues: [{{name: BIG, value: {value}}}]\n  components:\n    - revisionName: HELM|db|_\n      parameterValues:\n{uses}"
    );
    let report = report(&violations(&yaml));
    assert!(report.contains("limit_exceeded") && report.contains("max_file_bytes"), "{report}");
}

fn json_of(yaml: &str) -> Option<Vec<Value>> {
    let documents = slipway_yaml::read(yaml.as_bytes(), &slipway_yaml::YamlOptions::default()).ok()?;
    Some(documents.iter().map(slipway_yaml::Node::to_json).collect())
}

#[test]
fn the_json_schemas_and_the_decoder_agree() {
    let compile = |schema: &str| {
        let schema: Value = serde_json::from_str(schema).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let v1beta1 = compile(schema::APPLICATION_V1BETA1);
    let v1alpha2 = compile(schema::APPLICATION_CONFIGURATION_V1ALPHA2);
    let complaints = |yaml: &str| {
        let documents = json_of(yaml)?;
        let complaint = |document: &Value| {
            let schema = if document["apiVersion"] == "core.oam.dev/v1alpha2" { &v1alpha2 } else { &v1beta1 };
            schema
                .iter_errors(document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect::<Vec<_>>()
        };
        Some(documents.iter().flat_map(complaint).collect::<Vec<String>>())
    };
    for example in [EXAMPLE, APPMANAGER] {
        assert_eq!(complaints(example).unwrap(), [""; 0]);
    }
    for case in cases() {
        if let Some(complaints) = complaints(&case.yaml) {
            assert_eq!(!complaints.is_empty(), case.schema_sees, "{}: {complaints:#?}", case.title);
        }
    }
}

#[test]
fn what_can_be_read_is_kept_beside_the_violations() {
    let yaml = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n  - {name: Bad, type: webservice}\n  - {name: db, type: helm, outputs: [{name: host, valueFrom: '\"x\" + output.y'}]}\n  - {name: web, type: worker, inputs: [{from: host, parameterKey: a}], traits: [{properties: {}}]}\n";
    let reading = inspect(yaml.as_bytes(), "app.yaml", &OamOptions::default());
    let codes: Vec<&str> = reading.violations.iter().map(|violation| violation.code.as_str()).collect();
    assert_eq!(codes, ["invalid_name", "invalid_property", "missing_field"]);
    let [document] = &reading.documents[..] else { panic!() };
    let names: Vec<&str> =
        document.application.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["db", "web"]);
    // Nobody is told of an output that is missing only because it could not be read.
    assert_eq!(report(&document.check(&Known::default(), &OamOptions::default())), "accepted");
}
