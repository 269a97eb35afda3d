//! The deploy stage: choose a bundle, check, freeze, approve, hand off.

pub mod gates;
pub mod transition;
