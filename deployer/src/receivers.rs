//! The receiver of an environment.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use slipway_handoff::admission::{needs, wanting};
use slipway_handoff::http::{HttpOptions, HttpReceiver, SigningKey};
use slipway_handoff::kubevela::{ClusterWriter, KubevelaOptions, KubevelaReceiver};
use slipway_handoff::oci::{OciOptions, OciReceiver, RegistryStore};
use slipway_handoff::{
    Adoption, Answer, CONTRACT_VERSION, Capability, Cause, CoreReceiver, Key, Mode, NodeName, ObjectRef,
    Proof, ProofKind, Receiver, ReceiverError, ReceiverKind, Revision, Submission, Tasks,
};
use slipway_kubernetes::{Cluster, FIELD_MANAGER, ObjectKey};
use slipway_oci::source::INTERNAL_HOST;
use slipway_records::{AdoptedObject, Approval, Deployment, DeploymentCause, Environment};
use slipway_types::environment::ReceiverSettings;
use slipway_types::{ApplicationName, Class, Digest, Fault, Violation};

use crate::handler::is_removal;
use crate::plan::Frozen;
use crate::stage::Stage;

/// So many nodes are named that need what a receiver cannot.
const NODES_TOLD_MAX: usize = 5;

impl Stage {
    /// The kinds of receivers that this server has.
    pub fn receivers(&self) -> Vec<ReceiverKind> {
        let mut kinds = vec![ReceiverKind::Oci, ReceiverKind::Kubevela, ReceiverKind::Http];
        kinds.extend(self.core.as_ref().map(|_| ReceiverKind::Core));
        kinds
    }

    /// The receiver of an environment.
    pub async fn receiver(&self, environment: &Environment) -> Result<Box<dyn Receiver>, Fault> {
        Ok(match &environment.settings.receiver {
            ReceiverSettings::Oci { secrets, argo_waves, .. } => {
                let options =
                    OciOptions { secrets: *secrets, argo_waves: *argo_waves, ..OciOptions::default() };
                let at = INTERNAL_HOST.parse().expect("invariant: the internal host is a registry's");
                let store = RegistryStore::new(Arc::new(self.images.clone()), self.blobs.clone(), at);
                Box::new(OciReceiver::new(Arc::new(store), options))
            }
            ReceiverSettings::Kubevela { secrets, namespace } => {
                let cluster = Arc::new(Writer {
                    name: format!("the cluster {}", environment.address.cluster()),
                    cluster: self.cluster_of(environment).await?,
                    namespace: environment.address.namespace().to_owned(),
                });
                let options = KubevelaOptions {
                    secrets: *secrets,
                    namespace: namespace.clone(),
                    ..KubevelaOptions::default()
                };
                Box::new(KubevelaReceiver::new(cluster, options))
            }
            ReceiverSettings::Http { url, key_id, key } => {
                let secret = self.secrets.resolve(key).await?;
                let wrong = |error: &dyn std::fmt::Display| {
                    Fault::permanent("receiver_config", format!("environment {}: {error}", environment.name))
                };
                let key = SigningKey::new(key_id.clone(), &secret.value).map_err(|error| wrong(&error))?;
                let base = slipway_handoff::settings::base_url(url, self.options.allow_http);
                let base = base.map_err(|error| wrong(&format!("receiver.url: {error}")))?;
                let receiver = HttpReceiver::new(base, key, &self.network, HttpOptions::default());
                Box::new(receiver.map_err(|error| wrong(&error))?)
            }
            ReceiverSettings::Core {} => match &self.core {
                Some(core) => {
                    Box::new(CoreReceiver::new(Arc::clone(core), slipway_handoff::Limits::default()))
                }
                None => {
                    let message = "this server has no built-in reconcile core";
                    return Err(Fault::permanent("receiver_unavailable", message)
                        .hint("give the environment another receiver: oci, http or kubevela"));
                }
            },
        })
    }

