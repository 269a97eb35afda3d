//! `slipway package` and `slipway bundle`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::choice::{self, OrderedChoice};
use super::{Exit, Global, compare, compose, in_path, pull, signing};
use crate::client::Client;
use crate::output::{ago, data, json as print_json, say, size, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum PackageCommand {
    /// List versions of component packages, newest first
    #[command(after_help = "Example: slipway package list --app shop --component api")]
    List {
        #[command(flatten)]
        which: Which,
        /// Published from this branch
        #[arg(long)]
        branch: Option<String>,
        /// Published from this commit
        #[arg(long)]
        commit: Option<String>,
        /// Of this component
        #[arg(long)]
        component: Option<String>,
    },
    /// Show one version of a component package
    #[command(after_help = "Example: slipway package show shop api 1.4.2")]
    Show {
        /// The application
        app: String,
        /// The component
        component: String,
        /// The version
        version: String,
    },
    /// Fetch a component package into an OCI layout
    #[command(after_help = "Example: slipway package pull shop api 1.4.2 --to ./api-1.4.2")]
    Pull {
        /// The application
        app: String,
        /// The component
        component: String,
        /// The version
        version: String,
        /// Directory of the OCI layout
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// List bundles, newest first, or those of an application that a selection leads to, highest first
    #[command(after_help = "Example: slipway bundle list --app shop --label slipway/branch=main -o json
         slipway bundle list shop --range '^1.4' --selector 'tested,ring in (1,2)' --explain")]
    List {
        /// The application
        #[arg(value_name = "APP", conflicts_with = "app")]
        application: Option<String>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        choice: OrderedChoice,
        /// Say why these: how many there are, and what each condition leaves out
        #[arg(long)]
        explain: bool,
    },
    /// Print the version that a selection leads to, and why; fails if there is none
    #[command(after_help = "Exit codes: 0 there is one, 1 there is none.
Example: slipway bundle pick shop --range '^1.4' --selector tested")]
    Pick {
        /// The application
        #[arg(value_name = "APP")]
        application: String,
        #[command(flatten)]
        choice: OrderedChoice,
    },
    /// Show one bundle with its packages
    #[command(after_help = "Example: slipway bundle show shop 1.4.2")]
    Show {
        /// The application
        app: String,
        /// The version
        version: String,
    },
    /// Compare two bundles: components, digests, commits, configuration
    #[command(after_help = "Example: slipway bundle compare shop 1.4.1 1.4.2")]
    Compare {
        /// The application
        app: String,
        /// The version to compare with
        from: String,
        /// The version to compare
        to: String,
    },
    /// Compose a bundle by hand: another version of a component, or another image
    #[command(
        disable_version_flag = true,
        after_help = "Without --version it is the next X.Y.Z-composed.N. The same components twice are one bundle.
Example: slipway bundle create shop --from 1.4.2 --set api=1.4.3 --reason 'the fix alone'
         slipway bundle create shop --from 1.4.2 --set web=ghcr.io/acme/web@sha256:…"
    )]
    Create(compose::CreateArgs),
    /// Sign a bundle with a private key, which does not leave this machine
    #[command(after_help = "The key is ECDSA of the curve P-256 as PEM of PKCS#8:
         openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out release.key
         openssl pkey -in release.key -pubout -out release.pub
Example: slipway bundle sign shop 1.4.2 --key-file release.key")]
    Sign {
        /// The application
        app: String,
        /// The version
        version: String,
        /// File of the private key
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
    },
    /// Verify that a bundle is signed by the holder of a key, here and not on the server
    #[command(after_help = "Exit codes: 0 each key has signed it, 1 one has not.
Example: slipway bundle verify shop 1.4.2 --key release.pub")]
    Verify {
        /// The application
        app: String,
        /// The version
        version: String,
        /// File of a public key as PEM; may be given several times. Of several keys in one file either will do
        #[arg(long, value_name = "FILE", required = true)]
        key: Vec<PathBuf>,
    },
    /// Fetch a bundle with its packages and images into an OCI layout
    #[command(after_help = "Example: slipway bundle pull shop 1.4.2 --to ./shop-1.4.2")]
    Pull {
        /// The application
        app: String,
        /// The version
        version: String,
        /// Directory of the OCI layout
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Of this application
    #[arg(long)]
    app: Option<String>,
    /// Having this label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// How many at most
    #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
    limit: usize,
}

impl Which {
    fn query(&self) -> Vec<(&'static str, String)> {
        let labels = (!self.label.is_empty()).then(|| self.label.join(","));
        let given = [("application", self.app.clone()), ("label", labels)];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

pub(crate) async fn packages(command: PackageCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        PackageCommand::List { which, branch, commit, component } => {
            let mut query = which.query();
            query.extend(branch.map(|branch| ("branch", branch)));
            query.extend(commit.map(|commit| ("commit", commit)));
            query.extend(component.map(|component| ("component", component)));
            let rows = client.list("/api/v1/packages", &query, which.limit).await?;
            let is_selected = query.iter().any(|(key, _)| *key != "application");
            list(rows, if is_selected { "No such package." } else { NOTHING_PUBLISHED }, global);
        }
        PackageCommand::Show { app, component, version } => {
            let path = package_path(&app, &component, &version);
            let package = client.get(&path, &[]).await?;
            if global.json() { print_json(&package) } else { show_package(&package) }
        }
        PackageCommand::Pull { app, component, version, to } => {
            let path = package_path(&app, &component, &version);
            pull_version(&client, &path, &version, &to, global).await?;
        }
    }
    Ok(Exit::OK)
}

pub(crate) async fn bundles(command: BundleCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        BundleCommand::List { application, which, choice, explain } => {
            let mut query = which.query();
            query.extend(application.map(|application| ("application", application)));
            query.extend(choice.query());
            let is_selected = choice.is_given() || !which.label.is_empty();
            if explain {
                // What the list holds without a selection, it explains as well.
                if !is_selected {
                    query.push(("prerelease", "yes".to_owned()));
                }
                return list_explained(&client, query, which.limit, global).await;
            }
            let rows = client.list("/api/v1/bundles", &query, which.limit).await?;
            list(rows, if is_selected { NOTHING_SELECTED } else { NOTHING_PUBLISHED }, global);
        }
        BundleCommand::Pick { application, choice } => {
            let mut query = vec![("application", application)];
            query.extend(choice.query());
            return choice::pick(&client, &query, global).await;
        }
        BundleCommand::Show { app, version } => {
            let path = format!("/api/v1/bundles/{}/{}", in_path(&app), in_path(&version));
            let bundle = client.get(&path, &[]).await?;
            if global.json() { print_json(&bundle) } else { show_bundle(&bundle) }
        }
        BundleCommand::Compare { app, from, to } => compare::compare(&client, &app, from, to, global).await?,
        BundleCommand::Create(args) => return compose::create(args, global).await,
        BundleCommand::Sign { app, version, key_file } => {
            return signing::sign(&app, &version, &key_file, global).await;
        }
        BundleCommand::Verify { app, version, key } => {
            return signing::verify(&app, &version, &key, global).await;
        }
        BundleCommand::Pull { app, version, to } => {
            let path = format!("/api/v1/bundles/{}/{}", in_path(&app), in_path(&version));
            pull_version(&client, &path, &version, &to, global).await?;
        }
    }
    Ok(Exit::OK)
}

/// One page of bundles and why they are these.
async fn list_explained(
    client: &Client,
    mut query: Vec<(&'static str, String)>,
    limit: usize,
    global: &Global,
) -> Result<Exit> {
    query.push(("explain", "true".to_owned()));
    query.push(("limit", limit.to_string()));
    let page = client.get("/api/v1/bundles", &query).await?;
    if global.json() {
        print_json(&page);
        return Ok(Exit::OK);
    }
    choice::explain(&page["explanation"]);
    say("");
    list(page["items"].as_array().cloned().unwrap_or_default(), "No such bundle.", global);
    Ok(Exit::OK)
}

fn package_path(app: &str, component: &str, version: &str) -> String {
    format!("/api/v1/packages/{}/{}/{}", in_path(app), in_path(component), in_path(version))
}

async fn pull_version(
    client: &Client,
    path: &str,
    version: &str,
    to: &std::path::Path,
    global: &Global,
) -> Result<()> {
    let found = client.get(path, &[]).await?;
    let reference = text(&found["reference"]);
    let (host_and_repository, digest) = reference.split_once('@').unwrap_or((&reference, ""));
    let repository =
        host_and_repository.split_once('/').map_or(host_and_repository, |(_, repository)| repository);
    pull::pull(client, repository, digest, version, to).await?;
    if global.json() {
        let to = to.display().to_string();
        print_json(&json!({"reference": reference, "digest": digest, "version": version, "directory": to}));
    } else {
        data(digest);
    }
    Ok(())
}

const NOTHING_PUBLISHED: &str =
    "Nothing published yet. A git push of a slipway.yaml publishes the first version.";

const NOTHING_SELECTED: &str = "No such bundle. Add --explain to see what left each one out.";

fn list(rows: Vec<Value>, empty: &str, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let name = match row["component"].as_str() {
                Some(component) => format!("{} {component}", text(&row["application"])),
                None => text(&row["application"]),
            };
            let held = if is_held(row) { " (held)" } else { "" };
            let version = format!("{}{held}", text(&row["version"]));
            vec![name, version, origin(row), short(&row["digest"]), ago(&row["created_at"])]
        })
        .collect();
    let head = ["NAME", "VERSION", "FROM", "DIGEST", "PUBLISHED"];
    table(&head, &cells, empty);
}

