//! Who set a value: each level's own, in the order they were laid.

use serde_json::Value;
use slipway_types::{Place, Violation};

use super::merge::{by_name, is_keyed};
use super::{Layer, Merged};
use crate::check::is_trait;
use crate::decode::{did_you_mean, shown};
use crate::{Component, Path, Properties, Segment, Trait, code};

/// What one level says about a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The level: [`DEVELOPERS`](super::DEVELOPERS), a level's name, or `policy NAME`.
    pub level: String,
    /// What it sets; null where it takes away.
    pub value: Value,
    /// Where it does.
    pub at: Option<Place>,
}

/// What a key is about.
enum Subject {
    Kind { component: String },
    Property { component: String, path: Path },
    Trait { component: String, key: String, path: Path },
    Policy { name: String, path: Path },
    Workflow { path: Path },
}

/// What a layer holds at a path.
enum Found {
    Value(Value),
    /// A value above the path was replaced: what was below is gone.
    Replaced,
    Absent,
}

impl Merged {
    /// What each level says about `key`, the widest first; the last one is in force.
    ///
    /// Keys are `web.properties.replicas`, `web.replicas`, `web.traits.hpa.max`,
    /// `policies.where.clusters`, `workflow`, or paths as violations have them.
    pub fn origin_of(&self, key: &str) -> Vec<Origin> {
        let Some(subject) = key.parse::<Path>().ok().and_then(|path| self.subject(&path)) else {
            return Vec::new();
        };
        let mut origins: Vec<Origin> = Vec::new();
        for layer in &self.layers {
            match layer.find(&subject) {
                Found::Value(value) => {
                    let at = layer.place_of(&subject);
                    origins.push(Origin { level: layer.name.clone(), value, at });
                }
                Found::Replaced => origins.clear(),
                Found::Absent => {}
            }
        }
        origins
    }

    /// Why no level can say anything about `key`: it is no path, or what it names is not there.
    pub fn unknown_key(&self, key: &str) -> Option<Violation> {
        let wrong = |message: String| Violation::new(code::INVALID_VALUE, "key", message);
        let example = "write COMPONENT.PROPERTY, e.g. web.replicas";
        let path = match key.parse::<Path>() {
            Ok(path) => path,
            Err(error) => return Some(wrong(error.to_string()).hint(example)),
        };
        let application = &self.application;
        let (what, name, known): (_, _, Vec<&str>) = match self.subject(&path) {
            None => {
                let message = format!("`{}` names no component, policy or workflow", shown(key));
                return Some(wrong(message).hint(example));
            }
            Some(Subject::Workflow { .. }) => return None,
            Some(Subject::Policy { name, .. }) => {
                ("policy", name, application.policies.iter().map(|policy| policy.name.as_str()).collect())
            }
            Some(
                Subject::Kind { component }
                | Subject::Property { component, .. }
                | Subject::Trait { component, .. },
            ) => {
                let components = application.components.iter();
                ("component", component, components.map(|component| component.name.as_str()).collect())
            }
        };
        if known.contains(&name.as_str()) {
            return None;
        }
        let violation = wrong(format!("there is no {what} `{}`", shown(&name)));
        Some(if known.is_empty() { violation } else { violation.hint(did_you_mean(&name, &known)) })
    }

    /// Where `path` of a violation stands: with the level whose value is in force, or the nearest
    /// thing around it.
    pub fn place_of(&self, path: &str) -> Option<Place> {
        let path: Path = path.parse().ok()?;
        if let Some(place) = self.place_of_binding(&path) {
            return Some(place);
        }
        (1..=path.segments().len())
            .rev()
            .find_map(|count| {
                let outer = Path::new(path.segments()[..count].to_vec());
                self.origin_of(&outer.to_string()).into_iter().rev().find_map(|origin| origin.at)
            })
            .or_else(|| self.component_of(&path)?.at.clone())
    }

    fn component_of(&self, path: &Path) -> Option<&Component> {
        match path.segments() {
            [Segment::Key(list), Segment::Named(name), ..] if list == "components" => {
                self.application.component(name)
            }
            _ => None,
        }
    }

    /// Dependencies, inputs and outputs carry their places themselves.
    fn place_of_binding(&self, path: &Path) -> Option<Place> {
        let component = self.component_of(path)?;
        match path.segments() {
            [_, _, Segment::Key(list), Segment::Index(index), ..] => match list.as_str() {
                "dependsOn" => component.depends_on.get(*index)?.at.clone(),
                "inputs" => component.inputs.get(*index)?.at.clone(),
                "outputs" => component.outputs.get(*index)?.at.clone(),
                _ => None,
            },
            _ => None,
        }
    }

