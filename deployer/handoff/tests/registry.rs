//! Artifacts in the built-in registry: it takes them, keeps them, and gives them back by tag.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use slipway_handoff::conformance::{self, Options, probe};
use slipway_handoff::oci::{self, OciOptions, OciReceiver, RegistryStore};
use slipway_handoff::{Answer, Key, Receiver};
use slipway_objects::{Blobs, BlobsOptions};
use slipway_oci::{BuiltinRegistry, Descriptor, ImageSource};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_types::{Digest, ImageReference, RegistryPrefix};

fn key() -> Key {
    Key { environment: "eu/kind/shop/blue".parse().unwrap(), application: "team/shop".parse().unwrap() }
}

async fn registry() -> (tempfile::TempDir, BuiltinRegistry, OciReceiver) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().join("objects").display());
    let blobs = Blobs::open(BlobsOptions::new(url, directory.path().join("spool"))).await.unwrap();
    let database = directory.path().join("slipway.db");
    let records = SqliteRecords::open(&database, SqliteOptions::default()).await.unwrap();
    let registry = BuiltinRegistry::new(Arc::new(records), blobs.clone());
    let at: RegistryPrefix = "slipway.example.com".parse().unwrap();
    let store = RegistryStore::new(Arc::new(registry.clone()), blobs, at);
    (directory, registry, OciReceiver::new(Arc::new(store), OciOptions::default()))
}

#[tokio::test]
async fn a_stock_client_finds_the_revision_and_its_files() {
    let (_directory, registry, receiver) = registry().await;
    let (submission, manifests) = probe::submission(&key(), 1, "hello");
    let Answer::Accepted { run } = receiver.submit(&submission, &manifests).await.unwrap() else { panic!() };
    let repository = oci::repository(&key());
    assert_eq!(repository, "team/shop/d/eu/kind/shop/blue");
    let (host_and_path, digest) = run.split_once('@').unwrap();
    assert_eq!(host_and_path, format!("slipway.example.com/{repository}"));

    assert_eq!(registry.tags(&repository, None, 10).await.unwrap(), ["g1", "live"]);
    let live: ImageReference = format!("slipway.example.com/{repository}:live").parse().unwrap();
    let found = registry.fetch_manifest(&live).await.unwrap();
    assert_eq!(found.digest, digest.parse::<Digest>().unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&found.bytes).unwrap();
    let blob = |descriptor: &serde_json::Value| -> Descriptor {
        serde_json::from_value(descriptor.clone()).unwrap()
    };
    let document = registry.fetch_bytes(&live, &blob(&manifest["config"]), 1 << 20).await.unwrap();
    assert_eq!(Digest::of(&document), submission.revision);
    let layer = registry.fetch_bytes(&live, &blob(&manifest["layers"][0]), 1 << 20).await.unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.as_ref()));
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["010-configmap-slipway-conformance.yaml"]);
}

#[tokio::test]
async fn it_keeps_to_the_contract() {
    let (_directory, _registry, receiver) = registry().await;
    let report = conformance::run(&receiver, &Options::new(key(), 1)).await;
    assert!(report.passed(), "{report}");
}
