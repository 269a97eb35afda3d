//! Rotating a secret with everything that runs with it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_records::fault_point::ROTATE_POINTS;
use slipway_tests::database_file::DatabaseFile;
use slipway_tests::wait;

use crate::kills::await_marker;
use crate::ledger::Ledger;
use crate::secrets::{application, deploy, document, recorded, set};
use crate::world::Field;

const FIRST: &str = "the-first-value";
const NEXT: &str = "the-next-value-of-all";
const ENDS_WITHIN: Duration = Duration::from_secs(90);

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

/// Two environments in which the shop runs with `db`.
fn in_both_places(field: &Field) {
    let external = json!({"receiver": {"type": "oci", "secrets": "external"}});
    field.environment("staging", "default", &external);
    field.environment("prod", "prod", &external);
    let first = field.publish("one\n");
    let admin = field.server.token().to_owned();
    assert_eq!(set(field, &admin, "db", FIRST, &["--app", "shop"]), 0);
    deploy(field, &["secret://builtin/db"]);
    let file = field.server.scratch().join("application.json").display().to_string();
    field.server.cli(&["deploy", "create", "shop", "--env", "prod", "--bundle", &first, "-f", &file]).ok();
    field.wait("prod", &["delivered"]);
}

/// Starts a server that was stopped, and rotates `db` until the job comes to a point, where it is held.
fn rotate_to(field: &mut Field, point: &str) {
    let (marker, value) = (field.server.scratch().join("stopped"), field.server.scratch().join("value"));
    drop(fs::remove_file(&marker));
    fs::write(&value, NEXT).expect("a file");
    let value = value.display().to_string();
    let options = field.server.options_mut();
    options.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
    options.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
    field.server.restart();
    let rotate = ["secret", "rotate", "db", "--app", "shop", "--from-file", &value, "--restart", "--no-wait"];
    field.server.cli(&rotate).ok();
    await_marker(&marker, point);
}

/// Kills the server, and starts it again; gives the restarts once they have ended.
fn ended_after_kill(field: &mut Field) -> Value {
    field.server.kill9();
    field.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
    field.server.restart();
    wait::until("the restarts end", ENDS_WITHIN, || {
        let said = field.server.cli(&["secret", "restarts", "db", "--app", "shop", "-o", "json"]);
        let found = said.json();
        if found["ended_at"].is_null() || said.code != 0 { Err(found) } else { Ok(found) }
    })
}

#[test]
fn faults_of_kills_among_restarts_restart_each_place_once() {
    let mut field = Field::prepare();
    in_both_places(&field);
    let (ledger, database) = (Ledger::open(&field.server.data()), DatabaseFile::open(&field.server.data()));
    for (point, version) in ROTATE_POINTS.into_iter().zip(2..) {
        field.server.stop();
        // As a release left it that noted nothing.
        for forget in ["delete from revision_secret", "delete from revision_secret_noted"] {
            database.execute(forget);
        }
        rotate_to(&mut field, point);
        ended_after_kill(&mut field);
        for environment in ["staging", "prod"] {
            let after = field.wait(environment, &["delivered"]);
            let found = (&after["generation"], &after["cause"]);
            assert_eq!(found, (&json!(version), &json!("restart")), "{point}");
        }
        let used = users(&field, &["db", "--app", "shop"]);
        let has: Vec<_> = of_kind(&used, "running").iter().map(|user| user["version"].to_string()).collect();
        assert_eq!(has, vec![format!("\"{version}\""); 2], "{point}: {used:#?}");
    }
    let rows = ledger.rows("select count(*) from deployment");
    assert_eq!(
        rows,
        [(2 * (1 + ROTATE_POINTS.len())).to_string()],
        "each place was restarted once a rotation"
    );
}

#[test]
fn faults_of_a_kill_pass_over_a_place_that_got_the_value_meanwhile() {
    let mut field = Field::prepare();
    in_both_places(&field);
    field.server.stop();
    rotate_to(&mut field, "rotate.gathered");
    // Both are noted by now, and neither was come to.
    let brought = deploy(&field, &["secret://builtin/db"]);
    assert_eq!((&brought["generation"], &brought["cause"]), (&json!(2), &json!("deploy")));
    let ended = ended_after_kill(&mut field);
    let rows = ended["restarts"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 2, "{ended:#}");
    for row in &rows {
        assert_eq!((&row["state"], &row["generation"]), (&json!("restarted"), &json!(2)), "{ended:#}");
    }
    for (environment, cause) in [("staging", "deploy"), ("prod", "restart")] {
        let newest = field.wait(environment, &["delivered"]);
        let found = (&newest["generation"], &newest["cause"]);
        assert_eq!(found, (&json!(2), &json!(cause)), "{environment}");
    }
}
