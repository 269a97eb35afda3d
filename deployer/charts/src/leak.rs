//! A secret value belongs in a Secret: anywhere else it would be written down.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use slipway_types::Violation;

use crate::compare::{Step, path_text};
use crate::rendered::RenderedObject;
use crate::request::Request;

/// Shorter values, in bytes, count only where they are the whole text.
const MIN_PART_BYTES: usize = 8;

/// The places of `objects` where a secret of the request stands, data of Secrets left out.
pub(crate) fn find(objects: &[RenderedObject], request: &Request<'_>) -> Vec<Violation> {
    let needles = needles(request.secrets);
    let mut found = Vec::new();
    if needles.is_empty() {
        return found;
    }
    for object in objects {
        walk(&object.object, &mut Vec::new(), &mut |text, path| {
            let in_place = object.is_secret() && matches!(path, [Step::Key(data), _] if data == "data");
            if !in_place && needles.iter().any(|needle| shows(text, needle)) {
                let message =
                    format!("a secret value would stand in {} at {}", object.described(), path_text(path));
                found.push(
                    request
                        .whole("secret_outside_secret", message)
                        .hint("let the chart put it into a Secret and refer to that"),
                );
            }
        });
    }
    found
}

fn shows(text: &str, needle: &str) -> bool {
    text == needle || (needle.len() >= MIN_PART_BYTES && text.contains(needle))
}

fn needles(secrets: &[SecretString]) -> Vec<String> {
    let exposed = secrets.iter().map(SecretString::expose_secret).filter(|secret| secret.len() >= 4);
    exposed.flat_map(|secret| [secret.to_owned(), STANDARD.encode(secret)]).collect()
}

/// Every key and text below `value`.
fn walk(value: &Value, path: &mut Vec<Step>, see: &mut impl FnMut(&str, &[Step])) {
    match value {
        Value::String(text) => see(text, path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                walk(item, path, see);
                path.pop();
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                see(key, path);
                path.push(Step::Key(key.clone()));
                walk(item, path, see);
                path.pop();
            }
        }
        _ => {}
    }
}
