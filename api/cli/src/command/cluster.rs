//! `slipway cluster`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Exit, Global, in_path};
use crate::client::{Client, Usage};
use crate::output::{ago, data, json as print_json, say, table, text};
use crate::secret_input;

/// What to do about a file that holds no kubeconfig.
const UNREADABLE: &str = "no kubeconfig: give a file that you may read with --kubeconfig-file, such as one that \
                          `kubectl config view --raw --minify --flatten` writes";

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Register a cluster, or change labels, context and sensing of one
    #[command(
        after_help = "Without a kubeconfig the cluster is the one that the server runs in.\nExample: slipway cluster add kind --kubeconfig-file ~/.kube/config --label region=eu"
    )]
    Add(AddArgs),
    /// Look at a cluster: does it answer, and what may Slipway not do there
    #[command(
        after_help = "Exit codes: 0 all is well, 1 something is not.\nExample: slipway cluster check kind"
    )]
    Check {
        /// The cluster
        name: String,
    },
    /// List clusters
    #[command(after_help = "Example: slipway cluster list")]
    List,
    /// Show one cluster
    #[command(after_help = "Example: slipway cluster show kind")]
    Show {
        /// The cluster
        name: String,
    },
    /// Let nothing new go to a cluster; what runs there stays
    #[command(
        after_help = "Approved deployments wait, at most expireAfterHours of their environment; then their gates are asked again.\nExample: slipway cluster cordon kind --reason 'upgrade to 1.34'"
    )]
    Cordon {
        /// The cluster
        name: String,
        /// Why; shown to everybody who deploys there
        #[arg(long)]
        reason: String,
    },
    /// Let deployments go to a cluster again
    #[command(after_help = "Example: slipway cluster uncordon kind")]
    Uncordon {
        /// The cluster
        name: String,
    },
    /// Reach the same cluster with another kubeconfig
    #[command(
        after_help = "The old credential is kept until the new one is seen to work.\nExample: slipway cluster rotate-credentials kind --kubeconfig-file ./new.kubeconfig"
    )]
    RotateCredentials {
        /// The cluster
        name: String,
        #[command(flatten)]
        access: Access,
    },
    /// Let a name stand for another cluster: everything is deployed there anew
    #[command(
        after_help = "Example: slipway cluster replace kind --kubeconfig-file ./other.kubeconfig --yes"
    )]
    Replace {
        /// The cluster
        name: String,
        #[command(flatten)]
        access: Access,
        /// Really
        #[arg(long)]
        yes: bool,
    },
    /// Forget a cluster that no environment lies in
    #[command(after_help = "Example: slipway cluster remove kind --yes")]
    Remove {
        /// The cluster
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its name, the second part of addresses
    name: String,
    #[command(flatten)]
    access: Access,
    /// A label that policies choose clusters by; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_value)]
    label: Vec<(String, String)>,
    /// How the built-in core hears what changes there: at once by a watch of each kind, or by asking every 5 seconds to
    /// 5 minutes, for clusters that are very many or behind what ends long answers; as before if absent, and watch at first
    #[arg(long, value_parser = ["watch", "pull"])]
    sensing: Option<String>,
}

/// How a cluster is reached.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Its kubeconfig as secret://…
    #[arg(long, value_name = "REF", conflicts_with = "kubeconfig_file")]
    kubeconfig: Option<String>,
    /// Its kubeconfig as a file, which is kept as the built-in secret kubeconfig/NAME
    #[arg(long, value_name = "FILE")]
    kubeconfig_file: Option<PathBuf>,
    /// Context of the kubeconfig; its current one if absent
    #[arg(long)]
    context: Option<String>,
}

