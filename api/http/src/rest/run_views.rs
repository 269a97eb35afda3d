//! Runs and builds as JSON.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use slipway_records::plan::ComponentPlan;
use slipway_records::{Application, Build, DeclaredCheck, Read, Run};
use slipway_types::id::{ApplicationId, RunId};
use slipway_types::state::{BuildState, BuiltImage, RunState};
use slipway_types::{ApplicationName, Fault, GitRef, Role};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A run, as lists show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RunView {
    pub(crate) id: String,
    /// Counts from 1 in its application; `application#number` names the run too.
    pub(crate) number: i64,
    pub(crate) application: String,
    pub(crate) commit: String,
    /// The branch, if it was one that moved.
    pub(crate) branch: Option<String>,
    /// The tag, if it was one.
    pub(crate) tag: Option<String>,
    /// Full name of the ref.
    pub(crate) r#ref: String,
    /// `queued`, `planning`, `building`, `packaging`, `cancelling`, `done`, `skipped`, `failed`,
    /// `timed_out`, `superseded` or `cancelled`.
    pub(crate) state: &'static str,
    /// Why it waits, failed, was skipped or stopped.
    pub(crate) reason: Option<String>,
    pub(crate) actor: String,
    /// First line of the commit's message.
    pub(crate) subject: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// The published version of the bundle.
    pub(crate) bundle: Option<String>,
    /// The published version, of a bundle or of one component.
    pub(crate) version: Option<String>,
}

/// Why something failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FaultView {
    /// `transient`, `permanent` or `bug`.
    #[schema(value_type = String)]
    class: slipway_types::Class,
    code: String,
    message: String,
    hint: Option<String>,
}

/// One component's build.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BuildView {
    pub(crate) id: String,
    pub(crate) component: String,
    pub(crate) kit: String,
    /// `queued`, `building`, `pushing`, `pushed`, `reused`, `failed`, `timed_out`, `cancelling` or
    /// `cancelled`.
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    fault: Option<FaultView>,
    pub(crate) backend: Option<String>,
    backend_why: Option<String>,
    /// What people should know of how it was planned, e.g. that a base's registry could not be reached.
    notes: Vec<String>,
    attempt: u32,
    /// When the next attempt is due.
    retry_at: Option<DateTime<Utc>>,
    /// The build whose result stands in.
    reused_from: Option<String>,
    /// Milliseconds by stage.
    #[schema(value_type = Object)]
    stages_ms: serde_json::Value,
    /// Full references by digest.
    images: Vec<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    #[serde(flatten)]
    pub(crate) run: RunView,
    author: String,
    committed_at: DateTime<Utc>,
    fresh: bool,
    /// The run it repeats.
    retry_of: Option<String>,
    /// The step it failed in.
    failed_step: Option<String>,
    fault: Option<FaultView>,
    /// After a failure: the newest run of the ref that was done.
    last_good: Option<Box<RunView>>,
    pub(crate) builds: Vec<BuildView>,
    /// Why the bundle is held, if it is: each check of its developers that is not green.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
}

impl From<&Fault> for FaultView {
    fn from(fault: &Fault) -> Self {
        Self {
            class: fault.class,
            code: fault.code.clone(),
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        }
    }
}

/// A run's name in an address: its UUID or `application#number`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunName {
    Id(RunId),
    Number(ApplicationName, i64),
}

