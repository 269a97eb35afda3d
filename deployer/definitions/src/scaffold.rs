//! A definition to begin with: small, whole, and passing its examples.

use std::collections::BTreeMap;

use slipway_types::name::DefinitionName;

use crate::kind::DefinitionKind;

/// What stands for the name in the files.
const PLACEHOLDER: &str = "NAME";

macro_rules! files {
    ($kind:literal: $($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../scaffold/", $kind, "/", $path))),)*]
    };
}

const COMPONENT: &[(&str, &str)] = files![
    "component":
    "definition.yaml",
    "schema.json",
    "main.star",
    "examples/port.yaml",
    "examples/port-twice.yaml",
];
const TRAIT: &[(&str, &str)] = files![
    "trait":
    "definition.yaml",
    "schema.json",
    "main.star",
    "examples/half-a-minute.yaml",
    "examples/no-time.yaml",
];
const POLICY: &[(&str, &str)] = files![
    "policy":
    "definition.yaml",
    "schema.json",
    "main.star",
    "examples/two-regions.yaml",
    "examples/unknown-region.yaml",
];
const STEP: &[(&str, &str)] = files![
    "step":
    "definition.yaml",
    "schema.json",
    "main.star",
    "examples/default-text.yaml",
    "examples/no-room.yaml",
];

const ADDON: &[(&str, &str)] = files![
    "addon":
    "definition.yaml",
    "schema.json",
    "main.star",
    "examples/one-binding.yaml",
    "examples/no-message.yaml",
];

/// The files of a working definition of `kind` called `name`, by their path in its folder.
pub fn scaffold(kind: DefinitionKind, name: &DefinitionName) -> BTreeMap<String, String> {
    let files = match kind {
        DefinitionKind::Component => COMPONENT,
        DefinitionKind::Trait => TRAIT,
        DefinitionKind::Policy => POLICY,
        DefinitionKind::Step => STEP,
        DefinitionKind::Addon => ADDON,
    };
    files.iter().map(|(path, text)| ((*path).to_owned(), text.replace(PLACEHOLDER, name.as_str()))).collect()
}
