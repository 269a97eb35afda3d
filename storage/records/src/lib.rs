//! Repository traits, the job queue and its payloads, and the worker that runs them.
//!
//! One trait per aggregate and direction. [`Records::read`] gives a [`Read`], which cannot write;
//! [`Records::begin`] gives a [`Write`], one short transaction: what is done through it happens at
//! [`Write::commit`] together or not at all. No transaction is held while work is done.
//!
//! Two adapters implement this, SQLite and PostgreSQL, held to the same behaviour by one
//! conformance suite. Uniqueness and compare-and-swap are the database's job, here and nowhere else.

use async_trait::async_trait;

pub mod addon;
pub mod adopting;
pub mod application;
pub mod audit;
pub mod build;
pub mod bundle_check;
pub mod change;
pub mod channel;
pub mod composing;
pub mod configuration_source;
pub mod declared_check;
pub mod defining;
pub mod definition;
pub mod delivery;
pub mod deploying;
pub mod deployment;
pub mod detail;
pub mod environment;
pub mod failure;
pub mod fault_point;
pub mod git;
pub mod hold;
pub mod incident;
pub mod job;
pub mod lineage;
pub mod live_object;
pub mod log;
pub mod notice;
pub mod noticing;
pub mod observation;
pub mod order;
pub mod package;
pub mod pipeline;
pub mod plan;
pub mod port;
pub mod pull_token;
pub mod queue;
pub mod reconcile;
pub mod registry;
pub mod resolution;
pub mod rollback;
pub mod rotation;
pub mod run;
pub mod secret;
pub mod secret_use;
pub mod selection;
pub mod sign_in;
pub mod token;
pub mod unreferenced;
pub mod upkeep;
pub mod upload;
pub mod worker;

pub use addon::{AddonBinding, AddonInstance, ReadAddons, WriteAddons};
pub use adopting::{AdoptFate, AdoptFrom, AdoptPlan, AdoptRequest, AdoptedObject, AdoptedView, UnknownTool};
pub use application::{Application, NewSource, ReadApplications, Source, SourceKind, WriteApplications};
pub use audit::{AuditEntry, NewAuditEntry, ReadAudit, WriteAudit};
pub use build::{Build, BuildResult, ReadBuilds, WriteBuilds};
pub use bundle_check::{BundleCheck, CheckState, ReadBundleChecks, WriteBundleChecks};
pub use change::{Change, Changes};
pub use channel::{Channel, ChannelMove, ChannelMoved, ReadChannels, WriteChannels};
pub use configuration_source::{
    ConfigurationOrigin, ConfigurationSource, NewConfigurationSource, ReadConfigurationSources, SourceAway,
    WriteConfigurationSources,
};
pub use declared_check::{CheckOrder, DeclaredCheck, ReadDeclaredChecks, Waiver, WriteDeclaredChecks};
pub use definition::{
    DefinitionHold, DefinitionUse, FrozenDefinition, InstalledDefinition, ReadDefinitions, WriteDefinitions,
};
pub use delivery::{Delivery, NewDelivery, Origin, ReadDeliveries, Refusal, WriteDeliveries};
pub use deployment::{
    Approval, Deployment, DeploymentCause, DeploymentFilter, NewDeployment, ReadDeployments, WriteDeployments,
};
pub use environment::{
    Cluster, Configuration, Environment, NewConfiguration, ReadEnvironments, WriteEnvironments,
};
pub use failure::{Failure, ReadFailures, WriteFailures};
pub use git::{PackRow, ReadGit, RefMove, RefRow, WriteGit};
pub use hold::{Hold, ReadHolds, WriteHolds};
pub use incident::{Incident, IncidentFilter, ReadIncidents, Topic, WriteIncidents};
pub use job::{JobPayload, NewJob};
pub use lineage::{LabelChanged, ReadLineage};
pub use live_object::{LiveObject, LiveObjects, LiveState, LiveWanted};
pub use log::{LogChunk, ReadLogs, WriteLogs};
pub use notice::{NewNotice, NoticeCounts, NoticeDelivery, NoticeState, ReadNotices, Tried, WriteNotices};
pub use observation::{Observation, ReadObservations, Seen, Trouble, WriteObservations};
pub use order::{OrderRow, OrderState, ReadOrders, WriteOrders};
pub use package::{LabelChange, NewVersion, PackageVersion, ReadPackages, VersionFilter, WritePackages};
pub use queue::{Job, JobState, Queue, QueueDepth};
pub use reconcile::{
    EventsKept, ReadReconcile, ReconcileEvent, ReconcileKey, ReconcileState, WriteReconcile,
};
pub use registry::{ManifestRow, ReadRegistry, WriteRegistry};
pub use resolution::{ReadResolutions, Resolution, WriteResolutions};
pub use rollback::{ReadRollbacks, Returnable};
pub use rotation::{ReadRotations, RestartFate, RestartPlace, Rotation, RotationRestart, WriteRotations};
pub use run::{NewRun, ReadRuns, Run, RunFilter, WriteRuns};
pub use secret::{ReadSecrets, SealedSecret, SecretRow, WriteSecrets};
pub use secret_use::{ReadSecretUses, RevisionSecret, WriteSecretUses};
pub use selection::{
    Deployed, Explanation, Pick, ReadSelections, Selected, SelectionCursor, SelectionPage, WriteSelections,
};
pub use sign_in::{ReadSignIns, SignIn, WriteSignIns};
pub use token::{NewToken, ReadTokens, TokenPage, TokenRow, WriteTokens};
pub use unreferenced::{CondemnedBlob, ReadUnreferenced, WriteUnreferenced};
pub use upkeep::{ReadUpkeep, RepositoryContent, Stored, WriteUpkeep};
pub use upload::{ReadUploads, Upload, UploadPart, WriteUploads};
pub use worker::{Handler, JobContext, JobError, Lane, Worker};

