//! Bundles that people compose by hand.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::server::{
    App, GitRepository, Server, ServerOptions, StubRegistry, World, binary, layout, packages, shop,
};
use slipway_tests::wait;

/// How long a server may take to come to a point.
const WITHIN: Duration = Duration::from_secs(60);

fn package<'a>(bundle: &'a Value, component: &str) -> &'a Value {
    packages(bundle).iter().find(|package| package["component"] == component).expect("the component")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

/// A server with two bundles: the second one has another `web` and another `api`.
fn two_bundles(options: ServerOptions) -> (Server, App, GitRepository, Value, Value) {
    let server = Server::start(options);
    let app = server.create_app("shop");
    let repository = shop();
    let first = server.publish(&app, &repository, "main", "one");
    repository.write("web/index.html", "<p>Two.</p>\n");
    repository.write("api/server", "#!/bin/sh\nexit 2\n");
    let second = server.publish(&app, &repository, "main", "two");
    (server, app, repository, first, second)
}

/// The manifests that a pulled bundle holds.
fn pulled(server: &Server, version: &str) -> std::collections::BTreeSet<String> {
    let to = server.scratch().join(format!("pulled-{version}"));
    server.cli(&["bundle", "pull", "shop", version, "--to", to.to_str().expect("a path")]).ok();
    layout::walk(&to).manifests
}

