//! The `oci` receiver: rendered manifests as an OCI artifact that Flux, Argo CD, `oras` and `kubectl`
//! take as it is.
//!
//! One image manifest. Its configuration blob is the revision's canonical document, so the
//! configuration's digest *is* the revision. Its one layer is a gzipped tar of one YAML file an
//! object, in the order of the graph. The tag `g<generation>` never moves; `live` moves last.
//!
//! To take an application away is to write an artifact without its objects: pullers that prune remove
//! them. What is left is a ConfigMap that says so, for none of them takes an artifact without objects,
//! and the namespace, which may hold what others own.
//!
//! It reports nothing back. An object with a secret is never written: such a revision is refused, or,
//! with `secrets: external`, its Secrets are left out and named in an annotation.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use slipway_types::Digest;

use crate::admission::{Known, admit, admit_objects};
use crate::answer::{Answer, Capability};
use crate::manifests::Manifests;
use crate::node::ObjectRef;
use crate::receiver::{Receiver, ReceiverError, ReceiverKind};
use crate::revision::{Limits, Revision};
use crate::settings::SecretHandling;
use crate::submission::{Key, Mode, Submission};

pub mod artifact;
mod files;
mod registry;
pub mod store;
mod yaml;

pub use artifact::Artifact;
pub use registry::RegistryStore;
pub use store::{ArtifactStore, MemoryStore, StoredManifest};

/// `artifactType` of a revision.
pub const REVISION_ARTIFACT: &str = "application/vnd.slipway.revision.v1";
/// Media type of the revision's document.
pub const REVISION_CONFIG: &str = "application/vnd.slipway.revision.config.v1+json";
/// The generation.
pub const ANNOTATION_GENERATION: &str = "dev.slipway.generation";
/// The revision.
pub const ANNOTATION_REVISION: &str = "dev.slipway.revision";
/// The application.
pub const ANNOTATION_APPLICATION: &str = "dev.slipway.application";
/// The environment's address.
pub const ANNOTATION_ENVIRONMENT: &str = "dev.slipway.environment";
/// Secrets that were left out, `namespace/name`, separated by commas.
pub const ANNOTATION_SECRETS: &str = "dev.slipway.secrets-left-out";
/// Jobs that were left out since they are done, `namespace/name`, separated by commas.
pub const ANNOTATION_TASKS: &str = "dev.slipway.tasks-left-out";
/// The tag that names the newest generation.
pub const LIVE_TAG: &str = "live";

/// How artifacts are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct OciOptions {
    /// What happens to Secrets that refer to the secret store.
    pub secrets: SecretHandling,
    /// Whether every object tells Argo CD its wave: the number of nodes before it, one after another.
    pub argo_waves: bool,
    /// What a revision may be at most.
    pub limits: Limits,
    /// All files of one artifact together, in bytes.
    pub max_artifact_bytes: MaxArtifactBytes,
}

/// All files of one artifact together, in bytes. Argo CD itself reads 10 MB unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxArtifactBytes(pub usize);

impl Default for MaxArtifactBytes {
    fn default() -> Self {
        Self(64 << 20)
    }
}

/// Writes submissions into a registry.
#[derive(Clone)]
pub struct OciReceiver {
    store: Arc<dyn ArtifactStore>,
    options: OciOptions,
}

/// The repository of a key: `team/app/d/unit/cluster/namespace/stage`.
pub fn repository(key: &Key) -> String {
    format!("{}/d/{}", key.application.path(), key.environment)
}

/// The tag of a generation.
pub fn generation_tag(generation: u64) -> String {
    slipway_oci::builtin::generation_tag(generation)
}

impl OciReceiver {
    /// Writes into `store`.
    pub fn new(store: Arc<dyn ArtifactStore>, options: OciOptions) -> Self {
        Self { store, options }
    }

