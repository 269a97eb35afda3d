//! What must not open a gate.

use serde_json::{Value, json};
use slipway_tests::server::Answer;

use crate::world::Field;

/// A token of a person.
fn person(field: &Field, name: &str, person: &str, more: &[&str]) -> String {
    let args = [&["token", "create", name, "--role", "operator", "--person", person][..], more].concat();
    field.server.json(&args)["token"].as_str().expect("a token").to_owned()
}

fn post(field: &Field, token: &str, path: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    field.server.request("POST", path, &headers, body.to_string().as_bytes())
}

fn put(field: &Field, token: &str, path: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    field.server.request("PUT", path, &headers, body.to_string().as_bytes())
}

fn approve(field: &Field, token: &str, deployment: &Value, revision: &str) -> Answer {
    let path = format!("/api/v1/deployments/{}/approve", deployment["id"].as_str().expect("an id"));
    post(field, token, &path, &json!({"revision": revision}))
}

fn deploy(field: &Field, token: &str, version: &str) -> Value {
    let body = json!({"application": "shop", "environment": "prod", "bundle": version});
    let made = post(field, token, "/api/v1/deployments", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    field.wait("prod", &["awaiting"])
}

#[test]
fn approvals_cannot_be_had_by_tricks() {
    let field = Field::prepare();
    field.environment("prod", "default", &json!({"gates": {"approvals": {"count": 2}}}));
    let [ann, bob, bobs_phone, cem] = [
        person(&field, "ann", "ann", &[]),
        person(&field, "bob", "bob", &[]),
        person(&field, "bob-phone", "bob", &[]),
        person(&field, "cem", "cem", &[]),
    ];
    let version = field.publish("one\n");
    let first = deploy(&field, &ann, &version);
    let revision = first["revision"].as_str().expect("a revision").to_owned();

    // The author, and the same person twice.
    for token in [&ann, &bob, &bobs_phone] {
        assert_eq!(approve(&field, token, &first, &revision).status, 200);
    }
    let waiting = field.wait("prod", &["awaiting"]);
    let shown = field.server.json(&["deploy", "show", waiting["id"].as_str().expect("an id")]);
    let gate = &shown["gates"][0];
    assert!(
        gate["open"] == json!(false)
            && gate["detail"].as_str().is_some_and(|text| text.starts_with("1 of 2")),
        "{gate}"
    );

    // Another revision than the one that was frozen.
    let other = format!("sha256:{}", "0".repeat(64));
    assert_eq!(approve(&field, &cem, &first, &other).status, 409);

    // A new deployment of the same bundle starts with no approvals, whatever the earlier one has.
    let second = deploy(&field, &ann, &version);
    assert_ne!(first["id"], second["id"]);
    let shown = field.server.json(&["deploy", "show", second["id"].as_str().expect("an id")]);
    assert_eq!(shown["approvals"], json!([]));

    // An approval of what has ended is refused.
    let path = format!("/api/v1/deployments/{}/withdraw", second["id"].as_str().expect("an id"));
    assert_eq!(post(&field, &ann, &path, &json!({})).status, 200);
    let replayed = approve(&field, &bob, &second, second["revision"].as_str().expect("a revision"));
    assert_eq!(replayed.status, 409, "{}", replayed.text());

    assert_eq!(approve(&field, &cem, &first, &revision).status, 200);
    field.wait_for(&first, &["delivered"]);
}

#[test]
fn what_developers_write_opens_no_gate() {
    let field = Field::prepare();
    let wrong = json!({"settings": {"gates": {"labels": "source/qa=passed"}}, "address": format!("local/test/{}", field.namespace.name)});
    let refused = put(&field, field.server.token(), "/api/v1/environments/prod", &wrong);
    assert!(
        refused.status == 422 && refused.text().contains("label that developers write"),
        "{}",
        refused.text()
    );
    let wrong = json!({"settings": {"gates": {"checks": ["source/e2e"]}}, "address": format!("local/test/{}", field.namespace.name)});
    let refused = put(&field, field.server.token(), "/api/v1/environments/prod", &wrong);
    assert!(refused.status == 422 && refused.text().contains("no gate can require it"), "{}", refused.text());

    let gates = json!({"gates": {"labels": "qa=passed", "checks": ["e2e"]}, "checks": {"e2e": {"by": "ci"}}});
    field.environment("prod", "default", &gates);
    let yaml = std::fs::read_to_string(field.repository.path().join("slipway.yaml")).expect("the file");
    field.repository.write("slipway.yaml", yaml.replace("name: shop}", "name: shop, labels: {qa: passed}}"));
    let version = field.publish("one\n");
    let dev = field.server.json(&["token", "create", "dev", "--role", "developer"]);
    let dev = dev["token"].as_str().expect("a token");
    let ann = person(&field, "ann", "ann", &[]);
    deploy(&field, &ann, &version);

    // A developer may not set what a gate asks for, and reports checks in vain.
    let label = format!("/api/v1/bundles/shop/{version}/labels/qa");
    assert_eq!(put(&field, dev, &label, &json!({"value": "passed"})).status, 403);
    let check = |name: &str| format!("/api/v1/bundles/shop/{version}/checks/{name}");
    assert_eq!(put(&field, dev, &check("source%2Fe2e"), &json!({"state": "passed"})).status, 403);
    assert_eq!(put(&field, dev, &check("e2e"), &json!({"state": "passed"})).status, 204);
    assert_eq!(put(&field, &ann, &label, &json!({"value": "passed"})).status, 204);
    let waiting = field.wait("prod", &["awaiting"]);
    let shown = field.server.json(&["deploy", "show", waiting["id"].as_str().expect("an id")]);
    let closed: Vec<&str> = shown["gates"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|gate| gate["open"] == json!(false))
        .filter_map(|gate| gate["gate"].as_str())
        .collect();
    assert_eq!(closed, ["check"], "{shown:#}");
}

#[test]
fn breaking_the_glass_needs_its_own_right_and_a_reason() {
    let field = Field::prepare();
    field.environment("prod", "default", &json!({"gates": {"approvals": {"count": 1}}}));
    let ann = person(&field, "ann", "ann", &[]);
    let eve = person(&field, "eve", "eve", &["--break-glass"]);
    let version = field.publish("one\n");
    let waiting = deploy(&field, &ann, &version);
    let path = format!("/api/v1/deployments/{}/break-glass", waiting["id"].as_str().expect("an id"));
    assert_eq!(post(&field, field.server.token(), &path, &json!({"reason": "x"})).status, 403);
    assert_eq!(post(&field, &eve, &path, &json!({"reason": " "})).status, 400);
    assert_eq!(post(&field, &eve, &path, &json!({"reason": "the site is down"})).status, 200);
    field.wait_for(&waiting, &["delivered"]);
    let subject = format!("deployment/{}", waiting["id"].as_str().expect("an id"));
    let audit = field.server.json(&["audit", "list", "--subject", &subject]);
    assert!(audit.to_string().contains("the site is down"), "{audit:#}");
    let verdict = field.server.json(&["audit", "verify"]);
    assert_eq!(verdict["ok"], json!(true), "{verdict}");
    // What was the newest entry once is still there; what never was is missed.
    let newest = verdict["newest"].as_str().expect("a digest");
    field.server.cli(&["audit", "verify", "--expect", newest]).ok();
    let other = format!("sha256:{}", "0".repeat(64));
    let missed = field.server.cli(&["audit", "verify", "--expect", &other]);
    assert!(missed.code == 1 && missed.stdout.contains("is not there"), "{}", missed.stdout);
}
