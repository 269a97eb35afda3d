//! Fields that are sent when an object is made and never again.
//!
//! Merely to leave them out of later writes would be wrong: server-side apply takes a field that its only owner
//! no longer sends for one that is to go, and sets it back to its default
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>, "transferring ownership"). So a field
//! is sent with the value that stands there for as long as this writer owns it, and left out as soon as somebody
//! else has taken it. Nobody's change is lost in between: writes carry the resource version.

use serde_json::{Map, Value};
use slipway_handoff::Pointer;

use super::FIELD_MANAGER;
use super::fields::{Fields, Step};
use super::live::Live;

/// Makes `sent` leave the fields of `once` as they are in `live`.
///
/// A pointer leads through lists by what identifies their items, so it finds the container that it means
/// wherever that stands by now. In what is only ever written whole, a field cannot be left out: there the value
/// that stands there is sent. An item of a list that is not there any more comes back with all its fields,
/// unless a pointer names the item itself.
pub fn without_once(sent: &mut Value, once: &[Pointer], live: &Live<'_>) {
    let everybody: Vec<Fields<'_>> = live.managers().filter_map(|manager| manager.fields).collect();
    let applied = live.managers().find(|manager| manager.applies && manager.name == FIELD_MANAGER);
    let place =
        Place { live: Some(live.object()), own: applied.and_then(|manager| manager.fields), everybody };
    let mut paths: Vec<Vec<String>> = once.iter().map(|pointer| pointer.steps().collect()).collect();
    // From the back, so that no item moves before its turn; and what is inside before what is around.
    paths.sort_by_cached_key(|path| {
        path.iter().map(|step| (step.parse::<usize>().ok(), step.clone())).collect::<Vec<_>>()
    });
    for path in paths.iter().rev() {
        leave(sent, &place, path);
    }
}

/// A place in the live object.
struct Place<'a> {
    /// What stands there.
    live: Option<&'a Value>,
    /// What this writer owns below it.
    own: Option<Fields<'a>>,
    /// What each of all writers owns below it.
    everybody: Vec<Fields<'a>>,
}

impl<'a> Place<'a> {
    /// Whether it is only ever written whole.
    fn is_whole(&self) -> bool {
        let holds = match self.live {
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            _ => false,
        };
        holds && self.everybody.iter().any(|fields| fields.is_whole())
    }

    fn field(&self, name: &str) -> Self {
        Self {
            live: self.live.and_then(|live| live.get(name)),
            own: self.own.and_then(|fields| fields.field(name)),
            everybody: self.everybody.iter().filter_map(|fields| fields.field(name)).collect(),
        }
    }

    /// The item of the live list that `sent`, at `index` of what is sent, is; with the keys that identify it.
    fn item(&self, sent: &Value, index: usize) -> (Self, Map<String, Value>) {
        let found = self.everybody.iter().find_map(|fields| fields.item(sent, index));
        let Some((step, _)) = found else {
            return (Self { live: None, own: None, everybody: Vec::new() }, Map::new());
        };
        let items = self.live.and_then(Value::as_array).into_iter().flatten().enumerate();
        let live = items.into_iter().find(|(index, item)| step.means(item, *index)).map(|(_, item)| item);
        let below =
            |fields: &Fields<'a>| fields.steps().find(|(other, _)| *other == step).map(|(_, below)| below);
        let own = self.own.as_ref().and_then(below);
        let everybody = self.everybody.iter().filter_map(below).collect();
        let keys = if let Step::Keys(keys) = step { keys } else { Map::new() };
        (Self { live, own, everybody }, keys)
    }

    /// What stands there, as far as this writer owns it.
    fn owned(&self) -> Option<Value> {
        self.live.zip(self.own).map(|(live, own)| owned(live, own))
    }
}

fn leave(sent: &mut Value, place: &Place<'_>, path: &[String]) {
    if place.is_whole() {
        return copy(sent, place.live, path);
    }
    let Some((step, rest)) = path.split_first() else { return };
    match sent {
        Value::Object(fields) => {
            let below = place.field(step);
            if rest.is_empty() {
                match below.owned() {
                    Some(value) => fields.insert(step.clone(), value),
                    None => fields.remove(step),
                };
            } else if let Some(child) = fields.get_mut(step) {
                leave(child, &below, rest);
                // Else an empty mapping would be sent for one that others may have removed.
                if child.as_object().is_some_and(Map::is_empty) {
                    fields.remove(step);
                }
            }
        }
        Value::Array(items) => leave_item(items, place, step, rest),
        _ => {}
    }
}

fn leave_item(items: &mut Vec<Value>, place: &Place<'_>, step: &str, rest: &[String]) {
    let Some((index, item)) = step.parse().ok().and_then(|index: usize| Some((index, items.get_mut(index)?)))
    else {
        return;
    };
    let (below, keys) = place.item(item, index);
    if !rest.is_empty() {
        if below.live.is_some() {
            leave(item, &below, rest);
        }
        return;
    }
    match below.owned() {
        Some(mut value) => {
            if let Some(fields) = value.as_object_mut() {
                fields.extend(keys);
            }
            *item = value;
        }
        None => {
            items.remove(index);
        }
    }
}

/// Puts what stands in `live` at `path` to the same place of `sent`.
fn copy(sent: &mut Value, live: Option<&Value>, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    let index = || step.parse::<usize>().ok();
    let below = match live {
        Some(Value::Array(items)) => index().and_then(|index| items.get(index)),
        Some(live) => live.get(step),
        None => None,
    };
    match (sent, below) {
        (Value::Object(fields), Some(value)) if rest.is_empty() => {
            fields.insert(step.clone(), value.clone());
        }
        (Value::Object(fields), None) if rest.is_empty() => {
            fields.remove(step);
        }
        (Value::Object(fields), below) => {
            if let Some(child) = fields.get_mut(step) {
                copy(child, below, rest);
            }
        }
        (Value::Array(items), Some(value)) => match index().and_then(|index| items.get_mut(index)) {
            Some(item) if rest.is_empty() => *item = value.clone(),
            Some(item) => copy(item, Some(value), rest),
            None => {}
        },
        _ => {}
    }
}

/// `live` as far as `fields` reach.
fn owned(live: &Value, fields: Fields<'_>) -> Value {
    match live {
        _ if fields.is_whole() => live.clone(),
        Value::Object(values) => {
            let own = |(name, value): (&String, &Value)| {
                fields.field(name).map(|below| (name.clone(), owned(value, below)))
            };
            Value::Object(values.iter().filter_map(own).collect())
        }
        Value::Array(items) => {
            let own = |(index, item): (usize, &Value)| {
                let (step, below) = fields.item(item, index)?;
                let mut value = owned(item, below);
                if let (Step::Keys(keys), Some(fields)) = (step, value.as_object_mut()) {
                    fields.extend(keys);
                }
                Some(value)
            };
            Value::Array(items.iter().enumerate().filter_map(own).collect())
        }
        _ => live.clone(),
    }
}
