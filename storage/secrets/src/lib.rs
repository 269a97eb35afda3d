//! Secrets: references to their values, and the providers that keep them; masking; access tokens.
//!
//! A value leaves this crate only as [`secrecy::SecretString`]. Errors name references, never values.

pub mod generated;
mod keyed;
pub mod mask;
pub mod master_key;
pub mod provider;
pub mod scope;
pub mod sealing;
pub mod tokens;

pub use generated::generated;
pub use mask::Mask;
pub use master_key::{KeyError, MasterKey};
pub use provider::{Resolved, SecretError, SecretOptions, Secrets};
pub use scope::{Asker, Scoped};
pub use tokens::{AuthError, TOKEN_PREFIX, admit, authenticate, hash, is_token, new_token};
