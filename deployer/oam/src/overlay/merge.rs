//! How one level is merged over those before it.

use serde_json::Value;
use slipway_types::Violation;

use crate::{Component, Input, Path, Policy, Properties, Segment, Target, Trait, code};

/// Merges `over` into `base`: maps merge, lists whose items all have a `name` of their own merge by
/// it, anything else replaces; `null` takes a key away.
pub fn deep_merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => properties(base, over),
        (Value::Array(base), Value::Array(over)) if is_keyed(base) && is_keyed(over) => {
            for item in over {
                let same = |known: &&mut Value| known.get("name") == item.get("name");
                match base.iter_mut().find(same) {
                    Some(known) => deep_merge(known, item),
                    None => base.push(without_nulls(item)),
                }
            }
        }
        (base, over) => *base = without_nulls(over),
    }
}

pub(super) fn properties(base: &mut Properties, over: &Properties) {
    for (key, value) in over {
        match base.get_mut(key) {
            _ if value.is_null() => {
                base.remove(key);
            }
            Some(known) => deep_merge(known, value),
            None => {
                base.insert(key.clone(), without_nulls(value));
            }
        }
    }
}

/// Nothing is there to be taken away, so nothing remains of a `null`.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let given = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}

/// Whether every item is a mapping with a name of its own, or there is none.
pub(super) fn is_keyed(items: &[Value]) -> bool {
    let mut names = std::collections::BTreeSet::new();
    items.iter().all(|item| item.get("name").and_then(Value::as_str).is_some_and(|name| names.insert(name)))
}

/// `path` with numbers of items in named lists of `properties` turned into their names, which stay
/// right when the list is merged.
pub(super) fn by_name(properties: &Value, path: &Path) -> Path {
    let mut value = Some(properties);
    let segments = path.segments().iter().map(|segment| {
        let named = match (segment, value) {
            (Segment::Index(index), Some(Value::Array(items))) if is_keyed(items) => {
                let name = items.get(*index).and_then(|item| item.get("name")).and_then(Value::as_str);
                name.map(|name| Segment::Named(name.to_owned()))
            }
            _ => None,
        };
        let segment = named.unwrap_or_else(|| segment.clone());
        value = value.and_then(|value| segment.find(value));
        segment
    });
    Path::new(segments.collect())
}

pub(super) fn component(components: &mut Vec<Component>, over: &Component, violations: &mut Vec<Violation>) {
    let index = components.iter().position(|component| component.name == over.name).unwrap_or_else(|| {
        components.push(Component { name: over.name.clone(), ..Component::default() });
        components.len() - 1
    });
    let base = &mut components[index];
    if base.kind.is_none() || !over.kind_is_rough {
        base.kind = over.kind.clone().or(base.kind.take());
    }
    base.package = over.package.clone().or(base.package.take());
    base.external_revision = over.external_revision.clone().or(base.external_revision.take());
    base.at = over.at.clone().or(base.at.take());
    base.scopes.extend(over.scopes.clone());
    properties(&mut base.properties, &over.properties);
    for name in &over.depends_on {
        if !base.depends_on.iter().any(|known| known.value == name.value) {
            base.depends_on.push(name.clone());
        }
    }
    for output in &over.outputs {
        match base.outputs.iter_mut().find(|known| known.name == output.name) {
            Some(known) => known.clone_from(output),
            None => base.outputs.push(output.clone()),
        }
    }
    for this in &over.traits {
        a_trait(base, this, violations);
    }
    for input in &over.inputs {
        let input = stable(input, over);
        match base.inputs.iter_mut().find(|known| known.parameter_key == input.parameter_key) {
            Some(known) => *known = input,
            None => base.inputs.push(input),
        }
    }
}

/// The input with its target in the one form that names items and not numbers.
fn stable(input: &Input, component: &Component) -> Input {
    let Some(Ok(target)) = input.parameter_key.as_ref().map(|key| key.parse::<Target>()) else {
        return input.clone();
    };
    let target = match target {
        Target::Properties(path) => {
            Target::Properties(by_name(&Value::Object(component.properties.clone()), &path))
        }
        Target::Trait { key, path } => {
            let own =
                (0..component.traits.len()).find(|index| crate::check::is_trait(component, *index, &key));
            let path = own.map_or(path.clone(), |index| {
                by_name(&Value::Object(component.traits[index].properties.clone()), &path)
            });
            Target::Trait { key, path }
        }
    };
    Input { parameter_key: Some(target.to_string()), ..input.clone() }
}

/// Merges one trait by its type; traits of one type are told apart by the name in their properties.
pub(super) fn a_trait(base: &mut Component, over: &Trait, violations: &mut Vec<Violation>) {
    let meant: Vec<usize> =
        (0..base.traits.len()).filter(|index| is_meant(&base.traits[*index], over)).collect();
    if over.disable {
        let mut index = 0;
        base.traits.retain(|_| {
            index += 1;
            !meant.contains(&(index - 1))
        });
        return;
    }
    match meant[..] {
        [] => {
            let given = Value::Object(over.properties.clone());
            let mut added = over.clone();
            if let Value::Object(properties) = without_nulls(&given) {
                added.properties = properties;
            }
            base.traits.push(added);
        }
        [index] => {
            let known = &mut base.traits[index];
            known.kind.clone_from(&over.kind);
            known.phase = over.phase.or(known.phase);
            known.at = over.at.clone().or(known.at.take());
            properties(&mut known.properties, &over.properties);
        }
        _ => {
            let path = format!("components[{}].traits[{}]", base.name, over.kind);
            let message =
                format!("the component has several traits `{}`, and this says none of them", over.kind);
            let violation = Violation::new(code::DUPLICATE_NAME, path, message);
            violations.push(violation.at(over.at.clone()).hint("say which one by `properties.name`"));
        }
    }
}

fn is_meant(known: &Trait, over: &Trait) -> bool {
    let base = |kind: &str| kind.split('@').next().unwrap_or_default().to_owned();
    base(&known.kind) == base(&over.kind)
        && (over.instance().is_none() || over.instance() == known.instance())
}

pub(super) fn policies(policies: &mut Vec<Policy>, over: &[Policy]) {
    for policy in over {
        match policies.iter_mut().find(|known| known.name == policy.name) {
            Some(known) if known.kind == policy.kind => {
                properties(&mut known.properties, &policy.properties);
                known.at = policy.at.clone().or(known.at.take());
            }
            Some(known) => known.clone_from(policy),
            None => policies.push(policy.clone()),
        }
    }
}
