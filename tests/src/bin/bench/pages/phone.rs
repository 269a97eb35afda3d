//! How soon a slow telephone can use each page.

use slipway_tests::browser::{Browser, BrowserOptions, PHONE};
use slipway_tests::whole::{PAGES, Whole};

use crate::report::{ROUNDS, below, line, median, verdict};

const TARGET_MS: f64 = 1000.0;

/// Whether each page of [`PAGES`] can be used in time, by the median of some first loads.
pub(super) fn run(whole: &Whole) -> bool {
    line(format!(
        "a telephone, 1.6 Mbit/s, 150 ms to an answer, a processor 4 times slower than this: median of {ROUNDS} \
         first loads until a page is painted and its script has run (target below {TARGET_MS} ms)"
    ));
    let browser = signed_in(whole);
    let mut slowest = ("", 0.0);
    for page in PAGES {
        let address = whole.address(page);
        let times: Vec<f64> = (0..ROUNDS).map(|_| browser.first_load(&address).usable_ms).collect();
        let usable = median(&times);
        verdict(usable < TARGET_MS, &format!("{usable:>6.0} ms  {page}"));
        if usable > slowest.1 {
            slowest = (*page, usable);
        }
    }
    below(&format!("the slowest page on a telephone, {}", slowest.0), slowest.1, TARGET_MS, "ms")
}

/// A telephone of somebody who is signed in.
fn signed_in(whole: &Whole) -> Browser {
    let options = BrowserOptions { window: PHONE, ..BrowserOptions::default() };
    let browser = Browser::start(whole.server.url(), &options);
    browser.open("/sign-in");
    browser.fill("Access token", whole.server.token());
    browser.press_button("Sign in");
    browser.await_location("/");
    browser.as_slow_phone();
    browser
}
