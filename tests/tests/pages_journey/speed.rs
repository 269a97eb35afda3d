//! How much a first visit loads, and that nothing moves meanwhile. How soon a page can be used is measured by
//! `./bench pages`: here the machine may be busy with other tests.

use slipway_tests::browser::{FIRST_LOAD_BYTES_MAX, PHONE};
use slipway_tests::whole::{PAGES, Whole};

use crate::visit::{Taste, Visit};
use crate::words::ENGLISH;

#[test]
fn pages_are_small() {
    let whole = Whole::open();
    let visit = Visit::begin(&whole.server, Taste { words: &ENGLISH, window: PHONE });
    visit.sign_in(whole.server.token());
    let mut large = Vec::new();
    for path in PAGES {
        let loaded = visit.browser.first_load(&whole.address(path));
        if loaded.bytes >= u64::from(FIRST_LOAD_BYTES_MAX) {
            large.push(format!("{path} loads {} bytes", loaded.bytes));
        }
    }
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn pages_that_come_in_pieces_stay_still() {
    let whole = Whole::open();
    let visit = Visit::begin(&whole.server, Taste { words: &ENGLISH, window: PHONE });
    visit.sign_in(whole.server.token());
    let browser = &visit.browser;
    // Style and script stay in the browser's cache: the line is the page's own.
    browser.on_a_trickle();
    let mut moved = Vec::new();
    for path in PAGES {
        browser.open(&whole.address(path));
        let shift = browser.layout_shift();
        if shift.sum > 0.0 {
            moved.push(format!("{path} moved by {}:\n    {}", shift.sum, shift.moved.join("\n    ")));
        }
    }
    assert!(moved.is_empty(), "{}", moved.join("\n"));
}
