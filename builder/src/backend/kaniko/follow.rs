//! One attempt from its Secret to its end. Each step adopts what is there, so that a process may be
//! killed between any two of them.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use slipway_kubernetes::CallError;
use slipway_records::fault_point;
use slipway_types::{Class, Fault};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::{LOOK_EVERY, Place};
use super::logs::Reader;
use super::objects::{self, Attempt, Order};
use super::objects::{CHECKER, EXECUTOR};
use super::phase::{self, Phase};
use super::{Inner, check, sweep};
use crate::backend::{BuildClock, BuildError, ContainerRun, ImageBuild};
use crate::log::LogWriter;

/// First pause before an API server that is away is asked again; it doubles.
const AWAY_PAUSE: Duration = Duration::from_millis(250);
const AWAY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a Job that was just made may be missing from the watch.
const UNSEEN_MAX: Duration = Duration::from_secs(10);
/// How long a wait lasts before its reason is looked for among the events.
const EVENTS_AFTER: Duration = Duration::from_secs(3);
/// How much later they are looked at again; it doubles.
const EVENTS_PAUSE: Duration = Duration::from_secs(10);
const EVENTS_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the log of an ended container may take.
const LOG_WITHIN: Duration = Duration::from_secs(60);
/// How long a hopeless wait (an image that cannot be pulled) goes on.
const HOPELESS_AFTER: Duration = Duration::from_secs(45);

/// Follows one attempt.
pub(super) struct Following<'a> {
    pub(super) inner: &'a Inner,
    pub(super) cluster: Place<'a>,
    pub(super) attempt: &'a Attempt,
    pub(super) errand: Errand<'a>,
}

/// What a Job is made for.
#[derive(Clone, Copy)]
pub(super) enum Errand<'a> {
    Build(&'a ImageBuild<'a>),
    Check(&'a ContainerRun<'a>),
}

impl<'a> Errand<'a> {
    pub(super) fn log(self) -> &'a LogWriter {
        match self {
            Self::Build(build) => build.log,
            Self::Check(run) => run.log,
        }
    }

    pub(super) fn resumed(self) -> bool {
        match self {
            Self::Build(build) => build.resumed,
            Self::Check(run) => run.resumed,
        }
    }

    pub(super) fn clock(self) -> &'a BuildClock {
        match self {
            Self::Build(build) => build.clock,
            Self::Check(run) => run.clock,
        }
    }

    pub(super) fn cancelled(self) -> &'a CancellationToken {
        match self {
            Self::Build(build) => &build.cancelled,
            Self::Check(run) => &run.cancelled,
        }
    }

    fn stopping(self) -> &'a CancellationToken {
        match self {
            Self::Build(build) => &build.stopping,
            Self::Check(run) => &run.stopping,
        }
    }

    fn waits_for(self) -> Option<String> {
        match self {
            Self::Build(build) => build.build.state.waits_for(),
            Self::Check(_) => None,
        }
    }

    fn container(self) -> &'static str {
        match self {
            Self::Build(_) => EXECUTOR,
            Self::Check(_) => CHECKER,
        }
    }
}