#[test]
fn another_version_of_a_component_makes_another_bundle_once() {
    let (server, app, repository, first, second) = two_bundles(ServerOptions::default());
    let compare = ["bundle", "compare", "shop", text(&first, "version"), text(&second, "version")];
    let compared = server.json(&compare);
    let changed = |row: &&Value| row["change"] == "changed";
    let changed: Vec<_> =
        compared["components"].as_array().expect("components").iter().filter(changed).collect();
    assert_eq!(changed.iter().map(|row| text(row, "component")).collect::<Vec<_>>(), ["api", "web"]);
    assert_eq!(compared["commits"]["added"][0]["subject"], "two", "{compared:#}");
    let told = server.cli(&compare).stdout;
    assert!(told.contains("changed") && told.contains("ADDED"), "{told}");

    let set = format!("api={}", text(package(&second, "api"), "version"));
    let create = [
        "bundle",
        "create",
        "shop",
        "--from",
        text(&first, "version"),
        "--set",
        &set,
        "--reason",
        "the fix alone",
    ];
    let made = server.json(&[&create[..], &["--label", "tested=yes"]].concat());
    assert_eq!((made["new"].as_bool(), text(&made, "version")), (Some(true), "0.1.0-composed.1"), "{made:#}");
    let bundle = server.bundle("shop", "0.1.0-composed.1");
    assert_eq!(package(&bundle, "api")["digest"], package(&second, "api")["digest"]);
    assert_eq!(package(&bundle, "web")["digest"], package(&first, "web")["digest"]);
    assert_eq!(package(&bundle, "config")["digest"], package(&first, "config")["digest"]);
    assert_eq!(
        (&bundle["commit"], &bundle["ref"], &bundle["branch"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let composed = json!({
        "by": "admin", "from": text(&first, "version"), "reason": "the fix alone",
        "set": {"api": text(package(&second, "api"), "version")},
    });
    assert_eq!(bundle["composed"], composed);
    for (key, value) in [
        ("tested", "yes"),
        ("slipway/composed-by", "admin"),
        ("slipway/composed-from", text(&first, "version")),
    ] {
        assert_eq!(bundle["labels"][key], value, "{bundle:#}");
    }
    assert!(
        bundle["labels"].get("slipway/commit").is_none() && bundle["labels"].get("slipway/branch").is_none()
    );
    // All that it names is in its own repository.
    let held = pulled(&server, "0.1.0-composed.1");
    for member in packages(&bundle) {
        assert!(held.contains(text(member, "digest")), "{member}");
    }

    // The same again is the same bundle, whatever led there.
    let again = server.json(&create);
    assert_eq!((again["new"].as_bool(), text(&again, "version")), (Some(false), "0.1.0-composed.1"));
    let set = format!("web={}", text(package(&first, "web"), "version"));
    let other_way =
        server.json(&["bundle", "create", "shop", "--from", text(&second, "version"), "--set", &set]);
    assert_eq!(other_way["lock_digest"], bundle["lock_digest"]);
    assert_eq!(text(&other_way, "version"), "0.1.0-composed.1");
    let set = format!("web={}", text(package(&second, "web"), "version"));
    let known = server.json(&["bundle", "create", "shop", "--from", "0.1.0-composed.1", "--set", &set]);
    assert_eq!((known["new"].as_bool(), &known["version"]), (Some(false), &second["version"]));

    // Under a version of one's own it is the same bundle by another name.
    let named = server.json(&[&create[..], &["--version", "2.0.0-rc.1"]].concat());
    assert_eq!((named["new"].as_bool(), &named["digest"]), (Some(true), &bundle["digest"]));
    let named = server.json(&[&create[..], &["--version", "2.0.0-rc.1"]].concat());
    assert_eq!(named["new"], false);

    // What looks for a branch or a commit does not find it, and a tag on the commit releases what was built.
    let picked = server.json(&["bundle", "pick", "shop", "--branch", "main"]);
    assert_eq!(picked["bundle"]["version"], second["version"]);
    let picked = server.json(&["bundle", "pick", "shop", "--commit", text(&first, "commit")]);
    assert_eq!(picked["bundle"]["version"], first["version"]);
    let none = server.cli(&["bundle", "pick", "shop", "--branch", "absent"]);
    assert!(none.code == 1 && none.stdout.is_empty(), "{}: {}{}", none.code, none.stdout, none.stderr);
    repository.tag("v1.0.0");
    server.push(&app, &repository, &["refs/tags/v1.0.0"]);
    let released = server.bundle_of(&server.wait_run_of("shop", &repository.head(), "v1.0.0"));
    assert_eq!(released["digest"], second["digest"]);

    let audit = server.json(&["audit", "list", "--subject", "bundle/shop/0.1.0-composed.1"]);
    let entries = audit.as_array().expect("a list");
    assert_eq!((entries.len(), text(&entries[0], "action")), (1, "bundle.compose"), "{audit:#}");
    assert!(
        server.cli(&["bundle", "show", "shop", "0.1.0-composed.1"]).ok().stdout.contains("the fix alone")
    );
    assert!(server.cli(&["bundle", "list", "shop"]).ok().stdout.contains("composed from"));
}

#[test]
fn what_cannot_be_composed_is_refused_with_its_field() {
    let (server, _, _, first, second) = two_bundles(ServerOptions::default());
    let (from, api) = (text(&first, "version"), text(package(&second, "api"), "version"));
    let digest = "0".repeat(64);
    let (image, own) = (
        format!("web=ghcr.io/acme/web@sha256:{digest}"),
        format!("web={}/default/other/i/web@sha256:{digest}", server.address()),
    );
    let config = format!("config=ghcr.io/acme/web@sha256:{digest}");
    let cases: [(&[&str], &str); 8] = [
        (&["--from", "9.9.9", "--set", "api=1.0.0"], "from: there is no bundle 9.9.9"),
        (&["--from", from, "--set", "db=1.0.0"], "set.db: bundle"),
        (&["--from", from, "--set", "api=9.9.9"], "set.api: there is no version 9.9.9"),
        (&["--from", from, "--set", "api=latest"], "set.api: `latest` is not a version"),
        (&["--from", from, "--set", "api=nginx@sha256:12"], "set.api:"),
        (&["--from", from, "--set", &config], "set.config: its package has 0 images"),
        (&["--from", from, "--set", &own], "image of another application"),
        (&["--from", from, "--set", "api=1.0.0", "--set", "api=1.0.1"], "given twice"),
    ];
    for (args, said) in cases {
        let refused = server.cli(&[&["bundle", "create", "shop"], args].concat());
        assert!(refused.code != 0 && refused.stderr.contains(said), "{args:?}: {}", refused.stderr);
    }
    let taken = format!("api={api}");
    let refused = server.cli(&[
        "bundle",
        "create",
        "shop",
        "--from",
        from,
        "--set",
        &taken,
        "--version",
        text(&second, "version"),
    ]);
    assert!(refused.code != 0 && refused.stderr.contains("never changes"), "{}", refused.stderr);
    let label =
        server.cli(&["bundle", "create", "shop", "--from", from, "--set", &taken, "--label", "source/a=b"]);
    assert!(label.code != 0 && label.stderr.contains("not people's"), "{}", label.stderr);
    // A private address is not asked for an image, whoever wants it.
    let private = server.cli(&[
        "bundle",
        "create",
        "shop",
        "--from",
        from,
        "--set",
        &image.replace("ghcr.io", "10.0.0.1:5000"),
    ]);
    assert!(private.code != 0 && private.stderr.contains("set.web"), "{}", private.stderr);

    let developer = server.json(&["token", "create", "dev", "--role", "developer"]);
    let create = ["bundle", "create", "shop", "--from", from, "--set", &taken];
    let refused = server.cli_as(text(&developer, "token"), &create);
    assert!(refused.code != 0 && refused.stderr.contains("operator"), "{}", refused.stderr);
    assert_eq!(server.bundles("shop").len(), 2);
}

#[test]
fn another_image_is_copied_and_its_package_is_new() {
    let registry = StubRegistry::start("one");
    let allowed =
        ServerOptions::default().env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", registry.address());
    let (server, _, _, first, _) = two_bundles(allowed);
    let image = format!("{}/base@{}", registry.address(), registry.digest());
    let set = format!("web={image}");
    let create = ["bundle", "create", "shop", "--from", text(&first, "version"), "--set", &set];
    let made = server.json(&create);
    assert_eq!(made["new"], true);
    let version = text(&made, "version").to_owned();
    let bundle = server.bundle("shop", &version);
    let web = package(&bundle, "web");
    assert_eq!((text(web, "version"), web["reused"].as_bool()), (version.as_str(), Some(false)));
    assert!(web["images"][0].as_str().is_some_and(|image| image.ends_with(&registry.digest())), "{web}");
    assert!(web["images"][0].as_str().is_some_and(|image| image.contains("/default/shop/i/web@")), "{web}");
    assert_eq!(package(&bundle, "api")["digest"], package(&first, "api")["digest"]);
    let shown = server.json(&["package", "show", "shop", "web", &version]);
    assert_eq!((&shown["digest"], &shown["commit"]), (&web["digest"], &Value::Null));

    // It holds the image itself, also when the other registry is gone; and the same again asks nothing new.
    let again = server.json(&create);
    assert_eq!((again["new"].as_bool(), text(&again, "version")), (Some(false), version.as_str()));
    registry.hold();
    assert!(pulled(&server, &version).contains(&registry.digest()));
    registry.release();
}

#[test]
fn killed_between_bytes_and_rows_nothing_is_left() {
    let options = ServerOptions { world: Some(World::Embedded), ..Default::default() };
    let (mut server, _, _, first, second) = two_bundles(options);
    let set = format!("api={}", text(package(&second, "api"), "version"));
    let marker = server.scratch().join("stopped");
    for point in ["compose.written", "compose.before_commit"] {
        server.stop();
        drop(fs::remove_file(&marker));
        let held = format!("{point}:1");
        let marker_path = marker.display().to_string();
        server.restart_of(0, &[("SLIPWAY_TEST_STOP_AT", &held), ("SLIPWAY_TEST_STOP_MARKER", &marker_path)]);
        let create = ["bundle", "create", "shop", "--from", text(&first, "version"), "--set", &set];
        let mut client = Command::new(binary());
        client.args(create).current_dir(server.scratch());
        client.env("SLIPWAY_SERVER", server.url()).env("SLIPWAY_TOKEN", server.token());
        let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client");
        wait::holds(point, WITHIN, || fs::read_to_string(&marker).is_ok_and(|held| !held.is_empty()));
        server.kill9();
        client.wait().expect("the client ends");
        server.restart();
        assert_eq!(server.bundles("shop").len(), 2, "{point}");
        assert_eq!(server.json(&["audit", "verify"])["ok"], true);
    }
    let made = server.json(&["bundle", "create", "shop", "--from", text(&first, "version"), "--set", &set]);
    // Numbers that were taken are not given again.
    assert_eq!((made["new"].as_bool(), text(&made, "version")), (Some(true), "0.1.0-composed.3"));
}
