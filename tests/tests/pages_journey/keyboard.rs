//! The same way by keys alone.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use slipway_tests::browser::{DESKTOP, Key};
use slipway_tests::wait;

use crate::bundles::two_bundles;
use crate::deploying::Prod;
use crate::shop::Shop;
use crate::visit::{Taste, Visit};
use crate::webhook::Mirrored;
use crate::words::{CHINESE, ENGLISH};

/// A page with more stops before what is looked for is no page for a keyboard.
const MAX_STOPS: usize = 60;
const PASTED_WITHIN: Duration = Duration::from_secs(15);

impl Visit<'_> {
    /// Presses Tab until keys go to what has this name, and sees that it shows.
    fn reach(&self, name: &str) {
        let mut stops = HashSet::new();
        for _ in 0..MAX_STOPS {
            self.browser.press(Key::Tab);
            let stop = self.browser.focused();
            if stop.name == name {
                let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(
                    self.browser.run_script(outline, &[]),
                    json!("none"),
                    "{stop} does not show focus"
                );
                return;
            }
            stops.insert(stop.to_string());
        }
        panic!("Tab never comes to «{name}» on {}, but to {stops:#?}", self.browser.location());
    }

    /// Reaches a link or a button and presses it.
    fn enter(&self, name: &str) {
        self.reach(name);
        self.browser.press(Key::Enter);
    }

    fn type_into(&self, label: &str, text: &str) {
        self.reach(label);
        self.browser.write(text);
    }
}

#[test]
fn from_the_first_visit_to_a_bundle_by_keys_alone() {
    let shop = Shop::open();
    let visit = Visit::begin(&shop.server, Taste { words: &ENGLISH, window: DESKTOP });
    let (browser, words) = (&visit.browser, visit.words);
    browser.open("/");
    visit.type_into(words.access_token, shop.server.token());
    browser.press(Key::Enter);
    browser.await_location("/");
    visit.enter(words.create_first);
    browser.await_location("/new-application");
    visit.type_into(words.name, "shop");
    visit.enter(words.create);
    browser.await_text(words.created);
    visit.enter(words.to_application);
    browser.await_location("/applications/shop");

    shop.registry.hold();
    let push = shop.push_aside(&format!("{}/git/shop.git", shop.server.url()), "Open the shop");
    shop.registry.await_held();
    visit.enter(words.runs);
    browser.await_location("/applications/shop/runs");
    visit.enter("#1");
    browser.await_location("/applications/shop/runs/1");
    visit.await_status(words.planning);
    visit.reach(words.cancel_run);
    shop.registry.release();
    // The part of the page that had the keys is exchanged; Tab goes on all the same.
    visit.await_status(words.done);
    push.join().expect("git ends");
    visit.enter(words.log_web);
    browser.await_location("/applications/shop/runs/1/logs/build.web");
    visit.type_into(words.find_in_log, "pushed");
    browser.press(Key::Enter);
    browser.await_location("/applications/shop/runs/1/logs/build.web?find=pushed");
    visit.enter("shop");
    browser.await_location("/applications/shop");
    browser.await_text("0.1.0-main.1");
    browser.assert_clean();
}

#[test]
fn from_a_bundle_to_a_rollback_by_keys_alone() {
    let prod = Prod::open();
    let visit = Visit::signed_in(&prod.server, prod.server.token());
    let (browser, words) = (&visit.browser, visit.words);
    let approve = || {
        visit.await_status(words.awaiting);
        visit.type_into(words.reason_optional, "looked at by hand");
        browser.press(Key::Enter);
        visit.await_status(words.delivered);
    };
    browser.open(&prod.deploy("0.1.0-main.1"));
    approve();

    browser.open("/deploy");
    visit.type_into(words.application, "shop");
    visit.type_into(words.environment, "prod");
    visit.enter("Choose a bundle");
    browser.await_text("0.1.0-main.2");
    visit.enter("Choose 0.1.0-main.2");
    browser.find("heading", "Configuration");
    visit.enter("Check and review");
    browser.await_text("shop-settings");
    visit.type_into(words.reason_optional, "the fair begins");
    browser.press(Key::Enter);
    browser.await_text("the fair begins");
    let second = prod.newest();
    browser.await_location(&second);
    approve();

    browser.open(&second);
    visit.enter(words.roll_back);
    browser.await_location(&format!("{second}/roll-back"));
    visit.type_into(words.reason, "francs are not taken");
    browser.press(Key::Enter);
    browser.await_text("francs are not taken");
    visit.await_status(words.delivered);
    let running = prod.server.json(&["where", "shop", "--env", "prod"]);
    assert_eq!(running[0]["version"], "0.1.0-main.1", "{running:#}");
    browser.assert_clean();
}

