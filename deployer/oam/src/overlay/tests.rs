use serde_json::{Value, json};

use super::*;
use crate::{OamOptions, read};

fn developer(name: &str, kind: &str, properties: Value, overridable: &[&str]) -> DeveloperComponent {
    DeveloperComponent {
        name: name.to_owned(),
        kind: (!kind.is_empty()).then(|| kind.to_owned()),
        properties: serde_json::from_value(properties).unwrap(),
        overridable: overridable.iter().map(ToString::to_string).collect(),
    }
}

fn shop() -> Vec<DeveloperComponent> {
    let web = json!({"port": 80, "env": [{"name": "MODE", "value": "slow"}, {"name": "LANG", "value": "C"}], "args": ["a"]});
    vec![
        developer("web", "webservice", web, &["replicas", "env.*", "resources", "args"]),
        developer("db", "statefulset", json!({"port": 5432}), &[]),
    ]
}

fn level(name: &str, spec: &str) -> Level {
    let yaml = format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n{spec}"
    );
    Level::new(name, read(yaml.as_bytes(), &format!("{name}.yaml"), &OamOptions::default()).unwrap())
}

fn takes_nothing(kind: &str) -> bool {
    kind == "manifests"
}

fn merged(levels: &[Level]) -> Merged {
    overlay(&shop(), levels, &takes_nothing).unwrap()
}

/// `code path line:column` of each violation.
fn told(violations: Vec<Violation>) -> Vec<String> {
    let place = |violation: &Violation| {
        violation.at.as_ref().map_or("-".to_owned(), |at| format!("{}:{}:{}", at.file, at.line, at.column))
    };
    violations
        .into_iter()
        .map(|violation| format!("{} {} {}", violation.code, violation.path, place(&violation)))
        .collect()
}

fn refused(levels: &[Level]) -> Vec<String> {
    told(overlay(&shop(), levels, &takes_nothing).unwrap_err())
}

fn origins(merged: &Merged, key: &str) -> Vec<(String, Value, usize)> {
    let line = |origin: &Origin| origin.at.as_ref().map_or(0, |at| at.line);
    merged
        .origin_of(key)
        .into_iter()
        .map(|origin| (origin.level.clone(), origin.value.clone(), line(&origin)))
        .collect()
}

fn origin(level: &str, value: Value, line: usize) -> (String, Value, usize) {
    (level.to_owned(), value, line)
}

