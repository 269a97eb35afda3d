//! What each role may do is on its pages, and nothing else is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use slipway_tests::whole::{PAGES, Whole};

use crate::shop::published;
use crate::visit::Visit;

/// Forms that everybody who is signed in has.
const OWN: [&str; 2] = ["/preferences", "/sign-out"];
/// What a reader has besides: nothing that changes anything.
const READER: &[&str] = &[];
/// Pushes, runs, labels and channels, and what sources received.
const DEVELOPER: &[&str] = &[
    "/applications/shop/runs/2/retry",
    "/applications/shop/bundles/0.1.0-main.1/channels",
    "/applications/shop/bundles/0.1.0-main.1/labels",
    "/applications/shop/packages/web/0.1.0-main.1/labels",
    "/applications/till/bundles/0.1.0-main.2/channels",
    "/applications/till/bundles/0.1.0-main.2/labels",
    "/applications/till/packages/settings/0.1.0-main.2/labels",
    "/infrastructure/sources/shop/check",
    "/infrastructure/sources/shop/deliveries/ID/redeliver",
];
/// Deployments, definitions, add-ons, secrets of applications, and the cluster's rest. What is delivered is the first: there
/// is nothing to go back to, and nothing is on its way to be aborted.
const OPERATOR: &[&str] = &[
    "/deploy",
    "/deploy/configuration",
    "/deployments/ID/approve",
    "/deployments/ID/decline",
    "/deployments/ID/remove",
    "/deployments/ID/restart",
    "/deployments/ID/withdraw",
    "/infrastructure/addons/cache/bind",
    "/infrastructure/addons/cache/edit",
    "/infrastructure/addons/cache/protection",
    "/infrastructure/audit/verify",
    "/infrastructure/clusters/test/check",
    "/infrastructure/clusters/test/uncordon",
    "/infrastructure/definitions",
    "/infrastructure/definitions/component/webservice/hold",
    "/infrastructure/definitions/component/webservice/release",
    "/infrastructure/new-addon",
    "/infrastructure/notices/ops/test",
    "/infrastructure/secrets",
    "/infrastructure/secrets/signing/remove",
    "/infrastructure/secrets/signing/rotate",
];
/// Applications, places and tokens.
const ADMIN: &[&str] = &[
    "/applications",
    "/infrastructure/clusters/test/edit",
    "/infrastructure/clusters/test/remove",
    "/infrastructure/environments/prod/edit",
    "/infrastructure/environments/prod/remove",
    "/infrastructure/environments/prod/settings",
    "/infrastructure/new-cluster",
    "/infrastructure/new-environment",
    "/infrastructure/tokens",
    "/infrastructure/tokens/ID/revoke",
    "/new-application",
];

/// Addresses that the forms on pages send to, and those of their links that lead to a form, with one word for every
/// identifier. Scripts add none: the pages are read as the server sends them to this browser.
const ACTIONS: &str = "
    const [pages] = arguments;
    const id = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
    const actions = async at => {
        const answer = await fetch(at, { headers: { accept: 'text/html' } });
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        const forms = [...page.querySelectorAll('form')]
            .filter(form => form.method === 'post')
            .map(form => form.getAttribute('action'));
        const links = [...page.querySelectorAll('a.button')].map(link => link.getAttribute('href'));
        return [...forms, ...links].map(to => new URL(to, answer.url).pathname.replace(id, 'ID'));
    };
    return (async () => {
        const found = new Set();
        for (const at of pages) for (const action of await actions(at)) found.add(action);
        return [...found];
    })();
";

/// Every action on the pages that this token sees.
fn actions(whole: &Whole, visit: &Visit<'_>) -> BTreeSet<String> {
    let pages: Vec<String> = PAGES.iter().map(|path| whole.address(path)).collect();
    let found = visit.browser.run_script(ACTIONS, &[json!(pages)]);
    let found = found.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut found: BTreeSet<String> = found.map(str::to_owned).collect();
    for own in OWN {
        assert!(found.remove(own), "{own} is missing");
    }
    found
}

#[test]
fn each_role_sees_the_actions_it_has() {
    let whole = Whole::open();
    let server = &whole.server;
    let mut wanted = BTreeSet::new();
    let roles = [("reader", READER), ("developer", DEVELOPER), ("operator", OPERATOR), ("admin", ADMIN)];
    for (role, more) in roles {
        wanted.extend(more.iter().map(|action| (*action).to_owned()));
        // The first token has the name of its role already.
        let made = server.json(&["token", "create", &format!("of-{role}"), "--role", role]);
        let token = made["token"].as_str().expect("a token");
        let visit = Visit::signed_in(server, token);
        let seen = actions(&whole, &visit);
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
