use serde_json::json;

use super::*;

fn schema(source: Value) -> Schema {
    Schema::compile(source.to_string().as_bytes()).unwrap()
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn told(source: Value, instance: Value) -> Vec<String> {
    let place = |problem: &Problem| {
        let steps = problem.place.iter().map(|step| match step {
            Place::Key(key) => format!(".{key}"),
            Place::Index(index) => format!("[{index}]"),
        });
        steps.collect::<String>()
    };
    schema(source)
        .problems(&instance)
        .iter()
        .map(|problem| format!("{}: {}", place(problem), problem.message))
        .collect()
}

#[test]
fn mistakes_are_told_in_peoples_words() {
    let port = json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let source = object(json!({
        "port": {"$ref": "#/$defs/port"},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "mode": {"enum": ["a", "b"]},
        "list": {"type": "array", "minItems": 2, "items": {"type": "string", "minLength": 1}},
        "size": {"type": ["string", "number"]},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"pattern": "^x"}},
        "flag": {"type": "boolean"},
        "share": {"type": "number", "exclusiveMinimum": 0},
    }));
    let mut source = source;
    source["$defs"] = json!({"port": port});
    source["required"] = json!(["image"]);
    source["properties"]["image"] = json!({"type": "string", "description": "The image."});
    assert_eq!(
        told(
            source,
            json!({"port": "http", "name": "A", "mode": "c", "list": [""], "size": [], "tags": {"a": 1}, "flag": 1,
                "prot": 1, "share": 0})
        ),
        [
            ".flag: must be true or false, is 1",
            ".image: `image` is missing",
            ".list: must be a list with at least 2 items, is a list of 1",
            ".list[0]: must be text that is not empty, is \"\"",
            ".mode: must be one of \"a\", \"b\", is \"c\"",
            ".name: must be text of the form `^[a-z]+$`, is \"A\"",
            ".port: must be a whole number from 1 to 65535, is \"http\"",
            ".prot: unknown property `prot`",
            ".share: must be a number above 0, is 0",
            ".size: must be text or a number, is a list",
            ".tags: the key `a` must be text of the form `^x`",
            ".tags.a: must be text, is 1",
        ]
    );
}

#[test]
fn the_way_out_is_the_description_or_the_nearest_name() {
    let source = object(
        json!({"port": {"type": "integer", "description": "The port it listens on."}, "tag": {"type": "string"}}),
    );
    let hints: Vec<Option<String>> = schema(source)
        .problems(&json!({"port": "x", "prt": 1, "tag": 1}))
        .into_iter()
        .map(|problem| problem.hint)
        .collect();
    let hint = |text: &str| Some(text.to_owned());
    assert_eq!(
        hints,
        [hint("The port it listens on."), hint("did you mean `port`?"), hint("put it in quotes")]
    );
}

#[test]
fn of_several_forms_the_one_meant_is_spoken_of() {
    let forms = json!({"anyOf": [
        {"type": "string"},
        {"type": "object", "additionalProperties": false, "properties": {"port": {"type": "integer"}}},
    ]});
    let source = object(json!({"a": forms}));
    assert_eq!(
        told(source.clone(), json!({"a": {"port": "x"}})),
        [".a.port: must be a whole number, is \"x\""]
    );
    assert_eq!(told(source, json!({"a": 1})), [".a: must be text or a mapping, is 1"]);
    let probe = json!({"type": "object", "oneOf": [{"required": ["exec"]}, {"required": ["http"]}]});
    let source = object(json!({"p": probe}));
    assert_eq!(
        told(source.clone(), json!({"p": {"exec": 1, "http": 1}})),
        [".p: must have only one of `exec`, `http`"]
    );
    assert_eq!(told(source, json!({"p": {}})), [".p: must have one of `exec`, `http`"]);
}

