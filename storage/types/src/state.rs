//! State machines of deliveries, runs, builds, checks, deployments and add-ons: enums with data that refuse bad transitions.
//!
//! A terminal state never changes, but for a check that is asked to run again. A retry is a new run.

pub mod addon;
pub mod build;
pub mod check;
pub mod delivery;
pub mod deployment;
pub mod run;

pub use addon::{AddonEvent, AddonState};
pub use build::{BuildEvent, BuildState, BuiltImage, PlatformManifest};
pub use check::{CheckEvent, DeclaredCheckState, EarlierCheck};
pub use delivery::{DeliveryEvent, DeliveryState};
pub use deployment::{DeploymentEvent, DeploymentState, NOT_AS_APPLIED};
pub use run::{RunEvent, RunState, Step, WAITS_FOR_DISK};

/// An event that does not fit the state it met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {state} cannot take `{event}`")]
pub struct InvalidTransition {
    /// `delivery`, `run`, `build`, `check`, `deployment`, a `node` of a deployment, or a `resource` of an
    /// add-on.
    pub what: &'static str,
    /// The state's word.
    pub state: &'static str,
    /// The event's word.
    pub event: &'static str,
}
