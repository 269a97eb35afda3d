//! A log of more than 100 MB that goes on while it is read: however long it is, its page is small, and leads everywhere.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use slipway_tests::browser::{FIRST_LOAD_BYTES_MAX, Key};
use slipway_tests::wait;
use uuid::Uuid;

use crate::shop::Shop;
use crate::visit::Visit;

const PAGE: &str = "/applications/shop/runs/1/logs/run";
const LOG: &str = "ol.log";
const LINE: &str = "compiling a part of the whole, slowly and surely, and more of it after that\n";
/// Lines that are stored as one piece.
const PIECE_LINES: usize = 14_000;
/// Pieces before the line that is looked for, and behind it: 1 MB each.
const PIECES: u32 = 60;
/// Lines on a page that goes with the end of its log.
const FOLLOWED_MAX: u64 = 5_000;
/// Lines on a page on which somebody goes far back while the end is kept: the last part is taken whole.
const KEPT_MAX: u64 = 25_000;
/// Lines on a page of a part in the middle.
const LINES_MAX: u64 = 20_000;
/// Further than a page is high, in pixels.
const FAR: i32 = 1_000_000;
const MAX_STOPS: usize = 40;
/// So many looks one after the other see nothing move.
const STILL_LOOKS: u32 = 5;
/// A full page comes in some twenty parts.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// What the page shows of the log. Names of elements are not asked for here: each time Chromium would name all lines.
const STANDS: &str = "
    const log = document.querySelector('ol.log');
    const place = line => line ? Number(line.id.slice(1)) : 0;
    return {
        lines: log.childElementCount,
        first: place(log.firstElementChild),
        last: place(log.lastElementChild),
        text: log.lastElementChild?.querySelector('code').textContent ?? '',
        below: Math.max(0, Math.round(log.scrollHeight - log.clientHeight - log.scrollTop)),
        follows: document.querySelector('[data-follow] input')?.checked ?? false,
    };
";
/// The line that is read: it lies in the middle of what is seen.
const READ: &str = "
    const box = document.querySelector('ol.log').getBoundingClientRect();
    const middle = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return middle?.closest('ol.log > li')?.id ?? null;
";
const HAS_KEYS: &str = "return document.activeElement === document.querySelector('ol.log')";
const TARGET: &str = "return document.querySelector('ol.log li:target code')?.textContent ?? ''";

#[derive(Debug, Deserialize)]
struct Stands {
    lines: u64,
    /// Places of the first and the last line, in bytes.
    first: u64,
    last: u64,
    /// The last line.
    text: String,
    /// Pixels from what is seen to the end.
    below: i64,
    follows: bool,
}

/// Somebody who reads a log that others write.
struct Reader<'s> {
    visit: Visit<'s>,
    log: Uuid,
}

