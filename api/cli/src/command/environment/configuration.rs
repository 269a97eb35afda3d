//! `slipway env config` and `slipway env explain`: what operators configure, and where it comes from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::client::{Client, Usage};
use crate::command::{Exit, Global, document, in_path, tell_notes};
use crate::output::{ago, bytes, data, json as print_json, say, say_violations, table, text};

/// How long the first look at what is followed is waited for.
const FIRST_LOOK_WITHIN: Duration = Duration::from_secs(15);
/// Between two questions whether it was looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// What an editor is given where nothing is configured yet.
const EMPTY: &str = "\
# What operators set for this application at this level, as an OAM Application.
# An empty file removes the level.
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: APP
spec:
  components: []
";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The application
    app: String,
    /// Where it holds: UNIT, UNIT/CLUSTER, UNIT/CLUSTER/NAMESPACE or a whole address; everywhere if absent
    #[arg(long, default_value = "", hide_default_value = true)]
    level: String,
    /// Take this OAM Application (YAML); `-`: standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["edit", "remove", "history"])]
    set: Option<PathBuf>,
    /// Change it in $VISUAL or $EDITOR
    #[arg(long, conflicts_with_all = ["remove", "history"])]
    edit: bool,
    /// Take away what is configured at this level
    #[arg(long, conflicts_with = "history")]
    remove: bool,
    /// List all versions, newest first
    #[arg(long)]
    history: bool,
    /// Follow this source: what is pushed there becomes the next version of the level
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["set", "edit", "remove", "history", "if_version"])]
    follow: Option<String>,
    /// The branch that is followed; main if absent
    #[arg(long, requires = "follow")]
    branch: Option<String>,
    /// The file that is followed; with --every-level the directory
    #[arg(long, requires = "follow")]
    path: Option<String>,
    /// Follow every level, from files LEVEL/APP.yaml below the path
    #[arg(long, conflicts_with_all = ["level", "set", "edit", "remove", "history"])]
    every_level: bool,
    /// Follow no more; what holds now stays
    #[arg(long, conflicts_with_all = ["follow", "set", "edit", "remove", "history", "if_version"])]
    unfollow: bool,
    /// Only if this is the newest version now (0: only if there is none)
    #[arg(long, value_name = "VERSION", conflicts_with = "history", value_parser = crate::command::whole, allow_negative_numbers = true)]
    if_version: Option<u64>,
    /// Why; kept in the history
    #[arg(long, conflicts_with = "history")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The application
    app: String,
    /// COMPONENT.PROPERTY, e.g. web.replicas
    key: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
}

pub(super) async fn run(client: &Client, args: ConfigArgs, global: &Global) -> Result<Exit> {
    let path = format!("/api/v1/configurations/{}", in_path(&args.app));
    let level = [("level", args.level.clone())];
    if let Some(source) = &args.follow {
        return follow(client, &path, &args, source, global).await;
    }
    if args.unfollow {
        let mut address = format!("{path}/source?level={}", in_path(followed_level(&args)));
        if let Some(reason) = &args.reason {
            address.push_str(&format!("&reason={}", in_path(reason)));
        }
        client.delete(&address).await?;
        let done = format!("{} is followed no more. What holds now stays.", args.app);
        global.tell(&json!({"application": args.app, "followed": false}), done);
        return Ok(Exit::OK);
    }
    if args.history {
        let versions = client.get(&format!("{path}/history"), &level).await?;
        history(versions["items"].as_array().cloned().unwrap_or_default(), global);
        return Ok(Exit::OK);
    }
    if let Some(file) = &args.set {
        refuse_key_value(file)?;
        let document = document::read(file)?;
        if document.trim().is_empty() {
            bail!(Usage(format!("{} is empty: take the level away with --remove", file.display())));
        }
        put(client, &path, &args, &document, args.if_version, global).await?;
    } else if args.remove {
        put(client, &path, &args, "", args.if_version, global).await?;
    } else {
        let now = client.find(&path, &level).await?.unwrap_or_default();
        if args.edit {
            edit(client, &path, &args, &now, global).await?;
        } else {
            return Ok(show(&now, &args, global));
        }
    }
    Ok(Exit::OK)
}

/// `--set` takes a file, where others take `KEY=VALUE`.
fn refuse_key_value(file: &Path) -> Result<()> {
    let name = file.display().to_string();
    if name.contains('=') && !file.exists() {
        bail!(Usage(format!(
            "`{name}` is no file: --set takes an OAM Application (YAML), which says all of the level; change \
             one value with --edit"
        )));
    }
    Ok(())
}

fn where_it_holds(level: &str) -> String {
    if level.is_empty() { "everywhere".into() } else { format!("in {level}") }
}

