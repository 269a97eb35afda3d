//! `slipway env`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::place::tell_kept;
use super::{Exit, Global, in_path};
use crate::client::{Client, Usage};
use crate::output::{ago, data, json as print_json, say, table, text};

mod configuration;
mod settings;

pub(super) use configuration::tell_faults;
use configuration::{ConfigArgs, ExplainArgs};
use settings::{SettingFlags, Written};

#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// Describe an environment
    #[command(
        after_help = "FILE holds settings, or a whole document of kind Environment with name and address.\nExample: slipway env create prod --address eu/kind/shop --upstream staging --approvals 2"
    )]
    Create(CreateArgs),
    /// Change an environment's settings
    #[command(
        after_help = "A file takes the place of all settings; the other options change one thing each.\nExample: slipway env set staging --follow-branch main"
    )]
    Set(SetArgs),
    /// List environments
    #[command(after_help = "Example: slipway env list")]
    List,
    /// Show one environment with its settings
    #[command(after_help = "Example: slipway env show prod")]
    Show {
        /// The environment
        name: String,
    },
    /// Forget an environment where nothing is deployed or waits to be
    #[command(after_help = "Example: slipway env remove prod --yes")]
    Remove {
        /// The environment
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
    /// Show or set what operators configure for an application, by level of the address
    #[command(
        after_help = "Example: slipway env config shop\nExample: slipway env config shop --level eu/kind --set shop-eu.yaml --reason 'more memory'"
    )]
    Config(ConfigArgs),
    /// Say where a setting of a component comes from: each level, its author and time
    #[command(after_help = "Example: slipway env explain shop web.replicas --env prod")]
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name; may stand in FILE instead
    name: Option<String>,
    /// Where it is: UNIT/CLUSTER/NAMESPACE[/STAGE]; may stand in FILE instead
    #[arg(long)]
    address: Option<String>,
    /// Its settings as YAML; `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: SettingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The environment; may stand in FILE instead
    name: Option<String>,
    /// Its settings as YAML; `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: SettingFlags,
}

pub(crate) async fn run(command: EnvironmentCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        EnvironmentCommand::Create(args) => create(&client, args, global).await?,
        EnvironmentCommand::Set(args) => set(&client, args, global).await?,
        EnvironmentCommand::List => list(client.whole("/api/v1/environments", &[]).await?, global),
        EnvironmentCommand::Show { name } => {
            let environment = client.get(&path(&name), &[]).await?;
            if global.json() {
                print_json(&environment);
            } else {
                show(&environment);
                tell_kept(&client, None, &name).await?;
            }
        }
        EnvironmentCommand::Remove { name, yes } => {
            super::confirmed(yes, &format!("the environment {name} would be forgotten"))?;
            let left = client.delete(&path(&name)).await?;
            let told = json!({"name": name, "removed": true, "secrets_left": left["secrets_left"]});
            global.tell(&told, format!("Environment {name} is forgotten."));
            super::secret::tell_left(&left);
        }
        EnvironmentCommand::Config(args) => return configuration::run(&client, args, global).await,
        EnvironmentCommand::Explain(args) => configuration::explain(&client, args, global).await?,
    }
    Ok(Exit::OK)
}

/// Where the second part of an address comes from.
const CLUSTERS: &str = "`slipway cluster list` names the clusters, `slipway cluster add NAME --kubeconfig-file FILE` registers one";

fn path(name: &str) -> String {
    format!("/api/v1/environments/{}", in_path(name))
}

/// The name that is given, in the file or before it.
fn named(name: Option<String>, written: &Written) -> Result<String> {
    match (name, &written.name) {
        (Some(name), Some(other)) if name != *other => {
            bail!(Usage(format!("the file describes the environment `{other}`, not `{name}`")))
        }
        (Some(name), _) => Ok(name),
        (None, Some(name)) => Ok(name.clone()),
        (None, None) => bail!(Usage("name the environment: slipway env … NAME".into())),
    }
}

