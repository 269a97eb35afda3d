//! A cluster: its API server, and what its one watch knows of our Jobs and pods.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use slipway_kubernetes::{CallError, connect, read_kubeconfig};
use slipway_network::Network;
use slipway_records::port::ClusterLoad;
use slipway_types::Fault;
use tokio::sync::{OnceCell, watch};

use super::objects::{Attempt, OWNER};
use super::options::{ClusterOptions, KanikoOptions};
use super::phase::{Phase, is_live, read};
use super::rights;

/// How often what the watch may have missed is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The part of an API server's words that is shown, in characters.
const SAID_CHARS_MAX: usize = 300;
/// How long the watch may take to know the Jobs that there are.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// A cluster that runs Jobs.
pub(super) struct Cluster {
    options: ClusterOptions,
    owner: String,
    network: Network,
    call_timeout: Duration,
    link: OnceCell<Link>,
    /// Attempts of this process that have a place.
    placed: Mutex<HashSet<Attempt>>,
}

/// A client, and what is watched by it.
struct Link {
    client: Client,
    jobs: Store<Job>,
    pods: Store<Pod>,
    changed: watch::Receiver<u64>,
    /// Why a watch is broken just now, so that what is known may be old.
    broken: Broken,
}

type Broken = Arc<Mutex<Option<String>>>;

impl Link {
    fn why_broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a watch failed: what the API server said, or why it could not be asked.
fn reason(error: &watcher::Error) -> String {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |e| e.source());
    let last = causes.last().map(ToString::to_string).unwrap_or_default();
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    let said = status.map_or(last, |status| format!("{} {}", status.code, status.message));
    said.chars().take(SAID_CHARS_MAX).collect()
}

/// A right to one of a cluster's Jobs, while it is held.
pub(super) struct Place<'a> {
    pub(super) cluster: &'a Cluster,
    attempt: Attempt,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.cluster.placed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
    }
}