/// Why the records did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database cannot be reached or is overloaded: try again.
    #[error("the database does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk under the database is full.
    #[error("the disk under the database is full: free space and try again")]
    NoSpace(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database's file is not whole.
    #[error("the database is damaged: stop the server and restore a backup (`slipway admin restore`)")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something with that identity exists with other content.
    #[error("{what} exists already")]
    Conflict {
        /// What, in words for people, e.g. ``application `shop` ``.
        what: String,
    },
    /// What something was to be made for was removed meanwhile.
    #[error("{what} was removed: nothing is made for it any more")]
    Removed {
        /// What, in words for people, e.g. ``environment `prod` ``.
        what: String,
    },
    /// A value is larger than what is kept.
    #[error("{what} has {bytes} bytes, at most {limit} are kept: make it smaller or split it")]
    TooLarge {
        /// What, in words for people.
        what: String,
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A row holds what this release cannot read.
    #[error("{what} cannot be read by this release")]
    Unreadable {
        /// Which row.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The adapter sent a statement the database refuses: a bug.
    #[error("the database refused a statement")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RecordsError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NoSpace(_))
    }
}

/// The result of every records operation.
pub type Result<T, E = RecordsError> = std::result::Result<T, E>;

/// Whether an insert made the row or found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted<T> {
    /// It is new.
    New(T),
    /// It was there already.
    Existing(T),
}

impl<T> Inserted<T> {
    /// The row either way.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(row) | Self::Existing(row) => row,
        }
    }

    /// Whether it is new.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

/// One page of a list, newest first, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows; adapters cap it at [`PAGE_ROWS_MAX`].
    pub limit: u32,
    /// Rows that come after this identifier in the list's order.
    pub after: Option<uuid::Uuid>,
}

/// The largest page of any list, in rows.
pub const PAGE_ROWS_MAX: u32 = 1000;

impl Default for Page {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

/// Everything that can be read.
pub trait Read:
    ReadAddons
    + ReadApplications
    + ReadAudit
    + ReadBuilds
    + ReadBundleChecks
    + ReadChannels
    + ReadConfigurationSources
    + ReadDeclaredChecks
    + ReadDefinitions
    + ReadDeliveries
    + ReadDeployments
    + ReadEnvironments
    + ReadFailures
    + ReadGit
    + ReadHolds
    + ReadIncidents
    + ReadLineage
    + ReadLogs
    + ReadNotices
    + ReadObservations
    + ReadOrders
    + ReadPackages
    + ReadReconcile
    + ReadRegistry
    + ReadResolutions
    + ReadRollbacks
    + ReadRotations
    + ReadRuns
    + ReadSecretUses
    + ReadSecrets
    + ReadSelections
    + ReadSignIns
    + ReadTokens
    + ReadUnreferenced
    + ReadUpkeep
    + ReadUploads
    + Send
{
}

/// One transaction. Dropped without [`Write::commit`], it never happened.
#[async_trait]
pub trait Write:
    Read
    + WriteAddons
    + WriteApplications
    + WriteAudit
    + WriteBuilds
    + WriteBundleChecks
    + WriteChannels
    + WriteConfigurationSources
    + WriteDeclaredChecks
    + WriteDefinitions
    + WriteDeliveries
    + WriteDeployments
    + WriteEnvironments
    + WriteFailures
    + WriteGit
    + WriteHolds
    + WriteIncidents
    + WriteLogs
    + WriteNotices
    + WriteObservations
    + WriteOrders
    + WritePackages
    + WriteReconcile
    + WriteRegistry
    + WriteResolutions
    + WriteRotations
    + WriteRuns
    + WriteSecretUses
    + WriteSecrets
    + WriteSelections
    + WriteSignIns
    + WriteTokens
    + WriteUnreferenced
    + WriteUpkeep
    + WriteUploads
{
    /// Puts a job into the queue. A ready job with the same dedupe key is adopted instead; its due
    /// time becomes the earlier of the two, unless it is suspected of ending its worker's process
    /// ([`queue::LOSSES_SUSPICIOUS`]): then it keeps apart from others.
    async fn job_enqueue(&mut self, job: NewJob) -> Result<slipway_types::id::JobId>;

    /// Makes everything done so far durable, then tells those who listen to [`Changes`].
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The records: one database.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// A connection for reading. Statements see committed rows; no snapshot across statements is
    /// promised.
    async fn read(&self) -> Result<Box<dyn Read>>;

    /// Begins a transaction. On SQLite it holds the one writer: keep it short, do no I/O inside.
    async fn begin(&self) -> Result<Box<dyn Write>>;

    /// The job queue.
    fn queue(&self) -> &dyn Queue;

    /// What was committed, as it happens. A hint only: listeners also poll slowly.
    fn changes(&self) -> &Changes;

    /// Which database this is, for `doctor` and logs: no credentials.
    fn describe(&self) -> String;

    /// Answers if the database does.
    async fn ping(&self) -> Result<()>;
}
