use slipway_objects::BlobsOptions;
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_types::ImageReference;

use super::*;
use crate::layout;
use crate::manifest::{ImageManifest, canonical_json};
use crate::source::ImageSource;

const REPOSITORY: &str = "default/shop/i/api";

/// A fresh registry on disk.
pub(crate) async fn registry() -> (tempfile::TempDir, BuiltinRegistry) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().join("objects").display());
    let blobs = Blobs::open(BlobsOptions::new(url, directory.path().join("spool"))).await.unwrap();
    let records =
        SqliteRecords::open(&directory.path().join("slipway.db"), SqliteOptions::default()).await.unwrap();
    (directory, BuiltinRegistry::new(Arc::new(records), blobs))
}

async fn link(registry: &BuiltinRegistry, repository: &str, bytes: &'static [u8]) -> Descriptor {
    let blob = registry.blobs().put(bytes).await.unwrap();
    registry.link_blob(repository, &blob).await.unwrap();
    Descriptor::of("application/x", bytes)
}

/// An image of one layer, with its blobs linked.
pub(crate) async fn image(registry: &BuiltinRegistry, repository: &str, layer: &'static [u8]) -> Bytes {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let layers = vec![link(registry, repository, layer).await];
    let mut config = link(registry, repository, config).await;
    config.media_type = media_type::OCI_CONFIG.to_owned();
    canonical_json(&ImageManifest::image(config, layers))
}

async fn put(registry: &BuiltinRegistry, bytes: &Bytes, tag: &str) -> Descriptor {
    let manifest = NewManifest::new(REPOSITORY, bytes.clone()).tagged(tag);
    registry.put_manifest(manifest).await.unwrap().descriptor()
}

#[tokio::test]
async fn a_manifest_is_found_by_tag_and_digest_and_putting_it_again_changes_nothing() {
    let (_directory, registry) = registry().await;
    let bytes = image(&registry, REPOSITORY, b"layer").await;
    let first = put(&registry, &bytes, "v1").await;
    let (row, found) = registry.get_manifest(REPOSITORY, "v1").await.unwrap();
    assert_eq!((row.digest, &found), (Digest::of(&bytes), &bytes));
    assert_eq!(put(&registry, &bytes, "v1").await, first);
    let (again, _) = registry.get_manifest(REPOSITORY, &first.digest.to_string()).await.unwrap();
    assert_eq!(again, row);
    assert_eq!(registry.tags(REPOSITORY, None, 10).await.unwrap(), ["v1"]);
}