impl Cluster {
    pub(super) fn new(options: ClusterOptions, kaniko: &KanikoOptions) -> Self {
        Self {
            options,
            owner: kaniko.owner.clone(),
            network: kaniko.network.clone(),
            call_timeout: Duration::from_millis(kaniko.call_timeout_ms),
            link: OnceCell::new(),
            placed: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.options.name.clone()
    }

    /// What answers, for people; fails if it may not be used as it must.
    pub(super) async fn usable(&self) -> Result<String, Fault> {
        let version = self.version().await?;
        let (client, namespace) = (&self.link().await?.client, &self.options.namespace);
        let looked = tokio::time::timeout(self.call_timeout, rights::missing(client, namespace)).await;
        let missing = match looked {
            Ok(missing) => missing.map_err(|error| self.away(&slipway_types::fault::chain(&error)))?,
            Err(_) => return Err(self.away("no answer within call_timeout_ms")),
        };
        if missing.is_empty() {
            self.probe().await?;
            return Ok(format!("{version}, namespace {namespace}, up to {} Jobs", self.options.max_jobs));
        }
        let (name, missing) = (&self.options.name, missing.join(", "));
        let message =
            format!("the cluster {name} does not let this server {missing} in namespace {namespace}");
        Err(Fault::permanent("cluster_rights", message).hint("Give it a Role with these rights."))
    }

    /// Asks what would become of a Secret: of a namespace that is not there the rights say nothing.
    async fn probe(&self) -> Result<(), Fault> {
        let secret = Secret {
            metadata: ObjectMeta { name: Some("slipway-probe".to_owned()), ..ObjectMeta::default() },
            ..Secret::default()
        };
        let api = self.api::<Secret>().await.map_err(|error| self.fault(error))?;
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        match self.ask(api.create(&parameters, &secret)).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// What answers, for people.
    pub(super) async fn version(&self) -> Result<String, Fault> {
        let client = &self.link().await?.client;
        match tokio::time::timeout(self.call_timeout, client.apiserver_version()).await {
            Ok(Ok(info)) => Ok(format!("Kubernetes {}", info.git_version)),
            Ok(Err(error)) => Err(self.away(&slipway_types::fault::chain(&error))),
            Err(_) => Err(self.away("no answer within call_timeout_ms")),
        }
    }

    /// What the watch knows of our Jobs, and whether the API server answers.
    pub(super) async fn load(&self) -> ClusterLoad {
        let is_watched = self.link.get().is_none_or(|link| link.why_broken().is_none());
        let is_up = is_watched && self.version().await.is_ok();
        let (mut waiting, mut running) = (0, 0);
        if let Some(link) = self.link.get() {
            for job in link.jobs.state().iter().filter(|job| is_live(job)) {
                let attempt = Attempt::of(Some(job.labels()));
                let pods = link.pods.state_filter(|pod| Attempt::of(Some(pod.labels())) == attempt);
                match read(job, &pods) {
                    Phase::Waiting { .. } => waiting += 1,
                    Phase::Running { .. } => running += 1,
                    _ => {}
                }
            }
        }
        ClusterLoad { name: self.name(), is_up, waiting, running, max: self.options.max_jobs }
    }

    fn away(&self, why: &str) -> Fault {
        let message = format!("the cluster {} cannot be used just now: {why}", self.options.name);
        Fault::transient("cluster_unavailable", message)
    }

    async fn link(&self) -> Result<&Link, Fault> {
        self.link.get_or_try_init(|| self.connect()).await
    }

    /// Reads the configuration and begins to watch; the server need not answer yet.
    async fn connect(&self) -> Result<Link, Fault> {
        let wrong = |why: String| {
            let message = format!("the cluster {} cannot be used: {why}", self.options.name);
            Fault::permanent("cluster_config", message)
        };
        let file = self.options.kubeconfig.as_deref().map(read_kubeconfig).transpose();
        let file = file.map_err(|error| wrong(error.to_string()))?;
        let client = connect(file, self.options.context.as_deref(), &self.network).await;
        let client = client.map_err(|error| wrong(error.to_string()))?;
        let (changes, changed) = watch::channel(0);
        let changes = Arc::new(changes);
        let broken = Broken::default();
        let jobs = self.watch(Api::namespaced(client.clone(), &self.options.namespace), &changes, &broken);
        let pods = self.watch(Api::namespaced(client.clone(), &self.options.namespace), &changes, &broken);
        Ok(Link { client, jobs, pods, changed, broken })
    }

    fn watch<K>(&self, api: Api<K>, changes: &Arc<watch::Sender<u64>>, broken: &Broken) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let config = watcher::Config::default().labels(&format!("{OWNER}={}", self.owner));
        let events = watcher(api, config).default_backoff();
        let events = reflector::reflector(writer, events);
        let (changes, broken, cluster) = (Arc::clone(changes), Arc::clone(broken), self.options.name.clone());
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let why = event.err().map(|error| reason(&error));
                let was = std::mem::replace(
                    &mut *broken.lock().unwrap_or_else(PoisonError::into_inner),
                    why.clone(),
                );
                match (was, why) {
                    (was, Some(why)) if was.as_ref() != Some(&why) => {
                        tracing::warn!(cluster, why, "the cluster cannot be watched; builds on it wait");
                    }
                    (Some(_), None) => tracing::info!(cluster, "the cluster is watched again"),
                    _ => {}
                }
                changes.send_modify(|count| *count += 1);
            }
        });
        store
    }

    /// Tells when something changed.
    pub(super) async fn changes(&self) -> Result<watch::Receiver<u64>, Fault> {
        Ok(self.link().await?.changed.clone())
    }

    async fn known(&self) -> Result<&Link, Fault> {
        let link = self.link().await?;
        let ready = async { tokio::join!(link.jobs.wait_until_ready(), link.pods.wait_until_ready()) };
        let (jobs, pods) = tokio::time::timeout(KNOWN_WITHIN, ready).await.map_err(|_| {
            let why = link.why_broken();
            self.away(why.as_deref().unwrap_or("its Jobs could not be listed"))
        })?;
        jobs.and(pods).map_err(|_| self.away("its watch has ended"))?;
        Ok(link)
    }

    /// Whether the attempt's Job is there.
    pub(super) async fn has(&self, attempt: &Attempt) -> Result<bool, Fault> {
        let link = self.known().await?;
        if let Some(why) = link.why_broken() {
            return Err(self.away(&why));
        }
        Ok(link.jobs.get(&ObjectRef::new(&attempt.name()).within(&self.options.namespace)).is_some())
    }

    /// The Job and its pods, the oldest first, as the watch knows them.
    pub(super) async fn seen(&self, attempt: &Attempt) -> Result<(Option<Arc<Job>>, Vec<Arc<Pod>>), Fault> {
        let link = self.known().await?;
        let job = link.jobs.get(&ObjectRef::new(&attempt.name()).within(&self.options.namespace));
        let mut pods =
            link.pods.state_filter(|pod| Attempt::of(Some(pod.labels())).as_ref() == Some(attempt));
        oldest_first(&mut pods);
        Ok((job, pods))
    }

    /// How many Jobs more may run.
    pub(super) fn room(&self) -> usize {
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        self.options.max_jobs.saturating_sub(self.taken(&placed))
    }

    /// Jobs that run, whoever made them, and those that this process is about to make.
    fn taken(&self, placed: &HashSet<Attempt>) -> usize {
        let jobs = self.link.get().map(|link| link.jobs.state()).unwrap_or_default();
        let live = jobs.iter().filter(|job| is_live(job));
        let mut all: HashSet<Attempt> = live.filter_map(|job| Attempt::of(Some(job.labels()))).collect();
        all.extend(placed);
        all.len()
    }

    /// A place for a new Job, if there is room.
    pub(super) fn reserve(&self, attempt: &Attempt) -> Option<Place<'_>> {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.taken(&placed) >= self.options.max_jobs {
            return None;
        }
        placed.insert(*attempt);
        Some(Place { cluster: self, attempt: *attempt })
    }

    /// The place of a Job that is there.
    pub(super) fn place_of(&self, attempt: &Attempt) -> Place<'_> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner).insert(*attempt);
        Place { cluster: self, attempt: *attempt }
    }

    async fn api<K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>>(
        &self,
    ) -> Result<Api<K>, CallError> {
        let link = self.link().await.map_err(|fault| CallError::Away(fault.message))?;
        Ok(Api::namespaced(link.client.clone(), &self.options.namespace))
    }

    async fn ask<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map_err(CallError::of),
            Err(_) => Err(CallError::Away("no answer within call_timeout_ms".to_owned())),
        }
    }

    /// Makes an object and gives it; nothing if there is one of that name, which is left as it is.
    pub(super) async fn create<K>(&self, object: &K) -> Result<Option<K>, CallError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let api = self.api::<K>().await?;
        match self.ask(api.create(&PostParams::default(), object)).await {
            Ok(made) => Ok(Some(made)),
            Err(CallError::Refused(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The Job as the API server has it now.
    pub(super) async fn job(&self, name: &str) -> Result<Option<Job>, CallError> {
        let api = self.api::<Job>().await?;
        self.ask(api.get_opt(name)).await
    }

    /// The Secret as the API server has it now.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Secret>, CallError> {
        let api = self.api::<Secret>().await?;
        self.ask(api.get_opt(name)).await
    }

    /// All our Secrets.
    pub(super) async fn secrets(&self) -> Result<Vec<Secret>, CallError> {
        let api = self.api::<Secret>().await?;
        let ours = ListParams::default().labels(&format!("{OWNER}={}", self.owner));
        Ok(self.ask(api.list(&ours)).await?.items)
    }

    /// All our Jobs.
    pub(super) async fn jobs(&self) -> Result<Vec<Job>, CallError> {
        let api = self.api::<Job>().await?;
        let ours = ListParams::default().labels(&format!("{OWNER}={}", self.owner));
        Ok(self.ask(api.list(&ours)).await?.items)
    }

    /// Lets the Secret go with its Job.
    pub(super) async fn own_secret(&self, name: &str, job: &Job) -> Result<(), CallError> {
        let owner = json!([{
            "apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid(),
        }]);
        let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owner}}));
        let api = self.api::<Secret>().await?;
        match self.ask(api.patch(name, &PatchParams::default(), &patch)).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the Job with its pods; fine if it is gone.
    pub(super) async fn delete_job(&self, name: &str) -> Result<(), CallError> {
        let api = self.api::<Job>().await?;
        gone(self.ask(api.delete(name, &DeleteParams::background())).await)
    }

    /// Deletes the Secret; fine if it is gone.
    pub(super) async fn delete_secret(&self, name: &str) -> Result<(), CallError> {
        let api = self.api::<Secret>().await?;
        gone(self.ask(api.delete(name, &DeleteParams::default())).await)
    }

    /// The attempt's pods as the API server has them now, the oldest first.
    pub(super) async fn pods_of(&self, attempt: &Attempt) -> Result<Vec<Arc<Pod>>, CallError> {
        let api = self.api::<Pod>().await?;
        let of_job = ListParams::default().labels(&format!("job-name={}", attempt.name()));
        let mut pods: Vec<_> = self.ask(api.list(&of_job)).await?.items.into_iter().map(Arc::new).collect();
        oldest_first(&mut pods);
        Ok(pods)
    }

    /// The last warning about an object, if there is one.
    pub(super) async fn warning(&self, object: &str) -> Result<Option<String>, CallError> {
        let api = self.api::<Event>().await?;
        let about = ListParams::default().fields(&format!("involvedObject.name={object},type=Warning"));
        let mut events = self.ask(api.list(&about)).await?.items;
        events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        let last = events.pop();
        Ok(last.map(|event| {
            let reason = event.reason.unwrap_or_default();
            format!("{reason}: {}", event.message.unwrap_or_default())
        }))
    }

    /// Pods, for their logs.
    pub(super) async fn pods(&self) -> Result<Api<Pod>, CallError> {
        self.api().await
    }

    pub(super) fn fault(&self, error: CallError) -> Fault {
        match error {
            CallError::Away(why) => self.away(&why),
            CallError::Unreachable(outage) => self.away(&outage.to_string()),
            CallError::Refused(status) => {
                let (cluster, namespace) = (&self.options.name, &self.options.namespace);
                let said: String = status.message.chars().take(SAID_CHARS_MAX).collect();
                let hint = match status.code {
                    401 => "Check the credential of the cluster's kubeconfig.".to_owned(),
                    403 => format!("Slipway needs the rights of its Role in namespace {namespace}."),
                    404 => format!("Make the namespace {namespace}, or correct it in kaniko.clusters."),
                    _ => "Check the settings of [kaniko] that shape the pod, and its pod_overlay.".to_owned(),
                };
                let message = format!("the cluster {cluster} refused: {said}");
                Fault::permanent("cluster_refused", message).hint(hint)
            }
        }
    }
}

fn oldest_first(pods: &mut [Arc<Pod>]) {
    pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.name_any()));
}

fn gone<T>(deleted: Result<T, CallError>) -> Result<(), CallError> {
    match deleted {
        Ok(_) => Ok(()),
        Err(CallError::Refused(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
