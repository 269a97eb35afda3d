//! Charts and kustomizations rendered by the real programs: `helm` (`SLIPWAY_TEST_HELM`, else from `PATH`) and
//! `kubectl` (`SLIPWAY_TEST_KUSTOMIZE`, else from `PATH`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod cage;
mod failures;
mod files;
mod helm;
mod kustomize;
mod rig;
