//! Definitions called in the caged plug-in host.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod base;
mod conflicts;
mod directives;
mod examples;
mod guide;
mod packages;
mod shipped;
mod speed;
mod together;
mod traits;
mod world;
