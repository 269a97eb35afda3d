//! AppManager's ApplicationConfiguration (`core.oam.dev/v1alpha2`), rewritten as an Application.
//!
//! The rewriting works on the positioned tree: every value keeps the place where it was written,
//! and one decoder reads both formats.

use slipway_yaml::{Node, Value};

use crate::code;
use crate::decode::{Decoder, Shape, join, present, shown};

mod component;
mod field;
mod template;
mod tree;
mod workflow;

use template::Variables;
use tree::Builder;

const ROOT: Shape =
    Shape { known: &["apiVersion", "kind", "metadata", "spec"], required: &["metadata", "spec"] };
const METADATA: Shape = Shape { known: &["name", "namespace", "labels", "annotations"], required: &["name"] };
const SPEC: Shape =
    Shape { known: &["parameterValues", "components", "policies", "workflow"], required: &[] };
/// What the annotations of AppManager's launch files say of the package.
const PACKAGE_VERSION: &str = "appPackageVersion";

/// The same as an Application of v1beta1; none if nothing could be made of it.
pub(super) fn convert(decoder: &mut Decoder<'_>, root: &Node) -> Option<Node> {
    if !decoder.shaped(root, "", &ROOT) {
        return None;
    }
    let (metadata, spec) = (present(root, "metadata")?, present(root, "spec")?);
    if !decoder.shaped(spec, "spec", &SPEC) {
        return None;
    }
    let mut variables = Variables::globals(decoder, spec);
    let mut parts = Builder::at(spec.at);
    if let Some(version) = package_version(metadata) {
        parts.put("bundle", Builder::at(version.at).with("version", version.clone()).build());
    }
    if let Some(components) = present(spec, "components") {
        parts.put("components", component::convert_all(decoder, &mut variables, components));
    }
    let mut policies = match present(spec, "policies") {
        Some(policies) => component::convert_policies(decoder, &mut variables, policies, spec),
        None => Vec::new(),
    };
    if let Some(node) = present(spec, "workflow") {
        parts.put("workflow", workflow::convert(decoder, node, &mut policies));
    }
    if !policies.is_empty() {
        let at = present(spec, "policies").map_or(spec.at, |node| node.at);
        parts.put("policies", Node { at, value: Value::List(policies) });
    }
    variables.report_unused(decoder);
    let mut application = Builder::at(root.at);
    application.put("metadata", converted_metadata(decoder, metadata));
    application.put("spec", parts.build());
    Some(application.build())
}

fn package_version(metadata: &Node) -> Option<&Node> {
    let version = present(present(metadata, "annotations")?, PACKAGE_VERSION)?;
    version.text().filter(|text| !text.is_empty()).map(|_| version)
}

/// The metadata with numbers among its annotations as text, as AppManager writes its ids.
fn converted_metadata(decoder: &mut Decoder<'_>, metadata: &Node) -> Node {
    if !matches!(metadata.value, Value::Map(_)) || !decoder.shaped(metadata, "metadata", &METADATA) {
        return metadata.clone();
    }
    let mut metadata = metadata.clone();
    let annotations = tree::entry_mut(&mut metadata, "annotations");
    if let Some(Value::Map(entries)) = annotations.map(|node| &mut node.value) {
        for entry in entries {
            match &entry.value.value {
                Value::Number(number) => entry.value.value = Value::Text(number.to_string()),
                Value::Null => entry.value.value = Value::Text(String::new()),
                _ => {}
            }
        }
    }
    metadata
}

/// AppManager's word for a component's type and name, `TYPE|name`.
struct TypeAndName<'t> {
    kind: &'t str,
    name: &'t str,
}

fn type_and_name(text: &str) -> Option<TypeAndName<'_>> {
    let (kind, name) = text.split_once('|')?;
    (!kind.is_empty() && !name.is_empty() && !name.contains('|')).then_some(TypeAndName { kind, name })
}

/// The component type for one of AppManager's, or the way out.
fn component_type(kind: &str) -> Result<&'static str, String> {
    Ok(match kind {
        "K8S_MICROSERVICE" => "webservice",
        "K8S_JOB" => "task",
        "HELM" => "helm",
        "RESOURCE_ADDON" | "INTERNAL_ADDON" | "CUSTOM_ADDON" => {
            return Err(
                "add-ons are not part of an application: apply one, bind the application to it (`slipway addon \
                        bind`), and name its outputs by addon://NAME/OUTPUT"
                    .to_owned(),
            );
        }
        _ => {
            return Err("K8S_MICROSERVICE, K8S_JOB and HELM are read; package anything else with the kit `manifests` \
                        or `helm`"
                .to_owned());
        }
    })
}

/// Reports a type that Slipway has no definition for.
fn unknown_type(decoder: &mut Decoder<'_>, node: &Node, path: &str, kind: &str, hint: String) {
    let message = format!("there is no definition for `{}`", shown(kind));
    decoder.wrong(code::UNKNOWN_DEFINITION, node.at, path, message).hint = Some(hint);
}

/// The items of the list at `key`, with the path of each.
fn items_at<'n>(decoder: &mut Decoder<'_>, node: &'n Node, key: &str, path: &str) -> Vec<(&'n Node, String)> {
    let Some(list) = present(node, key) else { return Vec::new() };
    let path = join(path, key);
    let max = decoder.options.max_items;
    let items = decoder.items(list, &path, max, "max_items").iter().enumerate();
    items.map(|(index, item)| (item, format!("{path}[{index}]"))).collect()
}
