//! Whether a case comes out as listed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::field::{DEFAULT, Field, read, text};
use crate::matching::{at, matches};

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is otherwise than listed.
pub(crate) fn judge(field: &mut Field, case: &Value) -> Result<(), String> {
    let application = field.application(&case["bundle"]);
    let document = text(case["sample"].as_str().expect("a sample"));
    let plan = field.plan(&application, DEFAULT, &document);
    let violations = violations_of(&plan);
    if case["verdict"] == "refused" {
        return refused(case, &violations);
    }
    if !violations.is_empty() {
        return Err(format!("refused: {}", shown(&violations)));
    }
    let expected = read(case["expected"].as_str().expect("what is expected"));
    let mut plans = BTreeMap::new();
    for name in strings(&plan["reaches"]) {
        let there = field.plan(&application, &name, &document);
        let violations = violations_of(&there);
        if !violations.is_empty() {
            return Err(format!("refused in {name}: {}", shown(&violations)));
        }
        plans.insert(Field::place(&name).to_owned(), there);
    }
    if plan["objects"].as_array().is_some_and(|objects| !objects.is_empty()) {
        plans.insert(Field::place(DEFAULT).to_owned(), plan);
    }
    rendered(&expected, &plans)
}

/// What stands against it, whoever receives it: a sample is judged by what it renders to.
fn violations_of(plan: &Value) -> Vec<Value> {
    let told = plan["violations"].as_array().into_iter().flatten();
    told.filter(|violation| violation["code"] != "receiver_cannot").cloned().collect()
}

fn shown(violations: &[Value]) -> String {
    let one =
        |violation: &Value| format!("{} {}: {}", violation["code"], violation["path"], violation["message"]);
    violations.iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn refused(case: &Value, violations: &[Value]) -> Result<(), String> {
    let codes: BTreeSet<String> =
        violations.iter().filter_map(|violation| violation["code"].as_str()).map(str::to_owned).collect();
    let (reason, also) = (strings(&case["reason"]), strings(&case["also"]));
    if codes.is_disjoint(&reason) {
        return Err(format!("none of {reason:?} is told: {}", shown(violations)));
    }
    match codes.iter().find(|code| !reason.contains(*code) && !also.contains(*code)) {
        Some(code) => Err(format!("{code} is not listed: {}", shown(violations))),
        None => Ok(()),
    }
}

fn rendered(expected: &Value, plans: &BTreeMap<String, Value>) -> Result<(), String> {
    let targets: BTreeSet<String> = plans.keys().cloned().collect();
    let wanted = match &expected["targets"] {
        Value::Null => BTreeSet::from([Field::place(DEFAULT).to_owned()]),
        listed => strings(listed),
    };
    if targets != wanted {
        return Err(format!("deployed to {targets:?} instead of {wanted:?}"));
    }
    for (place, plan) in plans {
        let objects = plan["objects"].as_array().cloned().unwrap_or_default();
        let of_place = |item: &&Value| item["target"].is_null() || item["target"] == place.as_str();
        let list = |key: &str| expected[key].as_array().cloned().unwrap_or_default();
        for item in list("objects").iter().filter(of_place) {
            let wanted = without(item, &["target"]);
            if !objects.iter().any(|object| matches(&wanted, Some(object))) {
                let near: Vec<&Value> =
                    objects.iter().filter(|object| object["kind"] == item["kind"]).collect();
                return Err(format!("{place}: nothing matches {wanted}; there is {near:?}"));
            }
        }
        for item in list("absent").iter().filter(of_place) {
            let unwanted = without(item, &["target"]);
            if let Some(object) = objects.iter().find(|object| matches(&unwanted, Some(object))) {
                return Err(format!("{place}: should not be there: {object}"));
            }
        }
        for item in list("counts").iter().filter(of_place) {
            let wanted = without(item, &["target", "path", "is"]);
            let object = objects.iter().find(|object| matches(&wanted, Some(object)));
            let length = object
                .and_then(|object| at(object, item["path"].as_str().unwrap_or_default()))
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            if item["is"] != length {
                return Err(format!("{place}: {} has {length} items", item["path"]));
            }
        }
    }
    order(expected, plans)?;
    pauses(expected, plans)
}

fn without(item: &Value, keys: &[&str]) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    item
}

/// All that a node waits for, near and far.
fn before<'g>(graph: &'g Value, node: &str, found: &mut BTreeSet<&'g str>) {
    for need in graph[node]["needs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if found.insert(need) {
            before(graph, need, found);
        }
    }
}

fn order(expected: &Value, plans: &BTreeMap<String, Value>) -> Result<(), String> {
    for pair in expected["order"].as_array().into_iter().flatten() {
        let (first, second) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
        let holds = plans.values().any(|plan| {
            // Steps that deploy to several environments: one environment waits for another.
            let waits = format!("the step `{second}` waits for the step `{first}`");
            if plan["notes"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|note| note.as_str().is_some_and(|note| note.ends_with(&waits)))
            {
                return true;
            }
            let graph = &plan["graph"];
            let mut earlier = BTreeSet::new();
            before(graph, second, &mut earlier);
            earlier.iter().any(|node| {
                *node == first || node.strip_prefix(first).is_some_and(|rest| rest.starts_with('.'))
            })
        });
        if !holds {
            return Err(format!("`{second}` does not wait for `{first}`"));
        }
    }
    Ok(())
}

fn pauses(expected: &Value, plans: &BTreeMap<String, Value>) -> Result<(), String> {
    if expected["pauses"].is_null() {
        return Ok(());
    }
    let found: BTreeSet<String> = plans
        .values()
        .filter_map(|plan| plan["graph"].as_object())
        .flatten()
        .filter(|(_, node)| node["hold"].is_object() && node["hold"]["for_ms"].is_null())
        .filter_map(|(name, _)| name.strip_prefix("step.").map(str::to_owned))
        .collect();
    let wanted = strings(&expected["pauses"]);
    if found == wanted { Ok(()) } else { Err(format!("pauses at {found:?} instead of {wanted:?}")) }
}
