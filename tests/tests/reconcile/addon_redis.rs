//! The add-on `redis` on a real cluster: accounts that come and go while it runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster::{self, assert_none};
use crate::ground::{Ground, core};

/// What an account's password is.
fn password(space: &Namespace, account: &str) -> String {
    let kept = cluster::field(space, "secret", "cache-accounts", &format!("/data/{account}"));
    let bytes = STANDARD.decode(kept.as_str().expect("a password")).expect("base64");
    String::from_utf8(bytes).expect("text")
}

/// What the server answers to an account that asks from a pod of a namespace.
fn answer(
    space: &Namespace,
    (host, address): (&Value, &Value),
    (account, password): (&str, &str),
    asked: &[&str],
) -> String {
    let host_name = host.as_str().expect("a host");
    let command = [&["redis-cli", "-h", host_name, "--user", account][..], asked].concat();
    let container = json!({
        "image": space.cluster.redis_image,
        "command": command,
        "env": [{"name": "REDISCLI_AUTH", "value": password}],
    });
    cluster::run(space, &container, (host, address)).expect("it answers")
}

#[test]
fn accounts_of_a_cache_come_and_go_while_it_runs() {
    let ground = Ground::prepare();
    let (server, space, other) = (&ground.server, &ground.namespace, Namespace::create());
    ground.environment("other", &other, &core());
    server.create_app("cart");
    let image = format!("image={}", space.cluster.redis_image);
    let apply = ["addon", "apply", "cache", "--definition", "redis", "--env", "prod"];
    let ready = server.json(&[&apply[..], &["--set", &image, "--set", "memory=64mb"]].concat());
    assert_eq!(ready["state"], "ready", "{ready:#}");
    server.json(&["addon", "bind", "cache", "shop", "--env", "prod"]);
    server.json(&["addon", "bind", "cache", "cart", "--env", "other"]);

    let at = (&ready["outputs"]["host"], &cluster::field(space, "service", "cache", "/spec/clusterIP"));
    let passwords = ["shop_prod", "cart_other"].map(|account| password(space, account));
    let shop = ("shop_prod", passwords[0].as_str());
    let cart = ("cart_other", passwords[1].as_str());
    assert_eq!(answer(space, at, shop, &["set", "word", "hello"]), "OK");
    assert_eq!(answer(&other, at, cart, &["get", "word"]), "hello");
    let foreign = answer(&other, at, ("cart_other", shop.1), &["get", "word"]);
    assert!(foreign.contains("WRONGPASS"), "{foreign}");

    server.json(&["addon", "unbind", "cache", "cart", "--env", "other"]);
    let late = answer(&other, at, cart, &["get", "word"]);
    assert!(late.contains("WRONGPASS"), "{late}");
    assert_eq!(answer(space, at, shop, &["get", "word"]), "hello", "the server was not started anew");

    server.json(&["addon", "unbind", "cache", "shop", "--env", "prod"]);
    server.cli(&["addon", "protect", "cache", "--off"]).ok();
    server.cli(&["addon", "release", "cache", "--yes"]).ok();
    assert_none(space, "slipway.dev/team=addons");
}
