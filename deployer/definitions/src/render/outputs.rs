//! What a component gives to others.

use std::collections::btree_map::Entry;

use slipway_types::Violation;

use super::RenderedComponent;
use crate::call;
use crate::code;
use crate::definition::Definition;
use crate::object::ObjectKey;
use crate::verb::{OutputSet, OutputSource};

/// Notes an output that `definition` set.
pub(super) fn set(rendered: &mut RenderedComponent, definition: &Definition, output: &OutputSet, path: &str) {
    let Some(source) = output.source() else { return };
    match rendered.outputs.entry(output.name.clone()) {
        Entry::Vacant(entry) => {
            entry.insert(source);
        }
        Entry::Occupied(entry) if *entry.get() == source => {}
        Entry::Occupied(_) => {
            let message = format!("{definition} sets the output `{}`, which is set already", output.name);
            let hint = "remove one of the two that set it";
            rendered.violations.push(Violation::new(code::DUPLICATE_OUTPUT, path, message).hint(hint));
        }
    }
}

/// Outputs that name objects nobody rendered.
pub(super) fn check(rendered: &mut RenderedComponent, definition: &Definition) {
    let known: Vec<ObjectKey> =
        rendered.objects.iter().filter_map(|object| ObjectKey::of(&object.object)).collect();
    let mut violations = Vec::new();
    for (name, source) in &rendered.outputs {
        if let OutputSource::Field { object, .. } = source
            && !known.iter().any(|known| known.is_same_object(object))
        {
            let why = format!("the output `{name}` is a field of {object}, which nothing renders");
            violations.extend(call::bad_result(definition, &rendered.path, &why));
        }
    }
    rendered.violations.extend(violations);
}
