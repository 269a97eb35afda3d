//! Ground shared by the end-to-end and conformance tests.

pub mod browser;
pub mod conformance;
pub mod database_file;
pub mod forge;
pub mod listener;
pub mod namespace;
pub mod plain_api;
pub mod random;
mod request;
pub mod server;
pub mod services;
pub mod wait;
pub mod whole;
