//! `slipway demo`: the whole way on this machine, with the real `git` client and a real server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::command::Exit;
use crate::config;
use crate::output::{data, say, text};
use crate::serve::{self, Running};

mod bars;
mod repository;
mod sample;

use bars::Bars;
use repository::Repository;

/// How long one push may take to become a bundle.
const BUNDLE_WITHIN: Duration = Duration::from_mins(5);
/// Where the demonstration listens, if nothing else does.
const LISTEN: &str = "127.0.0.1:7300";

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Stop after the second bundle; exit code 0 only if all of it worked
    #[arg(long)]
    once: bool,
    /// Directory of everything the demonstration keeps
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) async fn run(args: DemoArgs) -> Result<Exit> {
    let directory = args.data.map_or_else(default_directory, Ok)?;
    say("Slipway's demonstration: a push becomes images, packages and a bundle, all on this machine.");
    say(format!(
        "Everything it keeps is in {}; remove that directory to be rid of it.\n",
        directory.display()
    ));
    let running = start(&directory).await?;
    let shown = show(&running, &directory).await;
    let (name, summaries) = match shown {
        Ok(shown) => shown,
        Err(error) => {
            drop(running.stop().await);
            return Err(error);
        }
    };
    farewell(&running, &directory, &name, args.once);
    for summary in &summaries {
        data(summary);
    }
    if args.once {
        running.stop().await?;
    } else {
        say("\nServing until Ctrl-C.");
        running.until_stopped().await?;
    }
    Ok(Exit::OK)
}

fn default_directory() -> Result<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    Ok(data
        .context("neither XDG_DATA_HOME nor HOME is set: name a directory with --data")?
        .join("slipway-demo"))
}

async fn start(directory: &Path) -> Result<Running> {
    let listen = if std::net::TcpListener::bind(LISTEN).is_ok() { LISTEN } else { "127.0.0.1:0" };
    let flags = vec![
        ("server.data", toml::Value::String(directory.join("server").display().to_string())),
        ("server.listen", toml::Value::String(listen.to_owned())),
        ("log.level", toml::Value::String("warn".to_owned())),
    ];
    let layered =
        config::load(None, std::env::vars().filter(|(name, _)| name == "SLIPWAY__LOG__LEVEL"), flags)?;
    serve::log_to_stderr(&layered.config)?;
    let running = serve::start(layered.config).await?;
    say(format!("A server listens on {}.", running.config.public_url()));
    Ok(running)
}

/// Pushes twice; gives the application's name and one line for each bundle.
async fn show(running: &Running, directory: &Path) -> Result<(String, [String; 2])> {
    let token_file = running.config.server.data.join("admin.token");
    let token = std::fs::read_to_string(&token_file)
        .with_context(|| format!("cannot read {}", token_file.display()))?
        .trim()
        .to_owned();
    let client = Client::connect(&running.config.public_url(), Some(token.clone().into()))?;
    let (name, git_url) = create_application(&client).await?;
    say(format!("Made the application {name}; its git remote is {git_url}\n"));

    let repository = Repository::create(&directory.join("work").join(&name), &git_url, &token)?;
    sample::write(repository.path(), &name)?;
    let first = push(&client, &repository, &name, "Add the shop").await?;
    describe(&first);

    sample::change(repository.path())?;
    let second = push(&client, &repository, &name, "Say good morning").await?;
    describe(&second);
    check(&first, &second)?;
    Ok((name, [summary(&first), summary(&second)]))
}

/// A new application under the first name that is free.
async fn create_application(client: &Client) -> Result<(String, String)> {
    for number in 1..1000 {
        let name = if number == 1 { "shop".to_owned() } else { format!("shop-{number}") };
        match client.post("/api/v1/applications", &json!({"name": name})).await {
            Ok(made) => return Ok((name, text(&made["git_url"]))),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
    }
    bail!("a thousand demonstrations are enough: remove the data directory")
}

fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<crate::client::Problem>().is_some_and(|problem| problem.status == 409)
}

