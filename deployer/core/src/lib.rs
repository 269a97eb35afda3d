//! The built-in reconcile core: drives clusters to what was handed off, and always says where that stands.
//!
//! [`Core`] is the receiver: it takes a submission, keeps it, and wakes the job that drives its key
//! ([`ReconcileHandler`]). [`schedule`] decides what is done next and [`inventory`] what may be done to each
//! object; both are pure. A turn carries that out and stores what came of it. A [`Sensor`] has keys looked at
//! whose objects changed. An [`Inspection`] tells people how objects stand.

mod applied_secrets;
mod cache;
mod correction;
mod evidence;
mod gathering;
mod handler;
mod hitch;
mod host;
pub mod inventory;
mod kept;
mod pod_secrets;
mod receiver;
pub mod schedule;
mod sense;
mod task_memory;
mod turn;
mod turns;
mod work;

pub use evidence::Evidence;
pub use handler::ReconcileHandler;
pub use host::{DriftRule, Driven, Host};
pub use receiver::{Core, CoreOptions};
pub use sense::{Sensor, ladder};
pub use work::Inspection;