    /// What an environment's receiver cannot do of a revision; all of it, before anything is handed off.
    pub async fn objections(
        &self,
        environment: &Environment,
        revision: &Revision,
        mode: Mode,
    ) -> Result<Vec<Violation>, Fault> {
        let receiver = match self.receiver(environment).await {
            Ok(receiver) => receiver,
            Err(fault) if fault.class == Class::Permanent => {
                let violation = Violation::new("receiver_config", "receiver", fault.message);
                return Ok(vec![match fault.hint {
                    Some(hint) => violation.hint(hint),
                    None => violation,
                }]);
            }
            Err(fault) => return Err(fault),
        };
        let can = receiver.allows(revision).await?;
        let violation = |capability| {
            let asking = named(revision, capability);
            let message = format!("the receiver `{}` cannot do `{capability}`{asking}", receiver.kind());
            Violation::new("receiver_cannot", "receiver", message).hint(wanting(capability))
        };
        Ok(needs(revision, mode).into_iter().filter(|need| !can.contains(need)).map(violation).collect())
    }

    /// Until when a deployment is to be brought about: counted from when its receiver was first asked. Until then it
    /// is for how long it may wait for what cannot be reached: counted from when it might go out.
    pub fn deadline(&self, deployment: &Deployment) -> DateTime<Utc> {
        // The same at each try, so that handing off again says the same.
        let since = deployment.state.deadline_since();
        let begun = since.or(deployment.frozen_at).unwrap_or(deployment.created_at);
        begun + TimeDelta::minutes(i64::from(self.options.deadline_minutes))
    }

    /// The cluster of an environment's address.
    pub async fn cluster_of(&self, environment: &Environment) -> Result<Arc<Cluster>, Fault> {
        let name = environment.address.cluster();
        let row = self.cluster_row(environment).await?.ok_or_else(|| {
            Fault::permanent("unregistered_cluster", format!("there is no cluster `{name}`"))
                .hint(format!("register it: slipway cluster add {name}"))
        })?;
        self.clusters.of(&row).await
    }

    /// The record of that cluster.
    pub async fn cluster_row(
        &self,
        environment: &Environment,
    ) -> Result<Option<slipway_records::Cluster>, Fault> {
        let name = environment.address.cluster().parse();
        let name = name.expect("invariant: an address is made of names");
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        read.cluster_by_name(&name).await.map_err(|error| crate::records_fault(&error))
    }
}

/// The first steps and components that need a capability, for people.
fn named(revision: &Revision, capability: Capability) -> String {
    let names: Vec<&NodeName> = revision.asking_for(capability).collect();
    let told = names.iter().take(NODES_TOLD_MAX).map(|name| match name.strip_prefix("step.") {
        Some(step) => format!("the step `{step}`"),
        None => format!("`{name}`"),
    });
    let told: Vec<String> = told.collect();
    match names.len().saturating_sub(told.len()) {
        _ if told.is_empty() => String::new(),
        0 => format!(", needed by {}", told.join(", ")),
        more => format!(", needed by {} and {more} more", told.join(", ")),
    }
}

/// What is handed off for a deployment.
pub fn submission(
    stage: &Stage,
    deployment: &Deployment,
    application: &ApplicationName,
    environment: &Environment,
    frozen: &Frozen,
    approvals: &[Approval],
    signatures: &BTreeSet<Digest>,
) -> Submission {
    let by = deployment.created_by.clone();
    let approved =
        approvals.iter().filter(|approval| Some(approval.revision) == deployment.revision).map(|approval| {
            Proof {
                kind: ProofKind::Approval,
                digest: Digest::of(format!("{}\n{}\n{}", approval.person, approval.revision, approval.at)),
            }
        });
    let signed = signatures.iter().map(|digest| Proof { kind: ProofKind::Signature, digest: *digest });
    let proof = approved.chain(signed).collect();
    Submission {
        contract: CONTRACT_VERSION,
        key: key(application, environment),
        generation: deployment.generation,
        mode: if is_removal(deployment) { Mode::Delete } else { Mode::Apply },
        revision: frozen.revision.digest(),
        document: frozen.revision.clone(),
        proof,
        predecessor: deployment.predecessor,
        cause: match &deployment.cause {
            DeploymentCause::Deploy
            | DeploymentCause::Promote { .. }
            | DeploymentCause::Follow
            | DeploymentCause::Reach { .. }
            | DeploymentCause::Remove { .. }
            | DeploymentCause::Adopt { .. } => Cause::Deploy { by },
            DeploymentCause::Rollback { reason, .. } => Cause::Rollback { by, reason: reason.clone() },
            DeploymentCause::Restart { .. } => Cause::Rotation { by },
        },
        deadline: stage.deadline(deployment),
        tasks: if deployment.cause.is_return() { Tasks::Done } else { Tasks::Run },
        adopt: deployment.cause.leave().iter().map(adoption).collect(),
    }
}

