//! The `kubevela` receiver: a revision as an `Application` object in a cluster that runs KubeVela.
//!
//! Every node with objects is a component of type `k8s-objects` that holds them as they were rendered;
//! what a node needs, its component depends on. KubeVela calls a component of that type healthy once
//! its objects are applied, so the order holds and readiness is KubeVela's word, not Slipway's.
//!
//! The annotation `app.oam.dev/publishVersion` carries the generation: KubeVela starts over when it
//! changes, and its status says which one it is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::Value;
use slipway_types::{Digest, Violation};

use crate::admission::{Known, admit, admit_objects};
use crate::answer::{Answer, Capability};
use crate::event::Event;
use crate::manifests::Manifests;
use crate::node::ObjectRef;
use crate::receiver::{Receiver, ReceiverError, ReceiverKind};
use crate::revision::Limits;
use crate::settings::SecretHandling;
use crate::submission::{Key, Mode, Submission};

pub mod application;
pub mod status;

pub use application::object_name;

/// The field manager of objects that this receiver applies.
pub const FIELD_MANAGER: &str = "slipway-handoff";

/// A cluster, as far as this receiver needs one.
#[async_trait]
pub trait ClusterWriter: Send + Sync {
    /// Its name, for people.
    fn name(&self) -> String;

    /// Applies an object by server-side apply as [`FIELD_MANAGER`], taking fields over from others.
    async fn apply(&self, object: &Value) -> Result<(), ReceiverError>;

    /// An object as it is; `None` if it is not there, or its kind is not.
    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ReceiverError>;

    /// Removes an object and then all that it owns. One that is not there is removed.
    async fn delete(&self, object: &ObjectRef) -> Result<(), ReceiverError>;
}

/// How Applications are written.
#[derive(Debug, Clone, Default)]
pub struct KubevelaOptions {
    /// Where the Applications lie; `None`: in the environment's namespace.
    pub namespace: Option<String>,
    /// What happens to Secrets that refer to the secret store.
    pub secrets: SecretHandling,
    /// What a revision may be at most.
    pub limits: Limits,
    /// One Application, in bytes.
    pub max_application_bytes: MaxApplicationBytes,
}

/// One Application, in bytes. Clusters keep no objects above 1.5 MiB, and KubeVela keeps each twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxApplicationBytes(pub usize);

impl Default for MaxApplicationBytes {
    fn default() -> Self {
        Self(700 << 10)
    }
}

/// Writes Applications into a cluster.
#[derive(Clone)]
pub struct KubevelaReceiver {
    cluster: Arc<dyn ClusterWriter>,
    options: KubevelaOptions,
}

impl KubevelaReceiver {
    /// Writes into `cluster`.
    pub fn new(cluster: Arc<dyn ClusterWriter>, options: KubevelaOptions) -> Self {
        Self { cluster, options }
    }

    fn declared(&self) -> BTreeSet<Capability> {
        let mut declared = BTreeSet::from([Capability::Observe, Capability::Delete, Capability::Ownership]);
        if self.options.secrets == SecretHandling::External {
            declared.insert(Capability::Secrets);
        }
        declared
    }

    fn application(&self, key: &Key) -> ObjectRef {
        application::reference(key, self.options.namespace.as_deref())
    }

    /// The newest generation: of the Application, or of the mark that a removed one left.
    async fn known(&self, key: &Key) -> Result<Result<Option<Known>, Violation>, ReceiverError> {
        let reference = self.application(key);
        for object in [reference.clone(), application::mark_reference(&reference)] {
            let Some(found) = self.cluster.get(&object).await? else { continue };
            return Ok(match application::origin(&found, key) {
                Some((generation, revision)) => {
                    Ok(Some(Known { generation, revision, run: self.run(&reference, generation) }))
                }
                None => Err(Violation::new(
                    "object_foreign",
                    object.to_string(),
                    format!("{object} in {} belongs to somebody else", self.cluster.name()),
                )
                .hint("remove it, or give the environment another namespace for Applications")),
            });
        }
        Ok(Ok(None))
    }

    fn run(&self, application: &ObjectRef, generation: u64) -> String {
        let namespace = application.namespace.as_deref().unwrap_or_default();
        format!("{}/{namespace}/{}@g{generation}", self.cluster.name(), application.name)
    }

    async fn apply(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Result<(), Vec<Violation>>, ReceiverError> {
        let reference = self.application(&submission.key);
        let max_bytes = self.options.limits.max_manifest_bytes;
        let object = application::build(&reference, submission, manifests, max_bytes).await?;
        let (is, most) = (object.to_string().len(), self.options.max_application_bytes.0);
        if is > most {
            let message = format!("the Application has {is} bytes, max_application_bytes is {most}");
            let large = Violation::new("application_too_large", "graph", message);
            return Ok(Err(vec![large.hint("split the application, or use another receiver")]));
        }
        self.cluster.apply(&object).await?;
        // It took the mark's place.
        self.cluster.delete(&application::mark_reference(&reference)).await?;
        Ok(Ok(()))
    }

    async fn remove(&self, submission: &Submission) -> Result<(), ReceiverError> {
        let reference = self.application(&submission.key);
        // First the mark: without it an older generation on its way would bring the application back.
        self.cluster.apply(&application::mark(&reference, submission)).await?;
        self.cluster.delete(&reference).await
    }
}

#[async_trait]
impl Receiver for KubevelaReceiver {
    fn kind(&self) -> ReceiverKind {
        ReceiverKind::Kubevela
    }

    async fn capabilities(&self) -> Result<BTreeSet<Capability>, ReceiverError> {
        Ok(self.declared())
    }

    async fn submit(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError> {
        let known = match self.known(&submission.key).await? {
            Ok(known) => known,
            Err(violation) => return Ok(Answer::Rejected { violations: vec![violation] }),
        };
        if let Some(answer) = admit(submission, known.as_ref(), &self.declared(), &self.options.limits) {
            return Ok(answer);
        }
        let run = self.run(&self.application(&submission.key), submission.generation);
        if submission.mode == Mode::Delete {
            self.remove(submission).await?;
            return Ok(Answer::Accepted { run });
        }
        if let Some(answer) = admit_objects(submission, manifests, &self.options.limits).await? {
            return Ok(answer);
        }
        Ok(match self.apply(submission, manifests).await? {
            Ok(()) => Answer::Accepted { run },
            Err(violations) => Answer::Rejected { violations },
        })
    }

    async fn observe(&self, key: &Key, since: u64) -> Result<Vec<Event>, ReceiverError> {
        let reference = self.application(key);
        if let Some(found) = self.cluster.get(&reference).await?
            && application::origin(&found, key).is_some()
        {
            return Ok(status::events(&found, key, since, Utc::now()));
        }
        let mark = self.cluster.get(&application::mark_reference(&reference)).await?;
        Ok(mark.map(|mark| status::deleted(&mark, key, since, Utc::now())).unwrap_or_default())
    }
}

/// Generation and revision that an annotation pair says.
fn annotated(object: &Value) -> Option<(u64, Digest)> {
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
    let generation = annotation(crate::oci::ANNOTATION_GENERATION)?.parse().ok()?;
    Some((generation, annotation(crate::oci::ANNOTATION_REVISION)?.parse().ok()?))
}

#[cfg(test)]
mod tests;
