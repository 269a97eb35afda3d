//! The whole router over SQLite and local blobs.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

mod access;
mod addons;
mod audit;
mod board_pages;
mod deploy_pages;
mod deployment_pages;
mod environments;
mod every_form;
mod git;
mod hooks;
mod infrastructure;
mod lists;
mod logs;
mod pages;
mod past_deployments;
mod pull_tokens;
mod registry;
mod rest;
mod rollbacks;
mod rotations;
mod run_pages;
mod server;
mod streams;
mod version_pages;
