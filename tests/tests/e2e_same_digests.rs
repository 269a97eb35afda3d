//! What Slipway writes depends on what was pushed, not on where and when.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use slipway_tests::server::{GitRepository, Server, ServerOptions, packages};

const YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop, labels: {team: commerce}}
components:
  - {name: web, kit: dockerfile, context: web, with: {platforms: [linux/amd64, linux/arm64]}}
  - {name: api, kit: dockerfile, context: api, needs: [web], workload: {type: webservice, properties: {port: 80}}}
  - {name: config, kit: manifests, context: config}
  - {name: cache, kit: helm, context: cache}
";

/// Branches, a release, a hotfix and a merge; the same commits each time.
fn push_history(server: &Server) {
    let app = server.create_app("shop");
    let repository = GitRepository::with(&[
        ("slipway.yaml", YAML),
        (
            "web/Dockerfile",
            "FROM scratch AS files\nCOPY site /srv/\nFROM scratch\nCOPY --from=files --chown=7:8 /srv /www\nWORKDIR /site/here\n",
        ),
        ("web/site/index.html", "<p>Hello.</p>\n"),
        ("web/site/Zebra", "z\n"),
        ("web/site/ähre", "a\n"),
        ("web/site/a-b/c", "1\n"),
        ("web/site/a.b", "2\n"),
        ("api/Dockerfile", "FROM scratch\nCOPY . /app/\nCOPY <<EOF /etc/made\nhere\nEOF\n"),
        ("config/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
        ("cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.0.0\n"),
        ("cache/templates/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
    ]);
    repository.write_executable("api/server", "#!/bin/sh\n");
    repository.symlink("server", "api/link");
    // Incompressible and longer than one block of the layers' compression.
    let noise: Vec<u8> =
        (0_u64..3 << 20).map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 56) as u8).collect();
    repository.write("api/noise", noise);
    server.publish(&app, &repository, "main", "one");
    repository.tag("v1.0.0");
    server.push(&app, &repository, &["v1.0.0"]);
    server.bundle_of(&server.wait_run_of("shop", &repository.head(), "v1.0.0"));
    repository.write("web/site/index.html", "<p>Changed.</p>\n");
    server.publish(&app, &repository, "main", "two");
    repository.branch("Hot/Fix", "v1.0.0");
    repository.write("config/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n");
    server.publish(&app, &repository, "Hot/Fix", "three");
    repository.switch("main");
    let merged = repository.merge("Hot/Fix");
    server.push(&app, &repository, &["main"]);
    server.bundle_of(&server.wait_run_of("shop", &merged, "main"));
}

/// Everything published: name, version, digest.
fn published(server: &Server) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for bundle in server.bundles("shop") {
        lines.insert(format!("bundle {} {} {}", bundle["version"], bundle["digest"], bundle["lock_digest"]));
        for package in packages(&bundle) {
            let (component, version) = (&package["component"], &package["version"]);
            lines.insert(format!("package {component} {version} {}", package["digest"]));
            for image in package["images"].as_array().unwrap() {
                lines.insert(format!(
                    "image {component} {}",
                    Value::from(image.as_str().unwrap().rsplit('@').next())
                ));
            }
        }
    }
    lines
}

fn faketime() -> PathBuf {
    let architectures = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        architectures.map(|path| path.join("faketime/libfaketime.so.1")).filter(|path| path.is_file());
    found.next().expect("the package `faketime` is not installed: run `./test`, which installs it")
}

#[test]
fn two_servers_that_differ_in_everything_publish_the_same_digests() {
    let directory = tempfile::tempdir().unwrap();
    let one = Server::start(ServerOptions {
        umask: Some("0077".into()),
        wrapper: ["taskset", "-c", "0"].map(Into::into).into(),
        ..ServerOptions::default()
            .env("LC_ALL", "C")
            .env("TZ", "Asia/Kolkata")
            .env("HOSTNAME", "one")
            .env("SOURCE_DATE_EPOCH", "1")
            .env("SLIPWAY__BUILD__MAX_BUILDS", "1")
    });
    let other = Server::start(ServerOptions {
        umask: Some("0000".into()),
        data: Some(directory.path().join("a path with spaces/ünd/länger")),
        ..ServerOptions::default()
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("TZ", "America/St_Johns")
            .env("USER", "other")
            .env("SLIPWAY__BUILD__MAX_BUILDS", "8")
            // Four hundred days ahead; clocks that only measure time go on as they are.
            .env("LD_PRELOAD", faketime().to_str().unwrap())
            .env("FAKETIME", "+400d")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    });
    assert_ne!(one.url(), other.url());
    push_history(&one);
    push_history(&other);
    let created = other.bundles("shop")[0]["created_at"].as_str().unwrap().to_owned();
    assert!(
        created > one.bundles("shop")[0]["created_at"].as_str().unwrap()[..4].to_owned() + "-13",
        "the clock was not shifted: {created}"
    );
    let (left, right) = (published(&one), published(&other));
    assert_eq!(one.bundles("shop").len(), 5);
    let differing: Vec<_> = left.symmetric_difference(&right).collect();
    assert!(differing.is_empty(), "{differing:#?}");
}
