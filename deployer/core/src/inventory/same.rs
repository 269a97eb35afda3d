//! Whether an object in a cluster is just as it would be sent, so that nothing need be sent.
//!
//! Three things must hold: every value that would be sent stands there, the writer owns every field that it
//! would send, and it would send every field that it owns. The values alone show what others changed but not
//! what the writer itself no longer wants; a digest of what was sent, kept on the object, shows the opposite.
//! What cannot be told from here, such as a quantity written otherwise, counts as different: then it is sent,
//! and server-side apply leaves the object as it is if nothing changes.

use serde_json::{Map, Value};
use slipway_handoff::ObjectRef;

use super::FIELD_MANAGER;
use super::fields::{Fields, Step};
use super::live::Live;

/// What says which object it is: never among the fields of a writer. `metadata` is looked at by itself.
const TOP: &[&str] = &["apiVersion", "kind", "metadata"];
/// Likewise, and what the API server writes.
const IN_METADATA: &[&str] =
    &["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];

/// Likewise, as far as they may differ between two readings of an object that nobody wrote to.
const COUNTED: &[&str] = &["resourceVersion", "generation", "managedFields"];

/// Whose the fields must be that a writer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The writer's own.
    Own,
    /// Whoever's.
    Anybodys,
}

/// Whether applying `sent` as `writer` would change nothing, not even who owns what.
pub(super) fn is_same(live: &Live<'_>, sent: &Value, writer: &str) -> bool {
    let applied = live.managers().find(|manager| manager.applies && manager.name == writer);
    let Some((manager, fields)) = applied.and_then(|manager| Some((manager, manager.fields?))) else {
        return false;
    };
    let is_current = ObjectRef::of(sent).is_some_and(|sent| sent.api_version == manager.api_version);
    is_current && agrees(live, sent, Some(fields), Whose::Own)
}

/// Whether applying `sent` as `writer`, taking over what others own, would leave every value of `live` as it is.
/// What no cluster gave differs.
pub fn changes_no_value(live: &Value, sent: &Value, writer: &str) -> bool {
    Live::of(live).is_ok_and(|live| {
        let applied = live.managers().find(|manager| manager.applies && manager.name == writer);
        agrees(&live, sent, applied.and_then(|manager| manager.fields), Whose::Anybodys)
    })
}

/// Whether `applied`, which an API server would make of `live` by a write of [`FIELD_MANAGER`], is `live` still: every
/// value but its status, and what the writer owns. What no cluster gave differs.
pub fn changes_nothing(live: &Value, applied: &Value) -> bool {
    let owned = |object: &Value| {
        let mut managers = Live::of(object).ok()?.managers();
        let own = managers.find(|manager| manager.applies && manager.name == FIELD_MANAGER)?;
        Some((own.api_version.to_owned(), own.fields?.to_value()))
    };
    let before = owned(live);
    before.is_some() && before == owned(applied) && written(live) == written(applied)
}

/// An object without what the API server and controllers write by themselves.
fn written(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !COUNTED.contains(&name.as_str()));
    }
    object
}

/// Whether both are the same object and agree in all that is sent, or owned by the writer, whose `fields` these are.
fn agrees(live: &Live<'_>, sent: &Value, fields: Option<Fields<'_>>, whose: Whose) -> bool {
    let reference = ObjectRef::of(sent);
    let is_it = reference.is_some() && reference == ObjectRef::of(live.object());
    let same = |live: Option<&Value>, sent: Option<&Value>, fields, skipped| {
        let both = live.and_then(Value::as_object).zip(sent.and_then(Value::as_object));
        both.is_some_and(|(live, sent)| has_same_fields(live, sent, fields, skipped, whose))
    };
    let metadata = (live.object().get("metadata"), sent.get("metadata"));
    is_it
        && same(Some(live.object()), Some(sent), fields, TOP)
        && same(metadata.0, metadata.1, fields.and_then(|fields| fields.field("metadata")), IN_METADATA)
}

/// Whether both mappings agree in all that is sent or owned, except the fields `skipped`.
fn has_same_fields(
    live: &Map<String, Value>,
    sent: &Map<String, Value>,
    fields: Option<Fields<'_>>,
    skipped: &[&str],
    whose: Whose,
) -> bool {
    let is_skipped = |name: &str| skipped.contains(&name);
    // A field without a value is one that is not sent.
    let is_sent = |name: &str| sent.get(name).is_some_and(|value| !value.is_null());
    let is_there = |key: &String, value: &Value| {
        let own = fields.and_then(|fields| fields.field(key));
        live.get(key).is_some_and(|live| match own {
            Some(own) => is_kept(live, value, own, whose),
            None => whose == Whose::Anybodys && has_all(live, value),
        })
    };
    let sent_there =
        sent.iter().all(|(key, value)| is_skipped(key) || value.is_null() || is_there(key, value));
    let mut owned = fields.into_iter().flat_map(Fields::steps);
    sent_there
        && owned.all(|(step, _)| match step {
            Step::Itself => true,
            Step::Field(name) => is_skipped(name) || is_sent(name),
            _ => false,
        })
}

fn is_kept(live: &Value, sent: &Value, fields: Fields<'_>, whose: Whose) -> bool {
    match (live, sent) {
        _ if fields.is_whole() => has_all(live, sent),
        (Value::Object(live), Value::Object(sent)) => has_same_fields(live, sent, Some(fields), &[], whose),
        (Value::Array(live), Value::Array(sent)) => has_same_items(live, sent, fields, whose),
        _ => false,
    }
}

/// Whether both lists agree in all that is sent or owned, in the same order.
fn has_same_items(live: &[Value], sent: &[Value], fields: Fields<'_>, whose: Whose) -> bool {
    let mut owned: Vec<(Step<'_>, Fields<'_>)> =
        fields.steps().filter(|(step, _)| *step != Step::Itself).collect();
    let mut after = 0;
    for (index, item) in sent.iter().enumerate() {
        let Some(found) = owned.iter().position(|(step, _)| step.means(item, index)) else {
            if whose == Whose::Anybodys && live.iter().any(|live| has_all(live, item)) {
                continue;
            }
            return false;
        };
        let (step, below) = owned.swap_remove(found);
        let place = live.iter().enumerate().position(|(index, live)| step.means(live, index));
        let Some((place, there)) = place.and_then(|place| Some((place, live.get(place)?))) else {
            return false;
        };
        if place < after || !is_kept(there, item, below, whose) {
            return false;
        }
        after = place + 1;
    }
    owned.is_empty()
}

/// Whether every value of `sent` is in `live` at the same place; what stands beside it the API server filled in.
fn has_all(live: &Value, sent: &Value) -> bool {
    match (live, sent) {
        (Value::Object(live), Value::Object(sent)) => sent.iter().all(|(key, sent)| match live.get(key) {
            Some(live) => has_all(live, sent),
            None => sent.is_null(),
        }),
        (Value::Array(live), Value::Array(sent)) => {
            live.len() == sent.len() && live.iter().zip(sent).all(|(live, sent)| has_all(live, sent))
        }
        _ => live == sent,
    }
}
