//! The pages of the real binary: from the first visit to a bundle, over HTTP alone.

use chrono::Utc;
use serde_json::json;
use slipway_records::{BundleCheck, CheckState, Hold, NewVersion, Write};
use slipway_tests::server::{Answer, Server, shop, tool_output};
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::label::Labels;
use slipway_types::{Digest, Version};

/// A browser that keeps what it is told to.
struct Browser<'s> {
    server: &'s Server,
    cookie: String,
    form_token: String,
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {rest}")).0
}

impl<'s> Browser<'s> {
    fn of(server: &'s Server, token: &str) -> Self {
        let mut browser = Self { server, cookie: String::new(), form_token: String::new() };
        let form = browser.page("/sign-in");
        assert!(form.contains("action=\"/sign-in\""), "{form}");
        let signed_in = browser.post("/sign-in", &format!("token={token}"));
        assert_eq!(
            (signed_in.status, signed_in.header("location")),
            (303, Some("/")),
            "{}",
            signed_in.text()
        );
        let cookie = signed_in.header("set-cookie").expect("a cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        cookie.split(';').next().unwrap_or_default().clone_into(&mut browser.cookie);
        between(&browser.page("/"), "name=\"form_token\" value=\"", "\"").clone_into(&mut browser.form_token);
        browser
    }

    fn get(&self, path: &str) -> Answer {
        let headers = [("Accept", "text/html"), ("Cookie", self.cookie.as_str())];
        self.server.request("GET", path, &headers, b"")
    }

    /// A page that is there, with the policy that every page has.
    fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let text = answer.text();
        assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"), "{text}");
        text
    }

    fn post(&self, path: &str, fields: &str) -> Answer {
        self.post_from(path, fields, self.server.url())
    }