/// Commits and pushes; returns the bundle.
async fn push(client: &Client, repository: &Repository, name: &str, message: &str) -> Result<Value> {
    let commit = repository.commit(message)?;
    say(format!("$ git commit -m \"{message}\" && git push   # {}", &commit[..8]));
    let began = Instant::now();
    let mut pushing = repository.push()?;
    let run = wait_for_run(client, name, &commit).await;
    let run = match run {
        Ok(run) => follow(client, &run).await,
        Err(error) => Err(error),
    };
    pushing.finish()?;
    let run = run?;
    if run["state"] != "done" {
        let hint = run["fault"]["hint"].as_str().unwrap_or_default();
        bail!("the run ended as {}: {} {hint}", text(&run["state"]), text(&run["reason"]));
    }
    let version = text(&run["version"]);
    let bundle = client.get(&format!("/api/v1/bundles/{name}/{version}"), &[]).await?;
    say(format!("From push to bundle in {} ms.", began.elapsed().as_millis()));
    Ok(bundle)
}

async fn wait_for_run(client: &Client, name: &str, commit: &str) -> Result<String> {
    let deadline = Instant::now() + BUNDLE_WITHIN;
    while Instant::now() < deadline {
        let query = [("application", name.to_owned()), ("commit", commit.to_owned())];
        if let Some(run) = client.list("/api/v1/runs", &query, 1).await?.pop() {
            return Ok(text(&run["id"]));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("no run of commit {commit} appeared within {} s", BUNDLE_WITHIN.as_secs())
}

async fn follow(client: &Client, id: &str) -> Result<Value> {
    let deadline = Instant::now() + BUNDLE_WITHIN;
    let mut bars = Bars::new();
    loop {
        let run = client.get(&format!("/api/v1/runs/{id}"), &[]).await?;
        bars.show(&run);
        let live = ["queued", "planning", "building", "packaging", "cancelling"];
        if !live.contains(&run["state"].as_str().unwrap_or_default()) {
            bars.end();
            return Ok(run);
        }
        if Instant::now() > deadline {
            bail!("the run has not ended within {} s: slipway run show {id}", BUNDLE_WITHIN.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
}

fn describe(bundle: &Value) {
    say(format!(
        "Bundle {} {}  {}",
        text(&bundle["application"]),
        text(&bundle["version"]),
        text(&bundle["digest"])
    ));
    for package in packages(bundle) {
        let how = if package["reused"] == true { "reused" } else { "new   " };
        say(format!(
            "  {how} {:<8} {:<16} {}  {}",
            text(&package["component"]),
            text(&package["version"]),
            text(&package["digest"]),
            text(&package["kit"])
        ));
        for image in package["images"].as_array().into_iter().flatten() {
            say(format!("         image {}", text(image)));
        }
    }
    say("");
}

fn packages(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["packages"].as_array().into_iter().flatten()
}

fn new_ones(bundle: &Value) -> Vec<String> {
    packages(bundle)
        .filter(|package| package["reused"] == false)
        .map(|package| text(&package["component"]))
        .collect()
}

fn check(first: &Value, second: &Value) -> Result<()> {
    let new = new_ones(second);
    if new != ["web"] {
        bail!("the second bundle should have one new package, web; it has {}", new.join(", "));
    }
    if first["version"] == second["version"] || first["digest"] == second["digest"] {
        bail!("the second bundle should be another than the first");
    }
    Ok(())
}

fn summary(bundle: &Value) -> String {
    let (all, new) = (packages(bundle).count(), new_ones(bundle));
    let reused = all - new.len();
    format!(
        "bundle {} {}  {all} packages: {} new ({}), {reused} reused",
        text(&bundle["application"]),
        text(&bundle["version"]),
        new.len(),
        new.join(", ")
    )
}

/// What to try next; `ends`: the server does not go on.
fn farewell(running: &Running, directory: &Path, name: &str, ends: bool) {
    let server = running.config.public_url();
    if ends {
        let data = directory.display();
        say(format!("The server ends here. One on the same data: slipway serve --data {data}/server"));
    }
    let token = running.config.server.data.join("admin.token");
    say(format!("The server: {server}"));
    say("Try next:");
    say(format!("  slipway login {server} --token-file {}", token.display()));
    say(format!("  slipway bundle list --app {name}"));
    say(format!(
        "  cd {} && $EDITOR web/site/index.html && git commit -am more && git push\n",
        directory.join("work").join(name).display()
    ));
}
