//! Override policies: one more layer, for some of the components, in one deployment step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slipway_types::Violation;

use super::{Layer, Merged, declared, merge};
use crate::decode::nearest;
use crate::{Application, Component, Path, Properties, Segment, Trait, code};

/// What an override policy changes in one component, or in all of a type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// The component; without it, or empty, all of them.
    #[serde(default, alias = "name", skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Only components of this type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Properties to merge.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Traits to merge, add or take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<TraitOverride>,
}

/// What an override policy changes in one trait.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitOverride {
    /// The trait's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Properties to merge.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Whether the trait is taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
}

impl Merged {
    /// Applies what the override policy `policy` says, under the same rule as any other level. On
    /// violations nothing is changed.
    pub fn apply_override(&mut self, policy: &str, overrides: &[Override]) -> Result<(), Vec<Violation>> {
        let mut changed = self.clone();
        let mut violations = Vec::new();
        for (index, this) in overrides.iter().enumerate() {
            let within = override_path(policy, index);
            let targets = self.targets(this, policy, &within, &mut violations);
            let components = targets.into_iter().map(|name| this.as_component(name)).collect();
            let layer = Layer {
                name: format!("policy {policy}"),
                application: Application { components, ..Application::default() },
                places: self
                    .layers
                    .iter()
                    .rev()
                    .find(|layer| layer.application.policy(policy).is_some())
                    .and_then(|layer| layer.places.clone()),
                within: Some(within),
            };
            for component in &layer.application.components {
                if let Some(declared) = self.developer.get(&component.name) {
                    declared::check(declared, component, &layer, &mut violations);
                }
                merge::component(&mut changed.application.components, component, &mut violations);
            }
            changed.layers.push(Arc::new(layer));
        }
        if violations.is_empty() {
            *self = changed;
            return Ok(());
        }
        Err(violations)
    }

    /// Keeps only the components named, in the order they have. What they depend on stays named.
    pub fn select(&mut self, names: &[String]) {
        self.application.components.retain(|component| names.contains(&component.name));
    }

    /// The names of the components that `this` is about.
    fn targets(
        &self,
        this: &Override,
        policy: &str,
        within: &Path,
        violations: &mut Vec<Violation>,
    ) -> Vec<String> {
        let components = &self.application.components;
        let of_kind = |component: &&Component| this.kind.is_none() || this.kind == component.kind;
        let Some(name) = this.component.as_ref().filter(|name| !name.is_empty()) else {
            return components.iter().filter(of_kind).map(|component| component.name.clone()).collect();
        };
        let known = self.application.component(name);
        if known.is_some_and(|component| of_kind(&component)) {
            return vec![name.clone()];
        }
        let message = match (known.and_then(|component| component.kind.as_ref()), &this.kind) {
            (Some(is), Some(other)) => {
                format!("the component `{name}` is a `{is}`, the policy `{policy}` says `{other}`")
            }
            _ => format!("there is no component `{name}` to override; a policy adds none"),
        };
        let names = components.iter().map(|component| component.name.as_str());
        let near = nearest(name, names.filter(|_| known.is_none()));
        let hint = match (known, near) {
            (Some(_), _) => "leave the type out: an override cannot change it".to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => "declare the component in `spec.components`".to_owned(),
        };
        let place = self.place_of(&within.to_string());
        violations.push(
            Violation::new(code::OVERRIDE_NOT_DECLARED, within.to_string(), message).at(place).hint(hint),
        );
        Vec::new()
    }
}

impl Override {
    /// The same as a level would say it of the component `name`.
    fn as_component(&self, name: String) -> Component {
        let traits = self.traits.iter().map(|this| Trait {
            kind: this.kind.clone(),
            properties: this.properties.clone(),
            disable: this.disable,
            ..Trait::default()
        });
        Component {
            name,
            properties: self.properties.clone(),
            traits: traits.collect(),
            ..Component::default()
        }
    }
}

/// `policies[NAME].properties.components[0]`.
fn override_path(policy: &str, index: usize) -> Path {
    let key = |text: &str| Segment::Key(text.to_owned());
    let named = Segment::Named(policy.to_owned());
    Path::new(vec![key("policies"), named, key("properties"), key("components"), Segment::Index(index)])
}
