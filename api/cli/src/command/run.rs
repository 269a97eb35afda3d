//! `slipway run`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::waiting::{NOT_ENDED, Waiting};
use super::{Exit, Global, in_path, log};
use crate::client::{Client, Usage};
use crate::output::{ago, data, first_line, json as print_json, say, table, text};

/// How many runs of one commit are looked through for the one of a ref.
const MAX_RUNS_OF_COMMIT: usize = 2000;

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Start a run of a branch, a tag or one commit of it
    #[command(after_help = "Example: slipway run start --app shop --ref main --fresh")]
    Start(StartArgs),
    /// List runs, newest first
    #[command(after_help = "Example: slipway run list --app shop --branch main")]
    List(ListArgs),
    /// Show one run with its builds
    #[command(after_help = "Example: slipway run show shop#12")]
    Show {
        /// Its id, or APP#NUMBER
        run: String,
    },
    /// Print the log of one component's build, or of a check
    #[command(
        after_help = "With -o json each line is one JSON document: offset, the byte where it begins, and text.\nExample: slipway run logs shop#12 api -f\nExample: slipway run logs shop#12 --check unit -o json"
    )]
    Logs(LogArgs),
    /// Wait until a run ends, or until that of a commit appears and ends
    #[command(
        after_help = "Exit codes: 0 done or skipped, 1 failed or timed out, 2 usage, 3 the wait expired or the server stayed away, 4 cancelled or superseded.\nExample: slipway run wait --app shop --commit $(git rev-parse HEAD)\n         slipway run wait shop#12"
    )]
    Wait(WaitArgs),
    /// Start a failed run again; finished builds are adopted
    #[command(after_help = "Example: slipway run retry shop#12")]
    Retry {
        /// Its id, or APP#NUMBER
        run: String,
    },
    /// Stop a run
    #[command(after_help = "Example: slipway run cancel shop#12")]
    Cancel {
        /// Its id, or APP#NUMBER
        run: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The application
    #[arg(long)]
    app: String,
    /// Branch or tag
    #[arg(long = "ref", default_value = "main")]
    git_ref: String,
    /// A commit of it; its head if absent
    #[arg(long)]
    commit: Option<String>,
    /// Reuse nothing
    #[arg(long)]
    fresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this application
    #[arg(long)]
    app: Option<String>,
    /// Of this branch
    #[arg(long)]
    branch: Option<String>,
    /// Of this commit, or of one that begins with these 4 hex digits or more
    #[arg(long)]
    commit: Option<String>,
    /// In one of these states, separated by commas
    #[arg(long)]
    state: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The run's id, or APP#NUMBER
    run: String,
    /// The component; may be left out where there is only one
    component: Option<String>,
    /// A check that slipway.yaml declares, instead of a build
    #[arg(long, conflicts_with = "component")]
    check: Option<String>,
    /// Go on until the build ends
    #[arg(short, long)]
    follow: bool,
    /// Begin at this byte
    #[arg(long, default_value_t = 0, value_parser = super::whole, allow_negative_numbers = true)]
    offset: u64,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The run's id, or APP#NUMBER, instead of a commit
    #[arg(conflicts_with_all = ["app", "commit", "git_ref"])]
    run: Option<String>,
    /// The application
    #[arg(long, required_unless_present = "run")]
    app: Option<String>,
    /// The commit, or its first 4 hex digits or more
    #[arg(long, required_unless_present = "run")]
    commit: Option<String>,
    /// Only the run of this branch or tag
    #[arg(long = "ref")]
    git_ref: Option<String>,
    /// How long to wait, e.g. 90s, 5m, 1h
    #[arg(long, default_value = "5m", value_parser = duration, allow_hyphen_values = true)]
    timeout: Duration,
}

/// Reads `90s`, `5m`, `1h`, or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 =
        text[..split].parse().map_err(|_| format!("`{text}` is no duration: write 90s, 5m or 1h"))?;
    let seconds = match &text[split..] {
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(|| format!("`{text}` is no duration: write 90s, 5m or 1h"))
}

pub(crate) async fn run(command: RunCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        RunCommand::Start(args) => start(&client, args, global).await?,
        RunCommand::List(args) => list(&client, args, global).await?,
        RunCommand::Show { run } => {
            let run = client.get(&format!("/api/v1/runs/{}", in_path(&run)), &[]).await?;
            if global.json() { print_json(&run) } else { show(&run) }
        }
        RunCommand::Logs(args) => logs(&client, args, global).await?,
        RunCommand::Wait(args) => return wait(&client, args, global).await,
        RunCommand::Retry { run } => {
            let made = client.post(&format!("/api/v1/runs/{}/retry", in_path(&run)), &json!({})).await?;
            announce(&made, global);
        }
        RunCommand::Cancel { run } => {
            let stopped = client.post(&format!("/api/v1/runs/{}/cancel", in_path(&run)), &json!({})).await?;
            announce(&stopped, global);
        }
    }
    Ok(Exit::OK)
}