    fn post_from(&self, path: &str, fields: &str, origin: &str) -> Answer {
        let headers = [
            ("Accept", "text/html"),
            ("Cookie", self.cookie.as_str()),
            ("Origin", origin),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let body = format!("form_token={}&{fields}", self.form_token);
        self.server.request("POST", path, &headers, body.as_bytes())
    }
}

#[test]
fn from_the_first_visit_to_a_bundle_and_its_log() {
    let server = Server::fresh();
    let browser = Browser::of(&server, server.token());
    assert!(browser.page("/").contains("No applications yet"));
    assert_eq!(browser.post_from("/applications", "name=shop", "https://evil.example").status, 403);
    let made = browser.post("/applications", "name=shop");
    assert_eq!(made.status, 200, "{}", made.text());
    let git_url = format!("{}/git/shop.git", server.url());
    assert!(made.text().contains(&git_url), "{}", made.text());

    let repository = shop();
    let commit = repository.commit("Add <b>the shop</b>");
    let pushed = repository.push(&git_url, server.token(), &["main"]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(server.wait_run("shop", &commit)["state"], "done");

    let home = browser.page("/");
    assert!(home.contains("0.1.0-main.1") && home.contains("/applications/shop/runs/1"), "{home}");
    let bundles = browser.page("/applications/shop?branch=main");
    assert!(bundles.contains("0.1.0-main.1") && bundles.contains("Add &#60;b&#62;the shop"), "{bundles}");
    let none = browser.page("/applications/shop?branch=other");
    assert!(!none.contains("0.1.0-main.1"), "{none}");
    assert!(browser.page("/applications/shop/packages?component=web").contains("0.1.0-main.1"));
    let run = browser.page("/applications/shop/runs/1");
    assert!(run.contains("/applications/shop/bundles/0.1.0-main.1"), "{run}");
    for seen in ["class=\"status good\"", "<svg class=\"timeline\"", "logs/build.web", commit.as_str()] {
        assert!(run.contains(seen), "{seen}: {run}");
    }
    assert!(browser.page("/applications/shop/runs/1/logs/build.web").contains("id=\"b0\""));
    let log = browser.page("/applications/shop/runs/1/logs/run");
    for said in [
        "planning ",
        " of main",
        "web: dockerfile with ",
        "package web 0.1.0-main.1, new: sha256:",
        "bundle 0.1.0-main.1: sha256:",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    browser.page("/deployments");
    assert!(browser.page("/where").contains("slipway env create"));
    browser.page("/deploy?application=shop");
    browser.page("/infrastructure");
    assert!(browser.page("/infrastructure/sources").contains("shop"));
    assert!(browser.page("/infrastructure/sources/shop").contains("class=\"status good\""));
}

#[test]
fn the_infrastructure_is_shown_and_changed_by_forms() {
    let server = Server::fresh();
    let browser = Browser::of(&server, server.token());
    let listed = browser.page("/infrastructure/definitions?kind=component");
    assert!(listed.contains("/infrastructure/definitions/component/webservice?version="), "{listed}");
    let shown = browser.page("/infrastructure/definitions/component/webservice");
    for seen in ["<code>port</code>", "examples/", "main.star"] {
        assert!(shown.contains(seen), "{seen}: {shown}");
    }
    for part in ["addons", "notices", "audit", "new-cluster", "new-environment", "new-addon"] {
        browser.page(&format!("/infrastructure/{part}"));
    }
    assert!(browser.page("/infrastructure/server").contains("<code>disk</code>"));

    assert_eq!(browser.post("/infrastructure/secrets", "name=dockerhub&value=hunter2%0D%0A").status, 303);
    let secret = browser.page("/infrastructure/secrets/dockerhub");
    assert!(secret.contains("secret://builtin/dockerhub") && !secret.contains("hunter2"), "{secret}");
    let made = browser.post("/infrastructure/tokens", "name=ci&role=reader");
    let token = between(&made.text(), "data-copy=\"slw_", "\"").to_owned();
    let reader = Browser::of(&server, &format!("slw_{token}"));
    assert_eq!(reader.get("/infrastructure/tokens").status, 403);
    let refused = browser.post("/infrastructure/new-cluster", "name=kind&context=x");
    assert!(refused.status >= 400 && refused.text().contains("value=\"kind\""), "{}", refused.text());
}

#[test]
fn a_bundle_is_traced_labelled_put_on_a_channel_and_compared() {
    let server = Server::fresh();
    server.create_app("shop");
    let browser = Browser::of(&server, server.token());
    let repository = shop();
    let git_url = format!("{}/git/shop.git", server.url());
    for subject in ["Open the shop", "Change <b>the settings</b>"] {
        repository.write(
            "config/settings.yaml",
            format!("# {subject}\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\n"),
        );
        let commit = repository.commit(subject);
        let pushed = repository.push(&git_url, server.token(), &["main"]);
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        assert_eq!(server.wait_run("shop", &commit)["state"], "done");
    }
    let bundle = "/applications/shop/bundles/0.1.0-main.2";
    let page = browser.page(bundle);
    for seen in [
        "/applications/shop/runs/2/logs/build.config",
        "/applications/shop/packages/config/0.1.0-main.2",
        "/applications/shop/packages/web/0.1.0-main.1",
        "slipway bundle pull shop 0.1.0-main.2",
        "name=\"from\" value=\"0.1.0-main.1\"",
    ] {
        assert!(page.contains(seen), "{seen}: {page}");
    }
    let package = browser.page("/applications/shop/packages/config/0.1.0-main.2");
    for seen in ["https://slipway.dev/builder/v1", "settings.yaml", "config-0.1.0-main.2.tar.gz", bundle] {
        assert!(package.contains(seen), "{seen}: {package}");
    }
    assert_eq!(
        browser.post(&format!("{bundle}/labels"), "key=tier&value=gold&reason=paid&new=yes").status,
        303
    );
    assert_eq!(browser.post(&format!("{bundle}/channels"), "new_channel=stable&reason=tested").status, 303);
    let page = browser.page(bundle);
    assert!(page.contains("tier=gold") && page.contains("channel=stable"), "{page}");
    let bundles = browser.page("/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.2");
    assert!(
        bundles.contains("Change &#60;b&#62;the settings") && !bundles.contains("Open the shop"),
        "{bundles}"
    );
    let path = "/applications/shop/packages/compare?from=config%2F0.1.0-main.1&to=config%2F0.1.0-main.2";
    let packages = browser.page(path);
    assert!(packages.contains("<code>settings.yaml</code>") && packages.contains(">changed<"), "{packages}");
}

/// Two places without a cluster that answers: `prod` comes after `stage`, and asks for all that a gate can look up.
fn guard(server: &Server, key: &str) {
    let prod = json!({
        "receiver": {"type": "oci"},
        "upstream": "stage",
        "checks": {"e2e": {"by": "ci"}},
        "gates": {
            "labels": "tier=gold", "channels": ["stable"], "checks": ["e2e"], "soak": {"minutes": 5},
            "signatures": [{"name": "release", "key": key}],
        },
    });
    server.write(async |tx: &mut dyn Write| {
        let kind = "kind".parse().expect("a name");
        tx.cluster_insert(&kind, "a uid", &ClusterSettings::default(), None, "root")
            .await
            .expect("a cluster");
        for (name, settings) in [("stage", json!({"receiver": {"type": "oci"}})), ("prod", prod)] {
            let settings = serde_json::from_value(settings).expect("settings");
            let address = format!("local/kind/shop/{name}").parse().expect("an address");
            let name = name.parse().expect("a name");
            tx.environment_insert(&name, &address, &settings, "root").await.expect("an environment");
        }
        let shop = tx.application_by_name(&"shop".parse().expect("a name")).await.expect("records");
        let version = "0.1.0-main.2".parse().expect("a version");
        let bundle = tx.version_find(shop.expect("shop").id, None, &version).await.expect("records");
        let check = BundleCheck {
            version_id: bundle.expect("the second bundle").id,
            name: "e2e".parse().expect("a name"),
            state: CheckState::Passed,
            detail: None,
            url: None,
            reported_by: "ci".to_owned(),
            reported_at: Utc::now(),
        };
        tx.check_put(&check).await.expect("a check");
    });
}

#[test]
fn each_bundle_is_offered_with_how_the_gates_stand_for_it() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "Open the shop");
    let settings = "# More\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    repository.write("config/settings.yaml", settings);
    server.publish(&app, &repository, "main", "Show more");
    let path = |name: &str| server.scratch().join(name).display().to_string();
    let (private, public) = (path("release.key"), path("release.pub"));
    tool_output(
        "openssl",
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &private],
    );
    tool_output("openssl", &["pkey", "-in", &private, "-pubout", "-out", &public]);
    guard(&server, &std::fs::read_to_string(&public).expect("a public key"));
    server.cli(&["label", "set", "shop", "0.1.0-main.1", "tier=gold", "--reason", "it shines"]).ok();
    server.cli(&["channel", "set", "shop", "stable", "0.1.0-main.1", "--reason", "it was looked at"]).ok();
    server.cli(&["bundle", "sign", "shop", "0.1.0-main.1", "--key-file", &private]).ok();
    let browser = Browser::of(&server, server.token());
    let page = browser.page("/deploy/bundles?application=shop&environment=prod").replace("&#39;", "'");
    let first = [
        "`tier=gold` holds",
        "channel `stable` names it",
        "check `e2e` was not reported yet",
        "signed by `release`",
        "the same components do not run in stage",
    ];
    let second = [
        "the bundle's labels do not match `tier=gold`",
        "none of the channels `stable` names this bundle",
        "check `e2e` is green",
        "no signature by `release` over this bundle",
        "the same components do not run in stage",
    ];
    for (version, gates) in [("0.1.0-main.1", first), ("0.1.0-main.2", second)] {
        let named = format!(">{version}</bdi>");
        let card = page.split("<li class=\"card offer\">").find(|card| card.contains(&named));
        let card = card.unwrap_or_else(|| panic!("no {version} in {page}"));
        assert_eq!(card.matches("class=\"why\"").count(), gates.len(), "{card}");
        for gate in gates {
            assert!(card.contains(gate), "{version}: {gate}: {card}");
        }
    }
    let list = browser.page("/applications/shop");
    assert!(list.contains(">signed<") && !list.contains("verified"), "{list}");
    let signed = browser.page("/applications/shop/bundles/0.1.0-main.1");
    assert!(signed.contains("verified by") && signed.contains("<bdi>release</bdi>"), "{signed}");
    assert!(browser.page("/applications/shop/bundles/0.1.0-main.2").contains("Nobody has signed it."));
}