impl Following<'_> {
    /// Makes the Job or finds it, and waits until it has ended; gives how.
    pub(super) async fn to_the_end(&self) -> Result<Phase, BuildError> {
        let cancelled = self.errand.cancelled();
        let outcome = tokio::select! {
            outcome = self.go() => outcome,
            () = cancelled.cancelled() => Err(BuildError::Cancelled),
        };
        let is_over = matches!(outcome, Err(BuildError::Cancelled | BuildError::TimedOut(_)));
        // A server that stops leaves the Job to the next one.
        if is_over && !self.errand.stopping().is_cancelled() {
            self.stop().await?;
        }
        outcome
    }

    async fn go(&self) -> Result<Phase, BuildError> {
        let name = self.attempt.name();
        let job = match self.begun().await? {
            Some(job) => {
                self.say(format!("going on with Job {name}")).await;
                Some(job)
            }
            None => self.make().await?,
        };
        if let Some(job) = job {
            self.insist(|| self.cluster.cluster.own_secret(&name, &job)).await?;
            fault_point::reach("kaniko.owned");
        }
        self.watch().await
    }

    /// The Job that another process has made. Of an attempt that begins here nobody can have.
    async fn begun(&self) -> Result<Option<Job>, BuildError> {
        if !self.errand.resumed() {
            return Ok(None);
        }
        let name = self.attempt.name();
        self.insist(|| self.cluster.cluster.job(&name)).await
    }

    /// Makes Secret and Job.
    async fn make(&self) -> Result<Option<Job>, BuildError> {
        let job = match self.errand {
            Errand::Build(build) => self.build_job(build).await?,
            Errand::Check(run) => self.check_job(run).await?,
        };
        let made = self.insist(|| self.cluster.cluster.create(&job)).await?;
        fault_point::reach("kaniko.job");
        let name = self.attempt.name();
        self.say(format!("made Job {name} on {}", self.cluster.cluster.name())).await;
        match made {
            Some(job) => Ok(Some(job)),
            None => self.insist(|| self.cluster.cluster.job(&name)).await,
        }
    }

    async fn build_job(&self, build: &ImageBuild<'_>) -> Result<Job, BuildError> {
        let ingredients = self.inner.ingredients(build).await?;
        fault_point::reach("kaniko.context");
        self.ensure_secret().await?;
        let order = Order {
            attempt: self.attempt,
            repository: build.repository,
            cache: ingredients.cache,
            context: ingredients.context,
            prepared: &ingredients.prepared,
        };
        Ok(objects::job(&order, &self.inner.options)?)
    }

    async fn check_job(&self, run: &ContainerRun<'_>) -> Result<Job, BuildError> {
        let image = self.inner.check_image(run).await?;
        self.ensure_secret().await?;
        Ok(check::job(self.attempt, run, &image, &self.inner.options)?)
    }

    async fn ensure_secret(&self) -> Result<(), BuildError> {
        if !self.errand.resumed() || !self.has_secret().await? {
            self.make_secret().await?;
        }
        Ok(())
    }

    async fn has_secret(&self) -> Result<bool, BuildError> {
        let name = self.attempt.name();
        Ok(self.insist(|| self.cluster.cluster.secret(&name)).await?.is_some())
    }

    async fn make_secret(&self) -> Result<(), BuildError> {
        let options = &self.inner.options;
        let secret = match self.errand {
            Errand::Build(build) => {
                objects::secret(self.attempt, &self.inner.token(self.attempt, build).await?, options)
            }
            Errand::Check(run) => {
                check::secret(self.attempt, &self.inner.check_token(self.attempt, run).await?, options)
            }
        };
        self.insist(|| self.cluster.cluster.create(&secret)).await?;
        fault_point::reach("kaniko.secret");
        Ok(())
    }

    /// Waits for the end, and reads the log meanwhile.
    async fn watch(&self) -> Result<Phase, BuildError> {
        let mut changes = self.cluster.cluster.changes().await?;
        // Read once: from then on this process knows better, for what it wrote is stored a little later.
        let mut mark = self.last_mark().await?;
        let mut wait = Wait { noted: self.errand.waits_for(), ..Wait::new() };
        // Of a check only the time counts in which its command runs.
        let mut waiting = match self.errand {
            Errand::Check(run) => Some(run.clock.pause()),
            Errand::Build(_) => None,
        };
        loop {
            changes.mark_unchanged();
            match self.phase(&mut wait).await? {
                Phase::Waiting { pod, why, hopeless } => self.wait(&mut wait, pod, why, hopeless).await?,
                Phase::Running { pod } => {
                    drop(waiting.take());
                    wait.note(self, None).await;
                    if let Some(end) = self.read_while_running(pod, &mut mark, &mut changes).await? {
                        return Ok(end);
                    }
                    wait = Wait::new();
                }
                end @ Phase::Ended { .. } => {
                    self.read_what_is_left(&end, &mut mark).await;
                    return Ok(end);
                }
                end => return Ok(end),
            }
            drop(tokio::time::timeout(LOOK_EVERY, changes.changed()).await);
        }
    }

    async fn phase(&self, wait: &mut Wait) -> Result<Phase, BuildError> {
        let seen = self.insist_seen().await?;
        let (Some(job), pods) = seen else {
            // The watch may lag behind.
            let name = self.attempt.name();
            if wait.may_ask() && self.insist(|| self.cluster.cluster.job(&name)).await?.is_none() {
                return Ok(Phase::Lost(format!("the Job {name} was deleted")));
            }
            if wait.began.elapsed() > UNSEEN_MAX {
                wait.say_once(self, "the cluster's watch lags behind").await;
            }
            return Ok(Phase::Waiting { pod: None, why: None, hopeless: false });
        };
        match phase::read(&job, &pods) {
            // Jobs and pods are watched apart: the end of a Job may be known before that of its pod.
            Phase::Lost(_) => {
                let pods = self.insist(|| self.cluster.cluster.pods_of(self.attempt)).await?;
                Ok(phase::read(&job, &pods))
            }
            phase => Ok(phase),
        }
    }

    /// Reads the log of a running executor; gives the end, or nothing if the pod went.
    async fn read_while_running(
        &self,
        pod: String,
        mark: &mut Option<String>,
        changes: &mut watch::Receiver<u64>,
    ) -> Result<Option<Phase>, BuildError> {
        fault_point::reach("kaniko.running");
        let (ended, told) = watch::channel(false);
        let reading = self.reader(&pod, mark, told).run();
        let mut reading = std::pin::pin!(reading);
        let mut wait = Wait::new();
        let mut read = false;
        let end = loop {
            match self.phase(&mut wait).await? {
                Phase::Running { pod: now } if now == pod => {}
                Phase::Running { .. } | Phase::Waiting { .. } => break None,
                end => break Some(end),
            }
            changes.mark_unchanged();
            let changed = tokio::time::timeout(LOOK_EVERY, changes.changed());
            tokio::select! {
                () = &mut reading, if !read => read = true,
                _ = changed => {}
            }
        };
        ended.send_replace(true);
        if !read && tokio::time::timeout(LOG_WITHIN, reading).await.is_err() {
            self.say("the end of the log could not be read in time").await;
        }
        Ok(end)
    }

    /// Reads the log of an executor that ended unwatched.
    async fn read_what_is_left(&self, end: &Phase, mark: &mut Option<String>) {
        let Phase::Ended { pod, .. } = end else { return };
        let (_ended, told) = watch::channel(true);
        if tokio::time::timeout(LOG_WITHIN, self.reader(pod, mark, told).run()).await.is_err() {
            self.say("the end of the log could not be read in time").await;
        }
    }

    fn reader<'m>(
        &'m self,
        pod: &str,
        after: &'m mut Option<String>,
        ended: watch::Receiver<bool>,
    ) -> Reader<'m> {
        let (container, log) = (self.errand.container(), self.errand.log());
        Reader { cluster: self.cluster.cluster, pod: pod.to_owned(), container, log, after, ended }
    }

    async fn last_mark(&self) -> Result<Option<String>, Fault> {
        let fault = |error| slipway_records::worker::fault_of(&error);
        let mut read = self.inner.records.read().await.map_err(fault)?;
        read.log_mark(self.attempt.log()).await.map_err(fault)
    }

    /// Says why nothing runs yet, and gives up when that has taken too long.
    async fn wait(
        &self,
        wait: &mut Wait,
        pod: Option<String>,
        why: Option<String>,
        hopeless: bool,
    ) -> Result<(), BuildError> {
        let limit = self.inner.options.start_timeout_ms;
        let looks = wait.may_look();
        if why.is_none() && looks {
            let about = pod.unwrap_or_else(|| self.attempt.name());
            wait.warning = self.insist(|| self.cluster.cluster.warning(&about)).await?;
        }
        let why = why.or_else(|| wait.warning.clone());
        let names_secret = |why: &String| why.contains("secret") || why.contains("FailedMount");
        // A Secret that somebody deleted holds the pod up for ever.
        if looks && why.as_ref().is_some_and(names_secret) && !self.has_secret().await? {
            self.make_secret().await?;
        }
        if let Some(why) = &why {
            wait.say_once(self, &format!("waiting: {why}")).await;
        }
        wait.note(self, why.clone()).await;
        wait.hopeless_since = hopeless.then(|| wait.hopeless_since.unwrap_or_else(Instant::now));
        if wait.hopeless_since.is_some_and(|since| since.elapsed() > HOPELESS_AFTER) {
            let why = why.unwrap_or_default();
            return Err(Fault::permanent("kaniko_cannot_start", format!("the pod cannot start: {why}"))
                .hint(match self.errand {
                    Errand::Build(_) => {
                        "Check kaniko.image, kaniko.slipway_image, and whether the nodes can pull them."
                    }
                    Errand::Check(_) => {
                        "Nodes must be able to pull from this server: see kaniko.pull_registry."
                    }
                })
                .into());
        }
        if wait.began.elapsed() > Duration::from_millis(limit) {
            let why = why.unwrap_or_else(|| "Kubernetes does not say why".to_owned());
            let message = format!("no pod ran within kaniko.start_timeout_ms = {limit}: {why}");
            return Err(BuildError::TimedOut(message));
        }
        Ok(())
    }

    /// Removes the Job and waits until nothing of it runs.
    async fn stop(&self) -> Result<(), BuildError> {
        let limit = Duration::from_millis(self.inner.options.stop_timeout_ms);
        let stopping = async {
            loop {
                match sweep::remove(self.inner, self.cluster.cluster, self.attempt).await {
                    Ok(()) => break,
                    Err(fault) if fault.class == Class::Transient => tokio::time::sleep(AWAY_PAUSE).await,
                    Err(fault) => return Err(fault.into()),
                }
            }
            while !self.insist(|| self.cluster.cluster.pods_of(self.attempt)).await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        };
        tokio::time::timeout(limit, stopping).await.unwrap_or_else(|_| {
            let message = format!("the Job still runs after kaniko.stop_timeout_ms = {}", limit.as_millis());
            Err(Fault::transient("kaniko_not_stopped", message).into())
        })
    }

    async fn insist_seen(
        &self,
    ) -> Result<(Option<std::sync::Arc<Job>>, Vec<std::sync::Arc<k8s_openapi::api::core::v1::Pod>>), BuildError>
    {
        self.insist(|| async {
            let seen = self.cluster.cluster.seen(self.attempt).await;
            seen.map_err(|fault| CallError::Away(fault.message))
        })
        .await
    }

    /// Asks until the API server answers: a cluster that is away is waited out, within the build's time.
    async fn insist<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, BuildError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let (mut pause, mut told) = (AWAY_PAUSE, false);
        loop {
            match call().await {
                Ok(answer) => {
                    if told {
                        self.inner.note_wait(self.errand, None).await;
                    }
                    return Ok(answer);
                }
                Err(away @ (CallError::Away(_) | CallError::Unreachable(_))) => {
                    if !told && pause >= AWAY_PAUSE_MAX {
                        let cluster = self.cluster.cluster.name();
                        let why = format!("the cluster {cluster} cannot be used just now: {away}");
                        self.say(format!("waiting: {why}")).await;
                        self.inner.note_wait(self.errand, Some(&why)).await;
                        told = true;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AWAY_PAUSE_MAX);
                }
                Err(error @ CallError::Refused(_)) => {
                    return Err(self.cluster.cluster.fault(error).into());
                }
            }
        }
    }

    async fn say(&self, text: impl AsRef<str>) {
        self.errand.log().line(format!("slipway: {}", text.as_ref())).await;
    }
}

