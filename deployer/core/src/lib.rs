//! The reconcile core: drives a cluster to a frozen revision and keeps looking.
//!
//! What is decided is apart from what is done: the modules here know no I/O and no clock. A driver
//! carries out what they ask for and tells them what came of it.

pub mod inventory;
pub mod schedule;
