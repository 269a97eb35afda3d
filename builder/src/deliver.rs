//! The `deliver` job: from a delivery to runs, one per (application, ref, commit).

use std::sync::Arc;

use async_trait::async_trait;
use slipway_git::{CommitInfo, GitStore, Notify, Wanted};
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::{
    Application, Change, Delivery, Handler, Inserted, Job, JobContext, JobError, NewRun, Records, RefRow,
    Run, Source, SourceKind, Write,
};
use slipway_secrets::Secrets;
use slipway_types::id::RunId;
use slipway_types::state::{DeliveryEvent, RunEvent, RunState};
use slipway_types::{Fault, GitRef};

use crate::configuration_only;
use crate::sweep::{configure, credential};

/// Does `deliver` jobs.
pub struct DeliverHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where commits are.
    pub git: GitStore,
    /// Where credentials of sources are.
    pub secrets: Secrets,
}

/// What a delivery comes down to.
enum Verdict {
    /// Build this commit of this ref.
    Build(Box<Target>),
    /// Nothing to build.
    Ignore(String),
}

/// What is to be built.
struct Target {
    git_ref: GitRef,
    commit: CommitInfo,
    /// Whether the commit is where the ref stands: an older one that arrives late pushes none aside.
    is_head: bool,
}

#[async_trait]
impl Handler for DeliverHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let Some((delivery, source, applications)) = self.load(job).await? else { return Ok(()) };
        if delivery.state.is_terminal() {
            return Ok(());
        }
        configure(self.records.as_ref(), &source).await?;
        if applications.is_empty() {
            let reason = format!("no application uses source {}", source.name);
            return self.end(&delivery, DeliveryEvent::Ignore(reason)).await;
        }
        match self.judge(&delivery, &source, &applications).await? {
            Verdict::Ignore(reason) => self.end(&delivery, DeliveryEvent::Ignore(reason)).await,
            Verdict::Build(target) => self.plan(&delivery, &applications, &target).await,
        }
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        match self.load(job).await? {
            Some((delivery, ..)) => self.end(&delivery, DeliveryEvent::Fail(fault)).await,
            None => Ok(()),
        }
    }
}

impl DeliverHandler {
    async fn load(&self, job: &Job) -> Result<Option<(Delivery, Source, Vec<Application>)>, JobError> {
        let JobPayload::Deliver { delivery } = job.payload else { return Ok(None) };
        let mut read = self.records.read().await?;
        let Some(delivery) = read.delivery_get(delivery).await? else { return Ok(None) };
        let Some(source) = read.source_get(delivery.source_id).await? else { return Ok(None) };
        let applications = read.applications_of_source(source.id).await?;
        Ok(Some((delivery, source, applications)))
    }

    async fn judge(
        &self,
        delivery: &Delivery,
        source: &Source,
        applications: &[Application],
    ) -> Result<Verdict, JobError> {
        let Some(git_ref) = delivery.git_ref.clone() else {
            return Ok(Verdict::Ignore("the event names no branch or tag".into()));
        };
        let mut head = self.head(source, &git_ref).await?;
        let believed = delivery.commit.as_ref();
        let known = head.as_ref().is_some_and(|head| believed.is_some_and(|commit| head.commit == *commit));
        if !known && let SourceKind::Https { url } = &source.kind {
            let credential = credential(&self.secrets, source).await?;
            let wanted = Wanted::Refs(vec![git_ref.clone()]);
            self.git.fetch(source.id, url, credential.as_ref(), &wanted, &Notify::None).await?;
            head = self.head(source, &git_ref).await?;
        }
        let Some(head) = head else {
            return Ok(Verdict::Ignore(format!("gone: {git_ref} does not exist any more")));
        };
        let commit = believed.unwrap_or(&head.commit).clone();
        let reachable = self.git.is_reachable(source.id, &commit, &head.commit).await;
        if !reachable.map_err(|error| error.fault())? {
            return Ok(Verdict::Ignore(format!(
                "gone: {} is not reachable from {git_ref} any more",
                commit.short()
            )));
        }
        let (info, is_declared) = {
            let snapshot = self.git.snapshot(source.id, &commit).await.map_err(|error| error.fault())?;
            let info = snapshot.commit_info().map_err(|error| error.fault())?;
            let is_declared = configuration_only::is_declared(&snapshot, applications);
            (info, is_declared.map_err(|error| error.fault())?)
        };
        if !is_declared {
            let mut read = self.records.read().await?;
            if let Some(why) = configuration_only::reason(read.as_mut(), source, applications).await? {
                return Ok(Verdict::Ignore(why));
            }
        }
        let is_head = commit == head.commit;
        Ok(Verdict::Build(Box::new(Target { git_ref, commit: info, is_head })))
    }

