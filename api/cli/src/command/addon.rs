//! `slipway addon`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::document::Document;
use super::waiting::{NOT_ENDED, WaitArgs, Waiting};
use super::{Exit, Global, in_path};
use crate::client::{Client, Usage};
use crate::output::{ago, data, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum AddonCommand {
    /// Make an add-on, or change its properties or version, and wait until it is ready
    #[command(
        after_help = "Exit codes: 0 it is ready, 1 it failed, 3 the wait ran out.\nExample: slipway addon apply orders --definition redis --env data --set memory=1gb\nExample: slipway addon apply network --definition terraform --env data --properties network.yaml"
    )]
    Apply(ApplyArgs),
    /// List add-ons
    #[command(after_help = "Example: slipway addon list")]
    List,
    /// Show an add-on: state, outputs, and who is bound to it
    #[command(after_help = "Example: slipway addon show orders")]
    Show {
        /// The add-on
        name: String,
    },
    /// Bind an application in an environment: it gets the outputs and an account of its own
    #[command(
        after_help = "Components name outputs by addon://NAME/OUTPUT; with --as all components with pods get them as variables.\nExample: slipway addon bind orders shop --env prod --as DB"
    )]
    Bind(BindArgs),
    /// End a binding: its account loses its way in
    #[command(after_help = "Example: slipway addon unbind orders shop --env prod")]
    Unbind(UnbindArgs),
    /// Keep an add-on from being released, or let it go
    #[command(after_help = "Example: slipway addon protect orders --off")]
    Protect {
        /// The add-on
        name: String,
        /// Let it go
        #[arg(long)]
        off: bool,
    },
    /// Take an add-on away with its data; refused while anybody is bound to it or it is protected
    #[command(
        after_help = "What its definition runs at a release runs first, and nothing goes before it has come to its end.\nExit codes: 0 it is gone, 1 it failed, 3 the wait ran out.\nExample: slipway addon release orders --yes"
    )]
    Release(ReleaseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Its name
    name: String,
    /// What makes it, with or without a version: redis, redis@1.2.0; needed for a new one
    #[arg(long, value_name = "NAME[@VERSION]")]
    definition: Option<String>,
    /// The environment that it lies in; needed for a new one
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// The team that it belongs to
    #[arg(long)]
    team: Option<String>,
    /// Who answers for it; who applies it, if absent
    #[arg(long)]
    owner: Option<String>,
    /// Its properties as YAML; `-`: standard input
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// One property; may be given several times, over those of the file
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BindArgs {
    /// The add-on
    name: String,
    /// The application
    app: String,
    /// The environment that the application is deployed to
    #[arg(long, value_name = "NAME")]
    env: String,
    /// Give all its components with pods the outputs as variables PREFIX_OUTPUT
    #[arg(long = "as", value_name = "PREFIX")]
    prefix: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnbindArgs {
    /// The add-on
    name: String,
    /// The application
    app: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The add-on
    name: String,
    /// Mean it
    #[arg(long)]
    yes: bool,
    /// Leave out what its definition runs before: what that would have taken away stays. For administrators
    #[arg(long)]
    without_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(command: AddonCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        AddonCommand::Apply(args) => return apply(&client, args, global).await,
        AddonCommand::List => list(&client, global).await?,
        AddonCommand::Show { name } => tell(&client.get(&path(&name), &[]).await?, global),
        AddonCommand::Bind(args) => return bind(&client, args, global).await,
        AddonCommand::Unbind(args) => {
            let addon = client.delete(&binding_path(&args.name, &args.app, &args.env)).await?;
            say(format!("{} in {} is not bound to {} any more.", args.app, args.env, args.name));
            return settled(&client, &addon, &args.wait, global).await;
        }
        AddonCommand::Protect { name, off } => {
            let path = format!("{}/protection", path(&name));
            let addon = client.put(&path, &json!({"protected": !off})).await?;
            let line = if off { format!("{name} may be released.") } else { format!("{name} is protected.") };
            global.tell(&addon, line);
        }
        AddonCommand::Release(args) => return release(&client, args, global).await,
    }
    Ok(Exit::OK)
}

fn path(name: &str) -> String {
    format!("/api/v1/addons/{}", in_path(name))
}

fn binding_path(name: &str, app: &str, env: &str) -> String {
    format!("{}/bindings/{}/{}", path(name), in_path(env), in_path(app))
}

/// The properties that a command gives: those of the file, and single ones over them.
fn properties(file: Option<Value>, set: &[(String, String)]) -> Result<Option<Value>> {
    if file.is_none() && set.is_empty() {
        return Ok(None);
    }
    let Value::Object(mut fields) = file.unwrap_or_else(|| json!({})) else {
        bail!(Usage("the properties must be a mapping of fields".into()));
    };
    for (key, given) in set {
        // What reads as JSON is that: numbers, true and false, lists; anything else is text.
        let value = serde_json::from_str(given).unwrap_or_else(|_| Value::String(given.clone()));
        fields.insert(key.clone(), value);
    }
    Ok(Some(Value::Object(fields)))
}

async fn apply(client: &Client, args: ApplyArgs, global: &Global) -> Result<Exit> {
    let file = args.properties.as_deref().map(Document::open).transpose()?;
    let mut body = json!({});
    if let Some(definition) = &args.definition {
        let (name, version) = match definition.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (definition.as_str(), None),
        };
        body["definition"] = name.into();
        if let Some(version) = version {
            body["version"] = version.into();
        }
    }
    for (key, given) in [("environment", args.env), ("team", args.team), ("owner", args.owner)] {
        if let Some(given) = given {
            body[key] = given.into();
        }
    }
    let from_file = file.map(|document| document.root.to_json());
    let known = match (&from_file, args.set.is_empty()) {
        // Single properties go over what it has.
        (None, false) => client.find(&path(&args.name), &[]).await?.map(|known| known["properties"].clone()),
        _ => None,
    };
    if let Some(properties) = properties(from_file.or(known), &args.set)? {
        body["properties"] = properties;
    }
    let addon = client.put(&path(&args.name), &body).await?;
    settled(client, &addon, &args.wait, global).await
}

async fn bind(client: &Client, args: BindArgs, global: &Global) -> Result<Exit> {
    let body = json!({"prefix": args.prefix});
    let addon = client.put(&binding_path(&args.name, &args.app, &args.env), &body).await?;
    let exit = settled(client, &addon, &args.wait, global).await?;
    if exit.0 == Exit::OK.0 {
        let (name, app, env) = (&args.name, &args.app, &args.env);
        say(format!("{app} in {env} is bound to {name}, and has its outputs from its next deployment on."));
    }
    Ok(exit)
}

async fn release(client: &Client, args: ReleaseArgs, global: &Global) -> Result<Exit> {
    let name = &args.name;
    super::confirmed(args.yes, &format!("the add-on {name} and its data would be gone"))?;
    let query = if args.without_run { "?without_run=true" } else { "" };
    let addon = client.delete(&format!("{}{query}", path(name))).await?;
    if args.wait.no_wait {
        tell(&addon, global);
        return Ok(Exit::OK);
    }
    let waiting = Waiting::new(client, args.wait.timeout, format!("slipway addon show {name}"));
    let path = path(name);
    loop {
        let Some(addon) = waiting.ask(|| client.find(&path, &[])).await? else {
            let gone = json!({"name": name, "state": "released"});
            global.tell(&gone, format!("The add-on {name} is gone."));
            return Ok(Exit::OK);
        };
        if has_failed(&addon) {
            tell(&addon, global);
            return Ok(Exit(1));
        }
        if waiting.is_over() {
            say(format!("It is not gone yet. Look again: slipway addon show {name}"));
            tell(&addon, global);
            return Ok(NOT_ENDED);
        }
        waiting.pause().await;
    }
}

/// Whether nothing more happens by itself. What is degraded may yet become ready.
fn has_failed(addon: &Value) -> bool {
    matches!(addon["state"].as_str(), Some("failed" | "release_failed"))
}

/// Waits until an add-on is ready or failed, and shows it.
async fn settled(client: &Client, addon: &Value, wait: &WaitArgs, global: &Global) -> Result<Exit> {
    if wait.no_wait {
        tell(addon, global);
        return Ok(Exit::OK);
    }
    let name = text(&addon["name"]);
    let waiting = Waiting::new(client, wait.timeout, format!("slipway addon show {name}"));
    let path = path(&name);
    let mut addon = addon.clone();
    let mut said = String::new();
    loop {
        if addon["state"] == "ready" || has_failed(&addon) {
            tell(&addon, global);
            return Ok(if addon["state"] == "ready" { Exit::OK } else { Exit(1) });
        }
        let state = state_of(&addon);
        if state != said {
            say(format!("{name} {state}"));
            said = state;
        }
        if waiting.is_over() {
            say(format!("It is not ready yet. Look again: slipway addon show {name}"));
            tell(&addon, global);
            return Ok(NOT_ENDED);
        }
        waiting.pause().await;
        addon = waiting.ask(|| client.get(&path, &[])).await?;
    }
}

fn state_of(addon: &Value) -> String {
    match addon["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", text(&addon["state"])),
        None => text(&addon["state"]),
    }
}

