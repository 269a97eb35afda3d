//! Reading an operator's file, whichever of the formats it is written in.

use slipway_types::{Place, Violation};
use slipway_yaml::{self as yaml, Dialect, Node, Position, References, Value, YamlOptions};

use crate::check::{Known, check};
use crate::decode::{Decoder, present, shown};
use crate::{Application, OamOptions, Places, code};

pub(crate) mod application;
mod appmanager;
mod bindings;
mod foreign;
pub(crate) mod workflow;

use application::decode;

/// One application as a file describes it, every value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it says.
    pub application: Application,
    /// Where it says it.
    pub places: Places,
}

impl Document {
    /// Where `path` stands, e.g. `components[web].properties.port`, or the nearest thing around it.
    pub fn place_of(&self, path: &str) -> Option<Place> {
        self.places.place_of(path)
    }

    /// All that [`check`] finds, in the file's order and each at its exact place.
    pub fn check(&self, known: &Known, options: &OamOptions) -> Vec<Violation> {
        let mut violations = check(&self.application, known);
        for violation in &mut violations {
            let exact = violation.path.parse().ok().and_then(|path| self.places.exact(&path));
            // A cycle stands where something waits, not where the component begins.
            if let Some(place) = exact.filter(|_| violation.code != code::DEPENDENCY_CYCLE) {
                violation.at = Some(place);
            }
        }
        in_order(violations, options)
    }
}

/// Reads the one application of a file. `file` is what its writer calls it.
pub fn read(bytes: &[u8], file: &str, options: &OamOptions) -> Result<Document, Vec<Violation>> {
    let mut documents = read_all(bytes, file, options)?;
    if let [_, second, ..] = &documents[..] {
        let name = &second.application.name;
        let message = format!("a second application, `{name}`, begins here");
        return Err(vec![
            Violation::new(code::NOT_AN_APPLICATION, "", message)
                .at(second.application.at.clone())
                .hint("give each application a file of its own"),
        ]);
    }
    Ok(documents.remove(0))
}

/// Reads every application of a file: at least one.
pub fn read_all(bytes: &[u8], file: &str, options: &OamOptions) -> Result<Vec<Document>, Vec<Violation>> {
    let reading = inspect(bytes, file, options);
    if reading.violations.is_empty() { Ok(reading.documents) } else { Err(reading.violations) }
}

/// What could be read of a file, and all that is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The applications. Where there are violations, what could not be read is missing in them.
    pub documents: Vec<Document>,
    /// What is wrong, in the file's order.
    pub violations: Vec<Violation>,
}

/// Reads as far as possible, so that later checks can add what they find to the violations.
pub fn inspect(bytes: &[u8], file: &str, options: &OamOptions) -> Reading {
    let mut decoder = Decoder::new(file, options);
    let roots = roots(&mut decoder, bytes).unwrap_or_default();
    if roots.is_empty() && decoder.violations.is_empty() {
        decoder.wrong(code::MISSING_FIELD, Position::START, "", "the file is empty").hint =
            Some(BEGIN.to_owned());
    }
    let mut documents = Vec::new();
    for root in roots {
        documents.extend(document(&mut decoder, root));
    }
    Reading { documents, violations: in_order(decoder.violations, options) }
}

/// The violations in the file's order, each once, as many as may be reported.
pub(crate) fn in_order(mut violations: Vec<Violation>, options: &OamOptions) -> Vec<Violation> {
    let key = |violation: &Violation| {
        let place = violation.at.as_ref().map(|place| (place.line, place.column));
        (place, violation.path.clone(), violation.code.clone(), violation.message.clone())
    };
    violations.sort_by_cached_key(key);
    violations.dedup();
    violations.truncate(options.max_violations);
    violations
}

const BEGIN: &str = "begin with `apiVersion: core.oam.dev/v1beta1` and `kind: Application`";

/// The file's documents, empty ones left out.
fn roots(decoder: &mut Decoder<'_>, bytes: &[u8]) -> Option<Vec<Node>> {
    let options = decoder.options;
    if bytes.len() > options.max_file_bytes {
        let (is, max) = (bytes.len(), options.max_file_bytes);
        let message = format!("the file has {is} bytes, the limit max_file_bytes is {max}");
        decoder.wrong(code::LIMIT_EXCEEDED, Position::START, "", message);
        return None;
    }
    let yaml_options = YamlOptions {
        max_bytes: options.max_file_bytes,
        max_depth: options.max_depth,
        max_nodes: options.max_values,
        max_problems: options.max_violations,
        references: References::Refused,
        dialect: Dialect::Core,
    };
    let mut roots = match yaml::read(bytes, &yaml_options) {
        Ok(roots) => roots,
        Err(errors) => {
            for error in errors {
                let (code, message) = match limit_in(&error.message, options) {
                    Some(message) => (code::LIMIT_EXCEEDED, message),
                    None => (code::INVALID_YAML, error.message),
                };
                decoder.wrong(code, error.at, "", message).hint = error.hint;
            }
            return None;
        }
    };
    roots.retain(|root| root.value != Value::Null);
    if let Some(first_over) = roots.get(options.max_documents) {
        let message =
            format!("{} documents, the limit max_documents is {}", roots.len(), options.max_documents);
        decoder.wrong(code::LIMIT_EXCEEDED, first_over.at, "", message);
        return None;
    }
    Some(roots)
}

/// What the YAML reader says of a limit, with our name for it.
fn limit_in(message: &str, options: &OamOptions) -> Option<String> {
    if message.starts_with("nested deeper than") || message.ends_with("recursion limit exceeded") {
        return Some(format!("nested deeper than the limit max_depth, {}", options.max_depth));
    }
    let values = message.starts_with("more than") && message.ends_with("values");
    values.then(|| format!("more values than the limit max_values, {}", options.max_values))
}

/// One document by its version and kind.
fn document(decoder: &mut Decoder<'_>, root: Node) -> Option<Document> {
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("expected an application, found {}", root.kind());
        decoder.wrong(code::WRONG_TYPE, root.at, "", message).hint = Some(BEGIN.to_owned());
        return None;
    }
    let mut header = |key: &str| match present(&root, key) {
        Some(node) => decoder.text(node, key).map(|text| (text.to_owned(), node.at)),
        None => {
            decoder.wrong(code::MISSING_FIELD, root.at, key, format!("`{key}` is missing")).hint =
                Some(BEGIN.to_owned());
            None
        }
    };
    let (version, kind) = (header("apiVersion"), header("kind"));
    let ((version, version_at), (kind, kind_at)) = (version?, kind?);
    match (version.as_str(), kind.as_str()) {
        ("core.oam.dev/v1beta1", "Application") => decode(decoder, root),
        ("core.oam.dev/v1alpha2", "ApplicationConfiguration") if !foreign::is_oam_pair(&root) => {
            let converted = appmanager::convert(decoder, &root)?;
            let mut document = decode(decoder, converted)?;
            for component in &mut document.application.components {
                component.kind_is_rough = true;
            }
            Some(document)
        }
        (version, kind) => {
            let (code, hint) = foreign::refusal(version, kind);
            let (path, at) = match code {
                code::UNSUPPORTED_API_VERSION => ("apiVersion", version_at),
                _ => ("kind", kind_at),
            };
            let message = format!("`{}` of `{}` is not read here", shown(kind), shown(version));
            decoder.wrong(code, at, path, message).hint = Some(hint);
            None
        }
    }
}
