//! A bar for each component on a terminal; a line for each change elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::output::{say, text};

/// Steps of a component's bar: waiting, building, pushing, done.
const STEPS: u64 = 3;

/// The bars of one run.
pub(crate) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    shown: BTreeMap<String, String>,
}

impl Bars {
    /// No bars yet; they come with the run's builds.
    pub(crate) fn new() -> Self {
        Self { all: MultiProgress::new(), bars: BTreeMap::new(), shown: BTreeMap::new() }
    }

    /// Shows where the run stands.
    pub(crate) fn show(&mut self, run: &Value) {
        for build in run["builds"].as_array().into_iter().flatten() {
            let (component, state) = (text(&build["component"]), text(&build["state"]));
            self.change(&component, &state, &line(build));
        }
        let state = text(&run["state"]);
        self.change("bundle", &state, &state);
    }

    fn change(&mut self, name: &str, state: &str, line: &str) {
        if self.shown.get(name).is_some_and(|shown| shown == line) {
            return;
        }
        self.shown.insert(name.to_owned(), line.to_owned());
        if self.all.is_hidden() {
            say(format!("  {name:<8} {line}"));
            return;
        }
        let bar = self.bars.entry(name.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("  {prefix:<8} {bar:24} {msg}")
                .expect("invariant: a constant template");
            let bar = self.all.add(ProgressBar::new(STEPS).with_style(style).with_prefix(name.to_owned()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_position(position(state));
        bar.set_message(line.to_owned());
    }

    /// Leaves the bars as they stand.
    pub(crate) fn end(&self) {
        self.bars.values().for_each(ProgressBar::abandon);
    }
}

fn position(state: &str) -> u64 {
    match state {
        "queued" => 0,
        "planning" | "building" => 1,
        "pushing" | "packaging" => 2,
        _ => STEPS,
    }
}

fn line(build: &Value) -> String {
    let state = text(&build["state"]);
    let backend = build["backend"].as_str().map_or(String::new(), |backend| format!(" ({backend})"));
    match build["reason"].as_str() {
        Some(reason) => format!("{state}{backend}: {}", reason.lines().next().unwrap_or_default()),
        None => format!("{state}{backend}"),
    }
}