impl Reader<'_> {
    fn stands(&self) -> Stands {
        serde_json::from_value(self.visit.browser.run_script(STANDS, &[])).expect("a log on the page")
    }

    /// The line that is read, once nothing moves any more.
    fn read_line(&self) -> String {
        let (mut below, mut looks) = (0, 0);
        wait::holds("nothing moves", SEEN_WITHIN, || {
            let now = self.stands().below;
            looks = if now == below { looks + 1 } else { 0 };
            below = now;
            looks >= STILL_LOOKS
        });
        let line = self.visit.browser.run_script(READ, &[]);
        line.as_str().expect("a line in the middle").to_owned()
    }

    /// Does something again and again until the page stands so.
    fn until(&self, what: &str, mut act: impl FnMut(), holds: impl Fn(&Stands) -> bool) -> Stands {
        wait::until(what, SEEN_WITHIN, || {
            act();
            let stands = self.stands();
            if holds(&stands) { Ok(stands) } else { Err(format!("{stands:?}")) }
        })
    }

    fn wheel(&self, by: i32) {
        self.visit.browser.wheel(LOG, by);
    }

    /// The log gets so many pieces more, and a last line, which comes to the page.
    fn goes_on(&self, pieces: u32, last: &str) -> Stands {
        let (piece, line) = (LINE.repeat(PIECE_LINES), format!("{last}\n"));
        self.visit.server.append_log(self.log, &[(piece.as_str(), pieces), (line.as_str(), 1)]);
        self.until(last, || {}, |stands| stands.text == last)
    }

    /// At the end, with what is written.
    fn follows(&self) {
        let browser = &self.visit.browser;
        let loaded = browser.first_load(PAGE);
        assert!(loaded.bytes < u64::from(FIRST_LOAD_BYTES_MAX), "{loaded:?}");
        let before = self.stands();
        assert!(before.follows && before.below <= 1 && before.first > 100_000_000, "{before:?}");
        self.visit.mark();
        let after = self.goes_on(4, "the newest line");
        assert!(after.lines <= FOLLOWED_MAX && after.first > before.last, "{after:?} after {before:?}");
        assert!(after.follows && after.below <= 1, "{after:?}");
    }

    /// By the wheel, then by keys, while the log goes on below.
    fn goes_back(&self) {
        let browser = &self.visit.browser;
        let before = self.stands();
        let back = self.until("one goes back", || self.wheel(-900), |stands| stands.below > 2_000);
        assert!(!back.follows, "{back:?}");
        let read = self.read_line();
        let longer = self.goes_on(0, "a line below");
        assert!(longer.below > 2_000 && longer.lines > back.lines, "{longer:?}");
        assert_eq!(self.read_line(), read, "what is read keeps its place");
        self.until("earlier lines, by the wheel", || self.wheel(-FAR), |stands| stands.first < before.first);

        let is_reached = (0..MAX_STOPS).any(|_| {
            browser.press(Key::Tab);
            browser.run_script(HAS_KEYS, &[]) == json!(true)
        });
        assert!(is_reached, "Tab does not come to the log");
        let full = self.until(
            "a full page, by keys",
            || browser.press(Key::Home),
            |stands| stands.lines >= LINES_MAX,
        );
        for _ in 0..3 {
            browser.press(Key::Home);
            let still = self.stands();
            assert!(still.lines <= KEPT_MAX && still.first <= full.first, "{still:?}");
        }
        self.until("the end, by a key", || browser.press(Key::End), |stands| stands.below <= 1);
        self.visit.click_on("[data-follow] input");
        let again = self.goes_on(0, "a line for whoever is back");
        assert!(again.follows && again.lines <= FOLLOWED_MAX && again.below <= 1, "{again:?}");
        self.visit.assert_same_page();
    }

    /// A line in the middle of the log, and what lies around it.
    fn finds(&self) {
        let (browser, words) = (&self.visit.browser, self.visit.words);
        browser.open(PAGE);
        browser.fill(words.find_in_log, "NEEDLE");
        browser.press(Key::Enter);
        browser.await_location(&format!("{PAGE}?find=NEEDLE"));
        browser.await_text(words.nothing_found);
        // So much is looked through at once.
        browser.follow("Look on");
        browser.await_text("the needle in the hay");
        self.visit.click_on("ol.log a.at");
        let shown = || browser.run_script(TARGET, &[]) == json!("the needle in the hay");
        wait::holds("the line that the link names", SEEN_WITHIN, shown);
        let at = browser.location();
        let at = at.rsplit_once("#b").expect("a link to a line").1.parse::<u64>().expect("a place");
        let small = |stands: &Stands| {
            assert!(stands.lines <= LINES_MAX, "{stands:?}");
        };
        let around = self.until("lines before it", || self.wheel(-FAR), |stands| stands.first < at);
        small(&around);
        // What is far away is let go of.
        self.until(
            "lines far behind it",
            || self.wheel(FAR),
            |stands| {
                small(stands);
                stands.first > at
            },
        );
    }
}

#[test]
fn a_log_of_hundred_megabytes_is_read_while_it_grows() {
    let shop = Shop::open();
    let app = shop.server.create_app("shop");
    // The run plans for as long as it gets no base image; meanwhile others write its log.
    shop.registry.hold();
    let push = shop.push_aside(&app.git_url, "Open the shop");
    shop.registry.await_held();
    let run = shop.server.json(&["run", "show", "shop#1"]);
    let log = run["id"].as_str().and_then(|id| id.parse().ok()).expect("a run has an id");
    let piece = LINE.repeat(PIECE_LINES);
    shop.server.append_log(
        log,
        &[(piece.as_str(), PIECES), ("the needle in the hay\n", 1), (piece.as_str(), PIECES)],
    );

    let reader = Reader { visit: Visit::signed_in(&shop.server, shop.server.token()), log };
    reader.follows();
    reader.goes_back();
    reader.finds();
    let (visit, browser) = (&reader.visit, &reader.visit.browser);
    visit.click_on("#behind a:not([rel])");
    browser.await_location(PAGE);
    visit.mark();
    let end = reader.goes_on(0, "the last words");
    assert!(end.follows && end.below <= 1, "{end:?}");
    shop.registry.release();
    visit.await_status(visit.words.done);
    visit.assert_same_page();
    push.join().expect("git ends");
    browser.assert_clean();
}
