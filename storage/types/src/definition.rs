//! The five kinds of definitions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::access::Role;

/// What a definition extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionKind {
    /// A component type: turns a component into objects.
    Component,
    /// A trait: adds to what a component type rendered.
    Trait,
    /// A policy: says where and how an application is deployed.
    Policy,
    /// A workflow step: says what happens in which order.
    Step,
    /// An add-on: turns an instance of a resource, and those who are bound to it, into objects.
    Addon,
}

/// A word that names no kind of definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of definition: expected component, trait, policy, step or addon")]
pub struct UnknownKind(String);

impl DefinitionKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Component, Self::Trait, Self::Policy, Self::Step, Self::Addon];

    /// The `kind` of its `definition.yaml`.
    pub fn manifest_kind(self) -> &'static str {
        match self {
            Self::Component => "ComponentDefinition",
            Self::Trait => "TraitDefinition",
            Self::Policy => "PolicyDefinition",
            Self::Step => "WorkflowStepDefinition",
            Self::Addon => "AddonDefinition",
        }
    }

    /// The folder that holds definitions of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Component => "components",
            Self::Trait => "traits",
            Self::Policy => "policies",
            Self::Step => "steps",
            Self::Addon => "addons",
        }
    }

    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Component => "component type",
            Self::Trait => "trait",
            Self::Policy => "policy",
            Self::Step => "workflow step",
            Self::Addon => "add-on",
        }
    }

    /// The kind that a `definition.yaml` names.
    pub fn of_manifest(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.manifest_kind() == kind)
    }

    /// Who may publish definitions of this kind to a server: SREs write traits and policies, whoever runs the
    /// infrastructure writes component types, workflow steps and add-ons.
    pub fn publisher(self) -> Role {
        match self {
            Self::Trait | Self::Policy => Role::Operator,
            Self::Component | Self::Step | Self::Addon => Role::Admin,
        }
    }

    /// Its word in commands, addresses and rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Trait => "trait",
            Self::Policy => "policy",
            Self::Step => "step",
            Self::Addon => "addon",
        }
    }
}

impl fmt::Display for DefinitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for DefinitionKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let known = |kind: &Self| {
            [kind.word(), kind.folder(), kind.manifest_kind()]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(text))
        };
        Self::ALL.into_iter().find(known).ok_or_else(|| UnknownKind(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_a_kind_is_understood() {
        for kind in DefinitionKind::ALL {
            for word in [kind.to_string(), kind.folder().to_owned(), kind.manifest_kind().to_owned()] {
                assert_eq!(word.parse(), Ok(kind));
            }
        }
        assert!("operator".parse::<DefinitionKind>().is_err());
    }
}
