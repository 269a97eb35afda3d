//! Every page there is, on a telephone and on a desktop, in both colour schemes.

use std::time::Duration;

use slipway_tests::browser::{DESKTOP, Motion, PHONE, Scheme};
use slipway_tests::wait;

use crate::shop::published;
use crate::visit::Visit;

const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// Of [`published`]. A new page is added here.
pub(crate) const PAGES: &[&str] = &[
    "/",
    "/?q=nothing-like-it",
    "/new-application",
    "/applications/shop",
    "/applications/shop?branch=none",
    "/applications/shop?selector=%3D%3D",
    "/applications/shop?channel=stable",
    "/applications/shop/packages",
    "/applications/shop/runs",
    "/applications/shop/runs?state=failed",
    "/applications/shop/runs/1",
    "/applications/shop/runs/2",
    "/applications/shop/runs/1/logs/run",
    "/applications/shop/runs/1/logs/build.web",
    "/applications/shop/runs/1/logs/build.web?find=assembling",
    "/applications/shop/bundles/0.1.0-main.1",
    "/applications/shop/bundles/compare",
    "/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.1",
    "/applications/shop/packages/web/0.1.0-main.1",
    "/applications/shop/packages/compare?from=web%2F0.1.0-main.1&to=web%2F0.1.0-main.1",
    "/deployments",
    "/deployments?application=shop",
    "/deployments/history",
    "/where",
    "/deploy",
    "/infrastructure",
    "/infrastructure/new-environment",
    "/infrastructure/new-cluster",
    "/infrastructure/definitions?kind=policy",
    "/infrastructure/definitions/component/webservice",
    "/infrastructure/addons",
    "/infrastructure/new-addon",
    "/infrastructure/sources",
    "/infrastructure/sources/shop",
    "/infrastructure/secrets",
    "/infrastructure/tokens",
    "/infrastructure/notices",
    "/infrastructure/server",
    "/infrastructure/audit",
];
/// A page that is not there. Chromium writes that to its console.
const NOWHERE: &str = "/applications/nothing-like-it";

fn audit(window: (u32, u32)) {
    let server = published();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    browser.window(window);
    for path in PAGES.iter().chain([&NOWHERE]) {
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.prefers(scheme, Motion::Reduced);
            browser.open(path);
            browser.assert_accessible();
            if *path == NOWHERE {
                browser.take_console();
            }
            browser.assert_clean();
            browser.assert_fits_the_window();
        }
    }
    browser.window((320, 640));
    for path in PAGES {
        browser.open(path);
        browser.assert_fits_the_window();
    }
}

#[test]
fn every_page_is_sound_on_a_desktop() {
    audit(DESKTOP);
}

#[test]
fn every_page_is_sound_on_a_telephone() {
    audit(PHONE);
}

#[test]
fn every_page_is_valid_and_works_without_scripts() {
    let server = published();
    let visit = Visit::signed_in(&server, server.token());
    for path in PAGES {
        visit.source(path, 200);
    }
    visit.source(NOWHERE, 404);
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
