//! The Kaniko back-end: Dockerfiles that run commands, as Jobs on Kubernetes.
//!
//! A Job's name is that of the build's attempt, so whoever comes to an attempt that another process has
//! begun finds its Job and goes on with it. A pod talks to Slipway and to nobody else: it fetches its
//! context there, pulls there what the plan has resolved, and pushes there, with a token of its own.
//! Any executor that takes Kaniko's flags serves.

mod check;
mod cluster;
mod context;
mod follow;
mod logs;
mod objects;
mod options;
mod overlay;
mod phase;
mod rights;
mod sweep;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use slipway_objects::Blobs;
use slipway_oci::source::{ImageSource, Images};
use slipway_records::port::{BuildPlace, ClusterLoad};
use slipway_records::{Build, Change, Records, RecordsError, fault_point};
use slipway_types::id::{BuildId, CheckId};
use slipway_types::state::{BuildEvent, BuiltImage};
use slipway_types::{Class, Digest, Fault, ImageReference};

use tokio::time::Instant;

use self::cluster::Cluster;
use self::follow::{Errand, Following};
use self::objects::{Attempt, Purpose};
pub use self::options::{ClusterOptions, KanikoOptions, PodOptions};
use super::{BuildError, ContainerRun, ImageBackend, ImageBuild, Requirements, RunEnd};
use crate::pin::Pin;
use crate::target::ImageTarget;

/// Its name in plans.
pub const NAME: &str = slipway_records::declared_check::ON_CLUSTERS;

/// Builds images with Jobs.
#[derive(Clone)]
pub struct KanikoBackend {
    inner: Arc<Inner>,
}

struct Inner {
    options: KanikoOptions,
    clusters: Vec<Cluster>,
    records: Arc<dyn Records>,
    blobs: Blobs,
    images: Images,
    target: Arc<ImageTarget>,
}

impl KanikoBackend {
    /// A back-end for clusters that need not answer yet. Results go to `target`.
    pub fn connect(
        options: KanikoOptions,
        clusters: Vec<ClusterOptions>,
        records: Arc<dyn Records>,
        blobs: Blobs,
        images: Images,
        target: Arc<ImageTarget>,
    ) -> Result<Self, Fault> {
        options.check()?;
        let clusters = clusters.into_iter().map(|cluster| Cluster::new(cluster, &options)).collect();
        Ok(Self { inner: Arc::new(Inner { options, clusters, records, blobs, images, target }) })
    }

    /// How much each cluster has to do.
    pub async fn load(&self) -> Vec<ClusterLoad> {
        futures::future::join_all(self.inner.clusters.iter().map(Cluster::load)).await
    }

    /// Removes the Jobs and Secrets of attempts that are over. What belongs to builds that the records
    /// do not know is left alone.
    pub async fn sweep(&self) -> Result<(), Fault> {
        sweep::sweep(&self.inner).await
    }
}

#[async_trait]
impl ImageBackend for KanikoBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn recipe(&self) -> u32 {
        1
    }

    async fn can(&self, wanted: &Requirements) -> Result<String, String> {
        if let Some((line, what)) = &wanted.buildkit {
            return Err(format!("line {line}: {what} needs BuildKit, which Kaniko is not"));
        }
        if wanted.secrets {
            return Err("Kaniko cannot mount build secrets".into());
        }
        if wanted.foreign_platforms {
            return Err(format!("its nodes build for {} only", self.inner.options.platform));
        }
        let names: Vec<String> = self.inner.clusters.iter().map(Cluster::name).collect();
        let reason = wanted.run.map_or(String::new(), |line| format!("line {line} runs a command; "));
        Ok(format!("{reason}Jobs on {}", names.join(", ")))
    }

    async fn places(&self) -> Vec<BuildPlace> {
        let all = self.inner.clusters.iter().map(async |cluster| {
            let found = cluster.usable().await;
            let ok = found.is_ok();
            let detail = found.unwrap_or_else(|fault| fault.to_string());
            BuildPlace { backend: NAME, name: cluster.name(), ok, detail }
        });
        join_all(all).await
    }

    async fn build(&self, job: ImageBuild<'_>) -> Result<BuiltImage, BuildError> {
        let inner = &self.inner;
        let attempt = Attempt { purpose: Purpose::Build(job.build.id), number: job.build.attempt };
        let errand = Errand::Build(&job);
        let cluster = inner.cluster_for(&attempt, errand).await?;
        let following = Following { inner, cluster, attempt: &attempt, errand };
        let digest = verdict::of(following.to_the_end().await?, &inner.options)?;
        fault_point::reach("kaniko.ended");
        Ok(inner.take_over(&attempt, digest, job.repository).await?)
    }

    async fn settled(&self, build: BuildId, attempt: u32) {
        self.inner.remove(&Attempt { purpose: Purpose::Build(build), number: attempt }).await;
        fault_point::reach("kaniko.settled");
    }

    async fn can_run(&self) -> Result<String, String> {
        let names: Vec<String> = self.inner.clusters.iter().map(Cluster::name).collect();
        Ok(format!("Jobs on {}", names.join(", ")))
    }

    async fn run(&self, run: ContainerRun<'_>) -> Result<RunEnd, BuildError> {
        let inner = &self.inner;
        let attempt = Attempt { purpose: Purpose::Check(run.check), number: run.attempt };
        let errand = Errand::Check(&run);
        let cluster = inner.cluster_for(&attempt, errand).await?;
        let following = Following { inner, cluster, attempt: &attempt, errand };
        check::verdict(following.to_the_end().await?, &run)
    }

    async fn run_settled(&self, check: CheckId, attempt: u32) {
        self.inner.remove(&Attempt { purpose: Purpose::Check(check), number: attempt }).await;
    }
}

