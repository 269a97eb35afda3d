//! The deploy stage: choose a bundle, check, freeze, approve, hand off.
//!
//! A deployment moves by one job ([`handler::DeployHandler`]): its plan is made and frozen as a
//! [`slipway_handoff::Revision`], its environment's gates are asked until all are open, and the revision
//! is handed to the environment's receiver, which is then listened to ([`observe::ObserveHandler`]). Environments that follow get deployments by
//! [`follow::FollowHandler`]. Instances of add-ons move by a job of their own ([`addon::AddonHandler`]).

pub mod addon;
pub mod calls;
pub mod cluster_secrets;
pub mod clusters;
pub mod configuration;
mod configuration_notes;
pub mod configuration_source;
pub mod core_host;
pub mod definitions;
mod failures;
pub mod follow;
pub mod freeze;
pub mod gates;
mod generations;
pub mod handler;
pub mod live_objects;
pub mod observe;
pub mod order;
pub mod packages;
mod pins;
pub mod plan;
pub mod port;
pub mod pull;
pub mod receivers;
mod revision_secrets;
mod rollback;
pub mod rotation;
pub mod secret_users;
mod sensing;
pub mod signatures;
pub mod stage;
pub mod standing;
mod subject;
pub mod transition;
pub mod waves;

pub use stage::{Stage, StageOptions};

use slipway_records::RecordsError;
use slipway_types::Fault;

/// The fault of records that fail.
pub(crate) fn records_fault(error: &RecordsError) -> Fault {
    slipway_records::worker::fault_of(error)
}
