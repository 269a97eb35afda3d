//! `slipway config`.

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;

use super::{ConfigFile, Exit, Global};
use crate::config::{self, Mistakes};
use crate::output::{data, json as print_json};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration that a server would use
    #[command(
        after_help = "All mistakes are told at once, each with its file and line or its variable.\nExit codes: 0 it is valid, 1 it is not, 2 wrong usage, such as no such file.\nExample: slipway config check --config slipway.toml\nExample: slipway config check -o json"
    )]
    Check(ConfigFile),
    /// Show every value and where it comes from
    #[command(after_help = "Example: slipway config show --config slipway.toml")]
    Show(ConfigFile),
}

pub(crate) async fn run(command: ConfigCommand, global: &Global) -> Result<Exit> {
    match command {
        ConfigCommand::Check(file) => {
            let mistakes = mistakes(&file).await?;
            if mistakes.is_empty() {
                global.tell(&json!({"valid": true}), "The configuration is valid.");
            } else if global.json() {
                print_json(&json!({"valid": false, "mistakes": mistakes}));
                return Ok(Exit(1));
            } else {
                bail!(mistakes);
            }
        }
        ConfigCommand::Show(file) => {
            let layered = config::load(file.config.as_deref(), std::env::vars(), vec![])?;
            let values = toml::Table::try_from(&layered.config)?;
            if global.json() {
                print_json(&json!({"values": values, "origins": layered.origins.of}));
                return Ok(Exit::OK);
            }
            for (section, keys) in &values {
                data(format!("[{section}]"));
                for (key, value) in keys.as_table().into_iter().flatten() {
                    let origin =
                        layered.origins.of.get(&format!("{section}.{key}")).map_or("default", String::as_str);
                    data(format!("{:<44}# {origin}", format!("{key} = {value}")));
                }
                data("");
            }
        }
    }
    Ok(Exit::OK)
}

/// All that is wrong with the configuration that a server would use.
async fn mistakes(file: &ConfigFile) -> Result<Mistakes> {
    let read = config::read(file.config.as_deref(), std::env::vars(), vec![]);
    let (layered, mut mistakes) = match read {
        Ok(read) => read,
        // What is no TOML says nothing else.
        Err(error) => return error.downcast::<Mistakes>(),
    };
    crate::serve::check(&layered.config, &mut mistakes).await;
    mistakes.place(&layered.origins);
    Ok(mistakes)
}