async fn start(client: &Client, args: StartArgs, global: &Global) -> Result<()> {
    let mut body = json!({"application": args.app, "ref": args.git_ref, "fresh": args.fresh});
    if let Some(commit) = args.commit {
        body["commit"] = commit.into();
    }
    let started = client.post("/api/v1/runs", &body).await?;
    if started["run"].is_object() {
        announce(&started["run"], global);
    } else if global.json() {
        print_json(&started);
    } else {
        let delivery = &started["delivery"];
        data(format!(
            "delivery {} is {}: {}",
            text(&delivery["id"]),
            text(&delivery["state"]),
            text(&delivery["reason"])
        ));
    }
    Ok(())
}

fn announce(run: &Value, global: &Global) {
    if global.json() {
        print_json(run);
    } else {
        data(format!("{}#{} {}", text(&run["application"]), text(&run["number"]), text(&run["state"])));
        say(format!("Follow it: slipway run show {}#{}", text(&run["application"]), text(&run["number"])));
    }
}

async fn list(client: &Client, args: ListArgs, global: &Global) -> Result<()> {
    let given =
        [("application", args.app), ("branch", args.branch), ("commit", args.commit), ("state", args.state)];
    let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let rows = client.list("/api/v1/runs", &query, args.limit).await?;
    if global.json() {
        print_json(&Value::Array(rows));
        return Ok(());
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|run| {
            let name = format!("{}#{}", text(&run["application"]), text(&run["number"]));
            let git_ref = text(if run["branch"].is_null() { &run["tag"] } else { &run["branch"] });
            let commit = text(&run["commit"]).chars().take(8).collect();
            let reason = first_line(&run["reason"]);
            vec![
                name,
                git_ref,
                commit,
                text(&run["state"]),
                text(&run["version"]),
                ago(&run["created_at"]),
                reason,
            ]
        })
        .collect();
    let head = ["RUN", "REF", "COMMIT", "STATE", "VERSION", "STARTED", "REASON"];
    let empty = if query.iter().any(|(key, _)| *key != "application") {
        "No such run."
    } else {
        "No run yet. A git push starts one; so does `slipway run start --app NAME --ref main`."
    };
    table(&head, &cells, empty);
    Ok(())
}

fn show(run: &Value) {
    let git_ref = text(if run["branch"].is_null() { &run["tag"] } else { &run["branch"] });
    data(format!("run        {}#{} ({})", text(&run["application"]), text(&run["number"]), text(&run["id"])));
    data(format!("commit     {} on {git_ref}: {}", text(&run["commit"]), text(&run["subject"])));
    data(format!("by         {}, {}", text(&run["actor"]), ago(&run["created_at"])));
    data(format!("state      {}", text(&run["state"])));
    if let Some(version) = run["version"].as_str() {
        data(format!("version    {version}"));
    }
    show_held(run);
    if let Some(fault) = run["fault"].as_object() {
        data(format!("failed in  {}", text(&run["failed_step"])));
        data(text(&fault["message"]));
        if let Some(hint) = fault["hint"].as_str() {
            data(format!("next step  {hint}"));
        }
        if let Some(good) = run["last_good"].as_object() {
            data(format!("last good  #{} {}", text(&good["number"]), text(&good["version"])));
        }
    } else if let Some(reason) = run["reason"].as_str() {
        data(format!("reason     {reason}"));
    }
    let rows: Vec<_> = run["builds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|b| {
            vec![
                text(&b["component"]),
                text(&b["kit"]),
                text(&b["state"]),
                text(&b["backend"]),
                stages(&b["stages_ms"]),
                first_line(&b["reason"]),
            ]
        })
        .collect();
    if !rows.is_empty() {
        data("");
        table(&["COMPONENT", "KIT", "STATE", "BACK-END", "TIMES", "REASON"], &rows, "");
    }
    show_notes(&run["builds"]);
}

/// Which checks keep what the run published from being chosen, and where they are seen.
fn show_held(run: &Value) {
    let held = run["held"].as_array().map(Vec::as_slice).unwrap_or_default();
    for why in held {
        data(format!("held       {}", text(why)));
    }
    if !held.is_empty() {
        let (app, version) = (text(&run["application"]), text(&run["version"]));
        data(format!("next step  slipway check list {app} {version}"));
    }
}

/// What is to be known of components' plans.
pub(crate) fn show_notes(components: &Value) {
    for component in components.as_array().into_iter().flatten() {
        for note in component["notes"].as_array().into_iter().flatten() {
            data(format!("note       {}: {}", text(&component["component"]), text(note)));
        }
    }
}

fn stages(stages: &Value) -> String {
    let parts = stages.as_object().into_iter().flatten().map(|(stage, ms)| format!("{stage} {ms} ms"));
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".into() } else { text }
}