#[test]
fn a_webhook_is_set_up_by_keys_alone() {
    let mirrored = Mirrored::open();
    let visit = Visit::signed_in(&mirrored.server, mirrored.server.token());
    let (browser, words) = (&visit.browser, visit.words);
    visit.enter(words.create_first);
    browser.await_location("/new-application");
    visit.type_into(words.name, "shop");
    visit.type_into(words.repository, &mirrored.url);
    browser.press(Key::Enter);
    browser.find("heading", words.webhook);
    browser.await_text(&mirrored.hook());
    // The forge's form would be next: any field takes what was copied.
    visit.enter("Copy");
    browser.await_text("Copy ✓");
    browser.open("/new-application");
    visit.reach(words.name);
    browser.paste();
    let secret = wait::until("what was copied", PASTED_WITHIN, || {
        let pasted = browser.field(words.name).value();
        if pasted.is_empty() { Err("nothing") } else { Ok(pasted) }
    });
    mirrored.push(&secret);
    browser.open("/");
    visit.enter(words.infrastructure);
    browser.await_location("/infrastructure");
    visit.enter("Sources");
    browser.await_location("/infrastructure/sources");
    visit.enter("shop");
    browser.await_location("/infrastructure/sources/shop");
    browser.await_text(words.taken);
    visit.enter("HMAC-SHA256");
    browser.await_text(&mirrored.hook());
    visit.enter("shop #1");
    browser.await_location("/applications/shop/runs/1");
    visit.await_status(words.done);
    browser.assert_clean();
}

#[test]
fn a_label_is_edited_and_two_bundles_are_compared_by_keys_alone() {
    let server = two_bundles();
    let visit = Visit::signed_in(&server, server.token());
    let (browser, words) = (&visit.browser, visit.words);
    visit.enter("shop");
    browser.await_location("/applications/shop");
    visit.enter("0.1.0-main.2");
    browser.await_location("/applications/shop/bundles/0.1.0-main.2");
    visit.enter(words.add_label);
    for (label, text) in [(words.key, "qa"), (words.value, "failed"), (words.why, "suite 811")] {
        visit.type_into(label, text);
    }
    browser.press(Key::Enter);
    browser.await_text("suite 811");
    visit.enter("Change qa");
    // Tab has chosen what stands there.
    for (label, text) in [(words.value, "passed"), (words.why, "suite 812")] {
        visit.type_into(label, text);
    }
    browser.press(Key::Enter);
    browser.await_text("suite 812");
    browser.await_text("qa=passed");

    visit.enter("shop");
    browser.await_location("/applications/shop");
    // The page offers the last with the one before; this asks for the other way round.
    visit.reach("From");
    browser.press(Key::ArrowUp);
    visit.reach("To");
    browser.press(Key::ArrowDown);
    visit.enter(words.compare_chosen);
    browser.await_location("/applications/shop/bundles/compare?from=0.1.0-main.2&to=0.1.0-main.1");
    browser.await_text("Welcome whoever comes in");
    visit.enter("The other way round");
    browser.await_location("/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.2");
    browser.find("heading", &format!("{}: shop", words.compare));
    browser.assert_clean();
}

#[test]
fn keys_skip_to_the_content_and_change_the_language() {
    let shop = Shop::open();
    let visit = Visit::signed_in(&shop.server, shop.server.token());
    let browser = &visit.browser;
    browser.open("/new-application");
    browser.press(Key::Tab);
    assert_eq!(browser.focused().name, "Skip to content");
    browser.press(Key::Enter);
    browser.await_location("/new-application#content");
    browser.press(Key::Tab);
    assert_eq!(browser.focused().name, "Name", "the first stop after what stands on every page");

    browser.open("/new-application");
    visit.enter("admin");
    visit.reach("Language");
    browser.press(Key::ArrowDown);
    visit.enter("Save");
    browser.await_text("新建应用");
    assert_eq!(browser.location(), "/new-application", "one comes back to where one was");
    assert_eq!(
        browser.run_script("return document.documentElement.lang", &[]),
        json!(CHINESE.tag),
        "the choice goes before what the browser asks for"
    );
    visit.enter("admin");
    browser.press(Key::Escape);
    let open = browser.run_script("return document.querySelector('details.menu').open", &[]);
    assert_eq!((open, browser.focused().name), (json!(false), "admin".to_owned()));
}
