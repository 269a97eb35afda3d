//! The whole router over SQLite and local blobs.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

mod access;
mod addons;
mod board_pages;
mod deploy_pages;
mod deployment_pages;
mod every_form;
mod git;
mod hooks;
mod infrastructure;
mod logs;
mod pages;
mod registry;
mod rest;
mod rollbacks;
mod run_pages;
mod server;
mod version_pages;
