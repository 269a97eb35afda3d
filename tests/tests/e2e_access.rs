//! Who may do what, and what is never shown.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use slipway_tests::server::{GitRepository, Server, ServerOptions, packages, shop};
use slipway_tests::wait;

fn make_token(server: &Server, args: &[&str]) -> String {
    let made = server.json(&[&["token", "create"], args].concat());
    made["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_reader_reads_and_cannot_push() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    let reader = make_token(&server, &["looker", "--role", "reader"]);

    repository.commit("two");
    let pushed = repository.push(&app.git_url, &reader, &["main"]);
    assert_ne!(pushed.code, 0, "{}", pushed.stderr);
    assert!(pushed.stderr.contains("403"), "a known token without the right is told so: {}", pushed.stderr);
    assert_eq!(server.cli_as(&reader, &["bundle", "show", "shop", "0.1.0-main.1"]).code, 0);
    assert_eq!(repository.remote(&reader, &["ls-remote", &app.git_url]).code, 0);
    for refused in [
        &["run", "start", "--app", "shop"][..],
        &["run", "cancel", "shop#1"],
        &["app", "create", "other"],
        &["app", "delete", "shop", "--yes"],
        &["label", "set", "shop", "0.1.0-main.1", "a=b"],
        &["channel", "set", "shop", "stable", "0.1.0-main.1"],
        &["token", "create", "more"],
        &["token", "list"],
        &["secret", "list"],
    ] {
        let output = server.cli_as(&reader, refused);
        assert_ne!(output.code, 0, "a reader may not: {}", output.command);
        assert!(!output.stderr.contains("Usage"), "the command itself should be right: {}", output.stderr);
    }
    let heads = repository.remote(server.token(), &["ls-remote", "--heads", &app.git_url]).text();
    assert!(!heads.contains(&repository.head()), "{heads}");
}

#[test]
fn a_developer_pushes_and_is_the_actor_but_manages_nothing() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let developer = make_token(&server, &["ada", "--role", "developer"]);
    let commit = repository.commit("one");
    let pushed = repository.push(&app.git_url, &developer, &["main"]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(server.wait_run("shop", &commit)["actor"], "ada");
    for refused in [&["token", "create", "more"][..], &["token", "list"], &["app", "delete", "shop", "--yes"]]
    {
        assert_ne!(server.cli_as(&developer, refused).code, 0, "{refused:?}");
    }
}

#[test]
fn a_build_is_no_way_to_the_images_of_another_team() {
    let server = Server::fresh();
    let (app, other) = (server.create_app("shop"), server.create_app("acme/other"));
    let bundle = server.publish(&app, &shop(), "main", "one");
    let web = packages(&bundle).iter().find(|package| package["component"] == "web").unwrap();
    let image = web["images"][0].as_str().unwrap().to_owned();
    let internal = image.replace(server.address(), "registry.slipway.internal");
    let yaml = |component: &str| {
        format!(
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: acme/other}}\n\
             components:\n  - {component}\n"
        )
    };
    let pin = |image: &str| yaml(&format!("{{name: taken, kit: image, with: {{image: \"{image}\"}}}}"));
    let dockerfile = yaml("{name: taken, kit: dockerfile, context: taken}");
    let repository = GitRepository::with(&[("taken/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")]);
    for (number, (manifest, base)) in [
        (pin(&image), "scratch"),
        (pin(&internal), "scratch"),
        (dockerfile.clone(), image.as_str()),
        (dockerfile, internal.as_str()),
    ]
    .into_iter()
    .enumerate()
    {
        repository.write("slipway.yaml", manifest);
        repository.write("taken/Dockerfile", format!("FROM {base}\nCOPY Dockerfile /\n"));
        let run = server.deliver(&other, &repository, "main", &format!("Try {number}"));
        assert_eq!(run["state"], "failed", "{run:#}");
        assert!(run["reason"].as_str().unwrap().contains("its own team"), "{run:#}");
    }
    assert!(server.bundles("acme/other").is_empty());
}

