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
mod deployed;
mod kubeconfig;
mod program;
mod reach;
mod repository;
mod sample;

use bars::Bars;
use deployed::Deployed;
use reach::{DeployArgs, Reached};
use repository::Repository;
use sample::Purpose;

/// How long one push may take to become a bundle.
const BUNDLE_WITHIN: Duration = Duration::from_mins(5);
/// Where the demonstration listens, if nothing else does.
const LISTEN: &str = "127.0.0.1:7300";

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Stop when all is shown, with nothing left deployed; exit code 0 only if all of it worked
    #[arg(long)]
    once: bool,
    /// Directory of everything the demonstration keeps
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    deploy: DeployArgs,
}

pub(crate) async fn run(args: DemoArgs) -> Result<Exit> {
    let directory = args.data.map_or_else(default_directory, Ok)?;
    let reached = args.deploy.reach().await?;
    say("Slipway's demonstration: a push becomes images, packages and a bundle, all on this machine.");
    say(format!(
        "Everything it keeps is in {}; remove that directory to be rid of it.\n",
        directory.display()
    ));
    let running = start(&directory, reached.as_ref()).await?;
    let showing =
        Showing { running: &running, directory: &directory, reached: reached.as_ref(), once: args.once };
    let outcome = showing.show().await;
    let (name, lines) = match outcome {
        Ok(done) => done,
        Err(error) => {
            drop(running.stop().await);
            return Err(error);
        }
    };
    if args.once {
        say(shown(&name, &running.config.server.data, reached.is_some()));
        lines.iter().for_each(data);
        running.stop().await?;
    } else {
        try_next(&running, &directory, &name);
        lines.iter().for_each(data);
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

async fn start(directory: &Path, reached: Option<&Reached>) -> Result<Running> {
    let word = |word: &str| toml::Value::String(word.to_owned());
    let mut flags: config::Flags = vec![
        ("server.data", word(&directory.join("server").display().to_string())),
        ("log.level", word("warn")),
    ];
    if let Some(listen) = reached.and_then(|reached| reached.listen) {
        flags.push(("server.listen", word(&listen.to_string())));
        flags.push(("server.public_url", word(&format!("http://{listen}"))));
    } else {
        let is_free = std::net::TcpListener::bind(LISTEN).is_ok();
        flags.push(("server.listen", word(if is_free { LISTEN } else { "127.0.0.1:0" })));
    }
    if let Some(registry) = reached.and_then(|reached| reached.pull_registry.as_ref()) {
        flags.push(("registries.allow_private_hosts", toml::Value::Array(vec![word(&registry.host)])));
    }
    let layered =
        config::load(None, std::env::vars().filter(|(name, _)| name == "SLIPWAY__LOG__LEVEL"), flags)?;
    serve::log_to_stderr(&layered.config)?;
    let running = serve::start(layered.config).await?;
    say(format!("A server listens on {}.", running.config.public_url()));
    Ok(running)
}

/// What is shown, and on what.
struct Showing<'a> {
    running: &'a Running,
    directory: &'a Path,
    /// The cluster, if it is deployed.
    reached: Option<&'a Reached>,
    once: bool,
}

impl Showing<'_> {
    /// Pushes twice, and deploys if that was asked for; gives the application's name and a line for each thing
    /// that was done.
    async fn show(&self) -> Result<(String, Vec<String>)> {
        let token = token(self.running)?;
        let client = Client::connect(&self.running.config.public_url(), Some(token.clone().into()))?;
        let (name, git_url) = create_application(&client).await?;
        say(format!("Made the application {name}; its git remote is {git_url}\n"));
        let mut deployed = match self.reached {
            Some(reached) => Some(Deployed::prepare(&client, reached, &name).await?),
            None => None,
        };
        let built = Purpose::Built;
        let purpose = self.reached.map_or(&built, |reached| &reached.purpose);
        let [hello, morning] = sample::GREETINGS;

        let repository = Repository::create(&self.directory.join("work").join(&name), &git_url, &token)?;
        sample::write(repository.path(), &name, purpose)?;
        let first = push(&client, &repository, &name, "Add the shop").await?;
        describe(&first);
        let generation = match &mut deployed {
            Some(deployed) => Some(deployed.deploy(&text(&first["version"]), hello).await?),
            None => None,
        };

        sample::change(repository.path(), purpose)?;
        let second = push(&client, &repository, &name, "Say good morning").await?;
        describe(&second);
        check(&first, &second, purpose.changed())?;
        let mut lines = vec![summary(&first), summary(&second)];
        if let (Some(mut deployed), Some(generation)) = (deployed, generation) {
            deployed.deploy(&text(&second["version"]), morning).await?;
            deployed.roll_back(generation, &text(&first["version"]), hello).await?;
            if self.once {
                deployed.remove().await?;
            }
            lines.extend(deployed.end(!self.once));
        }
        Ok((name, lines))
    }
}

fn token(running: &Running) -> Result<String> {
    let file = running.config.server.data.join("admin.token");
    let token = std::fs::read_to_string(&file);
    Ok(token.with_context(|| format!("cannot read {}", file.display()))?.trim().to_owned())
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

fn check(first: &Value, second: &Value, expected: &[&str]) -> Result<()> {
    let mut new = new_ones(second);
    new.sort();
    if new != expected {
        bail!("the second bundle should be new in {}; it is in {}", expected.join(", "), new.join(", "));
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

/// What was shown, where nothing of it goes on.
fn shown(name: &str, data: &Path, was_deployed: bool) -> String {
    let then = if was_deployed {
        "; it was deployed, deployed again, rolled back and taken away"
    } else {
        ". Nothing was deployed; with --deploy it is"
    };
    format!(
        "Shown: two pushes of {name} became two bundles{then}.\nThe server ends here and nothing goes on running. \
         What was made is kept: slipway serve --data {}\n",
        data.display()
    )
}

/// What to try next on the server that goes on.
fn try_next(running: &Running, directory: &Path, name: &str) {
    let server = running.config.public_url();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_names_what_was_shown_and_nothing_to_try() {
        for (was_deployed, part) in [(true, "rolled back and taken away"), (false, "Nothing was deployed")] {
            let told = shown("shop", Path::new("/tmp/demo/server"), was_deployed);
            assert!(told.contains(part) && told.contains("slipway serve --data /tmp/demo/server"), "{told}");
            assert!(!told.contains("Try next"), "{told}");
        }
    }
}
