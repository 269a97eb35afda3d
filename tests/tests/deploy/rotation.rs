//! Rotating a secret with everything that runs with it.

use std::fs;

use serde_json::{Value, json};

use crate::secrets::{application, deploy, document, recorded, set};
use crate::world::Field;

const FIRST: &str = "the-first-value";
const NEXT: &str = "the-next-value-of-all";

/// Rotates `db` of the shop, with restarts; gives the answer and the exit code.
pub(crate) fn rotate(field: &Field, value: &str) -> (Value, i32) {
    let file = field.server.scratch().join("value");
    fs::write(&file, value).expect("a file");
    let file = file.display().to_string();
    let args = ["secret", "rotate", "db", "--app", "shop", "--from-file", &file, "--restart", "-o", "json"];
    let said = field.server.cli(&args);
    (said.json(), said.code)
}

fn users(field: &Field, args: &[&str]) -> Vec<Value> {
    let found = field.server.json(&[&["secret", "used-by"], args].concat());
    found.as_array().cloned().unwrap_or_default()
}

fn of_kind<'a>(users: &'a [Value], kind: &str) -> Vec<&'a Value> {
    users.iter().filter(|user| user["kind"] == kind).collect()
}

#[test]
fn a_rotation_tells_every_user_and_restarts_the_same_revisions() {
    let field = Field::prepare();
    let external = json!({"receiver": {"type": "oci", "secrets": "external"}});
    field.environment("staging", "default", &external);
    field.environment("prod", "prod", &external);
    let first = field.publish("one\n");
    let admin = field.server.token().to_owned();
    assert_eq!(set(&field, &admin, "db", FIRST, &["--app", "shop"]), 0);
    assert_eq!(set(&field, &admin, "other", FIRST, &["--app", "shop"]), 0);
    let references = ["secret://builtin/db", "secret://builtin/other"];
    let before = deploy(&field, &references);
    let file = field.server.scratch().join("application.json").display().to_string();
    field.server.cli(&["deploy", "create", "shop", "--env", "prod", "--bundle", &first, "-f", &file]).ok();
    field.wait("prod", &["delivered"]);

    // What would be taken by planning anew: another configuration, and a newer bundle.
    let level = field.server.scratch().join("level.json");
    fs::write(&level, application(&["secret://builtin/db"])).expect("a file");
    let level = level.display().to_string();
    field.server.cli(&["env", "config", "shop", "--set", &level]).ok();
    field.publish("two\n");

    let used = users(&field, &["db", "--app", "shop"]);
    let running = of_kind(&used, "running");
    assert_eq!(running.len(), 2, "{used:#?}");
    for user in running {
        assert_eq!((&user["version"], &user["components"]), (&json!("1"), &json!(["web"])), "{user:#}");
    }
    assert_eq!(of_kind(&used, "configuration").len(), 1, "{used:#?}");
    let own = users(&field, &["kubeconfig/test"]);
    assert!(
        own.len() == 1 && own[0]["detail"].as_str().is_some_and(|what| what.contains("cluster test")),
        "{own:#?}"
    );
    assert_ne!(field.server.cli(&["secret", "used-by", "db", "--team", "default"]).code, 0);

    field.server.cli(&["env", "set", "prod", "--approvals", "1"]).ok();
    let (done, code) = rotate(&field, NEXT);
    assert_eq!((code, &done["secret"]["version"]), (0, &json!(2)), "{done:#}");
    assert_eq!(done["restarts"].as_array().map(Vec::len), Some(2), "{done:#}");
    let after = field.wait("staging", &["delivered"]);
    assert_eq!((&after["generation"], &after["cause"]), (&json!(2), &json!("restart")));
    assert_eq!(after["bundle"], before["bundle"]);
    assert_ne!(after["revision"], before["revision"]);
    let (mut was, mut is) = (document(&field, &before), document(&field, &after));
    let (was_secrets, is_secrets) = (was["secrets"].take(), is["secrets"].take());
    assert_eq!(is, was, "a rotation moves nothing but secrets");
    let versions = |secrets: &Value| -> Vec<String> {
        secrets.as_array().into_iter().flatten().map(|used| used["version"].to_string()).collect()
    };
    assert_eq!(
        (versions(&was_secrets), versions(&is_secrets)),
        (vec!["\"1\"".to_owned(), "\"1\"".to_owned()], vec!["\"2\"".to_owned(), "\"1\"".to_owned()],)
    );
    assert_eq!(recorded(&field, &after)[0]["scope"], "application/default/shop");

    // The gates of today hold there; and a second rotation does not push aside what waits.
    let waiting = field.wait("prod", &["awaiting"]);
    assert_eq!(waiting["generation"], 2);
    let (done, code) = rotate(&field, FIRST);
    assert_eq!(code, 1, "{done:#}");
    let restarts = done["restarts"].as_array().cloned().unwrap_or_default();
    let of = |environment: &str| restarts.iter().find(|one| one["environment"] == environment).cloned();
    assert!(of("staging").is_some_and(|one| one["generation"] == 3 && one["problem"].is_null()), "{done:#}");
    let prod = of("prod").expect("prod is told of");
    assert!(
        prod["deployment"].is_null()
            && prod["problem"].as_str().is_some_and(|why| why.contains("generation 2"))
    );
    assert!(prod["hint"].as_str().is_some_and(|hint| hint.contains("--secrets-only")), "{prod:#}");
    assert_eq!(field.wait("prod", &["awaiting"])["generation"], 2);
    assert!(done["users"].as_array().is_some_and(|users| users.iter().any(|user| user["kind"] == "pending")));
    field.wait("staging", &["delivered"]);

    field.server.cli(&["deploy", "withdraw", "shop@prod"]).ok();
    let again =
        ["deploy", "restart", "shop", "--env", "prod", "--secrets-only", "--reason", "rotated", "--no-wait"];
    field.server.cli(&again).ok();
    let waiting = field.wait("prod", &["awaiting"]);
    assert_eq!((&waiting["generation"], &waiting["bundle"]), (&json!(3), &json!(first)));

    let entries = field.server.json(&["audit", "list", "--subject", "secret/application/default/shop:db"]);
    let actions: Vec<&str> =
        entries.as_array().into_iter().flatten().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["secret.rotate", "secret.rotate", "secret.set"], "{entries:#}");
    let text = format!("{entries}{done}{}", field.server.log());
    assert!(!text.contains(FIRST) && !text.contains(NEXT));
    let missing = field.server.cli(&["secret", "rotate", "nothing", "--app", "shop", "--from-file", &level]);
    assert!(missing.code != 0 && missing.stderr.contains("secret list"), "{}", missing.stderr);
}

