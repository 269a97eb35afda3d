//! Whose browser it is: window, taste, line.

use serde_json::{Value, json};

use super::Browser;

/// Which colours a user prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Whether a user can bear what moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// All of it.
    NoPreference,
    /// As little as can be.
    Reduced,
}

/// What lies between the browser and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Nothing that slows it.
    Free,
    /// A slow network.
    Slow {
        /// From a request to its answer, in milliseconds, at least.
        latency_ms: u32,
        /// Each way.
        bytes_per_second: u32,
    },
    /// No network.
    Cut,
}

impl Browser {
    /// Gives the window a width and a height, in CSS pixels.
    pub fn window(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the user prefers from now on.
    pub fn prefers(&self, scheme: Scheme, motion: Motion) {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let motion = match motion {
            Motion::NoPreference => "no-preference",
            Motion::Reduced => "reduce",
        };
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ] });
        self.cdp("Emulation.setEmulatedMedia", features);
    }

    /// Waits until the page is painted as it is wanted now.
    pub fn await_painted(&self) {
        self.evaluate("new Promise(painted => requestAnimationFrame(() => requestAnimationFrame(painted)))");
    }

    /// What lies between the browser and the server from now on.
    pub fn line(&self, line: Line) {
        let (offline, latency, throughput) = match line {
            Line::Free => (false, 0, json!(-1)),
            Line::Slow { latency_ms, bytes_per_second } => (false, latency_ms, json!(bytes_per_second)),
            Line::Cut => (true, 0, json!(-1)),
        };
        let conditions = json!({
            "offline": offline,
            "latency": latency,
            "downloadThroughput": throughput,
            "uploadThroughput": throughput,
        });
        self.cdp("Network.emulateNetworkConditions", conditions);
    }

    /// Whether pages that are loaded from now on may run scripts. Without them neither pictures nor axe work.
    pub fn scripts(&self, allowed: bool) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": !allowed }));
    }

    /// The elements for which one must scroll sideways, and the widths: tag, identifier, classes. Empty if the page
    /// fits its window.
    pub fn standing_out(&self) -> Vec<String> {
        let wider = self.run_script(WIDER, &[]);
        wider.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Asserts that nobody must scroll sideways to read.
    pub fn assert_fits_the_window(&self) {
        let wider = self.standing_out();
        assert!(
            wider.is_empty(),
            "on {} these stand out of the window:\n{}",
            self.location(),
            wider.join("\n")
        );
    }
}

/// The elements that make a page wider than its window, if it is.
const WIDER: &str = "
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.body.querySelectorAll('*')]
        .filter(element => element.getBoundingClientRect().right > width)
        .map(element => `${element.tagName.toLowerCase()} ${element.id} ${element.className}`)
        .concat(`the page: ${document.documentElement.scrollWidth} pixels, the window: ${width}`);
";
