//! Ways to wait for ever: each ends by its deadline, says what it waited for, and keeps no fix from going through.

mod case;
mod ends;
mod objects;
mod pods;
mod refusals;
mod steps;
pub(crate) mod widgets;
