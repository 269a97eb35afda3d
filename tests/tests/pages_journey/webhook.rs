//! From a repository at a forge to a run, by what the page tells when an application is made.

use serde_json::Value;
use slipway_tests::browser::{DESKTOP, PHONE};
use slipway_tests::forge::Forge;
use slipway_tests::server::{App, Server, ServerOptions, shop};

use crate::visit::{Taste, Visit};
use crate::words::{CHINESE, ENGLISH, Words};

/// A forge with an empty repository `shop`, and a server that may fetch from it.
pub(crate) struct Mirrored {
    pub(crate) server: Server,
    pub(crate) url: String,
    forge: Forge,
}

impl Mirrored {
    pub(crate) fn open() -> Self {
        let forge = Forge::start();
        let url = forge.create("shop");
        let options = ServerOptions::default()
            .env("SLIPWAY__GIT__ALLOW_HTTP", "true")
            .env("SLIPWAY__GIT__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");
        Self { server: Server::start(options), url, forge }
    }

    /// Pushes to the forge, which tells of it as the page says: at this server, with this secret. Waits for the run.
    pub(crate) fn push(&self, secret: &str) {
        let repository = shop();
        let commit = repository.commit("Open the shop");
        self.forge.receive("shop", &repository, "HEAD:refs/heads/main");
        let app = App {
            name: "shop".to_owned(),
            git_url: self.url.clone(),
            webhook_urls: Value::Null,
            webhook_secret: secret.to_owned(),
        };
        self.server.tell(&app, "refs/heads/main", &commit);
        let run = self.server.wait_run("shop", &commit);
        assert_eq!(run["state"], "done", "{run:#}");
    }

    /// Where the generic webhook of the application is sent.
    pub(crate) fn hook(&self) -> String {
        format!("{}/hooks/shop/generic", self.server.url())
    }
}

fn a_webhook_is_set_up_by_what_the_page_tells(words: &'static Words, window: (u32, u32)) {
    let mirrored = Mirrored::open();
    let visit = Visit::begin(&mirrored.server, Taste { words, window });
    visit.sign_in(mirrored.server.token());
    let browser = &visit.browser;
    browser.open("/new-application");
    browser.fill(words.name, "shop");
    browser.fill(words.repository, &mirrored.url);
    browser.press_button(words.create);
    browser.find("heading", words.webhook);
    browser.await_text(&mirrored.hook());
    let secret = browser.run_script("return document.querySelector('[data-copy]')?.dataset.copy", &[]);
    let secret = secret.as_str().expect("the page shows the secret").to_owned();
    visit.look("created-application-mirrored");

    mirrored.push(&secret);
    // Once only: whoever comes later finds the secret on no page.
    for path in ["/applications/shop", "/infrastructure", "/infrastructure/sources/shop"] {
        assert!(!visit.source(path, 200).contains(&secret), "{path}");
    }
    browser.open("/infrastructure/sources/shop");
    browser.await_text(words.taken);
    visit.assert_sound();
    browser.follow("shop #1");
    browser.await_location("/applications/shop/runs/1");
    visit.await_status(words.done);
    let commit = format!("href=\"{}/commit/", mirrored.url.trim_end_matches(".git"));
    assert!(visit.source("/applications/shop/runs/1", 200).contains(&commit), "{commit}");
}

#[test]
fn a_webhook_in_english_on_a_desktop() {
    a_webhook_is_set_up_by_what_the_page_tells(&ENGLISH, DESKTOP);
}

#[test]
fn a_webhook_in_english_on_a_telephone() {
    a_webhook_is_set_up_by_what_the_page_tells(&ENGLISH, PHONE);
}

#[test]
fn a_webhook_in_chinese_on_a_desktop() {
    a_webhook_is_set_up_by_what_the_page_tells(&CHINESE, DESKTOP);
}

#[test]
fn a_webhook_in_chinese_on_a_telephone() {
    a_webhook_is_set_up_by_what_the_page_tells(&CHINESE, PHONE);
}
