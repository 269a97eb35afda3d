//! What the state of a Kubernetes object means, conditions in CEL, and the state of the whole.
//!
//! Nothing here reads a clock, a network or a file. [`of`] says of one object where it stands,
//! [`Expression`] decides a condition over it, [`Reports`] folds what was seen of an application's parts
//! into one [`ApplicationState`], whatever the order in which it arrives.

pub mod application;
pub mod expression;
mod fields;
mod kinds;
pub mod object;
pub mod report;

pub use application::ApplicationState;
pub use expression::{Expression, ExpressionError};
pub use object::{Health, ObjectState, of, of_object};
pub use report::{Report, Reports, Stamp};

/// The longest reason that is kept, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;

/// `text`, no longer than a reason may be.
fn bounded(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(REASON_CHARS_MAX) {
        text.truncate(end);
    }
    text
}
