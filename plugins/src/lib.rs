//! The caged plug-in host: Starlark without files, network, clock or chance.
//!
//! What people write in plug-ins runs in a child process ([`serve()`]) that has closed itself in
//! before it reads a line of theirs: memory and CPU time are bounded by the kernel, the wall
//! clock by the parent, which kills what does not answer. The interpreter has limits of its own
//! that say where in the text they were met, but nothing relies on them.
//!
//! A [`Host`] knows how to start children, a [`Session`] is one of them. A call hands over a
//! [`Program`], the name of one of its functions and JSON; it brings JSON back, or a
//! [`PluginError`] that says whose turn it is now.

mod cage;
mod child;
mod error;
mod frame;
mod host;
mod language;
mod options;
mod program;
mod serve;
mod session;

pub use error::{Limit, PluginError, Refusal};
pub use host::Host;
pub use options::PluginOptions;
pub use program::Program;
pub use serve::serve;
pub use session::Session;