async fn put(
    client: &Client,
    path: &str,
    args: &ConfigArgs,
    document: &str,
    if_version: Option<u64>,
    global: &Global,
) -> Result<()> {
    let mut body = json!({"level": args.level, "document": document});
    if let Some(version) = if_version {
        body["if_version"] = version.into();
    }
    if let Some(reason) = &args.reason {
        body["reason"] = reason.as_str().into();
    }
    let kept = client.put(path, &body).await?;
    let (app, place, version) = (&args.app, where_it_holds(&args.level), text(&kept["version"]));
    let done = if document.is_empty() { "nothing is configured" } else { "configured" };
    global.tell(
        &kept,
        format!("{app} {place}: {done}, version {version}. It holds from the next deployment on."),
    );
    tell_notes(&kept, global);
    Ok(())
}

/// How the server knows the level that is followed.
fn followed_level(args: &ConfigArgs) -> &str {
    if args.every_level { "*" } else { &args.level }
}

/// Follows, and tells what the first look came to: 1 if not all could be taken.
async fn follow(
    client: &Client,
    path: &str,
    args: &ConfigArgs,
    source: &str,
    global: &Global,
) -> Result<Exit> {
    let level = followed_level(args);
    let Some(file) = args.path.as_deref().or_else(|| args.every_level.then_some("")) else {
        bail!(Usage("say which file: --path FILE, or --every-level --path DIRECTORY".into()));
    };
    let mut body = json!({"level": level, "source": source, "path": file});
    for (key, value) in [("branch", &args.branch), ("reason", &args.reason)] {
        if let Some(value) = value {
            body[key] = value.as_str().into();
        }
    }
    let mut followed = client.put(&format!("{path}/source"), &body).await?;
    let end = Instant::now() + FIRST_LOOK_WITHIN;
    while followed["seen_at"].is_null() && followed["away"].is_null() && Instant::now() < end {
        tokio::time::sleep(LOOK_PAUSE).await;
        let now = client.get(path, &[("level", args.level.clone())]).await?;
        followed = now["follows"].clone();
    }
    global.tell(&followed, followed_line(&args.app, source, &followed));
    if !global.json() {
        tell_faults(&followed);
        tell_away(&followed);
    }
    Ok(Exit(u8::from(has_faults(&followed) || !followed["away"].is_null())))
}

/// What the first look came to, in one line: nothing holds that was not taken.
fn followed_line(app: &str, source: &str, followed: &Value) -> String {
    if !followed["away"].is_null() && !has_faults(followed) {
        return format!("{app} follows {source}, which does not answer.");
    }
    if followed["seen_at"].is_null() {
        return format!("{app} follows {source}. It was not looked at yet: slipway env config {app} -o json");
    }
    if has_faults(followed) {
        return format!("{app} follows {source}, and not all that is there could be taken.");
    }
    let commit = text(&followed["seen_commit"]);
    format!("{app} follows {source}, commit {commit}. It holds from the next deployment on.")
}

fn has_faults(followed: &Value) -> bool {
    followed["faults"].as_array().is_some_and(|faults| !faults.is_empty())
}

/// Says that a source does not answer, and when it is asked again.
fn tell_away(followed: &Value) {
    let away = &followed["away"];
    if !away.is_null() {
        let (since, next, why) = (ago(&away["since"]), text(&away["next_at"]), text(&away["why"]));
        say(format!(
            "{} does not answer, first {since}; it is asked again by {next}: {why}",
            text(&followed["source"])
        ));
    }
}

/// Says what a commit could not be taken for.
pub(in crate::command) fn tell_faults(followed: &Value) {
    let Some(faults) = followed["faults"].as_array().filter(|faults| !faults.is_empty()) else { return };
    let (source, branch) = (text(&followed["source"]), text(&followed["branch"]));
    let commit: String = text(&followed["seen_commit"]).chars().take(12).collect();
    say(format!("Not taken from {source}, {branch} at {commit}; what was there before holds:"));
    say_violations(&Value::Array(faults.clone()));
}

async fn edit(client: &Client, path: &str, args: &ConfigArgs, now: &Value, global: &Global) -> Result<()> {
    let version = now["version"].as_u64().unwrap_or(0);
    let before = match now["document"].as_str() {
        Some(document) if !document.is_empty() => document.to_owned(),
        _ => EMPTY.replace("APP", &args.app),
    };
    let file = tempfile::Builder::new().prefix("slipway-").suffix(".yaml").tempfile()?;
    std::fs::write(file.path(), &before).context("cannot write a file to edit")?;
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = editor.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".into());
    // Editors come with options (`code --wait`), so a shell takes the words apart.
    let ended = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "slipway"])
        .arg(file.path())
        .status()
        .with_context(|| format!("cannot start the editor `{editor}`: set EDITOR"))?;
    if !ended.success() {
        bail!("the editor `{editor}` failed; nothing was changed");
    }
    let after = document::read(file.path())?;
    if after == before {
        say("Nothing was changed.");
        return Ok(());
    }
    let document = if after.trim().is_empty() { "" } else { after.as_str() };
    let sent = put(client, path, args, document, Some(args.if_version.unwrap_or(version)), global).await;
    if sent.is_err() {
        // What somebody typed is not to be lost with the refusal.
        let (_, kept) = file.keep().context("cannot keep what was edited")?;
        say(format!("What you wrote is in {}: correct it and give it with --set.", kept.display()));
    }
    sent
}