#[test]
fn defaults_are_filled_in_nested_ones_too() {
    let port = json!({"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}}});
    let mut source = object(json!({
        "type": {"type": "string", "default": "ClusterIP"},
        "ports": {"type": "array", "items": {"$ref": "#/$defs/port"}},
        "probe": {"type": "object", "default": {}, "properties": {"period": {"$ref": "#/$defs/period"}}},
        "more": {"type": "object", "additionalProperties": {"$ref": "#/$defs/port"}},
        "absent": {"type": "object", "properties": {"x": {"default": 1}}},
    }));
    source["$defs"] = json!({"port": port, "period": {"type": "integer", "default": 10}});
    let schema = schema(source);
    let mut properties = json!({"type": null, "ports": [{}, {"protocol": "UDP"}, 5], "more": {"a": {}}});
    schema.fill_defaults(&mut properties);
    let filled = json!({"type": null, "ports": [{"protocol": "TCP"}, {"protocol": "UDP"}, 5], "probe": {"period": 10},
        "more": {"a": {"protocol": "TCP"}}});
    assert_eq!(properties, filled);
    schema.fill_defaults(&mut properties);
    assert_eq!(properties, filled);
}

fn refused(source: Value) -> String {
    Schema::compile(source.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_could_reach_out_or_blow_up_is_refused() {
    let with = |property: Value| object(json!({"a": property}));
    assert_eq!(
        refused(with(json!({"$ref": "https://example.com/x"}))),
        "/properties/a/$ref: `https://example.com/x` is none of the schemas at `#/$defs/`"
    );
    assert_eq!(refused(with(json!({"$dynamicRef": "#x"}))), "/properties/a: `$dynamicRef` is not allowed");
    let mut circle = with(json!({"$ref": "#/$defs/a"}));
    circle["$defs"] = json!({"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}});
    assert_eq!(refused(circle), "/$defs/a/items/$ref: `#/$defs/b` refers to itself");
    let mut laughs = with(json!({"$ref": "#/$defs/d0"}));
    let level = |next: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{next}")}); 10]});
    laughs["$defs"] = (0..6)
        .map(|index| (format!("d{index}"), if index == 5 { json!({}) } else { level(index + 1) }))
        .collect();
    assert!(refused(laughs).contains("holds more than 20000 schemas"));
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"items": deep});
    }
    assert!(refused(with(deep)).contains("nest more than 32 deep"));
}

#[test]
fn a_schema_says_what_it_is_and_what_is_unknown() {
    assert!(refused(json!([])).contains("a schema is an object"));
    assert!(refused(json!({"type": "object"})).contains("additionalProperties"));
    assert!(refused(json!({"additionalProperties": false})).contains("properties are an object"));
    let mut old = object(json!({}));
    old["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    assert!(refused(old).contains("2020-12"));
    assert!(refused(object(json!({"a": {"type": "text"}}))).contains("text"));
    assert!(Schema::compile(b"{").is_err());
    assert!(refused(object(json!({"a": {"type": "string", "pattern": "(?=a)"}}))).contains("pattern"));
}

#[test]
fn a_default_that_has_a_property_of_that_name_is_no_reference() {
    let source = object(json!({"a": {"type": "object", "default": {"$ref": "x", "$id": 1}}}));
    let mut properties = json!({});
    schema(source).fill_defaults(&mut properties);
    assert_eq!(properties, json!({"a": {"$ref": "x", "$id": 1}}));
}

#[test]
fn keys_that_stand_twice_are_refused() {
    let text = r#"{"type": "object", "additionalProperties": false, "properties": {"a": {}, "a": {}}}"#;
    let told = Schema::compile(text.as_bytes()).unwrap_err().to_string();
    assert!(told.contains("`/properties/a` stands twice"), "{told}");
}

#[test]
fn keywords_are_known_and_mean_something() {
    let with = |property: Value| refused(object(json!({"a": property})));
    assert_eq!(
        with(json!({"type": "object", "properites": {}})),
        "/properties/a/properites: unknown keyword `properites`: did you mean `properties`?"
    );
    assert_eq!(
        with(json!({"items": {"minLength": -1}})),
        "/properties/a/items/minLength: must be a whole number from 0"
    );
    assert_eq!(
        with(json!({"type": "integer", "minimum": 5, "maximum": 1})),
        "/properties/a: nothing fits: `minimum` 5 is above `maximum` 1"
    );
    assert!(
        with(json!({"type": "text"})).starts_with("/properties/a/type: \"text\" is no type: known are array")
    );
    assert_eq!(with(json!({"required": [1]})), "/properties/a/required: must be a list of names");
    assert_eq!(with(json!(5)), "/properties/a: must be a mapping, true or false");
    assert!(with(json!({"type": "string", "pattern": "(("})).contains("no pattern that can be used"));
}

#[test]
fn annotations_of_others_and_counts_such_as_1_0_are_allowed() {
    let text =
        json!({"type": "string", "minLength": 1.0, "x-order": {"$id": 1, "properties": 2}, "x-group": null});
    let list = json!({"type": "array", "maxItems": 1.0});
    let source = object(json!({"a": text, "b": list}));
    assert_eq!(
        told(source, json!({"a": "", "b": [1, 2]})),
        [
            ".a: must be text that is not empty, is \"\"",
            ".b: must be a list with at most 1 item, is a list of 2"
        ]
    );
    let with = |property: Value| refused(object(json!({"a": property})));
    assert_eq!(with(json!({"minLength": 1.5})), "/properties/a/minLength: must be a whole number from 0");
    assert_eq!(with(json!({"minLength": -1.0})), "/properties/a/minLength: must be a whole number from 0");
    assert!(with(json!({"additionalItems": false})).contains("unknown keyword `additionalItems`"));
}

#[test]
fn defaults_are_filled_in_by_pattern_and_by_position() {
    let with = |default: i64| json!({"type": "object", "properties": {"x": {"default": default}}});
    let source = object(json!({
        "named": {"type": "object", "properties": {"a1": {}}, "patternProperties": {"^a": with(1)},
            "additionalProperties": with(2)},
        "list": {"type": "array", "prefixItems": [with(3)], "items": with(4)},
    }));
    let mut properties = json!({"named": {"a1": {}, "a2": {}, "b": {}}, "list": [{}, {}]});
    schema(source).fill_defaults(&mut properties);
    let filled =
        json!({"named": {"a1": {"x": 1}, "a2": {"x": 1}, "b": {"x": 2}}, "list": [{"x": 3}, {"x": 4}]});
    assert_eq!(properties, filled);
}

#[test]
fn a_default_fits_its_own_schema() {
    let with = |property: Value| object(json!({"a": property}));
    assert_eq!(
        refused(with(json!({"type": "integer", "default": "x"}))),
        "/properties/a/default: the default does not fit its own schema: must be a whole number, is \"x\""
    );
    let inner =
        json!({"type": "object", "required": ["b"], "default": {}, "properties": {"b": {"type": "integer"}}});
    assert!(refused(with(inner.clone())).contains(".b `b` is missing"));
    let mut filled = inner;
    filled["properties"]["b"]["default"] = json!(1);
    schema(with(filled));
    let mut referring = with(json!({"$ref": "#/$defs/port", "default": 0}));
    referring["$defs"] = json!({"port": {"type": "integer", "minimum": 1}});
    assert!(refused(referring).starts_with("/properties/a/default: "));
}

#[test]
fn defaults_inside_defaults_have_one_budget() {
    let fields: Value = (0..1000).map(|index| (format!("f{index}"), json!({}))).collect();
    let nested = |levels: usize| {
        let mut part = json!({"type": "object", "properties": fields, "default": {}});
        for _ in 0..levels {
            part = json!({"type": "object", "properties": {"x": part}, "default": {}});
        }
        object(json!({"a": part}))
    };
    schema(nested(10));
    let told = refused(nested(25));
    assert!(told.starts_with("/: the schemas that have a `default`") && told.contains("20000"), "{told}");
}

#[test]
fn lists_of_another_length_are_counted() {
    let source =
        object(json!({"a": {"type": "array", "minItems": 1}, "b": {"type": "object", "maxProperties": 1}}));
    assert_eq!(
        told(source, json!({"a": [], "b": {"x": 1, "y": 2}})),
        [
            ".a: must be a list with at least 1 item, is an empty list",
            ".b: must be a mapping with at most 1 entry, is a mapping of 2",
        ]
    );
}
