//! The kits: from a component declaration to build and package steps.
//!
//! A kit is pure. It sees its declaration and the files of its context at one commit, and answers
//! with [`Verb`]s that Slipway carries out. The built-in kits lie one folder each beside this
//! crate's `src/`: `kit.yaml`, `schema.json`, `golden/`.

pub mod context;
mod dockerfile;
mod helm;
mod image;
mod kit;
mod kits;
mod kustomize;
mod manifests;
pub mod path;
pub mod schema;
pub mod suggestion;
mod verb;

pub use context::{ContextListing, MemoryContext, ReadError};
pub use kit::{Declaration, Kit, KitDescription, KitError, KitLimits, Place};
pub use kits::Kits;
pub use verb::{Verb, VerbName};
