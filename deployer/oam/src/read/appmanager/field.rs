//! AppManager's field paths (`spec.env.DB_HOST`) as paths of properties.

use slipway_yaml::Node;

use super::{Variables, items_at, tree};
use crate::decode::{Decoder, Shape, join, present, shown};
use crate::{Path, Segment, code};

const PARAMETER: Shape =
    Shape { known: &["name", "value", "toFieldPaths"], required: &["name", "value", "toFieldPaths"] };
const DATA_INPUT: Shape =
    Shape { known: &["valueFrom", "toFieldPaths"], required: &["valueFrom", "toFieldPaths"] };
const VALUE_FROM: Shape = Shape { known: &["dataOutputName"], required: &["dataOutputName"] };
const DATA_OUTPUT: Shape = Shape { known: &["name", "fieldPath"], required: &["name", "fieldPath"] };

/// Whose fields are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A component of containers, whose `spec.env` maps names to values.
    Containers,
    /// Any other component, or a trait.
    Plain,
}

/// The property behind `spec.…`.
fn property(text: &str, owner: Owner) -> Result<Path, String> {
    let path: Path = text.parse().map_err(|error: crate::path::InvalidPath| error.to_string())?;
    match path.segments() {
        [Segment::Key(spec), Segment::Key(env), Segment::Key(name)]
            if owner == Owner::Containers && spec == "spec" && env == "env" =>
        {
            let value = Segment::Key("value".to_owned());
            Ok(Path::new(vec![Segment::Key(env.clone()), Segment::Named(name.clone()), value]))
        }
        [Segment::Key(spec), Segment::Key(_), ..] if spec == "spec" => Ok(path.skip(1)),
        _ => Err(format!("`{}` is not below `spec`", shown(text))),
    }
}

/// The paths of `toFieldPaths` that can be read.
fn paths<'n>(
    decoder: &mut Decoder<'_>,
    node: &'n Node,
    path: &str,
    owner: Owner,
) -> Vec<(Path, &'n Node, String)> {
    let mut found = Vec::new();
    for (item, path) in items_at(decoder, node, "toFieldPaths", path) {
        let Some(text) = decoder.text(item, &path) else { continue };
        match property(text, owner) {
            Ok(property) => found.push((property, item, path)),
            Err(message) => {
                decoder.wrong(code::INVALID_PROPERTY, item.at, &path, message).hint =
                    Some("write a field such as `spec.replicas` or `spec.env.NAME`".to_owned());
            }
        }
    }
    found
}

/// Writes `parameterValues` of `node` into `properties`.
pub(super) fn parameters(
    decoder: &mut Decoder<'_>,
    variables: &mut Variables,
    node: &Node,
    path: &str,
    owner: Owner,
    properties: &mut Node,
) {
    for (item, path) in items_at(decoder, node, "parameterValues", path) {
        if !decoder.shaped(item, &path, &PARAMETER) {
            continue;
        }
        let Some(value) = present(item, "value") else { continue };
        let value = variables.fill(decoder, value, &join(&path, "value"));
        for (property, at, path) in paths(decoder, item, &path, owner) {
            if !variables.spend(decoder, at.at, &path, tree::weight(&value)) {
                return;
            }
            if let Err(message) = tree::set(properties, &property, value.clone()) {
                decoder.wrong(code::INVALID_PROPERTY, at.at, &path, message);
            }
        }
    }
}

/// One `dataInputs` entry: the output it takes and the properties it fills.
pub(super) struct DataInput<'n> {
    pub(super) from: &'n Node,
    pub(super) targets: Vec<(Path, &'n Node)>,
    pub(super) path: String,
}

pub(super) fn data_inputs<'n>(
    decoder: &mut Decoder<'_>,
    node: &'n Node,
    path: &str,
    owner: Owner,
) -> Vec<DataInput<'n>> {
    let mut inputs = Vec::new();
    for (item, path) in items_at(decoder, node, "dataInputs", path) {
        if !decoder.shaped(item, &path, &DATA_INPUT) {
            continue;
        }
        let targets = paths(decoder, item, &path, owner);
        let targets = targets.into_iter().map(|(property, item, _)| (property, item)).collect();
        let value_from = present(item, "valueFrom");
        let value_from =
            value_from.filter(|node| decoder.shaped(node, &join(&path, "valueFrom"), &VALUE_FROM));
        if let Some(from) = value_from.and_then(|node| present(node, "dataOutputName")) {
            inputs.push(DataInput { from, targets, path });
        }
    }
    inputs
}

/// `dataOutputs` as outputs whose fields lie below `object`.
pub(super) fn data_outputs(decoder: &mut Decoder<'_>, node: &Node, path: &str, object: &str) -> Vec<Node> {
    let mut outputs = Vec::new();
    for (item, path) in items_at(decoder, node, "dataOutputs", path) {
        if !decoder.shaped(item, &path, &DATA_OUTPUT) {
            continue;
        }
        let (Some(name), Some(field)) = (present(item, "name"), present(item, "fieldPath")) else { continue };
        let field_path = join(&path, "fieldPath");
        let Some(text) = decoder.text(field, &field_path) else { continue };
        let bare = text.trim();
        let bare = bare.strip_prefix("{{").and_then(|bare| bare.strip_suffix("}}")).unwrap_or(bare).trim();
        let parsed = bare.parse::<Path>();
        let first = parsed.as_ref().ok().and_then(|path| path.segments().first());
        if !matches!(first, Some(Segment::Key(key)) if matches!(key.as_str(), "metadata" | "spec" | "status"))
        {
            let message = format!("`{}` is no plain field: expressions are not evaluated", shown(text));
            decoder.wrong(code::INVALID_PROPERTY, field.at, &field_path, message).hint =
                Some("write a field of the object, such as `status.host`".to_owned());
            continue;
        }
        let output = tree::Builder::at(item.at)
            .with("name", name.clone())
            .with("valueFrom", tree::text(field.at, format!("{object}.{bare}")));
        outputs.push(output.build());
    }
    outputs
}
