//! Signatures that lie in a repository: reading them, and adding one to those that are there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use slipway_objects::{Blob, BlobError};
use slipway_records::Write;
use slipway_records::registry::ManifestRow;
use slipway_types::signing::PublicKey;
use slipway_types::{Digest, media_type};

use super::{BuiltinRegistry, NewManifest, PreparedManifest, Result, put_rows};
use crate::manifest::{Descriptor, ImageManifest, InvalidManifest, Manifest, canonical_json};
use crate::signature::{
    KEY_ANNOTATION, PAYLOAD_BYTES_MAX, SIGNATURE_ANNOTATION, SIGNATURE_ARTIFACT, SIMPLE_SIGNING, Signature,
    Unfit, signature_tag,
};

/// The most signatures that one manifest may have here.
pub const SIGNATURES_MAX: usize = 256;
/// The most layers that are looked at, for what cannot be a signature takes no other's place.
const LAYERS_MAX: usize = 1024;
/// The most manifests of signatures that are looked at.
const MANIFESTS_MAX: usize = 32;

/// Something that is offered as a signature of a manifest.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The signature, or why it cannot be one of that manifest.
    pub signature: std::result::Result<Signature, Unfit>,
    /// The key that made it, where it is named with it and did.
    pub key: Option<PublicKey>,
}

/// A signature on its way into a repository.
#[derive(Debug, Clone)]
pub struct PreparedSignature {
    manifest: PreparedManifest,
    tag: String,
    /// What the tag named when this was made.
    before: Option<Digest>,
    blobs: Vec<Blob>,
}

impl BuiltinRegistry {
    /// Everything that is offered as a signature of `subject`: what lies under its tag first, then what
    /// refers to it; at most [`SIGNATURES_MAX`] that can be one.
    pub async fn signatures(&self, repository: &str, subject: &Digest) -> Result<Vec<Offered>> {
        let mut read = self.records.read().await?;
        let mut manifests: Vec<Digest> = Vec::new();
        manifests.extend(read.tag_get(repository, &signature_tag(subject)).await?);
        let referrers = read.referrers(repository, subject).await?;
        drop(read);
        let is_signature = |row: &&ManifestRow| row.artifact_type.as_deref() == Some(SIGNATURE_ARTIFACT);
        for row in referrers.iter().filter(is_signature) {
            if !manifests.contains(&row.digest) {
                manifests.push(row.digest);
            }
        }
        let mut seen: Vec<(Digest, String)> = Vec::new();
        let mut found: Vec<Offered> = Vec::new();
        let mut fit = 0;
        for digest in manifests.into_iter().take(MANIFESTS_MAX) {
            for layer in self.signature_layers(&digest).await? {
                let Some(text) = layer.annotations.get(SIGNATURE_ANNOTATION).cloned() else { continue };
                if fit == SIGNATURES_MAX || found.len() == LAYERS_MAX {
                    return Ok(found);
                }
                let known = (layer.digest, text);
                if !seen.contains(&known) {
                    let offered = self.offered(repository, subject, &layer, &known.1).await?;
                    fit += usize::from(offered.signature.is_ok());
                    found.push(offered);
                    seen.push(known);
                }
            }
        }
        Ok(found)
    }

    /// Layers with payloads; none of what is no manifest of any.
    async fn signature_layers(&self, manifest: &Digest) -> Result<Vec<Descriptor>> {
        let bytes = self.blobs.get(manifest, self.limits.max_manifest_bytes).await?;
        let Ok((Manifest::Image(manifest), _)) = Manifest::parse(&bytes, None, &self.limits) else {
            return Ok(Vec::new());
        };
        Ok(manifest.layers.into_iter().filter(|layer| layer.media_type == SIMPLE_SIGNING).collect())
    }

