//! How bundles are chosen on the command line: the options of a selection, and `slipway bundle pick`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{Exit, Global};
use crate::client::Client;
use crate::output::{data, json as print_json, say, text};

/// What a bundle must be to be selected; all that is given must hold.
#[derive(Debug, Default, Args)]
pub(crate) struct Choice {
    /// Of a version in this range, e.g. ^1.4, ~1.4.2, ">=1.0.0 <2" or 1.x
    #[arg(long)]
    pub(crate) range: Option<String>,
    /// With such labels, e.g. "tier in (gold,silver),tested,!broken"
    #[arg(long)]
    pub(crate) selector: Option<String>,
    /// Published from this branch
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// Named by this channel
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Published from a commit that begins so
    #[arg(long)]
    pub(crate) commit: Option<String>,
    /// Written or pushed by this person: name, mail address or login
    #[arg(long)]
    pub(crate) author: Option<String>,
    /// Published at this time or later, e.g. 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Published before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Run by this environment now
    #[arg(long, value_name = "ENVIRONMENT")]
    pub(crate) deployed_in: Option<String>,
    /// Whether pre-releases take part, which builds of branches are too; auto: if a branch, commit,
    /// channel or environment is given, or the range names one
    #[arg(long, value_parser = ["auto", "yes", "no"])]
    pub(crate) prerelease: Option<String>,
}

/// A choice, and which of what it leads to comes first.
#[derive(Debug, Args)]
pub(crate) struct OrderedChoice {
    #[command(flatten)]
    choice: Choice,
    /// Which comes first: the highest version, or the one published last
    #[arg(long, value_parser = ["precedence", "newest"])]
    order: Option<String>,
}

impl Choice {
    /// What of it was given: the name of the option, with `_`, and its value.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("range", &self.range),
            ("selector", &self.selector),
            ("branch", &self.branch),
            ("channel", &self.channel),
            ("commit", &self.commit),
            ("author", &self.author),
            ("since", &self.since),
            ("until", &self.until),
            ("deployed_in", &self.deployed_in),
            ("prerelease", &self.prerelease),
        ];
        all.into_iter().filter_map(|(option, value)| Some((option, value.clone()?))).collect()
    }
}

impl OrderedChoice {
    /// What of it was given, as the server takes it.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = self.choice.given();
        query.extend(self.order.clone().map(|order| ("order", order)));
        query
    }

    /// Whether anything of it was given.
    pub(crate) fn is_given(&self) -> bool {
        !self.query().is_empty()
    }
}

/// Says why the bundles are these.
pub(crate) fn explain(explanation: &Value) {
    for line in explanation["lines"].as_array().into_iter().flatten() {
        say(text(line));
    }
}

/// As where a deployment finds none by the same options.
const NOTHING_SELECTED: Exit = Exit(1);

/// Prints the bundle that a selection leads to; nothing selected is a failure.
pub(crate) async fn pick(client: &Client, query: &[(&str, String)], global: &Global) -> Result<Exit> {
    let picked = client.get("/api/v1/bundles/pick", query).await?;
    let found = !picked["bundle"].is_null();
    if global.json() {
        print_json(&picked);
    } else {
        explain(&picked["explanation"]);
        if found {
            data(text(&picked["bundle"]["version"]));
        }
    }
    Ok(if found { Exit::OK } else { NOTHING_SELECTED })
}
