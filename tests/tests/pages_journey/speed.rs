//! How much a first visit loads, how soon it can be used on a slow telephone, and that nothing moves meanwhile.

use serde_json::{Value, json};
use slipway_tests::browser::{Browser, Line, PHONE};
use slipway_tests::whole::{PAGES, Whole};

use crate::visit::{Taste, Visit};
use crate::words::ENGLISH;

/// What a telephone far from a mast gets: 1.6 Mbit/s, and 150 ms to an answer.
const SLOW: Line = Line::Slow { latency_ms: 150, bytes_per_second: 200_000 };
/// How much slower a telephone computes than this machine.
const SLOWER: u32 = 4;
const USABLE_WITHIN_MS: f64 = 1000.0;
const LOADED_BYTES_MAX: u64 = 100_000;
/// The machine may be busy with other tests: the best of so many looks is the page's own.
const LOOKS: usize = 3;

/// Bytes over the network of the page and all it loads; milliseconds until it can be used: it is painted, and its
/// script has run.
const LOADED: &str = "
    const done = arguments[arguments.length - 1];
    const tell = () => {
        const [page] = performance.getEntriesByType('navigation');
        const parts = performance.getEntriesByType('resource').filter(part => !part.name.endsWith('/events'));
        const [painted] = performance.getEntriesByName('first-contentful-paint');
        done([
            [page, ...parts].reduce((sum, part) => sum + part.transferSize, 0),
            Math.max(painted?.startTime ?? Infinity, page.domContentLoadedEventEnd),
        ]);
    };
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(tell)));
";
/// By how much what was seen has moved (<https://web.dev/articles/cls>).
const SHIFTED: &str = "
    const done = arguments[arguments.length - 1];
    let sum = 0;
    new PerformanceObserver(list => {
        for (const shift of list.getEntries()) sum += shift.value;
    }).observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum))));
";

/// What a script on the page gives to the function that it is called with last.
fn asked(browser: &Browser, script: &str) -> Value {
    browser.command("POST", "/execute/async", &json!({ "script": script, "args": [] }))
}

/// Bytes and milliseconds of a page that the browser has never seen anything of.
fn first_load(browser: &Browser, path: &str) -> (u64, f64) {
    browser.cdp("Network.clearBrowserCache", json!({}));
    browser.open(path);
    let loaded = asked(browser, LOADED);
    let bytes = loaded[0].as_u64().expect("a number of bytes");
    (bytes, loaded[1].as_f64().unwrap_or(f64::INFINITY))
}

#[test]
fn pages_are_small_soon_usable_and_still() {
    let whole = Whole::open();
    let visit = Visit::begin(&whole.server, Taste { words: &ENGLISH, window: PHONE });
    visit.sign_in(whole.server.token());
    let browser = &visit.browser;
    browser.cdp("Emulation.setCPUThrottlingRate", json!({ "rate": SLOWER }));
    browser.line(SLOW);
    let mut slow = Vec::new();
    for path in PAGES {
        let mut best = f64::INFINITY;
        for _ in 0..LOOKS {
            let (bytes, ms) = first_load(browser, &whole.address(path));
            assert!(bytes < LOADED_BYTES_MAX, "{path} loads {bytes} bytes");
            best = best.min(ms);
            if best < USABLE_WITHIN_MS {
                break;
            }
        }
        if best >= USABLE_WITHIN_MS {
            slow.push(format!("{path}: {best:.0} ms"));
        }
        let shifted = asked(browser, SHIFTED);
        assert_eq!(shifted.as_f64(), Some(0.0), "something moved on {path}");
    }
    assert!(slow.is_empty(), "not usable within {USABLE_WITHIN_MS} ms:\n{}", slow.join("\n"));
}
