//! `slipway deploy`, `slipway promote` and `slipway adopt`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::run::duration;
use super::{Exit, Global};
use crate::client::Client;
use crate::output::{ago, data, first_line, json as print_json, say, table, text};

mod adopt;
mod decide;
mod logs;
mod objects;
mod plan;
mod show;
mod target;
mod view;
mod wanted;
mod watch;

pub(crate) use adopt::{AdoptArgs, run as adopt};
use logs::LogArgs;
use objects::ObjectsArgs;
use target::Target;
use view::{cell_of, name_of};
use wanted::Wanted;
use watch::Watch;

#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// Say what a deployment would be and change: bundle, differences, violations, gates
    #[command(
        after_help = "Exit codes: 0 it can be deployed, 1 something stands against it, 2 wrong usage.\nExample: slipway deploy plan shop --env staging --branch main
         slipway deploy plan shop --env staging --objects -o json | jq .objects
         slipway deploy plan shop --env prod --rollback"
    )]
    Plan {
        #[command(flatten)]
        wanted: Wanted,
        /// What `slipway deploy rollback` would do instead
        #[arg(long, conflicts_with_all = ["bundle", "Choice", "file"])]
        rollback: bool,
        /// The generation to return to, else the last live one
        #[arg(long, value_name = "GENERATION", requires = "rollback", value_parser = super::whole, allow_negative_numbers = true)]
        to: Option<u64>,
        /// With the objects as they would be applied, one JSON document each; Secrets are references
        #[arg(long)]
        objects: bool,
    },
    /// Deploy a bundle into an environment, and watch until it arrived or waits at a gate
    #[command(
        after_help = "Without a choice the newest release is taken.\nExit codes: 0 arrived (or, with --no-wait, made), 1 rejected, declined or failed, 2 wrong usage,\n3 it waits at a gate or the wait expired, 4 withdrawn or superseded.\nExample: slipway deploy create shop --env staging --bundle 1.4.2"
    )]
    Create {
        #[command(flatten)]
        wanted: Wanted,
        /// Why; kept with the deployment
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        follow: Follow,
    },
    /// Approve exactly the revision that the deployment has now
    #[command(
        after_help = "Example: slipway deploy approve shop --env prod --reason 'tested by hand'\nExample: slipway deploy approve shop@prod#7"
    )]
    Approve {
        #[command(flatten)]
        target: Target,
        /// Only if its revision is still this one
        #[arg(long, value_name = "DIGEST")]
        revision: Option<String>,
        /// What you say of it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say no to a deployment that waits; it ends
    #[command(after_help = "Example: slipway deploy decline shop@prod --reason 'not before the fair'")]
    Decline {
        #[command(flatten)]
        target: Target,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take a deployment back that was not handed off
    #[command(after_help = "Example: slipway deploy withdraw shop@prod")]
    Withdraw {
        #[command(flatten)]
        target: Target,
    },
    /// Go past closed gates; everybody will know
    #[command(
        after_help = "Needs a token with that right: slipway token create NAME --role operator --break-glass\nExample: slipway deploy break-glass shop@prod --reason 'the checkout is down'"
    )]
    BreakGlass {
        #[command(flatten)]
        target: Target,
        /// Why; kept in the audit record
        #[arg(long)]
        reason: String,
    },
    /// List deployments, newest first
    #[command(after_help = "Example: slipway deploy list shop --env prod")]
    List {
        /// Of this application
        app: Option<String>,
        /// In this environment
        #[arg(long, value_name = "NAME")]
        env: Option<String>,
        /// In one of these states, separated by commas
        #[arg(long)]
        state: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
    /// Show one deployment: its gates, approvals, nodes and what stands against it
    #[command(after_help = "Example: slipway deploy show shop@prod")]
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Show how the objects of a deployment stand in its cluster now: health, age and newest events
    #[command(
        after_help = "The cluster is asked for it, by the rules by which the core waits for objects; nothing is stored.\nExample: slipway deploy objects shop@prod --node web
         slipway deploy objects shop@prod -o json | jq '.objects[] | select(.state != \"ready\")'"
    )]
    Objects(ObjectsArgs),
    /// Print what a container wrote before its node failed or timed out
    #[command(
        after_help = "Kept by receivers of type core: the last 500 lines, without values of secrets.\nExample: slipway deploy logs shop@prod --node web --container web --previous"
    )]
    Logs(LogArgs),
    /// Watch a deployment until it arrived or failed, through its gates
    #[command(
        after_help = "Exit codes: 0 arrived, 1 rejected, declined or failed, 2 wrong usage, 3 the wait expired, 4 withdrawn or superseded.\nExample: slipway deploy watch shop@prod --timeout 1h"
    )]
    Watch {
        #[command(flatten)]
        target: Target,
        /// How long to watch, e.g. 90s, 10m, 1h
        #[arg(long, default_value = "10m", value_parser = duration, allow_hyphen_values = true)]
        timeout: Duration,
    },
    /// Return at once to what was live before, past all gates, as a new generation
    #[command(
        after_help = "Nothing by itself moves the environment afterwards, until: slipway release APP --env ENV.\nExit codes as of `slipway deploy create`.\nExample: slipway deploy rollback shop --env prod --reason 'carts are empty'"
    )]
    Rollback {
        /// The application
        app: String,
        /// The environment
        #[arg(long, value_name = "NAME")]
        env: String,
        /// The generation to return to, else the last live one; one that was never live passes the gates
        #[arg(long, value_name = "GENERATION", value_parser = super::whole, allow_negative_numbers = true)]
        to: Option<u64>,
        /// Why; kept with the deployment
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        follow: Follow,
    },
    /// Deploy what runs again, with the configuration and the newest secrets of now
    #[command(
        after_help = "Exit codes as of `slipway deploy create`.\nExample: slipway deploy restart shop --env prod --reason 'the database password was rotated'"
    )]
    Restart {
        /// The application
        app: String,
        /// The environment
        #[arg(long, value_name = "NAME")]
        env: String,
        /// Why; kept with the deployment
        #[arg(long)]
        reason: String,
        /// Take the revision that runs as it is, with nothing moved but versions of secrets
        #[arg(long)]
        secrets_only: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// Take an application away from an environment, through its gates
    #[command(
        visible_alias = "delete",
        after_help = "Exit codes as of `slipway deploy create`; 0: it is gone, or the receiver `oci` was told.\nExample: slipway deploy remove shop --env staging --reason 'the fair is over' --yes"
    )]
    Remove {
        /// The application
        app: String,
        /// The environment
        #[arg(long, value_name = "NAME")]
        env: String,
        /// Why; kept with the deployment
        #[arg(long)]
        reason: String,
        /// Really do it: everything of the application there is deleted, with its data
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// Hold a deployment where it stands, if its receiver can
    #[command(after_help = "Example: slipway deploy suspend shop@prod --reason 'the database is slow'")]
    Suspend {
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Let a deployment that is held go on
    #[command(after_help = "Example: slipway deploy resume shop@prod --node web")]
    Resume {
        #[command(flatten)]
        order: OrderArgs,
        /// Only the hold of this node; where several people must approve it, one approval of it
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Let a canary or a blue-green that is held take the place of what runs
    #[command(
        after_help = "The same as resuming the stop behind it; where several people must approve that, one approval of it.\nExample: slipway deploy promote shop@prod --reason 'no more errors than before'"
    )]
    Promote {
        #[command(flatten)]
        order: OrderArgs,
        /// The stop behind it, where several are held
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Stop a deployment that is on its way, and return at once to what was live before it
    #[command(
        after_help = "One order: the server does the rest. As after a rollback nothing by itself moves the environment, until: slipway release APP --env ENV.\nExit codes as of `slipway deploy create`.\nExample: slipway deploy abort shop@prod --reason 'too many errors' --yes"
    )]
    Abort {
        #[command(flatten)]
        target: Target,
        /// Why; kept with the rollback
        #[arg(long)]
        reason: String,
        /// Really do it: what is done of it is taken back
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// Try again what failed, timed out or was stopped, if the receiver can
    #[command(after_help = "Example: slipway deploy retry shop@prod --node web")]
    Retry {
        #[command(flatten)]
        order: OrderArgs,
        /// Only from this node on
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Stop a deployment where it stands, half done as it may be
    #[command(after_help = "Example: slipway deploy terminate shop@prod --reason 'wrong region' --yes")]
    Terminate {
        #[command(flatten)]
        order: OrderArgs,
        /// Really do it: what is done stays, what is not done is left out
        #[arg(long)]
        yes: bool,
    },
}

/// A word to the receiver of a deployment.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    target: Target,
    /// Why; kept in the audit record
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The application
    app: String,
    /// The environment that runs it
    #[arg(long, value_name = "NAME")]
    from: String,
    /// The environment that is to run it
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Configuration for this deployment alone: an OAM Application (YAML); `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why; kept with the deployment
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    follow: Follow,
}

/// Whether a new deployment is watched.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Do not watch it
    #[arg(long)]
    no_wait: bool,
    /// How long to watch, e.g. 90s, 10m, 1h
    #[arg(long, default_value = "10m", value_parser = duration, allow_hyphen_values = true, conflicts_with = "no_wait")]
    timeout: Duration,
}

pub(crate) async fn run(command: DeployCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        DeployCommand::Plan { wanted, rollback, to, objects } => {
            let asked = plan::Asked { rollback, to, objects };
            return plan::run(&client, &wanted, asked, global).await;
        }
        DeployCommand::Create { wanted, reason, follow } => {
            let mut body = wanted.body()?;
            put_reason(&mut body, reason);
            return create(&client, &body, &follow, global).await;
        }
        DeployCommand::Approve { target, revision, reason } => {
            decide::approve(&client, &target, revision.as_deref(), reason, global).await?;
        }
        DeployCommand::Decline { target, reason } => {
            decide::decline(&client, &target, reason, global).await?;
        }
        DeployCommand::Withdraw { target } => decide::withdraw(&client, &target, global).await?,
        DeployCommand::BreakGlass { target, reason } => {
            decide::break_glass(&client, &target, &reason, global).await?;
        }
        DeployCommand::List { app, env, state, limit } => {
            let given = [("application", app), ("environment", env), ("state", state)];
            let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            list(client.list("/api/v1/deployments", &query, limit).await?, global);
        }
        DeployCommand::Show { target } => show::run(&client, &target, global).await?,
        DeployCommand::Logs(args) => logs::run(&client, &args, global).await?,
        DeployCommand::Objects(args) => objects::run(&client, &args, global).await?,
        DeployCommand::Watch { target, timeout } => {
            let id = target.id(&client).await?;
            return Watch { timeout, through_gates: true }.run(&client, &id, global).await;
        }
        DeployCommand::Rollback { app, env, to, reason, follow } => {
            let mut body = json!({"application": app, "environment": env, "reason": reason});
            put_rollback(&mut body, to);
            return create(&client, &body, &follow, global).await;
        }
        DeployCommand::Restart { app, env, reason, secrets_only, follow } => {
            let mut body = json!({"application": app, "environment": env, "restart": true, "reason": reason});
            // An older server does not know the word.
            if secrets_only {
                body["secrets_only"] = true.into();
            }
            return create(&client, &body, &follow, global).await;
        }
        DeployCommand::Remove { app, env, reason, yes, follow } => {
            super::confirmed(yes, &format!("everything of {app} in {env} would be deleted"))?;
            let body = json!({"application": app, "environment": env, "remove": true, "reason": reason});
            return create(&client, &body, &follow, global).await;
        }
        DeployCommand::Suspend { order } => {
            decide::order(&client, &order.target, "suspend", None, order.reason, global).await?;
        }
        DeployCommand::Resume { order, node } => {
            decide::order(&client, &order.target, "resume", node, order.reason, global).await?;
        }
        DeployCommand::Promote { order, node } => {
            decide::order(&client, &order.target, "promote", node, order.reason, global).await?;
        }
        DeployCommand::Abort { target, reason, yes, follow } => {
            super::confirmed(yes, "the deployment would stop, and what was live before it would come back")?;
            let path = format!("/api/v1/deployments/{}/abort", target.id(&client).await?);
            return create_at(&client, &path, &json!({"reason": reason}), &follow, global).await;
        }
        DeployCommand::Retry { order, node } => {
            decide::order(&client, &order.target, "retry", node, order.reason, global).await?;
        }
        DeployCommand::Terminate { order, yes } => {
            super::confirmed(yes, "the deployment would stop where it stands")?;
            decide::order(&client, &order.target, "terminate", None, order.reason, global).await?;
        }
    }
    Ok(Exit::OK)
}

pub(crate) async fn promote(args: PromoteArgs, global: &Global) -> Result<Exit> {
    let mut body = json!({"application": args.app, "environment": args.to, "promote_from": args.from});
    if let Some(file) = &args.file {
        body["document"] = super::document::read(file)?.into();
    }
    put_reason(&mut body, args.reason);
    create(&global.client()?, &body, &args.follow, global).await
}

fn put_reason(body: &mut Value, reason: Option<String>) {
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
}

/// Asks for the last live revision, or for that of a generation.
fn put_rollback(body: &mut Value, to: Option<u64>) {
    match to {
        Some(to) => body["rollback_to"] = to.into(),
        None => body["rollback"] = true.into(),
    }
}

async fn create(client: &Client, body: &Value, follow: &Follow, global: &Global) -> Result<Exit> {
    create_at(client, "/api/v1/deployments", body, follow, global).await
}

async fn create_at(
    client: &Client,
    path: &str,
    body: &Value,
    follow: &Follow,
    global: &Global,
) -> Result<Exit> {
    let made = client.post(path, body).await?;
    if !follow.no_wait {
        say(format!("{} {} by {}", name_of(&made), text(&made["bundle"]), text(&made["created_by"])));
        let watch = Watch { timeout: follow.timeout, through_gates: false };
        return watch.run(client, &text(&made["id"]), global).await;
    }
    if global.json() {
        print_json(&made);
    } else {
        data(format!("{} {} {}", name_of(&made), text(&made["bundle"]), text(&made["state"])));
        say(format!("Follow it: slipway deploy watch {}", name_of(&made)));
    }
    Ok(Exit::OK)
}

fn list(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|d| {
            vec![
                cell_of(d),
                text(&d["bundle"]),
                text(&d["state"]),
                text(&d["cause"]),
                text(&d["created_by"]),
                ago(&d["created_at"]),
                first_line(&d["reason"]),
            ]
        })
        .collect();
    let empty = "No deployment yet. Make one: slipway deploy create APP --env ENVIRONMENT";
    table(&["DEPLOYMENT", "BUNDLE", "STATE", "CAUSE", "BY", "MADE", "REASON"], &cells, empty);
}
