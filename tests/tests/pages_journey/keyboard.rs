//! The same way by keys alone.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use slipway_tests::browser::{DESKTOP, Focus, Key, PHONE};
use slipway_tests::wait;

use crate::bundles::two_bundles;
use crate::deploying::Prod;
use crate::shop::Shop;
use crate::visit::{Taste, Visit};
use crate::webhook::Mirrored;
use crate::words::{CHINESE, ENGLISH};

/// A page with more stops before what is looked for is no page for a keyboard.
const MAX_STOPS: usize = 60;
const PASTED_WITHIN: Duration = Duration::from_secs(45);

impl Visit<'_> {
    /// Presses Tab until keys go to what has this name, and sees that it shows.
    fn reach(&self, name: &str) {
        self.reach_one(name, |_| true);
    }

    fn reach_one(&self, name: &str, is_wanted: impl Fn(&Focus) -> bool) {
        let mut stops = HashSet::new();
        for _ in 0..MAX_STOPS {
            self.browser.press(Key::Tab);
            let stop = self.browser.focused();
            if stop.name == name && is_wanted(&stop) {
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

    /// Reaches a field and types. Links may have the name of a field.
    fn type_into(&self, label: &str, text: &str) {
        self.reach_one(label, |stop| !["link", "button"].contains(&stop.role.as_str()));
        self.browser.write(text);
    }
}

static ENGLISH_ON_A_DESKTOP: Taste = Taste { words: &ENGLISH, window: DESKTOP };
static CHINESE_ON_A_TELEPHONE: Taste = Taste { words: &CHINESE, window: PHONE };

fn from_the_first_visit_to_a_bundle(taste: Taste) {
    let shop = Shop::open();
    let visit = Visit::begin(&shop.server, taste);
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
    visit.enter(words.cancel_run);
    // The part of the page that had the keys is exchanged; Tab goes on all the same.
    visit.await_status(words.cancelled);
    visit.enter(words.retry_run);
    browser.await_location("/applications/shop/runs/2");
    visit.await_status(words.planning);
    visit.enter(words.log_of_run);
    browser.await_location("/applications/shop/runs/2/logs/run");
    browser.await_text("of main");
    visit.mark();
    shop.registry.release();
    visit.await_status(words.done);
    browser.await_text("bundle 0.1.0-main.1");
    visit.assert_same_page();
    push.join().expect("git ends");
    visit.enter("#2");
    browser.await_location("/applications/shop/runs/2");
    visit.enter(words.log_web);
    browser.await_location("/applications/shop/runs/2/logs/build.web");
    visit.type_into(words.find_in_log, "pushed");
    browser.press(Key::Enter);
    browser.await_location("/applications/shop/runs/2/logs/build.web?find=pushed");
    visit.enter("shop");
    browser.await_location("/applications/shop");
    browser.await_text("0.1.0-main.1");
    browser.assert_clean();
}

#[test]
fn from_the_first_visit_to_a_bundle_by_keys_alone() {
    from_the_first_visit_to_a_bundle(ENGLISH_ON_A_DESKTOP);
}

#[test]
fn from_the_first_visit_to_a_bundle_by_keys_alone_in_chinese_on_a_telephone() {
    from_the_first_visit_to_a_bundle(CHINESE_ON_A_TELEPHONE);
}

impl Visit<'_> {
    /// From the list of bundles to a deployment that waits; gives its page.
    fn deploy_by_keys(&self, prod: &Prod, version: &str, reason: &str) -> String {
        let (browser, words) = (&self.browser, self.words);
        browser.await_text(version);
        self.enter(&format!("{} {version}", words.choose));
        browser.find("heading", words.configuration);
        self.enter(words.check_and_review);
        browser.await_text("shop-settings");
        self.type_into(words.reason_optional, reason);
        browser.press(Key::Enter);
        browser.await_text(reason);
        let page = prod.newest();
        browser.await_location(&page);
        self.await_status(words.awaiting);
        page
    }

    fn approve_by_keys(&self) {
        self.type_into(self.words.reason_optional, "looked at by hand");
        self.browser.press(Key::Enter);
        self.browser.await_text("looked at by hand");
        self.await_status(self.words.delivered);
    }
}

fn from_a_bundle_to_a_rollback(taste: Taste) {
    let prod = Prod::open();
    let visit = Visit::begin(&prod.server, taste);
    let (browser, words) = (&visit.browser, visit.words);
    visit.sign_in(prod.server.token());
    // The empty cell is the way to deploy.
    visit.enter(words.what_runs_where);
    browser.await_location("/where");
    visit.enter(&format!("{} shop, prod", words.choose_bundle));
    visit.deploy_by_keys(&prod, "0.1.0-main.1", "the shop opens");
    visit.approve_by_keys();

    visit.enter(words.what_runs_where);
    browser.await_location("/where");
    // Where both have the same name, the navigation comes first.
    visit.reach(words.deployments);
    visit.enter(words.deploy);
    browser.await_location("/deploy");
    visit.type_into(words.application, "shop");
    visit.type_into(words.environment, "prod");
    visit.enter(words.choose_bundle);
    let second = visit.deploy_by_keys(&prod, "0.1.0-main.2", "the fair begins");
    visit.approve_by_keys();

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
fn from_a_bundle_to_a_rollback_by_keys_alone() {
    from_a_bundle_to_a_rollback(ENGLISH_ON_A_DESKTOP);
}

#[test]
fn from_a_bundle_to_a_rollback_by_keys_alone_in_chinese_on_a_telephone() {
    from_a_bundle_to_a_rollback(CHINESE_ON_A_TELEPHONE);
}

fn a_webhook_is_set_up(taste: Taste) {
    let mirrored = Mirrored::open();
    let visit = Visit::begin(&mirrored.server, taste);
    let (browser, words) = (&visit.browser, visit.words);
    visit.sign_in(mirrored.server.token());
    visit.enter(words.create_first);
    browser.await_location("/new-application");
    visit.type_into(words.name, "shop");
    visit.type_into(words.repository, &mirrored.url);
    browser.press(Key::Enter);
    browser.find("heading", words.webhook);
    browser.await_text(&mirrored.hook());
    // The forge's form would be next: any field takes what was copied.
    visit.enter(words.copy);
    browser.await_text(&format!("{} ✓", words.copy));
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
    visit.enter(words.sources);
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
fn a_webhook_is_set_up_by_keys_alone() {
    a_webhook_is_set_up(ENGLISH_ON_A_DESKTOP);
}

#[test]
fn a_webhook_is_set_up_by_keys_alone_in_chinese_on_a_telephone() {
    a_webhook_is_set_up(CHINESE_ON_A_TELEPHONE);
}

fn a_label_is_edited_and_two_bundles_are_compared(taste: Taste) {
    let server = two_bundles();
    let visit = Visit::begin(&server, taste);
    let (browser, words) = (&visit.browser, visit.words);
    visit.sign_in(server.token());
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
    visit.enter(&format!("{} qa", words.change));
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
    visit.reach(words.from);
    browser.press(Key::ArrowUp);
    visit.reach(words.to);
    browser.press(Key::ArrowDown);
    visit.enter(words.compare_chosen);
    browser.await_location("/applications/shop/bundles/compare?from=0.1.0-main.2&to=0.1.0-main.1");
    browser.await_text("Welcome whoever comes in");
    visit.enter(words.other_way_round);
    browser.await_location("/applications/shop/bundles/compare?from=0.1.0-main.1&to=0.1.0-main.2");
    browser.find("heading", &format!("{}: shop", words.compare));
    browser.assert_clean();
}

#[test]
fn a_label_is_edited_and_two_bundles_are_compared_by_keys_alone() {
    a_label_is_edited_and_two_bundles_are_compared(ENGLISH_ON_A_DESKTOP);
}

#[test]
fn a_label_is_edited_and_two_bundles_are_compared_by_keys_alone_in_chinese_on_a_telephone() {
    a_label_is_edited_and_two_bundles_are_compared(CHINESE_ON_A_TELEPHONE);
}

#[test]
fn keys_skip_to_the_content_and_change_the_language() {
    let shop = Shop::open();
    let visit = Visit::signed_in(&shop.server, shop.server.token());
    let browser = &visit.browser;
    browser.open("/new-application");
    browser.press(Key::Tab);
    assert_eq!(browser.focused().name, ENGLISH.skip);
    browser.press(Key::Enter);
    browser.await_location("/new-application#content");
    browser.press(Key::Tab);
    assert_eq!(browser.focused().name, "Name", "the first stop after what stands on every page");

    browser.open("/new-application");
    visit.enter("admin");
    visit.reach(ENGLISH.language);
    browser.press(Key::ArrowDown);
    visit.enter(ENGLISH.save);
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