/// What a version was published from: a branch or tag with its commit, or other versions.
fn origin(row: &Value) -> String {
    if let Some(from) = row["composed"]["from"].as_str() {
        return format!("composed from {from}");
    }
    let Some(full) = row["ref"].as_str() else { return "composed".to_owned() };
    let name = match full.split_once("refs/tags/") {
        Some(("", tag)) => format!("tag {tag}"),
        _ => format!("branch {}", full.strip_prefix("refs/heads/").unwrap_or(full)),
    };
    let commit: String = text(&row["commit"]).chars().take(8).collect();
    format!("{name}@{commit}")
}

/// Whether checks that its developers declare keep a bundle from being chosen.
fn is_held(bundle: &Value) -> bool {
    bundle["held"].as_array().is_some_and(|held| !held.is_empty())
}

fn short(digest: &Value) -> String {
    text(digest).chars().take(19).collect()
}

fn show_package(package: &Value) {
    for key in
        ["application", "component", "version", "built_as", "kit", "digest", "reference", "commit", "ref"]
    {
        data(format!("{key:<12}{}", text(&package[key])));
    }
    data(format!("{:<12}{}", "size", size(package["size"].as_u64().unwrap_or(0))));
    data(format!("{:<12}{}", "published", ago(&package["created_at"])));
    for image in package["images"].as_array().into_iter().flatten() {
        data(format!("{:<12}{}", "image", text(image)));
    }
    labels(package);
}

