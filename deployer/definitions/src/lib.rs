//! Definitions: component types, traits, policies, workflow steps and add-ons as plug-ins.
//!
//! A [`Definition`] is a folder of YAML, JSON Schema and Starlark. A [`Catalogue`] holds several
//! versions of each side by side. [`render`](render::render) turns an application whose definitions
//! are chosen into objects: each component type renders its component, each trait writes its fields
//! alone on that, and nobody writes over another. Everything wrong is told at once, as violations.

pub mod builtin;
mod call;
pub mod catalogue;
pub mod code;
pub mod container;
mod context;
pub mod definition;
pub mod directive;
pub mod field_path;
pub mod folder;
pub mod golden;
pub mod kind;
pub mod manifest;
pub mod object;
mod properties;
mod reading;
pub mod render;
pub mod request;
pub mod scaffold;
pub mod schema;
mod suggestion;
pub mod trial;
pub mod verb;

pub use call::{Function, RenderError};
pub use catalogue::Catalogue;
pub use container::{ContainerRun, Variable};
pub use context::label;
pub use definition::{Definition, Origin};
pub use directive::{Directive, StepDirective, evaluate_policy, evaluate_step};
pub use field_path::{FieldPath, PathPattern};
pub use folder::{Folder, FolderError, FolderOptions};
pub use golden::{TestReport, test_definition};
pub use kind::DefinitionKind;
pub use manifest::{AddonBody, Manifest, Phase, Reach, Takes};
pub use object::{GroupKind, ObjectKey};
pub use render::{
    Caused, OwnedPath, PackageObject, RenderedComponent, RenderedObject, SecretUse, apply_traits,
    check_together, render, render_addon,
};
pub use request::{
    AddonFacts, BindingFacts, ClusterFacts, ComponentRequest, EndedFacts, EnvironmentFacts, Holds,
    ImageFacts, RenderOptions, RenderRequest, TraitRequest,
};
pub use scaffold::scaffold;
pub use trial::{Trial, context_faults, try_definition, try_function};
pub use verb::{OutputSource, Verb};