/// 25 packages more of the component `web`, and 51 applications that are held in the environment `prod`.
fn add_much(server: &Server) {
    server.write(async |tx: &mut dyn Write| {
        let shop = tx.application_by_name(&"shop".parse().expect("a name")).await.expect("records");
        let shop = shop.expect("shop");
        let (web, first) = ("web".parse().expect("a name"), "0.1.0-main.1".parse().expect("a version"));
        let package = tx.version_find(shop.id, Some(&web), &first).await.expect("records");
        let package = package.expect("the first package");
        for n in 0..25 {
            let version: Version = format!("0.2.0-main.{n}").parse().expect("a version");
            let new = NewVersion {
                application_id: shop.id,
                component: Some(web.clone()),
                digest: Digest::of(version.to_string()),
                size: 1,
                built_as: version.clone(),
                version,
                run_id: package.run_id,
                git_ref: package.git_ref.clone(),
                commit: package.commit.clone(),
                fingerprint: package.fingerprint,
                detail: package.detail.clone(),
                labels: Labels::new(),
            };
            tx.version_insert(new).await.expect("a package");
        }
        let (name, address) =
            ("prod".parse().expect("a name"), "local/kind/prod".parse().expect("an address"));
        let settings = EnvironmentSettings::default();
        let prod = tx.environment_insert(&name, &address, &settings, "root").await.expect("an environment");
        for n in 0..51 {
            let name = format!("app-{n:02}");
            let made = tx.application_insert(&name.parse().expect("a name"), shop.source_id, &name).await;
            let hold = Hold {
                environment_id: prod.id,
                application_id: made.expect("an application").id,
                version_id: None,
                reason: "it is looked at".to_owned(),
                by: "root".to_owned(),
                at: Utc::now(),
                rollback_to: None,
            };
            tx.hold_put(&hold).await.expect("a hold");
        }
    });
}