#[test]
fn a_scoped_token_sees_only_its_application() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let other = server.create_app("other");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    let token = make_token(&server, &["scoped", "--role", "developer", "--app", "other"]);
    let bearer = format!("Bearer {token}");
    let get = |path: &str| server.request("GET", path, &[("Authorization", &bearer)], b"");

    let listed = server.cli_as(&token, &["app", "list", "-o", "json"]).ok().json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|app| app["name"].clone()).collect();
    assert_eq!(names, ["other"]);
    for list in ["/api/v1/runs", "/api/v1/bundles", "/api/v1/packages"] {
        let answer = get(list);
        assert!(
            answer.status >= 400 || answer.json()["items"] == serde_json::json!([]),
            "{list}: {}",
            answer.text()
        );
    }
    let digest = server.bundles("shop")[0]["digest"].as_str().unwrap().to_owned();
    let run = server.json(&["run", "show", "shop#1"])["id"].as_str().unwrap().to_owned();
    for hidden in [
        "/api/v1/applications/shop".to_owned(),
        "/api/v1/bundles/shop/0.1.0-main.1".to_owned(),
        "/api/v1/runs/shop%231".to_owned(),
        format!("/api/v1/runs/{run}"),
        format!("/api/v1/runs/{run}/builds/web/log"),
        "/v2/default/shop/manifests/0.1.0-main.1".to_owned(),
        format!("/v2/default/shop/manifests/{digest}"),
        // The scope is no way around: blobs and manifests of one repository are not those of another.
        format!("/v2/default/other/manifests/{digest}"),
        format!("/v2/default/other/blobs/{digest}"),
    ] {
        let status = get(&hidden).status;
        assert!([401, 403, 404].contains(&status), "{hidden} answered {status}");
    }
    repository.commit("two");
    assert_ne!(repository.push(&app.git_url, &token, &["main"]).code, 0);
    assert_ne!(repository.remote(&token, &["ls-remote", &app.git_url]).code, 0);
    assert_eq!(repository.push(&other.git_url, &token, &["main"]).code, 0);
}

#[test]
fn expired_and_revoked_tokens_are_refused_everywhere() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.commit("one");
    let refused = |token: &str| {
        let bearer = format!("Bearer {token}");
        let rest = server.request("GET", "/api/v1/applications", &[("Authorization", &bearer)], b"").status;
        let registry = server.request("GET", "/v2/", &[("Authorization", &bearer)], b"").status;
        let pushed = repository.push(&app.git_url, token, &["main"]);
        (rest, registry, pushed.code != 0)
    };
    let short = make_token(&server, &["short", "--expires", "1s"]);
    wait::holds("the token ends", Duration::from_mins(1), || {
        server.cli_as(&short, &["app", "list"]).code != 0
    });
    assert_eq!(refused(&short), (401, 401, true));
    let revoked = make_token(&server, &["gone"]);
    assert_eq!(server.cli_as(&revoked, &["app", "list"]).code, 0);
    server.cli(&["token", "revoke", "gone"]).ok();
    assert_eq!(refused(&revoked), (401, 401, true));
    assert_eq!(refused("slw_nonsense"), (401, 401, true));
    assert_eq!(server.request("GET", "/api/v1/applications", &[], b"").status, 401);
}

#[test]
fn secrets_never_show_up() {
    let server =
        Server::start(slipway_tests::server::ServerOptions::default().env("SLIPWAY__LOG__LEVEL", "trace"));
    let app = server.create_app("shop");
    let repository = shop();
    let value = "s3cr3t-value-of-a-test";
    fs::write(server.scratch().join("value"), value).unwrap();
    server.cli(&["secret", "set", "npm-token", "--from-file", "value"]).ok();
    repository.commit("one");
    server.push(&app, &repository, &["main"]);
    let run = server.wait_run("shop", &repository.head());
    assert_eq!(run["state"], "done", "{run:#}");
    let wrong = "slw_this-token-is-wrong-0123456789";
    assert_ne!(repository.push(&app.git_url, wrong, &["main:other"]).code, 0);

    let outputs: String = [
        &["secret", "list"][..],
        &["token", "list"],
        &["app", "show", "shop"],
        &["run", "show", "shop#1"],
        &["run", "logs", "shop#1", "web"],
        &["config", "show"],
        &["doctor"],
    ]
    .iter()
    .map(|command| server.cli(&[command, &["-o", "json"][..]].concat()))
    .map(|output| output.stdout + &output.stderr)
    .collect();
    let hidden = [value, server.token(), wrong, &app.webhook_secret];
    for secret in hidden {
        assert!(!server.log().contains(secret), "a secret is in the log");
        assert!(!outputs.contains(secret), "a secret is in an output");
    }
    // On disk only the file of the first token holds one in the clear.
    let found = files_with(&server.data(), &hidden);
    assert_eq!(found, ["admin.token"]);
}

