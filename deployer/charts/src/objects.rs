//! What a program printed, as objects.

use serde_json::{Map, Value};
use slipway_types::{Place, Violation};
use slipway_yaml::{Dialect, References, YamlOptions};

use crate::options::ChartOptions;
use crate::rendered::RenderedObject;
use crate::request::Request;

/// How deep lists may hold lists.
const MAX_LIST_DEPTH: usize = 4;
/// What aliases may copy in a short document, in bytes.
const MIN_COPIED_BYTES: usize = 64 << 10;

/// The objects of what a program printed, or all that is wrong with it.
pub(crate) fn read(
    output: &[u8],
    request: &Request<'_>,
    options: &ChartOptions,
) -> Result<Vec<RenderedObject>, Vec<Violation>> {
    let text = text_of(output, request, || "what it renders is not UTF-8 text".to_owned())?;
    objects_of(documents(text), request, options)
}

/// The objects of the file `path`, or all that is wrong with it.
pub(crate) fn read_file(
    path: &str,
    bytes: &[u8],
    request: &Request<'_>,
    options: &ChartOptions,
) -> Result<Vec<RenderedObject>, Vec<Violation>> {
    let text = text_of(bytes, request, || format!("{path} is not UTF-8 text"))?;
    let documents = documents(text).into_iter().map(|document| Document { source: Some(path), ..document });
    objects_of(documents.collect(), request, options)
}

fn text_of<'a>(
    bytes: &'a [u8],
    request: &Request<'_>,
    message: impl Fn() -> String,
) -> Result<&'a str, Vec<Violation>> {
    std::str::from_utf8(bytes).map_err(|_| vec![request.whole("invalid_output", message())])
}

fn objects_of(
    documents: Vec<Document<'_>>,
    request: &Request<'_>,
    options: &ChartOptions,
) -> Result<Vec<RenderedObject>, Vec<Violation>> {
    let (mut objects, mut found) = (Vec::new(), Vec::new());
    let mut left = options.max_nodes;
    for document in documents {
        let yaml = YamlOptions {
            max_bytes: document.text.len().max(MIN_COPIED_BYTES),
            max_nodes: left,
            max_problems: 1,
            references: References::Followed,
            dialect: Dialect::Kubernetes,
            ..YamlOptions::default()
        };
        match slipway_yaml::read(document.text.as_bytes(), &yaml) {
            Err(errors) => found.extend(errors.iter().map(|error| unreadable(&document, error, request))),
            Ok(nodes) => {
                for node in nodes {
                    let source = document.source.map(str::to_owned);
                    let taken = RenderedObject { object: node.to_json(), source };
                    left = left.saturating_sub(size(&taken.object));
                    flatten(taken, 0, &mut objects, &mut found, request);
                }
            }
        }
        if objects.len() > options.max_objects {
            let limit = options.max_objects;
            let message = format!("it renders more than {limit} objects (`charts.max_objects`)");
            found.push(request.whole("too_many_objects", message).hint("split it into several components"));
        }
        if objects.len() > options.max_objects || found.len() >= options.max_problems {
            break;
        }
    }
    if found.is_empty() { Ok(objects) } else { Err(found) }
}

/// Values and keys of `value`.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|value| 1 + size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// One document of the output.
struct Document<'a> {
    source: Option<&'a str>,
    text: &'a str,
}

/// A line that begins with `---` begins a document, whatever stands around it. Helm names the template in
/// the first comment; what a file of `crds/` holds further has none and is of the same file.
fn documents(text: &str) -> Vec<Document<'_>> {
    let mut starts = vec![0];
    let (mut ends, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let marker = line.strip_prefix("---");
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            ends.push(at);
            starts.push(at + 3);
        }
        at += line.len();
    }
    ends.push(at);
    let mut source = None;
    let mut found = Vec::new();
    for (start, end) in starts.into_iter().zip(ends) {
        let text = &text[start..end];
        source = source_of(text).or(source);
        if text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
            found.push(Document { source, text });
        }
    }
    found
}

fn source_of(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim);
    let mut comments = lines.skip_while(|line| line.is_empty()).take_while(|line| line.starts_with('#'));
    comments.find_map(|line| line.strip_prefix("# Source: "))
}

fn unreadable(document: &Document<'_>, error: &slipway_yaml::YamlError, request: &Request<'_>) -> Violation {
    let line = error.at.line;
    let message = format!("a document is not valid: {} (line {line} of it)", error.message);
    request
        .whole("invalid_output", message)
        .at(document.source.map(place))
        .hint("look at indentation and quotes there; `helm template` shows what a template renders")
}

/// A template as a whole.
fn place(file: &str) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1 }
}

fn flatten(
    taken: RenderedObject,
    depth: usize,
    objects: &mut Vec<RenderedObject>,
    found: &mut Vec<Violation>,
    request: &Request<'_>,
) {
    let RenderedObject { object, source } = taken;
    if object.is_null() {
        return;
    }
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if is_list && object["items"].is_array() && depth < MAX_LIST_DEPTH {
        for item in items(object) {
            flatten(
                RenderedObject { object: item, source: source.clone() },
                depth + 1,
                objects,
                found,
                request,
            );
        }
        return;
    }
    match lack(&object) {
        None => objects.push(RenderedObject { object, source }),
        Some(lack) => {
            let what = object["kind"].as_str().unwrap_or("document").chars().take(60).collect::<String>();
            let message = format!("`{what}` is no object of Kubernetes: {lack}");
            found.push(request.whole("invalid_object", message).at(source.as_deref().map(place)));
        }
    }
}

