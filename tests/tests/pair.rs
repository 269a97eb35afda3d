//! Two servers on one PostgreSQL and one S3 bucket, with nothing else in common.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use slipway_tests::server::{Answer, Server, ServerOptions, World, layout, packages, shop};

const REACHED_WITHIN: Duration = Duration::from_secs(90);

fn two_servers() -> Server {
    Server::start(ServerOptions { world: Some(World::Pair), ..ServerOptions::default() })
}

/// Waits until an armed server stands at the point it was told.
fn await_marker(marker: &std::path::Path) {
    slipway_tests::wait::holds("the server comes to the point", REACHED_WITHIN, || marker.exists());
}

/// A push goes to one server, which is killed right after its commit: nobody but the other can plan it.
#[test]
fn pair_the_server_that_took_a_push_is_killed_before_planning() {
    let mut servers = two_servers();
    let app = servers.create_app("shop");
    let repository = shop();
    let first = servers.publish(&app, &repository, "main", "one");

    for victim in [0, 1] {
        let marker = servers.scratch().join(format!("marker-{victim}"));
        let armed = [
            ("SLIPWAY_TEST_STOP_AT", "receive.committed:1"),
            ("SLIPWAY_TEST_STOP_MARKER", marker.to_str().unwrap()),
            // It takes pushes and nothing else.
            ("SLIPWAY__SERVER__ROLES", "api,registry"),
        ];
        servers.kill9_of(victim);
        servers.restart_of(victim, &armed);
        repository.write("web/index.html", format!("<p>{victim}</p>\n"));
        let commit = repository.commit("Change");
        let url = app.git_url.replace(servers.address(), servers.address_of(victim));
        let pid = servers.pid_of(victim).to_string();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                await_marker(&marker);
                Command::new("sh").args(["-c", "kill -KILL \"$0\"", &pid]).status().expect("sh runs");
            });
            // It is cut off, or told so before the kill: either way the commit is there.
            repository.push(&url, servers.token(), &["HEAD:refs/heads/main"]);
        });
        servers.kill9_of(victim);
        let run = servers.wait_run_of("shop", &commit, "main");
        let bundle = servers.bundle_of(&run);
        assert_eq!(
            packages(&bundle).iter().filter(|package| package["reused"] == false).count(),
            1,
            "{bundle:#}"
        );
        servers.restart_of(victim, &[]);
    }
    let bundles = servers.bundles("shop");
    assert_eq!(bundles.len(), 3, "{bundles:#?}");
    assert_eq!(bundles[2]["digest"], first["digest"]);
    // Each server gives every bundle whole, whoever made it.
    for (instance, bundle) in [(0, &bundles[0]), (1, &bundles[0]), (0, &bundles[1]), (1, &bundles[2])] {
        let to = servers.scratch().join(format!("pulled-{instance}-{}", bundle["version"]));
        let url = format!("http://{}", servers.address_of(instance));
        let version = bundle["version"].as_str().unwrap();
        let pull = ["bundle", "pull", "shop", version, "--to", to.to_str().unwrap(), "--server", &url];
        servers.cli(&pull).ok();
        assert!(layout::walk(&to).indexes.contains(bundle["digest"].as_str().unwrap()));
    }
}

/// Every request of an upload goes to another server than the one before.
#[test]
fn pair_an_upload_goes_on_at_any_server() {
    let servers = two_servers();
    servers.create_app("shop");
    let authorization = format!("Bearer {}", servers.token());
    let send = |method: &str, path: &str, body: &[u8]| -> Answer {
        servers.request(method, path, &[("Authorization", &authorization)], body)
    };
    let (one, two) = (vec![1u8; 300_000], vec![2u8; 200_000]);
    let digest =
        format!("sha256:{}", hex::encode(Sha256::new().chain_update(&one).chain_update(&two).finalize()));
    let begun = send("POST", "/v2/default/shop/i/web/blobs/uploads/", b"");
    assert_eq!(begun.status, 202, "{}", begun.text());
    let place = begun.header("location").unwrap().to_owned();
    assert_eq!(send("PATCH", &place, &one).status, 202);
    assert_eq!(send("GET", &place, b"").header("range"), Some("0-299999"));
    assert_eq!(send("PATCH", &place, &two).header("range"), Some("0-499999"));
    let done = send("PUT", &format!("{place}?digest={digest}"), b"");
    assert_eq!(done.status, 201, "{}", done.text());
    for _ in 0..2 {
        let got = send("GET", &format!("/v2/default/shop/i/web/blobs/{digest}"), b"");
        assert_eq!((got.status, got.body.len()), (200, 500_000));
    }
}

/// Whichever server answers: one run for each commit, one delivery for each external id.
#[test]
fn pair_a_delivery_repeated_at_the_other_server_is_known() {
    let servers = two_servers();
    let app = servers.create_app("shop");
    let repository = shop();
    let commit = repository.commit("one");
    servers.push(&app, &repository, &["HEAD:refs/heads/main"]);
    let run = servers.wait_run("shop", &commit);
    let body = json!({"ref": "refs/heads/main", "commit": commit, "actor": "ann"}).to_string();
    let path =
        app.webhook_urls["generic"].as_str().unwrap().split_once(servers.address()).unwrap().1.to_owned();
    let signature = app.signature(body.as_bytes());
    let headers = [("X-Slipway-Delivery", "1"), ("X-Slipway-Signature", signature.as_str())];
    let answers: Vec<Answer> =
        (0..4).map(|_| servers.request("POST", &path, &headers, body.as_bytes())).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [202, 200, 200, 200], "{answers:#?}");
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.json()["delivery"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let runs = servers.json(&["run", "list", "--app", "shop"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs:#}");
    assert_eq!(runs[0]["id"], run["id"]);
    assert!(!servers.data().join("blobs").exists(), "blobs on local disk");
}