async fn create(client: &Client, args: CreateArgs, global: &Global) -> Result<()> {
    let written = Written::open(args.file.as_deref())?.unwrap_or_default();
    let name = named(args.name, &written)?;
    let address = match (args.address, written.address) {
        (Some(given), Some(other)) if given != other => {
            bail!(Usage(format!("the file says the address {other}, --address says {given}")))
        }
        (given, other) => given.or(other).ok_or_else(|| {
            Usage(format!("say where it is: --address UNIT/CLUSTER/NAMESPACE[/STAGE]; {CLUSTERS}"))
        })?,
    };
    if let Err(error) = address.parse::<slipway_types::Address>() {
        bail!(Usage(format!("{error}; {CLUSTERS}")));
    }
    if client.find(&path(&name), &[]).await?.is_some() {
        bail!(Usage(format!("the environment {name} exists: change it with `slipway env set {name}`")));
    }
    let mut settings = written.settings;
    args.flags.apply(&mut settings)?;
    let made = client.put(&path(&name), &json!({"address": address, "settings": settings})).await?;
    if global.json() {
        print_json(&made);
    } else {
        show(&made);
        super::tell_notes(&made, global);
        say(format!("Next: slipway deploy plan APP --env {name}"));
    }
    Ok(())
}

async fn set(client: &Client, args: SetArgs, global: &Global) -> Result<()> {
    let written = Written::open(args.file.as_deref())?;
    let name = named(args.name, written.as_ref().unwrap_or(&Written::default()))?;
    if written.is_none() && args.flags.is_empty() {
        bail!(Usage("say what to set: --file FILE, or an option of `slipway env set --help`".into()));
    }
    let known = client.get(&path(&name), &[]).await?;
    let mut settings = known["settings"].clone();
    if let Some(written) = written {
        if written.address.as_ref().is_some_and(|address| known["address"] != with_stage(address).as_str()) {
            bail!(Usage(format!(
                "{name} is at {}, and an address never changes: describe another environment instead",
                text(&known["address"])
            )));
        }
        settings = written.settings;
    }
    args.flags.apply(&mut settings)?;
    // Somebody else's change in between is not to be lost.
    let body = json!({"settings": settings, "if_revision": known["revision"]});
    let changed = client.put(&path(&name), &body).await?;
    if global.json() {
        print_json(&changed);
    } else {
        show(&changed);
        super::tell_notes(&changed, global);
    }
    Ok(())
}

/// An address with its stage written out, as servers show it.
fn with_stage(address: &str) -> String {
    address
        .parse::<slipway_types::Address>()
        .map_or_else(|_| address.to_owned(), |address| address.to_string())
}

fn list(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|e| {
            let settings = &e["settings"];
            vec![
                text(&e["name"]),
                text(&e["address"]),
                text(&settings["upstream"]),
                text(&settings["receiver"]["type"]),
                gates(&settings["gates"]),
                follows(&settings["follow"]),
            ]
        })
        .collect();
    let empty = "No environment yet. Describe one: slipway env create NAME --address UNIT/CLUSTER/NAMESPACE";
    table(&["NAME", "ADDRESS", "UPSTREAM", "RECEIVER", "GATES", "FOLLOWS"], &cells, empty);
}

/// The names of the gates that are set.
fn gates(gates: &Value) -> String {
    let set: Vec<&str> = gates.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if set.is_empty() { "-".into() } else { set.join(", ") }
}

fn follows(follow: &Value) -> String {
    let parts = ["channel", "branch", "selector", "range", "from"].into_iter();
    let given: Vec<_> = parts
        .filter(|key| !follow[key].is_null())
        .map(|key| format!("{key} {}", text(&follow[key])))
        .collect();
    if given.is_empty() { "-".into() } else { given.join(", ") }
}

fn show(environment: &Value) {
    data(format!("name        {}", text(&environment["name"])));
    data(format!("address     {}", text(&environment["address"])));
    let (by, at) = (text(&environment["changed_by"]), ago(&environment["changed_at"]));
    data(format!("changed     {by}, {at} (revision {})", text(&environment["revision"])));
    let mut lines = Vec::new();
    settings::flatten("", &environment["settings"], &mut lines);
    let width = lines.iter().map(|(path, _)| path.len() + 2).max().unwrap_or(0).max(12);
    for (path, value) in lines {
        data(format!("{path:<width$}{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_in_one_place() {
        let written = |name: Option<&str>| Written { name: name.map(str::to_owned), ..Written::default() };
        assert_eq!(named(Some("prod".into()), &written(None)).unwrap(), "prod");
        assert_eq!(named(None, &written(Some("prod"))).unwrap(), "prod");
        assert!(named(Some("prod".into()), &written(Some("test"))).is_err());
        assert!(named(None, &written(None)).is_err());
    }

    #[test]
    fn addresses_are_compared_with_their_stage() {
        assert_eq!(with_stage("eu/kind/shop"), "eu/kind/shop/default");
        assert_eq!(with_stage("eu/kind/shop/canary"), "eu/kind/shop/canary");
    }
}
