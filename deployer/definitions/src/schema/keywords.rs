//! Keywords of a schema: known ones alone, with values that mean something.

use serde_json::Value;

use super::{InvalidSchema, walk, whole};
use crate::suggestion::{did_you_mean, shortened};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// What a keyword's value may be.
const FORMS: [(Form, &[&str]); 11] = [
    (
        Form::Text,
        &[
            "$comment",
            "$ref",
            "$schema",
            "contentEncoding",
            "contentMediaType",
            "description",
            "format",
            "pattern",
            "title",
        ],
    ),
    (
        Form::Count,
        &[
            "maxContains",
            "maxItems",
            "maxLength",
            "maxProperties",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
        ],
    ),
    (Form::Number, &["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"]),
    (Form::Flag, &["deprecated", "readOnly", "uniqueItems", "writeOnly"]),
    (Form::Schema, &walk::ONE),
    (Form::List, &walk::LISTS),
    (Form::List, &["enum", "examples"]),
    (Form::Mapping, &walk::MAPS),
    (Form::Mapping, &["dependentRequired"]),
    (Form::Names, &["required"]),
    (Form::Any, &["const", "default", "type"]),
];
/// What other tools note in a schema; it says nothing about values.
const ANNOTATION_PREFIX: &str = "x-";
/// Bounds of which the first may not be above the second.
const BOUNDS: [(&str, &str); 5] = [
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Count,
    Number,
    Flag,
    Schema,
    List,
    Mapping,
    Names,
    Any,
}

impl Form {
    fn of(keyword: &str) -> Option<Self> {
        FORMS.iter().find(|(_, keywords)| keywords.contains(&keyword)).map(|(form, _)| *form)
    }

    /// What must be there instead of `value`, if that does not fit.
    fn instead_of(self, value: &Value) -> Option<&'static str> {
        let is_names =
            |value: &Value| value.as_array().is_some_and(|names| names.iter().all(Value::is_string));
        let (fits, wanted) = match self {
            Self::Text => (value.is_string(), "text"),
            Self::Count => (is_count(value), "a whole number from 0"),
            Self::Number => (value.is_number(), "a number"),
            Self::Flag => (value.is_boolean(), "true or false"),
            Self::Schema => (value.is_object() || value.is_boolean(), "a schema: a mapping, true or false"),
            Self::List => (value.is_array(), "a list"),
            Self::Mapping => (value.is_object(), "a mapping"),
            Self::Names => (is_names(value), "a list of names"),
            Self::Any => (true, ""),
        };
        (!fits).then_some(wanted)
    }
}

/// Checks `schema`, which stands at `path`, and all that are in it.
pub(super) fn check(schema: &Value, path: &str) -> Result<(), InvalidSchema> {
    let wrong = |inside: &str, message: String| {
        let path = format!("{path}{inside}");
        Err(InvalidSchema { path: if path.is_empty() { "/".to_owned() } else { path }, message })
    };
    let Some(keywords) = schema.as_object() else {
        return if schema.is_boolean() {
            Ok(())
        } else {
            wrong("", "must be a mapping, true or false".to_owned())
        };
    };
    for (keyword, value) in keywords.iter().filter(|(keyword, _)| !keyword.starts_with(ANNOTATION_PREFIX)) {
        let inside = format!("/{keyword}");
        let Some(form) = Form::of(keyword) else {
            let known: Vec<&str> = FORMS.iter().flat_map(|(_, known)| known.iter().copied()).collect();
            let hint = did_you_mean(keyword, &known);
            return wrong(&inside, format!("unknown keyword `{}`: {hint}", shortened(keyword)));
        };
        if let Some(wanted) = form.instead_of(value) {
            return wrong(&inside, format!("must be {wanted}"));
        }
        if keyword == "type" && !is_type(value) {
            return wrong(
                &inside,
                format!("{} is no type: known are {}", shortened(&value.to_string()), TYPES.join(", ")),
            );
        }
    }
    for (low, high) in BOUNDS {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        if let (Some(least), Some(most)) = (bound(low), bound(high))
            && least > most
        {
            return wrong("", format!("nothing fits: `{low}` {least} is above `{high}` {most}"));
        }
    }
    walk::parts(schema).into_iter().try_for_each(|(place, part)| check(part, &format!("{path}{place}")))
}

/// Whether `value` counts something: to JSON Schema `1.0` does.
fn is_count(value: &Value) -> bool {
    value.is_u64() || whole::integer(value).is_some_and(|count| count >= 0)
}

fn is_type(value: &Value) -> bool {
    let is_known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    is_known(value) || value.as_array().is_some_and(|types| !types.is_empty() && types.iter().all(is_known))
}
