//! Whatever is written, reading it ends in an answer and never in a crash.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use slipway_oam::check::Known;
use slipway_oam::overlay::{DeveloperComponent, Level, overlay};
use slipway_oam::{Condition, OamOptions, Path, Source, Target, duration, read_all};

/// Words that the formats know, and some that break things.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "name",
        "components",
        "type",
        "properties",
        "traits",
        "policies",
        "workflow",
        "steps",
        "subSteps",
        "inputs",
        "outputs",
        "from",
        "parameterKey",
        "valueFrom",
        "dependsOn",
        "if",
        "timeout",
        "mode",
        "bundle",
        "package",
        "version",
        "channel",
        "selector",
        "range",
        "revisionName",
        "parameterValues",
        "toFieldPaths",
        "dataInputs",
        "dataOutputs",
        "dataOutputName",
        "fieldPath",
        "dependencies",
        "component",
        "scopes",
        "scopeRef",
        "spec.env.A",
        "spec.a[0]",
        "K8S_MICROSERVICE|web|_",
        "{{ Global.A }}",
        "deploy",
        "step-group",
        "apply-components",
        "output.status.x",
        "env[0].value",
        "web",
        "db",
        "disable",
        "status.a.failed",
        "10m",
        "service.trait.abm.io",
        "ports",
        "null",
        "value",
        "env",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[a-z{}\\[\\].|\"ä]{0,12}"]
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        word().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A tree where the formats want something, so that reading goes deep.
fn file() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        ("core.oam.dev/v1beta1", "Application"),
        ("core.oam.dev/v1alpha2", "ApplicationConfiguration"),
    ]);
    let component = prop::collection::btree_map(word(), tree(), 0..6);
    let components = prop::collection::vec(component, 0..4);
    (header, components, tree(), tree(), tree()).prop_map(|((version, kind), components, policies, workflow, other)| {
        let components: Vec<serde_json::Value> = components
            .into_iter()
            .enumerate()
            .map(|(index, fields)| {
                let mut component: serde_json::Map<_, _> = fields.into_iter().collect();
                match version {
                    "core.oam.dev/v1beta1" => component.insert("name".to_owned(), format!("c{index}").into()),
                    _ => component.insert("revisionName".to_owned(), format!("HELM|c{index}|_").into()),
                };
                component.into()
            })
            .collect();
        serde_json::json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": "shop"},
            "spec": {"components": components, "policies": policies, "workflow": workflow, "parameterValues": other},
        })
        .to_string()
    })
}

/// Reads, checks and lays over; only the way, not the answer, is looked at.
fn run(bytes: &[u8]) {
    let options = OamOptions::default();
    let Ok(documents) = read_all(bytes, "app.yaml", &options) else { return };
    for document in documents {
        for violation in document.check(&Known::default(), &options) {
            assert!(violation.at.is_some(), "{violation:?}");
        }
        let declared = DeveloperComponent {
            name: "c0".to_owned(),
            kind: Some("helm".to_owned()),
            ..DeveloperComponent::default()
        };
        let level = Level::new("eu", document);
        let merged = overlay(&[declared], &[level.clone(), level], &|_| true);
        if let Ok(merged) = merged {
            let json = merged.application().canonical_json();
            let again: slipway_oam::Application = serde_json::from_str(&json).unwrap();
            assert_eq!(again.canonical_json(), json);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_end_in_an_answer(file in file()) {
        run(file.as_bytes());
    }

    #[test]
    fn random_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        run(&bytes);
    }

    #[test]
    fn random_texts_are_paths_or_not(text in "[a-z0-9.\\[\\]\"=|!&() äname<>'-]{0,40}") {
        if let Ok(path) = text.parse::<Path>() {
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        if let Ok(source) = text.parse::<Source>() {
            prop_assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        }
        if let Ok(condition) = text.parse::<Condition>() {
            prop_assert_eq!(condition.to_string().parse::<Condition>().unwrap().to_string(), condition.to_string());
        }
        if let Ok(time) = duration::parse(&text) {
            prop_assert!(!time.is_zero());
        }
    }
}

/// Refused, and soon: a bomb costs about what reading its bytes costs.
fn refused_soon(yaml: &str) -> String {
    let before = Instant::now();
    let violations = read_all(yaml.as_bytes(), "app.yaml", &OamOptions::default()).unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert!(violations.len() <= OamOptions::default().max_violations);
    let size: usize = violations.iter().map(|violation| violation.message.len() + violation.path.len()).sum();
    assert!(size < 100_000, "{size}");
    violations[0].message.clone()
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x]\n".to_owned();
    for level in 1..30 {
        writeln!(laughs, "a{level}: &a{level} [*a{0}, *a{0}, *a{0}]", level - 1).unwrap();
    }
    assert!(refused_soon(&laughs).contains("anchors"));
    let deep = |depth: usize| refused_soon(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert!(deep(100).contains("max_depth"), "{}", deep(100));
    assert!(deep(100_000).contains("max_depth"), "{}", deep(100_000));
    let head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n";
    let wide = format!("{head}  components: [{}]", "{},".repeat(200_000));
    assert!(refused_soon(&wide).contains("max_values"));
    let keys: Vec<String> = (0..30_000).map(|n| format!("  k{n}: 1")).collect();
    assert!(refused_soon(&format!("{head}{}\n", keys.join("\n"))).contains("unknown field"));
    let long = format!("{head}  {}: 1\n", "x".repeat(900));
    assert!(refused_soon(&long).contains('…'));
}

#[test]
fn a_large_application_is_checked_soon() {
    let mut yaml =
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n"
            .to_owned();
    // Everything waits for what comes after it, and the last for the first.
    for n in 0..500 {
        let names: Vec<String> = (1..40).map(|step| format!("c{}", (n + step) % 500)).collect();
        writeln!(yaml, "  - {{name: c{n}, type: worker, dependsOn: [{}]}}", names.join(", ")).unwrap();
    }
    let before = Instant::now();
    let documents = read_all(yaml.as_bytes(), "app.yaml", &OamOptions::default()).unwrap();
    let violations = documents[0].check(&Known::default(), &OamOptions::default());
    assert_eq!(violations[0].code, "dependency_cycle");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[test]
fn a_file_full_of_unknown_names_is_refused_soon() {
    let mut yaml =
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n"
            .to_owned();
    for n in 0..500 {
        let names: Vec<String> = (0..150).map(|step| format!("{}-{step}", "lost".repeat(14))).collect();
        writeln!(
            yaml,
            "  - {{name: component-with-a-rather-long-name-{n}, type: worker, dependsOn: [{}]}}",
            names.join(", ")
        )
        .unwrap();
    }
    let options = OamOptions { max_file_bytes: 16 << 20, ..OamOptions::default() };
    let document = read_all(yaml.as_bytes(), "app.yaml", &options).unwrap().remove(0);
    let before = Instant::now();
    let violations = document.check(&Known::default(), &options);
    assert!(violations.iter().all(|violation| violation.code == "unknown_dependency"));
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}
