//! What inputs fill and outputs read, as types.

use std::fmt;
use std::str::FromStr;

use crate::path::{InvalidPath, Path, Segment};

/// What an input's `parameterKey` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A property of the component or step itself: `properties.a.b[0].c`, or `a.b` for short.
    Properties(Path),
    /// A property of one of the component's traits: `traits[hpa].properties.max`.
    Trait {
        /// The trait's type, or `type:name`.
        key: String,
        /// The property.
        path: Path,
    },
}

/// What an output's `valueFrom` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The object.
    pub object: SourceObject,
    /// The field of it, e.g. `status.loadBalancer.ingress[0].ip`.
    pub path: Path,
}

/// The object that an output is read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceObject {
    /// `output`: the component's workload, or what the step made.
    Main,
    /// `outputs.NAME`: another object, by the name its definition gives it.
    Other(String),
}

/// A text that binds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinding {
    /// No path at all.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// It names no property.
    #[error("`{0}` names no property")]
    NoProperty(String),
    /// It is not below an object.
    #[error("`{0}` is not below `output` or `outputs.NAME`")]
    NoObject(String),
}

impl FromStr for Target {
    type Err = InvalidBinding;

    fn from_str(text: &str) -> Result<Self, InvalidBinding> {
        let path: Path = text.parse()?;
        let is_properties =
            |segment: Option<&Segment>| matches!(segment, Some(Segment::Key(key)) if key == "properties");
        let none = || InvalidBinding::NoProperty(text.to_owned());
        let (target, first) = match path.segments() {
            [Segment::Key(word), Segment::Named(key), rest @ ..] if word == "traits" => {
                let path = path.skip(if is_properties(rest.first()) { 3 } else { 2 });
                let first = path.segments().first().cloned();
                (Self::Trait { key: key.clone(), path }, first)
            }
            segments => {
                let path = path.skip(usize::from(is_properties(segments.first())));
                let first = path.segments().first().cloned();
                (Self::Properties(path), first)
            }
        };
        match first {
            Some(Segment::Key(_)) => Ok(target),
            _ => Err(none()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = Path::new(vec![Segment::Key("properties".to_owned())]);
        match self {
            Self::Properties(path) => properties.join(path).fmt(f),
            Self::Trait { key, path } => {
                let outer = vec![Segment::Key("traits".to_owned()), Segment::Named(key.clone())];
                Path::new(outer).join(&properties).join(path).fmt(f)
            }
        }
    }
}

impl FromStr for Source {
    type Err = InvalidBinding;

    fn from_str(text: &str) -> Result<Self, InvalidBinding> {
        let path: Path = text.parse()?;
        let (object, skipped) = match path.segments() {
            [Segment::Key(word), Segment::Key(_), ..] if word == "output" => (SourceObject::Main, 1),
            [Segment::Key(word), Segment::Key(name) | Segment::Named(name), Segment::Key(_), ..]
                if word == "outputs" =>
            {
                (SourceObject::Other(name.clone()), 2)
            }
            _ => return Err(InvalidBinding::NoObject(text.to_owned())),
        };
        Ok(Self { object, path: path.skip(skipped) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |text: &str| Segment::Key(text.to_owned());
        let object = match &self.object {
            SourceObject::Main => vec![key("output")],
            SourceObject::Other(name) => vec![key("outputs"), key(name)],
        };
        Path::new(object).join(&self.path).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_properties_of_the_component_or_of_a_trait() {
        for (text, shown) in [
            ("env[0].value", "properties.env[0].value"),
            ("properties.a.b", "properties.a.b"),
            ("traits[hpa].properties.max", "traits[hpa].properties.max"),
            ("traits[hpa].max", "traits[hpa].properties.max"),
            ("traits.x", "properties.traits.x"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "properties", "traits[hpa]", "traits[hpa].properties", "[0].x", "a+b", "{{ x }}"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sources_are_fields_of_objects() {
        for text in ["output.status.endpoint", "outputs.service.status.loadBalancer.ingress[0].ip"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        let source: Source = "outputs.service.spec.clusterIP".parse().unwrap();
        assert_eq!(source.object, SourceObject::Other("service".to_owned()));
        for wrong in
            ["output", "outputs.service", "status.x", "\"a\" + output.x", "context.name", "output[0]"]
        {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }
}
