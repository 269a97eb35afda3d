//! `slipway bundle sign` and `verify`: keys are read and used here, the server sees what they made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_oci::signature::{self, Signature, SigningKey};
use slipway_types::Digest;
use slipway_types::signing::TrustedKeys;

use super::{Exit, Global, in_path};
use crate::client::{Client, Usage};
use crate::output::{data, json as print_json, say, text};
use crate::secret_input;

/// A bundle as it is signed.
struct Subject {
    /// Host and repository.
    reference: String,
    repository: String,
    digest: Digest,
}

impl Subject {
    async fn of(client: &Client, path: &str) -> Result<Self> {
        let bundle = client.get(path, &[]).await?;
        let whole = text(&bundle["reference"]);
        let (reference, digest) = whole.split_once('@').context("the server names no digest")?;
        let (_, repository) = reference.split_once('/').context("the server names no repository")?;
        Ok(Self {
            reference: reference.to_owned(),
            repository: repository.to_owned(),
            digest: digest.parse().context("the server names no digest")?,
        })
    }
}

fn path(app: &str, version: &str) -> String {
    format!("/api/v1/bundles/{}/{}", in_path(app), in_path(version))
}

/// Signs a bundle.
pub(super) async fn sign(app: &str, version: &str, key_file: &Path, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    let pem = secret_input::read("private key", Some(key_file))?;
    let key =
        SigningKey::from_pem(&pem).map_err(|error| Usage(format!("{}: {error}", key_file.display())))?;
    let path = path(app, version);
    let subject = Subject::of(&client, &path).await?;
    let payload = signature::payload(&subject.reference, &subject.digest);
    let body = json!({
        "payload": STANDARD.encode(&payload),
        "signature": key.sign(&payload),
        "public_key": TrustedKeys::from(key.public()),
    });
    let made = client.post(&format!("{path}/signatures"), &body).await?;
    global.tell(
        &made,
        format!("{app} {version} ({}) is signed by the key {}.", subject.digest, key.public().id()),
    );
    Ok(Exit::OK)
}

/// Verifies a bundle's signatures by each of some keys.
pub(super) async fn verify(app: &str, version: &str, keys: &[PathBuf], global: &Global) -> Result<Exit> {
    let client = global.client()?;
    let keys = keys.iter().map(|file| trusted(file)).collect::<Result<Vec<_>>>()?;
    let path = path(app, version);
    let subject = Subject::of(&client, &path).await?;
    let offered = client.get(&format!("{path}/signatures"), &[]).await?;
    let offered = offered["items"].as_array().cloned().unwrap_or_default();
    let read: Vec<Result<Signature, String>> =
        offered.iter().map(|one| signature_of(one, &subject)).collect();
    let mut found = Vec::new();
    for (file, key) in &keys {
        let by = |one: &&Signature| key.keys().iter().any(|key| one.is_by(key));
        let made: Vec<String> =
            read.iter().flatten().filter(by).map(|one| one.digest().to_string()).collect();
        found.push(json!({"key": file, "ok": !made.is_empty(), "signatures": made}));
    }
    let unfit: Vec<&String> = read.iter().filter_map(|one| one.as_ref().err()).collect();
    let is_signed = found.iter().all(|one| one["ok"] == true);
    if global.json() {
        print_json(&json!({"ok": is_signed, "digest": subject.digest, "keys": found, "unfit": unfit}));
    } else {
        tell(&found, &unfit, &subject, offered.len());
    }
    Ok(if is_signed { Exit::OK } else { Exit(1) })
}

fn tell(found: &[Value], unfit: &[&String], subject: &Subject, offered: usize) {
    for one in found {
        let key = text(&one["key"]);
        match one["signatures"].as_array().map(Vec::as_slice) {
            Some([first, ..]) => data(format!("{key}: signed {} ({})", subject.digest, text(first))),
            _ => data(format!("{key}: no signature of {} by it; {offered} offered", subject.digest)),
        }
    }
    for why in unfit {
        say(format!("one that is offered does not count: {why}"));
    }
}

/// Reads what the server offers, and believes none of it.
fn signature_of(offered: &Value, subject: &Subject) -> Result<Signature, String> {
    if let Some(why) = offered["unfit"].as_str() {
        return Err(why.to_owned());
    }
    let payload = STANDARD.decode(text(&offered["payload"])).map_err(|error| error.to_string())?;
    Signature::read(payload.into(), &text(&offered["signature"]), &subject.repository, &subject.digest)
        .map_err(|why| why.to_string())
}

fn trusted(file: &Path) -> Result<(String, TrustedKeys)> {
    let name = file.display().to_string();
    let pem = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    match pem.parse() {
        Ok(keys) => Ok((name, keys)),
        Err(error) => bail!(Usage(format!("{name}: {error}"))),
    }
}