    fn subject(&self, path: &Path) -> Option<Subject> {
        let text = |segment: &Segment| match segment {
            Segment::Key(text) | Segment::Named(text) => Some(text.clone()),
            Segment::Index(_) => None,
        };
        match path.segments() {
            [Segment::Key(list), Segment::Named(name), ..] if list == "components" => {
                self.component_subject(name.clone(), &path.skip(2))
            }
            [Segment::Key(list), name, ..] if list == "policies" => {
                let name = text(name)?;
                let mut path = without_properties(&path.skip(2));
                if let Some(policy) = self.application.policy(&name) {
                    path = by_name(&Value::Object(policy.properties.clone()), &path);
                }
                Some(Subject::Policy { name, path })
            }
            [Segment::Key(word), ..] if word == "workflow" => Some(Subject::Workflow { path: path.clone() }),
            [name, ..] => self.component_subject(text(name)?, &path.skip(1)),
            [] => None,
        }
    }

    fn component_subject(&self, component: String, path: &Path) -> Option<Subject> {
        let merged = self.application.component(&component);
        match path.segments() {
            [Segment::Key(word)] if word == "type" => Some(Subject::Kind { component }),
            [Segment::Key(word), Segment::Key(key) | Segment::Named(key), ..] if word == "traits" => {
                let mut path = without_properties(&path.skip(2));
                let this = merged.and_then(|merged| of_key(merged, key));
                if let Some(this) = this {
                    path = by_name(&Value::Object(this.properties.clone()), &path);
                }
                Some(Subject::Trait { component, key: key.clone(), path })
            }
            _ => {
                let mut path = without_properties(path);
                if let Some(merged) = merged {
                    path = by_name(&Value::Object(merged.properties.clone()), &path);
                }
                Some(Subject::Property { component, path })
            }
        }
    }
}

fn without_properties(path: &Path) -> Path {
    let named = matches!(path.segments().first(), Some(Segment::Key(key)) if key == "properties");
    path.skip(usize::from(named))
}

fn of_key<'c>(component: &'c Component, key: &str) -> Option<&'c Trait> {
    (0..component.traits.len())
        .find(|index| is_trait(component, *index, key))
        .map(|index| &component.traits[index])
}

impl Layer {
    fn find(&self, subject: &Subject) -> Found {
        let component = |name: &str| self.application.component(name);
        let found = match subject {
            Subject::Kind { component: name } => {
                let kind = component(name).and_then(|component| component.kind.clone());
                kind.map(|kind| Found::Value(Value::String(kind)))
            }
            Subject::Property { component: name, path } => {
                component(name).map(|component| value_at(&component.properties, path))
            }
            Subject::Trait { component: name, key, path } => {
                let this = component(name).and_then(|component| of_key(component, key));
                this.map(|this| {
                    if this.disable { Found::Value(Value::Null) } else { value_at(&this.properties, path) }
                })
            }
            Subject::Policy { name, path } => {
                self.application.policy(name).map(|policy| value_at(&policy.properties, path))
            }
            Subject::Workflow { path } if path.segments().len() == 1 => self
                .application
                .workflow
                .as_ref()
                .and_then(|workflow| serde_json::to_value(workflow).ok().map(Found::Value)),
            // A workflow is replaced whole.
            Subject::Workflow { .. } => self.application.workflow.as_ref().map(|_| Found::Replaced),
        };
        found.unwrap_or(Found::Absent)
    }

    fn place_of(&self, subject: &Subject) -> Option<Place> {
        let key = |text: &str| Segment::Key(text.to_owned());
        let properties = Path::new(vec![key("properties")]);
        match subject {
            Subject::Kind { component } => self.place(component, &Path::new(vec![key("type")])),
            Subject::Property { component, path } => self.place(component, &properties.join(path)),
            Subject::Trait { component, key: name, path } => {
                let outer = Path::new(vec![key("traits"), Segment::Named(name.clone())]);
                self.place(component, &outer.join(&properties).join(path))
            }
            Subject::Policy { name, path } => {
                let outer = Path::new(vec![key("policies"), Segment::Named(name.clone())]);
                let path = outer.join(&properties).join(path);
                self.places.as_ref()?.nearest(&path).map(|(place, _)| place)
            }
            Subject::Workflow { path } => self.places.as_ref()?.nearest(path).map(|(place, _)| place),
        }
    }
}

fn value_at(properties: &Properties, path: &Path) -> Found {
    let Some((first, rest)) = path.segments().split_first() else {
        return Found::Value(Value::Object(properties.clone()));
    };
    let mut value = match first {
        Segment::Key(key) => match properties.get(key) {
            Some(value) => value,
            None => return Found::Absent,
        },
        _ => return Found::Absent,
    };
    for segment in rest {
        value = match (segment.find(value), value) {
            (Some(inner), _) => inner,
            (None, Value::Object(_)) if matches!(segment, Segment::Key(_)) => return Found::Absent,
            (None, Value::Array(items)) if is_keyed(items) && matches!(segment, Segment::Named(_)) => {
                return Found::Absent;
            }
            (None, _) => return Found::Replaced,
        };
    }
    Found::Value(value.clone())
}
