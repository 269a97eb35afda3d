//! Deployments on a real cluster, from a push to a page.

mod charts;
mod configured;
mod cordons;
mod definitions;
mod edges;
mod following;
mod kills;
mod kubevela;
mod ledger;
mod notices;
mod observing;
mod orders;
mod plans;
mod removed;
mod rotation;
mod secrets;
mod service;
mod signing;
mod stages;
mod tricks;
mod violations;
mod workflows;
mod world;

use serde_json::json;
use slipway_tests::namespace::Namespace;

use world::{Field, open, page};

#[test]
fn a_bundle_is_deployed_promoted_pinned_and_rolled_back() {
    let field = Field::prepare();
    let (staging, prod) = (&field.namespace, Namespace::create());
    field.environment("staging", "default", &open());
    let settings = json!({"receiver": {"type": "oci"}, "upstream": "staging"});
    field.environment_at("prod", &format!("local/test/{}", prod.name), &settings);
    let first = field.publish("one\n");

    let plan = field.server.json(&["deploy", "plan", "shop", "--env", "staging", "--bundle", &first]);
    assert_eq!(plan["violations"], json!([]), "{plan:#}");
    let differences = plan["differences"].as_array().cloned().unwrap_or_default();
    assert!(differences.iter().any(|one| one["change"] == "create"), "{plan:#}");

    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &first]).ok();
    let delivered = field.wait("staging", &["delivered"]);
    field.apply(staging, delivered["reason"].as_str().expect("an artifact"));
    assert_eq!(page(staging, "web"), "one\n");
    let path = format!("/api/v1/deployments/{}/graph", delivered["id"].as_str().expect("an id"));
    let graph = field.server.get(&path).text();
    assert!(graph.contains("\"name\":\"web\"") && graph.contains("apps/v1/Deployment"), "{graph}");

    let second = field.publish("two\n");
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &second]).ok();
    let delivered = field.wait("staging", &["delivered"]);
    assert_eq!((delivered["bundle"].as_str(), delivered["generation"].as_u64()), (Some(&*second), Some(2)));
    field.apply(staging, delivered["reason"].as_str().expect("an artifact"));
    assert_eq!(page(staging, "web"), "two\n");

    field.server.cli(&["promote", "shop", "--from", "staging", "--to", "prod"]).ok();
    let promoted = field.wait("prod", &["delivered"]);
    assert_eq!(promoted["bundle"], second.as_str());
    field.apply(&prod, promoted["reason"].as_str().expect("an artifact"));
    assert_eq!(page(&prod, "web"), "two\n");

    field.server.cli(&["pin", "shop", "--env", "prod", &second, "--reason", "audit"]).ok();
    let refused = field.server.cli(&["deploy", "create", "shop", "--env", "prod", "--bundle", &first]);
    assert!(refused.code != 0 && refused.stderr.contains("audit"), "{}", refused.stderr);

    let back = ["deploy", "rollback", "shop", "--env", "staging", "--to", "1", "--reason", "two is wrong"];
    field.server.cli(&back).ok();
    let back = field.wait("staging", &["delivered"]);
    assert_eq!((back["bundle"].as_str(), back["cause"].as_str()), (Some(&*first), Some("rollback")));
    field.apply(staging, back["reason"].as_str().expect("an artifact"));
    assert_eq!((page(staging, "web"), page(&prod, "web")), ("one\n".into(), "two\n".into()));
    // What may be returned to stays, whoever asks.
    let kept = format!("/v2/default/shop/d/local/test/{}/default/manifests/g1", staging.name);
    let authorization = format!("Bearer {}", field.server.token());
    let refused = field.server.request("DELETE", &kept, &[("Authorization", &authorization)], b"");
    let why = refused.text();
    assert!(refused.status == 403 && why.contains("generation 1") && why.contains("`staging`"), "{why}");
    let place = field.place("prod").expect("prod runs something");
    assert_eq!((place["behind"].as_bool(), place["version"].as_str()), (Some(true), Some(&*second)));
}