/// A wait for something to run.
struct Wait {
    began: Instant,
    /// When the API server was last asked for a Job that the watch does not know.
    asked: Instant,
    /// When it is asked for events next, the pause after that, and what they warned of.
    look_at: Instant,
    look_pause: Duration,
    warning: Option<String>,
    hopeless_since: Option<Instant>,
    said: HashSet<String>,
    /// What the build's row says.
    noted: Option<String>,
}

impl Wait {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            asked: now,
            look_at: now + EVENTS_AFTER,
            look_pause: EVENTS_PAUSE,
            warning: None,
            hopeless_since: None,
            said: HashSet::new(),
            noted: None,
        }
    }

    /// Whether the API server may be asked for the Job: every change of any Job comes by here.
    fn may_ask(&mut self) -> bool {
        let may = self.asked.elapsed() >= LOOK_EVERY;
        if may {
            self.asked = Instant::now();
        }
        may
    }

    /// Whether it may be asked what holds the pod up.
    fn may_look(&mut self) -> bool {
        let now = Instant::now();
        let may = now >= self.look_at;
        if may {
            self.look_at = now + self.look_pause;
            self.look_pause = (self.look_pause * 2).min(EVENTS_PAUSE_MAX);
        }
        may
    }

    /// Lets the build's row say it too, if that is news.
    async fn note(&mut self, following: &Following<'_>, why: Option<String>) {
        if self.noted != why {
            following.inner.note_wait(following.errand, why.as_deref()).await;
            self.noted = why;
        }
    }

    async fn say_once(&mut self, following: &Following<'_>, text: &str) {
        if self.said.insert(text.to_owned()) {
            following.say(text).await;
        }
    }
}