/// Names of files below a directory that hold one of the texts.
fn files_with(directory: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, texts));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let holds = |text: &&str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        if texts.iter().any(holds) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn the_webhook_secret_is_shown_once() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    assert_eq!(app.webhook_secret.len(), 64);
    let shown: Value = server.json(&["app", "show", "shop"]);
    assert!(!shown.to_string().contains(&app.webhook_secret));
}

#[test]
fn the_configured_admin_token_opens_and_another_in_its_place_ends_it() {
    let [first, second] = ["a", "b"].map(|character| format!("slw_{}", character.repeat(43)));
    let options = ServerOptions::default()
        .env("SLIPWAY__SERVER__ADMIN_TOKEN", "secret://env/SLIPWAY_SECRET_ADMIN")
        .env("SLIPWAY_SECRET_ADMIN", &first);
    let mut server = Server::start(options);
    assert!(!server.data().join("admin.token").exists(), "nothing is written down");
    let may = |server: &Server, token: &str| server.cli_as(token, &["token", "list"]).code == 0;
    assert!(may(&server, &first) && !may(&server, &second));
    server.cli_as(&first, &["token", "create", "other", "--role", "admin"]).ok();

    // The same again changes nothing.
    server.stop();
    server.restart();
    assert!(may(&server, &first));

    server.stop();
    server.options_mut().env.insert("SLIPWAY_SECRET_ADMIN".into(), second.clone());
    server.restart();
    assert!(may(&server, &second) && !may(&server, &first));

    // Whoever goes back to a token that has ended does not bring it to life.
    server.stop();
    server.options_mut().env.insert("SLIPWAY_SECRET_ADMIN".into(), first.clone());
    server.restart();
    assert!(may(&server, &second) && !may(&server, &first));
    assert!(server.log().contains("was revoked: put another there"), "{}", server.log());
    assert!(!server.log().contains(&first) && !server.log().contains(&second));

    let said = actions(&server, &second, "token/admin");
    assert_eq!(said, ["token.create", "token.revoke", "token.create"], "newest first");
}

/// What the audit record has of `subject`, newest first.
fn actions(server: &Server, token: &str, subject: &str) -> Vec<String> {
    let listed = server.cli_as(token, &["audit", "list", "--subject", subject, "-o", "json"]).ok().json();
    let entries = listed.as_array().expect("a list");
    entries.iter().map(|entry| entry["action"].as_str().expect("an action").to_owned()).collect()
}

#[test]
fn applications_sources_and_runs_that_people_change_are_in_the_audit_record() {
    let server = Server::fresh();
    let actions = |subject: &str| actions(&server, server.token(), subject);
    let app = server.create_app("shop");
    assert_eq!(actions("application/shop"), ["application.create"]);
    assert_eq!(actions("source/shop"), ["source.webhook_secret", "source.create"]);
    let authorization = format!("Bearer {}", server.token());
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let rotated = server.request("POST", "/api/v1/sources/shop/webhook-secret", &headers, b"");
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    assert!(!rotated.text().contains(&app.webhook_secret));
    assert_eq!(actions("source/shop")[..2], ["source.webhook_secret", "source.webhook_secret"]);

    server.deliver(&app, &shop(), "main", "One");
    let again = server.json(&["run", "start", "--app", "shop", "--ref", "main", "--fresh"]);
    assert_eq!(actions(&format!("run/{}", again["id"].as_str().expect("an id"))), ["run.retry"]);

    server.cli(&["app", "delete", "shop", "--yes"]).ok();
    assert_eq!(actions("application/shop")[0], "application.remove");
    let all = server.cli(&["audit", "list", "-o", "json"]).ok().stdout;
    assert!(!all.contains(&app.webhook_secret), "names, never values");
    assert_eq!(server.json(&["audit", "verify"])["ok"], true);
}
