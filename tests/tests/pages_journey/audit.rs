//! Every page there is, on a telephone and on a desktop, in both colour schemes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use slipway_tests::browser::{DESKTOP, Motion, PHONE, Scheme};
use slipway_tests::wait;
use slipway_tests::whole::{PAGES, Whole};

use crate::shop::published;
use crate::visit::Visit;

const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// A page that is not there. Chromium writes that to its console.
const NOWHERE: &str = "/applications/nothing-like-it";
/// What is looked at before anybody is signed in, and what leads elsewhere.
const APART: [&str; 2] = ["/sign-in", "/applications"];
/// How addresses end that are no pages: streams and files.
const NO_PAGES: [&str; 5] = ["/events", "/stream", "/download", "/log", "/assets/{file}"];
/// The sources of routes, below that of the HTTP side.
const ROUTERS: [&str; 4] = ["pages.rs", "pages/deploy.rs", "pages/deployment.rs", "pages/infrastructure.rs"];

/// What rules of the style sheet for one colour scheme set besides colours, which are all custom properties.
const OF_A_SCHEME: &str = "
    const told = (rule, inScheme) => {
        if (rule instanceof CSSMediaRule) {
            const isScheme = rule.conditionText.includes('prefers-color-scheme');
            return [...rule.cssRules].flatMap(inner => told(inner, inScheme || isScheme));
        }
        if (!(rule instanceof CSSStyleRule)) return [];
        if (!inScheme && !rule.selectorText.includes('data-theme')) return [];
        const names = [...rule.style].filter(name => name !== 'color-scheme');
        return names.map(name => name.startsWith('--') ? '--' : `${rule.selectorText} ${name}`);
    };
    const rules = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]);
    return [...new Set(rules.flatMap(rule => told(rule, false)))];
";
/// What moves for those who cannot bear it: nothing may.
const MOVING: &str = "return document.getAnimations().length";
/// The narrowest window that pages are made for.
const NARROWEST: (u32, u32) = (320, 640);

#[test]
fn every_page_is_sound_in_each_window_and_scheme() {
    let whole = Whole::open();
    let visit = Visit::signed_in(&whole.server, whole.server.token());
    let browser = &visit.browser;
    // A page that is loaded is the same in both schemes but for its colours: only their rules are asked again.
    assert_eq!(browser.run_script(OF_A_SCHEME, &[]), json!(["--"]));
    for path in PAGES.iter().chain([&NOWHERE]) {
        let (address, is_there) = (whole.address(path), *path != NOWHERE);
        visit.source(&address, if is_there { 200 } else { 404 });
        browser.window(DESKTOP);
        browser.open(&address);
        if !is_there {
            browser.take_console();
        }
        for window in [DESKTOP, PHONE] {
            browser.window(window);
            browser.prefers(Scheme::Light, Motion::Reduced);
            browser.await_painted();
            assert_eq!(browser.run_script(MOVING, &[]), json!(0), "something moves on {address}");
            browser.assert_accessible();
            browser.assert_fits_the_window();
            browser.prefers(Scheme::Dark, Motion::Reduced);
            browser.await_painted();
            browser.assert_legible();
        }
        browser.window(NARROWEST);
        browser.await_painted();
        browser.assert_fits_the_window();
        browser.assert_clean();
    }
}

#[test]
fn pages_work_without_scripts() {
    let server = published();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    browser.scripts(false);
    browser.open("/applications/shop");
    browser.follow("Runs");
    browser.await_location("/applications/shop/runs");
    browser.choose("State", "failed");
    browser.press_button("Find");
    browser.await_location("/applications/shop/runs?branch=&state=failed");
    browser.follow("#2");
    browser.press_button("Run again");
    browser.await_location("/applications/shop/runs/3");
    // Nothing changes by itself here: the page is loaded again.
    wait::holds("the run has a build", MOVES_WITHIN, || {
        browser.reload();
        browser.names("link").iter().any(|name| name == "Log web")
    });
    browser.follow("Log web");
    browser.await_location("/applications/shop/runs/3/logs/build.web");
}

/// What stands in the parentheses that are open at the beginning of a text.
fn arguments(text: &str) -> &str {
    let mut open = 1;
    let end = text.find(|c: char| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    });
    &text[..end.expect("what is opened is closed")]
}

/// The addresses in the sources of the server that answer with a page.
fn routes() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/http/src");
    let read = |name: &str| fs::read_to_string(sources.join(name)).expect("a source of the server");
    let steps = read("pages/deploy/wanted.rs");
    let literal = |text: &str| text.split('"').nth(1).expect("an address").to_owned();
    let address = |said: &str| match said.split_once("wanted::") {
        Some((_, name)) => {
            let name = name.split(',').next().unwrap_or_default();
            literal(steps.split_once(&format!("const {name}: &str = ")).expect("a step of deploying").1)
        }
        None => literal(said),
    };
    let mut found = BTreeSet::new();
    for router in ROUTERS {
        let text = read(router);
        let routes = text.split(".route(").skip(1).map(arguments);
        found.extend(routes.filter(|said| said.contains("get(")).map(address));
    }
    found
        .retain(|route| !APART.contains(&route.as_str()) && !NO_PAGES.iter().any(|end| route.ends_with(end)));
    found
}

/// How many parts a route and a page have in common; `None` if the page is not at the route.
fn shared(route: &str, page: &str) -> Option<usize> {
    let path = page.split('?').next().unwrap_or_default();
    let (route, path) = (route.split('/').collect::<Vec<_>>(), path.split('/').collect::<Vec<_>>());
    let fits = |(part, own): (&&str, &&str)| part == own || part.starts_with('{');
    let is_there = route.len() == path.len() && route.iter().zip(&path).all(fits);
    is_there.then(|| route.iter().zip(&path).filter(|(part, own)| part == own).count())
}

#[test]
fn every_route_is_among_the_pages() {
    let routes = routes();
    assert!(routes.len() > 40, "the routes were not found: {routes:?}");
    let mut unseen = routes.clone();
    for page in PAGES {
        let at = routes.iter().filter_map(|route| Some((shared(route, page)?, route)));
        let (_, route) = at.max().unwrap_or_else(|| panic!("no route leads to {page}"));
        unseen.remove(route);
    }
    assert!(unseen.is_empty(), "add to `slipway_tests::whole::PAGES` what is at {unseen:?}");
}
