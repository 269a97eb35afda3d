//! The `rotate` job: restarts what runs with a secret that got its next value, each place once.
//!
//! Places are noted before the first is restarted, and what became of one is stored with its deployment. So whoever
//! runs the job again after a kill goes on where it was.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::json;
use slipway_records::deploying::SecretName;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, Deployment, DeploymentCause, Environment, Handler, Job, JobContext, JobError, NewAuditEntry,
    NewDeployment, Read, RecordsError, RestartFate, RestartPlace, RevisionSecret, Rotation, RotationRestart,
    Write, fault_point,
};
use slipway_types::name::EnvironmentName;
use slipway_types::state::DeploymentState;
use slipway_types::{ApplicationName, Class, Fault, SecretReference, SecretScope};

use crate::secret_users::{Candidate, DeployedUser};
use crate::stage::Stage;

/// Does `rotate` jobs.
pub struct RotateHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

/// What runs in a place and is restarted.
struct Running {
    application: Application,
    environment: Environment,
    deployment: Deployment,
}

#[async_trait]
impl Handler for RotateHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some(rotation) = self.open(job).await? else { return Ok(()) };
        let may_try_again = job.attempt < job.attempts_max;
        let later = tokio::select! {
            later = self.gather(&rotation, may_try_again) => later?,
            // What was read of revisions until then is noted.
            () = context.cancelled.cancelled() => return Err(JobError::Stopped),
        };
        fault_point::reach("rotate.gathered");
        for waiting in self.waiting(&rotation).await? {
            if context.cancelled.is_cancelled() {
                return Err(JobError::Stopped);
            }
            match self.settle(&rotation, &waiting).await {
                // One place keeps no other from it.
                Err(JobError::Failed(fault)) if fault.class != Class::Transient => {
                    self.leave(&rotation, &waiting, &fault).await?;
                }
                settled => settled?,
            }
            fault_point::reach("rotate.restarted");
        }
        if let Some(fault) = later {
            return Err(JobError::Failed(fault));
        }
        let mut tx = self.stage.records.begin().await?;
        tx.rotation_end(&rotation.secret, rotation.version, Utc::now(), None).await?;
        Ok(tx.commit().await?)
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let Some(rotation) = self.open(job).await? else { return Ok(()) };
        let waiting = self.waiting(&rotation).await?;
        let mut tx = self.stage.records.begin().await?;
        for place in &waiting {
            let problem = format!("it was not come to: {}", fault.message);
            let fate = left(problem, by_hand(&place.application, &place.environment));
            tx.rotation_settle(named(&rotation, place), &fate).await?;
        }
        tx.rotation_end(&rotation.secret, rotation.version, Utc::now(), Some(&fault.message)).await?;
        Ok(tx.commit().await?)
    }
}

impl RotateHandler {
    /// What a job is for, unless it has ended.
    async fn open(&self, job: &Job) -> Result<Option<Rotation>, JobError> {
        let JobPayload::Rotate { secret, version } = &job.payload else { return Ok(None) };
        let mut read = self.stage.records.read().await?;
        let rotation = read.rotation_get(secret, *version).await?;
        Ok(rotation.filter(|rotation| rotation.ended_at.is_none()))
    }

    /// Places whose turn has not come.
    async fn waiting(&self, rotation: &Rotation) -> Result<Vec<RotationRestart>, JobError> {
        let mut read = self.stage.records.read().await?;
        let mut places = read.rotation_restarts(&rotation.secret, rotation.version).await?;
        places.retain(|place| place.fate == RestartFate::Waiting);
        Ok(places)
    }

