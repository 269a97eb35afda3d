//! Which versions a history of branches and tags gives.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions, layout, packages, shop, tool_output};

/// Pushes a tag on the checked-out commit and gives its run.
fn release(server: &Server, app: &App, repository: &GitRepository, tag: &str) -> Value {
    repository.tag(tag);
    server.push(app, repository, &[&format!("refs/tags/{tag}")]);
    server.wait_run_of(&app.name, &repository.head(), tag)
}

#[test]
fn each_branch_counts_for_itself() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let version =
        |branch: &str, message: &str| server.publish(&app, &repository, branch, message)["version"].clone();
    assert_eq!(version("main", "one"), "0.1.0-main.1");
    assert_eq!(version("main", "two"), "0.1.0-main.2");
    assert_eq!(version("next", "three"), "0.1.0-next.1");
    assert_eq!(version("main", "four"), "0.1.0-main.3");
    // A branch that went and came again goes on counting.
    server.push(&app, &repository, &[":refs/heads/next"]);
    assert_eq!(version("next", "five"), "0.1.0-next.2");
}

#[test]
fn a_hotfix_of_an_older_release_gets_its_next_patch() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let publish =
        |branch: &str, message: &str| server.publish(&app, &repository, branch, message)["version"].clone();
    assert_eq!(publish("main", "one"), "0.1.0-main.1");
    assert_eq!(release(&server, &app, &repository, "v1.4.0")["version"], "1.4.0");
    assert_eq!(publish("main", "two"), "1.4.1-main.2");
    assert_eq!(release(&server, &app, &repository, "v1.5.0")["version"], "1.5.0");
    assert_eq!(publish("main", "three"), "1.5.1-main.3");

    repository.branch("hotfix", "v1.4.0");
    repository.write("web/index.html", "<p>Repaired.</p>\n");
    assert_eq!(publish("hotfix", "Repair"), "1.4.1-hotfix.1");
    assert_eq!(release(&server, &app, &repository, "v1.4.1")["version"], "1.4.1");
    repository.write("web/index.html", "<p>Repaired again.</p>\n");
    assert_eq!(publish("hotfix", "Repair more"), "1.4.2-hotfix.2");

    repository.switch("main");
    let merged = repository.merge("hotfix");
    server.push(&app, &repository, &["main"]);
    assert_eq!(server.wait_run_of("shop", &merged, "main")["version"], "1.5.1-main.4");
}

#[test]
fn a_release_of_a_built_commit_builds_nothing() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    repository.write("web/index.html", "<p>Changed.</p>\n");
    let built = server.publish(&app, &repository, "main", "two");
    let run = release(&server, &app, &repository, "v1.0.0");
    assert_eq!(run["builds"], serde_json::json!([]), "{run:#}");

    let released = server.bundle_of(&run);
    assert_eq!(released["version"], "1.0.0");
    assert_eq!(released["lock_digest"], built["lock_digest"]);
    for (old, new) in packages(&built).iter().zip(packages(&released)) {
        assert_eq!(new["version"], "1.0.0", "reused ones too get the release version: {new:#}");
        assert_eq!(new["digest"], old["digest"]);
        assert_eq!(new["built_as"], old["built_as"]);
        let component = new["component"].as_str().unwrap();
        let shown = server.json(&["package", "show", "shop", component, "1.0.0"]);
        assert_eq!(shown["digest"], old["digest"]);
    }
    assert_eq!(packages(&released).len(), 3);
    // The branch's versions are still there.
    assert_eq!(server.bundle("shop", "0.1.0-main.2")["lock_digest"], built["lock_digest"]);
}

#[test]
fn a_release_of_an_unbuilt_commit_is_built() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.commit("one");
    let run = release(&server, &app, &repository, "v1.0.0");
    let bundle = server.bundle_of(&run);
    assert_eq!(bundle["version"], "1.0.0");
    assert!(packages(&bundle).iter().all(|package| package["version"] == "1.0.0"), "{bundle:#}");
}

#[test]
fn branch_and_tag_in_one_push_both_get_their_version() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let commit = repository.commit("one");
    repository.tag("v1.0.0");
    server.push(&app, &repository, &["main", "v1.0.0"]);
    let released = server.bundle_of(&server.wait_run_of("shop", &commit, "v1.0.0"));
    let branch = server.bundle_of(&server.wait_run_of("shop", &commit, "main"));
    assert_eq!(released["version"], "1.0.0");
    assert!(branch["version"].as_str().unwrap().ends_with("-main.1"), "{branch:#}");
    assert_eq!(released["lock_digest"], branch["lock_digest"], "the same content is the same lock");
}

#[test]
fn annotated_tags_release_the_commit_they_point_to() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    repository.git(&["tag", "--annotate", "--message", "First", "v1.0.0"]);
    server.push(&app, &repository, &["v1.0.0"]);
    assert_eq!(server.wait_run_of("shop", &repository.head(), "v1.0.0")["version"], "1.0.0");
    assert_eq!(server.publish(&app, &repository, "main", "two")["version"], "1.0.1-main.2");
}