impl Inner {
    /// Removes what an attempt that is over has left.
    async fn remove(&self, attempt: &Attempt) {
        for cluster in &self.clusters {
            if let Err(fault) = sweep::remove(self, cluster, attempt).await {
                tracing::warn!(
                    cluster = cluster.name(), job = attempt.name(), error = %fault.message,
                    "a finished Job stays until the next sweep"
                );
            }
        }
    }

    /// The cluster that has the attempt's Job already, else the one with the most room, once there is. A
    /// cluster that is away is waited for if the Job may be there, or if there is no other.
    async fn cluster_for(
        &self,
        attempt: &Attempt,
        errand: Errand<'_>,
    ) -> Result<cluster::Place<'_>, BuildError> {
        let mut told = String::new();
        let limit = Duration::from_millis(self.options.place_timeout_ms);
        let since = Instant::now();
        let _waiting = errand.clock().pause();
        loop {
            let asked = self.clusters.iter().map(async |cluster| (cluster, cluster.has(attempt).await));
            let answers = tokio::select! {
                answers = join_all(asked) => answers,
                () = errand.cancelled().cancelled() => return Err(BuildError::Cancelled),
            };
            let (mut known, mut away, mut unusable) = (Vec::new(), None, None);
            for (cluster, answer) in answers {
                match answer {
                    Ok(true) => return Ok(cluster.place_of(attempt)),
                    Ok(false) => known.push(cluster),
                    Err(fault) if fault.class == Class::Transient => away = Some(fault.message),
                    Err(fault) => unusable = Some(fault),
                }
            }
            if let (true, None, Some(fault)) = (known.is_empty(), &away, unusable) {
                return Err(fault.into());
            }
            known.sort_by_key(|cluster| std::cmp::Reverse(cluster.room()));
            let may_be_elsewhere = errand.resumed() && away.is_some();
            if !may_be_elsewhere
                && let Some(place) = known.iter().find_map(|cluster| cluster.reserve(attempt))
            {
                if !told.is_empty() {
                    self.note_wait(errand, None).await;
                }
                return Ok(place);
            }
            let why = away.unwrap_or_else(|| "max_jobs Jobs run on every cluster".to_owned());
            if since.elapsed() > limit {
                let limit = limit.as_millis();
                let message = format!("no cluster had room within kaniko.place_timeout_ms = {limit}: {why}");
                return Err(BuildError::TimedOut(message));
            }
            if told != why {
                errand.log().line(format!("slipway: waiting: {why}")).await;
                self.note_wait(errand, Some(&why)).await;
                told = why;
            }
            tokio::select! {
                () = tokio::time::sleep(cluster::LOOK_EVERY) => {}
                () = errand.cancelled().cancelled() => return Err(BuildError::Cancelled),
            }
        }
    }

    /// Lets the build's row say what it waits for. People lose no more than that if it cannot.
    async fn note_wait(&self, errand: Errand<'_>, why: Option<&str>) {
        let Errand::Build(ImageBuild { build: Build { id: build, .. }, .. }) = errand else { return };
        let build = *build;
        let note = async {
            let mut tx = self.records.begin().await?;
            let Some(mut row) = tx.build_get(build).await? else { return Ok(()) };
            let event = BuildEvent::Wait(why.map(str::to_owned));
            let Ok(state) = row.state.clone().apply(event, row.attempt) else { return Ok(()) };
            row.state = state;
            if tx.build_save(&mut row).await? {
                tx.commit().await?;
                self.records.changes().send(Change::Build(row.run_id, row.id));
            }
            Ok::<_, RecordsError>(())
        };
        if let Err(error) = note.await {
            tracing::debug!(%build, %error, "what a build waits for is not shown");
        }
    }

    /// What the Job pushed, brought to where images go.
    async fn take_over(
        &self,
        attempt: &Attempt,
        digest: Digest,
        repository: &str,
    ) -> Result<BuiltImage, Fault> {
        let pushed = ImageReference {
            host: crate::target::INTERNAL_HOST.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest: Some(digest),
        };
        if self.images.head_manifest(&pushed).await?.is_none() {
            let message = format!("the Job ended well and named {digest}, which the registry does not have");
            return Err(Fault::transient("kaniko_not_pushed", message));
        }
        let pin = Pin { images: self.images.clone(), target: Arc::clone(&self.target) };
        let image = pin.pin(&pushed, digest, &[], repository).await?;
        // The tag was only the executor's way to name what it pushes.
        let fault = |error| slipway_records::worker::fault_of(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        tx.tag_delete(repository, &attempt.name()).await.map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        Ok(image)
    }
}
