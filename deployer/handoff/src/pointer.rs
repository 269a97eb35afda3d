//! Places in a JSON value: RFC 6901.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The longest pointer, in bytes.
pub const POINTER_BYTES_MAX: usize = 1024;

/// A JSON pointer that names a place inside a value, never the whole: `/spec/replicas`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

/// A text that is no pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPointer {
    /// Not of the form.
    #[error("`{0}` is not a JSON pointer: expected /spec/replicas, with ~1 for `/` and ~0 for `~` in a key")]
    Pointer(String),
    /// Not of the dotted form.
    #[error(
        "`{0}` is not a path: expected status.loadBalancer.ingress[0].ip; put other keys in quotes: metadata.annotations[\"a.b/c\"]"
    )]
    Dotted(String),
}

impl Pointer {
    /// The place that `path`, written `spec.containers[0].image` or `metadata.labels["a.b/c"]`, names.
    pub fn from_dotted(path: &str) -> Result<Self, InvalidPointer> {
        let invalid = || InvalidPointer::Dotted(path.chars().take(120).collect());
        let mut pointer = String::new();
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = next_step(rest, pointer.is_empty()).ok_or_else(invalid)?;
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
            rest = after;
        }
        pointer.parse().map_err(|_| invalid())
    }

    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its keys and indices, unescaped.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.0.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
    }

    /// The value there.
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        value.pointer(&self.0)
    }

    /// Whether a value can be put there: what holds the place exists and has room for it.
    pub fn fits(&self, value: &Value) -> bool {
        let (parent, last) = self.split();
        match value.pointer(parent) {
            Some(Value::Object(_)) => true,
            Some(Value::Array(items)) => index(&last).is_some_and(|at| at < items.len()),
            _ => false,
        }
    }

    /// Puts `new` there; `false` if there is no such place.
    pub fn set(&self, value: &mut Value, new: Value) -> bool {
        let (parent, last) = self.split();
        match value.pointer_mut(parent) {
            Some(Value::Object(map)) => {
                map.insert(last, new);
                true
            }
            Some(Value::Array(items)) => match index(&last).and_then(|at| items.get_mut(at)) {
                Some(item) => {
                    *item = new;
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn split(&self) -> (&str, String) {
        let (parent, last) = self.0.rsplit_once('/').expect("invariant: a pointer begins with `/`");
        (parent, last.replace("~1", "/").replace("~0", "~"))
    }
}

fn index(text: &str) -> Option<usize> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if plain { text.parse().ok() } else { None }
}

/// The first step of a dotted path and what comes after it.
fn next_step(path: &str, is_first: bool) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix('[') {
        let (step, rest) = match rest.strip_prefix('"') {
            Some(rest) => rest.split_once("\"]")?,
            None => {
                let (step, rest) = rest.split_once(']')?;
                index(step)?;
                (step, rest)
            }
        };
        return (!step.is_empty() || rest.is_empty()).then(|| (step.to_owned(), rest));
    }
    let path = if is_first { path } else { path.strip_prefix('.')? };
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (step, rest) = path.split_at(end);
    let is_plain = !step.is_empty() && step.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    is_plain.then(|| (step.to_owned(), rest))
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        let escapes_hold = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if text.starts_with('/') && escapes_hold && text.len() <= POINTER_BYTES_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPointer::Pointer(text.chars().take(120).collect()))
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_paths_become_pointers() {
        for (dotted, pointer) in [
            ("status.loadBalancer.ingress[0].ip", "/status/loadBalancer/ingress/0/ip"),
            ("metadata.annotations[\"a.b/c~d\"]", "/metadata/annotations/a.b~1c~0d"),
            ("[0][1]", "/0/1"),
            ("spec", "/spec"),
        ] {
            assert_eq!(Pointer::from_dotted(dotted).unwrap().as_str(), pointer);
        }
        for bad in ["", ".", "a..b", "a.", "a[", "a[x]", "a[-1]", "a[01]", "a b", ".a", "a[\"b\"]c", "a[0]b"]
        {
            assert!(Pointer::from_dotted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pointers_that_name_the_whole_or_nothing_are_refused() {
        for bad in ["", "a", "/a~", "/a~2", &format!("/{}", "a".repeat(POINTER_BYTES_MAX))] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_goes_only_where_there_is_room() {
        let pointer = |text: &str| text.parse::<Pointer>().unwrap();
        let mut value = json!({"spec": {"list": [1], "a/b": 0}});
        for (place, fits) in [
            ("/spec/new", true),
            ("/spec/list/0", true),
            ("/spec/a~1b", true),
            ("/spec/list/1", false),
            ("/spec/list/00", false),
            ("/spec/list/-", false),
            ("/none/x", false),
            ("/spec/a~1b/x", false),
        ] {
            assert_eq!(pointer(place).fits(&value), fits, "{place}");
            assert_eq!(pointer(place).set(&mut value, json!("v")), fits, "{place}");
        }
        assert_eq!(value, json!({"spec": {"list": ["v"], "a/b": "v", "new": "v"}}));
    }
}