#[test]
fn what_is_much_is_shown_in_parts() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    server.publish(&app, &shop(), "main", "Open the shop");
    add_much(&server);
    let browser = Browser::of(&server, server.token());

    let packages = browser.page("/applications/shop/packages");
    let rows = |page: &str| page.matches("name=\"from\"").count();
    assert_eq!(rows(&packages), 25, "{packages}");
    let next = between(&packages, "<p class=\"pager\"><a href=\"", "\"");
    let rest = browser.page(next);
    assert!(rest.contains("0.1.0-main.1") && !rest.contains("0.2.0-main."), "{rest}");

    let place = browser.page("/infrastructure/environments/prod");
    assert_eq!(place.matches("<a href=\"/applications/app-").count(), 50, "{place}");
    let all = "<a href=\"/deployments?environment=prod\">Show all</a>";
    assert!(!place.contains("app-50") && place.contains(all), "{place}");
}

#[test]
fn a_reader_sees_no_forms_of_others_and_a_sign_in_survives_a_restart() {
    let mut server = Server::fresh();
    server.create_app("shop");
    let made = server.json(&["token", "create", "looker", "--role", "reader"]);
    let token = made["token"].as_str().expect("a token").to_owned();
    let (cookie, form_token) = {
        let reader = Browser::of(&server, &token);
        assert!(!reader.page("/").contains("/new-application"));
        assert_eq!(reader.get("/new-application").status, 403);
        assert_eq!(reader.post("/applications", "name=other").status, 403);
        (reader.cookie, reader.form_token)
    };
    server.stop();
    server.restart();
    let reader = Browser { server: &server, cookie, form_token };
    reader.page("/applications/shop");
    assert_eq!(server.cli(&["token", "revoke", "looker"]).code, 0);
    assert_eq!(reader.get("/applications/shop").status, 303);
}
