//! Properties checked against their schema.

use serde_json::{Map, Value};
use slipway_types::Violation;

use crate::code;
use crate::field_path::push_field;
use crate::schema::{Place, Problem, Schema};

/// `properties` with defaults filled in, and everything that is wrong with them.
pub(crate) fn check(schema: &Schema, properties: &Value, path: &str) -> (Value, Vec<Violation>) {
    let mut filled = match properties {
        Value::Null => Value::Object(Map::new()),
        other => other.clone(),
    };
    schema.fill_defaults(&mut filled);
    let violations = schema.problems(&filled).into_iter().map(|problem| violation(problem, path)).collect();
    schema.make_whole(&mut filled);
    (filled, violations)
}

fn violation(problem: Problem, path: &str) -> Violation {
    let mut full = path.to_owned();
    for step in &problem.place {
        match step {
            Place::Key(key) => push_field(&mut full, key),
            Place::Index(index) => full.push_str(&format!("[{index}]")),
        }
    }
    let code = if problem.unknown { code::UNKNOWN_FIELD } else { code::INVALID_PROPERTY };
    let violation = Violation::new(code, full, problem.message);
    match problem.hint {
        Some(hint) => violation.hint(hint),
        None => violation,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mistake_has_the_path_that_was_written() {
        let source = json!({"type": "object", "additionalProperties": false, "properties": {
            "ports": {"type": "array", "items": {"type": "object", "additionalProperties": false,
                "properties": {"port": {"type": "integer"}}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "kind": {"type": "string", "default": "x"},
        }});
        let schema = Schema::compile(source.to_string().as_bytes()).unwrap();
        let given = json!({"ports": [{"port": 1}, {"prt": 1, "port": "x"}], "labels": {"a/b": 1}});
        let (filled, violations) = check(&schema, &given, "components[web].properties");
        assert_eq!(filled["kind"], "x");
        let told: Vec<(&str, &str)> =
            violations.iter().map(|violation| (violation.code.as_str(), violation.path.as_str())).collect();
        assert_eq!(
            told,
            [
                (code::INVALID_PROPERTY, "components[web].properties.labels[\"a/b\"]"),
                (code::INVALID_PROPERTY, "components[web].properties.ports[1].port"),
                (code::UNKNOWN_FIELD, "components[web].properties.ports[1].prt"),
            ]
        );
        assert_eq!(check(&schema, &Value::Null, "x"), (json!({"kind": "x"}), vec![]));
    }

    #[test]
    fn whole_numbers_are_integers() {
        let source = json!({"type": "object", "additionalProperties": false, "properties": {
            "seconds": {"type": "integer"}, "more": {"type": "integer", "default": 2.0}, "big": {"type": "integer"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/count"}}, "share": {"type": "number"},
            "env": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        }, "$defs": {"count": {"type": ["integer", "null"]}}});
        let schema = Schema::compile(source.to_string().as_bytes()).unwrap();
        let given = json!({"seconds": 30.0, "list": [-1.0, null], "big": 1e16, "share": 1.0, "either": 5.0,
            "env": {"VERSION": 1.0}});
        let (filled, violations) = check(&schema, &given, "x");
        assert!(violations.is_empty(), "{violations:?}");
        let wanted = json!({"seconds": 30, "more": 2, "list": [-1, null], "big": 1e16, "share": 1.0, "either": 5,
            "env": {"VERSION": 1.0}});
        assert_eq!(filled, wanted);
        assert!(filled["seconds"].is_i64() && filled["share"].is_f64());
    }

    #[test]
    fn whole_numbers_are_integers_wherever_the_schema_types_them() {
        let source = json!({"type": "object", "additionalProperties": true, "properties": {
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}],
                "items": {"type": "integer"}},
        }, "patternProperties": {"^n_": {"type": "integer"}, "^s_": {"type": "number"}},
            "if": {"required": ["mode"]}, "then": {"properties": {"of_then": {"type": "integer"}}},
            "dependentSchemas": {"mode": {"properties": {"of_mode": {"type": "integer"}}}}});
        let schema = Schema::compile(source.to_string().as_bytes()).unwrap();
        let given = json!({"pair": [1.0, 2.0, 3.0], "n_a": 4.0, "s_a": 5.0, "mode": "x", "of_then": 6.0,
            "of_mode": 7.0});
        let (filled, violations) = check(&schema, &given, "x");
        assert!(violations.is_empty(), "{violations:?}");
        let wanted =
            json!({"pair": [1, 2.0, 3], "n_a": 4, "s_a": 5.0, "mode": "x", "of_then": 6, "of_mode": 7});
        assert_eq!(filled, wanted);
    }
}
