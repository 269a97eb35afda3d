//! One large blob through the registry, up and down, with the server's memory.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt as _, stream};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client};
use sha2::{Digest as _, Sha256};
use slipway_tests::server::{Server, ServerOptions};
use slipway_tests::services;

use crate::report::{below, line, memory_mib};
use crate::sample;

/// Size of the blob, in GiB.
pub(crate) const GIB_DEFAULT: u64 = 6;
const MEMORY_TARGET_MIB: f64 = 100.0;
const CHUNK_BYTES: usize = 1 << 20;
/// The blob, what it is spooled in, and room for everybody else.
const FREE_FACTOR: u64 = 3;
const STEP_WITHIN: Duration = Duration::from_mins(20);

pub(crate) fn run(gib: u64) -> Result<bool> {
    let needed = FREE_FACTOR * (gib << 30);
    let free = free_bytes(&std::env::temp_dir())?;
    ensure!(free > needed, "{free} bytes are free for temporary files, {needed} are needed");
    let mut met = through("local disk", &Server::fresh(), gib)?;
    if std::env::var_os("SLIPWAY_TEST_S3_ENDPOINT").is_some() {
        met &= through("S3 (garage)", &Server::start(on_s3()), gib)?;
    } else {
        line("no S3 server: not measured (`./bench objects` starts one if garage is installed)");
    }
    Ok(met)
}

fn on_s3() -> ServerOptions {
    let s3 = services::s3();
    ServerOptions::default()
        .env("SLIPWAY__STORAGE__URL", &format!("s3://{}/bench", s3.bucket))
        .env("SLIPWAY__STORAGE__S3_ENDPOINT", &s3.endpoint)
        .env("SLIPWAY__STORAGE__S3_REGION", &s3.region)
        .env("SLIPWAY__STORAGE__S3_ACCESS_KEY", &s3.access_key)
        .env("SLIPWAY__STORAGE__S3_SECRET_KEY", "secret://env/SLIPWAY_SECRET_S3")
        .env("SLIPWAY__STORAGE__S3_ALLOW_HTTP", "true")
        .env("SLIPWAY_SECRET_S3", &s3.secret_key)
}

fn through(store: &str, server: &Server, gib: u64) -> Result<bool> {
    server.create_app("bench");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let client = Client::builder().timeout(STEP_WITHIN).build()?;
    let began = Instant::now();
    let digest = runtime.block_on(upload(&client, server, gib << 10))?;
    line(format!("{store}: {gib} GiB up, {}", throughput(gib, began)));
    let began = Instant::now();
    let got = runtime.block_on(download(&client, server, &digest))?;
    ensure!(got == digest, "{got} came back for {digest}");
    line(format!("{store}: {gib} GiB down, digest agrees, {}", throughput(gib, began)));
    let peak = memory_mib(server.pid(), "VmHWM")?;
    Ok(below(&format!("{store}, peak memory of the server"), peak, MEMORY_TARGET_MIB, "MiB"))
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand MiB")]
fn throughput(gib: u64, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    format!("{:.0} MiB/s ({seconds:.1} s, hashing by the client included)", (gib << 10) as f64 / seconds)
}

/// Uploads noise of so many MiB; gives its digest.
async fn upload(client: &Client, server: &Server, mib: u64) -> Result<String> {
    let repository = format!("{}/v2/default/bench/i/large", server.url());
    let post = client.post(format!("{repository}/blobs/uploads/")).bearer_auth(server.token());
    let session = post.send().await?.error_for_status().context("the upload was refused")?;
    let location = location(server, &session)?;
    let (digests, digest) = tokio::sync::oneshot::channel();
    let chunks = stream::unfold(
        (0, Sha256::new(), Some(digests)),
        move |(chunk, mut hasher, mut digests)| async move {
            if chunk == mib {
                let end = digests
                    .take()
                    .map(|digests| digests.send(format!("sha256:{}", hex::encode(hasher.finalize()))));
                drop(end);
                return None;
            }
            let mut content = vec![0; CHUNK_BYTES];
            sample::random(chunk + 1, &mut content);
            hasher.update(&content);
            Some((Ok::<_, std::io::Error>(content), (chunk + 1, hasher, digests)))
        },
    );
    let patch = client.patch(location).bearer_auth(server.token());
    let patch = patch.header(CONTENT_TYPE, "application/octet-stream").body(Body::wrap_stream(chunks));
    let patched = patch.send().await?.error_for_status().context("the content was refused")?;
    let digest = digest.await.context("the content was not read to its end")?;
    let mut end: reqwest::Url = self::location(server, &patched)?.parse()?;
    end.query_pairs_mut().append_pair("digest", &digest);
    let put = client.put(end).bearer_auth(server.token()).header("content-length", "0");
    put.send().await?.error_for_status().context("the digest was refused")?;
    Ok(digest)
}

fn location(server: &Server, answer: &reqwest::Response) -> Result<String> {
    let location = answer.headers().get(LOCATION).context("an answer without Location")?.to_str()?;
    Ok(if location.starts_with('/') { format!("{}{location}", server.url()) } else { location.to_owned() })
}

/// Downloads a blob; gives what its bytes hash to.
async fn download(client: &Client, server: &Server, digest: &str) -> Result<String> {
    let address = format!("{}/v2/default/bench/i/large/blobs/{digest}", server.url());
    let answer = client.get(address).bearer_auth(server.token()).send().await?.error_for_status()?;
    let mut hasher = Sha256::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        hasher.update(&chunk.context("the download broke off")?);
    }
    Ok(format!("sha256:{}", hex::encode(hasher.finalize())))
}

fn free_bytes(directory: &Path) -> Result<u64> {
    let done = Command::new("df").args(["--output=avail", "--block-size=1"]).arg(directory).output()?;
    if !done.status.success() {
        bail!("df: {}", String::from_utf8_lossy(&done.stderr));
    }
    let text = String::from_utf8(done.stdout)?;
    text.lines().last().context("df said nothing")?.trim().parse().context("df said no number")
}
