//! Frozen revisions: kept in the built-in registry as OCI artifacts, in the repository that receivers
//! read from, so that one can be applied with stock tools while Slipway is down.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use slipway_handoff::oci::{REVISION_CONFIG, repository};
use slipway_handoff::{Graph, Key, ManifestSet, Node, Revision};
use slipway_objects::BlobError;
use slipway_oci::builtin::{NewManifest, RegistryError, revision_tag};
use slipway_types::media_type::OCI_MANIFEST;
use slipway_types::{Digest, Fault};

use crate::plan::Frozen;
use crate::stage::Stage;

/// Artifact type of a kept revision.
pub const KEPT_ARTIFACT: &str = "application/vnd.slipway.kept-revision.v1";
/// Media type of its layer: the objects by digest.
pub const KEPT_OBJECTS: &str = "application/vnd.slipway.objects.v1+json";
/// The largest kept document, in bytes.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct Kept {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: Digest,
}

impl Frozen {
    /// The same with nothing to run but its namespace, which may hold what others own.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        let nodes = self.revision.graph.nodes();
        let kept: BTreeMap<_, _> = nodes
            .iter()
            .filter(|(_, node)| {
                !node.objects.is_empty() && node.objects.iter().all(|object| object.object.is_namespace())
            })
            .map(|(name, node)| {
                let node = Node { needs: BTreeSet::new(), ..node.clone() };
                (name.clone(), node)
            })
            .collect();
        let mut manifests = ManifestSet::new();
        for object in kept.values().flat_map(|node| &node.objects) {
            if let Some(bytes) = self.manifests.get(&object.manifest) {
                manifests.insert_bytes(bytes.clone());
            }
        }
        self.revision.graph =
            Graph::try_from(kept).expect("invariant: nodes that need nothing wait for nothing");
        self.revision.secrets.clear();
        self.revision.allow_empty = true;
        Self { revision: self.revision, manifests }
    }
}

fn storage(error: &BlobError) -> Fault {
    tracing::warn!(%error, "cannot keep a revision");
    Fault::transient("storage_unavailable", format!("the object store fails: {error}"))
}

impl Stage {
    /// Keeps a revision: the same one any number of times.
    pub async fn keep_revision(&self, key: &Key, frozen: &Frozen) -> Result<Digest, Fault> {
        let repository = repository(key);
        let document = frozen.revision.canonical();
        let revision = Digest::of(&document);
        let objects: BTreeMap<String, String> = frozen
            .manifests
            .iter()
            .map(|(digest, bytes)| (digest.to_string(), String::from_utf8_lossy(bytes).into_owned()))
            .collect();
        let objects = serde_json::to_vec(&objects).expect("invariant: texts are JSON");
        let mut descriptors = Vec::new();
        for (bytes, media_type) in [(document, REVISION_CONFIG), (Bytes::from(objects), KEPT_OBJECTS)] {
            let blob = self.blobs.put(bytes).await.map_err(|error| storage(&error))?;
            self.registry.link_blob(&repository, &blob).await?;
            descriptors.push(json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size}));
        }
        let layers = descriptors.split_off(1);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": KEPT_ARTIFACT,
            "config": descriptors.pop(),
            "layers": layers,
        });
        let manifest = NewManifest::new(repository, manifest.to_string()).tagged(revision_tag(&revision));
        match self.registry.put_manifest(manifest).await {
            // Kept for rollbacks, in the form of an earlier release, it stays as it is.
            Ok(_) | Err(RegistryError::RollbackProtected { .. }) => Ok(revision),
            Err(error) => Err(error.into()),
        }
    }

    /// What was frozen as `revision`, without its objects; `None`: it is not kept any more.
    pub async fn revision_document(&self, revision: &Digest) -> Result<Option<Revision>, Fault> {
        let document = match self.blobs.get(revision, MAX_BYTES).await {
            Ok(document) => document,
            Err(BlobError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(storage(&error)),
        };
        let unreadable = |_| {
            Fault::permanent("revision_unreadable", format!("the kept revision {revision} cannot be read"))
        };
        serde_json::from_slice(&document).map(Some).map_err(unreadable)
    }

    /// A kept revision with its objects.
    pub async fn kept_revision(&self, key: &Key, revision: &Digest) -> Result<Frozen, Fault> {
        let unreadable =
            || Fault::bug("revision_unreadable", format!("the kept revision {revision} cannot be read"));
        let document = self.blobs.get(revision, MAX_BYTES).await.map_err(|error| storage(&error))?;
        let document: Revision = serde_json::from_slice(&document).map_err(|_| unreadable())?;
        let (_, manifest) = self.registry.get_manifest(&repository(key), &revision_tag(revision)).await?;
        let kept: Kept = serde_json::from_slice(&manifest).map_err(|_| unreadable())?;
        let layer = kept.layers.first().ok_or_else(unreadable)?;
        let objects = self.blobs.get(&layer.digest, MAX_BYTES).await.map_err(|error| storage(&error))?;
        let objects: BTreeMap<String, String> = serde_json::from_slice(&objects).map_err(|_| unreadable())?;
        let mut manifests = ManifestSet::new();
        for text in objects.into_values() {
            manifests.insert_bytes(Bytes::from(text));
        }
        Ok(Frozen { revision: document, manifests })
    }
}
