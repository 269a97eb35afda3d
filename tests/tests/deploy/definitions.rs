//! Definitions that people brought, in plans and deployments.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway_tests::server::definition::trait_files;

use crate::rotation::rotate;
use crate::secrets::set;
use crate::world::{Field, open};

const PLAIN: &str = r#"{"type": "object", "additionalProperties": false, "properties": {}}"#;
/// A definition that wants too much is stopped within this time, on a machine that has nothing else to do.
const IN_TIME: Duration = Duration::from_secs(1);
/// Other tests take the cores for a while; who is slow by itself is slow in each of so many tries.
const TRIES: u32 = 8;
/// How much that may cost the server; the bombs are far larger.
const GROWTH_MAX: u64 = 40 << 20;

/// Installs a trait that writes an annotation which tells its version.
fn install(field: &Field, version: &str) {
    let main = format!(
        "def render(ctx):\n    w = ctx.workload\n    return [object.apply({{\"apiVersion\": w[\"apiVersion\"], \"kind\": \
         w[\"kind\"], \"metadata\": {{\"name\": w[\"metadata\"][\"name\"], \"annotations\": {{\"example.com/mark\": \
         \"{version}\"}}}}}})]\n"
    );
    let expect = format!(
        "[{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, annotations: {{example.com/mark: {version:?}}}}}}}]"
    );
    let files = trait_files("mark", version, PLAIN, &main, &expect);
    let reference = field.server.push_definition("definitions/trait/mark", &files);
    field.server.cli(&["definition", "install", &reference]).ok();
}

fn written(field: &Field, traits: &Value) -> String {
    let document = json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": {"components": [{"name": "web", "traits": traits}]},
    });
    let file = field.server.scratch().join("shop.json");
    fs::write(&file, document.to_string()).expect("a file");
    file.display().to_string()
}

fn plan(field: &Field, version: &str, more: &[&str]) -> Value {
    let args = ["deploy", "plan", "shop", "--env", "staging", "--bundle", version, "--objects", "-o", "json"];
    field.server.cli(&[&args, more].concat()).json()
}

/// The mark that the planned Deployment carries.
fn mark(plan: &Value) -> Option<String> {
    let objects = plan["objects"].as_array()?;
    let web = objects.iter().find(|object| object["kind"] == "Deployment")?;
    web["metadata"]["annotations"]["example.com/mark"].as_str().map(str::to_owned)
}

fn notes(plan: &Value) -> String {
    plan["notes"].to_string()
}

#[test]
fn an_application_holds_a_major_version_and_keeps_what_it_uses() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let bundle = field.publish("one\n");
    let file = written(&field, &json!([{"type": "mark"}]));

    // Unknown before it is installed, and nobody wrote to the cluster.
    let unknown = plan(&field, &bundle, &["-f", &file]);
    assert_eq!(unknown["violations"][0]["code"], "unknown_definition", "{unknown:#}");
    install(&field, "1.0.0");
    let first = plan(&field, &bundle, &["-f", &file]);
    assert_eq!((mark(&first).as_deref(), &first["violations"]), (Some("1.0.0"), &json!([])), "{first:#}");
    assert_eq!(field.server.json(&["definition", "hold", "shop"]), json!([]), "a plan holds nothing");

    let set = ["env", "config", "shop", "--level", "local", "--set", &file, "--reason", "marks"];
    field.server.cli(&set).ok();
    let refused = field.server.cli(&["definition", "uninstall", "mark", "--yes"]);
    assert!(refused.stderr.contains("the configuration of shop for local"), "{}", refused.stderr);
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &bundle]).ok();
    field.wait("staging", &["delivered"]);
    let held = field.server.json(&["definition", "hold", "shop"]);
    let held = held.as_array().cloned().unwrap_or_default();
    let of = |name: &str| held.iter().find(|hold| hold["name"] == name).map(|hold| hold["major"].clone());
    assert_eq!((of("mark"), of("webservice")), (Some(json!(1)), Some(json!(1))), "{held:?}");
    let audit = field.server.json(&["audit", "list"]).to_string();
    assert!(audit.contains("definition.hold"), "{audit}");

    // Minor versions and patches by themselves, another major version by a word.
    install(&field, "1.2.0");
    install(&field, "2.0.0");
    let next = plan(&field, &bundle, &[]);
    assert_eq!(mark(&next).as_deref(), Some("1.2.0"), "{next:#}");
    assert!(notes(&next).contains("hold APP trait/mark --major 2"), "{}", notes(&next));
    let wrong = field.server.cli(&["definition", "hold", "shop", "trait/mark", "--major", "3"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("2.0.0"), "{}", wrong.stderr);
    field.server.cli(&["definition", "hold", "shop", "trait/mark", "--major", "2"]).ok();
    let other = plan(&field, &bundle, &[]);
    assert_eq!(mark(&other).as_deref(), Some("2.0.0"), "{other:#}");
    assert!(!notes(&other).contains("trait/mark"), "{}", notes(&other));

    // What runs was made by 1.0.0: that stays, 1.2.0 may go.
    let refused = field.server.cli(&["definition", "uninstall", "mark@1.0.0", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("shop@staging"), "{}", refused.stderr);
    let refused = field.server.cli(&["definition", "uninstall", "mark@2.0.0", "--yes"]);
    assert!(refused.stderr.contains("shop holds major version 2"), "{}", refused.stderr);
    field.server.cli(&["definition", "uninstall", "mark@1.2.0", "--yes"]).ok();

    // A disabled one is offered to no plan; what runs goes on and can be taken up again.
    field.server.cli(&["definition", "disable", "mark@2.0.0"]).ok();
    let without = plan(&field, &bundle, &[]);
    assert_eq!(without["violations"][0]["code"], "unknown_definition", "{without:#}");
    assert!(
        without["violations"][0]["hint"].as_str().is_some_and(|hint| hint.contains("is disabled")),
        "{without:#}"
    );
    field.server.cli(&["definition", "disable", "mark@1.0.0"]).ok();
    let second = field.publish("two\n");
    field.server.cli(&["definition", "enable", "mark@2.0.0"]).ok();
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", &second]).ok();
    field.wait("staging", &["delivered"]);
    let back = ["deploy", "rollback", "shop", "--env", "staging", "--to", "1", "--reason", "two is wrong"];
    field.server.cli(&back).ok();
    assert_eq!(field.wait("staging", &["delivered"])["cause"], "rollback");
    let refused = field.server.cli(&["definition", "uninstall", "mark@1.0.0", "--yes"]);
    assert!(refused.stderr.contains("shop@staging"), "a rollback uses it again: {}", refused.stderr);

    field.server.cli(&["definition", "hold", "shop", "trait/mark", "--release"]).ok();
    assert_eq!(mark(&plan(&field, &second, &[])).as_deref(), Some("2.0.0"));
}

#[test]
fn what_is_restarted_for_its_secrets_alone_still_needs_its_definitions() {
    let field = Field::prepare();
    field.environment("staging", "default", &json!({"receiver": {"type": "oci", "secrets": "external"}}));
    field.publish("one\n");
    install(&field, "1.0.0");
    assert_eq!(set(&field, field.server.token(), "db", "the-first-value", &["--app", "shop"]), 0);
    let document = json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "shop"},
        "spec": {"components": [{
            "name": "web", "properties": {"env": {"SECRET": "secret://builtin/db"}}, "traits": [{"type": "mark"}],
        }]},
    });
    let file = field.server.scratch().join("shop.json");
    fs::write(&file, document.to_string()).expect("a file");
    let file = file.display().to_string();
    field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--branch", "main", "-f", &file]).ok();
    let before = field.wait("staging", &["delivered"]);
    let (done, code) = rotate(&field, "the-next-value");
    assert_eq!(code, 0, "{done:#}");
    let after = field.wait("staging", &["delivered"]);
    assert_eq!(after["generation"], 2, "{after:#}");
    assert_ne!(after["revision"], before["revision"]);
    // What it holds would keep the definition too.
    field.server.cli(&["definition", "hold", "shop", "trait/mark", "--release"]).ok();
    let refused = field.server.cli(&["definition", "uninstall", "mark", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("shop@staging"), "{}", refused.stderr);
}