fn show_bundle(bundle: &Value) {
    for key in ["application", "version", "digest", "reference", "lock_digest", "commit", "ref"] {
        data(format!("{key:<12}{}", text(&bundle[key])));
    }
    data(format!("{:<12}{}", "published", ago(&bundle["created_at"])));
    for why in bundle["held"].as_array().into_iter().flatten() {
        data(format!("{:<12}{}", "held", text(why)));
    }
    compose::show(&bundle["composed"]);
    labels(bundle);
    for signature in bundle["signatures"].as_array().into_iter().flatten() {
        data(format!("{:<12}{}", "signature", signature_line(signature)));
    }
    data("");
    let rows: Vec<_> = bundle["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| {
            let how = if p["reused"] == true { "reused" } else { "new" };
            vec![
                text(&p["component"]),
                text(&p["version"]),
                how.to_owned(),
                text(&p["kit"]),
                short(&p["digest"]),
            ]
        })
        .collect();
    table(&["COMPONENT", "VERSION", "", "KIT", "DIGEST"], &rows, "");
}

fn signature_line(signature: &Value) -> String {
    if let Some(why) = signature["unfit"].as_str() {
        return format!("does not count: {why}");
    }
    let names: Vec<String> = signature["names"].as_array().into_iter().flatten().map(text).collect();
    match (signature["key"].as_str(), names.is_empty()) {
        (Some(key), false) => format!("{} (key {key})", names.join(", ")),
        (Some(key), true) => format!("key {key}"),
        (None, _) => "by a key that no environment names".to_owned(),
    }
}

fn labels(version: &Value) {
    for (key, value) in version["labels"].as_object().into_iter().flatten() {
        data(format!("{:<12}{key}={}", "label", text(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_the_branch_or_tag_it_is_from() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (row, told) in [
            (json!({"ref": "refs/tags/v1.2.0", "commit": commit}), "tag v1.2.0@01234567"),
            (json!({"ref": "refs/heads/main", "branch": "main", "commit": commit}), "branch main@01234567"),
            (json!({"ref": "refs/heads/refs/tags/x", "commit": commit}), "branch refs/tags/x@01234567"),
            (json!({"ref": null, "commit": null}), "composed"),
            (json!({"composed": {"from": "1.4.2"}}), "composed from 1.4.2"),
        ] {
            assert_eq!(origin(&row), told);
        }
    }
}
