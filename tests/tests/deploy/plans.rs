//! What a plan says: what goes, how it differs from what runs, what the file asks for.

use std::fs;

use serde_json::{Value, json};

use crate::world::{Field, open};

fn change<'p>(differences: &'p Value, object: &str) -> Option<&'p str> {
    let found = differences.as_array()?.iter().find(|one| {
        one["object"].as_str().is_some_and(|shown| shown.split_whitespace().any(|word| word == object))
    })?;
    found["change"].as_str()
}

fn plan(field: &Field, version: &str, document: Option<&str>) -> Value {
    let mut body = json!({"application": "shop", "environment": "staging", "bundle": version});
    body["document"] = document.map_or(Value::Null, Value::from);
    let authorization = format!("Bearer {}", field.server.token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let answer =
        field.server.request("POST", "/api/v1/deployments/plan", &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_plan_shows_what_goes_and_how_it_differs_from_what_runs() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: b}\n";
    for name in ["fair", "never-applied"] {
        field.repository.write(&format!("settings/{name}.yaml"), more.replace("NAME", name));
    }
    let first = field.publish("one\n");
    let before = plan(&field, &first, None);
    assert_eq!(before["running"], Value::Null, "{before:#}");
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &first]).ok();
    let delivered = field.wait("staging", &["delivered"]);
    field.apply(&field.namespace, delivered["reason"].as_str().expect("an artifact"));
    field.namespace.kubectl(&["delete", "configmap", "never-applied"]);

    for name in ["fair", "never-applied"] {
        fs::remove_file(field.repository.path().join(format!("settings/{name}.yaml"))).expect("a file");
    }
    let second = field.publish("two\n");
    let found = plan(&field, &second, None);
    assert_eq!(found["violations"], json!([]), "{found:#}");
    assert_eq!(change(&found["differences"], "fair"), Some("remove"), "{found:#}");
    // What is not in the cluster any more does not go; against the revision that runs it does.
    assert_eq!(change(&found["differences"], "never-applied"), None, "{found:#}");
    let running = &found["running"];
    assert_eq!((&running["generation"], &running["version"]), (&json!(1), &json!(first)), "{running:#}");
    assert_eq!(running["revision"], delivered["revision"]);
    for (object, expected) in
        [("fair", "remove"), ("never-applied", "remove"), ("web", "update"), ("shop-settings", "same")]
    {
        assert_eq!(change(&running["differences"], object), Some(expected), "{object}: {running:#}");
    }
    let shown = field.server.cli(&["deploy", "plan", "shop", "--env", "staging", "--bundle", &second]);
    let text = shown.ok().stdout;
    assert!(text.contains("runs now") && text.contains("2 removed"), "{text}");
}

#[test]
fn what_the_file_asks_for_must_be_what_is_deployed() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let first = field.publish("one\n");
    let second = field.publish("two\n");
    field.server.cli(&["channel", "set", "shop", "stable", &first]).ok();
    let document = |spec: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n{spec}"
        )
    };
    let passes = [
        format!("  bundle: {{version: {second}}}\n  components: []\n"),
        "  bundle: {range: \">=0.0.0-0\"}\n  components: []\n".to_owned(),
        "  bundle: {selector: \"slipway/branch=main\"}\n  components: []\n".to_owned(),
        format!("  components: [{{name: web, package: {{version: {second}}}}}]\n"),
        "  components: [{name: settings, package: {channel: stable}}]\n".to_owned(),
    ];
    for spec in &passes {
        let found = plan(&field, &second, Some(&document(spec)));
        assert_eq!(found["violations"], json!([]), "{spec}{found:#}");
    }
    let compose = format!("slipway bundle create shop --from {second} --set web={first}");
    let refused = [
        (
            format!("  bundle: {{version: {first}}}\n  components: []\n"),
            "bundle.version",
            format!("--bundle {first}"),
        ),
        (
            "  bundle: {channel: stable}\n  components: []\n".to_owned(),
            "bundle.channel",
            format!("--bundle {first}"),
        ),
        (
            "  bundle: {range: \"^9\"}\n  components: []\n".to_owned(),
            "bundle.range",
            "--range '^9'".to_owned(),
        ),
        (
            format!("  components: [{{name: web, package: {{version: {first}}}}}]\n"),
            "components[web].package.version",
            compose.clone(),
        ),
        (
            "  components: [{name: web, package: {channel: stable}}]\n".to_owned(),
            "components[web].package.channel",
            compose,
        ),
        (
            "  components: [{name: web, package: {selector: \"tier=gold\"}}]\n".to_owned(),
            "components[web].package.selector",
            "slipway bundle create shop".to_owned(),
        ),
    ];
    for (spec, path, hint) in refused {
        let found = plan(&field, &second, Some(&document(&spec)));
        let told =
            found["violations"].as_array().and_then(|found| found.first()).cloned().unwrap_or_default();
        assert_eq!(told["path"], path, "{spec}{found:#}");
        assert!(told["hint"].as_str().is_some_and(|told| told.contains(&hint)), "{hint}: {told:#}");
        assert!(told["at"]["line"].is_u64(), "{told:#}");
    }
}