    async fn head(&self, source: &Source, git_ref: &GitRef) -> Result<Option<RefRow>, JobError> {
        let mut read = self.records.read().await?;
        Ok(read.git_refs(source.id).await?.into_iter().find(|row| row.name == *git_ref))
    }

    async fn end(&self, delivery: &Delivery, event: DeliveryEvent) -> Result<(), JobError> {
        let Ok(state) = delivery.state.clone().apply(event) else { return Ok(()) };
        let mut tx = self.records.begin().await?;
        tx.delivery_settle(delivery.id, &state).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes or finds the run of every application, in one transaction with the delivery's end.
    async fn plan(
        &self,
        delivery: &Delivery,
        applications: &[Application],
        target: &Target,
    ) -> Result<(), JobError> {
        let mut tx = self.records.begin().await?;
        let mut runs: Vec<RunId> = Vec::new();
        for application in applications {
            let new = new_run(delivery, application, target);
            let run = match tx.run_insert(new.clone()).await? {
                Inserted::New(run) => run,
                // The branch came back to a commit that a newer one had pushed aside.
                Inserted::Existing(run)
                    if matches!(run.state, RunState::Superseded { .. }) || delivery.fresh =>
                {
                    let again = NewRun { retry_of: Some(run.id), ..new };
                    tx.run_insert(again).await?.into_inner()
                }
                Inserted::Existing(run) => {
                    runs.push(run.id);
                    continue;
                }
            };
            if target.is_head {
                supersede_queued(tx.as_mut(), &run).await?;
            }
            tx.job_enqueue(NewJob::new(JobPayload::Plan { run: run.id }, Some(application.id))).await?;
            runs.push(run.id);
        }
        let state = delivery
            .state
            .clone()
            .apply(DeliveryEvent::Plan(runs.clone()))
            .map_err(|error| Fault::bug("transition", error.to_string()))?;
        if !tx.delivery_settle(delivery.id, &state).await? {
            return Ok(());
        }
        fault_point::reach("deliver.before_commit");
        tx.commit().await?;
        fault_point::reach("deliver.committed");
        for run in runs {
            self.records.changes().send(Change::Run(run));
        }
        Ok(())
    }
}

fn new_run(delivery: &Delivery, application: &Application, target: &Target) -> NewRun {
    let commit = &target.commit;
    NewRun {
        application_id: application.id,
        git_ref: target.git_ref.clone(),
        commit: commit.id.clone(),
        actor: delivery.actor.clone(),
        subject: commit.subject.clone(),
        author: commit.author.clone(),
        committed_at: commit.committed_at,
        delivery_id: Some(delivery.id),
        retry_of: None,
        fresh: delivery.fresh,
    }
}

/// A newer push takes the place of runs of its branch that have not begun; never of tags.
async fn supersede_queued(tx: &mut dyn Write, run: &Run) -> Result<(), JobError> {
    if run.git_ref.branch().is_none() {
        return Ok(());
    }
    for mut older in tx.runs_live(run.application_id).await? {
        let replaced = older.git_ref == run.git_ref
            && older.number < run.number
            && matches!(older.state, RunState::Queued { .. });
        if replaced && run_move(tx, &mut older, RunEvent::Supersede(run.id)).await? == Moved::Outrun {
            return Err(Fault::transient("outrun", "another worker moved a run; trying again").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
