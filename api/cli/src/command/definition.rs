//! `slipway definition`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use slipway_definitions::DefinitionKind;
use slipway_types::Violation;
use slipway_types::name::DefinitionName;

use super::{Exit, Global, in_path};
use crate::client::{Client, Usage};
use crate::output::{data, json as print_json, one_line, say, table, text, violation};

mod local;
mod push;
mod served;

#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionCommand {
    /// List the definitions that the server has
    #[command(after_help = "Example: slipway definition list --kind trait")]
    List {
        /// Only of this kind: component, trait, policy, step or addon
        #[arg(long)]
        kind: Option<DefinitionKind>,
    },
    /// Show one definition with its properties
    #[command(
        after_help = "Example: slipway definition show hpa\nExample: slipway definition show trait hpa@1.0.0 --files"
    )]
    Show(ShowArgs),
    /// Write a small definition that works, to begin with
    #[command(after_help = "Example: slipway definition new trait graceful")]
    New {
        /// component, trait, policy, step or addon
        kind: DefinitionKind,
        /// Its name
        name: DefinitionName,
        /// The directory to write; its name if absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Run a definition's examples on this machine, in the same cage as the server
    #[command(
        after_help = "Exit codes: 0 all passed, 1 some failed or there is none.\nExample: slipway definition test ./graceful"
    )]
    Test {
        /// The definition's directory
        dir: PathBuf,
    },
    /// Show what a definition returns for some properties, on this machine
    #[command(after_help = "Example: slipway definition try ./graceful --properties mine.yaml")]
    Try(TryArgs),
    /// Check a definition and push it to a registry, the server's own if none is named
    #[command(
        after_help = "Exit codes: 0 it is there, 1 it is refused.\nExample: slipway definition push ./graceful\nExample: slipway definition push ./graceful registry.example.com/sre/graceful --user robot --password-file ./password"
    )]
    Push(push::PushArgs),
    /// Install a definition from a registry: it is pulled, checked, and offered to new plans
    #[command(
        after_help = "Traits and policies need the role operator, component types and steps admin.\nExample: slipway definition install registry.example.com/sre/graceful:1.0.0"
    )]
    Install(served::InstallArgs),
    /// Offer an installed definition to new plans again
    #[command(after_help = "Example: slipway definition enable trait graceful@1.0.0")]
    Enable(served::WhichArgs),
    /// Keep an installed definition from new plans; what runs stays
    #[command(after_help = "Example: slipway definition disable trait graceful@1.0.0")]
    Disable(served::WhichArgs),
    /// Remove an installed definition that nothing uses
    #[command(after_help = "Example: slipway definition uninstall trait graceful@1.0.0 --yes")]
    Uninstall(served::UninstallArgs),
    /// Show or change the major versions that an application keeps to
    #[command(
        after_help = "Example: slipway definition hold shop\nExample: slipway definition hold shop trait/graceful --major 2"
    )]
    Hold(served::HoldArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// NAME, NAME@VERSION, or either after its kind
    #[arg(required = true, num_args = 1..=2, value_name = "[KIND] NAME")]
    names: Vec<String>,
    /// Its kind, where several have that name
    #[arg(long)]
    kind: Option<DefinitionKind>,
    /// Print its files too
    #[arg(long)]
    files: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The definition's directory
    dir: PathBuf,
    /// What it is given (YAML); `-`: standard input; nothing if absent
    #[arg(long, value_name = "FILE")]
    properties: Option<PathBuf>,
    /// Changes of the test context (YAML), as `ctx` in examples
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
}

pub(crate) async fn run(command: DefinitionCommand, global: &Global) -> Result<Exit> {
    match command {
        DefinitionCommand::List { kind } => list(&global.client()?, kind, global).await?,
        DefinitionCommand::Show(args) => show(&global.client()?, &args, global).await?,
        DefinitionCommand::New { kind, name, dir } => local::new(kind, &name, dir, global)?,
        DefinitionCommand::Test { dir } => return local::test(&dir, global).await,
        DefinitionCommand::Try(args) => {
            return local::attempt(&args.dir, args.properties.as_deref(), args.context.as_deref(), global)
                .await;
        }
        DefinitionCommand::Push(args) => return push::run(args, global).await,
        DefinitionCommand::Install(args) => served::install(args, global).await?,
        DefinitionCommand::Enable(args) => served::enable(&args, true, global).await?,
        DefinitionCommand::Disable(args) => served::enable(&args, false, global).await?,
        DefinitionCommand::Uninstall(args) => served::uninstall(&args, global).await?,
        DefinitionCommand::Hold(args) => served::hold(args, global).await?,
    }
    Ok(Exit::OK)
}

