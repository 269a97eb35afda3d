//! `slipway label`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::client::Usage;

#[derive(Debug, Subcommand)]
pub(crate) enum LabelCommand {
    /// Set a label on a bundle, or with --component on a package
    #[command(after_help = "Example: slipway label set shop 1.4.2 qa=passed --reason 'suite 812'")]
    Set {
        #[command(flatten)]
        on: On,
        /// KEY=VALUE
        label: String,
    },
    /// Remove a label
    #[command(after_help = "Example: slipway label remove shop 1.4.2 qa")]
    Remove {
        #[command(flatten)]
        on: On,
        /// The key
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct On {
    /// The application
    app: String,
    /// The version
    version: String,
    /// A package of this component instead of the bundle
    #[arg(long)]
    component: Option<String>,
    /// Why; kept in the history
    #[arg(long)]
    reason: Option<String>,
}

impl On {
    /// A label as it is now; `value` is null where it was removed.
    fn view(&self, key: &str, value: Option<&str>) -> Value {
        json!({
            "application": self.app,
            "version": self.version,
            "component": self.component,
            "key": key,
            "value": value,
        })
    }

    /// The version's address.
    fn version_path(&self) -> String {
        let (app, version) = (in_path(&self.app), in_path(&self.version));
        match &self.component {
            Some(component) => format!("/api/v1/packages/{app}/{}/{version}", in_path(component)),
            None => format!("/api/v1/bundles/{app}/{version}"),
        }
    }

    fn path(&self, key: &str) -> String {
        format!("{}/labels/{}", self.version_path(), in_path(key))
    }
}

pub(crate) async fn run(command: LabelCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        LabelCommand::Set { on, label } => {
            let Some((key, value)) = label.split_once('=') else {
                bail!(Usage(format!("`{label}` is not KEY=VALUE")));
            };
            client.put(&on.path(key), &json!({"value": value, "reason": on.reason})).await?;
            global.tell(&on.view(key, Some(value)), format!("{} {} has {label}.", on.app, on.version));
        }
        LabelCommand::Remove { on, key } => {
            let version = client.get(&on.version_path(), &[]).await?;
            if version["labels"][&key].is_null() {
                bail!("{} {} has no label {key}: nothing was changed", on.app, on.version);
            }
            let query = on.reason.as_ref().map_or(String::new(), |reason| {
                let mut pairs = url::form_urlencoded::Serializer::new(String::new());
                format!("?{}", pairs.append_pair("reason", reason).finish())
            });
            client.delete(&format!("{}{query}", on.path(&key))).await?;
            global.tell(&on.view(&key, None), format!("{} {} no longer has {key}.", on.app, on.version));
        }
    }
    Ok(Exit::OK)
}
