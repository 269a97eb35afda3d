//! Where a part of a document stands: what forms and addresses name it by.

use std::fmt;
use std::str::FromStr;

use slipway_types::DefinitionKind;

/// A part of a document. Without a number it is a new one, at the end of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// What is set of a component.
    Component(String),
    /// A trait of a component.
    Trait(String, Option<usize>),
    Policy(Option<usize>),
    Step(Option<usize>),
}

impl Part {
    /// What a definition of it extends.
    pub(super) fn kind(&self) -> DefinitionKind {
        match self {
            Self::Component(_) => DefinitionKind::Component,
            Self::Trait(..) => DefinitionKind::Trait,
            Self::Policy(_) => DefinitionKind::Policy,
            Self::Step(_) => DefinitionKind::Step,
        }
    }

    /// Whether it has a name of its own.
    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Policy(_) | Self::Step(_))
    }

    /// Whether it is not in the document yet.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::Trait(_, None) | Self::Policy(None) | Self::Step(None))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: &Option<usize>| number.map_or("new".to_owned(), |number| number.to_string());
        match self {
            Self::Component(name) => write!(f, "component/{name}"),
            Self::Trait(component, place) => write!(f, "trait/{component}/{}", number(place)),
            Self::Policy(place) => write!(f, "policy/{}", number(place)),
            Self::Step(place) => write!(f, "step/{}", number(place)),
        }
    }
}

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a part of the document, such as `component/web` or `policy/0`")]
pub(super) struct NoPart;

impl FromStr for Part {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let number = |text: &str| match text {
            "new" => Ok(None),
            text => text.parse().map(Some).map_err(|_| NoPart),
        };
        match &text.split('/').collect::<Vec<_>>()[..] {
            ["component", name] => Ok(Self::Component((*name).to_owned())),
            ["trait", component, place] => Ok(Self::Trait((*component).to_owned(), number(place)?)),
            ["policy", place] => Ok(Self::Policy(number(place)?)),
            ["step", place] => Ok(Self::Step(number(place)?)),
            _ => Err(NoPart),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_by_what_is_read_back() {
        for text in ["component/web", "trait/web/0", "trait/web/new", "policy/3", "policy/new", "step/1"] {
            assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
        }
        for wrong in ["", "component", "trait/web", "policy/x", "policy/-1", "step/0/1"] {
            assert_eq!(wrong.parse::<Part>(), Err(NoPart), "{wrong}");
        }
    }
}
