//! Operators set what developers declared overridable, and nothing else.

use serde_json::Value;
use slipway_types::Violation;

use super::merge::{by_name, is_keyed};
use super::{DeveloperComponent, Layer};
use crate::check::VIOLATIONS_MAX;
use crate::{Component, Path, Segment, Target, code};

/// The most declared paths that a message repeats.
const SHOWN_MAX: usize = 10;

/// Reports what `component` of `layer` sets and may not.
pub(super) fn check(
    declared: &DeveloperComponent,
    component: &Component,
    layer: &Layer,
    violations: &mut Vec<Violation>,
) {
    // Who declares no workload leaves it to the operators.
    let Some(kind) = &declared.kind else { return };
    if let Some(other) = component.kind.as_ref().filter(|other| *other != kind && !component.kind_is_rough) {
        let path = format!("components[{}].type", component.name);
        let message = format!("the developers declare the type `{kind}`, this says `{other}`");
        let place = layer.place(&component.name, &Path::new(vec![Segment::Key("type".to_owned())]));
        let violation = Violation::new(code::OVERRIDE_NOT_DECLARED, path, message);
        violations.push(violation.at(place).hint(format!("write `type: {kind}`, or leave it out")));
    }
    let base = Value::Object(declared.properties.clone());
    let over = Value::Object(component.properties.clone());
    let mut set = Vec::new();
    leaves(&over, Some(&base), &mut Vec::new(), &mut set);
    for path in set.into_iter().filter(|path| !is_declared(&declared.overridable, path)) {
        if violations.len() >= VIOLATIONS_MAX {
            return;
        }
        violations.push(violation(declared, &path, layer, &of_properties(&path)));
    }
    for (index, input) in component.inputs.iter().enumerate() {
        let target = input.parameter_key.as_ref().and_then(|key| key.parse::<Target>().ok());
        let Some(Target::Properties(path)) = target else { continue };
        // A list without names is one value.
        let path = by_name(&over, &path);
        let whole = path.segments().iter().take_while(|segment| !matches!(segment, Segment::Index(_)));
        let path: Vec<Segment> = whole.cloned().collect();
        if !is_declared(&declared.overridable, &path) {
            let key = |text: &str| Segment::Key(text.to_owned());
            let written = Path::new(vec![key("inputs"), Segment::Index(index), key("parameterKey")]);
            violations.push(violation(declared, &path, layer, &written));
        }
    }
}

fn of_properties(path: &[Segment]) -> Path {
    Path::new(vec![Segment::Key("properties".to_owned())]).join(&Path::new(path.to_vec()))
}

/// The paths of what `over` changes in `base`.
fn leaves(over: &Value, base: Option<&Value>, path: &mut Vec<Segment>, found: &mut Vec<Vec<Segment>>) {
    if base == Some(over) || (base.is_none() && over.is_null()) {
        return;
    }
    let mut inside = |segment: Segment, over: &Value, base: Option<&Value>| {
        path.push(segment);
        leaves(over, base, path, found);
        path.pop();
    };
    match (over, base) {
        (Value::Object(over), None | Some(Value::Object(_))) if !over.is_empty() => {
            for (key, value) in over {
                inside(Segment::Key(key.clone()), value, base.and_then(|base| base.get(key)));
            }
        }
        (Value::Object(over), Some(Value::Object(_))) if over.is_empty() => {}
        (Value::Array(over), None) if !over.is_empty() && is_keyed(over) => items(over, &[], &mut inside),
        (Value::Array(over), Some(Value::Array(base))) if is_keyed(over) && is_keyed(base) => {
            items(over, base, &mut inside);
        }
        _ => found.push(path.clone()),
    }
}

fn items(over: &[Value], base: &[Value], inside: &mut impl FnMut(Segment, &Value, Option<&Value>)) {
    for item in over {
        let Some(name) = item.get("name").and_then(Value::as_str) else { continue };
        let known = base.iter().find(|known| known.get("name") == item.get("name"));
        // The name alone says which item is meant; a new item is one change, whatever it holds.
        match known {
            Some(known) => inside(Segment::Named(name.to_owned()), item, Some(known)),
            None => inside(Segment::Named(name.to_owned()), &Value::Bool(true), Some(&Value::Null)),
        }
    }
}

/// Whether one of `overridable` opens `path`, itself or from above.
fn is_declared(overridable: &[String], path: &[Segment]) -> bool {
    let parts: Vec<String> = path
        .iter()
        .map(|segment| match segment {
            Segment::Key(text) | Segment::Named(text) => text.clone(),
            Segment::Index(index) => index.to_string(),
        })
        .collect();
    overridable.iter().any(|glob| {
        let globs: Vec<&str> = glob.split('.').collect();
        globs.len() <= parts.len()
            && globs.iter().zip(&parts).all(|(glob, part)| *glob == "*" || glob == part)
    })
}

/// That the property at `path` was set, where `written` stands in the component.
fn violation(declared: &DeveloperComponent, path: &[Segment], layer: &Layer, written: &Path) -> Violation {
    let name = &declared.name;
    let shown = Path::new(path.to_vec());
    let whole = of_properties(path);
    let open = match &declared.overridable[..] {
        [] => "nothing of it".to_owned(),
        open if open.len() > SHOWN_MAX => format!("`{}` and more", open[..SHOWN_MAX].join("`, `")),
        open => format!("`{}`", open.join("`, `")),
    };
    let message = format!("`{shown}` is the developers' to set; operators may set {open}");
    let hint = format!(
        "remove it here, or let the developers add `{}` to `overridable` of `{name}` in slipway.yaml",
        dotted(path)
    );
    Violation::new(code::OVERRIDE_NOT_DECLARED, format!("components[{name}].{whole}"), message)
        .at(layer.place(name, written))
        .hint(hint)
}

/// The path as `overridable` would name it.
fn dotted(path: &[Segment]) -> String {
    let parts = path.iter().map(|segment| match segment {
        Segment::Key(text) => text.clone(),
        Segment::Named(_) | Segment::Index(_) => "*".to_owned(),
    });
    parts.collect::<Vec<_>>().join(".")
}
