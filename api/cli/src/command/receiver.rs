//! `slipway receiver`: for those who write a receiver of their own.

use std::path::PathBuf;

use anyhow::{Result, bail};
use chrono::Utc;
use clap::{Args, Subcommand};
use slipway_handoff::http::SigningKey;
use slipway_handoff::{HttpOptions, HttpReceiver, Key, conformance, settings};
use slipway_network::Network;
use slipway_types::{Address, ApplicationName};

use super::{Exit, Global};
use crate::client::Usage;
use crate::output::{data, json as print_json, say};
use crate::secret_input;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiverCommand {
    /// Test whether an HTTP receiver keeps to the hand-off contract
    #[command(
        after_help = "It really submits: one ConfigMap, into the environment that is named, removed at the end where the\nreceiver can. Exit codes: 0 it keeps to it, 1 it does not.\nExample: slipway receiver conform https://core.example.com/slipway --key-file ./signing.key --environment eu/kind/probe"
    )]
    Conform(ConformArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConformArgs {
    /// Its base address
    url: String,
    /// The file with the key that signs; standard input if absent
    #[arg(long, alias = "key", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The name of that key
    #[arg(long, value_name = "ID", default_value = "k1")]
    key_id: String,
    /// The environment that submissions name: UNIT/CLUSTER/NAMESPACE[/STAGE]
    #[arg(long, value_name = "ADDRESS", default_value = "local/test/slipway-conformance")]
    environment: Address,
    /// The application that submissions name
    #[arg(long, default_value = "slipway-conformance")]
    app: ApplicationName,
    /// The first generation: more than any that the receiver knows; the present time if absent
    #[arg(long, value_parser = super::whole, allow_negative_numbers = true)]
    generation: Option<u64>,
    /// How long the first events may take, e.g. 30s
    #[arg(long, default_value = "30s", value_parser = super::run::duration, allow_hyphen_values = true)]
    event_timeout: std::time::Duration,
    /// Take an address without TLS
    #[arg(long)]
    allow_http: bool,
}

pub(crate) async fn run(command: ReceiverCommand, global: &Global) -> Result<Exit> {
    let ReceiverCommand::Conform(args) = command;
    let base = match settings::base_url(&args.url, args.allow_http) {
        Ok(base) => base,
        Err(why) => bail!(Usage(format!("{}: {why}", args.url))),
    };
    let secret: secrecy::SecretString = secret_input::read("signing key", args.key_file.as_deref())?.into();
    let key = SigningKey::new(args.key_id, &secret).map_err(|error| Usage(error.to_string()))?;
    let receiver = HttpReceiver::new(base, key, &Network::default(), HttpOptions::default())?;
    let now = u64::try_from(Utc::now().timestamp()).unwrap_or(1);
    let probed = Key { environment: args.environment, application: args.app };
    let mut options = conformance::Options::new(probed, args.generation.unwrap_or(now));
    options.event_timeout_ms = u64::try_from(args.event_timeout.as_millis()).unwrap_or(u64::MAX);
    say(format!("Testing {} as {} …", args.url, options.key));
    let report = conformance::run_http(&receiver, &options).await;
    if global.json() {
        print_json(&serde_json::to_value(&report)?);
    } else {
        data(report.to_string());
    }
    Ok(if report.passed() { Exit::OK } else { Exit(1) })
}