fn adoption(leave: &AdoptedObject) -> Adoption {
    let AdoptedObject { api_version, kind, namespace, name, uid } = leave.clone();
    Adoption { object: ObjectRef { api_version, kind, namespace, name }, uid }
}

/// The receiver's name for what it took.
///
/// # Errors
///
/// It did not take it: the fault says why.
pub(crate) fn accepted(answer: Answer) -> Result<String, Fault> {
    match answer {
        Answer::Accepted { run } => Ok(run),
        Answer::Rejected { violations } => Err(Fault::permanent("receiver_rejected", in_words(&violations))),
        Answer::Stale { current } => {
            let message = format!("the receiver knows generation {current} already");
            Err(Fault::permanent("receiver_stale", message))
        }
        Answer::Conflict { revision } => {
            let message = format!("the receiver has another revision, {revision}, under this generation");
            Err(Fault::permanent("receiver_conflict", message))
        }
        Answer::Unsupported { capability, reason } => {
            let message = format!("the receiver cannot do `{capability}`: {reason}");
            Err(Fault::permanent("receiver_unsupported", message))
        }
    }
}

/// All violations in one line.
pub(crate) fn in_words(violations: &[Violation]) -> String {
    let said: Vec<String> = violations
        .iter()
        .map(|violation| match &violation.hint {
            Some(hint) => format!("{violation} ({hint})"),
            None => violation.to_string(),
        })
        .collect();
    said.join("; ")
}

/// What is deployed where.
pub fn key(application: &ApplicationName, environment: &Environment) -> Key {
    Key { environment: environment.address.clone(), application: application.clone() }
}

/// Objects of one cluster, as the KubeVela receiver writes them.
struct Writer {
    name: String,
    cluster: Arc<Cluster>,
    namespace: String,
}

impl Writer {
    fn key(&self, reference: &ObjectRef) -> ObjectKey {
        ObjectKey {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            namespace: reference.namespace.clone().unwrap_or_else(|| self.namespace.clone()),
            name: reference.name.clone(),
        }
    }
}

fn unavailable(error: &slipway_kubernetes::CallError) -> ReceiverError {
    let receiver = "the cluster".to_owned();
    match error {
        slipway_kubernetes::CallError::Away(why) => {
            ReceiverError::Unavailable { receiver, why: why.clone(), retry_after_ms: None }
        }
        slipway_kubernetes::CallError::Unreachable(outage) => {
            ReceiverError::Unavailable { receiver, why: outage.to_string(), retry_after_ms: None }
        }
        slipway_kubernetes::CallError::Refused(status) => {
            ReceiverError::Refused { receiver, why: status.message.clone() }
        }
    }
}

#[async_trait]
impl ClusterWriter for Writer {
    async fn get(&self, reference: &ObjectRef) -> Result<Option<Value>, ReceiverError> {
        self.cluster.get(&self.key(reference)).await.map_err(|error| unavailable(&error))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn delete(&self, reference: &ObjectRef) -> Result<(), ReceiverError> {
        self.cluster.delete(&self.key(reference)).await.map_err(|error| unavailable(&error))
    }

    async fn apply(&self, object: &Value) -> Result<(), ReceiverError> {
        let refused =
            |why: &str| ReceiverError::Refused { receiver: "the cluster".to_owned(), why: why.to_owned() };
        let reference = ObjectRef::of(object).ok_or_else(|| refused("the object has no name"))?;
        let applied = self.cluster.apply(&self.key(&reference), object, FIELD_MANAGER).await;
        applied.map_err(|error| unavailable(&error))?.ok_or_else(|| {
            refused("it does not know KubeVela's Application: is KubeVela installed there?")
        })?;
        Ok(())
    }
}
