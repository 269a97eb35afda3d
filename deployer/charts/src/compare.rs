//! Two renderings of one chart, side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_types::Violation;

use crate::rendered::{ObjectName, RenderedObject};
use crate::request::{GeneratedSecret, Request};

/// A step from an object towards one of its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// `spec.containers[0].env`; keys that are no words in brackets.
pub(crate) fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) if key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Key(key) => text.push_str(&format!("[{key:?}]")),
        }
    }
    text
}

const CODE: &str = "chart_not_reproducible";

/// What differs between the two without being declared as generated. Values are never told: what is made up
/// anew each time is as likely a password as not.
pub(crate) fn differences(
    first: &[RenderedObject],
    second: &[RenderedObject],
    generated: &BTreeSet<GeneratedSecret>,
    request: &Request<'_>,
) -> Vec<Violation> {
    let (left, right) = (by_name(first), by_name(second));
    let mut found = Vec::new();
    let gone = left.iter().filter(|(name, _)| !right.contains_key(*name)).map(|(_, o)| (o, "only the first"));
    let come =
        right.iter().filter(|(name, _)| !left.contains_key(*name)).map(|(_, o)| (o, "only the second"));
    for (object, which) in gone.chain(come) {
        let message = format!(
            "it renders other objects each time: {} came of {which} of two renderings",
            object.described()
        );
        found.push(request.whole(CODE, message).hint("a name must not hold random text or the time"));
    }
    for (name, one) in &left {
        let Some(other) = right.get(name) else { continue };
        compare(&one.object, &other.object, &mut Vec::new(), &mut |path| {
            if !is_generated(one, path, generated) {
                found.push(differs(one, path, request));
            }
        });
    }
    found
}

/// Objects by name and, where a chart renders one several times, by how many came before.
fn by_name(objects: &[RenderedObject]) -> BTreeMap<(ObjectName, usize), &RenderedObject> {
    let mut seen: BTreeMap<ObjectName, usize> = BTreeMap::new();
    let mut named = BTreeMap::new();
    for object in objects {
        let name = ObjectName::of(&object.object);
        let count = seen.entry(name.clone()).or_default();
        named.insert((name, *count), object);
        *count += 1;
    }
    named
}

fn is_generated(object: &RenderedObject, path: &[Step], generated: &BTreeSet<GeneratedSecret>) -> bool {
    let [Step::Key(data), Step::Key(key)] = path else { return false };
    let secret = ObjectName::of(&object.object).name;
    object.is_secret() && data == "data" && generated.contains(&GeneratedSecret { secret, key: key.clone() })
}

fn differs(object: &RenderedObject, path: &[Step], request: &Request<'_>) -> Violation {
    let (place, what) = (path_text(path), object.described());
    let message = format!("two renderings differ at {place} of {what}");
    let hint = match path {
        [Step::Key(data), Step::Key(key)] if object.is_secret() && data == "data" => {
            let name = ObjectName::of(&object.object).name;
            format!("declare it: generatedSecrets: [{{secret: {name}, key: {key}}}], or set it by a value")
        }
        _ if place.contains("checksum") => {
            "a checksum of generated data changes each time: set that data by values, or switch the checksum off"
                .to_owned()
        }
        _ => "set by values what the chart makes up: only data of Secrets can be kept".to_owned(),
    };
    request.whole(CODE, message).hint(hint)
}

fn compare(one: &Value, other: &Value, path: &mut Vec<Step>, differ: &mut impl FnMut(&[Step])) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                path.push(Step::Key(key.clone()));
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => compare(one, other, path, differ),
                    _ => differ(path),
                }
                path.pop();
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                path.push(Step::Index(index));
                compare(one, other, path, differ);
                path.pop();
            }
        }
        _ if one == other => {}
        _ => differ(path),
    }
}