async fn all(client: &Client) -> Result<Vec<Value>> {
    client.whole("/api/v1/definitions", &[]).await
}

fn is_of(row: &Value, kind: DefinitionKind) -> bool {
    row["kind"].as_str().is_some_and(|word| word.parse() == Ok(kind))
}

async fn list(client: &Client, kind: Option<DefinitionKind>, global: &Global) -> Result<()> {
    let mut rows = all(client).await?;
    rows.retain(|row| kind.is_none_or(|kind| is_of(row, kind)));
    if global.json() {
        print_json(&Value::Array(rows));
        return Ok(());
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|d| {
            vec![
                text(&d["kind"]),
                text(&d["name"]),
                text(&d["version"]),
                origin(d),
                users(d),
                text(&d["description"]),
            ]
        })
        .collect();
    let titles = ["KIND", "NAME", "VERSION", "FROM", "USED BY", "DESCRIPTION"];
    table(&titles, &cells, "The server has none of that kind.");
    faults(client).await
}

/// Where a definition comes from, in a word.
fn origin(definition: &Value) -> String {
    let from = match definition["source"]["from"].as_str() {
        Some("package") => "installed",
        Some("directory") => "directory",
        _ => "built in",
    };
    match (&definition["enabled"], &definition["usable"]) {
        (Value::Bool(false), _) => format!("{from}, disabled"),
        (_, Value::Bool(false)) => format!("{from}, unusable"),
        _ => from.to_owned(),
    }
}

/// Who uses a definition, the first few by name.
fn users(definition: &Value) -> String {
    let users: Vec<String> = definition["used_by"].as_array().into_iter().flatten().map(text).collect();
    match &users[..] {
        [] => "-".to_owned(),
        [first] => first.clone(),
        [first, second] => format!("{first}, {second}"),
        [first, .., _] => format!("{first} and {} more", users.len() - 1),
    }
}

/// Says what the server found or was given and cannot use.
async fn faults(client: &Client) -> Result<()> {
    // One who may see only an application is not told of the server's machine.
    let Ok(faults) = client.whole("/api/v1/definitions/faults", &[]).await else { return Ok(()) };
    for fault in &faults {
        say(format!("{} cannot be used:", one_line(&text(&fault["place"]))));
        let violations: Vec<Violation> =
            serde_json::from_value(fault["violations"].clone()).unwrap_or_default();
        violations.iter().flat_map(violation).for_each(say);
    }
    Ok(())
}

/// What is to be shown.
#[derive(Debug, PartialEq, Eq)]
struct Shown<'a> {
    kind: Option<DefinitionKind>,
    name: &'a str,
    version: Option<&'a str>,
}

impl ShowArgs {
    fn shown(&self) -> Result<Shown<'_>, Usage> {
        let (kind, name) = match &self.names[..] {
            [name] => (self.kind, name.as_str()),
            [kind, name] => {
                let kind = kind.parse::<DefinitionKind>().map_err(|unknown| Usage(unknown.to_string()))?;
                if self.kind.is_some_and(|other| other != kind) {
                    return Err(Usage("two different kinds are given".into()));
                }
                (Some(kind), name.as_str())
            }
            _ => return Err(Usage("name one definition".into())),
        };
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        Ok(Shown { kind, name, version })
    }
}

/// Whether `name` is the name of a definition or one of its aliases.
fn answers_to(row: &Value, name: &str) -> bool {
    row["name"] == name || row["aliases"].as_array().into_iter().flatten().any(|alias| alias == name)
}

/// The kind that has the name, if only one has.
async fn kind_of(client: &Client, name: &str) -> Result<DefinitionKind> {
    let rows = all(client).await?;
    let named = |kind: &DefinitionKind| rows.iter().any(|row| answers_to(row, name) && is_of(row, *kind));
    let kinds: Vec<DefinitionKind> = DefinitionKind::ALL.into_iter().filter(named).collect();
    match kinds[..] {
        [kind] => Ok(kind),
        [] => bail!("there is no definition `{name}`: slipway definition list"),
        _ => {
            let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            bail!(Usage(format!("several kinds have a `{name}`: add --kind {}", kinds.join(" or --kind "))))
        }
    }
}