pub(crate) async fn run(command: ClusterCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        ClusterCommand::Add(args) => add(&client, args, global).await?,
        ClusterCommand::Check { name } => return check(&client, &name, global).await,
        ClusterCommand::List => list(client.whole("/api/v1/clusters", &[]).await?, global),
        ClusterCommand::Show { name } => {
            let cluster = client.get(&path(&name), &[]).await?;
            if global.json() { print_json(&cluster) } else { show(&cluster) }
        }
        ClusterCommand::Cordon { name, reason } => {
            let cordoned = client.put(&format!("{}/cordon", path(&name)), &json!({"reason": reason})).await?;
            let line = format!("Nothing new goes to {name}. Undo it: slipway cluster uncordon {name}");
            global.tell(&cordoned, line);
        }
        ClusterCommand::Uncordon { name } => {
            let cluster = client.delete(&format!("{}/cordon", path(&name))).await?;
            global.tell(&cluster, format!("Deployments go to {name} again."));
        }
        ClusterCommand::RotateCredentials { name, access } => {
            access.needed()?;
            let known = known(&client, &name).await?;
            let cluster = put(&client, &name, &access, settings(&known, &access), false).await?;
            global.tell(&cluster, format!("{name} is reached by {}.", text(&cluster["kubeconfig"])));
            super::tell_notes(&cluster, global);
        }
        ClusterCommand::Replace { name, access, yes } => {
            access.needed()?;
            let known = known(&client, &name).await?;
            let cost = format!("{name} would no longer be the cluster {}", text(&known["uid"]));
            super::confirmed(yes, &cost)?;
            let mut settings = settings(&known, &access);
            settings["context"] = access.context.clone().into();
            let cluster = put(&client, &name, &access, settings, true).await?;
            let uid = text(&cluster["uid"]);
            global.tell(
                &cluster,
                format!("{name} is the cluster {uid} now: deploy into it what belongs there."),
            );
            super::tell_notes(&cluster, global);
        }
        ClusterCommand::Remove { name, yes } => {
            super::confirmed(yes, &format!("the cluster {name} would be forgotten"))?;
            client.delete(&path(&name)).await?;
            let removed = json!({"name": name, "removed": true});
            global.tell(&removed, format!("Cluster {name} is forgotten; what runs there stays."));
        }
    }
    Ok(Exit::OK)
}

fn path(name: &str) -> String {
    format!("/api/v1/clusters/{}", in_path(name))
}

async fn known(client: &Client, name: &str) -> Result<Value> {
    client.get(&path(name), &[]).await
}

async fn add(client: &Client, args: AddArgs, global: &Global) -> Result<()> {
    let known = client.find(&path(&args.name), &[]).await?;
    let is_new = known.is_none();
    let mut settings = settings(&known.unwrap_or_default(), &args.access);
    for (key, value) in args.label {
        settings["labels"][key] = value.into();
    }
    settings["sensing"] = args.sensing.into();
    let cluster = put(client, &args.name, &args.access, settings, false).await?;
    if global.json() {
        print_json(&cluster);
        return Ok(());
    }
    show(&cluster);
    super::tell_notes(&cluster, global);
    if is_new {
        say(format!(
            "Next: slipway cluster check {name}, then slipway env create NAME --address UNIT/{name}/NAMESPACE",
            name = args.name
        ));
    }
    Ok(())
}

/// The settings of a cluster that is known, with another context if one is given.
fn settings(known: &Value, access: &Access) -> Value {
    let mut labels = Map::new();
    labels.extend(known["labels"].as_object().cloned().into_iter().flatten());
    let context = access.context.clone().map_or_else(|| known["context"].clone(), Value::String);
    json!({"kubeconfig": known["kubeconfig"], "context": context, "labels": labels})
}

impl Access {
    fn needed(&self) -> Result<()> {
        if self.kubeconfig.is_none() && self.kubeconfig_file.is_none() {
            bail!(Usage(
                "give the new kubeconfig with --kubeconfig secret://… or --kubeconfig-file FILE".into()
            ));
        }
        Ok(())
    }
}

/// Registers with `settings`, the kubeconfig exchanged if one is given.
async fn put(
    client: &Client,
    name: &str,
    access: &Access,
    mut settings: Value,
    replace: bool,
) -> Result<Value> {
    let before = settings["kubeconfig"].as_str().map(str::to_owned);
    let mut stored = None;
    if let Some(reference) = &access.kubeconfig {
        if !reference.starts_with("secret://") {
            bail!(Usage(format!("`{reference}` is no secret reference: give a file with --kubeconfig-file")));
        }
        settings["kubeconfig"] = reference.as_str().into();
    } else if let Some(file) = &access.kubeconfig_file {
        let secret = free_secret(name, before.as_deref());
        let value = secret_input::read("kubeconfig", Some(file)).context(UNREADABLE)?;
        let row = client.put(&secret_path(&secret), &json!({"value": value})).await?;
        settings["kubeconfig"] = row["reference"].clone();
        stored = Some(secret);
    }
    if replace {
        settings["replace"] = true.into();
    }
    if let Value::Object(fields) = &mut settings {
        fields.retain(|_, value| !value.is_null());
    }
    let answer = client.put(&path(name), &settings).await;
    // What is not in use any more, or never came into use, is not kept.
    let leftover = match &answer {
        Ok(_) => own_secrets(name).into_iter().find(|own| {
            before.as_deref() == Some(&reference(own)) && settings["kubeconfig"] != reference(own).as_str()
        }),
        Err(_) => stored,
    };
    if let Some(leftover) = leftover
        && let Err(error) = client.delete(&secret_path(&leftover)).await
    {
        say(format!("note: the secret {leftover} is not needed and could not be removed: {error}"));
    }
    answer
}

