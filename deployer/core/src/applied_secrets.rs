//! What Secrets held when they were applied, by keyed digests: so it is seen what others change of them, and no value
//! is kept. Slipway's own value may be another since, so that one would tell nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_handoff::{Object, ObjectRef};

/// Where values stand in a manifest.
const FIELDS: [&str; 2] = ["data", "stringData"];
/// What is digested to tell master keys from each other.
pub(crate) const WHICH_KEY: [&str; 1] = ["master key"];

/// The Secrets of one key, as they were last applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AppliedSecrets(Vec<AppliedSecret>);

/// A Secret as it was last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedSecret {
    object: ObjectRef,
    /// Tells under which master key the digests are: under another one they say nothing.
    under: String,
    /// Digests of values by the keys of its data.
    digests: BTreeMap<String, String>,
}

/// Gives the digest of a value at a place, which is told part by part.
pub(crate) type Digests<'a> = dyn Fn(&[&str], &[u8]) -> String + 'a;

impl AppliedSecrets {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of a Secret.
    pub(crate) fn of(&self, object: &ObjectRef) -> Option<&AppliedSecret> {
        self.0.iter().find(|known| known.object.identity() == object.identity())
    }

    /// A Secret was applied, or found to be as wanted.
    pub(crate) fn applied(&mut self, secret: AppliedSecret) {
        self.dropped(&secret.object);
        self.0.push(secret);
    }

    /// A Secret is gone, or somebody else's.
    pub(crate) fn dropped(&mut self, object: &ObjectRef) {
        self.0.retain(|known| known.object.identity() != object.identity());
    }
}

impl AppliedSecret {
    /// What `manifest`, in which values stand and all of them in `data`, makes of a Secret. Keys that are sent once are
    /// others' to change.
    pub(crate) fn of(object: &Object, manifest: &Value, digests: &Digests<'_>) -> Self {
        let keys = manifest["data"].as_object().into_iter().flatten().map(|(key, _)| key);
        let known = keys.filter(|key| !is_sent_once(object, key)).filter_map(|key| {
            let digest = digest_of(&object.object, manifest, key, digests)?;
            Some((key.clone(), digest))
        });
        let known = known.collect();
        Self { object: object.object.clone(), under: digests(&WHICH_KEY, &[]), digests: known }
    }

    /// The keys whose values `secret` does not have as they were applied, sorted; what others added does not count.
    pub(crate) fn changed_in(&self, secret: &Value, digests: &Digests<'_>) -> Vec<String> {
        if self.under != digests(&WHICH_KEY, &[]) {
            return Vec::new();
        }
        let is_changed = |(key, applied): &(&String, &String)| {
            digest_of(&self.object, secret, key, digests).as_ref() != Some(*applied)
        };
        self.digests.iter().filter(is_changed).map(|(key, _)| key.clone()).collect()
    }
}

/// Digests of what `secret` holds, by the keys that `manifest`, with values or without, gives it. Keys that are sent once
/// are others' to change.
pub(crate) fn held(
    object: &Object,
    manifest: &Value,
    secret: &Value,
    digests: &Digests<'_>,
) -> BTreeMap<String, String> {
    let fields = FIELDS.into_iter().filter_map(|field| manifest[field].as_object());
    let keys = fields.flatten().map(|(key, _)| key).filter(|key| !is_sent_once(object, key));
    keys.filter_map(|key| Some((key.clone(), digest_of(&object.object, secret, key, digests)?))).collect()
}

/// The digest of a value; `None`: there is none, or it is none that an API server takes.
fn digest_of(object: &ObjectRef, secret: &Value, key: &str, digests: &Digests<'_>) -> Option<String> {
    // The API server skips line breaks.
    let text: String = secret["data"].get(key)?.as_str()?.split(['\r', '\n']).collect();
    let value = STANDARD.decode(text).ok()?;
    let ObjectRef { namespace, name, .. } = object;
    Some(digests(&[namespace.as_deref().unwrap_or_default(), name.as_str(), key], &value))
}

