//! `slipway validate` and `slipway plan`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use slipway_builder::plan::{self, DraftImage, Wanted};
use slipway_git::{GitOptions, Snapshot};

use super::run::show_notes;
use super::{Exit, Global};
use crate::client::Problem;
use crate::local::WorkTree;
use crate::output::{data, json as print_json, say, table, text};

/// The largest context that is planned here; the server has its own limit.
const CONTEXT_BYTES_MAX: u64 = 4 << 30;

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// A directory with a slipway.yaml, or that file
    #[arg(default_value = ".")]
    path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A directory with a slipway.yaml, or that file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Do not ask the server what it would reuse
    #[arg(long)]
    local: bool,
}

pub(crate) fn validate(args: ValidateArgs, global: &Global) -> Result<Exit> {
    let tree = WorkTree::find(&args.path)?;
    match tree.validate()? {
        Ok(manifest) => {
            if global.json() {
                print_json(&json!({"valid": true, "manifest": manifest.view()}));
            } else {
                let count = manifest.components.len();
                data(format!(
                    "{}: valid, application {} with {count} component{}",
                    tree.file,
                    manifest.name.value,
                    if count == 1 { "" } else { "s" }
                ));
            }
            Ok(Exit::OK)
        }
        Err(problems) => {
            if global.json() {
                print_json(&json!({"valid": false, "problems": problems}));
            } else {
                data(problems.to_string());
            }
            Ok(Exit(1))
        }
    }
}

pub(crate) async fn plan(args: PlanArgs, global: &Global) -> Result<Exit> {
    let tree = WorkTree::find(&args.path)?;
    let manifest = match tree.validate()? {
        Ok(manifest) => manifest,
        Err(problems) => {
            data(problems.to_string());
            return Ok(Exit(1));
        }
    };
    let commit = tree.head()?;
    let name = manifest.name.value.to_string();
    if !args.local {
        let client = global.client()?;
        match client.post("/api/v1/plan", &json!({"application": name, "commit": commit})).await {
            Ok(view) => {
                show(&view, global);
                return Ok(Exit::OK);
            }
            Err(error) if error.downcast_ref::<Problem>().is_none_or(Problem::is_not_found) => {
                say(format!(
                    "The server does not know this commit ({error}); planned from the commit alone."
                ));
            }
            Err(error) => return Err(error),
        }
    }
    let view = from_commit(&tree, &manifest, &commit)?;
    show(&view, global);
    Ok(Exit::OK)
}

/// What the commit says by itself: nothing about reuse, nothing about base images.
fn from_commit(
    tree: &WorkTree,
    manifest: &slipway_builder::manifest::Manifest,
    commit: &str,
) -> Result<Value> {
    let options = GitOptions::default();
    let id = commit.parse().context("git gave no commit id")?;
    let snapshot = Snapshot::open(&tree.git_dir()?, &id, &options).map_err(|error| error.fault())?;
    let wanted = Wanted {
        application: &manifest.name.value,
        path: tree.directory(),
        only: None,
        max_context_bytes: CONTEXT_BYTES_MAX,
    };
    let drafts = plan::read(&snapshot, &wanted)?;
    let components: Vec<Value> = drafts
        .iter()
        .map(|draft| {
            let (action, why) = match &draft.image {
                None => ("pack", "the kit makes no image".to_owned()),
                Some(DraftImage::Pin { reference, .. }) => ("build", format!("pins {reference}")),
                Some(DraftImage::Build { requirements, .. }) => {
                    match (&requirements.buildkit, requirements.run) {
                        (Some((line, what)), _) => ("refuse", format!("line {line}: {what} needs BuildKit")),
                        (None, Some(line)) => {
                            ("build", format!("line {line} runs a command: needs an engine"))
                        }
                        (None, None) => ("build", "runs no command: needs no engine".to_owned()),
                    }
                }
            };
            json!({"component": draft.plan.name, "kit": draft.plan.kit, "action": action, "why": why})
        })
        .collect();
    Ok(json!({"application": manifest.name.value, "commit": commit, "components": components}))
}

fn show(view: &Value, global: &Global) {
    if global.json() {
        return print_json(view);
    }
    let rows: Vec<_> = view["components"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            vec![
                text(&c["component"]),
                text(&c["kit"]),
                text(&c["action"]),
                text(&c["backend"]),
                text(&c["why"]),
            ]
        })
        .collect();
    table(&["COMPONENT", "KIT", "ACTION", "BACK-END", "WHY"], &rows, "Nothing to do.");
    show_notes(&view["components"]);
}
