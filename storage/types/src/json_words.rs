//! What serde says of JSON that does not fit, in words for people.
//!
//! Its messages name types of Rust, and count lines of what a program wrote: who reads them knows neither.

/// The most characters of a text that is repeated.
const SHOWN_CHARS_MAX: usize = 80;

/// Messages of values that stand in texts, with what was expected there.
const EXPECTED: [(&str, &str); 10] = [
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number, found nothing"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
    ("provided string was not `true` or `false`", "expected true or false"),
    ("premature end of input", "expected a time, e.g. 2026-01-31T00:00:00Z"),
    ("input contains invalid characters", "expected a time, e.g. 2026-01-31T00:00:00Z"),
    ("trailing input", "expected a time, e.g. 2026-01-31T00:00:00Z"),
    ("input is out of range", "the time is out of range"),
    ("input is not enough for unique date and time", "expected a time, e.g. 2026-01-31T00:00:00Z"),
];

/// What is wrong with JSON of another form than expected. The path before it stays, its place in the text goes.
pub fn data(message: &str) -> String {
    let (message, _) = without_place(message);
    match message.split_once(": ") {
        Some((path, rest)) if is_path(path) => format!("{path}: {}", wrong(rest)),
        _ => wrong(message),
    }
}

/// What is wrong with a text that is no JSON, with its place.
pub fn syntax(message: &str) -> String {
    let (message, place) = without_place(message);
    let what = if message.starts_with("EOF ") { "it breaks off" } else { message };
    match place {
        Some((line, column)) => format!("{what} (line {line}, column {column})"),
        None => what.to_owned(),
    }
}

/// A message and the line and column at its end.
fn without_place(message: &str) -> (&str, Option<(&str, &str)>) {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let found = message.rsplit_once(" at line ").and_then(|(head, place)| {
        let (line, column) = place.split_once(" column ")?;
        (is_number(line) && is_number(column)).then_some((head, (line, column)))
    });
    found.map_or((message, None), |(head, place)| (head, Some(place)))
}

fn is_path(text: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '/' | '?');
    !text.is_empty() && text.chars().all(part)
}

fn wrong(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return format!("{field} stands twice");
    }
    if message.starts_with("unknown field ") {
        return message.replacen(", expected ", ": expected ", 1).replacen(
            ", there are no fields",
            ": it takes none",
            1,
        );
    }
    if let Some((variant, known)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", "))
    {
        return format!("{variant} is not known: {known}");
    }
    if message.starts_with("UUID parsing failed") {
        return "expected an id".to_owned();
    }
    for kind in ["invalid type: ", "invalid value: "] {
        let parts = message.strip_prefix(kind).and_then(|rest| rest.rsplit_once(", expected "));
        if let Some((given, wanted)) = parts {
            let (wanted, given) = (expected(wanted), found(given));
            // A whole number was expected and found: it does not fit.
            let is_positive = given.parse::<u64>().is_ok_and(|number| number > 0);
            if kind == "invalid value: " && wanted == "a whole number" && is_positive {
                return format!("the number {given} is too large");
            }
            return format!("expected {wanted}, found {given}");
        }
    }
    let known = EXPECTED.iter().find(|(said, _)| *said == message);
    known.map_or(message, |(_, words)| *words).to_owned()
}

/// A type, as serde names it.
fn expected(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" | "a nonzero u32" => {
            "a whole number"
        }
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "string" | "a formatted date and time string" => "a text",
        "a sequence" | "an array" => "a list",
        "a map" => "an object",
        _ if wanted.starts_with("struct ")
            || wanted.starts_with("internally tagged enum ")
            || wanted.starts_with("adjacently tagged enum ") =>
        {
            "an object"
        }
        _ if wanted.starts_with("enum ") || wanted.starts_with("variant ") => "a word",
        other => other,
    }
}

/// A value, as serde names it.
fn found(given: &str) -> String {
    let quoted = |text: &str| text.trim_matches('`').to_owned();
    match given {
        "map" | "struct variant" => return "an object".to_owned(),
        "sequence" => return "a list".to_owned(),
        "null" | "unit value" | "Option value" => return "nothing".to_owned(),
        "number" => return "a number".to_owned(),
        _ => {}
    }
    if let Some(text) = given.strip_prefix("string ") {
        return text.chars().take(SHOWN_CHARS_MAX).collect();
    }
    for kind in ["integer ", "floating point ", "boolean "] {
        if let Some(value) = given.strip_prefix(kind) {
            return quoted(value);
        }
    }
    given.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Gate {
        count: u32,
        #[serde(default)]
        of: Vec<String>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Soak,
        Window,
    }

    fn told(json: &str) -> String {
        let error = serde_json::from_str::<Gate>(json).unwrap_err();
        let message = error.to_string();
        if error.is_data() { data(&message) } else { syntax(&message) }
    }

    #[test]
    fn no_type_of_rust_and_no_place_of_data_is_told() {
        for (json, words) in [
            ("{}", "`count` is missing"),
            (r#"{"count": "two"}"#, r#"expected a whole number, found "two""#),
            (r#"{"count": {}}"#, "expected a whole number, found an object"),
            (r#"{"count": null}"#, "expected a whole number, found nothing"),
            (r#"{"count": 1, "of": "ann"}"#, r#"expected a list, found "ann""#),
            (r#"{"count": 1, "count": 1}"#, "`count` stands twice"),
            (r#"{"count": 1, "kind": "x"}"#, "`x` is not known: expected `soak` or `window`"),
            (r#"{"cuont": 1}"#, "unknown field `cuont`: expected one of `count`, `of`, `kind`"),
        ] {
            assert_eq!(told(json), words, "{json}");
        }
        let taken: Gate = serde_json::from_str(r#"{"count": 1, "of": ["ann"], "kind": "soak"}"#).unwrap();
        assert_eq!(taken, Gate { count: 1, of: vec!["ann".to_owned()], kind: Some(Kind::Soak) });
    }

    #[test]
    fn a_text_that_is_no_json_is_told_with_its_place() {
        assert_eq!(told(""), "it breaks off (line 1, column 0)");
        assert_eq!(told("count: 1"), "expected value (line 1, column 1)");
        let inside = told("{\n \"count\" 1}");
        assert!(inside.starts_with("expected `:` (line 2, column "), "{inside}");
    }

    #[test]
    fn the_path_before_a_message_stays() {
        let known = "gates.of[0]: invalid type: integer `3`, expected a string at line 1 column 7";
        assert_eq!(data(known), "gates.of[0]: expected a text, found 3");
        assert_eq!(data("limit: invalid digit found in string"), "limit: expected a whole number");
        assert_eq!(data("name: `No` is not a name: use others"), "name: `No` is not a name: use others");
        assert_eq!(data("invalid value: integer `-1`, expected u64"), "expected a whole number, found -1");
        let large = "seconds: invalid value: integer `8639913600`, expected u32";
        assert_eq!(data(large), "seconds: the number 8639913600 is too large");
    }

    proptest! {
        #[test]
        fn any_message_can_be_told(message in ".{0,200}") {
            data(&message);
            syntax(&message);
        }
    }
}
