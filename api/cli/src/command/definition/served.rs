//! Definitions of the server: installed, offered, removed, held.

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use slipway_definitions::DefinitionKind;
use slipway_types::{ApplicationName, ImageReference};

use super::{all, answers_to, is_of};
use crate::client::{Client, Usage};
use crate::command::{Global, confirmed, in_path};
use crate::output::{json as print_json, table, text};

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST, as `slipway definition push` prints it
    #[arg(value_parser = with_registry)]
    reference: ImageReference,
    /// It may be another version of a definition that is part of Slipway (role admin)
    #[arg(long)]
    beside_builtin: bool,
}

/// A reference that names its registry: nobody means Docker Hub with a definition's bare name.
pub(super) fn with_registry(text: &str) -> Result<ImageReference, String> {
    let reference = text.parse::<ImageReference>().map_err(|error| error.to_string())?;
    let host = text.split_once('/').map(|(host, _)| host).unwrap_or_default();
    if host.contains(['.', ':']) || host == "localhost" {
        return Ok(reference);
    }
    Err(format!(
        "`{text}` names no registry: write HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST, such as \
         registry.example.com/definitions/trait/graceful:1.0.0; `slipway definition push` prints it"
    ))
}

#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// NAME@VERSION, or NAME if one version is installed, either after its kind
    #[arg(required = true, num_args = 1..=2, value_name = "[KIND] NAME")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// It is meant
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The application
    app: ApplicationName,
    /// KIND/NAME, such as trait/hpa; all that it holds are listed if absent
    #[arg(value_name = "KIND/NAME")]
    definition: Option<String>,
    /// Keep to this major version from the next plan on
    #[arg(long, value_name = "N", requires = "definition", conflicts_with = "release", value_parser = crate::command::whole, allow_negative_numbers = true)]
    major: Option<u64>,
    /// Let go: the next deployment takes the newest and holds that
    #[arg(long, requires = "definition")]
    release: bool,
}

pub(super) async fn install(args: InstallArgs, global: &Global) -> Result<()> {
    let body = json!({"reference": args.reference, "beside_builtin": args.beside_builtin});
    let done = global.client()?.post("/api/v1/definitions", &body).await?;
    let (kind, name, version) = (text(&done["kind"]), text(&done["name"]), text(&done["version"]));
    global.tell(&done, format!("Installed {kind} {name}@{version} from {}.", text(&done["reference"])));
    Ok(())
}

/// An installed definition's address.
struct Installed {
    kind: String,
    name: String,
    version: String,
}

impl Installed {
    fn path(&self) -> String {
        format!("/api/v1/definitions/{}/{}/{}", self.kind, in_path(&self.name), in_path(&self.version))
    }

    fn shown(&self) -> String {
        format!("{} {}@{}", self.kind, self.name, self.version)
    }
}

impl WhichArgs {
    /// The one installed definition that is meant.
    async fn find(&self, client: &Client) -> Result<Installed> {
        let (kind, name) = match &self.names[..] {
            [name] => (None, name.as_str()),
            [kind, name] => {
                let kind = kind.parse::<DefinitionKind>().map_err(|unknown| Usage(unknown.to_string()))?;
                (Some(kind), name.as_str())
            }
            _ => bail!(Usage("name one definition".into())),
        };
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let mut rows = all(client).await?;
        rows.retain(|row| {
            answers_to(row, name)
                && version.is_none_or(|version| row["version"] == version)
                && kind.is_none_or(|kind| is_of(row, kind))
        });
        let others: Vec<Value> = rows.extract_if(.., |row| row["source"]["from"] != "package").collect();
        match &rows[..] {
            [row] => Ok(Installed {
                kind: text(&row["kind"]),
                name: text(&row["name"]),
                version: text(&row["version"]),
            }),
            [] => bail!(not_installed(&others)),
            several => {
                let several: Vec<String> = several
                    .iter()
                    .map(|row| {
                        format!("{} {}@{}", text(&row["kind"]), text(&row["name"]), text(&row["version"]))
                    })
                    .collect();
                bail!(Usage(format!("several are installed: say which, {}", several.join(" or "))))
            }
        }
    }
}