#[test]
fn levels_merge_from_the_widest_and_each_value_keeps_its_origins() {
    let wide = level(
        "eu",
        "  components:\n  - name: web\n    properties:\n      replicas: 2\n      env:\n      - {name: MODE, value: fast}\n      resources: {cpu: 1, memory: 1Gi}\n    traits:\n    - {type: hpa, properties: {min: 1, max: 5}}\n  policies:\n  - {name: where, type: topology, properties: {clusters: [a], namespace: x}}\n",
    );
    let narrow = level(
        "eu/kind/shop",
        "  components:\n  - name: web\n    type: webservice\n    properties:\n      replicas: 4\n      env:\n      - {name: NEW, value: x}\n      resources: {cpu: null}\n      args: [b]\n    traits:\n    - {type: hpa, properties: {max: 9}}\n    - {type: labels, properties: {a: b}}\n  policies:\n  - {name: where, type: topology, properties: {clusters: [b, c]}}\n",
    );
    let merged = merged(&[wide, narrow]);
    let web = merged.application().component("web").unwrap();
    assert_eq!(
        Value::Object(web.properties.clone()),
        json!({
            "port": 80, "replicas": 4, "args": ["b"], "resources": {"memory": "1Gi"},
            "env": [{"name": "MODE", "value": "fast"}, {"name": "LANG", "value": "C"}, {"name": "NEW", "value": "x"}],
        })
    );
    assert_eq!(web.traits[0].properties.get("max"), Some(&json!(9)));
    assert_eq!(web.traits[1].kind, "labels");
    assert_eq!(
        merged.application().policies[0].properties,
        *json!({"clusters": ["b", "c"], "namespace": "x"}).as_object().unwrap()
    );
    assert_eq!(merged.application().component("db").unwrap().kind.as_deref(), Some("statefulset"));

    let replicas = [origin("eu", json!(2), 8), origin("eu/kind/shop", json!(4), 9)];
    for key in ["web.properties.replicas", "web.replicas", "components[web].properties.replicas"] {
        assert_eq!(origins(&merged, key), replicas, "{key}");
    }
    let mode = [origin(DEVELOPERS, json!("slow"), 0), origin("eu", json!("fast"), 10)];
    for key in ["web.properties.env[MODE].value", "components[web].properties.env[0].value"] {
        assert_eq!(origins(&merged, key), mode, "{key}");
    }
    // Number 2 of the merged list is number 0 of the narrow level's.
    assert_eq!(origins(&merged, "web.env[2].value"), [origin("eu/kind/shop", json!("x"), 11)]);
    assert_eq!(
        origins(&merged, "web.resources.cpu"),
        [origin("eu", json!(1), 11), origin("eu/kind/shop", Value::Null, 12)]
    );
    assert_eq!(
        origins(&merged, "web.args[0]"),
        [origin(DEVELOPERS, json!("a"), 0), origin("eu/kind/shop", json!("b"), 13)]
    );
    assert_eq!(
        origins(&merged, "web.traits.hpa.max"),
        [origin("eu", json!(5), 13), origin("eu/kind/shop", json!(9), 15)]
    );
    assert_eq!(
        origins(&merged, "policies.where.clusters"),
        [origin("eu", json!(["a"]), 15), origin("eu/kind/shop", json!(["b", "c"]), 18)]
    );
    assert_eq!(
        origins(&merged, "web.type"),
        [origin(DEVELOPERS, json!("webservice"), 0), origin("eu/kind/shop", json!("webservice"), 7)]
    );
    for nothing in ["web.properties.none", "none.replicas", "web.traits.none.max", "a b", "workflow"] {
        assert_eq!(origins(&merged, nothing), [], "{nothing}");
    }

    let place = merged.place_of("components[web].properties.env[0].value").unwrap();
    assert_eq!((place.file.as_str(), place.line), ("eu.yaml", 10));
    // What nobody wrote stands at the nearest thing around it.
    assert_eq!(
        merged.place_of("components[web].traits[hpa].properties.cpu.value").unwrap().file,
        "eu/kind/shop.yaml"
    );
}

#[test]
fn a_replaced_value_hides_what_was_below() {
    let wide = level("a", "  components: [{name: web, properties: {resources: {cpu: 1}, args: [x, y]}}]\n");
    let narrow = level("b", "  components: [{name: web, properties: {resources: small, args: [z]}}]\n");
    let merged = merged(&[wide, narrow]);
    assert_eq!(origins(&merged, "web.resources.cpu"), []);
    assert_eq!(origins(&merged, "web.args[1]"), []);
    assert_eq!(origins(&merged, "web.args[0]").len(), 3);
}

#[test]
fn operators_set_only_what_is_declared() {
    let spec = "  components:\n  - name: web\n    type: worker\n    properties:\n      replicas: 2\n      port: 81\n      image: evil\n      env: [{name: NEW, value: x}]\n      probe: {http: {path: /}}\n      args: [b]\n  - name: db\n    properties: {port: 5432, replicas: 1}\n";
    assert_eq!(
        refused(&[level("eu", spec)]),
        [
            "override_not_declared components[web].type eu.yaml:7:11",
            "override_not_declared components[web].properties.image eu.yaml:11:14",
            "override_not_declared components[web].properties.port eu.yaml:10:13",
            "override_not_declared components[web].properties.probe.http.path eu.yaml:13:28",
            "override_not_declared components[db].properties.replicas eu.yaml:16:40",
        ]
    );
    let violations = overlay(&shop(), &[level("eu", spec)], &takes_nothing).unwrap_err();
    assert!(violations[1].hint.as_ref().unwrap().contains("add `image` to `overridable` of `web`"));
    assert!(violations[4].message.contains("nothing of it"));
}

