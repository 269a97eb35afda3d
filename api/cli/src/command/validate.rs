//! `slipway validate` and `slipway plan`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use slipway_builder::manifest::{Manifest, Positioned, Problem as FileProblem, Problems};
use slipway_builder::plan::{self, DraftImage, Wanted};
use slipway_definitions::{Catalogue, DefinitionKind};
use slipway_git::{GitOptions, Snapshot};
use slipway_types::Fault;

use super::run::show_notes;
use super::{Exit, Global};
use crate::client::{Problem, is_away};
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
            let notes = notes(&manifest);
            if global.json() {
                print_json(&json!({"valid": true, "manifest": manifest.view(), "notes": notes}));
            } else {
                let count = manifest.components.len();
                data(format!(
                    "{}: valid, application {} with {count} component{}",
                    tree.file,
                    manifest.name.value,
                    if count == 1 { "" } else { "s" }
                ));
                for note in notes {
                    say(format!("note: {note}"));
                }
            }
            Ok(Exit::OK)
        }
        Err(problems) => Ok(refused(&problems, global)),
    }
}

/// What the file says that only a server can judge: workload types that are not Slipway's own.
fn notes(manifest: &Manifest) -> Vec<FileProblem> {
    let builtin = Catalogue::builtin();
    let kinds = manifest.components.iter().filter_map(|component| Some(&component.workload.as_ref()?.kind));
    let unknown = kinds.filter(|kind| builtin.versions(DefinitionKind::Component, &kind.value).is_empty());
    let note = |kind: &Positioned<String>| {
        let message =
            format!("`{}` is not built in: the server must have a definition of that name", kind.value);
        manifest.problem(kind, message)
    };
    unknown.map(note).collect()
}

/// Tells what is wrong with the file.
fn refused(problems: &Problems, global: &Global) -> Exit {
    if global.json() {
        print_json(&json!({"valid": false, "problems": problems}));
    } else {
        data(problems.to_string());
    }
    Exit(1)
}

pub(crate) async fn plan(args: PlanArgs, global: &Global) -> Result<Exit> {
    let tree = WorkTree::find(&args.path)?;
    let manifest = match tree.validate()? {
        Ok(manifest) => manifest,
        Err(problems) => return Ok(refused(&problems, global)),
    };
    let commit = tree.head()?;
    let view = planned(&tree, &manifest, &commit, args.local, global).await.inspect_err(|error| {
        if is_of_the_file(error) {
            say(format!("A plan is of a commit, here {commit}: commit what is not committed yet."));
        }
    })?;
    show(&view, global);
    Ok(Exit::OK)
}

/// Whether a commit was refused for its `slipway.yaml`; the one of the working tree was found in order.
fn is_of_the_file(error: &anyhow::Error) -> bool {
    let answered = error.downcast_ref::<Problem>().and_then(|problem| problem.fault.as_deref());
    let found = error.downcast_ref::<Fault>().map(|fault| fault.code.as_str());
    answered.or(found).is_some_and(|code| code.starts_with("slipway_yaml_"))
}

/// What the server plans, or where it does not know the commit, what that says by itself.
async fn planned(
    tree: &WorkTree,
    manifest: &Manifest,
    commit: &str,
    is_local: bool,
    global: &Global,
) -> Result<Value> {
    if !is_local {
        let client = global.client()?;
        let body = json!({"application": manifest.name.value.to_string(), "commit": commit});
        match client.post("/api/v1/plan", &body).await {
            Ok(view) => return Ok(view),
            Err(error) => match why_alone(&error, client.base()) {
                Some(why) => say(why),
                None => return Err(error),
            },
        }
    }
    from_commit(tree, manifest, commit)
}

/// Why it is planned without the server, unless the server refused to plan.
fn why_alone(error: &anyhow::Error, base: &str) -> Option<String> {
    let problem = error.downcast_ref::<Problem>();
    let why = match problem {
        Some(problem) if problem.is_not_found() => {
            return Some(format!(
                "The server does not know this commit ({error}); planned from the commit alone."
            ));
        }
        Some(_) if is_away(error) => format!("the server at {base} is away ({error})"),
        Some(_) => return None,
        None => error.to_string(),
    };
    Some(format!(
        "Planned from the commit alone, without what would be reused: {why}. Ask again, or ask no server: slipway \
         plan --local"
    ))
}

/// What the commit says by itself: nothing about reuse, nothing about base images.
fn from_commit(tree: &WorkTree, manifest: &Manifest, commit: &str) -> Result<Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_type_that_is_not_built_in_is_noted() {
        let file = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  \
                    - {name: web, kit: dockerfile, context: web, workload: {type: webservice}}\n  \
                    - {name: queue, kit: dockerfile, context: queue, workload: {type: our-queue}}\n";
        let manifest = Manifest::parse(file.as_bytes(), "slipway.yaml").unwrap();
        let notes: Vec<String> = notes(&manifest).iter().map(ToString::to_string).collect();
        let [note] = &notes[..] else { panic!("one note: {notes:?}") };
        assert!(note.starts_with("slipway.yaml:6:"), "{note}");
        assert!(note.contains("components[1].workload.type: `our-queue` is not built in"), "{note}");
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let error = WorkTree::find(std::path::Path::new("/does/not/exist")).err().unwrap();
        assert_eq!(crate::client::exit_code(&error), 2);
    }

    #[test]
    fn without_a_server_a_plan_says_which_one_was_asked_and_what_next() {
        let base = "http://10.0.0.7:7300";
        let answered = |status: u16| anyhow::Error::new(Problem { status, ..Problem::default() });
        let unheard = anyhow::anyhow!("no server answers at {base}: is `slipway serve` running?");
        for error in [unheard, answered(503)] {
            let told = why_alone(&error, base).unwrap();
            assert!(told.contains(base) && told.contains("slipway plan --local"), "{told}");
        }
        assert!(why_alone(&answered(404), base).unwrap().contains("does not know this commit"));
        assert!(why_alone(&answered(422), base).is_none());
    }
}