/// Why nothing of that name can be disabled or removed; `others` have the name and are not installed.
fn not_installed(others: &[Value]) -> String {
    let Some(other) = others.first() else {
        return "no such definition is installed: slipway definition list".to_owned();
    };
    let (kind, name) = (text(&other["kind"]), text(&other["name"]));
    match other["source"]["from"].as_str() {
        Some("directory") => {
            let path = text(&other["source"]["path"]);
            format!(
                "no such definition is installed: {kind} {name} is in the directory {path}, remove it there"
            )
        }
        _ => format!(
            "no such definition is installed: {kind} {name} is built in, so it can be neither disabled nor removed. \
             Applications use it only where their configuration names it; another version beside it is installed \
             with --beside-builtin, and `slipway definition hold` keeps an application to a major version"
        ),
    }
}

pub(super) async fn enable(args: &WhichArgs, enabled: bool, global: &Global) -> Result<()> {
    let client = global.client()?;
    let which = args.find(&client).await?;
    client.put(&which.path(), &json!({"enabled": enabled})).await?;
    let now = if enabled { "offered to new plans" } else { "no longer offered to new plans" };
    global.tell(
        &json!({"kind": which.kind, "name": which.name, "version": which.version, "enabled": enabled}),
        format!("The {} is {now}.", which.shown()),
    );
    Ok(())
}

pub(super) async fn uninstall(args: &UninstallArgs, global: &Global) -> Result<()> {
    let client = global.client()?;
    let which = args.which.find(&client).await?;
    confirmed(args.yes, &format!("This removes the {}", which.shown()))?;
    client.delete(&which.path()).await?;
    global.tell(
        &json!({"kind": which.kind, "name": which.name, "version": which.version}),
        format!("Removed the {}.", which.shown()),
    );
    Ok(())
}

pub(super) async fn hold(args: HoldArgs, global: &Global) -> Result<()> {
    let client = global.client()?;
    let base = format!("/api/v1/applications/{}/definitions", in_path(&args.app.to_string()));
    let Some(definition) = &args.definition else { return list(&client, &base, global).await };
    let named = definition.split_once('/').and_then(|(kind, name)| {
        let kind = kind.parse::<DefinitionKind>().ok()?;
        Some(format!("{base}/{kind}/{}", in_path(name)))
    });
    let path = named.ok_or_else(|| Usage(format!("`{definition}` is not KIND/NAME, such as trait/hpa")))?;
    match (args.major, args.release) {
        (Some(major), _) => {
            client.put(&path, &json!({"major": major})).await?;
            let line =
                format!("{} keeps to version {major} of {definition} from the next plan on.", args.app);
            global.tell(&json!({"application": args.app, "definition": definition, "major": major}), line);
        }
        (None, true) => {
            client.send_json(Method::DELETE, &path, &json!({})).await?;
            let line =
                format!("{} takes the newest version of {definition} at the next deployment.", args.app);
            global.tell(&json!({"application": args.app, "definition": definition, "major": null}), line);
        }
        (None, false) => bail!(Usage("say --major N or --release".into())),
    }
    Ok(())
}

async fn list(client: &Client, base: &str, global: &Global) -> Result<()> {
    let held = client.whole(base, &[]).await?;
    if global.json() {
        print_json(&Value::Array(held));
        return Ok(());
    }
    let cells: Vec<_> = held
        .iter()
        .map(|hold| {
            vec![
                format!("{}/{}", text(&hold["kind"]), text(&hold["name"])),
                text(&hold["major"]),
                text(&hold["set_by"]),
                text(&hold["set_at"]),
            ]
        })
        .collect();
    table(&["DEFINITION", "MAJOR", "BY", "SINCE"], &cells, "It holds nothing: its first deployment will.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry() {
        for bare in ["graceful", "graceful:1.0.0", "sre/graceful"] {
            assert!(with_registry(bare).unwrap_err().contains("names no registry"), "{bare}");
        }
        for whole in
            ["127.0.0.1:7300/definitions/trait/graceful:1.0.0", "localhost/a", "registry.example.com/a"]
        {
            assert!(with_registry(whole).is_ok(), "{whole}");
        }
    }

    #[test]
    fn what_is_not_installed_is_told_with_what_can_be_done() {
        assert!(not_installed(&[]).contains("slipway definition list"));
        let row = |source: Value| json!({"kind": "trait", "name": "hpa", "source": source});
        let told = not_installed(&[row(json!({"from": "builtin"}))]);
        assert!(told.contains("trait hpa is built in") && told.contains("--beside-builtin"), "{told}");
        let told = not_installed(&[row(json!({"from": "directory", "path": "/d/hpa"}))]);
        assert!(told.contains("/d/hpa"), "{told}");
    }
}
