//! What a component package consists of: its layers and configuration as the registry holds them, its files as they
//! were planned.

use serde_json::Value;
use slipway_objects::BlobError;
use slipway_oci::builtin::RegistryError;
use slipway_oci::manifest::{Descriptor, ImageManifest, Manifest};
use slipway_records::plan::{ComponentPlan, PackedFile};
use slipway_records::{Application, PackageVersion, Page, Read, VersionFilter};
use slipway_types::media_type::{ANNOTATION_TITLE, OCI_EMPTY};
use slipway_types::{ApplicationName, ComponentName, Digest};

use crate::problem::ApiError;
use crate::state::ServerState;

/// The largest configuration of a package that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// So often a package's image may have been exchanged by hand, one after the other, and its files are still found.
const EXCHANGES_MAX: usize = 8;

/// What the registry holds of a package.
pub(crate) struct PackageContents {
    /// Without the empty one of a package that has no files.
    pub(crate) layers: Vec<Descriptor>,
    config: Value,
}

impl PackageContents {
    /// What its developers declared for the deploy side.
    pub(crate) fn workload(&self) -> &Value {
        &self.config["workload"]
    }

    /// Digest of its kit.
    pub(crate) fn kit_digest(&self) -> Option<Digest> {
        self.config["kit"]["digest"].as_str()?.parse().ok()
    }

    /// Of a package whose image people exchanged: the one before.
    fn exchanged(&self) -> Option<Digest> {
        self.config["exchanged"]["package"].as_str()?.parse().ok()
    }
}

/// The repository of a component's packages.
pub(crate) fn repository(application: &ApplicationName, component: &ComponentName) -> String {
    format!("{}/c/{component}", application.path())
}

/// What a layer is called for people.
pub(crate) fn title(layer: &Descriptor) -> Option<&str> {
    layer.annotations.get(ANNOTATION_TITLE).map(String::as_str)
}

/// An answer of the registry; `None` where it does not hold what was asked for.
pub(crate) fn held<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(held) => Ok(Some(held)),
        Err(
            RegistryError::ManifestUnknown { .. }
            | RegistryError::RepositoryUnknown { .. }
            | RegistryError::BlobUnknown { .. }
            | RegistryError::Blobs(BlobError::Missing { .. } | BlobError::TooLarge { .. }),
        ) => Ok(None),
        Err(error) => Err(ApiError::of_fault(error.into())),
    }
}

/// A manifest of an image or artifact; `None` if the repository does not hold it, or it is another thing.
pub(crate) async fn manifest(
    state: &ServerState,
    repository: &str,
    digest: &Digest,
) -> Result<Option<ImageManifest>, ApiError> {
    let Some((_, bytes)) = held(state.registry.get_manifest(repository, &digest.to_string()).await)? else {
        return Ok(None);
    };
    match Manifest::parse(&bytes, None, state.registry.limits()) {
        Ok((Manifest::Image(manifest), _)) => Ok(Some(manifest)),
        Ok((Manifest::Index(_), _)) | Err(_) => Ok(None),
    }
}

/// A JSON document among the blobs; `None` if it is not there, is larger than `max_bytes`, or is no JSON.
pub(crate) async fn json_blob(
    state: &ServerState,
    digest: &Digest,
    max_bytes: u64,
) -> Result<Option<Value>, ApiError> {
    let bytes = held(state.blobs.get(digest, max_bytes).await.map_err(RegistryError::from))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// What the registry holds of a package; `None` if its bytes are not there.
pub(crate) async fn read(
    state: &ServerState,
    application: &ApplicationName,
    component: &ComponentName,
    digest: &Digest,
) -> Result<Option<PackageContents>, ApiError> {
    let Some(manifest) = manifest(state, &repository(application, component), digest).await? else {
        return Ok(None);
    };
    let config = json_blob(state, &manifest.config.digest, CONFIG_BYTES_MAX).await?;
    let layers = manifest.layers.into_iter().filter(|layer| layer.media_type != OCI_EMPTY);
    Ok(config.map(|config| PackageContents { layers: layers.collect(), config }))
}

/// The version under which these bytes were first published.
pub(crate) async fn first_published(
    read: &mut dyn Read,
    version: &PackageVersion,
) -> Result<PackageVersion, ApiError> {
    if version.version == version.built_as {
        return Ok(version.clone());
    }
    let component = version.component.as_ref();
    let first = read.version_find(version.application_id, component, &version.built_as).await?;
    Ok(first.unwrap_or_else(|| version.clone()))
}

/// The files that a package carries, as the run planned them that made it; `None` if that is not known any more.
pub(crate) async fn files(
    state: &ServerState,
    application: &Application,
    version: &PackageVersion,
) -> Result<Option<Vec<PackedFile>>, ApiError> {
    let Some(component) = &version.component else { return Ok(None) };
    let mut package = version.clone();
    for _ in 0..EXCHANGES_MAX {
        let contents = self::read(state, &application.name, component, &package.digest).await?;
        let mut read = state.records.read().await?;
        let Some(before) = contents.and_then(|contents| contents.exchanged()) else {
            let first = first_published(read.as_mut(), &package).await?;
            return planned(read.as_mut(), component, &first).await;
        };
        let filter = VersionFilter {
            application: Some(application.id),
            component: Some(Some(component.clone())),
            digest: Some(before),
            ..VersionFilter::default()
        };
        match read.version_list(&filter, Page::first(1)).await?.pop() {
            Some(found) => package = found,
            None => return Ok(None),
        }
    }
    Ok(None)
}

async fn planned(
    read: &mut dyn Read,
    component: &ComponentName,
    first: &PackageVersion,
) -> Result<Option<Vec<PackedFile>>, ApiError> {
    let builds = read.builds_of(first.run_id).await?;
    let build = builds.into_iter().find(|build| build.component == *component);
    // What another release wrote may not be read.
    let plan = build.and_then(|build| serde_json::from_value::<ComponentPlan>(build.plan).ok());
    Ok(plan.map(|plan| plan.files))
}
