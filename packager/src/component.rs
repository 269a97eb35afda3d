//! The component package: an OCI artifact that says all about one component.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use slipway_archive::Written;
use slipway_records::plan::{ComponentPlan, PackedFile};
use slipway_types::media_type::{
    ANNOTATION_CREATED, ANNOTATION_REVISION, ANNOTATION_TITLE, ANNOTATION_VERSION, COMPONENT_ARTIFACT,
    COMPONENT_CONFIG, OCI_LAYER_GZIP,
};
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, CommitId, Digest, Version};

use crate::document::{Document, artifact, descriptor};

/// Raised when the package's form changes; enters every package fingerprint.
pub const FORMAT: u32 = 1;

/// What a package is made of, beside its files' bytes.
pub struct Component<'a> {
    /// The application.
    pub application: &'a ApplicationName,
    /// The plan.
    pub plan: &'a ComponentPlan,
    /// Its images.
    pub images: &'a [BuiltImage],
    /// Its image's fingerprint.
    pub image_fingerprint: Option<Digest>,
}

/// A package written as manifest and configuration; its layer is in `content`.
#[derive(Debug)]
pub struct Package {
    /// The manifest.
    pub manifest: Document,
    /// The configuration.
    pub config: Document,
}

impl Component<'_> {
    /// Digest of all that can change the package. Its version, commit and time are not among it: an
    /// unchanged component keeps the package it has.
    pub fn fingerprint(&self) -> Digest {
        let files: Vec<Value> = self.plan.files.iter().map(file_identity).collect();
        let images: Vec<BuiltImage> = self.images.iter().map(BuiltImage::anywhere).collect();
        let document = json!({
            "format": FORMAT,
            "application": self.application.path(),
            "component": self.plan.name,
            "kit": self.plan.kit,
            "kitDigest": self.plan.kit_digest,
            "imageFingerprint": self.image_fingerprint,
            "images": images,
            "workload": self.plan.workload,
            "labels": self.plan.labels,
            "files": files,
        });
        Document::json("", &document).digest
    }

    /// Writes configuration and manifest of the package, first published as `version` at `commit`.
    pub fn package(
        &self,
        version: &Version,
        commit: &CommitId,
        committed_at: DateTime<Utc>,
        content: Option<&Written>,
    ) -> Package {
        let images: Vec<BuiltImage> = self.images.iter().map(BuiltImage::anywhere).collect();
        let config = Document::json(
            COMPONENT_CONFIG,
            &json!({
                "name": self.plan.name,
                "application": self.application.path(),
                "builtAs": version,
                "commit": commit,
                "kit": {"name": self.plan.kit, "digest": self.plan.kit_digest},
                "fingerprints": {"image": self.image_fingerprint, "package": self.fingerprint()},
                "images": images,
                "workload": self.plan.workload,
                "labels": self.plan.labels,
            }),
        );
        let layers: Vec<Value> = content
            .map(|content| {
                let mut layer = descriptor(OCI_LAYER_GZIP, &content.digest, content.size);
                layer["annotations"] =
                    json!({ANNOTATION_TITLE: format!("{}-{version}.tar.gz", self.plan.name)});
                layer
            })
            .into_iter()
            .collect();
        let annotations = json!({
            ANNOTATION_VERSION: version,
            ANNOTATION_REVISION: commit,
            ANNOTATION_CREATED: committed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        });
        let manifest = artifact(COMPONENT_ARTIFACT, &config.descriptor(), &layers, &annotations);
        Package { manifest, config }
    }
}

fn file_identity(file: &PackedFile) -> Value {
    json!([file.path, file.object, file.executable, file.link])
}
