//! Signatures that lie in a repository: reading them, and adding one to those that are there.
//!
//! Anybody who may push can make as many well-formed signatures as they like, with keys of their own. So
//! those by keys that environments ask for have room of their own, and are never kept out by others.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use slipway_objects::{Blob, BlobError};
use slipway_records::registry::ManifestRow;
use slipway_records::{Read, RecordsError, Write};
use slipway_types::signing::PublicKey;
use slipway_types::{Digest, media_type};

use super::{BuiltinRegistry, NewManifest, PreparedManifest, Result, put_rows};
use crate::manifest::{Descriptor, ImageManifest, InvalidManifest, Manifest, canonical_json};
use crate::signature::{
    KEY_ANNOTATION, PAYLOAD_BYTES_MAX, SIGNATURE_ANNOTATION, SIGNATURE_ARTIFACT, SIMPLE_SIGNING, Signature,
    Unfit, signature_tag, signed_by_tag,
};

/// The most signatures that one manifest may have here by keys that environments ask for, and the most that
/// it may have by others.
pub const SIGNATURES_MAX: usize = 256;
/// The most layers that are looked at of the manifest under the tag, and of all those together that refer to
/// the subject.
const LAYERS_MAX: usize = 2 * SIGNATURES_MAX;
/// The most manifests that are looked at of those that refer to the subject. They share [`LAYERS_MAX`] evenly.
const REFERRERS_MAX: usize = 32;

/// Something that is offered as a signature of a manifest.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The signature, or why it cannot be one of that manifest.
    pub signature: std::result::Result<Signature, Unfit>,
    /// The key that made it, where it is one of the wanted, or is named with it and did.
    pub key: Option<PublicKey>,
}

impl Offered {
    fn is_by_one_of(&self, keys: &[PublicKey]) -> bool {
        self.key.is_some_and(|key| keys.contains(&key))
    }
}

/// What was found, each kind within its bounds.
#[derive(Default)]
struct Found {
    wanted: Vec<Offered>,
    others: Vec<Offered>,
    /// How many of the others can be a signature.
    fit: usize,
}

impl Found {
    fn push(&mut self, one: Offered, wanted: &[PublicKey]) {
        if one.is_by_one_of(wanted) {
            if self.wanted.len() < SIGNATURES_MAX {
                self.wanted.push(one);
            }
        } else if one.signature.is_err() {
            self.others.push(one);
        } else if self.fit < SIGNATURES_MAX {
            self.fit += 1;
            self.others.push(one);
        }
    }
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
    /// Everything that is offered as a signature of `subject`: first what one of the keys in `wanted` made,
    /// then all other; of both, what lies under its tag before what refers to it, and at most
    /// [`SIGNATURES_MAX`] that can be one.
    pub async fn signatures(
        &self,
        repository: &str,
        subject: &Digest,
        wanted: &[PublicKey],
    ) -> Result<Vec<Offered>> {
        let mut seen: BTreeSet<(Digest, String)> = BTreeSet::new();
        let mut found = Found::default();
        for (manifest, most) in self.signature_manifests(repository, subject).await? {
            let mut looked_at = 0;
            for layer in self.signature_layers(&manifest).await? {
                let Some(text) = layer.annotations.get(SIGNATURE_ANNOTATION).cloned() else { continue };
                if looked_at == most {
                    break;
                }
                if seen.insert((layer.digest, text.clone())) {
                    looked_at += 1;
                    found.push(self.offered(repository, subject, &layer, &text, wanted).await?, wanted);
                }
            }
        }
        let Found { mut wanted, others, .. } = found;
        wanted.extend(others);
        Ok(wanted)
    }

    /// The manifests of signatures of `subject`, the one under its tag first, and how many layers of each are
    /// looked at.
    async fn signature_manifests(&self, repository: &str, subject: &Digest) -> Result<Vec<(Digest, usize)>> {
        let mut read = self.records.read().await?;
        let tagged = read.tag_get(repository, &signature_tag(subject)).await?;
        let referrers = read.referrers(repository, subject).await?;
        drop(read);
        let is_other = |row: &&ManifestRow| {
            row.artifact_type.as_deref() == Some(SIGNATURE_ARTIFACT) && Some(row.digest) != tagged
        };
        let others: Vec<Digest> =
            referrers.iter().filter(is_other).map(|row| row.digest).take(REFERRERS_MAX).collect();
        let share = LAYERS_MAX / others.len().max(1);
        let tagged = tagged.into_iter().map(|digest| (digest, LAYERS_MAX));
        Ok(tagged.chain(others.into_iter().map(|digest| (digest, share))).collect())
    }

    /// Layers with payloads; none of what is no manifest of any.
    async fn signature_layers(&self, manifest: &Digest) -> Result<Vec<Descriptor>> {
        let bytes = self.blobs.get(manifest, self.limits.max_manifest_bytes).await?;
        let Ok((Manifest::Image(manifest), _)) = Manifest::parse(&bytes, None, &self.limits) else {
            return Ok(Vec::new());
        };
        Ok(manifest.layers.into_iter().filter(|layer| layer.media_type == SIMPLE_SIGNING).collect())
    }

