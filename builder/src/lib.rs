//! From a commit to pushed images: slipway.yaml, plan, back-ends.

pub mod advance;
pub mod assemble;
pub mod backend;
pub mod bases;
pub mod build;
pub mod check;
pub mod collect;
mod configuration_only;
pub mod deliver;
pub mod disk;
pub mod dockerfile;
pub mod fingerprint;
pub mod log;
pub mod manifest;
pub mod pin;
pub mod plan;
mod plan_log;
pub mod planner;
pub mod planning;
pub mod preview;
pub mod reuse;
pub mod source_check;
pub mod status;
pub mod sweep;
pub mod target;
