//! The operator's configuration laid over what developers declared.
//!
//! Levels are merged from the widest to the narrowest: maps merge, lists whose items all have a
//! `name` of their own merge by it, anything else replaces; `null` takes away. Who set what stays
//! known: see [`Merged::origin_of`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slipway_types::{Place, Violation};

use crate::check::{Known, check};
use crate::decode::nearest;
use crate::{Application, Component, Document, Path, Places, Properties, Segment, code};

mod copies;
mod declared;
mod merge;
mod origin;
mod policy;

pub use merge::deep_merge;
pub use origin::Origin;
pub use policy::{Override, TraitOverride};

/// The name of the level below all others.
pub const DEVELOPERS: &str = "developers";

/// A component as its developers declared it, from its package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeveloperComponent {
    /// Its name.
    pub name: String,
    /// The component type; without it operators choose one and may set everything.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What the developers set.
    #[serde(default)]
    pub properties: Properties,
    /// What operators may set: dotted paths, where `*` stands for one part and a path opens all
    /// below it. Where developers name none, the caller gives the definition's.
    #[serde(default)]
    pub overridable: Vec<String>,
}

/// One level of the operator's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// What it is called in explanations, e.g. `eu/kind/shop`.
    pub name: String,
    /// What it says.
    pub application: Application,
    /// Where it says it, if it was read from a file.
    pub places: Option<Places>,
}

impl Level {
    /// The level that a file describes.
    pub fn new(name: impl Into<String>, document: Document) -> Self {
        Self { name: name.into(), application: document.application, places: Some(document.places) }
    }
}

/// All levels in one, and where each value comes from.
#[derive(Debug, Clone)]
pub struct Merged {
    application: Application,
    developer: Arc<BTreeMap<String, DeveloperComponent>>,
    layers: Vec<Arc<Layer>>,
    /// Copies by name, with the component that each is one of.
    copies: BTreeMap<String, String>,
}

/// What one level, or one override of a policy, contributes.
#[derive(Debug)]
struct Layer {
    name: String,
    application: Application,
    places: Option<Arc<Places>>,
    /// Where the layer's components stand, if not under `components`.
    within: Option<Path>,
}

/// Merges `levels`, the widest first, over what developers declared.
///
/// A component outside the bundle is allowed if `needs_no_package` says so of its type, or if it
/// names an image itself. All violations come at once: undeclared overrides, missing packages and
/// all that [`check`] finds in the whole.
pub fn overlay(
    developer: &[DeveloperComponent],
    levels: &[Level],
    needs_no_package: &dyn Fn(&str) -> bool,
) -> Result<Merged, Vec<Violation>> {
    let (merged, violations) = inspect(developer, levels, needs_no_package);
    if violations.is_empty() { Ok(merged) } else { Err(violations) }
}

/// The same as far as possible, so that later checks can add what they find to the violations:
/// what may not be overridden is merged as well, and a component may lack its type.
pub fn inspect(
    developer: &[DeveloperComponent],
    levels: &[Level],
    needs_no_package: &dyn Fn(&str) -> bool,
) -> (Merged, Vec<Violation>) {
    let mut merged = Merged::of_developers(developer);
    let mut violations = Vec::new();
    for level in levels {
        let layer = Layer {
            name: level.name.clone(),
            application: level.application.clone(),
            places: level.places.clone().map(Arc::new),
            within: None,
        };
        merged.lay(layer, &mut violations);
    }
    merged.packages(needs_no_package, &mut violations);
    for mut violation in check(&merged.application, &Known::default()) {
        let exact = merged.exact_place_in_workflow(&violation.path);
        violation.at = exact.filter(|_| violation.code != code::DEPENDENCY_CYCLE).or(violation.at);
        violations.push(violation);
    }
    (merged, violations)
}

impl Merged {
    /// The application as it is to be deployed. Without violations every component has a type.
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// A workflow comes whole from one level.
    fn exact_place_in_workflow(&self, path: &str) -> Option<Place> {
        let path: Path = path.parse().ok()?;
        let is_workflow = matches!(path.segments().first(), Some(Segment::Key(key)) if key == "workflow");
        let layer = self.layers.iter().rev().find(|layer| layer.application.workflow.is_some())?;
        layer.places.as_ref().filter(|_| is_workflow)?.exact(&path)
    }

    fn of_developers(developer: &[DeveloperComponent]) -> Self {
        let components: Vec<Component> = developer
            .iter()
            .map(|declared| Component {
                name: declared.name.clone(),
                kind: declared.kind.clone(),
                properties: declared.properties.clone(),
                ..Component::default()
            })
            .collect();
        let application = Application { components, ..Application::default() };
        let layer = Layer {
            name: DEVELOPERS.to_owned(),
            application: application.clone(),
            places: None,
            within: None,
        };
        let by_name = developer.iter().map(|declared| (declared.name.clone(), declared.clone()));
        Self {
            application,
            developer: Arc::new(by_name.collect()),
            layers: vec![Arc::new(layer)],
            copies: BTreeMap::new(),
        }
    }

    /// Merges one level.
    fn lay(&mut self, layer: Layer, violations: &mut Vec<Violation>) {
        let level = &layer.application;
        let mine = &mut self.application;
        if !level.name.is_empty() {
            mine.name.clone_from(&level.name);
        }
        mine.namespace = level.namespace.clone().or(mine.namespace.take());
        mine.labels.extend(level.labels.clone());
        mine.annotations.extend(level.annotations.clone());
        mine.bundle = level.bundle.clone().or(mine.bundle.take());
        mine.at = level.at.clone().or(mine.at.take());
        for component in &level.components {
            if let Some(declared) = self.developer.get(&component.name) {
                declared::check(declared, component, &layer, violations);
            }
            merge::component(&mut mine.components, component, violations);
        }
        merge::policies(&mut mine.policies, &level.policies);
        mine.workflow = level.workflow.clone().or(mine.workflow.take());
        self.layers.push(Arc::new(layer));
    }

    /// Every component comes from the bundle or needs no package, and has a type.
    fn packages(&self, needs_no_package: &dyn Fn(&str) -> bool, violations: &mut Vec<Violation>) {
        for component in &self.application.components {
            let path = format!("components[{}]", component.name);
            let in_bundle = self.developer.contains_key(&component.name);
            let names_image = component.properties.get("image").is_some_and(serde_json::Value::is_string);
            match &component.kind {
                None if in_bundle => {
                    let message = "neither the developers nor the operators say its type".to_owned();
                    let violation = Violation::new(code::MISSING_FIELD, format!("{path}.type"), message);
                    violations.push(violation.at(component.at.clone()).hint("give the component a `type`"));
                }
                Some(kind) if in_bundle || names_image || needs_no_package(kind) => {}
                _ => {
                    let message = format!("the bundle has no component `{}`", component.name);
                    let near = nearest(&component.name, self.developer.keys().map(String::as_str));
                    let hint = match near {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => {
                            "deploy a bundle that has it, or name an `image` in its properties".to_owned()
                        }
                    };
                    let violation = Violation::new(code::PACKAGE_NOT_FOUND, path, message);
                    violations.push(violation.at(component.at.clone()).hint(hint));
                }
            }
        }
    }
}

impl Layer {
    /// Where `tail` of a component stands, or the nearest thing around it.
    fn place(&self, component: &str, tail: &Path) -> Option<Place> {
        let outer = self.within.clone().unwrap_or_else(|| {
            Path::new(vec![Segment::Key("components".to_owned()), Segment::Named(component.to_owned())])
        });
        self.places.as_ref()?.nearest(&outer.join(tail)).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests;