#[test]
fn a_restart_for_secrets_moves_no_scope() {
    let field = Field::prepare();
    field.environment("staging", "default", &json!({"receiver": {"type": "oci", "secrets": "external"}}));
    field.publish("one\n");
    let admin = field.server.token().to_owned();
    assert_eq!(set(&field, &admin, "db", FIRST, &["--app", "shop"]), 0);
    deploy(&field, &["secret://builtin/db"]);
    assert_eq!(set(&field, &admin, "db", NEXT, &["--app", "shop"]), 0);
    assert_eq!(set(&field, &admin, "db", FIRST, &["--app", "shop", "--env", "staging"]), 0);
    let restart = ["deploy", "restart", "shop", "--env", "staging", "--reason", "rotated", "--no-wait"];
    field.server.cli(&[&restart[..], &["--secrets-only"]].concat()).ok();
    let after = field.wait("staging", &["delivered"]);
    assert_eq!(after["generation"], 2);
    let used = recorded(&field, &after);
    assert_eq!((&used[0]["scope"], &used[0]["version"]), (&json!("application/default/shop"), &json!("2")));

    // Planned anew, the narrower one is taken.
    field.server.cli(&restart).ok();
    let after = field.wait("staging", &["delivered"]);
    assert_eq!(after["generation"], 3);
    assert_eq!(recorded(&field, &after)[0]["scope"], "environment/default/shop/staging");
}
