//! Reads an OCI image layout by its specification alone: every descriptor's size and digest is checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a walk over a layout came by.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Walked {
    /// Digests of image indexes.
    pub indexes: BTreeSet<String>,
    /// Digests of image manifests.
    pub manifests: BTreeSet<String>,
    /// Digests of configurations and layers.
    pub blobs: BTreeSet<String>,
}

/// Walks from `index.json` over every index, manifest, configuration and layer.
pub fn walk(layout: &Path) -> Walked {
    let version: Value = parse(&fs::read(layout.join("oci-layout")).expect("a layout has `oci-layout`"));
    assert_eq!(version["imageLayoutVersion"], "1.0.0");
    let index: Value = parse(&fs::read(layout.join("index.json")).expect("a layout has `index.json`"));
    let mut walked = Walked::default();
    let roots = index["manifests"].as_array().expect("`index.json` lists manifests");
    assert!(!roots.is_empty(), "the layout is empty");
    for descriptor in roots {
        walk_manifest(layout, descriptor, &mut walked);
    }
    walked
}

/// A blob's bytes, by digest.
pub fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    let (algorithm, hex) = digest.split_once(':').expect("a digest names its algorithm");
    let path = layout.join("blobs").join(algorithm).join(hex);
    fs::read(&path).unwrap_or_else(|error| panic!("the layout lacks {digest}: {error}"))
}

/// `sha256:…` of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn walk_manifest(layout: &Path, descriptor: &Value, walked: &mut Walked) {
    let bytes = verified(layout, descriptor);
    let digest = text(&descriptor["digest"]);
    let manifest: Value = parse(&bytes);
    assert_eq!(manifest["schemaVersion"], 2, "{digest}");
    if let Some(declared) = manifest["mediaType"].as_str() {
        assert_eq!(descriptor["mediaType"], declared, "descriptor and manifest {digest} differ");
    }
    match text(&descriptor["mediaType"]).as_str() {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            if walked.indexes.insert(digest) {
                for child in manifest["manifests"].as_array().expect("an index lists manifests") {
                    walk_manifest(layout, child, walked);
                }
            }
        }
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => {
            walked.manifests.insert(digest);
            let layers = manifest["layers"].as_array().expect("a manifest lists layers");
            for blob in std::iter::once(&manifest["config"]).chain(layers) {
                verified(layout, blob);
                walked.blobs.insert(text(&blob["digest"]));
            }
        }
        other => panic!("{digest} is of the unknown type {other}"),
    }
}

fn verified(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = text(&descriptor["digest"]);
    assert!(!text(&descriptor["mediaType"]).is_empty(), "{digest} has no media type");
    let bytes = blob(layout, &digest);
    assert_eq!(descriptor["size"].as_u64(), Some(bytes.len() as u64), "size of {digest}");
    assert_eq!(digest_of(&bytes), digest, "content of {digest}");
    bytes
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
