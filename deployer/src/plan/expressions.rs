//! Conditions in CEL, read before anything is frozen.

use slipway_health::Expression;
use slipway_types::Violation;

/// What conditions call the object that they look at.
const NAMES: [&str; 2] = ["object", "self"];
/// The part of a condition that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// What stands against a condition over an object that is written at `path`.
pub(super) fn objection(path: &str, text: &str) -> Option<Violation> {
    let message = match Expression::parse(text) {
        Err(error) => error.to_string(),
        Ok(expression) => format!("`{}` is not known here", expression.unknown(&NAMES)?),
    };
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let violation = Violation::new("condition_invalid", path, format!("`{shown}`: {message}"));
    Some(violation.hint("write CEL over the object, as in object.status.phase == 'Ready'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_be_decided_is_refused_by_its_place() {
        for text in ["object.status.phase == 'Ready'", "self.status.count > 2", "1 == 2"] {
            assert_eq!(objection("policies[ready]", text), None, "{text}");
        }
        for (text, says) in [
            ("object.status.phase ==", "is not CEL"),
            ("objekt.ready", "`objekt` is not known here"),
            ("object.at > timestamp('2026-01-01T00:00:00Z')", "is not offered"),
            ("", "0 bytes"),
        ] {
            let found = objection("policies[ready].properties.rules[0].cel", text).expect("it is refused");
            assert!(found.message.contains(says), "{text}: {}", found.message);
            assert_eq!(found.path, "policies[ready].properties.rules[0].cel");
        }
    }
}
