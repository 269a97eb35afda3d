//! What each role may do is on its pages, and nothing else is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit::PAGES;
use crate::shop::published;
use crate::visit::Visit;

/// Forms that everybody who is signed in has.
const OWN: [&str; 2] = ["/preferences", "/sign-out"];
/// What a reader has besides: nothing that changes anything.
const READER: &[&str] = &[];
/// Pushes, runs, labels and channels.
const DEVELOPER: &[&str] = &[
    "/applications/shop/bundles/0.1.0-main.1/channels",
    "/applications/shop/bundles/0.1.0-main.1/labels",
    "/applications/shop/packages/web/0.1.0-main.1/labels",
    "/applications/shop/runs/2/retry",
    "/infrastructure/sources/shop/check",
    "/infrastructure/sources/shop/deliveries/ID/redeliver",
];
/// Deployments, definitions, add-ons, secrets, the audit record.
const OPERATOR: &[&str] = &[
    "/infrastructure/audit/verify",
    "/infrastructure/definitions",
    "/infrastructure/definitions/component/webservice/hold",
    "/infrastructure/definitions/component/webservice/release",
    "/infrastructure/new-addon",
    "/infrastructure/secrets",
];
/// Applications, clusters, environments, tokens.
const ADMIN: &[&str] = &[
    "/applications",
    "/infrastructure/new-cluster",
    "/infrastructure/new-environment",
    "/infrastructure/tokens",
    "/infrastructure/tokens/ID/revoke",
    "/new-application",
];

/// Addresses that the page's forms send to, and those of its links that lead to a form, with one word for every
/// identifier.
const ACTIONS: &str = "
    const path = address => new URL(address).pathname.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, 'ID');
    const forms = [...document.querySelectorAll('form')]
        .filter(form => form.method === 'post')
        .map(form => path(form.action));
    const links = [...document.querySelectorAll('a.button')].map(link => path(link.href));
    return [...forms, ...links];
";

/// Every action on the pages that this token sees.
fn actions(visit: &Visit<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in PAGES {
        visit.browser.open(path);
        let actions = visit.browser.run_script(ACTIONS, &[]);
        found.extend(actions.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    for own in OWN {
        assert!(found.remove(own), "{own} is missing");
    }
    found
}

#[test]
fn each_role_sees_the_actions_it_has() {
    let server = published();
    let mut wanted = BTreeSet::new();
    let roles = [("reader", READER), ("developer", DEVELOPER), ("operator", OPERATOR), ("admin", ADMIN)];
    for (role, more) in roles {
        wanted.extend(more.iter().map(|action| (*action).to_owned()));
        // The first token has the name of its role already.
        let made = server.json(&["token", "create", &format!("of-{role}"), "--role", role]);
        let token = made["token"].as_str().expect("a token");
        let visit = Visit::signed_in(&server, token);
        let seen = actions(&visit);
        // A page that is not theirs says so, and is counted as seen without actions.
        visit.browser.take_console();
        assert_eq!(seen, wanted, "of the role {role}");
    }
}

#[test]
fn a_token_of_one_application_sees_no_other() {
    let server = published();
    server.create_app("secret-plans");
    let made = server.json(&["token", "create", "limited", "--role", "developer", "--app", "shop"]);
    let visit = Visit::signed_in(&server, made["token"].as_str().expect("a token"));
    let browser = &visit.browser;
    for path in ["/", "/deployments", "/infrastructure"] {
        browser.open(path);
        assert!(!browser.text().contains("secret-plans"), "{path}: {}", browser.text());
    }
    browser.open("/applications/secret-plans");
    assert_eq!(browser.names("heading"), ["There is no such page"]);
    browser.open("/applications/shop/runs/2");
    browser.find("button", "Run again");
    assert!(browser.names("button").iter().all(|name| name != "Cancel the run"));
}
