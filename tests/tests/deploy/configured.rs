//! Configuration that is followed from git.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository};
use slipway_tests::wait::{holds, until};

use crate::world::{Field, open, options};

/// How long a push may take until its configuration is there.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

fn document(replicas: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n  components:\n    \
         - name: web\n      properties:\n        replicas: {replicas}\n"
    )
}

/// Operators' repository.
struct Ops {
    app: App,
    repository: GitRepository,
}

impl Ops {
    fn create(field: &Field) -> Self {
        Self { app: field.server.create_app("ops"), repository: GitRepository::new() }
    }

    /// Pushes to `main`, and goes on once the server has it.
    fn push(&self, field: &Field, message: &str) -> String {
        let commit = self.repository.commit(message);
        let taken = || {
            let found = field.server.json(&["source", "deliveries", "ops"]);
            found.as_array().into_iter().flatten().any(|delivery| delivery["commit"] == commit.as_str())
        };
        self.repository.push_until(&self.app.git_url, field.server.token(), &["HEAD:main"], taken);
        commit
    }
}

fn config(field: &Field, level: &str) -> Value {
    field.server.json(&["env", "config", "shop", "--level", level])
}

/// Waits until a level is as it should be.
fn wait(field: &Field, level: &str, is: impl Fn(&Value) -> bool) -> Value {
    until("the level is as it should be", TAKEN_WITHIN, || {
        let now = config(field, level);
        if is(&now) { Ok(now) } else { Err(now) }
    })
}

fn has_seen(now: &Value, commit: &str) -> bool {
    now["follows"]["seen_commit"] == commit
}

fn versions(field: &Field, level: &str) -> usize {
    let history = field.server.json(&["env", "config", "shop", "--level", level, "--history"]);
    history.as_array().map_or(0, Vec::len)
}

fn file(field: &Field, content: &str) -> String {
    let path: PathBuf = field.server.scratch().join("edited.yaml");
    fs::write(&path, content).expect("a file");
    path.display().to_string()
}

fn actions(field: &Field, subject: &str) -> Vec<String> {
    let entries = field.server.json(&["audit", "list", "--subject", subject]);
    let entries = entries.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["action"].as_str().map(str::to_owned)).collect()
}

#[test]
fn configuration_of_what_is_not_there_is_kept_and_noted() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    field.publish("one\n");
    let set = |level: &str, content: &str| {
        let file = file(&field, content);
        field.server.cli(&["env", "config", "shop", "--level", level, "--set", &file]).ok().stderr
    };
    let told = set("local", &document("2").replace("name: web", "name: wbe"));
    assert!(told.contains("note: ") && told.contains("did you mean `web`?"), "{told}");
    assert!(told.contains("the newest bundle"), "{told}");
    assert_eq!(versions(&field, "local"), 1);
    let told = set("elsewhere", &document("2"));
    assert!(told.contains("no environment lies in elsewhere"), "{told}");
    let told = set("local", &document("2"));
    assert!(!told.contains("note: "), "{told}");
    let unknown = field.server.cli(&["env", "explain", "shop", "wbe.replicas", "--env", "staging"]);
    assert!(
        unknown.code == 1 && unknown.stderr.contains("there is no component `wbe`"),
        "{}",
        unknown.stderr
    );
    let pair = field.server.cli(&["env", "config", "shop", "--set", "web.replicas=3"]);
    assert!(pair.code == 2 && pair.stderr.contains("is no file"), "{}", pair.stderr);
}