#[test]
fn a_path_opens_what_is_below_and_a_star_one_part() {
    let allowed = |overridable: &[&str], properties: Value| {
        let declared = [developer(
            "web",
            "webservice",
            json!({"env": [{"name": "A", "value": "1"}], "deep": {"a": {"b": 1}}}),
            overridable,
        )];
        let level = Level {
            name: "x".to_owned(),
            application: Application {
                components: vec![Component {
                    name: "web".to_owned(),
                    properties: properties.as_object().unwrap().clone(),
                    ..Component::default()
                }],
                ..Application::default()
            },
            places: None,
        };
        overlay(&declared, &[level], &takes_nothing).is_ok()
    };
    for (overridable, properties, wanted) in [
        (&["deep"][..], json!({"deep": {"a": {"b": 2}}}), true),
        (&["deep.*"], json!({"deep": {"a": {"b": 2}}}), true),
        (&["deep.*.b"], json!({"deep": {"a": {"b": 2}}}), true),
        (&["deep.b"], json!({"deep": {"a": {"b": 2}}}), false),
        (&["deep.a.b.c"], json!({"deep": {"a": {"b": 2}}}), false),
        (&["deep.a"], json!({"deep": 1}), false),
        (&["deep.a"], json!({"deep": null}), false),
        (&["deep"], json!({"deep": null}), true),
        (&["*"], json!({"anything": 1}), true),
        (&["env.*"], json!({"env": [{"name": "B", "value": "1"}]}), true),
        (&["env.A"], json!({"env": [{"name": "B", "value": "1"}]}), false),
        (&["env.A"], json!({"env": [{"name": "A", "value": "2"}]}), true),
        (&["env.*"], json!({"env": ["whole"]}), false),
        (&["env"], json!({"env": ["whole"]}), true),
        (&[], json!({"env": [{"name": "A", "value": "1"}], "deep": {}}), true),
        (&[], json!({"deep": {"a": {"b": 2}}}), false),
    ] {
        assert_eq!(allowed(overridable, properties.clone()), wanted, "{overridable:?} {properties}");
    }
}

#[test]
fn an_input_is_an_override_too() {
    let inputs = |key: &str| {
        level(
            "eu",
            &format!(
                "  components:\n  - {{name: db, outputs: [{{name: host, valueFrom: output.status.host}}]}}\n  - name: web\n    inputs: [{{from: host, parameterKey: \"{key}\"}}]\n    properties: {{env: [{{name: HOST}}]}}\n"
            ),
        )
    };
    assert_eq!(
        refused(&[inputs("image")]),
        ["override_not_declared components[web].properties.image eu.yaml:8:41"]
    );
    let merged = merged(&[inputs("env[0].value")]);
    let web = merged.application().component("web").unwrap();
    // The developers' list comes first, so a number would now mean another item.
    assert_eq!(web.inputs[0].parameter_key.as_deref(), Some("properties.env[HOST].value"));
    let Ok(crate::Target::Properties(path)) = web.inputs[0].parameter_key.as_ref().unwrap().parse() else {
        panic!()
    };
    let mut properties = Value::Object(web.properties.clone());
    assert!(path.fill(&mut properties, json!("db.example")));
    assert_eq!(properties["env"][2], json!({"name": "HOST", "value": "db.example"}));
}