    fn declared(&self) -> BTreeSet<Capability> {
        let mut declared = BTreeSet::from([Capability::Delete]);
        if self.options.secrets == SecretHandling::External {
            declared.insert(Capability::Secrets);
        }
        declared
    }

    /// What a submission may ask for. Conditions on its own objects decide when something is live,
    /// which this receiver never says; waiting for others' objects is what it cannot do.
    fn allowed(&self, document: &Revision) -> BTreeSet<Capability> {
        let mut allowed = self.declared();
        if document.graph.nodes().values().all(|node| node.waits.is_empty()) {
            allowed.insert(Capability::Conditions);
        }
        allowed
    }

    /// What a tag names, read from its manifest.
    async fn known(&self, repository: &str, tag: &str) -> Result<Option<Known>, ReceiverError> {
        let Some(found) = self.store.tagged(repository, tag).await? else { return Ok(None) };
        let foreign = || ReceiverError::Refused {
            receiver: self.store.location(repository),
            why: format!("the tag {tag} names something that Slipway did not write: remove the tag"),
        };
        let (generation, revision) = artifact::origin(&found.bytes).ok_or_else(foreign)?;
        Ok(Some(Known { generation, revision, run: self.run(repository, &found.digest()) }))
    }

    fn run(&self, repository: &str, digest: &Digest) -> String {
        format!("{}@{digest}", self.store.location(repository))
    }

    async fn write(&self, repository: &str, artifact: &Artifact, tag: &str) -> Result<(), ReceiverError> {
        for (descriptor, bytes) in artifact.blobs() {
            self.store.put_blob(repository, descriptor, bytes).await?;
        }
        self.store.put_manifest(repository, &artifact.manifest, Some(tag)).await?;
        self.store.put_manifest(repository, &artifact.manifest, Some(LIVE_TAG)).await
    }
}

#[async_trait]
impl Receiver for OciReceiver {
    fn kind(&self) -> ReceiverKind {
        ReceiverKind::Oci
    }

    async fn capabilities(&self) -> Result<BTreeSet<Capability>, ReceiverError> {
        Ok(self.declared())
    }

    async fn allows(&self, document: &Revision) -> Result<BTreeSet<Capability>, ReceiverError> {
        Ok(self.allowed(document))
    }

    async fn submit(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError> {
        let (limits, repository) = (&self.options.limits, repository(&submission.key));
        let live = self.known(&repository, LIVE_TAG).await?;
        let allowed = self.allowed(&submission.document);
        if let Some(answer) = admit(submission, live.as_ref(), &allowed, limits) {
            return Ok(answer);
        }
        if submission.mode == Mode::Apply && submission.graph().is_empty() {
            return Ok(Answer::Unsupported {
                capability: "empty".to_owned(),
                reason: "neither Flux nor Argo CD takes an artifact without objects: take the application \
                         away instead"
                    .to_owned(),
            });
        }
        // Written before its tag: a generation that did not come to be live.
        let tag = generation_tag(submission.generation);
        let begun = self.known(&repository, &tag).await?;
        if let Some(begun) = begun.filter(|begun| begun.revision != submission.revision) {
            return Ok(Answer::Conflict { revision: begun.revision });
        }
        if let Some(live) = live.filter(|live| live.generation == submission.generation) {
            return Ok(Answer::Accepted { run: live.run });
        }
        if let Some(answer) = admit_objects(submission, manifests, limits).await? {
            return Ok(answer);
        }
        match Artifact::build(submission, manifests, &self.options).await? {
            Ok(artifact) => {
                self.write(&repository, &artifact, &tag).await?;
                Ok(Answer::Accepted { run: self.run(&repository, &artifact.manifest.digest()) })
            }
            Err(violations) => Ok(Answer::Rejected { violations }),
        }
    }
}

/// How what is left out is named in [`ANNOTATION_SECRETS`] and [`ANNOTATION_TASKS`].
fn short_name(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.clone(),
    }
}

#[cfg(test)]
mod tests;
