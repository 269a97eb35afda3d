//! Data of Secrets: out of the objects, into the caller's store.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use slipway_types::secret::SecretProvider;
use slipway_types::{Digest, SecretReference, Violation};

use crate::rendered::{ObjectName, RenderedObject};
use crate::request::{GeneratedSecret, Request};

/// The longest part of a secret's name that comes of one word, in bytes.
const MAX_PART_BYTES: usize = 36;
/// The digits of a digest that stand for what a part leaves out.
const DIGEST_DIGITS: usize = 12;

/// Whose secrets they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretScope {
    /// The application's full name, e.g. `shop/web`.
    pub application: String,
    /// The environment's name.
    pub environment: String,
}

/// One value that stood in the data of a Secret.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Where the object now points, and where the value must be stored.
    pub reference: SecretReference,
    /// The name of the Secret.
    pub secret: String,
    /// The key in its data.
    pub key: String,
    /// The value in base64, exactly as it stands in `data`.
    pub base64: SecretString,
}

/// Why the store of kept secrets failed.
pub type KeptSecretsError = Box<dyn Error + Send + Sync>;

/// Where the first value of each generated secret is kept.
#[async_trait]
pub trait KeptSecrets: Send + Sync {
    /// The reference to what is kept for `key` of the Secret `secret`.
    async fn get(&self, secret: &str, key: &str) -> Result<Option<SecretReference>, KeptSecretsError>;

    /// Keeps a value, base64 as `data` of a Secret has it, and says where.
    async fn put(
        &self,
        secret: &str,
        key: &str,
        base64: &SecretString,
    ) -> Result<SecretReference, KeptSecretsError>;
}

impl SecretScope {
    /// Whether `reference` is one of those that [`Self::reference`] gives.
    pub fn has(&self, reference: &SecretReference) -> bool {
        let words = self.application.split('/').chain([self.environment.as_str()]);
        let parts: Vec<String> = words.map(part).collect();
        let prefix = format!("rendered/{}/", parts.join("/"));
        reference.provider == SecretProvider::Builtin && reference.path.starts_with(&prefix)
    }

    /// The reference for `key` of the Secret `secret`: the same each time, and another for other names.
    pub fn reference(&self, secret: &str, key: &str) -> SecretReference {
        let words = self.application.split('/').chain([self.environment.as_str(), secret, key]);
        let parts: Vec<String> = words.map(part).collect();
        SecretReference::builtin(format!("rendered/{}", parts.join("/")))
    }
}

/// `word` as a part of a secret's name; where that alters it, a digest keeps it apart from others.
fn part(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let starts_plain = word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts_plain && word.len() <= MAX_PART_BYTES && word.chars().all(is_plain) && !looks_altered(word) {
        return word.to_owned();
    }
    let lower = word.to_ascii_lowercase();
    let kept = lower.chars().map(|c| if is_plain(c) { c } else { '-' });
    let shown: String = kept.take(MAX_PART_BYTES - DIGEST_DIGITS - 2).collect();
    format!("x{shown}_{}", &Digest::of(word).hex()[..DIGEST_DIGITS])
}

fn looks_altered(word: &str) -> bool {
    word.starts_with('x')
        && word
            .rsplit_once('_')
            .is_some_and(|(_, end)| end.len() == DIGEST_DIGITS && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Replaces all data of Secrets in `objects` by references; gives what they stand for. What is a reference
/// already stays where it is. A reference stands for base64 in `data`, where also plain `stringData` goes.
/// `path` is what violations are about.
pub fn extract_secrets<'a>(
    objects: impl Iterator<Item = &'a mut Value>,
    scope: &SecretScope,
    path: &str,
) -> Result<Vec<SecretValue>, Vec<Violation>> {
    let (mut values, mut found) = (Vec::new(), Vec::new());
    for object in objects.filter(|object| is_secret(object)) {
        let name = ObjectName::of(object);
        if let Err(wrong) = gather(object, &name.to_string(), path) {
            found.extend(wrong);
            continue;
        }
        let secret = name.name;
        let Some(data) = object["data"].as_object_mut() else { continue };
        for (key, value) in data {
            if let Value::String(base64) = value {
                let reference = scope.reference(&secret, key);
                let base64 = SecretString::from(std::mem::take(base64));
                *value = marker(&reference);
                values.push(SecretValue { reference, secret: secret.clone(), key: key.clone(), base64 });
            }
        }
    }
    if found.is_empty() { Ok(values) } else { Err(found) }
}

pub(crate) fn is_secret(object: &Value) -> bool {
    object["apiVersion"] == "v1" && object["kind"] == "Secret"
}

/// What stands in an object for a secret.
fn marker(reference: &SecretReference) -> Value {
    json!({"$secret": reference})
}

fn is_marker(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("$secret"))
}

