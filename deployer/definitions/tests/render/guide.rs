//! The guide's worked examples are what `definition new` writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use slipway_definitions::trial::default_context;
use slipway_definitions::{Definition, DefinitionKind, Folder, FolderOptions, scaffold};

/// The files that the section of `kind` shows, and the name it gives the definition.
fn shown(guide: &str, heading: &str) -> (String, BTreeMap<String, String>) {
    let start = guide.find(heading).unwrap_or_else(|| panic!("there is no section {heading}"));
    let section = &guide[start + heading.len()..];
    let section = &section[..section.find("\n### ").unwrap_or(section.len())];
    let name = section.split('`').nth(1).unwrap().to_owned();
    let mut files = BTreeMap::new();
    for part in section.split("**`").skip(1) {
        let (path, rest) = part.split_once("`**").unwrap();
        let text = rest.split_once("```").unwrap().1.split_once('\n').unwrap().1;
        files.insert(path.to_owned(), text.split_once("```").unwrap().0.to_owned());
    }
    (name, files)
}

fn guide() -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/definitions.md");
    std::fs::read_to_string(guide).unwrap()
}

#[test]
fn the_guide_shows_the_default_test_context() {
    let guide = guide();
    let block =
        guide.split("The default test ctx, as a trait sees it").nth(1).unwrap().split("```").nth(1).unwrap();
    let block = block.strip_prefix("yaml").unwrap();
    let mut shown =
        slipway_yaml::read(block.as_bytes(), &slipway_yaml::YamlOptions::default()).unwrap()[0].to_json();
    let graceful = scaffold(DefinitionKind::Trait, &"graceful".parse().unwrap());
    let files = graceful.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    let graceful = Definition::load(Folder::new(files, &FolderOptions::default()).unwrap()).unwrap();
    let mut context = default_context(&Arc::new(graceful));
    assert_eq!(context["workload"]["spec"]["template"]["spec"]["containers"][0]["name"], "web");
    assert_eq!(context["objects"][0], context["workload"]);
    for shortened in ["/cluster/apis", "/workload", "/objects"] {
        *shown.pointer_mut(shortened).unwrap() = Value::Null;
        *context.pointer_mut(shortened).unwrap() = Value::Null;
    }
    assert_eq!(shown, context);
}

#[test]
fn the_guide_names_every_violation() {
    let guide = guide();
    let codes = include_str!("../../src/code.rs").split("&str = \"").skip(1);
    let codes: Vec<&str> = codes.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(codes.len() > 20, "{codes:?}");
    let unknown: Vec<&&str> = codes.iter().filter(|code| !guide.contains(&format!("`{code}`"))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_guide_shows_what_new_writes() {
    let guide = guide();
    for (kind, heading) in [
        (DefinitionKind::Component, "### A component type: "),
        (DefinitionKind::Trait, "### A trait: "),
        (DefinitionKind::Policy, "### A policy: "),
        (DefinitionKind::Step, "### A workflow step: "),
        (DefinitionKind::Addon, "### An add-on: "),
    ] {
        let (name, files) = shown(&guide, heading);
        assert_eq!(files, scaffold(kind, &name.parse().unwrap()), "{heading}");
    }
}
