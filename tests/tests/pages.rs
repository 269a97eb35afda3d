//! The pages of the real binary: from the first visit to a bundle, over HTTP alone.

use slipway_tests::server::{Answer, Server, shop};

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
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        browser.form_token = between(&browser.page("/"), "name=\"form_token\" value=\"", "\"").to_owned();
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
    for seen in ["class=\"status good\"", "<svg class=\"timeline\"", "logs/build.web", commit.as_str()] {
        assert!(run.contains(seen), "{seen}: {run}");
    }
    assert!(browser.page("/applications/shop/runs/1/logs/build.web").contains("id=\"b0\""));
    browser.page("/deployments");
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
