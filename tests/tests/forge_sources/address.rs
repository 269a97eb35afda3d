//! Addresses of this machine and its network are not reached unless the configuration names them,
//! neither by a source nor by a Dockerfile.

use slipway_tests::forge::Forge;
use slipway_tests::server::{Server, ServerOptions};

use crate::world::{check, files};

/// Ways to write an address of a neighbour; `PORT` is the canary's.
const NEIGHBOURS: [&str; 12] = [
    "127.0.0.1:PORT",
    "localhost:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "0.0.0.0:PORT",
    "[::1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "169.254.169.254",
    "10.0.0.1",
    "[64:ff9b::7f00:1]:PORT",
];

fn stranger() -> Server {
    Server::start(ServerOptions::default().env("SLIPWAY__GIT__ALLOW_HTTP", "true"))
}

#[test]
fn sources_do_not_reach_the_neighbours() {
    let canary = Forge::start();
    canary.create("shop");
    let server = stranger();
    for (index, neighbour) in NEIGHBOURS.iter().enumerate() {
        let host = neighbour.replace("PORT", &canary.address().port().to_string());
        let name = format!("shop-{index}");
        let url = format!("http://{host}/shop.git");
        let made = server.cli(&["app", "create", &name, "--source", &url, "--poll", "24h"]);
        if made.code != 0 {
            assert!(
                made.stderr.contains("public") || made.stderr.contains("address"),
                "{url}: {}",
                made.stderr
            );
            continue;
        }
        let (findings, code) = check(&server, &name);
        assert_eq!(code, 1, "{url}: {findings:#?}");
        let detail = findings.last().map(|finding| finding["detail"].to_string()).unwrap_or_default();
        assert!(detail.contains("not a public address"), "{url}: {findings:#?}");
        assert!(detail.contains("allow_private"), "{url} does not say what allows it: {findings:#?}");
    }
    assert!(canary.asked().is_empty(), "{:?}", canary.asked());
}

#[test]
fn base_images_do_not_reach_the_neighbours() {
    let canary = Forge::start();
    let server = stranger();
    let app = server.create_app("shop");
    let repository = files("shop");
    for neighbour in NEIGHBOURS {
        let host = neighbour.replace("PORT", &canary.address().port().to_string());
        // What a reference cannot say is refused as such.
        repository.write("web/Dockerfile", format!("FROM {host}/library/base:1\nCOPY index.html /srv/\n"));
        let run = server.deliver(&app, &repository, "main", &format!("From {host}"));
        assert_eq!(run["state"], "failed", "{host}: {run:#}");
        let reason = run["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty() && reason.contains("Dockerfile:1"), "{host}: {run:#}");
    }
    assert!(canary.asked().is_empty(), "{:?}", canary.asked());
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let server = stranger();
    for (url, part) in [
        ("ssh://git@git.example.com/ada/shop.git", "SSH"),
        ("git@git.example.com:ada/shop.git", "SSH"),
        ("https://bitbucket.org/ada/shop.git", "Bitbucket"),
        ("https://gitee.com/ada/shop.git", "Gitee"),
        ("git://git.example.com/shop.git", "not by git"),
        ("file:///etc", "not by file"),
        ("ext::sh -c true", "not by ext"),
        ("https://git.example.com/shop.git?x=1", "`?`"),
    ] {
        let refused = server.cli(&["app", "create", "shop", "--source", url]);
        assert_ne!(refused.code, 0, "{url}");
        assert!(refused.stderr.contains(part), "{url}: {}", refused.stderr);
    }
    assert_eq!(server.json(&["app", "list"]), serde_json::json!([]));
    let server = Server::fresh();
    let refused = server.cli(&["app", "create", "shop", "--source", "http://git.example.com/shop.git"]);
    assert!(refused.stderr.contains("https"), "{}", refused.stderr);
}