#[test]
fn a_level_follows_a_file_and_keeps_the_last_good_version() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let version = field.publish("one\n");
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &version]).ok();
    field.wait("staging", &["delivered"]);
    let ops = Ops::create(&field);
    ops.repository.write("deploy/local.yaml", document("2"));
    let first = ops.push(&field, "Two of them");
    let follow =
        ["env", "config", "shop", "--level", "local", "--follow", "ops", "--path", "deploy/local.yaml"];
    let followed = field.server.json(&follow);
    assert_eq!(followed["seen_commit"], first.as_str(), "{followed:#}");
    let now = config(&field, "local");
    assert_eq!((&now["version"], &now["reason"]), (&json!(1), &json!("Two of them")), "{now:#}");
    let author = ops.repository.git(&["log", "-1", "--format=%an <%ae>"]);
    assert_eq!((&now["set_by"], &now["origin"]["commit"]), (&json!(author), &json!(first)), "{now:#}");

    let explained = field.server.json(&["env", "explain", "shop", "web.replicas", "--env", "staging"]);
    let origin = explained["origins"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert_eq!(
        (&explained["value"], &origin["commit"], &origin["by"]),
        (&json!(2), &json!(first), &json!(author))
    );
    let place = (origin["place"]["file"].as_str().expect("a file"), origin["place"]["line"].as_u64());
    assert_eq!(place, (&*format!("deploy/local.yaml@{}", &first[..8]), Some(8)), "{origin:#}");

    let edited = file(&field, &document("9"));
    let refused = field.server.cli(&["env", "config", "shop", "--level", "local", "--set", &edited]);
    assert!(refused.code != 0 && refused.stderr.contains("--unfollow"), "{}", refused.stderr);

    ops.repository.write("deploy/local.yaml", document("3"));
    ops.push(&field, "Three of them");
    wait(&field, "local", |now| now["version"] == 2);

    // Broken in three ways; each keeps what was there.
    ops.repository.write("deploy/local.yaml", document("[3"));
    let broken = ops.push(&field, "Break it");
    let now = wait(&field, "local", |now| has_seen(now, &broken));
    assert_eq!((&now["version"], now["document"].as_str()), (&json!(2), Some(&*document("3"))));
    let faults = now["follows"]["faults"].to_string();
    assert!(faults.contains(&format!("deploy/local.yaml@{}", &broken[..8])), "{faults}");
    let explain = field.server.cli(&["env", "explain", "shop", "web.replicas", "--env", "staging"]).ok();
    assert!(
        explain.stderr.contains("Not taken from ops") && explain.stdout.contains("= 3"),
        "{}",
        explain.stderr
    );
    assert!(field.server.cli(&["where", "shop"]).ok().stderr.contains("Not taken from ops"));
    let place = field.place("staging").expect("staging runs something");
    assert_eq!(place["broken_configuration"][0]["seen_commit"], broken.as_str(), "{place:#}");
    ops.repository.remove("deploy/local.yaml");
    let gone = ops.push(&field, "Remove it");
    let now = wait(&field, "local", |now| has_seen(now, &gone));
    assert!(
        now["version"] == 2 && now["follows"]["faults"].to_string().contains("configuration_missing"),
        "{now:#}"
    );
    ops.repository.write("deploy/README", "the directory stays");
    ops.repository.symlink("/etc/passwd", "deploy/local.yaml");
    let linked = ops.push(&field, "Link it");
    let now = wait(&field, "local", |now| has_seen(now, &linked));
    assert!(now["version"] == 2 && !now["follows"]["faults"].to_string().contains("root:"), "{now:#}");
    let said = actions(&field, "configuration/shop/local");
    let count = |action: &str| said.iter().filter(|one| *one == action).count();
    assert_eq!((count("configuration.broken"), count("configuration.put")), (3, 2), "{said:?}");

    fs::remove_file(ops.repository.path().join("deploy/local.yaml")).expect("the link goes");
    ops.repository.write("deploy/local.yaml", document("4"));
    let good = ops.push(&field, "Mend it");
    let now = wait(&field, "local", |now| has_seen(now, &good));
    assert_eq!((&now["version"], &now["follows"]["faults"]), (&json!(3), &json!([])));

    // Nothing was deployed by any of that; and here it can be edited again.
    assert_eq!(field.wait("staging", &["delivered"])["generation"], 1);
    field.server.cli(&["env", "config", "shop", "--level", "local", "--unfollow"]).ok();
    assert_ne!(field.server.cli(&["env", "config", "shop", "--level", "local", "--unfollow"]).code, 0);
    field.server.cli(&["env", "config", "shop", "--level", "local", "--set", &edited]).ok();
    // Another level follows the same file, so that there is a look to wait for.
    let other =
        ["env", "config", "shop", "--level", "local/test", "--follow", "ops", "--path", "deploy/local.yaml"];
    field.server.cli(&other).ok();
    ops.repository.write("deploy/local.yaml", document("5"));
    let unfollowed = ops.push(&field, "Only another level follows");
    wait(&field, "local/test", |now| has_seen(now, &unfollowed));
    let now = config(&field, "local");
    assert_eq!((&now["version"], &now["follows"], &now["origin"]), (&json!(4), &Value::Null, &Value::Null));
    assert_eq!(field.server.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn every_level_follows_files_by_their_path() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let ops = Ops::create(&field);
    ops.repository.write("levels/shop.yaml", document("1"));
    ops.repository.write("levels/local/test/shop.yaml", document("2"));
    ops.repository.write("levels/local/cart.yaml", document("7"));
    ops.repository.write("levels/Not/A/Level/shop.yaml", document("8"));
    ops.push(&field, "Levels");
    let follow = ["env", "config", "shop", "--every-level", "--follow", "ops", "--path", "levels"];
    let said = field.server.cli(&[&follow[..], &["-o", "json"]].concat());
    let followed = said.json();
    assert!(said.code == 1 && !said.stderr.contains("It holds"), "{}", said.stderr);
    let faults = followed["faults"].as_array().cloned().unwrap_or_default();
    assert!(faults.len() == 1 && faults[0]["code"] == "bad_level", "{followed:#}");
    let document_of = |level: &str| config(&field, level)["document"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (document_of(""), document_of("local/test"), document_of("local")),
        (document("1"), document("2"), String::new())
    );
    let edited = file(&field, &document("9"));
    let refused = field.server.cli(&["env", "config", "shop", "--level", "local", "--set", &edited]);
    assert!(refused.code != 0 && refused.stderr.contains("--every-level --unfollow"), "{}", refused.stderr);
    let second =
        ["env", "config", "shop", "--level", "local", "--follow", "ops", "--path", "levels/shop.yaml"];
    assert_ne!(field.server.cli(&second).code, 0);

    ops.repository.remove("levels/local/test/shop.yaml");
    ops.repository.remove("levels/Not");
    ops.repository.write("levels/local/shop.yaml", document("3"));
    let moved = ops.push(&field, "Move a level");
    wait(&field, "", |now| has_seen(now, &moved));
    assert_eq!(
        (document_of(""), document_of("local/test"), document_of("local")),
        (document("1"), String::new(), document("3"))
    );
    assert_eq!((versions(&field, ""), versions(&field, "local/test"), versions(&field, "local")), (1, 2, 1));

    // Followed anew from elsewhere, a level goes with the file there, though its text is the same.
    field.server.cli(&["env", "config", "shop", "--every-level", "--unfollow"]).ok();
    ops.repository.write("other/local/shop.yaml", document("3"));
    ops.push(&field, "Elsewhere");
    field.server.cli(&["env", "config", "shop", "--every-level", "--follow", "ops", "--path", "other"]).ok();
    ops.repository.remove("other/local/shop.yaml");
    ops.repository.write("other/README", "Levels\n");
    let gone = ops.push(&field, "No level is left there");
    wait(&field, "", |now| has_seen(now, &gone));
    assert_eq!((document_of(""), document_of("local")), (document("1"), String::new()));
}

#[test]
fn only_operators_push_what_is_followed() {
    let field = Field::prepare();
    let ops = Ops::create(&field);
    ops.repository.write("local.yaml", document("2"));
    ops.push(&field, "Begin");
    let follow = ["env", "config", "shop", "--level", "local", "--follow", "ops", "--path", "local.yaml"];
    field.server.cli(&follow).ok();
    let developer = field.server.json(&["token", "create", "dev", "--role", "developer"]);
    let developer = developer["token"].as_str().expect("a token");
    assert_ne!(field.server.cli_as(developer, &follow).code, 0);
    ops.repository.write("local.yaml", document("99"));
    ops.repository.commit("Take over");
    let pushed = ops.repository.push(&ops.app.git_url, developer, &["HEAD:main"]);
    assert!(pushed.code != 0 && pushed.stderr.contains("role operator"), "{}", pushed.stderr);
    let deleted = ops.repository.push(&ops.app.git_url, developer, &[":main"]);
    assert!(deleted.code != 0, "{}", deleted.stderr);
    let aside = ops.repository.push(&ops.app.git_url, developer, &["HEAD:proposal"]);
    assert_eq!(aside.code, 0, "{}", aside.stderr);
    // Once a later commit was looked at, what lay aside would have been.
    ops.repository.write("local.yaml", document("3"));
    let next = ops.push(&field, "By an operator");
    wait(&field, "local", |now| has_seen(now, &next));
    assert_eq!(versions(&field, "local"), 2);
    // One who may do nothing with a source does not read its files through configuration.
    let of_shop = field.server.json(&["token", "create", "ops-shop", "--role", "operator", "--app", "shop"]);
    let of_shop = of_shop["token"].as_str().expect("a token");
    let refused =
        field.server.cli_as(of_shop, &["env", "config", "shop", "--follow", "ops", "--path", "local.yaml"]);
    assert!(refused.code != 0, "{}", refused.stdout);
}

#[test]
fn a_server_killed_between_takes_every_commit_once() {
    for point in ["configure.before_commit", "configure.committed"] {
        let namespace = Namespace::create();
        let marker = tempfile::tempdir().expect("a directory");
        let marker = marker.path().join("stopped");
        let mut armed = options(&namespace);
        armed.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
        armed.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
        let mut field = Field::on(namespace, armed);
        let ops = Ops::create(&field);
        ops.repository.write("local.yaml", document("2"));
        let commit = ops.push(&field, "Begin");
        let body = json!({"level": "local", "source": "ops", "path": "local.yaml"}).to_string();
        let authorization = format!("Bearer {}", field.server.token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let path = "/api/v1/configurations/shop/source";
        assert_eq!(field.server.request("PUT", path, &headers, body.as_bytes()).status, 200);
        holds(&format!("the server comes to {point}"), TAKEN_WITHIN, || marker.exists());
        field.server.kill9();
        field.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        field.server.restart();
        wait(&field, "local", |now| now["version"] == 1 && has_seen(now, &commit));
        ops.repository.write("local.yaml", document("3"));
        let next = ops.push(&field, "Go on");
        wait(&field, "local", |now| has_seen(now, &next));
        assert_eq!(versions(&field, "local"), 2, "{point}");
        let puts =
            actions(&field, "configuration/shop/local").into_iter().filter(|one| one == "configuration.put");
        assert_eq!(puts.count(), 2, "{point}");
    }
}
