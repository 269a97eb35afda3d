//! Texts that may name an object where no rule says so: of kinds that Slipway does not know above all.

use serde_json::{Map, Value};

/// Fields that name no object, with all below them.
const NO_NAMES: [&str; 27] = [
    "annotations",
    "apiGroup",
    "apiVersion",
    "appProtocol",
    "container",
    "containerName",
    "description",
    "group",
    "hostname",
    "image",
    "key",
    "kind",
    "labels",
    "matchExpressions",
    "matchLabels",
    "metadata",
    "mountPath",
    "namespace",
    "path",
    "port",
    "portName",
    "protocol",
    "status",
    "subPath",
    "targetPort",
    "type",
    "workingDir",
];
/// What has a `name` that is its own.
const NAMED_ITSELF: [&str; 3] = ["metric", "spec", "template"];
/// How lists are called whose items' `name` is that of an object: items of others have their own.
const REFERENCES: [&str; 6] = ["ref", "refs", "references", "services", "secrets", "configmaps"];

/// A text.
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    /// The kind that is said to have this name.
    pub(super) kind: Option<&'a str>,
}

/// The texts of `object` that may name objects of the namespace.
pub(super) fn said<'a>(object: &'a Value, namespace: &str) -> Vec<Said<'a>> {
    let kind = object["kind"].as_str().unwrap_or_default();
    // A definition of a kind tells names of kinds.
    if kind == "CustomResourceDefinition" {
        return Vec::new();
    }
    let is_content =
        |field: &str| matches!(kind, "ConfigMap" | "Secret") && field.to_ascii_lowercase().ends_with("data");
    let mut found = Vec::new();
    for (field, below) in object.as_object().into_iter().flatten() {
        if !is_content(field) && !names_nothing(field) {
            look(below, field, namespace, &mut found);
        }
    }
    found
}

fn names_nothing(field: &str) -> bool {
    NO_NAMES.contains(&field) || field.ends_with("elector")
}

/// Looks through what the field `key` holds.
fn look<'a>(value: &'a Value, key: &str, namespace: &str, found: &mut Vec<Said<'a>>) {
    match value {
        Value::String(text) => found.push(Said { text, kind: None }),
        Value::Object(fields) => look_at_fields(fields, !NAMED_ITSELF.contains(&key), namespace, found),
        Value::Array(items) => {
            let lower = key.to_ascii_lowercase();
            let refers = REFERENCES.iter().any(|end| lower.ends_with(end));
            // The first of a command is the program.
            for item in items.iter().skip(usize::from(key == "command")) {
                match item {
                    Value::Object(fields) => {
                        let refers = refers || fields.contains_key("kind");
                        look_at_fields(fields, refers, namespace, found);
                    }
                    item => look(item, key, namespace, found),
                }
            }
        }
        _ => {}
    }
}

/// Looks through fields; `refers`: their `name` is that of an object.
fn look_at_fields<'a>(
    fields: &'a Map<String, Value>,
    refers: bool,
    namespace: &str,
    found: &mut Vec<Said<'a>>,
) {
    let own = |field: &str| fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let is_elsewhere = own("namespace").is_some_and(|other| other != namespace);
    for (field, below) in fields.iter().filter(|(field, _)| !names_nothing(field)) {
        match below {
            Value::String(_) if is_elsewhere => {}
            Value::String(text) if field == "name" => {
                if refers {
                    found.push(Said { text, kind: own("kind") });
                }
            }
            below => look(below, field, namespace, found),
        }
    }
}

/// Whether `text` is the address of the Service `name` of the namespace: a host, or a URL with it.
pub(super) fn is_address(text: &str, name: &str, namespace: &str) -> bool {
    let (is_url, rest) = match text.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, text),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if !is_url && authority.len() < rest.len() {
        return false;
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let Some(domain) = host.strip_prefix(name) else { return false };
    let of_namespace = |domain: &str| {
        let rest = domain.strip_prefix(namespace);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    domain.is_empty() || domain.strip_prefix('.').is_some_and(of_namespace)
}
