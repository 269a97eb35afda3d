//! `slipway fetch-context`: the first container of a build's pod.
//!
//! It knows the context's digest and a token that opens this one repository, and nothing else of Slipway.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use flate2::read::GzDecoder;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use slipway_types::Digest;

use super::{Exit, Global};
use crate::client::{Usage, is_unresolved};
use crate::output::say;

/// The longest silence of the server.
const IDLE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Address of the blob: …/v2/REPOSITORY/blobs/DIGEST
    url: url::Url,
    /// Empty directory to unpack into
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// PEM file of the authority that signed the server's certificate
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// How long fetching is tried again
    #[arg(long, value_name = "MS", env = "SLIPWAY_FETCH_WITHIN_MS", default_value_t = 300_000, value_parser = super::whole, allow_negative_numbers = true)]
    within_ms: u64,
}

pub(crate) async fn run(args: FetchArgs, global: &Global) -> Result<Exit> {
    let digest: Digest = args
        .url
        .path()
        .rsplit('/')
        .next()
        .and_then(|last| last.parse().ok())
        .ok_or_else(|| Usage(format!("{} does not end in a digest", args.url)))?;
    let client = client(&args.url, args.ca_bundle.as_deref())?;
    let token = global.server.token.as_deref().unwrap_or_default();
    let (began, within) = (Instant::now(), Duration::from_millis(args.within_ms));
    let mut pause = Duration::from_millis(500);
    let file = loop {
        match fetch(&client, &args, token, &digest).await {
            Ok(file) => break file,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(error)) if began.elapsed() + pause > within => return Err(error),
            Err(Failure::Again(error)) => {
                say(format!("{error:#}; trying again in {} ms", pause.as_millis()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    };
    let to = args.to.clone();
    tokio::task::spawn_blocking(move || unpack(file, &to)).await.context("unpacking ended badly")??;
    say(format!("The context {digest} is in {}.", args.to.display()));
    Ok(Exit::OK)
}

/// The image that this runs in need not have any authorities of its own.
fn client(url: &url::Url, ca_bundle: Option<&Path>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(IDLE);
    if let Some(path) = ca_bundle {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("{} holds no certificate", path.display()))?;
        builder = builder.tls_certs_only(certificates);
    } else if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    builder.build().context("cannot set up HTTP")
}

/// Why nothing was heard of the server.
fn unheard(url: &url::Url, is_unresolved: bool) -> String {
    let host = url.host_str().unwrap_or_default();
    if is_unresolved {
        return format!(
            "the name {host} cannot be resolved here: check the server's address and the pod's DNS"
        );
    }
    format!("the server at {host} did not answer")
}

/// Why a try did not give the file.
enum Failure {
    /// Another may.
    Again(anyhow::Error),
    /// None will.
    Final(anyhow::Error),
}

async fn fetch(
    client: &reqwest::Client,
    args: &FetchArgs,
    token: &str,
    digest: &Digest,
) -> Result<File, Failure> {
    let again = |error: reqwest::Error| {
        let what = unheard(&args.url, is_unresolved(&error));
        Failure::Again(anyhow!(error).context(what))
    };
    let response = client.get(args.url.clone()).bearer_auth(token).send().await.map_err(again)?;
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(Failure::Again(anyhow!("the server answered {status}")));
    }
    if !status.is_success() {
        return Err(Failure::Final(anyhow!("the server answered {status} for {}", args.url.path())));
    }
    // Beside the target: it may be the one place that can be written to.
    let file = tempfile::tempfile_in(&args.to).context("cannot write into the directory");
    let mut file = file.map_err(Failure::Final)?;
    let (mut hash, mut body) = (Sha256::new(), response.bytes_stream());
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(again)?;
        hash.update(&piece);
        file.write_all(&piece).context("cannot write the context").map_err(Failure::Final)?;
    }
    let found = hex::encode(hash.finalize());
    if found != digest.hex() {
        return Err(Failure::Again(anyhow!("what came has the digest sha256:{found}")));
    }
    Ok(file)
}

fn unpack(mut file: File, to: &Path) -> Result<()> {
    file.rewind().context("cannot read the context")?;
    if std::fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))?.next().is_some() {
        bail!(Usage(format!("{} is not empty", to.display())));
    }
    let mut decoder = GzDecoder::new(io::BufReader::new(file));
    let mut archive = tar::Archive::new(&mut decoder);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.unpack(to).with_context(|| format!("cannot unpack into {}", to.display()))?;
    // The rest proves that nothing was cut off.
    io::copy(&mut decoder.by_ref(), &mut io::sink()).context("the context is damaged")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_resolved_is_told_as_one() {
        let url = "https://slipway.example.test/v2/a/blobs/sha256:0".parse().unwrap();
        assert!(unheard(&url, true).contains("slipway.example.test cannot be resolved"));
        assert!(unheard(&url, false).contains("slipway.example.test did not answer"));
    }
}
