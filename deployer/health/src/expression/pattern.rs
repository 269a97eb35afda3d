//! Regular expressions that take a bounded time: they are compiled once, small, and each says what a byte
//! of text costs it.

use regex::{Regex, RegexBuilder};

use super::ExpressionError;

/// The most memory that a compiled pattern takes, in bytes, with the steps that one byte of text then
/// costs. A pattern may have to look at all its states at every byte, about 30 bytes a state.
const SIZES: [(usize, u64); 3] = [(4 * 1_024, 8), (16 * 1_024, 32), (64 * 1_024, 128)];

/// The longest part of a refused pattern that is told, in characters.
const TOLD_CHARS_MAX: usize = 300;

/// A pattern, compiled.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    steps_per_byte: u64,
}

impl Pattern {
    /// Compiles `text`; its size is that of the first limit it keeps.
    pub(super) fn compile(text: &str) -> Result<Self, ExpressionError> {
        let mut reason = String::new();
        for (bytes, steps_per_byte) in SIZES {
            let built = RegexBuilder::new(text).size_limit(bytes).dfa_size_limit(bytes).build();
            match built {
                Ok(regex) => return Ok(Self { regex, steps_per_byte }),
                Err(error) => reason = error.to_string(),
            }
        }
        let told = |text: &str| text.chars().take(TOLD_CHARS_MAX).collect();
        Err(ExpressionError::Pattern { pattern: told(text), reason: told(&reason) })
    }

    /// What it costs to look for it in `text`, in steps.
    pub(super) fn steps(&self, text: &str) -> u64 {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        bytes.saturating_mul(self.steps_per_byte).saturating_add(1)
    }

    /// Whether it is found anywhere in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_costs_more_the_larger_the_pattern() {
        let cost = |text: &str| Pattern::compile(text).unwrap().steps_per_byte;
        assert_eq!(cost("^v[0-9]+$"), 8);
        assert_eq!(cost(r"\d+"), 32);
        assert_eq!(cost(r"^\w+$"), 128);
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_is_refused() {
        for bad in ["[", r"\w{1000}", "(?:a{0,100}){100}", r"(a)\1"] {
            assert!(matches!(Pattern::compile(bad), Err(ExpressionError::Pattern { .. })), "{bad}");
        }
    }
}
