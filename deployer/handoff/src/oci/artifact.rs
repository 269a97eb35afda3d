//! An artifact: everything about it depends on the submission and the options alone.

use std::io;

use bytes::Bytes;
use serde_json::Value;
use slipway_archive::{self as archive, Content, Entry};
use slipway_oci::manifest::ImageManifest;
use slipway_oci::{Descriptor, canonical_json};
use slipway_types::media_type::{
    ANNOTATION_REVISION as ANNOTATION_COMMIT, ANNOTATION_TITLE, ANNOTATION_VERSION, OCI_LAYER_GZIP,
    OCI_MANIFEST,
};
use slipway_types::{Digest, Violation};

use super::store::StoredManifest;
use super::{
    ANNOTATION_APPLICATION, ANNOTATION_ENVIRONMENT, ANNOTATION_GENERATION, ANNOTATION_REVISION,
    ANNOTATION_SECRETS, ANNOTATION_TASKS, OciOptions, REVISION_ARTIFACT, REVISION_CONFIG, files, short_name,
};
use crate::kubevela;
use crate::manifests::{self, Manifests};
use crate::node::ObjectRef;
use crate::receiver::ReceiverError;
use crate::secret;
use crate::submission::{Mode, Submission};
use crate::tasks::Tasks;

/// Where the sources are. The OCI image specification's key.
const ANNOTATION_SOURCE: &str = "org.opencontainers.image.source";

/// An artifact before it is written.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its manifest.
    pub manifest: StoredManifest,
    /// Names of its files, in order.
    pub files: Vec<String>,
    /// Secrets that are not in it, `namespace/name`.
    pub left_out: Vec<String>,
    blobs: [(Descriptor, Bytes); 2],
}

impl Artifact {
    /// The artifact of a submission whose objects were checked; or what stands against one.
    pub async fn build(
        submission: &Submission,
        source: &dyn Manifests,
        options: &OciOptions,
    ) -> Result<Result<Self, Vec<Violation>>, ReceiverError> {
        let mut kept: Vec<(ObjectRef, Value, usize)> = Vec::new();
        let mut left_out = Vec::new();
        let removes = submission.mode == Mode::Delete;
        for (object, wave) in files::ordered(&submission.graph()) {
            if removes && !object.object.is_namespace() {
                continue;
            }
            let bytes = manifests::read(source, &object.manifest, options.limits.max_manifest_bytes).await?;
            let manifest: Value = serde_json::from_slice(&bytes).map_err(|error| {
                ReceiverError::Manifest { digest: object.manifest, why: format!("it is no JSON: {error}") }
            })?;
            if secret::references(&object.object, &manifest).0.is_empty() {
                kept.push((object.object.clone(), manifest, wave));
            } else {
                left_out.push(short_name(&object.object));
            }
        }
        if removes {
            let (mark, manifest) = kubevela::application::removed(submission);
            kept.push((mark, manifest, 0));
        }
        let count = kept.len();
        let files: Vec<(String, String)> = kept
            .into_iter()
            .enumerate()
            .map(|(at, (object, manifest, wave))| {
                let wave = options.argo_waves.then_some(wave);
                (files::name(at, count, &object), files::text(manifest, wave))
            })
            .collect();
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        let most = options.max_artifact_bytes.0;
        if bytes > most {
            let message = format!("the objects have {bytes} bytes together, max_artifact_bytes is {most}");
            let large = Violation::new("artifact_too_large", "graph", message);
            return Ok(Err(vec![large.hint("split the application")]));
        }
        if files.is_empty() {
            let nothing =
                Violation::new("artifact_empty", "graph", "every object is a Secret that is left out");
            return Ok(Err(vec![nothing.hint("deploy Secrets together with what uses them")]));
        }
        Ok(Ok(Self::assemble(submission, files, left_out)))
    }

    fn assemble(submission: &Submission, files: Vec<(String, String)>, left_out: Vec<String>) -> Self {
        let layer = layer(&files);
        let title = format!("{}-g{}.tar.gz", submission.key.application.bare(), submission.generation);
        let document = submission.document.canonical();
        let config = Descriptor::of(REVISION_CONFIG, &document);
        let content = Descriptor::of(OCI_LAYER_GZIP, &layer).annotated(ANNOTATION_TITLE, title);
        let bundle = &submission.document.bundle;
        let annotations = [
            (ANNOTATION_GENERATION, Some(submission.generation.to_string())),
            (ANNOTATION_REVISION, Some(submission.revision.to_string())),
            (ANNOTATION_APPLICATION, Some(submission.key.application.path())),
            (ANNOTATION_ENVIRONMENT, Some(submission.key.environment.to_string())),
            (ANNOTATION_VERSION, Some(bundle.version.to_string())),
            (ANNOTATION_SOURCE, bundle.source.clone()),
            (ANNOTATION_COMMIT, bundle.commit.clone()),
            (ANNOTATION_SECRETS, (!left_out.is_empty()).then(|| left_out.join(","))),
            (ANNOTATION_TASKS, done_tasks(submission)),
        ];
        let manifest = ImageManifest::artifact(REVISION_ARTIFACT, config.clone(), vec![content.clone()]);
        let manifest = annotations
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .fold(manifest, |manifest, (key, value)| manifest.annotated(key, value));
        Self {
            manifest: StoredManifest {
                media_type: OCI_MANIFEST.to_owned(),
                bytes: canonical_json(&manifest),
            },
            files: files.into_iter().map(|(name, _)| name).collect(),
            left_out,
            blobs: [(config, document), (content, layer)],
        }
    }

    /// What must be in the repository before the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = (&Descriptor, &Bytes)> {
        self.blobs.iter().map(|(descriptor, bytes)| (descriptor, bytes))
    }
}

/// The Jobs and Pods of hooks of a revision that are not run again, by name.
fn done_tasks(submission: &Submission) -> Option<String> {
    if submission.tasks == Tasks::Run {
        return None;
    }
    let graph = &submission.document.graph;
    let objects = graph.objects().map(|(_, object)| &object.object);
    let names: Vec<String> = objects.filter(|object| graph.has_task(object)).map(short_name).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn layer(files: &[(String, String)]) -> Bytes {
    let entries = files.iter().map(|(name, text)| {
        let (size, reader) = (text.len() as u64, text.as_bytes());
        io::Result::Ok(Entry {
            path: name.clone(),
            content: Content::File { size, executable: false, reader },
        })
    });
    let mut out = Vec::new();
    archive::write(entries, &mut out).expect("invariant: file names are sorted and memory takes every byte");
    out.into()
}

/// Generation and revision of a manifest that Slipway wrote.
pub(super) fn origin(manifest: &[u8]) -> Option<(u64, Digest)> {
    let manifest: ImageManifest = serde_json::from_slice(manifest).ok()?;
    let annotation = |key: &str| manifest.annotations.get(key);
    Some((annotation(ANNOTATION_GENERATION)?.parse().ok()?, annotation(ANNOTATION_REVISION)?.parse().ok()?))
}
