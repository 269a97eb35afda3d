//! Deployments on a real cluster, from a push to a page.

mod following;
mod tricks;
mod violations;
mod world;

use serde_json::json;

use world::{Field, open};

#[test]
fn a_bundle_is_deployed_promoted_pinned_and_rolled_back() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    field.environment("prod", "prod", &json!({"receiver": {"type": "oci"}, "upstream": "staging"}));
    let first = field.publish("one\n");

    let plan = field.server.json(&["deploy", "plan", "shop", "--env", "staging", "--bundle", &first]);
    assert_eq!(plan["violations"], json!([]), "{plan:#}");
    assert!(
        plan["differences"].as_array().is_some_and(|all| all.iter().any(|one| one["change"] == "create"))
    );

    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &first]).ok();
    let delivered = field.wait("staging", &["delivered"]);
    field.apply(delivered["reason"].as_str().expect("an artifact"));
    assert_eq!(field.page("web"), "one\n");

    let second = field.publish("two\n");
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &second]).ok();
    let delivered = field.wait("staging", &["delivered"]);
    assert_eq!((delivered["bundle"].as_str(), delivered["generation"].as_u64()), (Some(&*second), Some(2)));
    field.apply(delivered["reason"].as_str().expect("an artifact"));
    assert_eq!(field.page("web"), "two\n");

    field.server.cli(&["promote", "shop", "--from", "staging", "--to", "prod"]).ok();
    let promoted = field.wait("prod", &["delivered"]);
    assert_eq!(promoted["bundle"], second.as_str());
    field.apply(promoted["reason"].as_str().expect("an artifact"));
    // Two stages share the namespace and do not meet.
    assert_eq!((field.page("web"), field.page("web-prod")), ("two\n".into(), "two\n".into()));

    field.server.cli(&["pin", "shop", "--env", "prod", &second, "--reason", "audit"]).ok();
    let refused = field.server.cli(&["deploy", "create", "shop", "--env", "prod", "--bundle", &first]);
    assert!(refused.code != 0 && refused.stderr.contains("audit"), "{}", refused.stderr);

    field
        .server
        .cli(&["deploy", "rollback", "shop", "--env", "staging", "--to", "1", "--reason", "two is wrong"])
        .ok();
    let back = field.wait("staging", &["delivered"]);
    assert_eq!((back["bundle"].as_str(), back["cause"].as_str()), (Some(&*first), Some("rollback")));
    field.apply(back["reason"].as_str().expect("an artifact"));
    assert_eq!((field.page("web"), field.page("web-prod")), ("one\n".into(), "two\n".into()));
    let prod = field.place("prod").expect("prod runs something");
    assert_eq!((prod["behind"].as_bool(), prod["version"].as_str()), (Some(true), Some(&*second)));
}