#[test]
fn a_component_tag_publishes_that_component_only() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let built = server.publish(&app, &repository, "main", "one");
    let run = release(&server, &app, &repository, "web/v2.3.4");
    assert_eq!(run["state"], "done", "{run:#}");
    let web = server.json(&["package", "show", "shop", "web", "2.3.4"]);
    let before = packages(&built).iter().find(|package| package["component"] == "web").unwrap();
    assert_eq!(web["digest"], before["digest"]);
    assert_ne!(server.cli(&["package", "show", "shop", "api", "2.3.4"]).code, 0);
    assert_ne!(server.cli(&["bundle", "show", "shop", "2.3.4"]).code, 0);
    assert_eq!(server.publish(&app, &repository, "main", "two")["version"], "0.1.0-main.2");

    repository.git(&["tag", "absent/v1.0.0"]);
    server.push(&app, &repository, &["absent/v1.0.0"]);
    let run = server.wait_run_of("shop", &repository.head(), "absent/v1.0.0");
    assert_ne!(run["state"], "done");
    assert!(run["reason"].as_str().unwrap().contains("absent"), "{run:#}");
}

#[test]
fn a_moved_version_tag_is_refused_by_name() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    release(&server, &app, &repository, "v1.0.0");
    let released = server.bundle("shop", "1.0.0");

    repository.write("web/index.html", "<p>Another.</p>\n");
    let second = server.deliver(&app, &repository, "main", "two");
    repository.git(&["tag", "--force", "v1.0.0"]);
    let pushed = repository.push(&app.git_url, server.token(), &["--force", "v1.0.0"]);
    if pushed.code == 0 {
        let run = server.wait_run_of("shop", second["commit"].as_str().unwrap(), "v1.0.0");
        assert_eq!(run["state"], "failed", "{run:#}");
        let reason = run["fault"]["message"].as_str().unwrap();
        assert!(reason.contains("1.0.0"), "{reason}");
    } else {
        assert!(pushed.stderr.contains("v1.0.0"), "{}", pushed.stderr);
    }
    assert_eq!(server.bundle("shop", "1.0.0"), released);
}

#[test]
fn pre_releases_are_published_and_do_not_raise_the_base() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    assert_eq!(release(&server, &app, &repository, "v1.0.0")["version"], "1.0.0");
    server.publish(&app, &repository, "main", "two");
    assert_eq!(release(&server, &app, &repository, "v2.0.0-rc.1")["version"], "2.0.0-rc.1");
    assert_eq!(server.publish(&app, &repository, "main", "three")["version"], "1.0.1-main.3");
}

#[test]
fn tags_that_name_no_version_are_skipped_with_a_reason() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    for tag in
        ["nightly", "v1.2", "v01.2.3", "1.2.3", "v1.2.3+build", "web/nightly", "v99999999999999999999.0.0"]
    {
        let run = release(&server, &app, &repository, tag);
        assert_eq!(run["state"], "skipped", "{run:#}");
        assert!(run["reason"].as_str().unwrap().contains(tag), "{run:#}");
    }
    assert_eq!(server.bundles("shop").len(), 1);
}

#[test]
fn hostile_branch_names_give_valid_versions_and_tags() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let long = "long-".repeat(40);
    let names = [
        "feature/Ünïcode",
        "日本語/🚀",
        "release/1.2",
        "123",
        "007",
        "0",
        "UPPER",
        "upper",
        "a--b",
        "trailing-",
        "v1.2.3",
        "x.y.z",
        "%2e%2e%2f",
        "a+b",
        "$(id);`id`&'\"|<>",
        "refs/heads/main",
        "heads/tags/v1.0.0",
        "latest",
        "HEAD2",
        "_",
        "__proto__",
        "sha256-abc",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2",
        &long,
    ];
    let commit = repository.commit("one");
    let refspecs: Vec<String> = names.iter().map(|name| format!("HEAD:refs/heads/{name}")).collect();
    server.push(&app, &repository, &refspecs.iter().map(String::as_str).collect::<Vec<_>>());
    let mut versions = BTreeSet::new();
    for name in names {
        let run = server.wait_run_of("shop", &commit, &format!("refs/heads/{name}"));
        assert_eq!(run["branch"], name);
        let bundle = server.bundle_of(&run);
        let version = bundle["version"].as_str().unwrap().to_owned();
        assert_semver(&version);
        assert!(
            version.len() <= 63
                && version
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-'),
            "{version}"
        );
        let manifest = server.get(&format!("/v2/default/shop/manifests/{version}"));
        assert_eq!(manifest.header("docker-content-digest"), bundle["digest"].as_str(), "{name}: {version}");
        assert!(versions.insert(version), "two branches share a version");
    }
}

