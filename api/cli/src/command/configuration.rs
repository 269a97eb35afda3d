//! `slipway config`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::{ConfigFile, Exit, Global};
use crate::config;
use crate::output::{data, json as print_json};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration that a server would use
    #[command(after_help = "Example: slipway config check --config slipway.toml")]
    Check(ConfigFile),
    /// Show every value and where it comes from
    #[command(after_help = "Example: slipway config show --config slipway.toml")]
    Show(ConfigFile),
}

pub(crate) async fn run(command: ConfigCommand, global: &Global) -> Result<Exit> {
    match command {
        ConfigCommand::Check(file) => {
            let layered = config::load(file.config.as_deref(), std::env::vars(), vec![])?;
            crate::serve::check(&layered.config).await?;
            global.tell(&json!({"valid": true}), "The configuration is valid.");
        }
        ConfigCommand::Show(file) => {
            let layered = config::load(file.config.as_deref(), std::env::vars(), vec![])?;
            let values = toml::Table::try_from(&layered.config)?;
            if global.json() {
                print_json(&json!({"values": values, "origins": layered.origins}));
                return Ok(Exit::OK);
            }
            for (section, keys) in &values {
                data(format!("[{section}]"));
                for (key, value) in keys.as_table().into_iter().flatten() {
                    let origin =
                        layered.origins.get(&format!("{section}.{key}")).map_or("default", String::as_str);
                    data(format!("{:<44}# {origin}", format!("{key} = {value}")));
                }
                data("");
            }
        }
    }
    Ok(Exit::OK)
}
