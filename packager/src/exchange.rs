//! A component's package with another image in it.

use serde_json::{Value, json};
use slipway_objects::Blobs;
use slipway_records::detail::BundleMember;
use slipway_types::media_type::{ANNOTATION_VERSION, COMPONENT_ARTIFACT, COMPONENT_CONFIG, OCI_EMPTY};
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, Digest, Fault, ImageReference, Version};

use crate::component::FORMAT;
use crate::document::{Document, artifact};
use crate::provenance::{self, Provenance};
use crate::publish::{json_blob, put};

/// A package that is new because its image was exchanged. Its files are those of the package before.
pub(crate) struct Exchanged {
    pub(crate) member: BundleMember,
    pub(crate) manifest: Document,
    pub(crate) config: Document,
    pub(crate) provenance: Provenance,
}

impl Exchanged {
    /// Digest of all that can change it: the package before, and the image.
    pub(crate) fn fingerprint(before: &BundleMember, image: &BuiltImage) -> Digest {
        let document = json!({
            "format": FORMAT,
            "exchanged": {"package": before.digest, "images": [image.anywhere()]},
        });
        Document::json("", &document).digest
    }

    /// Writes the package `before` with `image`, which came from `reference`, and stores its bytes.
    pub(crate) async fn write(
        blobs: &Blobs,
        application: &ApplicationName,
        before: &BundleMember,
        reference: &ImageReference,
        image: BuiltImage,
        version: &Version,
    ) -> Result<Self, Fault> {
        let fingerprint = Self::fingerprint(before, &image);
        let old = json_blob(blobs, &before.digest).await?;
        let unreadable =
            || Fault::bug("package_unreadable", format!("the package {} cannot be read", before.digest));
        let config = old["config"]["digest"].as_str().and_then(|digest| digest.parse().ok());
        let mut config = json_blob(blobs, &config.ok_or_else(unreadable)?).await?;
        let fields = config.as_object_mut().ok_or_else(unreadable)?;
        let images = [image.anywhere()];
        fields.insert("builtAs".into(), json!(version));
        fields.insert("images".into(), json!(images));
        fields.insert("fingerprints".into(), json!({"image": null, "package": fingerprint}));
        fields.insert("exchanged".into(), json!({"package": before.digest, "image": reference.to_string()}));
        let config = Document::json(COMPONENT_CONFIG, &config);
        let layers: Vec<Value> = old["layers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|layer| layer["mediaType"] != OCI_EMPTY)
            .cloned()
            .collect();
        let mut annotations = old["annotations"].clone();
        annotations.as_object_mut().ok_or_else(unreadable)?.insert(ANNOTATION_VERSION.into(), json!(version));
        let manifest = artifact(COMPONENT_ARTIFACT, &config.descriptor(), &layers, &annotations);
        let provenance =
            provenance::of_exchange(application, before, &reference.to_string(), &image, &manifest);
        for document in [&config, &manifest, &provenance.statement, &provenance.manifest, &Document::empty()]
        {
            put(blobs, document).await?;
        }
        let content: u64 = layers.iter().filter_map(|layer| layer["size"].as_u64()).sum();
        let member = BundleMember {
            version: version.clone(),
            built_as: version.clone(),
            digest: manifest.digest,
            manifest_size: manifest.bytes.len() as u64,
            size: manifest.bytes.len() as u64 + config.bytes.len() as u64 + content,
            images: vec![image],
            reused: false,
            fingerprint,
            ..before.clone()
        };
        Ok(Self { member, manifest, config, provenance })
    }
}
