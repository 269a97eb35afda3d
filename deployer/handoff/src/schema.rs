//! JSON Schemas (2020-12) of what goes over the wire, for those who write receivers.

/// Of a submission: [`crate::Submission`].
pub const SUBMISSION: &str = include_str!("schema/submission.schema.json");
/// Of an answer: [`crate::Answer`].
pub const ANSWER: &str = include_str!("schema/answer.schema.json");
/// Of an event: [`crate::Event`].
pub const EVENT: &str = include_str!("schema/event.schema.json");

#[cfg(test)]
mod tests;
