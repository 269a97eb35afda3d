//! Fetching an artifact with everything under it into an OCI image layout.
//!
//! Every blob is verified while it is written to a temporary name and only then gets its place; the
//! index comes last. A pull that breaks off is continued by the next one.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use slipway_types::Digest;
use slipway_types::digest::Hasher;
use slipway_types::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

use crate::client::Client;
use crate::output::say;

/// The most manifests that one artifact may have under it.
const MANIFESTS_MAX: usize = 10_000;

/// Fetches `repository@digest` into the layout at `to`, named `version` there.
pub(crate) async fn pull(
    client: &Client,
    repository: &str,
    digest: &str,
    version: &str,
    to: &Path,
) -> Result<()> {
    let root: Digest = digest.parse().context("the server gave no digest")?;
    let blobs = to.join("blobs").join("sha256");
    std::fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    let bar = ProgressBar::no_length().with_style(
        ProgressStyle::with_template("{spinner} {msg} {bytes} {bytes_per_sec}")
            .expect("invariant: a constant template"),
    );
    let mut waiting = vec![root];
    let mut seen = BTreeSet::new();
    while let Some(manifest) = waiting.pop() {
        if !seen.insert(manifest) {
            continue;
        }
        if seen.len() > MANIFESTS_MAX {
            bail!("the artifact holds more than {MANIFESTS_MAX} manifests");
        }
        bar.set_message(format!("manifest {}", manifest.short()));
        let path =
            fetch(client, &format!("/v2/{repository}/manifests/{manifest}"), &blobs, &manifest, &bar).await?;
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed: Value = serde_json::from_slice(&bytes).context("a manifest is not JSON")?;
        waiting.extend(digests(&parsed["manifests"]));
        for blob in digests(&parsed["layers"]).chain(digest_of(&parsed["config"])) {
            bar.set_message(format!("blob {}", blob.short()));
            fetch(client, &format!("/v2/{repository}/blobs/{blob}"), &blobs, &blob, &bar).await?;
        }
    }
    bar.finish_and_clear();
    write_index(&blobs, &root, version, to)?;
    say(format!("{repository}:{version} is in {}", to.display()));
    Ok(())
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

fn digests(list: &Value) -> impl Iterator<Item = Digest> {
    list.as_array().into_iter().flatten().filter_map(digest_of)
}

async fn fetch(
    client: &Client,
    path: &str,
    blobs: &Path,
    digest: &Digest,
    bar: &ProgressBar,
) -> Result<std::path::PathBuf> {
    let place = blobs.join(digest.hex());
    if place.exists() {
        return Ok(place);
    }
    let mut file = tempfile::NamedTempFile::new_in(blobs).context("cannot write into the layout")?;
    let mut hasher = Hasher::new();
    let accept =
        [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "application/octet-stream"].join(", ");
    client
        .stream(path, &[], &accept, |piece| {
            hasher.update(piece);
            bar.inc(piece.len() as u64);
            file.write_all(piece).context("cannot write into the layout")
        })
        .await?;
    let found = hasher.finish();
    if found != *digest {
        bail!("the server sent {found} where {digest} was asked for");
    }
    file.persist(&place).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(place)
}

fn write_index(blobs: &Path, root: &Digest, version: &str, to: &Path) -> Result<()> {
    let bytes = std::fs::read(blobs.join(root.hex())).context("cannot read the fetched manifest")?;
    let parsed: Value = serde_json::from_slice(&bytes).context("the fetched manifest is not JSON")?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": parsed["mediaType"],
            "artifactType": parsed["artifactType"],
            "digest": root,
            "size": bytes.len(),
            "annotations": {"org.opencontainers.image.ref.name": version},
        }],
    });
    std::fs::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .context("cannot write the layout")?;
    std::fs::write(to.join("index.json"), index.to_string()).context("cannot write the layout")
}