async fn logs(client: &Client, args: LogArgs, global: &Global) -> Result<()> {
    let run = in_path(&args.run);
    let of = match (&args.check, &args.component) {
        (Some(check), _) => format!(" --check {check}"),
        (None, Some(component)) => format!(" {component}"),
        (None, None) => String::new(),
    };
    let again = args.follow.then(|| format!("slipway run logs {}{of} --follow", args.run));
    let (path, what) = match (args.check, args.component) {
        (Some(check), _) => {
            let name = check.strip_prefix("source/").unwrap_or(&check).to_owned();
            (format!("/api/v1/runs/{run}/checks/{}/log", in_path(&name)), name)
        }
        (None, Some(component)) => {
            (format!("/api/v1/runs/{run}/builds/{}/log", in_path(&component)), component)
        }
        (None, None) => {
            let only = only_component(client, &args.run).await?;
            (format!("/api/v1/runs/{run}/builds/{}/log", in_path(&only)), only)
        }
    };
    if !log::print(client, &path, args.offset, again.as_deref(), global).await? {
        let none = match args.offset {
            0 => "Nothing is written".to_owned(),
            offset => format!("No line from byte {offset} on"),
        };
        say(format!("{none}: `slipway run show {}` tells what became of {what}.", args.run));
    }
    Ok(())
}

async fn only_component(client: &Client, run: &str) -> Result<String> {
    let run = client.get(&format!("/api/v1/runs/{}", in_path(run)), &[]).await?;
    let names: Vec<String> =
        run["builds"].as_array().into_iter().flatten().map(|build| text(&build["component"])).collect();
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("the run has no builds yet; `slipway run show` tells why"),
        many => bail!(Usage(format!("name a component, one of {}", many.join(", ")))),
    }
}

async fn wait(client: &Client, args: WaitArgs, global: &Global) -> Result<Exit> {
    let waiting = Waiting::new(client, args.timeout, again(&args));
    let mut last = String::new();
    loop {
        let run = waiting.ask(|| awaited(client, &args)).await?;
        if let Some(run) = &run {
            let state = text(&run["state"]);
            if let Some(exit) = exit_of(&state) {
                if global.json() {
                    print_json(run);
                } else {
                    let detail =
                        if run["version"].is_null() { text(&run["reason"]) } else { text(&run["version"]) };
                    data(format!("{}#{} {state} {detail}", text(&run["application"]), text(&run["number"])));
                }
                return Ok(exit);
            }
            if state != last {
                say(format!("{}#{} {state}", text(&run["application"]), text(&run["number"])));
                last = state;
            }
        }
        if waiting.is_over() {
            let seen =
                if last.is_empty() { "no run of that commit appeared" } else { "the run has not ended" };
            say(format!("{seen} within {} s", args.timeout.as_secs()));
            return Ok(NOT_ENDED);
        }
        waiting.pause().await;
    }
}

/// The command that waits for the same run.
fn again(args: &WaitArgs) -> String {
    let given =
        [("", &args.run), ("--app ", &args.app), ("--commit ", &args.commit), ("--ref ", &args.git_ref)];
    let words = given.iter().filter_map(|(option, value)| Some(format!("{option}{}", value.as_deref()?)));
    format!("slipway run wait {}", words.collect::<Vec<_>>().join(" "))
}

/// The run that is waited for, if it is there already.
async fn awaited(client: &Client, args: &WaitArgs) -> Result<Option<Value>> {
    if let Some(run) = &args.run {
        return client.get(&format!("/api/v1/runs/{}", in_path(run)), &[]).await.map(Some);
    }
    let given = [("application", &args.app), ("commit", &args.commit)];
    let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let rows = client.list("/api/v1/runs", &query, MAX_RUNS_OF_COMMIT).await?;
    let mut runs =
        rows.into_iter().filter(|run| args.git_ref.as_deref().is_none_or(|wanted| names(run, wanted)));
    let Some(first) = runs.next() else { return Ok(None) };
    if runs.any(|run| run["commit"] != first["commit"]) {
        let begins = args.commit.as_deref().unwrap_or_default();
        bail!(Usage(format!(
            "several commits begin with {begins}: write more digits of the one that is meant"
        )));
    }
    Ok(Some(first))
}

/// Whether `wanted` is the run's branch, tag or full ref.
fn names(run: &Value, wanted: &str) -> bool {
    ["branch", "tag", "ref"].iter().any(|key| run[key] == wanted)
}

/// The exit code of a state that will not change.
fn exit_of(state: &str) -> Option<Exit> {
    match state {
        "done" | "skipped" => Some(Exit::OK),
        "failed" | "timed_out" => Some(Exit(1)),
        "cancelled" | "superseded" => Some(Exit(4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_as_it_was_asked_for() {
        let args = |run: Option<&str>, commit: Option<&str>| WaitArgs {
            run: run.map(str::to_owned),
            app: commit.map(|_| "shop".to_owned()),
            commit: commit.map(str::to_owned),
            git_ref: None,
            timeout: Duration::from_secs(1),
        };
        assert_eq!(again(&args(Some("shop#3"), None)), "slipway run wait shop#3");
        assert_eq!(again(&args(None, Some("abcd"))), "slipway run wait --app shop --commit abcd");
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(
            duration("5 days").is_err()
                && duration("").is_err()
                && duration("99999999999999999999h").is_err()
        );
    }
}