async fn list(client: &Client, global: &Global) -> Result<()> {
    let rows = client.whole("/api/v1/addons", &[]).await?;
    if global.json() {
        print_json(&Value::Array(rows));
        return Ok(());
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|addon| {
            let bound = addon["bindings"].as_array().map_or(0, Vec::len);
            vec![
                text(&addon["name"]),
                format!("{}@{}", text(&addon["definition"]), text(&addon["version"])),
                text(&addon["environment"]),
                text(&addon["owner"]),
                bound.to_string(),
                if addon["protected"] == true { "yes".into() } else { "-".into() },
                state_of(addon),
            ]
        })
        .collect();
    let empty = "No add-on yet. Make one: slipway addon apply NAME --definition redis --env ENVIRONMENT";
    table(&["NAME", "DEFINITION", "ENVIRONMENT", "OWNER", "BOUND", "PROTECTED", "STATE"], &cells, empty);
    Ok(())
}

fn tell(addon: &Value, global: &Global) {
    if global.json() {
        return print_json(addon);
    }
    let name = text(&addon["name"]);
    data(format!("name         {name}"));
    data(format!("definition   {}@{}", text(&addon["definition"]), text(&addon["version"])));
    data(format!("environment  {} ({})", text(&addon["environment"]), text(&addon["address"])));
    data(format!("owner        {} of team {}", text(&addon["owner"]), text(&addon["team"])));
    data(format!("changed      {}, {}", text(&addon["changed_by"]), ago(&addon["changed_at"])));
    data(format!("protected    {}", if addon["protected"] == true { "yes" } else { "no" }));
    data(format!("state        {}", state_of(addon)));
    tell_failure(&addon["failure"]);
    for (output, value) in addon["outputs"].as_object().into_iter().flatten() {
        data(format!("output       addon://{name}/{output}  {}", text(value)));
    }
    for secret in addon["secrets"].as_array().into_iter().flatten() {
        data(format!("output       addon://{name}/{}  (a secret of each binding)", text(secret)));
    }
    for binding in addon["bindings"].as_array().into_iter().flatten() {
        let prefix = binding["prefix"].as_str().map(|prefix| format!(", variables {prefix}_…"));
        data(format!(
            "bound        {} in {} as {}{}",
            text(&binding["application"]),
            text(&binding["environment"]),
            text(&binding["account"]),
            prefix.unwrap_or_default()
        ));
    }
}

