//! How the world reaches Slipway over HTTP: hooks, git, REST, the registry.
//!
//! The binary makes a [`ServerState`] from [`ServerParts`] and serves [`router`]. Nothing here
//! builds or packs: work is asked for by committing a delivery or enqueuing a job.

pub mod auth;
mod bundle_comparison;
mod extract;
mod git_remote;
mod history;
mod hooks;
pub mod operation;
mod package_contents;
mod pages;
pub mod problem;
mod reports;
mod rest;
pub mod state;
mod v2;
mod value_differences;

pub use operation::metrics::Metrics;
pub use problem::ApiError;
pub use rest::openapi;
pub use state::{HttpOptions, HttpRoles, Retention, ServerParts, ServerState, VERSION, router};