/// What the definition does, by the property that asks for it.
const BOMB: &str = r#"
def again(n):
    return again(n + 1)

def render(ctx):
    what = ctx.properties.get("what", "nothing")
    if what == "list":
        x = [0]
        for i in range(100):
            x = x + x
        return x
    if what == "string":
        s = "a"
        for i in range(60):
            s += s
        return s
    if what == "sort":
        return sorted([str(i) for i in range(100000000)])
    if what == "replace":
        s = "aaaa"
        for i in range(40):
            s = s.replace("a", "aaaaaaaaaaaaaaaa")
        return s
    if what == "recursion":
        return again(0)
    if what == "loop":
        for i in range(1000000000):
            for j in range(1000000000):
                pass
    if what == "nonsense":
        return [{"verb": "object.apply", "object": {"kind": len(what)}}]
    if what == "size":
        return ["x" * 1000] * 3000
    if what == "depth":
        x = []
        for i in range(1000):
            x = [x]
        return x
    return []
"#;

#[test]
fn an_installed_bomb_is_stopped_in_a_second_and_costs_the_server_nothing() {
    let field = Field::prepare();
    field.environment("staging", "default", &open());
    let bundle = field.publish("one\n");
    let schema =
        r#"{"type": "object", "additionalProperties": false, "properties": {"what": {"type": "string"}}}"#;
    let files = trait_files("bomb", "1.0.0", schema, BOMB, "[]");
    let reference = field.server.push_definition("definitions/trait/bomb", &files);
    field.server.cli(&["definition", "install", &reference]).ok();
    let attempt = |what: &Value| {
        let document =
            fs::read_to_string(written(&field, &json!([{"type": "bomb", "properties": {"what": what}}])));
        let body = json!({
            "application": "shop", "environment": "staging", "bundle": bundle,
            "document": document.expect("a file"),
        });
        let began = Instant::now();
        let answer = field.server.post("/api/v1/deployments/plan", &body);
        (began.elapsed(), answer)
    };
    let (_, plain) = attempt(&json!("nothing"));
    assert_eq!(plain.json()["violations"], json!([]), "{}", plain.text());
    let before = field.server.peak_bytes();
    for what in ["list", "string", "sort", "replace", "recursion", "loop", "nonsense", "size", "depth"] {
        // What a property of the wrong type takes beside it is the slowness of a machine that is busy with other things.
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let (slowness, _) = attempt(&json!(7));
            let (took, answer) = attempt(&json!(what));
            best = best.min(took.saturating_sub(slowness));
            let violation = answer.json()["violations"][0].clone();
            let code = violation["code"].as_str().unwrap_or_default().to_owned();
            assert!(
                ["definition_limit", "bad_definition_result", "definition_failed"].contains(&code.as_str()),
                "{what}: {}",
                answer.text()
            );
            assert_eq!(violation["path"], "components[web].traits[bomb]", "{what}: {violation:#}");
            if best < IN_TIME {
                break;
            }
        }
        assert!(best < IN_TIME, "{what}: stopped after {best:?} only");
        let grown = field.server.peak_bytes().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{what}: the server grew by {grown} bytes");
    }
}
