//! Add-ons on a real cluster: applied, bound by two applications in two namespaces, and released.

use serde_json::{Value, json};
use slipway_tests::database_file::DatabaseFile;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::cluster::{self, assert_none, assert_variable};
use crate::ground::{Ground, LIVE_WITHIN, core, of_web};

/// Installs the definition that `definition new` writes: a message for all, and a password for each.
fn install(ground: &Ground) {
    let server = &ground.server;
    let directory = server.scratch().join("board").display().to_string();
    server.cli(&["definition", "new", "addon", "board", "--dir", &directory]).ok();
    let pushed = server.json(&["definition", "push", &directory]);
    server.cli(&["definition", "install", pushed["pinned"].as_str().expect("a reference")]).ok();
}

/// Passwords by account, as the cluster has them.
fn accounts(space: &Namespace) -> Value {
    cluster::field(space, "secret", "board-accounts", "/data")
}

fn secrets_left(ground: &Ground) -> Vec<Value> {
    let secrets = ground.server.json(&["secret", "list"]);
    let all = secrets.as_array().cloned().unwrap_or_default();
    all.into_iter()
        .filter(|secret| secret["name"].as_str().is_some_and(|name| name.starts_with("addon/")))
        .collect()
}

#[test]
fn an_add_on_is_bound_by_two_applications_and_released_once_nobody_needs_it() {
    let ground = Ground::prepare();
    let (server, space, other) = (&ground.server, &ground.namespace, Namespace::create());
    ground.environment("other", &other, &core());
    server.create_app("cart");
    install(&ground);

    let wrong = server.cli(&[
        "addon",
        "apply",
        "board",
        "--definition",
        "board",
        "--env",
        "prod",
        "--set",
        "message=",
    ]);
    assert!(wrong.code != 0 && wrong.stderr.contains("properties.message"), "{}", wrong.stderr);
    let apply =
        ["addon", "apply", "board", "--definition", "board", "--env", "prod", "--set", "message=hello"];
    let ready = server.json(&apply);
    assert_eq!((&ready["state"], &ready["outputs"]["message"]), (&json!("ready"), &json!("hello")));
    assert_eq!(cluster::field(space, "configmap", "board", "/data/message"), "hello");

    let version = ground.publish("one\n");
    let named = of_web(&json!({"properties": {"env": {
        "MESSAGE": "addon://board/message",
        "PASSWORD": "addon://board/password",
    }}}));
    let file = ground.file("named.json", &named);
    let unbound = server.cli(&["deploy", "plan", "shop", "--env", "prod", "--bundle", &version, "-f", &file]);
    let told = format!("{}{}", unbound.stdout, unbound.stderr);
    assert!(told.contains("addon bind board shop --env prod"), "{told}");
    server.json(&["addon", "bind", "board", "shop", "--env", "prod", "--as", "BOARD"]);
    let bound = server.json(&["addon", "bind", "board", "cart", "--env", "other"]);
    assert_eq!(bound["bindings"].as_array().map(Vec::len), Some(2), "{bound:#}");
    let passwords = accounts(space);
    assert!(
        passwords["shop_prod"].is_string() && passwords["shop_prod"] != passwords["cart_other"],
        "{bound:#}"
    );

    ground.deployed("prod", &version, Some(&named));
    for name in ["MESSAGE", "BOARD_MESSAGE"] {
        assert_variable(space, "web", name, "hello");
    }
    assert_eq!(cluster::field(space, "secret", "web-env", "/data/PASSWORD"), passwords["shop_prod"]);

    let held = server.cli(&["addon", "release", "board", "--yes"]);
    assert!(held.code == 1 && held.stderr.contains("`shop` in `prod`, `cart` in `other`"), "{}", held.stderr);
    server.json(&["addon", "unbind", "board", "cart", "--env", "other"]);
    assert!(accounts(space)["cart_other"].is_null(), "its account is gone");
    assert_eq!(accounts(space)["shop_prod"], passwords["shop_prod"], "others keep theirs");
    server.json(&["addon", "unbind", "board", "shop", "--env", "prod"]);
    let held = server.cli(&["addon", "release", "board", "--yes"]);
    assert!(held.code == 1 && held.stderr.contains("addon protect board --off"), "{}", held.stderr);
    server.cli(&["addon", "protect", "board", "--off"]).ok();
    server.cli(&["addon", "release", "board", "--yes"]).ok();
    assert_none(space, "slipway.dev/team=addons");
    assert!(cluster::object(space, "deployment", "web").is_some(), "the application stays");
    let left = secrets_left(&ground);
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(server.json(&["addon", "list"]), json!([]));
}

/// Waits until `board` is in a state for that reason.
fn stands(ground: &Ground, state: &str, reason: Option<&str>) {
    wait::until(&format!("board is {state}"), LIVE_WITHIN, || {
        let shown = ground.server.json(&["addon", "show", "board"]);
        let is = (shown["state"].as_str(), shown["reason"].as_str()) == (Some(state), reason);
        if is { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn an_add_on_waits_for_the_end_of_a_cordon_and_has_its_whole_time_then() {
    const CORDONED: &str = "the cluster test is cordoned: it is upgraded";
    let mut ground = Ground::prepare();
    install(&ground);
    let cordon = ["cluster", "cordon", "test", "--reason", "it is upgraded"];
    ground.server.cli(&cordon).ok();
    let apply = ["addon", "apply", "board", "--definition", "board", "--env", "prod", "--no-wait"];
    ground.server.cli(&[&apply[..], &["--set", "message=hello"]].concat()).ok();
    stands(&ground, "applying", Some(CORDONED));
    // Two hours, where a receiver has one.
    ground.server.stop();
    let database = DatabaseFile::open(&ground.server.data());
    let earlier = "update addon_instance set detail = json_set(detail, '$.changed_at',
        strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-2 hours'))";
    assert_eq!(database.execute(earlier), 1);
    ground.server.restart();
    assert_none(&ground.namespace, "slipway.dev/team=addons");
    ground.server.cli(&["cluster", "uncordon", "test"]).ok();
    stands(&ground, "ready", None);
    assert_eq!(cluster::field(&ground.namespace, "configmap", "board", "/data/message"), "hello");

    ground.server.cli(&cordon).ok();
    ground.server.cli(&["addon", "protect", "board", "--off"]).ok();
    ground.server.cli(&["addon", "release", "board", "--yes", "--no-wait"]).ok();
    stands(&ground, "releasing", Some(CORDONED));
    assert!(cluster::object(&ground.namespace, "configmap", "board").is_some(), "it stays until then");
    ground.server.cli(&["cluster", "uncordon", "test"]).ok();
    wait::until("board is gone", LIVE_WITHIN, || {
        let left = ground.server.json(&["addon", "list"]);
        if left == json!([]) { Ok(()) } else { Err(left) }
    });
    assert_none(&ground.namespace, "slipway.dev/team=addons");
}
