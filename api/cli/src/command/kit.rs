//! `slipway kit`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{Exit, Global, in_path};
use crate::output::{data, json as print_json, one_line, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum KitCommand {
    /// List the build kits that components may name
    #[command(after_help = "Example: slipway kit list")]
    List,
    /// Show one build kit with what `with` of a component may say
    #[command(
        after_help = "Example: slipway kit show dockerfile\nExample: slipway kit show dockerfile -o json | jq .schema\nExample: slipway kit show dockerfile -o json | jq -r .example"
    )]
    Show {
        /// Its name
        kit: String,
    },
}

pub(crate) async fn run(command: KitCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        KitCommand::List => list(client.whole("/api/v1/kits", &[]).await?, global),
        KitCommand::Show { kit } => {
            show(&client.get(&format!("/api/v1/kits/{}", in_path(&kit)), &[]).await?, global);
        }
    }
    Ok(Exit::OK)
}

fn list(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let row = |kit: &Value| {
        let mut cells: Vec<String> = ["name", "version"].map(|key| text(&kit[key])).into();
        cells.extend([origin(kit), verbs(kit), text(&kit["description"])]);
        cells
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    table(&["NAME", "VERSION", "FROM", "MAY DO", "DESCRIPTION"], &rows, "The server has no build kit.");
}

fn origin(kit: &Value) -> String {
    if kit["origin"] == "builtin" { "built in".to_owned() } else { text(&kit["origin"]) }
}

fn verbs(kit: &Value) -> String {
    let verbs: Vec<String> = kit["verbs"].as_array().into_iter().flatten().map(text).collect();
    verbs.join(", ")
}

fn show(kit: &Value, global: &Global) {
    if global.json() {
        return print_json(kit);
    }
    for key in ["name", "version", "description"] {
        data(format!("{key:<13}{}", one_line(&text(&kit[key]))));
    }
    data(format!("{:<13}{}", "from", origin(kit)));
    data(format!("{:<13}{}", "may do", verbs(kit)));
    for line in options(&kit["schema"]) {
        data(line);
    }
}

/// What a component may say in `with`, in lines.
fn options(schema: &Value) -> Vec<String> {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let members = schema["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, option)| {
            let kind = text(&option["type"]);
            let need = if is_required(name) { ", required" } else { "" };
            one_line(&format!("{:<13}{name} ({kind}{need}): {}", "with", text(&option["description"])))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_told_in_a_line_each() {
        let schema = json!({"required": ["path"], "properties": {
            "path": {"type": "string", "description": "Where\nit is."},
            "values": {"type": "array"},
        }});
        let expected =
            ["with         path (string, required): Where it is.", "with         values (array): -"];
        assert_eq!(options(&schema), expected);
        assert!(options(&json!({})).is_empty());
    }
}