    /// The keys that gates of environments ask for, each once.
    async fn wanted_keys(&self) -> Result<Vec<PublicKey>> {
        let environments = self.records.read().await?.environment_list().await?;
        let signers = environments.iter().flat_map(|environment| &environment.settings.gates.signatures);
        let keys: BTreeSet<PublicKey> = signers.flat_map(|signer| signer.key.keys()).copied().collect();
        Ok(keys.into_iter().collect())
    }

    /// `layers` without what keeps out a signature of `subject` by `key`: what cannot be a signature, and
    /// what there is too much of by keys that nobody asks for.
    async fn with_room(
        &self,
        repository: &str,
        subject: &Digest,
        layers: Vec<Descriptor>,
        key: &PublicKey,
    ) -> Result<Vec<Descriptor>> {
        let keys = self.wanted_keys().await?;
        let (mut kept, mut wanted, mut others) = (Vec::new(), 0, 0);
        for layer in layers {
            let Some(text) = layer.annotations.get(SIGNATURE_ANNOTATION).cloned() else { continue };
            let offered = self.offered(repository, subject, &layer, &text, &keys).await?;
            let count = if offered.is_by_one_of(&keys) { &mut wanted } else { &mut others };
            if offered.signature.is_ok() && *count < SIGNATURES_MAX {
                *count += 1;
                kept.push(layer);
            }
        }
        let count = if keys.contains(key) { &mut wanted } else { &mut others };
        *count += 1;
        check_counts(wanted, others)?;
        Ok(kept)
    }

    /// Refuses more `layers` of a manifest of signatures of `subject` than are ever looked at.
    async fn check_room(&self, repository: &str, subject: &Digest, layers: &[Descriptor]) -> Result<()> {
        if layers.len() <= SIGNATURES_MAX {
            return Ok(());
        }
        // More than both may be is refused unread.
        if layers.len() > LAYERS_MAX {
            return check_counts(0, layers.len());
        }
        let keys = self.wanted_keys().await?;
        let mut wanted = 0;
        for layer in layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING) {
            if let Some(text) = layer.annotations.get(SIGNATURE_ANNOTATION) {
                let offered = self.offered(repository, subject, layer, text, &keys).await?;
                wanted += usize::from(offered.is_by_one_of(&keys));
            }
        }
        check_counts(wanted, layers.len() - wanted)
    }

    async fn offered(
        &self,
        repository: &str,
        subject: &Digest,
        layer: &Descriptor,
        text: &str,
        wanted: &[PublicKey],
    ) -> Result<Offered> {
        let unfit = |why| Offered { signature: Err(why), key: None };
        // The size that the layer claims is not asked: a copy that claims another would hide the signature.
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
        // Of one signature several keys can be made that fit it, so that a wanted key is not named is no proof
        // that it did not make it.
        let first = named.filter(|key| wanted.contains(key));
        let mut keys = first.iter().chain(wanted).chain(&named);
        let key = keys.find(|key| signature.is_by(key)).copied();
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
            layers = self.with_room(repository, subject, layers, key).await?;
        }
        let layer = Descriptor::of(SIMPLE_SIGNING, signature.payload())
            .annotated(SIGNATURE_ANNOTATION, signature.text())
            .annotated(KEY_ANNOTATION, STANDARD.encode(key.der()));
        layers.push(layer);
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
        put_rows(tx, &signature.manifest, self.rollback_depth).await?;
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
        subject: &Digest,
        manifest: &Manifest,
    ) -> Result<Option<Digest>> {
        let Manifest::Image(manifest) = manifest else { return Ok(None) };
        self.check_room(repository, subject, &manifest.layers).await?;
        let Some(before) = self.records.read().await?.tag_get(repository, tag).await? else {
            return Ok(None);
        };
        let identity =
            |layer: &Descriptor| (layer.digest, layer.annotations.get(SIGNATURE_ANNOTATION).cloned());
        let payloads = manifest.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING);
        let has: Vec<_> = payloads.map(identity).collect();
        let had = self.signature_layers(&before).await?;
        Ok(had.iter().map(identity).all(|layer| has.contains(&layer)).then_some(before))
    }
}

/// Those of `subjects` for which something is offered as a signature. Nothing is read of it, for there may be much.
pub async fn signed_among(
    read: &mut dyn Read,
    repository: &str,
    subjects: &[Digest],
) -> std::result::Result<BTreeSet<Digest>, RecordsError> {
    let tags: Vec<String> = subjects.iter().map(signature_tag).collect();
    let tagged = read.tags_among(repository, &tags).await?;
    let referred = read.subjects_among(repository, SIGNATURE_ARTIFACT, subjects).await?;
    Ok(tagged.iter().filter_map(|tag| signed_by_tag(tag)).chain(referred).collect())
}

/// Whether one manifest of signatures is about what the other is about.
fn is_own(old: &ManifestRow, new: &ManifestRow) -> bool {
    old.digest != new.digest && old.subject == new.subject && old.artifact_type == new.artifact_type
}

/// Refuses more signatures than are ever looked at, by keys that environments ask for and by others.
fn check_counts(wanted: usize, others: usize) -> Result<()> {
    let (count, whose) = match (wanted, others) {
        (_, others) if others > SIGNATURES_MAX => (others, "by keys that no environment asks for"),
        (wanted, _) if wanted > SIGNATURES_MAX => (wanted, "by keys that environments ask for"),
        _ => return Ok(()),
    };
    let why = format!("{count} signatures {whose}, more than {SIGNATURES_MAX} of one manifest");
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
