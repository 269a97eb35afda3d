//! What is never removed, since others may have something in it: with its last owner go the marks alone, and
//! whoever brings it next has it.

use serde_json::{Value, json};
use slipway_handoff::ObjectRef;

use super::live::Live;
use super::owners::Owners;
use super::{COLLECT, GENERATION, INVENTORY, REVISION, SHARED_BY};

/// Whether removing an object removes others that it does not own: a namespace all that lies in it, a
/// definition all resources of its kind.
pub fn takes_along(object: &ObjectRef) -> bool {
    let is_definition = object.group() == "apiextensions.k8s.io" && object.kind == "CustomResourceDefinition";
    object.is_namespace() || is_definition
}

/// Whether an object was left when its last owner went: Slipway applied it, it is nobody's, and it is of those that
/// are never removed.
pub fn is_left(object: &ObjectRef, live: &Live<'_>) -> bool {
    takes_along(object) && live.is_applied_here() && Owners::of(live).is_empty()
}

/// The merge patch that takes the marks off an object, at the version that was read.
pub(super) fn without_marks(live: &Live<'_>) -> Value {
    json!({"metadata": {
        "resourceVersion": live.resource_version(),
        "labels": {INVENTORY: null},
        "annotations": {GENERATION: null, REVISION: null, SHARED_BY: null, COLLECT: null},
    }})
}
