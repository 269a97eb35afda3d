//! Ground shared by the end-to-end and conformance tests.

pub mod browser;
pub mod conformance;
pub mod database_file;
pub mod forge;
pub mod namespace;
pub mod random;
pub mod server;
pub mod services;
pub mod wait;