#[test]
fn a_component_comes_from_the_bundle_or_needs_no_package() {
    let spec = "  components:\n  - {name: wbe, type: webservice}\n  - {name: extra, type: webservice, properties: {image: nginx}}\n  - {name: objects, type: manifests, properties: {objects: []}}\n  - {name: chart, type: helm}\n  - {name: vague, properties: {image: nginx}}\n";
    assert_eq!(
        refused(&[level("eu", spec)]),
        [
            "package_not_found components[wbe] eu.yaml:6:5",
            "package_not_found components[chart] eu.yaml:9:5",
            "package_not_found components[vague] eu.yaml:10:5",
        ]
    );
    let violations = overlay(&shop(), &[level("eu", spec)], &takes_nothing).unwrap_err();
    assert_eq!(violations[0].hint.as_deref(), Some("did you mean `web`?"));
    let untyped = [developer("job", "", json!({}), &[])];
    assert_eq!(
        told(overlay(&untyped, &[], &takes_nothing).unwrap_err()),
        ["missing_field components[job].type -"]
    );
    let typed = level("eu", "  components: [{name: job, type: task, properties: {count: 3}}]\n");
    assert_eq!(
        overlay(&untyped, &[typed], &takes_nothing).unwrap().application().components[0].kind.as_deref(),
        Some("task")
    );
}

#[test]
fn references_are_checked_over_all_levels() {
    let wide = level("eu", "  components: [{name: web, dependsOn: [db]}]\n");
    let narrow = level(
        "eu/kind",
        "  components: [{name: db, dependsOn: [web]}]\n  workflow: {steps: [{name: go, type: deploy, properties: {policies: [none]}}]}\n",
    );
    assert_eq!(
        merged(std::slice::from_ref(&wide)).application().component("web").unwrap().depends_on[0].value,
        "db"
    );
    assert_eq!(
        refused(&[wide, narrow]),
        [
            "unknown_policy workflow.steps[go].properties.policies[0] eu/kind.yaml:6:71",
            "dependency_cycle components[web] eu.yaml:5:40",
        ]
    );
}

#[test]
fn traits_of_one_type_are_told_apart_by_name() {
    let gateways = "  components: [{name: web, traits: [{type: gateway, properties: {name: a, port: 1}}, {type: gateway, properties: {name: b, port: 2}}]}]\n";
    let one = level(
        "x",
        "  components: [{name: web, traits: [{type: gateway, properties: {name: b, port: 3}}]}]\n",
    );
    let merged = merged(&[level("eu", gateways), one]);
    assert_eq!(merged.application().component("web").unwrap().traits.len(), 2);
    assert_eq!(origins(&merged, "web.traits[gateway:b].port").len(), 2);
    assert_eq!(origins(&merged, "web.traits[gateway:a].port"), [origin("eu", json!(1), 5)]);
    let vague = level("x", "  components: [{name: web, traits: [{type: gateway, properties: {port: 3}}]}]\n");
    assert_eq!(
        refused(&[level("eu", gateways), vague]),
        ["duplicate_name components[web].traits[gateway] x.yaml:5:37"]
    );
    let gone = level("x", "  components: [{name: web, traits: [{type: gateway, disable: true}]}]\n");
    let merged = self::merged(&[level("eu", gateways), gone]);
    assert_eq!(merged.application().component("web").unwrap().traits, []);
    assert_eq!(origins(&merged, "web.traits.gateway.port").last().unwrap().1, Value::Null);
}

fn overrides(json: Value) -> Vec<Override> {
    serde_json::from_value(json).unwrap()
}