    /// Notes every place that runs with an earlier value. Gives why that is not known of one, if another try may tell
    /// and there is one.
    async fn gather(&self, rotation: &Rotation, may_try_again: bool) -> Result<Option<Fault>, JobError> {
        let users = self.stage.deployed_users(&secret_of(rotation), None).await?;
        let mut later = None;
        let mut tx = self.stage.records.begin().await?;
        for user in users.iter().filter(|user| user.candidate.runs()) {
            let place = RestartPlace {
                secret: &rotation.secret,
                version: rotation.version,
                environment: user.candidate.deployment.environment_id,
                application: user.candidate.deployment.application_id,
            };
            match &user.uses {
                Ok(uses) if has_value(uses, rotation.version) => {}
                Ok(_) => {
                    tx.rotation_place(place).await?;
                }
                Err(fault) if may_try_again && fault.class == Class::Transient => later = Some(fault.clone()),
                Err(fault) => {
                    if tx.rotation_place(place).await? {
                        tx.rotation_settle(place, &unknown(user, fault)).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        Ok(later)
    }

    /// Says of one place why it could not be restarted.
    async fn leave(
        &self,
        rotation: &Rotation,
        waiting: &RotationRestart,
        fault: &Fault,
    ) -> Result<(), JobError> {
        let hint = by_hand(&waiting.application, &waiting.environment);
        let mut tx = self.stage.records.begin().await?;
        tx.rotation_settle(named(rotation, waiting), &left(fault.message.clone(), hint)).await?;
        Ok(tx.commit().await?)
    }

    /// Restarts what runs in one place, or says why not.
    async fn settle(&self, rotation: &Rotation, waiting: &RotationRestart) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        let fate = match running(tx.as_mut(), rotation, waiting).await? {
            Ok(running) => RestartFate::Made(restart(tx.as_mut(), rotation, running).await?.id),
            Err(left) => left,
        };
        // Otherwise another was faster, and nothing of this happens.
        if tx.rotation_settle(named(rotation, waiting), &fate).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}

fn named<'a>(rotation: &'a Rotation, place: &RotationRestart) -> RestartPlace<'a> {
    RestartPlace {
        secret: &rotation.secret,
        version: rotation.version,
        environment: place.environment_id,
        application: place.application_id,
    }
}

fn secret_of(rotation: &Rotation) -> SecretName {
    let (scope, name) = SecretScope::split(&rotation.secret);
    SecretName { reference: SecretReference::builtin(name), scope: Some(scope) }
}

/// Whether what uses a secret so was frozen with that version of it, or a later one.
fn has_value(uses: &[RevisionSecret], version: u64) -> bool {
    let has = |frozen: &str| frozen.parse::<u64>().is_ok_and(|frozen| frozen >= version);
    !uses.is_empty() && uses.iter().all(|used| has(&used.version))
}

fn left(problem: impl Into<String>, hint: impl Into<String>) -> RestartFate {
    RestartFate::Left { problem: problem.into(), hint: Some(hint.into()) }
}

fn unknown(user: &DeployedUser, fault: &Fault) -> RestartFate {
    let problem = format!("whether it uses the secret is not known: {}", fault.message);
    match (&user.candidate.application, &user.candidate.environment) {
        (Some(application), Some(environment)) => {
            left(problem, format!("if it does: {}", by_hand(&application.name, &environment.name)))
        }
        _ => RestartFate::Left { problem, hint: None },
    }
}

/// The command that restarts one place.
fn by_hand(application: &ApplicationName, environment: &EnvironmentName) -> String {
    format!("slipway deploy restart {application} --env {environment} --secrets-only --reason …")
}

/// What is to be restarted in a place, if it runs as it should, nothing is on its way there and nobody stands against
/// it; or why it is left alone.
async fn running(
    read: &mut dyn Read,
    rotation: &Rotation,
    place: &RotationRestart,
) -> Result<Result<Running, RestartFate>, RecordsError> {
    let newest = read.rotation_newest(&rotation.secret).await?;
    if let Some(newer) = newest.filter(|newest| newest.version > rotation.version) {
        let problem =
            format!("the secret was rotated again, to version {}, before its turn came", newer.version);
        return Ok(Err(left(problem, "the restarts for that version bring it along")));
    }
    let gone = |what: &str| RestartFate::Left { problem: format!("{what} is gone"), hint: None };
    let Some(application) = read.application_get(place.application_id).await? else {
        return Ok(Err(gone("the application")));
    };
    let environment = read.environment_by_name(&place.environment).await?;
    let Some(environment) = environment.filter(|found| found.id == place.environment_id) else {
        return Ok(Err(gone("the environment")));
    };
    let out = read.deployment_out(environment.id, application.id).await?;
    if let Some(out) = &out
        && brings_it(read, rotation, (&application, &environment), out).await?
    {
        return Ok(Err(RestartFate::Made(out.id)));
    }
    let (app, env) = (&application.name, &environment.name);
    let again = by_hand(app, env);
    let open = read.deployments_open(environment.id, application.id).await?;
    if let Some(ahead) = open.iter().find(|deployment| deployment.state.is_pending()) {
        let (generation, version) = (ahead.generation, &ahead.bundle_version);
        let problem =
            format!("generation {generation} ({version}) is on its way there and would be superseded");
        return Ok(Err(left(problem, format!("let it arrive or withdraw it, then: {again}"))));
    }
    let Some(deployment) = out else { return Ok(Err(gone("what ran there"))) };
    if let Some((why_not, what)) = unfit(&deployment) {
        let problem = format!("generation {} {why_not}", deployment.generation);
        let hint = what.replace("PLACE", &format!("{app}@{env}"));
        return Ok(Err(left(problem, format!("{hint}, then: {again}"))));
    }
    let hold = read.hold_get(environment.id, application.id).await?;
    let cause = cause(rotation, &deployment);
    if let Some(pin) = hold.filter(|hold| hold.stands_against(deployment.bundle_id, &cause)) {
        let problem = format!("it is pinned by {}: {}", pin.by, pin.reason);
        return Ok(Err(left(problem, format!("slipway release {app} --env {env}, then: {again}"))));
    }
    Ok(Ok(Running { application, environment, deployment }))
}

/// Whether what is out in a place has the value already, or is on its way to: somebody deployed there after the value
/// was set. What it was frozen with counts: what a receiver read for a revision of before is on no record.
async fn brings_it(
    read: &mut dyn Read,
    rotation: &Rotation,
    (application, environment): (&Application, &Environment),
    out: &Deployment,
) -> Result<bool, RecordsError> {
    let Some(revision) = out.revision.filter(|_| unfit(out).is_none() || arrives(out)) else {
        return Ok(false);
    };
    let noted = read.revision_secrets(&revision).await?;
    let candidate = Candidate {
        deployment: out.clone(),
        application: Some(application.clone()),
        environment: Some(environment.clone()),
    };
    Ok(has_value(&candidate.uses(&secret_of(rotation), &noted), rotation.version))
}

/// Whether its receiver brings it about, and nobody stopped or holds it.
fn arrives(deployment: &Deployment) -> bool {
    matches!(deployment.state, DeploymentState::HandedOff { .. } | DeploymentState::Progressing { .. })
}

/// The same revision again, with nothing moved but versions of secrets.
fn cause(rotation: &Rotation, of: &Deployment) -> DeploymentCause {
    DeploymentCause::Restart { reason: rotation.reason.clone(), of: Some(of.generation) }
}

/// Makes the deployment, in the name of who rotated the secret.
async fn restart(tx: &mut dyn Write, rotation: &Rotation, running: Running) -> Result<Deployment, JobError> {
    let Running { application, environment, deployment: runs } = running;
    let cause = cause(rotation, &runs);
    let new = NewDeployment {
        application_id: application.id,
        environment_id: environment.id,
        bundle_id: runs.bundle_id,
        bundle_version: runs.bundle_version,
        bundle_digest: runs.bundle_digest,
        lock: runs.lock,
        choice: json!({"asked": format!("generation {} again, with the secrets of now", runs.generation)}),
        cause,
        created_by: rotation.person.clone(),
        // What was given with the deployment belongs to what runs.
        document: runs.document,
    };
    let made = tx.deployment_insert(new).await.map_err(|error| match error {
        // The place went meanwhile: the next look finds that.
        RecordsError::Conflict { .. } | RecordsError::Removed { .. } => {
            JobError::Failed(Fault::transient("conflict", error.to_string()))
        }
        error => error.into(),
    })?;
    tx.audit(NewAuditEntry {
        actor: rotation.actor.clone(),
        action: "deployment.create",
        subject: format!("deployment/{}", made.id),
        detail: json!({
            "application": application.name,
            "environment": environment.name,
            "generation": made.generation,
            "bundle": made.bundle_version,
            "cause": made.cause,
            "reason": rotation.reason,
            "rotation": {"secret": rotation.secret, "version": rotation.version},
        }),
    })
    .await?;
    let job = JobPayload::Deploy { deployment: made.id };
    tx.job_enqueue(NewJob::new(job, Some(application.id))).await?;
    Ok(made)
}

/// Why what runs is not restarted by itself, and what to do first; `None`: it is. A restart would start what somebody
/// stopped, and supersede what is under way.
fn unfit(deployment: &Deployment) -> Option<(String, &'static str)> {
    if matches!(deployment.cause, DeploymentCause::Remove { .. }) {
        return Some(("takes it away".to_owned(), "if it shall run, deploy a bundle"));
    }
    let word = deployment.state.word();
    let stopped = "if it shall run";
    let (why, what) = match &deployment.state {
        DeploymentState::Live
        | DeploymentState::Degraded { .. }
        | DeploymentState::Unreachable { .. }
        | DeploymentState::Delivered { .. } => return None,
        DeploymentState::Suspended { by } => {
            (format!("is suspended ({by})"), "let it go on (slipway deploy resume PLACE) and arrive")
        }
        DeploymentState::Failed { .. } | DeploymentState::TimedOut { .. } => {
            (format!("is {word}"), "see why (slipway deploy show PLACE)")
        }
        DeploymentState::Terminating { by } | DeploymentState::Terminated { by } => {
            (format!("was stopped by {by}"), stopped)
        }
        DeploymentState::Deleting { by } => (format!("is being taken away by {by}"), stopped),
        _ => (format!("is under way ({word}) and would be superseded"), "let it arrive"),
    };
    Some((why, what))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use slipway_types::Digest;
    use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};

    use super::*;

    fn deployment(cause: DeploymentCause, state: DeploymentState) -> Deployment {
        let new = NewDeployment {
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            bundle_id: VersionId::new(),
            bundle_version: "1.2.3".parse().unwrap(),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: Value::Null,
            cause,
            created_by: "ann".into(),
            document: None,
        };
        Deployment { state, ..new.draft(7, Utc::now()) }
    }

    #[test]
    fn only_what_runs_as_it_should_is_restarted() {
        let fit = [
            DeploymentState::Live,
            DeploymentState::Degraded { why: "x".into() },
            DeploymentState::Unreachable { since: Utc::now() },
            DeploymentState::Delivered { artifact: "x".into() },
        ];
        for state in fit {
            let runs = deployment(DeploymentCause::Deploy, state);
            assert!(unfit(&runs).is_none(), "{runs:?}");
            let cause = DeploymentCause::Remove { reason: "x".into() };
            assert!(unfit(&Deployment { cause, ..runs }).is_some());
        }
        let fault = Fault::permanent("x", "y");
        let left_alone = [
            DeploymentState::Suspended { by: "ann".into() },
            DeploymentState::Failed { node: None, fault },
            DeploymentState::TimedOut { node: None, which: "x".into() },
            DeploymentState::Terminating { by: "ann".into() },
            DeploymentState::Terminated { by: "ann".into() },
            DeploymentState::Deleting { by: "ann".into() },
            DeploymentState::HandedOff { run: "x".into() },
            DeploymentState::Progressing { blocker: None },
        ];
        for state in left_alone {
            let runs = deployment(DeploymentCause::Deploy, state);
            assert!(unfit(&runs).is_some_and(|(why, what)| !why.is_empty() && !what.is_empty()), "{runs:?}");
        }
    }

    #[test]
    fn what_has_the_value_already_is_left_as_it_is() {
        let uses = |versions: &[&str]| -> Vec<RevisionSecret> {
            let used = |version: &&str| RevisionSecret {
                reference: SecretReference::builtin("db"),
                scope: None,
                version: (*version).to_owned(),
                components: Vec::new(),
            };
            versions.iter().map(used).collect()
        };
        let cases = [
            (vec!["3"], true),
            (vec!["4"], true),
            (vec!["2"], false),
            (vec!["3", "2"], false),
            (vec!["x"], false),
            (vec![], false),
        ];
        for (versions, has) in cases {
            assert_eq!(has_value(&uses(&versions), 3), has, "{versions:?}");
        }
    }
}