async fn show(client: &Client, args: &ShowArgs, global: &Global) -> Result<()> {
    let Shown { kind, name, version } = args.shown()?;
    let kind = match kind {
        Some(kind) => kind,
        None => kind_of(client, name).await?,
    };
    let query: Vec<_> = version.iter().map(|version| ("version", (*version).to_owned())).collect();
    let definition = client.get(&format!("/api/v1/definitions/{kind}/{}", in_path(name)), &query).await?;
    if global.json() {
        print_json(&definition);
        return Ok(());
    }
    for key in ["kind", "name", "version", "digest", "description"] {
        data(format!("{key:<13}{}", one_line(&text(&definition[key]))));
    }
    data(format!("{:<13}{}", "from", from_where(&definition)));
    for (key, title) in [
        ("aliases", "aliases"),
        ("installed_by", "installed by"),
        ("used_by", "used by"),
        ("held_by", "held by"),
    ] {
        let shown = match &definition[key] {
            Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
            Value::Null => String::new(),
            other => text(other),
        };
        let shown = one_line(&shown);
        if !shown.is_empty() {
            data(format!("{title:<13}{shown}"));
        }
    }
    let mut rows = Vec::new();
    properties("", &definition["schema"], &mut rows);
    data("");
    table(&["PROPERTY", "TYPE", "DEFAULT", "MEANING"], &rows, "It takes no properties.");
    for (path, file) in definition["files"].as_object().into_iter().flatten().filter(|_| args.files) {
        data(format!("\n--- {path}"));
        data(text(file).trim_end());
    }
    Ok(())
}

/// Where a definition comes from, with the place.
fn from_where(definition: &Value) -> String {
    let place = match &definition["source"]["reference"] {
        Value::Null => &definition["source"]["path"],
        reference => reference,
    };
    if place.is_null() { origin(definition) } else { format!("{}: {}", origin(definition), text(place)) }
}

/// The properties of a JSON Schema with those inside, by path; required ones have a `*`.
fn properties(path: &str, schema: &Value, rows: &mut Vec<Vec<String>>) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let inside = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let mark = if required.contains(&name.as_str()) { "*" } else { "" };
        rows.push(vec![
            format!("{inside}{mark}"),
            type_of(property),
            text(&property["default"]),
            text(&property["description"]),
        ]);
        properties(&inside, property, rows);
        if property["items"]["properties"].is_object() {
            properties(&format!("{inside}[]"), &property["items"], rows);
        }
    }
}

fn type_of(property: &Value) -> String {
    match (&property["enum"], &property["type"]) {
        (Value::Array(words), _) => words.iter().map(text).collect::<Vec<_>>().join(" | "),
        (_, Value::Array(types)) => types.iter().map(text).collect::<Vec<_>>().join(" | "),
        (_, kind) => text(kind),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(names: &[&str]) -> ShowArgs {
        ShowArgs { names: names.iter().map(|name| (*name).to_owned()).collect(), kind: None, files: false }
    }

    #[test]
    fn a_definition_is_named_with_or_without_kind_and_version() {
        let given = args(&["hpa"]);
        assert_eq!(given.shown().unwrap(), Shown { kind: None, name: "hpa", version: None });
        let given = args(&["trait", "hpa@1.2.0"]);
        let wanted = Shown { kind: Some(DefinitionKind::Trait), name: "hpa", version: Some("1.2.0") };
        assert_eq!(given.shown().unwrap(), wanted);
        assert!(args(&["operator", "hpa"]).shown().is_err());
        let given = ShowArgs { kind: Some(DefinitionKind::Policy), ..args(&["trait", "hpa"]) };
        assert!(given.shown().is_err());
    }

    #[test]
    fn a_definition_is_found_by_its_aliases() {
        let row = json!({"kind": "trait", "name": "hpa", "aliases": ["cpuscaler"]});
        assert!(answers_to(&row, "hpa") && answers_to(&row, "cpuscaler") && !answers_to(&row, "scaler"));
    }

    #[test]
    fn properties_are_listed_with_those_inside() {
        let schema = json!({"required": ["ports"], "properties": {
            "ports": {"type": "array", "items": {"properties": {"port": {"type": "integer"}}}},
            "policy": {"enum": ["a", "b"], "default": "a", "description": "Which."},
        }});
        let mut rows = Vec::new();
        properties("", &schema, &mut rows);
        let rows: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(rows, ["policy a | b a Which.", "ports* array - -", "ports[].port integer - -"]);
    }
}
