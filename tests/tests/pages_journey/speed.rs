//! How much a first visit loads, and that nothing moves meanwhile. How soon a page can be used is measured by
//! `./bench pages`: here the machine may be busy with other tests.

use slipway_tests::browser::{FIRST_LOAD_BYTES_MAX, PHONE};
use slipway_tests::whole::{PAGES, Whole};

use crate::visit::{Taste, Visit};
use crate::words::ENGLISH;

/// A time that becomes a digit longer, as by "9 s ago" to "10 s ago", moves what stands behind it in its line by a hundred
/// times less than anybody calls a shift (<https://web.dev/articles/cls>: 0.1).
const SHIFT_MAX: f64 = 0.001;

#[test]
fn pages_are_small_and_still() {
    let whole = Whole::open();
    let visit = Visit::begin(&whole.server, Taste { words: &ENGLISH, window: PHONE });
    visit.sign_in(whole.server.token());
    let browser = &visit.browser;
    // Where a page comes bit by bit, it is seen if something moves.
    browser.as_slow_phone();
    let mut wrong = Vec::new();
    for path in PAGES {
        let loaded = browser.first_load(&whole.address(path));
        if loaded.bytes >= u64::from(FIRST_LOAD_BYTES_MAX) {
            wrong.push(format!("{path} loads {} bytes", loaded.bytes));
        }
        let shift = browser.layout_shift();
        if shift > SHIFT_MAX {
            wrong.push(format!("something moved on {path}, by {shift}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
