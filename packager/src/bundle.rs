//! The bundle: an image index that locks component packages by digest.
//!
//! It lists, sorted and once each, its lock manifest, the packages, and every platform's image
//! manifest; never a nested index, on which clients abort. A multi-platform index travels as a layer
//! of the lock.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use slipway_records::detail::BundleMember;
use slipway_types::media_type::{
    ANNOTATION_COMPOSED_FROM, ANNOTATION_CREATED, ANNOTATION_REVISION, ANNOTATION_TITLE, ANNOTATION_VERSION,
    BUNDLE_ARTIFACT, COMPONENT_ARTIFACT, LOCK_ARTIFACT, LOCK_CONFIG, LOCK_INDEX_LAYER, OCI_INDEX,
    OCI_MANIFEST, is_index,
};
use slipway_types::{ApplicationName, CommitId, Digest, Version};

use crate::document::{Document, artifact, descriptor};

/// Where a bundle comes from.
#[derive(Debug)]
pub enum Born<'a> {
    /// Published from a commit.
    Commit {
        /// Which.
        commit: &'a CommitId,
        /// When it was committed.
        at: DateTime<Utc>,
    },
    /// Composed by people.
    Composed {
        /// The bundle it began with.
        from: &'a Version,
        /// When that one says it was created.
        created: String,
    },
}

impl Born<'_> {
    fn annotations(&self) -> Value {
        match self {
            Self::Commit { commit, at } => json!({
                ANNOTATION_REVISION: commit,
                ANNOTATION_CREATED: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            }),
            Self::Composed { from, created } => json!({
                ANNOTATION_COMPOSED_FROM: from,
                ANNOTATION_CREATED: created,
            }),
        }
    }
}

/// A bundle written as documents.
#[derive(Debug)]
pub struct Bundle {
    /// The index: the bundle itself.
    pub index: Document,
    /// The lock's manifest.
    pub lock: Document,
    /// The lock's configuration, whose digest is the lock digest.
    pub lock_config: Document,
}

/// The lock digest's document: the locked component set alone.
pub fn lock_config(members: &[BundleMember]) -> Document {
    let components: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({
                "component": member.component,
                "package": member.digest,
                "images": member.images.iter().map(|image| json!({
                    "repository": image.repository,
                    "digest": image.digest,
                    "mediaType": image.media_type,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    Document::json(LOCK_CONFIG, &json!({"components": components}))
}

impl Bundle {
    /// Writes the bundle of `members`, which must come sorted by component name; first published as
    /// `version`.
    pub fn write(
        application: &ApplicationName,
        version: &Version,
        born: &Born<'_>,
        members: &[BundleMember],
    ) -> Self {
        let mut annotations = born.annotations();
        annotations[ANNOTATION_TITLE] = application.path().into();
        annotations[ANNOTATION_VERSION] = version.to_string().into();
        let lock_config = lock_config(members);
        let lock = artifact(LOCK_ARTIFACT, &lock_config.descriptor(), &index_layers(members), &json!({}));
        let mut manifests: BTreeMap<Digest, Value> = BTreeMap::new();
        let mut own = lock.descriptor();
        own["artifactType"] = LOCK_ARTIFACT.into();
        for member in members {
            let mut package = descriptor(OCI_MANIFEST, &member.digest, member.manifest_size);
            package["artifactType"] = COMPONENT_ARTIFACT.into();
            package["annotations"] =
                json!({ANNOTATION_TITLE: member.component, ANNOTATION_VERSION: member.built_as});
            manifests.insert(member.digest, package);
            for platform in member.images.iter().flat_map(|image| &image.platforms) {
                let mut image = descriptor(&platform.media_type, &platform.digest, platform.size);
                image["platform"] = platform_json(&platform.platform);
                manifests.entry(platform.digest).or_insert(image);
            }
        }
        let manifests: Vec<Value> = std::iter::once(own).chain(manifests.into_values()).collect();
        let index = Document::json(
            OCI_INDEX,
            &json!({
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "artifactType": BUNDLE_ARTIFACT,
                "manifests": manifests,
                "annotations": annotations,
            }),
        );
        Self { index, lock, lock_config }
    }
}

/// The indexes of multi-platform images, sorted by digest, once each.
fn index_layers(members: &[BundleMember]) -> Vec<Value> {
    let layers: BTreeMap<Digest, Value> = members
        .iter()
        .flat_map(|member| member.images.iter().map(move |image| (member, image)))
        .filter(|(_, image)| is_index(&image.media_type))
        .map(|(member, image)| {
            let mut layer = descriptor(LOCK_INDEX_LAYER, &image.digest, image.size);
            layer["annotations"] = json!({ANNOTATION_TITLE: format!("{}.index.json", member.component)});
            (image.digest, layer)
        })
        .collect();
    layers.into_values().collect()
}

fn platform_json(platform: &slipway_types::Platform) -> Value {
    let mut value = json!({"os": platform.os, "architecture": platform.architecture});
    if let Some(variant) = &platform.variant {
        value["variant"] = variant.as_str().into();
    }
    value
}