#[test]
fn a_branch_name_like_an_option_is_refused_and_the_rest_of_the_push_goes_on() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let commit = repository.commit("one");
    let pushed = repository.push(&app.git_url, server.token(), &["HEAD:refs/heads/-dash", "main"]);
    assert_ne!(pushed.code, 0);
    assert!(pushed.stderr.contains("[remote rejected] HEAD -> -dash"), "{}", pushed.stderr);
    assert_eq!(server.wait_run_of("shop", &commit, "main")["state"], "done");
}

/// SemVer 2.0.0, without build metadata, read by its grammar.
fn assert_semver(version: &str) {
    let (core, pre) = version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let no_leading_zero = |text: &str| !numeric(text) || text == "0" || !text.starts_with('0');
    assert!(
        core.split('.').count() == 3 && core.split('.').all(|part| numeric(part) && no_leading_zero(part)),
        "{version}"
    );
    for part in pre.into_iter().flat_map(|pre| pre.split('.')) {
        assert!(
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{version}"
        );
        assert!(no_leading_zero(part), "{version}");
    }
}

#[test]
fn a_channel_is_set_moved_and_listed() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    assert_eq!(server.json(&["channel", "list", "shop"]), serde_json::json!([]));
    server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.1"]).ok();
    repository.write("web/index.html", "<p>Two.</p>\n");
    server.publish(&app, &repository, "main", "two");
    let stale = server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.2", "--if-current", "none"]);
    assert_ne!(stale.code, 0);
    server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.2", "--if-current", "0.1.0-main.1"]).ok();
    let channels = server.json(&["channel", "list", "shop"]);
    assert_eq!(channels.as_array().unwrap().len(), 1, "{channels:#}");
    assert_eq!(
        (channels[0]["name"].as_str(), channels[0]["version"].as_str()),
        (Some("stable"), Some("0.1.0-main.2"))
    );
    server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.1", "--reason", "two is broken"]).ok();
    let history = server.json(&["channel", "history", "shop", "stable"]);
    let told = |n: usize| ["from", "to", "by", "reason"].map(|key| history[n][key].as_str());
    let (one, two, by) = (Some("0.1.0-main.1"), Some("0.1.0-main.2"), Some("admin"));
    assert_eq!(told(0), [two, one, by, Some("two is broken")], "{history:#}");
    assert_eq!((told(1), told(2)), ([one, two, by, None], [None, one, by, None]), "{history:#}");
    let newest = server.json(&["channel", "history", "shop", "stable", "--limit", "1"]);
    assert_eq!(newest.as_array().map(Vec::len), Some(1));
    let text = server.cli(&["channel", "history", "shop", "stable"]).ok().stdout;
    assert!(text.contains("two is broken") && text.lines().count() == 4, "{text}");
    assert_ne!(server.cli(&["channel", "history", "shop", "edge"]).code, 0);

    server.cli(&["label", "set", "shop", "0.1.0-main.1", "tested=yes", "--reason", "by hand"]).ok();
    let audit = server.json(&["audit", "list", "--subject", "channel/shop/stable"]);
    let entries = audit.as_array().expect("a list");
    assert_eq!(entries.len(), 3, "{audit:#}");
    let said = |key: &str| entries[0]["detail"][key].as_str();
    assert_eq!((said("from"), said("to"), said("reason")), (two, one, Some("two is broken")));
    let audit = server.json(&["audit", "list", "--subject", "bundle/shop/0.1.0-main.1"]);
    assert_eq!(
        (audit[0]["action"].as_str(), audit[0]["detail"]["to"].as_str()),
        (Some("label.set"), Some("yes"))
    );
}

#[test]
fn images_have_the_further_tags_that_are_set_and_versions_keep_theirs() {
    let options = ServerOptions::default().env("SLIPWAY__PACKAGES__IMAGE_TAGS", "{branch},git-{commit}");
    let server = Server::start(options);
    let app = server.create_app("shop");
    let repository = GitRepository::with(&[
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: web, kit: dockerfile, context: web}\n",
        ),
        ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
        ("web/index.html", "one\n"),
    ]);
    let digest = |tag: &str| {
        let reference = format!("docker://{}/default/shop/i/web:{tag}", server.url().replace("http://", ""));
        let login = format!("any:{}", server.token());
        let shown =
            tool_output("skopeo", &["inspect", "--raw", "--tls-verify=false", "--creds", &login, &reference]);
        layout::digest_of(&shown)
    };
    server.publish(&app, &repository, "main", "one");
    let first = digest("main");
    assert_eq!(first, digest(&format!("git-{}", repository.head())));
    repository.write("web/index.html", "two\n");
    server.publish(&app, &repository, "main", "two");
    assert_ne!(digest("main"), first);
    assert_eq!(digest("0.1.0-main.1"), first);
    // What was built before is reused, and the tag follows all the same.
    repository.write("web/index.html", "one\n");
    server.publish(&app, &repository, "main", "three");
    assert_eq!(digest("main"), first);
    release(&server, &app, &repository, "v1.0.0");
    assert_eq!(digest("1.0.0"), first);
}
