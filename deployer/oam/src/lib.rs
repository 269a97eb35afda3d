//! The OAM application model: what an operator writes, read with positions, checked as far as the
//! file alone allows, and laid over what developers declared.
//!
//! [`read()`] reads `core.oam.dev/v1beta1` Applications and `core.oam.dev/v1alpha2`
//! ApplicationConfigurations into one [`Application`]; [`overlay()`](overlay::overlay) merges the operator's levels over
//! the components of a bundle and keeps for every value who set it.

pub mod binding;
mod canonical;
pub mod check;
pub mod code;
pub mod condition;
mod decode;
pub mod duration;
pub mod model;
mod options;
pub mod overlay;
pub mod path;
mod places;
mod read;
pub mod schema;

pub use binding::{Source, Target};
pub use canonical::canonical_json;
pub use condition::Condition;
pub use model::{
    Application, Choice, Component, Input, Mode, Output, Phase, Placed, Policy, Properties, Step, StepAt,
    StepMode, StepRetry, Trait, Workflow,
};
pub use options::OamOptions;
pub use path::{Path, Segment};
pub use places::Places;
pub use read::{Document, Reading, inspect, read, read_all};