fn show(now: &Value, args: &ConfigArgs, global: &Global) -> Exit {
    if global.json() {
        print_json(now);
        return Exit::OK;
    }
    let follows = &now["follows"];
    if !follows.is_null() {
        let (source, branch, path) =
            (text(&follows["source"]), text(&follows["branch"]), text(&follows["path"]));
        say(format!("Followed from `{path}` on {branch} of {source}."));
        tell_faults(follows);
        tell_away(follows);
    }
    let (app, place) = (&args.app, where_it_holds(&args.level));
    match now["document"].as_str() {
        Some(document) if !document.is_empty() => {
            let (by, at) = (text(&now["set_by"]), ago(&now["set_at"]));
            let from = match now["origin"]["commit"].as_str() {
                Some(commit) => format!(", {}@{commit}", text(&now["origin"]["path"])),
                None => String::new(),
            };
            say(format!("{app} {place}: version {}, {by}, {at}{from}", text(&now["version"])));
            bytes(document.as_bytes());
            if !document.ends_with('\n') {
                data("");
            }
        }
        _ => {
            let level =
                if args.level.is_empty() { String::new() } else { format!(" --level {}", args.level) };
            say(format!(
                "Nothing is configured for {app} {place}. Set it: slipway env config {app}{level} --edit"
            ));
        }
    }
    Exit::OK
}

fn history(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|c| {
            let digest: String = text(&c["digest"]).chars().take(19).collect();
            let removed = c["document"] == "";
            vec![
                text(&c["version"]),
                if removed { "removed".into() } else { digest },
                ago(&c["set_at"]),
                text(&c["set_by"]),
                text(&c["reason"]),
            ]
        })
        .collect();
    table(
        &["VERSION", "DIGEST", "SET", "BY", "REASON"],
        &cells,
        "Nothing was ever configured at this level.",
    );
}

pub(super) async fn explain(client: &Client, args: ExplainArgs, global: &Global) -> Result<()> {
    let path = format!("/api/v1/configurations/{}/explain", in_path(&args.app));
    let found = client.get(&path, &[("environment", args.env), ("key", args.key)]).await?;
    if global.json() {
        print_json(&found);
        return Ok(());
    }
    data(format!("{} = {}", text(&found["key"]), text(&found["value"])));
    let cells: Vec<_> = found["origins"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|o| {
            vec![
                text(&o["level"]),
                text(&o["value"]),
                text(&o["by"]),
                ago(&o["at"]),
                text(&o["version"]),
                place(&o["place"]),
            ]
        })
        .collect();
    table(&["LEVEL", "VALUE", "BY", "SET", "VERSION", "PLACE"], &cells, "No level sets it.");
    found["broken"].as_array().into_iter().flatten().for_each(tell_faults);
    Ok(())
}

/// A place in a file as `FILE:LINE:COLUMN`.
fn place(place: &Value) -> String {
    match serde_json::from_value::<slipway_types::Place>(place.clone()) {
        Ok(place) => place.to_string(),
        Err(_) => text(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_compilers_write_them() {
        assert_eq!(place(&json!({"file": "eu.yaml", "line": 3, "column": 7})), "eu.yaml:3:7");
        assert_eq!(place(&Value::Null), "-");
    }

    #[test]
    fn a_key_with_a_value_is_no_file() {
        let refused = refuse_key_value(Path::new("web.replicas=3")).unwrap_err().to_string();
        assert!(refused.contains("`web.replicas=3` is no file") && refused.contains("--edit"), "{refused}");
        assert!(refuse_key_value(Path::new("no-such-file.yaml")).is_ok());
    }

    #[test]
    fn only_what_was_taken_is_said_to_hold() {
        let taken = json!({"seen_at": "2026-01-01T00:00:00Z", "seen_commit": "abc", "faults": []});
        assert!(followed_line("shop", "ops", &taken).contains("It holds"));
        let mut broken = taken.clone();
        broken["faults"] = json!([{"code": "branch_missing"}]);
        let unseen = json!({"seen_at": null, "faults": []});
        let mut away = unseen.clone();
        away["away"] = json!({"since": "2026-01-01T00:00:00Z"});
        for other in [broken, unseen, away] {
            assert!(!followed_line("shop", "ops", &other).contains("It holds"), "{other}");
        }
    }

    #[test]
    fn what_an_editor_is_given_is_yaml() {
        assert!(document::Document::parse("e.yaml", &EMPTY.replace("APP", "shop")).is_ok());
    }
}
