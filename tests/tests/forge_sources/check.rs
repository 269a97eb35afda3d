//! `source check` names what is wrong.

use std::net::TcpListener;

use slipway_tests::forge::{Behaviour, Forge};

use crate::world::{assert_found, change, check, files, neighbourly};

#[test]
fn each_kind_of_failure_is_named() {
    let forge = Forge::start();
    let server = neighbourly();
    let create =
        |name: &str, url: &str| drop(server.create_app_with(name, &["--source", url, "--poll", "24h"]));

    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    create("closed", &format!("http://{closed}/shop.git"));
    assert_found(&server, "closed", "address", "cannot be reached");

    create("nowhere", "https://does-not-exist.invalid/shop.git");
    assert_found(&server, "nowhere", "address", "cannot be resolved");

    create("absent", &format!("http://{}/absent.git", forge.address()));
    assert_found(&server, "absent", "address", "there is no repository");

    create("empty", &forge.create("empty"));
    assert_found(&server, "empty", "refs", "push one");

    let wrong = files("another");
    create("wrong", &forge.create("wrong"));
    change(&forge, "wrong", &wrong, "refs/heads/main");
    assert_found(&server, "wrong", "slipway.yaml", "names application `another`, not `wrong`");

    let bad = files("bad");
    bad.write(
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: bad}\ncomponent: []\n",
    );
    create("bad", &forge.create("bad"));
    change(&forge, "bad", &bad, "refs/heads/main");
    assert_found(&server, "bad", "slipway.yaml", "component");

    bad.remove("slipway.yaml");
    change(&forge, "bad", &bad, "refs/heads/main");
    assert_found(&server, "bad", "slipway.yaml", "does not exist");

    let good = files("good");
    create("good", &forge.create("good"));
    change(&forge, "good", &good, "refs/heads/main");
    let (findings, code) = check(&server, "good");
    assert_eq!(code, 0, "{findings:#?}");
    assert!(findings.iter().all(|finding| finding["ok"] == true), "{findings:#?}");
    for (status, part) in
        [(500, "cannot be reached"), (403, "does not accept"), (404, "there is no repository")]
    {
        forge.behave(Behaviour::Status(status));
        assert_found(&server, "good", "address", part);
    }
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let (forge, target) = (Forge::start(), Forge::start());
    let server = neighbourly();
    let repository = files("shop");
    let elsewhere = target.create("shop");
    change(&target, "shop", &repository, "refs/heads/main");
    server.create_app_with("shop", &["--source", &forge.create("shop"), "--poll", "24h"]);
    forge.behave(Behaviour::Redirect(format!("{elsewhere}/info/refs?service=git-upload-pack")));
    assert_found(&server, "shop", "address", "redirects to another address");
    assert!(target.asked().is_empty(), "{:?}", target.asked());
}