/// The two built-in secrets that a cluster's kubeconfig is kept under in turn.
fn own_secrets(name: &str) -> [String; 2] {
    [format!("kubeconfig/{name}"), format!("kubeconfig/{name}/2")]
}

/// The one that is not in use: what works stays until the new one is seen to work.
fn free_secret(name: &str, in_use: Option<&str>) -> String {
    let [first, second] = own_secrets(name);
    if in_use == Some(&reference(&first)) { second } else { first }
}

fn reference(secret: &str) -> String {
    format!("secret://builtin/{secret}")
}

fn secret_path(secret: &str) -> String {
    format!("/api/v1/secrets/{}", in_path(secret))
}

async fn check(client: &Client, name: &str, global: &Global) -> Result<Exit> {
    let found = client.post(&format!("{}/check", path(name)), &json!({})).await?;
    let findings = found["findings"].as_array().cloned().unwrap_or_default();
    let is_well = findings.iter().all(|finding| finding["ok"] == true);
    if global.json() {
        print_json(&found);
    } else {
        let cells: Vec<_> = findings
            .iter()
            .map(|f| {
                let ok = if f["ok"] == true { "ok" } else { "wrong" };
                vec![text(&f["check"]), ok.to_owned(), text(&f["detail"])]
            })
            .collect();
        table(&["CHECK", "", "DETAIL"], &cells, "Nothing was checked.");
    }
    Ok(if is_well { Exit::OK } else { Exit(1) })
}

fn list(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|c| {
            vec![
                text(&c["name"]),
                text(&c["version"]),
                text(&c["nodes"]),
                joined(&c["platforms"]),
                pairs(&c["labels"]),
                if c["cordoned"].is_null() {
                    "-".into()
                } else {
                    format!("cordoned: {}", text(&c["cordoned"]))
                },
            ]
        })
        .collect();
    let empty = "No cluster yet. Register one: slipway cluster add NAME --kubeconfig-file FILE";
    table(&["NAME", "KUBERNETES", "NODES", "PLATFORMS", "LABELS", "STATE"], &cells, empty);
}

fn show(cluster: &Value) {
    for key in ["name", "uid", "kubeconfig", "context", "version", "nodes", "sensing"] {
        data(format!("{key:<12}{}", text(&cluster[key])));
    }
    data(format!("{:<12}{}", "platforms", joined(&cluster["platforms"])));
    data(format!("{:<12}{}", "kinds", text(&cluster["apis"])));
    data(format!("{:<12}{}", "labels", pairs(&cluster["labels"])));
    if !cluster["cordoned"].is_null() {
        data(format!("{:<12}{}", "cordoned", text(&cluster["cordoned"])));
    }
    data(format!("{:<12}{}, {}", "registered", text(&cluster["created_by"]), ago(&cluster["created_at"])));
}

fn joined(list: &Value) -> String {
    let items: Vec<_> = list.as_array().into_iter().flatten().map(text).collect();
    if items.is_empty() { "-".into() } else { items.join(", ") }
}

fn pairs(map: &Value) -> String {
    let items = map.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value)));
    let items: Vec<_> = items.collect();
    if items.is_empty() { "-".into() } else { items.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_kubeconfig_never_overwrites_the_one_in_use() {
        assert_eq!(free_secret("kind", None), "kubeconfig/kind");
        assert_eq!(free_secret("kind", Some("secret://file/etc/kubeconfig")), "kubeconfig/kind");
        assert_eq!(free_secret("kind", Some("secret://builtin/kubeconfig/kind")), "kubeconfig/kind/2");
        assert_eq!(free_secret("kind", Some("secret://builtin/kubeconfig/kind/2")), "kubeconfig/kind");
    }

    #[test]
    fn what_is_not_given_stays() {
        let access = |context: Option<&str>| Access {
            kubeconfig: None,
            kubeconfig_file: None,
            context: context.map(str::to_owned),
        };
        let known =
            json!({"kubeconfig": "secret://env/K", "context": "a", "labels": {"region": "eu"}, "nodes": 1});
        let kept = json!({"kubeconfig": "secret://env/K", "context": "a", "labels": {"region": "eu"}});
        assert_eq!(settings(&known, &access(None)), kept);
        assert_eq!(settings(&known, &access(Some("b")))["context"], "b");
        assert_eq!(settings(&Value::Null, &access(None))["labels"], json!({}));
    }
}
