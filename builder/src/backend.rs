//! Image back-ends: what turns a planned build into an image that the registry confirms.

pub mod assemble;
mod choice;
mod clock;
mod context;
pub mod docker;
pub mod kaniko;
mod recipe;
mod run;

use std::collections::BTreeMap;

use async_trait::async_trait;
use slipway_git::GitStore;
use slipway_objects::BlobError;
use slipway_records::plan::BuildPlan;
use slipway_records::port::BuildPlace;
use slipway_records::{Build, Source};
use slipway_types::id::{BuildId, CheckId};
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, CommitId, ComponentName, Fault, ImageReference, Platform};
use tokio_util::sync::CancellationToken;

pub use self::choice::{Backends, Choice, UnknownBackend};
pub use self::clock::BuildClock;
pub use self::run::{ContainerRun, RunEnd};
use crate::dockerfile::{BaseReference, Parameters};
use crate::log::LogWriter;
use crate::target::ImageTarget;

/// What a Dockerfile and its component ask of a back-end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Line of the first `RUN`.
    pub run: Option<usize>,
    /// Line and name of the first thing that only BuildKit has.
    pub buildkit: Option<(usize, String)>,
    /// Line and name of the first thing that Docker's classic builder lacks, though others have it.
    pub beyond_classic: Option<(usize, String)>,
    /// Whether the build mounts secrets.
    pub secrets: bool,
    /// More than one platform, or one that is not the server's own.
    pub foreign_platforms: bool,
    /// The back-end that `slipway.yaml` asks for.
    pub backend: Choice,
}

/// One build handed to a back-end.
pub struct ImageBuild<'a> {
    /// The build's row.
    pub build: &'a Build,
    /// The application that it is for.
    pub application: &'a ApplicationName,
    /// Its component.
    pub component: &'a ComponentName,
    /// What to build.
    pub plan: &'a BuildPlan,
    /// Context directory in the repository.
    pub context: &'a str,
    /// The commit.
    pub commit: &'a CommitId,
    /// The source that has it.
    pub source: &'a Source,
    /// Where its objects are.
    pub git: &'a GitStore,
    /// Repository the image goes to, e.g. `default/shop/i/api`.
    pub repository: &'a str,
    /// Images of needed components.
    pub needs: &'a BTreeMap<ComponentName, Vec<BuiltImage>>,
    /// Where progress and output go.
    pub log: &'a LogWriter,
    /// Whether another process may have begun this attempt.
    pub resumed: bool,
    /// The time that counts against the build.
    pub clock: &'a BuildClock,
    /// Fires when the build is to stop.
    pub cancelled: CancellationToken,
    /// Fires before that when it is because this server stops: what goes on without it may.
    pub stopping: CancellationToken,
}

impl ImageBuild<'_> {
    /// The image that the Dockerfile names, at the digest that it led to when planned.
    pub(crate) fn pinned(&self, base: &BaseReference) -> Result<ImageReference, Fault> {
        let written: ImageReference = base.key.text.parse().map_err(|error| {
            Fault::permanent("dockerfile", format!("{}:{}: {error}", self.plan.dockerfile, base.line))
        })?;
        let planned = self.plan.bases.iter().find(|planned| planned.reference == written);
        Ok(planned.map_or_else(|| written.clone(), |planned| written.pinned(planned.digest)))
    }

    /// The parameters of its Dockerfile: `${NAME.image}` is filled in.
    pub(crate) fn parameters(
        &self,
        platform: &Platform,
        build_platform: &Platform,
        target: &ImageTarget,
    ) -> Parameters {
        let mut build_args = self.plan.args.clone();
        for (name, images) in self.needs {
            let Some(image) = images.first() else { continue };
            let reference = target.reference(&image.repository, Some(image.digest)).to_string();
            for value in build_args.values_mut() {
                *value = value.replace(&format!("${{{name}.image}}"), &reference);
            }
        }
        Parameters {
            build_args,
            platform: platform.clone(),
            build_platform: build_platform.clone(),
            target: self.plan.target.clone(),
        }
    }
}

/// Why a back-end gave no image.
#[derive(Debug)]
pub enum BuildError {
    /// It failed.
    Failed(Fault),
    /// A deadline passed: which, with its limit.
    TimedOut(String),
    /// It was told to stop, and nothing of it runs any more.
    Cancelled,
}

impl From<Fault> for BuildError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// A way to make images.
#[async_trait]
pub trait ImageBackend: Send + Sync {
    /// `assemble`, `docker`, `kaniko`.
    fn name(&self) -> &'static str;

    /// Raised when its output changes for the same input.
    fn recipe(&self) -> u32;

    /// Whether it can do the job now: the reason it can, or the one it cannot.
    async fn can(&self, wanted: &Requirements) -> Result<String, String>;

    /// Where it builds, and whether it could there now.
    async fn places(&self) -> Vec<BuildPlace>;

    /// Builds, pushes, and returns what the registry confirms. Adopts what an earlier attempt of the
    /// same build has left.
    async fn build(&self, job: ImageBuild<'_>) -> Result<BuiltImage, BuildError>;

    /// The outcome of an attempt is recorded: what was kept for whoever might go on with it can go.
    async fn settled(&self, _build: BuildId, _attempt: u32) {}

    /// Whether it can run commands in finished images: the reason it can, or the one it cannot.
    async fn can_run(&self) -> Result<String, String> {
        Err("it has no engine to run commands in".to_owned())
    }

    /// Runs a command in an image until it ends, and leaves nothing of it behind but what
    /// [`Self::run_settled`] removes. Adopts what an earlier process has begun.
    async fn run(&self, _run: ContainerRun<'_>) -> Result<RunEnd, BuildError> {
        let message = format!("the back-end {} has no engine to run commands in", self.name());
        Err(Fault::permanent("backend_runs_nothing", message).into())
    }

    /// The outcome of an attempt at a run is recorded.
    async fn run_settled(&self, _check: CheckId, _attempt: u32) {}
}

fn blob_fault(error: BlobError) -> Fault {
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        message = format!("{message}: {source}");
    }
    match error {
        BlobError::NoSpace { .. } => {
            Fault::transient("no_space", message).hint("Free space on Slipway's disk and retry.")
        }
        BlobError::TooLarge { .. } => Fault::permanent("limit_exceeded", message),
        _ => Fault::transient("object_store", message),
    }
}
