//! `slipway bundle create`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Global, key_value};
use crate::client::Usage;
use crate::output::{data, text};

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The application
    app: String,
    /// The bundle that it begins with
    #[arg(long, value_name = "VERSION")]
    from: String,
    /// What takes a component's place: a published version of it, or an image by digest; may be given
    /// several times
    #[arg(long, value_name = "COMPONENT=VERSION|REPOSITORY@DIGEST", required = true, value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Its version
    #[arg(id = "bundle_version", long = "version", value_name = "VERSION")]
    version: Option<String>,
    /// A label that it is born with; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    label: Vec<(String, String)>,
    /// Why; kept with it
    #[arg(long)]
    reason: Option<String>,
}

/// Composes a bundle.
pub(super) async fn create(args: CreateArgs, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    let body = json!({
        "application": args.app,
        "from": args.from,
        "set": once(&args.set, "set")?,
        "version": args.version,
        "labels": once(&args.label, "label")?,
        "reason": args.reason,
    });
    let made = client.post("/api/v1/bundles", &body).await?;
    let version = text(&made["version"]);
    let line = if made["new"] == true {
        format!("Bundle {version} of {}: see it by `slipway bundle show {} {version}`.", args.app, args.app)
    } else {
        format!("These components are bundle {version} of {} already; nothing was changed.", args.app)
    };
    global.tell(&made, line);
    Ok(Exit::OK)
}

/// What was given, each key once.
fn once(given: &[(String, String)], option: &str) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for (key, value) in given {
        if pairs.insert(key.clone(), value.clone()).is_some() {
            bail!(Usage(format!("--{option} {key} is given twice")));
        }
    }
    Ok(pairs)
}

/// Tells how a bundle was composed, if it was.
pub(super) fn show(composed: &Value) {
    if composed.is_null() {
        return;
    }
    let set = composed["set"].as_object().into_iter().flatten();
    let set: Vec<String> = set.map(|(name, what)| format!("{name}={}", text(what))).collect();
    let why = composed["reason"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
    let (from, by) = (text(&composed["from"]), text(&composed["by"]));
    data(format!("{:<12}from {from} by {by}: {}{why}", "composed", set.join(", ")));
}