#[test]
fn an_override_policy_is_one_more_level() {
    let spec = "  components: [{name: web, traits: [{type: hpa, properties: {max: 2}}]}]\n  policies:\n  - name: big\n    type: override\n    properties:\n      components:\n      - {name: web, properties: {replicas: 7}, traits: [{type: hpa, disable: true}, {type: labels, properties: {size: big}}]}\n      - {properties: {port: 9}}\n";
    let merged = merged(&[level("eu", spec)]);
    let mut big = merged.clone();
    big.apply_override("big", &overrides(json!([{"component": "web", "properties": {"replicas": 7}, "traits": [{"type": "hpa", "disable": true}, {"type": "labels", "properties": {"size": "big"}}]}]))).unwrap();
    let web = big.application().component("web").unwrap();
    assert_eq!(web.properties["replicas"], json!(7));
    assert_eq!(web.traits.iter().map(|this| this.kind.as_str()).collect::<Vec<_>>(), ["labels"]);
    assert_eq!(origins(&big, "web.replicas"), [origin("policy big", json!(7), 11)]);
    assert_eq!(origins(&big, "web.traits.labels.size"), [origin("policy big", json!("big"), 11)]);
    assert_eq!(merged.application().component("web").unwrap().properties.get("replicas"), None);

    let all = overrides(json!([{"component": "web"}, {"properties": {"port": 9}}]));
    assert_eq!(
        told(big.apply_override("big", &all).unwrap_err()),
        [
            "override_not_declared components[web].properties.port eu.yaml:12:29",
            "override_not_declared components[db].properties.port eu.yaml:12:29",
        ]
    );
    for (this, path) in [
        (json!([{"component": "wbe"}]), "eu.yaml:11:9"),
        (json!([{"component": "web", "type": "worker"}]), "eu.yaml:11:9"),
    ] {
        assert_eq!(
            told(big.apply_override("big", &overrides(this)).unwrap_err()),
            [format!("override_not_declared policies[big].properties.components[0] {path}")]
        );
    }
    let only = overrides(json!([{"component": "", "type": "webservice", "properties": {"replicas": 1}}]));
    big.apply_override("small", &only).unwrap();
    assert_eq!(big.application().component("web").unwrap().properties["replicas"], json!(1));
    assert_eq!(big.application().component("db").unwrap().properties.get("replicas"), None);
    big.select(&["db".to_owned()]);
    assert_eq!(big.application().components.len(), 1);
}

#[test]
fn appmanagers_types_leave_the_exact_one_to_the_developers() {
    let yaml = "apiVersion: core.oam.dev/v1alpha2\nkind: ApplicationConfiguration\nmetadata: {name: shop}\nspec:\n  components:\n  - revisionName: K8S_MICROSERVICE|db|_\n";
    let document = read(yaml.as_bytes(), "launch.yaml", &OamOptions::default()).unwrap();
    let merged = merged(&[Level::new("eu", document)]);
    assert_eq!(merged.application().component("db").unwrap().kind.as_deref(), Some("statefulset"));
}

#[test]
fn an_overlay_has_one_canonical_form() {
    let wide = || level("a", "  components: [{name: web, properties: {replicas: 1}}]\n");
    let narrow = || level("b", "  components: [{name: web, properties: {replicas: 3}}]\n");
    let direct = merged(&[narrow()]).application().canonical_json();
    assert_eq!(merged(&[wide(), narrow()]).application().canonical_json(), direct);
    assert_ne!(merged(&[narrow(), wide()]).application().canonical_json(), direct);
}

#[test]
fn what_is_wrong_does_not_hide_what_follows() {
    let levels =
        [level("eu", "  components: [{name: db, properties: {replicas: 3}}, {name: lost, type: helm}]\n")];
    let (merged, violations) = inspect(&shop(), &levels, &takes_nothing);
    assert_eq!(violations.len(), 2);
    let names: Vec<&str> =
        merged.application().components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["web", "db", "lost"]);
}

#[test]
fn a_key_that_nothing_can_have_is_told_from_one_that_nobody_set() {
    let level =
        level("eu", "  components: []\n  policies:\n  - {name: where, type: topology, properties: {}}\n");
    let merged = merged(&[level]);
    for known in [
        "web.replicas",
        "web.properties.env[MODE].value",
        "web.type",
        "web.traits.hpa.max",
        "policies.where.x",
    ] {
        assert_eq!(merged.unknown_key(known), None, "{known}");
    }
    let told = |key: &str| {
        let violation = merged.unknown_key(key).unwrap();
        format!("{}; {}", violation.message, violation.hint.unwrap_or_default())
    };
    assert_eq!(told("wbe.replicas"), "there is no component `wbe`; did you mean `web`?");
    assert!(told("policies.were.x").starts_with("there is no policy `were`; did you mean `where`?"));
    for no_path in ["", "a b=c", "[0]", "web..replicas"] {
        assert!(told(no_path).ends_with("write COMPONENT.PROPERTY, e.g. web.replicas"), "{no_path}");
    }
}