/// The items of a list; those of a typed one may leave out what it says.
fn items(list: Value) -> Vec<Value> {
    let kind =
        list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default().to_owned();
    let api_version = list["apiVersion"].clone();
    let Value::Object(mut list) = list else { return Vec::new() };
    let Some(Value::Array(mut items)) = list.remove("items") else { return Vec::new() };
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
        item.entry("apiVersion").or_insert_with(|| api_version.clone());
        item.entry("kind").or_insert_with(|| kind.clone().into());
    }
    items
}

fn lack(object: &Value) -> Option<&'static str> {
    let is_text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let Some(map) = object.as_object() else { return Some("it is not a mapping") };
    let metadata = map.get("metadata").and_then(Value::as_object);
    let texts = |field: &str| {
        let strings = |value: &Map<String, Value>| value.values().all(Value::is_string);
        metadata
            .and_then(|metadata| metadata.get(field))
            .is_none_or(|value| value.is_null() || value.as_object().is_some_and(strings))
    };
    if !is_text(map.get("apiVersion")) {
        Some("it has no `apiVersion`")
    } else if !is_text(map.get("kind")) {
        Some("it has no `kind`")
    } else if metadata
        .is_some_and(|metadata| metadata.contains_key("generateName") && !metadata.contains_key("name"))
    {
        Some("`generateName` gives another name each time, use `metadata.name`")
    } else if !is_text(metadata.and_then(|metadata| metadata.get("name"))) {
        Some("it has no `metadata.name`")
    } else if !texts("labels") || !texts("annotations") {
        Some("labels and annotations must be text: put numbers and booleans in quotes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::{ChartFiles, Target};
    use crate::secrets::SecretScope;

    fn read_text(text: &str) -> Result<Vec<RenderedObject>, Vec<Violation>> {
        let scope = SecretScope { application: "shop".into(), environment: "prod".into() };
        let (files, target) = (ChartFiles::new(), Target::default());
        let request = Request {
            path: "components[a]",
            files: &files,
            namespace: "shop",
            target: &target,
            scope: &scope,
            secrets: &[],
        };
        read(text.as_bytes(), &request, &ChartOptions { max_objects: 4, ..ChartOptions::default() })
    }

    #[test]
    fn documents_split_only_where_a_line_begins_with_the_marker() {
        let text = "\n--- # first\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n\
                    data:\n  pem: |\n    -----BEGIN-----\n    ---\n    x\n--- \n# only a comment\n---\n---\n\
                    # Source: c/crds/b.yaml\nkind: B\napiVersion: v1\nmetadata: {name: b}\n---\nkind: C\n\
                    apiVersion: v1\nmetadata: {name: c}\n";
        let objects = read_text(text).unwrap();
        let seen: Vec<_> = objects
            .iter()
            .map(|o| (o.object["metadata"]["name"].clone(), o.source.clone().unwrap()))
            .collect();
        let crds = "c/crds/b.yaml".to_owned();
        assert_eq!(
            seen,
            [(json!("a"), "c/templates/a.yaml".to_owned()), (json!("b"), crds.clone()), (json!("c"), crds)]
        );
        assert_eq!(objects[0].object["data"]["pem"], "-----BEGIN-----\n---\nx\n");
    }

    #[test]
    fn lists_are_flattened() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n\
                    - apiVersion: v1\n  kind: ConfigMapList\n  items: [{metadata: {name: b}}]\n";
        let objects = read_text(text).unwrap();
        assert_eq!(
            objects[1].object,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}})
        );
        assert_eq!(objects.len(), 2);
    }

    #[test]
    fn what_is_no_object_is_told_all_at_once() {
        let text = "a: 1\n---\nkind: A\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n---\n\
                    apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {a: 1}}\n---\n- 1\n---\na: [\n";
        let messages: Vec<String> = read_text(text).unwrap_err().into_iter().map(|v| v.message).collect();
        assert_eq!(messages.len(), 6, "{messages:#?}");
        let one = |name: usize| format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a{name}}}\n");
        let five: String = (0..5).map(one).collect();
        assert_eq!(read_text(&five).unwrap_err()[0].code, "too_many_objects");
    }

    #[test]
    fn many_small_documents_cannot_become_much() {
        let mut one =
            "---\nkind: A\napiVersion: v1\nmetadata: {name: a}\nx0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
                .to_owned();
        for n in 1..4 {
            one.push_str(&format!("x{n}: &x{n} [*x{0}, *x{0}, *x{0}, *x{0}, *x{0}, *x{0}]\n", n - 1));
        }
        let found = read_text(&one.repeat(1_000)).unwrap_err();
        assert!(found[0].code == "too_many_objects" || found[0].message.contains("too large"), "{found:?}");
        assert!(found.len() <= ChartOptions::default().max_problems + 1);
    }
}