fn is_sent_once(object: &Object, key: &str) -> bool {
    object.once.iter().any(|once| {
        let steps: Vec<String> = once.steps().collect();
        match steps.as_slice() {
            [field] => FIELDS.contains(&field.as_str()),
            [field, name] => FIELDS.contains(&field.as_str()) && name == key,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_handoff::Pointer;
    use slipway_types::Digest;

    use super::*;

    /// As a server with this master key does it.
    fn under(key: &'static str) -> impl Fn(&[&str], &[u8]) -> String {
        move |place, value| Digest::of(format!("{key} {place:?} {value:?}")).to_string()
    }

    fn secret(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": data})
    }

    fn object() -> Object {
        Object::new(ObjectRef::of(&secret(&json!({}))).unwrap(), Digest::of("db"))
    }

    #[test]
    fn the_keys_that_others_changed_are_named() {
        let digests = under("ours");
        let sent = secret(&json!({"password": "aHVudGVyMg==", "user": "YW5u", "none": null}));
        let applied = AppliedSecret::of(&object(), &sent, &digests);
        for (data, changed) in [
            (json!({"password": "aHVudGVyMg==", "user": "YW5u"}), vec![]),
            (json!({"password": "aHVudGVyMg==", "user": "YW5u", "more": "eA=="}), vec![]),
            (json!({"password": "aHVudGVyMg==", "user": "Ym9i"}), vec!["user"]),
            (json!({"user": "YW5u"}), vec!["password"]),
            (json!({"user": "aHVudGVyMg==", "password": "YW5u"}), vec!["password", "user"]),
            (Value::Null, vec!["password", "user"]),
        ] {
            assert_eq!(applied.changed_in(&secret(&data), &digests), changed, "{data}");
        }
        assert!(applied.changed_in(&secret(&Value::Null), &under("another")).is_empty(), "nobody knows");
    }

    #[test]
    fn what_is_sent_once_is_others_to_change() {
        let digests = under("ours");
        let sent = secret(&json!({"a": "eA==", "b": "eQ=="}));
        for (once, changed) in [("/data/a", vec!["b"]), ("/data", vec![]), ("/data/a/c", vec!["a", "b"])] {
            let once = vec![once.parse::<Pointer>().unwrap()];
            let applied = AppliedSecret::of(&Object { once, ..object() }, &sent, &digests);
            assert_eq!(applied.changed_in(&secret(&json!({})), &digests), changed);
        }
    }

    #[test]
    fn what_a_secret_holds_is_told_by_the_keys_that_a_manifest_gives_it() {
        let digests = under("ours");
        let mut manifest =
            secret(&json!({"password": {"from": "elsewhere"}, "once": "eA==", "gone": "eA=="}));
        manifest["stringData"] = json!({"user": "ann"});
        let object = Object { once: vec!["/data/once".parse::<Pointer>().unwrap()], ..object() };
        let told = |data: &Value| held(&object, &manifest, &secret(data), &digests);
        let before =
            told(&json!({"password": "aHVudGVyMg==", "user": "YW5u", "once": "eA==", "more": "eA=="}));
        assert_eq!(before.keys().collect::<Vec<_>>(), ["password", "user"]);
        let same = told(&json!({"password": "aHVudGVyMg==", "user": "YW5u", "once": "eQ==", "more": "eQ=="}));
        assert_eq!(same, before);
        let other = told(&json!({"password": "YW5u", "user": "YW5u"}));
        assert!(other["password"] != before["password"] && other["user"] == before["user"]);
    }

    #[test]
    fn line_breaks_in_a_value_are_no_difference_and_what_is_no_value_is_not_known() {
        let digests = under("ours");
        let sent = secret(&json!({"password": "aHVu\ndGVyMg==\n", "other": "?"}));
        let applied = AppliedSecret::of(&object(), &sent, &digests);
        let there = secret(&json!({"password": "aHVudGVyMg==", "other": "eA=="}));
        assert!(applied.changed_in(&there, &digests).is_empty());
    }

    #[test]
    fn no_value_is_kept_and_what_is_kept_reads_as_it_was() {
        let mut kept = AppliedSecrets::default();
        let sent = secret(&json!({"password": "aHVudGVyMg=="}));
        for key in ["ours", "another"] {
            kept.applied(AppliedSecret::of(&object(), &sent, &under(key)));
        }
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
        assert_eq!(serde_json::from_str::<AppliedSecrets>(&text).unwrap(), kept);
        let known = kept.of(&object().object).unwrap();
        let changed = known.changed_in(&secret(&json!({})), &under("another"));
        assert_eq!(changed, ["password"], "the newest counts");
        kept.dropped(&object().object);
        assert!(kept.is_empty());
    }
}