impl FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let wrong = || {
            "a run is named `application#number`, such as shop#12, or by its UUID (in an address `%23` for `#`)"
                .to_owned()
        };
        let (application, number) = text.rsplit_once('#').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        Ok(Self::Number(application.parse().map_err(|error| format!("{error}"))?, number))
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Number(application, number) => write!(f, "{application}#{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for RunName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The run of that name and its application, if the caller holds `role` on it.
pub(crate) async fn find_run(
    caller: &Caller,
    read: &mut dyn Read,
    name: &RunName,
    role: Role,
) -> Result<(Run, Application), ApiError> {
    let not_found = || ApiError::not_found("run", name);
    let run = match name {
        RunName::Id(id) => read.run_get(*id).await?,
        RunName::Number(application, number) => match read.application_by_name(application).await? {
            Some(application) => read.run_by_number(application.id, *number).await?,
            None => None,
        },
    };
    let run = run.filter(|run| caller.may(Role::Reader, Some(run.application_id))).ok_or_else(not_found)?;
    let application = read.application_get(run.application_id).await?.ok_or_else(not_found)?;
    caller.on_application(&application, role)?;
    Ok((run, application))
}

/// The names of the applications with those ids.
pub(crate) async fn names_of(
    read: &mut dyn Read,
    ids: impl Iterator<Item = ApplicationId>,
) -> Result<HashMap<ApplicationId, String>, ApiError> {
    let mut names = HashMap::new();
    for id in ids {
        if let Entry::Vacant(place) = names.entry(id) {
            let application = read.application_get(id).await?;
            place.insert(application.map_or_else(|| id.to_string(), |found| found.name.to_string()));
        }
    }
    Ok(names)
}

/// A run of the application with that name.
pub(crate) fn run_view(run: &Run, application: impl Into<String>) -> RunView {
    let (bundle, version) = match &run.state {
        RunState::Done { bundle, version } => {
            (bundle.map(|_| version.to_string()), Some(version.to_string()))
        }
        _ => (None, None),
    };
    RunView {
        id: run.id.to_string(),
        number: run.number,
        application: application.into(),
        commit: run.commit.to_string(),
        branch: run.git_ref.branch().map(str::to_owned),
        tag: match &run.git_ref {
            GitRef::Tag(tag) => Some(tag.clone()),
            GitRef::Branch(_) => None,
        },
        r#ref: run.git_ref.to_string(),
        state: run.state.word(),
        reason: run.state.reason(),
        actor: run.actor.clone(),
        subject: run.subject.clone(),
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        bundle,
        version,
    }
}

/// Full reference by digest: of the external registry that keeps it, else with the public host.
pub(crate) fn image_reference(state: &ServerState, image: &BuiltImage) -> String {
    match &image.registry {
        Some(registry) => registry.reference(&image.repository, Some(image.digest)).to_string(),
        None => format!("{}/{}@{}", state.registry_host(), image.repository, image.digest),
    }
}

/// None where the plan was written by another release.
fn notes(build: &Build) -> Vec<String> {
    let plan = serde_json::from_value::<ComponentPlan>(build.plan.clone());
    plan.map_or_else(|_| Vec::new(), |plan| plan.notes())
}

fn build_view(state: &ServerState, build: &Build) -> BuildView {
    let images = build.state.images().unwrap_or_default();
    BuildView {
        id: build.id.to_string(),
        component: build.component.to_string(),
        kit: build.kit.clone(),
        state: build.state.word(),
        reason: build.state.reason(),
        fault: match &build.state {
            BuildState::Failed { fault } => Some(fault.into()),
            _ => None,
        },
        backend: build.backend.clone(),
        backend_why: build.backend_why.clone(),
        notes: notes(build),
        attempt: build.attempt,
        retry_at: match &build.state {
            BuildState::Queued { retry_at, .. } => *retry_at,
            _ => None,
        },
        reused_from: match &build.state {
            BuildState::Reused { from, .. } => Some(from.to_string()),
            _ => None,
        },
        stages_ms: build.stages_ms.clone(),
        images: images.iter().map(|image| image_reference(state, image)).collect(),
        started_at: build.started_at,
        finished_at: build.finished_at,
    }
}

/// All that is known of a run.
pub(crate) async fn run_detail(
    state: &ServerState,
    read: &mut dyn Read,
    run: &Run,
    application: &Application,
) -> Result<RunDetail, ApiError> {
    let name = application.name.to_string();
    let (failed_step, fault) = match &run.state {
        RunState::Failed { step, fault } => (Some(step.to_string()), Some(fault.into())),
        RunState::TimedOut { step, .. } => (Some(step.to_string()), None),
        _ => (None, None),
    };
    let last_good = match failed_step {
        Some(_) => read.run_last_done(run.application_id, &run.git_ref).await?,
        None => None,
    };
    let builds = read.builds_of(run.id).await?;
    let holding = match &run.state {
        RunState::Done { bundle: Some(bundle), .. } => read.declared_checks_holding(&[*bundle]).await?,
        _ => Vec::new(),
    };
    Ok(RunDetail {
        run: run_view(run, name.clone()),
        author: run.author.clone(),
        committed_at: run.committed_at,
        fresh: run.fresh,
        retry_of: run.retry_of.map(|id| id.to_string()),
        failed_step,
        fault,
        last_good: last_good.map(|run| Box::new(run_view(&run, name))),
        builds: builds.iter().map(|build| build_view(state, build)).collect(),
        held: holding.iter().map(DeclaredCheck::standing).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_uuid_or_by_application_and_number() {
        let id = RunId::new();
        assert_eq!(id.to_string().parse(), Ok(RunName::Id(id)));
        let name: RunName = "commerce/shop#12".parse().unwrap();
        assert_eq!(name, RunName::Number("commerce/shop".parse().unwrap(), 12));
        for bad in ["shop", "shop#", "#1", "shop#x"] {
            assert!(bad.parse::<RunName>().is_err(), "{bad}");
        }
    }
}