#[tokio::test]
async fn what_a_manifest_names_must_be_in_its_repository() {
    let (_directory, registry) = registry().await;
    let bytes = image(&registry, REPOSITORY, b"layer").await;
    let elsewhere = NewManifest::new("default/other/i/api", bytes.clone());
    let error = registry.put_manifest(elsewhere.clone()).await.unwrap_err();
    assert_eq!(error.code(), "MANIFEST_BLOB_UNKNOWN");
    let origin = "r.io/team/api".parse().unwrap();
    registry.put_manifest(elsewhere.blobs_lie_in(origin)).await.unwrap();

    let index = canonical_json(&ImageIndex::new(vec![Descriptor::of(media_type::OCI_MANIFEST, &bytes)]));
    let error = registry.put_manifest(NewManifest::new(REPOSITORY, index.clone())).await.unwrap_err();
    assert_eq!(error.code(), "MANIFEST_UNKNOWN");
    assert!(error.to_string().contains(&Digest::of(&bytes).to_string()), "{error}");
    // One transaction takes the child and then its index.
    let child = registry.prepare_manifest(NewManifest::new(REPOSITORY, bytes)).await.unwrap();
    let parent = registry.prepare_manifest(NewManifest::new(REPOSITORY, index)).await.unwrap();
    let mut tx = registry.records.begin().await.unwrap();
    registry.put_manifests_tx(tx.as_mut(), &[child, parent.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    registry.find_manifest(REPOSITORY, &parent.digest().to_string()).await.unwrap();
}

#[tokio::test]
async fn referrers_are_listed_by_subject_even_before_it_exists() {
    let (_directory, registry) = registry().await;
    let subject = Descriptor::new(media_type::OCI_MANIFEST, Digest::of("later"), 5);
    link(&registry, REPOSITORY, b"{}").await;
    for kind in ["application/sbom", "application/sig"] {
        let manifest = ImageManifest::artifact(kind, Descriptor::empty(), vec![])
            .about(subject.clone())
            .annotated("k", kind);
        registry.put_manifest(NewManifest::new(REPOSITORY, canonical_json(&manifest))).await.unwrap();
    }
    let all = registry.referrers(REPOSITORY, &subject.digest, None).await.unwrap();
    assert_eq!(all.manifests.len(), 2);
    let sbom = registry.referrers(REPOSITORY, &subject.digest, Some("application/sbom")).await.unwrap();
    assert_eq!(sbom.manifests[0].annotations["k"], "application/sbom");
    assert!(registry.referrers("a/b", &subject.digest, None).await.unwrap().manifests.is_empty());
}

#[tokio::test]
async fn blobs_are_mounted_and_taken_out_and_tags_deleted() {
    let (_directory, registry) = registry().await;
    let blob = link(&registry, "a/b", b"x").await;
    assert!(registry.mount("a/b", "c/d", &blob.digest).await.unwrap());
    assert!(!registry.mount("e/f", "c/d", &blob.digest).await.unwrap());
    assert_eq!(registry.has_blob("c/d", &blob.digest).await.unwrap(), Some(1));
    assert!(registry.delete_blob("c/d", &blob.digest).await.unwrap());
    assert_eq!(registry.has_blob("c/d", &blob.digest).await.unwrap(), None);

    let bytes = image(&registry, REPOSITORY, b"layer").await;
    let digest = put(&registry, &bytes, "v1").await.digest.to_string();
    registry.delete_manifest(REPOSITORY, "v1").await.unwrap();
    assert_eq!(registry.delete_manifest(REPOSITORY, "v1").await.unwrap_err().code(), "MANIFEST_UNKNOWN");
    registry.delete_manifest(REPOSITORY, &digest).await.unwrap();
    let error = registry.find_manifest(REPOSITORY, &digest).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("MANIFEST_UNKNOWN", 404));
    assert_eq!(registry.tags("no/thing", None, 10).await.unwrap_err().code(), "NAME_UNKNOWN");
    assert_eq!(registry.find_manifest("a/b", "sha512:x").await.unwrap_err().code(), "DIGEST_INVALID");
}

#[tokio::test]
async fn a_layout_brings_an_image_to_another_registry_by_directory_and_tar() {
    let (directory, source) = registry().await;
    let bytes = image(&source, REPOSITORY, b"layer").await;
    let child = put(&source, &bytes, "child").await;
    let index = canonical_json(&ImageIndex::new(vec![child.clone()]));
    let root = put(&source, &index, "v1").await;
    let reference: ImageReference = format!("here.test/{REPOSITORY}:v1").parse().unwrap();
    for name in ["layout", "layout.tar"] {
        let path = directory.path().join(name);
        let exported = layout::export(&source, source.blobs(), &reference, &path).await.unwrap();
        assert_eq!(exported.digest, root.digest);
        let (_other, target) = registry().await;
        layout::import(&target, "x/y", &path).await.unwrap();
        assert_eq!(target.get_manifest("x/y", "v1").await.unwrap().1, index);
        assert_eq!(target.get_manifest("x/y", &child.digest.to_string()).await.unwrap().1, bytes);
        assert_eq!(target.has_blob("x/y", &Digest::of("layer")).await.unwrap(), Some(5));
    }
    let damaged = directory.path().join("layout/blobs/sha256").join(Digest::of("layer").hex());
    std::fs::write(damaged, "other").unwrap();
    let error = layout::import(&source, "x/y", &directory.path().join("layout")).await.unwrap_err();
    assert!(error.to_string().contains("holds bytes of"), "{error}");
}

#[tokio::test]
async fn the_platform_of_a_plain_image_comes_from_its_configuration() {
    let (_directory, registry) = registry().await;
    let bytes = image(&registry, REPOSITORY, b"layer").await;
    put(&registry, &bytes, "v1").await;
    let reference: ImageReference = format!("here.test/{REPOSITORY}:v1").parse().unwrap();
    let resolved = registry.resolve(&reference, Some(&"linux/amd64".parse().unwrap())).await.unwrap();
    assert_eq!((resolved.digest, resolved.platforms.len()), (Digest::of(&bytes), 1));
    let error = registry.resolve(&reference, Some(&"linux/arm64".parse().unwrap())).await.unwrap_err();
    assert!(error.to_string().contains("it has: linux/amd64"), "{error}");
    let missing: ImageReference = format!("here.test/{REPOSITORY}:v2").parse().unwrap();
    assert_eq!(registry.head_manifest(&missing).await.unwrap(), None);
}

#[tokio::test]
async fn a_blob_that_lies_elsewhere_is_read_here_while_it_can_be() {
    let (_directory, registry) = registry().await;
    let bytes = image(&registry, REPOSITORY, b"layer").await;
    let manifest = NewManifest::new("default/shop", bytes).blobs_lie_in("r.io/team/api".parse().unwrap());
    registry.put_manifest(manifest).await.unwrap();
    let digest = Digest::of("layer");
    assert_eq!(registry.has_blob("default/shop", &digest).await.unwrap(), Some(5));
    assert!(registry.mount("default/shop", "c/d", &digest).await.unwrap());
    let blob = Blob { digest, size: 5 };
    for repository in [REPOSITORY, "default/shop", "c/d"] {
        assert!(matches!(registry.read_blob(repository, &blob).await, Ok(BlobBody::Here(_))));
    }
    registry.blobs().delete(&digest).await.unwrap();
    let lost = registry.read_blob(REPOSITORY, &blob).await.unwrap_err();
    assert!(matches!(lost, RegistryError::Blobs(slipway_objects::BlobError::Missing { .. })), "{lost}");
    for repository in ["default/shop", "c/d"] {
        let error = registry.read_blob(repository, &blob).await.unwrap_err();
        assert_eq!(error.status(), 502);
        assert!(error.to_string().contains("r.io"), "{error}");
    }
}
