//! Somebody's visit: a browser of their taste, and what holds for every page they come to.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::browser::html::assert_valid_html;
use slipway_tests::browser::{Browser, BrowserOptions, DESKTOP};
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::words::{ENGLISH, Words};

/// How long a run may take until it stands otherwise.
const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// Gives what differs at each look the same text, so that it is as wide each time, and marks what the pages cannot
/// know: here commits and logs name the address of a registry that is another in each test, and other texts
/// addresses on this machine, the namespace of a test, digests and identifiers.
const SAME: &str = "
    const host = location.host.replaceAll('.', '[.]');
    const changing = new RegExp(`${host}|127[.]0[.]0[.]1:[0-9]+|test-[0-9a-f]{32}|[0-9a-f]{12}|[0-9a-f]{4}-[0-9a-f]{4}-`);
    for (const part of document.querySelectorAll('main *')) {
        if (!part.firstElementChild && changing.test(part.textContent)) part.setAttribute('data-changing', '');
    }
    const known = '.facts-line code, .list td code, .narrow :is(dd, p) code, ol.log code, .command code';
    for (const part of document.querySelectorAll(known)) {
        part.setAttribute('data-changing', '');
    }
    for (const part of document.querySelectorAll('[data-changing]:not(.log code):not(.command code)')) {
        if (!part.firstElementChild) part.textContent = '0000000';
    }
";

/// Who looks, how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taste {
    pub(crate) words: &'static Words,
    pub(crate) window: (u32, u32),
}

/// A browser on a server's pages.
pub(crate) struct Visit<'s> {
    pub(crate) server: &'s Server,
    pub(crate) browser: Browser,
    pub(crate) words: &'static Words,
    window: (u32, u32),
}

impl<'s> Visit<'s> {
    pub(crate) fn begin(server: &'s Server, Taste { words, window }: Taste) -> Self {
        let options =
            BrowserOptions { window, language: words.asked.to_owned(), ..BrowserOptions::default() };
        Self { server, browser: Browser::start(server.url(), &options), words, window }
    }

    /// On a desktop, in English, signed in with a token.
    pub(crate) fn signed_in(server: &'s Server, token: &str) -> Self {
        let visit = Self::begin(server, Taste { words: &ENGLISH, window: DESKTOP });
        visit.sign_in(token);
        visit
    }

    /// Signs in and comes to the first page.
    pub(crate) fn sign_in(&self, token: &str) {
        self.browser.open("/sign-in");
        self.browser.fill(self.words.access_token, token);
        self.browser.press_button(self.words.sign_in);
        self.browser.await_location("/");
    }

    /// Holds what holds for every page.
    pub(crate) fn assert_sound(&self) {
        let lang = self.browser.run_script("return document.documentElement.lang", &[]);
        assert_eq!(lang, self.words.tag, "the language of {}", self.browser.location());
        self.browser.assert_fits_the_window();
        self.browser.assert_accessible();
        self.browser.assert_clean();
    }

    /// [`Visit::assert_sound`], and that the page looks as it did when it was approved. What is on the page is changed for
    /// that: a step begins with going elsewhere.
    pub(crate) fn look(&self, step: &str) {
        self.assert_sound();
        let name = format!("{step}-{}-{}", self.words.tag, self.window.0);
        self.browser.assert_looks_as(&name, || {
            self.browser.run_script(SAME, &[]);
        });
    }

    /// Waits until the first state that the page shows is this.
    pub(crate) fn await_status(&self, word: &str) {
        wait::until(&format!("«{word}» on {}", self.browser.location()), MOVES_WITHIN, || {
            let shown = self.status();
            if shown == word { Ok(()) } else { Err(shown) }
        });
    }

    /// The first state that the page shows.
    pub(crate) fn status(&self) -> String {
        let shown = self.browser.run_script("return document.querySelector('.status')?.innerText", &[]);
        shown.as_str().unwrap_or_default().trim().to_owned()
    }

    /// The source of a page, as the server sends it to this browser; valid, with this status.
    pub(crate) fn source(&self, path: &str, status: u16) -> String {
        let cookie = self.cookie();
        let headers = [("Accept", "text/html"), ("Accept-Language", self.words.tag), ("Cookie", &cookie)];
        let answer = self.server.request("GET", path, &headers, b"");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let source = answer.text();
        assert_valid_html(&source);
        source
    }

    /// What the browser keeps for the server.
    pub(crate) fn cookie(&self) -> String {
        let kept = self.browser.cdp("Network.getCookies", json!({}));
        let kept = kept["cookies"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kept: Vec<String> =
            kept.map(|cookie| format!("{}={}", text(&cookie["name"]), text(&cookie["value"]))).collect();
        kept.join("; ")
    }
}
