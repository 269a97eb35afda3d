//! The five kinds of definitions, as everything above and below names them.

pub use slipway_types::definition::{DefinitionKind, UnknownKind};