    /// Those of `layers` that can be signatures of `subject`.
    async fn fit(
        &self,
        repository: &str,
        subject: &Digest,
        layers: Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>> {
        let mut fit = Vec::new();
        for layer in layers {
            let Some(text) = layer.annotations.get(SIGNATURE_ANNOTATION).cloned() else { continue };
            if self.offered(repository, subject, &layer, &text).await?.signature.is_ok() {
                fit.push(layer);
            }
        }
        Ok(fit)
    }

    async fn offered(
        &self,
        repository: &str,
        subject: &Digest,
        layer: &Descriptor,
        text: &str,
    ) -> Result<Offered> {
        let unfit = |why| Offered { signature: Err(why), key: None };
        if layer.size > PAYLOAD_BYTES_MAX {
            return Ok(unfit(Unfit::TooLarge));
        }
        let payload = match self.blobs.get(&layer.digest, PAYLOAD_BYTES_MAX).await {
            Ok(payload) => payload,
            Err(BlobError::Missing { .. }) => return Ok(unfit(Unfit::Missing)),
            Err(BlobError::TooLarge { .. }) => return Ok(unfit(Unfit::TooLarge)),
            Err(error) => return Err(error.into()),
        };
        let signature = match Signature::read(payload, text, repository, subject) {
            Ok(signature) => signature,
            Err(why) => return Ok(unfit(why)),
        };
        let named = layer.annotations.get(KEY_ANNOTATION).and_then(|key| STANDARD.decode(key).ok());
        let named = named.and_then(|der| PublicKey::from_der(&der).ok());
        let key = named.filter(|key| signature.is_by(key));
        Ok(Offered { signature: Ok(signature), key })
    }

    /// Writes the bytes that add a signature by `key` to those of `subject`. Nothing sees it before
    /// [`Self::put_signature_tx`].
    pub async fn prepare_signature(
        &self,
        repository: &str,
        subject: &Digest,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<PreparedSignature> {
        let about = self.find_manifest(repository, &subject.to_string()).await?;
        let tag = signature_tag(subject);
        let before = self.records.read().await?.tag_get(repository, &tag).await?;
        let mut layers = match &before {
            Some(before) => self.signature_layers(before).await?,
            None => Vec::new(),
        };
        if layers.len() >= SIGNATURES_MAX {
            // Whoever may push could else keep out those who hold a key.
            layers = self.fit(repository, subject, layers).await?;
        }
        let layer = Descriptor::of(SIMPLE_SIGNING, signature.payload())
            .annotated(SIGNATURE_ANNOTATION, signature.text())
            .annotated(KEY_ANNOTATION, STANDARD.encode(key.der()));
        layers.push(layer);
        check_count(&layers)?;
        let config = config_of(&layers);
        let manifest = ImageManifest::artifact(
            SIGNATURE_ARTIFACT,
            Descriptor::of(media_type::OCI_CONFIG, &config),
            layers,
        )
        .about(Descriptor::new(about.media_type, about.digest, about.size));
        let blobs = vec![self.blobs.put(config).await?, self.blobs.put(signature.payload().clone()).await?];
        let manifest = NewManifest::new(repository, canonical_json(&manifest));
        let manifest = self.prepare_manifest(manifest).await?;
        Ok(PreparedSignature { manifest, tag, before, blobs })
    }

    /// Writes the rows of a prepared signature inside the caller's transaction; `false` if another one came
    /// in between: drop the transaction and prepare it anew.
    pub async fn put_signature_tx(&self, tx: &mut dyn Write, signature: &PreparedSignature) -> Result<bool> {
        let (row, before) = (&signature.manifest.row, signature.before.as_ref());
        for blob in &signature.blobs {
            tx.blob_link(&row.repository, &blob.digest, blob.size).await?;
        }
        put_rows(tx, &signature.manifest).await?;
        if !tx.tag_move(&row.repository, &signature.tag, before, &row.digest).await? {
            return Ok(false);
        }
        // What it takes the place of would stay as long as what it is about.
        if let Some(before) = before
            && tx.manifest_get(&row.repository, before).await?.is_some_and(|old| is_own(&old, row))
        {
            tx.manifest_delete(&row.repository, before).await?;
        }
        Ok(true)
    }

    /// What the tag of signatures names now, if the manifest that shall take its place has all of its
    /// signatures.
    pub(super) async fn extended_by(
        &self,
        repository: &str,
        tag: &str,
        manifest: &Manifest,
    ) -> Result<Option<Digest>> {
        let Some(before) = self.records.read().await?.tag_get(repository, tag).await? else {
            return Ok(None);
        };
        let Manifest::Image(manifest) = manifest else { return Ok(None) };
        check_count(&manifest.layers)?;
        let identity =
            |layer: &Descriptor| (layer.digest, layer.annotations.get(SIGNATURE_ANNOTATION).cloned());
        let has: Vec<_> = manifest.layers.iter().map(identity).collect();
        let had = self.signature_layers(&before).await?;
        Ok(had.iter().map(identity).all(|layer| has.contains(&layer)).then_some(before))
    }
}

/// Whether one manifest of signatures is about what the other is about.
fn is_own(old: &ManifestRow, new: &ManifestRow) -> bool {
    old.digest != new.digest && old.subject == new.subject && old.artifact_type == new.artifact_type
}

/// Refuses more signatures than are ever looked at.
pub(super) fn check_count(layers: &[Descriptor]) -> Result<()> {
    if layers.len() <= SIGNATURES_MAX {
        return Ok(());
    }
    let why = format!("{} signatures, more than {SIGNATURES_MAX} of one manifest", layers.len());
    Err(InvalidManifest::Field { field: "layers".into(), why }.into())
}

/// The configuration that cosign expects: an image's, with the payloads as its layers.
fn config_of(layers: &[Descriptor]) -> Bytes {
    let payloads: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    canonical_json(&json!({
        "architecture": "",
        "config": {},
        "created": "1980-01-01T00:00:00Z",
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": payloads},
    }))
}
