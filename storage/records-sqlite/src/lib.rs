//! The embedded records adapter: SQLite in WAL mode with a single writer.
//!
//! One connection writes, through a pool of one that serves in order of asking; a few others read.
//! Every write transaction is `BEGIN IMMEDIATE`, so it never fails half way for want of the lock.

mod addon;
mod application;
mod audit;
mod build;
mod bundle_check;
mod channel;
mod configuration_source;
mod declared_check;
mod definition;
mod delivery;
mod deployment;
mod environment;
mod error;
mod failure;
mod git;
mod hold;
mod incident;
mod lineage;
mod log;
mod notice;
mod observation;
mod order;
mod package;
mod queue;
mod reconcile;
mod records;
mod registry;
mod resolution;
mod rotation;
mod run;
mod secret;
mod selection;
mod session;
mod sign_in;
mod token;
mod unreferenced;
mod upkeep;
mod upload;
mod value;

pub use records::{SqliteOptions, SqliteRecords};