/// Moves `stringData` into `data`, as the API server does, so that each value has one form and one place.
/// `what` names the Secret in violations.
pub(crate) fn gather(object: &mut Value, what: &str, path: &str) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    let mut wrong = |field: &str, key: &str, problem: &str| {
        let message = format!("{field}[{key:?}] of {what} {problem}");
        let violation = Violation::new("invalid_object", path, message);
        found.push(violation.hint("put it in quotes, or encode it by `b64enc`"));
    };
    let Some(map) = object.as_object_mut() else { return Ok(()) };
    let mut data = section(map, "data");
    let mut marked = Map::new();
    for (key, value) in &mut data {
        match value {
            Value::Null => *value = "".into(),
            Value::String(text) if is_base64(text) => {}
            Value::String(_) => wrong("data", key, "is not base64"),
            reference if is_marker(reference) => {}
            _ => wrong("data", key, "is not text"),
        }
    }
    for (key, value) in section(map, "stringData") {
        match value {
            Value::Null => _ = data.insert(key, "".into()),
            Value::String(text) => _ = data.insert(key, STANDARD.encode(text).into()),
            reference if is_marker(&reference) => {
                // It stands for plain text: in `data` it would mean another thing.
                data.remove(&key);
                marked.insert(key, reference);
            }
            _ => wrong("stringData", &key, "is not text"),
        }
    }
    for (name, section) in [("data", data), ("stringData", marked)] {
        if !section.is_empty() {
            map.insert(name.into(), section.into());
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Secrets of one name and different data: only one of them can be stored.
pub(crate) fn conflicts(objects: &[RenderedObject], request: &Request<'_>) -> Vec<Violation> {
    let mut seen: BTreeMap<String, &RenderedObject> = BTreeMap::new();
    let mut found = Vec::new();
    for object in objects.iter().filter(|object| object.is_secret()) {
        let first = *seen.entry(ObjectName::of(&object.object).name).or_insert(object);
        if first.object["data"] != object.object["data"] {
            let message = format!("{} has other data than {}", object.described(), first.described());
            found.push(request.whole("duplicate_object", message).hint("give one of them another name"));
        }
    }
    found
}

fn section(map: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match map.remove(name) {
        Some(Value::Object(section)) => section,
        _ => Map::new(),
    }
}

fn is_base64(text: &str) -> bool {
    // Kubernetes passes over line ends, and over the bits that padding leaves.
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(plain).is_ok()
}

/// Puts what is kept in the place of generated values, and keeps those that are new. Gives the declared ones
/// that no Secret has.
pub(crate) async fn keep_generated<'a>(
    objects: impl Iterator<Item = &'a mut RenderedObject>,
    generated: &BTreeSet<GeneratedSecret>,
    kept: &dyn KeptSecrets,
) -> Result<BTreeSet<GeneratedSecret>, KeptSecretsError> {
    let mut unseen = generated.clone();
    let mut known: BTreeMap<&GeneratedSecret, SecretReference> = BTreeMap::new();
    for object in objects.filter(|object| object.is_secret()) {
        let secret = ObjectName::of(&object.object).name;
        for declared in generated.iter().filter(|declared| declared.secret == secret) {
            let Some(value) = object.object["data"].get_mut(&declared.key) else { continue };
            unseen.remove(declared);
            let Value::String(base64) = value else { continue };
            let base64 = SecretString::from(std::mem::take(base64));
            if !known.contains_key(declared) {
                let reference = match kept.get(&secret, &declared.key).await? {
                    Some(reference) => reference,
                    None => kept.put(&secret, &declared.key, &base64).await?,
                };
                known.insert(declared, reference);
            }
            *value = marker(&known[declared]);
        }
    }
    Ok(unseen)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn scope() -> SecretScope {
        SecretScope { application: "shop/web".into(), environment: "prod".into() }
    }

    fn extract(object: Value) -> (Value, Result<Vec<SecretValue>, Vec<Violation>>) {
        let mut objects = [object];
        let values = extract_secrets(objects.iter_mut(), &scope(), "components[a]");
        let [object] = objects;
        (object, values)
    }

    #[test]
    fn data_leaves_and_string_data_comes_over_it() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "data": {"a": "b2xk", "b": "YWJj\nZA==", "c": null, "kept": {"$secret": "secret://builtin/x"}},
            "stringData": {"a": "new", "plain": {"$secret": "secret://builtin/y"}},
        });
        let (object, values) = extract(secret);
        let values = values.unwrap();
        let seen: Vec<_> = values.iter().map(|v| (v.key.as_str(), v.base64.expose_secret())).collect();
        assert_eq!(seen, [("a", "bmV3"), ("b", "YWJj\nZA=="), ("c", "")]);
        assert_eq!(object["data"]["kept"]["$secret"], "secret://builtin/x");
        assert_eq!(object["stringData"], json!({"plain": {"$secret": "secret://builtin/y"}}));
        assert!(!format!("{object}{values:?}").contains("bmV3"));
        assert_eq!(object["data"]["a"]["$secret"], values[0].reference.to_string());
    }

    #[test]
    fn values_of_wrong_kinds_are_told_and_not_shown() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "data": {"a": "hunter2!"}, "stringData": {"b": 8080},
        });
        let found = extract(secret).1.unwrap_err();
        let messages = found.iter().map(|v| v.message.clone()).collect::<Vec<_>>().join("\n");
        assert_eq!(found.len(), 2);
        assert!(!messages.contains("hunter2") && !messages.contains("8080"), "{messages}");
    }

    #[test]
    fn references_are_names_of_the_builtin_store_and_never_meet() {
        let scope = scope();
        let plain = scope.reference("db", "password").to_string();
        assert_eq!(plain, "secret://builtin/rendered/shop/web/prod/db/password");
        let long = "k".repeat(253);
        let mut all = BTreeSet::new();
        let altered = scope.reference("db", "A").path;
        let altered = altered.rsplit('/').next().unwrap();
        for (secret, key) in [
            ("db", "PASSWORD"),
            ("db", "password"),
            ("db", "_password"),
            ("db", ".password"),
            ("db", &long),
            (&long, &long),
            ("db", "A"),
            ("db", altered),
        ] {
            let reference = scope.reference(secret, key);
            assert!(reference.path.len() <= 200, "{reference}");
            let is_part = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
            };
            assert!(reference.path.split('/').all(is_part), "{reference}");
            assert!(all.insert(reference));
        }
    }
}
