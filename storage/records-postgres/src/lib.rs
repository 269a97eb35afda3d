//! The shared records adapter: PostgreSQL, one database for several servers.
//!
//! Transactions run at `read committed`. Where SQLite's single writer keeps others out, a
//! transaction here locks the row of the application or source it is about, before it reads what it
//! will decide on: see `session`. A deadlock or a lost connection ends the transaction as
//! [`slipway_records::RecordsError::Unavailable`]; the caller does it again.

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
mod news;
mod notice;
mod observation;
mod options;
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

pub use options::PostgresOptions;
pub use records::PostgresRecords;
