//! `slipway definition push`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use slipway_definitions::Definition;
use slipway_deployer::definitions::artifact::Artifact;
use slipway_deployer::definitions::check::check;
use slipway_objects::{Blobs, BlobsOptions};
use slipway_oci::{ClientOptions, Credential, HostSettings, ImageError, ImageSource as _, Registries};
use slipway_types::media_type::OCI_MANIFEST;
use slipway_types::{Digest, Fault, ImageReference};

use super::local;
use crate::client::{Client, Usage};
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, say, text};
use crate::secret_input;

/// The user under which the server's own registry takes a token for a password.
const TOKEN_USER: &str = "slipway";

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The definition's directory
    dir: PathBuf,
    /// HOST/REPOSITORY or HOST/REPOSITORY:TAG; the server's registry, under definitions/KIND/NAME, if absent. The tag is the
    /// definition's version if absent
    #[arg(value_parser = super::served::with_registry)]
    reference: Option<ImageReference>,
    /// User of another registry than the server's
    #[arg(long, value_name = "USER", requires = "password_file")]
    user: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Speak HTTP to another registry than the server's (tests and closed networks only)
    #[arg(long)]
    allow_http: bool,
}

/// Where it goes, and how that registry is spoken to.
struct Target {
    image: ImageReference,
    settings: HostSettings,
}

pub(super) async fn run(args: PushArgs, global: &Global) -> Result<Exit> {
    let definition = match local::load(&args.dir)? {
        Ok(definition) => definition,
        Err(found) => return Ok(local::refused(&found, global)),
    };
    let found = check(&local::host(), &definition).await.map_err(|fault| anyhow!(fault.message))?;
    if !found.is_empty() {
        return Ok(local::refused(&found, global));
    }
    let target = target(args, &definition, global).await?;
    let artifact = Artifact::of(&definition);
    let is_new = push(&target, &artifact).await?;
    let pinned = target.image.pinned(artifact.digest());
    if global.json() {
        let image = &target.image;
        print_json(
            &json!({"reference": image, "digest": artifact.digest(), "pinned": pinned, "new": is_new}),
        );
    } else {
        let was = if is_new { "Pushed" } else { "There already:" };
        say(format!("{was} {definition} as {}.", target.image));
        data(pinned.to_string());
        say(format!("Next: slipway definition install {pinned}"));
    }
    Ok(Exit::OK)
}

async fn target(args: PushArgs, definition: &Definition, global: &Global) -> Result<Target> {
    let client = global.client()?;
    let own = match client.get("/api/v1/server", &[]).await {
        Ok(server) => Some(text(&server["registry"])),
        // Pushing elsewhere needs no server.
        Err(_) if args.reference.is_some() => None,
        Err(error) => return Err(error),
    };
    let version = definition.version().to_string();
    let mut image = match (args.reference, &own) {
        (Some(reference), _) => reference,
        (None, Some(own)) => {
            let (kind, name) = (definition.kind(), definition.name());
            format!("{own}/definitions/{kind}/{name}").parse().context("the server's registry")?
        }
        (None, None) => bail!(Usage("name where to push it: HOST/REPOSITORY".into())),
    };
    if image.digest.is_some() {
        bail!(Usage(format!("{image}: a digest says what is there already; give a tag, or nothing")));
    }
    image.tag.get_or_insert(version);
    let settings = if own.as_deref() == Some(image.host.as_str()) {
        own_settings(&client)
    } else {
        let password = args.password_file.as_deref().map(|file| secret_input::read("password", Some(file)));
        let password = password.transpose()?.map(SecretString::from);
        let credential = args.user.zip(password).map(|(user, password)| Credential { user, password });
        HostSettings { credential, insecure_http: args.allow_http.then_some(true), ..HostSettings::default() }
    };
    Ok(Target { image, settings })
}

fn own_settings(client: &Client) -> HostSettings {
    let credential =
        client.token().map(|token| Credential { user: TOKEN_USER.to_owned(), password: token.clone() });
    let insecure_http = Some(client.base().starts_with("http://"));
    HostSettings { credential, insecure_http, ..HostSettings::default() }
}

/// Puts the artifact where it belongs; `false` if it is there already.
async fn push(target: &Target, artifact: &Artifact) -> Result<bool> {
    let spool = tempfile::tempdir().context("cannot make a temporary directory")?;
    let blobs = Blobs::open(BlobsOptions::new("memory:///", spool.path())).await?;
    let image = &target.image;
    // Whoever types an address means it.
    let options =
        ClientOptions { allowed_private_hosts: vec![image.host.clone()], ..ClientOptions::default() };
    let hosts = BTreeMap::from([(image.host.clone(), target.settings.clone())]);
    let registries = Registries::new(options, hosts, blobs.clone())?;
    match registries.head_manifest(image).await.map_err(told)? {
        Some(there) if there == artifact.digest() => return Ok(false),
        Some(there) => bail!(occupied(image, &there)),
        None => {}
    }
    for (_, bytes) in &artifact.blobs {
        let blob = blobs.put(bytes.clone()).await?;
        registries.push_blob(image, &blob).await.map_err(told)?;
    }
    registries.push_manifest(image, artifact.manifest.clone(), OCI_MANIFEST).await.map_err(told)?;
    Ok(true)
}

fn occupied(image: &ImageReference, there: &Digest) -> String {
    format!("{image} is something else already ({there}): raise metadata.version")
}

/// The error with its way out.
fn told(error: ImageError) -> anyhow::Error {
    let Fault { message, hint, .. } = error.into();
    match hint {
        Some(hint) => anyhow!("{message}: {hint}"),
        None => anyhow!(message),
    }
}
