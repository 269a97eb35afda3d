//! What a first visit to a page loads, how soon the page can be used, and by how much it moves meanwhile.

use serde_json::{Value, json};

use super::{Browser, Line};

/// What the first load of any page stays below.
pub const FIRST_LOAD_BYTES_MAX: u32 = 100_000;
/// What a telephone far from a mast gets: 1.6 Mbit/s, and 150 ms to an answer.
const SLOW: Line = Line::Slow { latency_ms: 150, bytes_per_second: 200_000 };
/// A page comes in pieces of some hundred bytes, so that what is painted before the rest is there is seen to move.
const TRICKLE: Line = Line::Slow { latency_ms: 10, bytes_per_second: 8_000 };
/// How much slower a telephone computes than this machine.
const SLOWER: u32 = 4;

/// How long a page that is there may take to be painted: the entry that tells of it comes after the frame.
const PAINTED_WITHIN_MS: u64 = 10_000;

/// Bytes over the network of the page and all it loads, but for what goes on for ever; milliseconds until it can be
/// used: it is painted, which is awaited for so long as the first argument says, and its script has run.
const LOADED: &str = "
    const [patience, done] = arguments;
    const end = performance.now() + patience;
    const isStream = part => /\\/(events|stream)$/.test(new URL(part.name).pathname);
    const tell = () => {
        const [painted] = performance.getEntriesByName('first-contentful-paint');
        if (!painted && performance.now() < end) return setTimeout(tell, 10);
        const [page] = performance.getEntriesByType('navigation');
        const parts = performance.getEntriesByType('resource').filter(part => !isStream(part));
        done([
            [page, ...parts].reduce((sum, part) => sum + part.transferSize, 0),
            Math.max(painted?.startTime ?? Infinity, page.domContentLoadedEventEnd),
        ]);
    };
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(tell)));
";
/// By how much what was seen has moved (<https://web.dev/articles/cls>), and what moved from where to where.
const SHIFTED: &str = "
    const done = arguments[arguments.length - 1];
    const box = rect => `${rect.x},${rect.y} ${rect.width}x${rect.height}`;
    const told = ({ node, previousRect, currentRect }) => {
        const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
        const text = node?.textContent?.trim().replace(/\\s+/g, ' ').slice(0, 60);
        return `<${element?.localName}> \"${text}\" from ${box(previousRect)} to ${box(currentRect)}`;
    };
    let sum = 0;
    const moved = [];
    new PerformanceObserver(list => {
        for (const shift of list.getEntries()) {
            sum += shift.value;
            moved.push(...shift.sources.map(source => `after ${Math.round(shift.startTime)} ms ${told(source)}`));
        }
    }).observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done([sum, moved]))));
";

/// How a page came to a browser that had nothing of it.
#[derive(Debug, Clone, Copy)]
pub struct FirstLoad {
    /// Over the network, headers included, of the page and all it loads.
    pub bytes: u64,
    /// Milliseconds from the request until the page was painted and its script had run; endless if it never was
    /// painted.
    pub usable_ms: f64,
}

/// By how much what was seen of a page has moved.
#[derive(Debug)]
pub struct Shift {
    /// The sum over all shifts of the part of the window that moved times the part of it that it moved by; 0 if nothing
    /// has (<https://web.dev/articles/cls>).
    pub sum: f64,
    /// What moved, when, and from where to where, in pixels of the window.
    pub moved: Vec<String>,
}

impl Browser {
    /// From now on with a line on which a page comes in many pieces.
    pub fn on_a_trickle(&self) {
        self.line(TRICKLE);
    }

    /// From now on as slow as on a telephone far from a mast: 1.6 Mbit/s, 150 ms to an answer, and a processor that takes
    /// four times as long as this machine's.
    pub fn as_slow_phone(&self) {
        self.cdp("Emulation.setCPUThrottlingRate", json!({ "rate": SLOWER }));
        self.line(SLOW);
    }

    /// Loads a page of the server with nothing kept from earlier ones but who is signed in.
    pub fn first_load(&self, path: &str) -> FirstLoad {
        self.cdp("Network.clearBrowserCache", json!({}));
        self.open(path);
        let loaded = self.asked(LOADED, &[json!(PAINTED_WITHIN_MS)]);
        let bytes = loaded[0].as_u64().expect("a number of bytes");
        FirstLoad { bytes, usable_ms: loaded[1].as_f64().unwrap_or(f64::INFINITY) }
    }

    /// By how much what could be seen of the page has moved since it was opened.
    pub fn layout_shift(&self) -> Shift {
        let told = self.asked(SHIFTED, &[]);
        let moved = told[1]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect();
        Shift { sum: told[0].as_f64().expect("a number"), moved }
    }

    /// What a script on the page gives to the function that it is called with last.
    fn asked(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/async", &json!({ "script": script, "args": arguments }))
    }
}
