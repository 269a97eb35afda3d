use serde_json::json;

use super::*;
use crate::pages::texts::ENGLISH;

fn form(schema: &Value) -> Form {
    Form::new(ENGLISH.deploying, schema, &|_| true)
}

fn sent(pairs: &[(&str, &str)]) -> Fields {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name, value);
    }
    Fields::of(query.finish().as_bytes())
}

/// What a browser sends of inputs that nobody touched.
fn untouched(fields: &[Field], found: &mut Vec<(String, String)>) {
    for field in fields {
        let name = field.name.clone();
        match &field.input {
            Input::Line(line) => found.push((name, line.value.clone())),
            Input::Area(area) => found.push((name, area.value.replace('\n', "\r\n"))),
            Input::Choice(choices) => {
                let chosen = choices.iter().find(|choice| choice.chosen);
                found.push((name, chosen.map(|choice| choice.value.clone()).unwrap_or_default()));
            }
            Input::Group(fields) => untouched(fields, found),
            Input::Items(items) => {
                found.push((items.count.clone(), items.groups.len().to_string()));
                for group in &items.groups {
                    untouched(group, found);
                }
            }
        }
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["max"],
        "additionalProperties": false,
        "properties": {
            "max": {"title": "Most", "type": "integer", "minimum": 1, "default": 10},
            "kind": {"enum": ["TCP", "UDP"]},
            "on": {"type": "boolean"},
            "cpu": {
                "type": "object",
                "required": ["value"],
                "properties": {"type": {"type": "string"}, "value": {"type": ["integer", "string"]}},
            },
            "hosts": {"type": "array", "items": {"type": "string"}},
            "env": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
            "ports": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["port"],
                    "properties": {"port": {"type": "integer"}, "name": {"type": "string"}},
                },
            },
            "any": {"oneOf": [{"type": "string"}, {"type": "array"}]},
            "old": {"type": "string", "deprecated": true},
            "odd key/ä": {"type": "string"},
        },
    })
}

#[test]
fn what_is_shown_and_sent_back_untouched_is_the_same() {
    let form = form(&schema());
    for value in [
        json!({"max": 3}),
        json!({"max": 3, "kind": "UDP", "on": false, "cpu": {"value": "50%"}, "hosts": ["a", "b c"]}),
        json!({"max": 3, "env": {"A": "", "B": 8080, "C": "x=y"}, "ports": [{"port": 1}, {"port": 2, "name": "b"}]}),
        json!({"max": 3, "any": ["x"], "old": "still", "odd key/ä": "v"}),
        json!({"max": 3, "env": {"A": "two\nlines"}, "hosts": ["8080"]}),
        // What does not fit the schema comes back all the same.
        json!({"max": "many", "kind": null, "cpu": {"unknown": 1}, "hosts": [], "unknown": {"x": [1]}}),
        json!({"max": 3, "ports": [{"port": 1, "more": true}], "env": {"N": "1"}}),
    ] {
        let mut found = Vec::new();
        untouched(&form.shown(&value, None, &Wrong::new()), &mut found);
        let pairs: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(form.read(&sent(&pairs)), Ok(value.clone()), "{pairs:?}");
        let mut again = Vec::new();
        untouched(&form.sent(&sent(&pairs), false, None, &Wrong::new()), &mut again);
        let pairs: Vec<_> = again.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(form.read(&sent(&pairs)), Ok(value), "sent twice: {pairs:?}");
    }
}

#[test]
fn properties_that_are_one_map_are_pairs() {
    let form = form(&json!({"type": "object", "additionalProperties": {"type": "string"}}));
    assert_eq!(form.read(&sent(&[("p", "a=1\r\n\r\n b = x y ")])), Ok(json!({"a": "1", "b": "x y"})));
    assert_eq!(form.read(&sent(&[])), Ok(json!({})));
    let odd = json!({"a=b": "1"});
    let fields = form.shown(&odd, None, &Wrong::new());
    assert_eq!(fields[0].name, "y");
    let Input::Area(area) = &fields[0].input else { panic!("no text") };
    assert_eq!(form.read(&sent(&[("y", &area.value)])), Ok(odd));
}

#[test]
fn mistakes_stand_at_their_fields() {
    let form = form(&schema());
    for (pairs, wrong) in [
        (vec![], vec!["p/max"]),
        (vec![("p/max", "0")], vec!["p/max"]),
        (vec![("p/max", "1.5")], vec!["p/max"]),
        (vec![("p/max", "1"), ("p/cpu/type", "x")], vec!["p/cpu/value"]),
        (vec![("p/max", "1"), ("c/ports", "2"), ("p/ports/1/name", "x")], vec!["p/ports/1/port"]),
        (vec![("p/max", "1"), ("y/any", "a: [")], vec!["y/any"]),
        (vec![("p/max", "1"), ("y", "- a")], vec!["y"]),
    ] {
        let found = form.read(&sent(&pairs)).unwrap_err();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), wrong, "{pairs:?}: {found:?}");
        let shown: String =
            form.sent(&sent(&pairs), false, None, &found).iter().map(ToString::to_string).collect();
        assert!(wrong == ["y"] || shown.contains("aria-invalid=\"true\""), "{shown}");
    }
}

#[test]
fn lists_get_an_item_more_and_lose_empty_ones() {
    let form = form(&schema());
    let pairs = [("p/max", "1"), ("c/ports", "3"), ("p/ports/0/port", "1"), ("p/ports/2/port", "3")];
    assert_eq!(form.read(&sent(&pairs)), Ok(json!({"max": 1, "ports": [{"port": 1}, {"port": 3}]})));
    let fields = form.sent(&sent(&pairs), true, None, &Wrong::new());
    let ports = fields.iter().find(|field| field.name == "p/ports").unwrap();
    let Input::Items(items) = &ports.input else { panic!("no items") };
    assert_eq!(items.groups.len(), 4);
}

#[test]
fn only_what_may_be_set_has_an_input_and_says_what_holds() {
    let form = Form::new(ENGLISH.deploying, &schema(), &|key| key == "max");
    let holds = json!({"max": 7});
    let fields = form.shown(&json!({}), Some(&holds), &Wrong::new());
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["p/max", "y"]);
    assert!(fields[0].notes.iter().any(|note| note.contains('7')), "{:?}", fields[0].notes);
}