/// What was found when something of it failed: which node, and the end of what its containers wrote.
fn tell_failure(failure: &Value) {
    let Some(node) = failure["node"].as_str() else { return };
    data(format!("failed       {node}, {}: {}", ago(&failure["at"]), text(&failure["found"]["blocker"])));
    for line in failure["log"].as_str().unwrap_or_default().lines() {
        data(format!("log          {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_degraded_is_waited_for() {
        for (state, failed) in
            [("degraded", false), ("releasing", false), ("failed", true), ("release_failed", true)]
        {
            assert_eq!(has_failed(&json!({"state": state})), failed, "{state}");
        }
    }

    #[test]
    fn single_properties_go_over_those_of_the_file() {
        let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(properties(None, &[]).unwrap(), None);
        let file = json!({"memory": "1gb", "replicas": 1});
        let given = properties(Some(file), &set(&[("replicas", "2"), ("memory", "2gb"), ("tls", "true")]));
        assert_eq!(given.unwrap(), Some(json!({"memory": "2gb", "replicas": 2, "tls": true})));
        assert!(properties(Some(json!([1])), &[]).is_err());
    }

    #[test]
    fn names_in_addresses_are_escaped() {
        assert_eq!(
            binding_path("orders", "commerce/shop", "prod"),
            "/api/v1/addons/orders/bindings/prod/commerce%2Fshop"
        );
    }
}
