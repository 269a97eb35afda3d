//! Objects of packages in a stage: names that no other stage of the namespace has, references that follow
//! them, and selectors that mean the stage's own pods.
//!
//! What component types render has all of that from its definitions; what charts, kustomizations and
//! manifests bring was written for a namespace of its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use slipway_definitions::{ObjectKey, label};
use slipway_handoff::ObjectRef;
use slipway_types::Address;

mod elsewhere;
mod places;
mod selectors;

use elsewhere::{Said, is_address};

/// Kinds whose names others fix: a definition's is that of what it defines, a namespace is the
/// environment's.
const NAMED_BY_OTHERS: [&str; 3] = ["CustomResourceDefinition", "Namespace", "APIService"];
/// The longest text that is looked through for names, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// The most notes of one component.
const NOTES_MAX: usize = 10;

/// What an object is called outside of any version of its API.
type Known = (String, String, String);

/// Whose objects are made the stage's own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A package's, or those of steps, as they were written.
    Written,
    /// A chart's: names that hold its release, which is the stage's own, stay.
    Chart {
        /// The release.
        release: &'a str,
    },
    /// A component type's: most name their objects after the stage themselves.
    Rendered,
}

/// The objects of a package that have another name in the stage: group, kind and name, and the new name.
#[derive(Debug, Clone, Default)]
pub(super) struct Renames(BTreeMap<Known, String>);

/// What names end with in a stage.
pub(super) fn suffix(address: &Address) -> String {
    if address.is_default_stage() { String::new() } else { format!("-{}", address.stage()) }
}

/// Whether the file calls the object `name` so: as it is called, or as it would be in the default stage.
pub(super) fn is_called(name: &str, in_file: &str, suffix: &str) -> bool {
    let plain = || {
        name.strip_suffix(suffix) == Some(in_file) || name.replacen(&format!("{suffix}-"), "-", 1) == in_file
    };
    name == in_file || (!suffix.is_empty() && plain())
}

/// Makes objects that belong together the stage's own, hooks included.
pub(super) fn settle(address: &Address, origin: Origin<'_>, objects: &mut [&mut Value]) -> Renames {
    selectors::carry_stage(objects, address);
    if address.is_default_stage() {
        return Renames::default();
    }
    let renames = Renames::of(objects, &suffix(address), origin);
    for object in objects {
        if let Some(new) = known(object).and_then(|known| renames.0.get(&known)) {
            object["metadata"]["name"] = new.clone().into();
        }
        renames.follow(object, address.namespace());
    }
    renames
}

impl Renames {
    fn of(objects: &[&mut Value], suffix: &str, origin: Origin<'_>) -> Self {
        let is_own = |name: &str| match origin {
            Origin::Written => false,
            Origin::Chart { release } => name.contains(release),
            Origin::Rendered => name.ends_with(suffix) || name.contains(&format!("{suffix}-")),
        };
        let renamed = objects.iter().filter_map(|object| {
            let found = known(object)?;
            let stays = NAMED_BY_OTHERS.contains(&found.1.as_str()) || is_own(&found.2);
            let new = format!("{}{suffix}", found.2);
            (!stays).then_some((found, new))
        });
        Self(renamed.collect())
    }

    /// New names for those of `mine` that `user` names.
    pub(super) fn of_named(
        user: &Value,
        namespace: &str,
        mine: &[&ObjectRef],
        new: impl Fn(&str) -> String,
    ) -> Self {
        let mut found = BTreeMap::new();
        places::references(&mut user.clone(), namespace, &mut |group, kind, name| {
            let is_meant = |one: &&&ObjectRef| {
                one.group() == group && one.kind == kind && Some(one.name.as_str()) == name.as_str()
            };
            let named = mine.iter().find(is_meant)?;
            found.insert((group.to_owned(), kind.to_owned(), named.name.clone()), new(&named.name));
            None
        });
        Self(found)
    }

    /// Gives one more object a new name.
    pub(super) fn add(&mut self, object: &ObjectRef, new: String) {
        self.0.insert((object.group().to_owned(), object.kind.clone(), object.name.clone()), new);
    }

    /// The new name of an object; `None`: it has none.
    pub(super) fn new_name(&self, key: &ObjectKey) -> Option<&str> {
        let known = (key.group_kind().group, key.kind.clone(), key.name.clone());
        self.0.get(&known).map(String::as_str)
    }

    /// Points the references of `object` to the new names.
    pub(super) fn follow(&self, object: &mut Value, namespace: &str) {
        if self.0.is_empty() {
            return;
        }
        places::references(object, namespace, &mut |group, kind, name| {
            let known = (group.to_owned(), kind.to_owned(), name.as_str()?.to_owned());
            *name = self.0.get(&known)?.clone().into();
            Some(())
        });
    }

    /// Takes up others.
    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(known, new)| (known.clone(), new.clone())));
    }

    /// Texts that seem to name an object by its old name: no rule says what they mean, so they stay as they
    /// are and people are told.
    pub(super) fn notes(&self, owner: &str, namespace: &str, objects: &[&Value]) -> Vec<String> {
        let mut found = Vec::new();
        for object in objects.iter().filter(|_| !self.0.is_empty()) {
            let Some(reference) = ObjectRef::of(object) else { continue };
            let told = |(old, new): (&str, &str)| {
                let (kind, name) = (&reference.kind, &reference.name);
                format!("{owner}: a text of {kind} {name} names `{old}`, which is `{new}` in this stage")
            };
            found.extend(self.named_in_texts(object).into_iter().map(told));
            found.extend(self.named_elsewhere(object, namespace).into_iter().map(told));
        }
        found.sort();
        found.dedup();
        found.truncate(NOTES_MAX);
        found
    }

    /// The Services, old and new name, that texts for programs hold.
    fn named_in_texts(&self, object: &Value) -> Vec<(&str, &str)> {
        let services = || self.0.iter().filter(|((group, kind, _), _)| group.is_empty() && kind == "Service");
        let texts = places::texts(object).into_iter().filter(|text| text.len() <= TEXT_BYTES_MAX);
        let named = texts.filter_map(|text| services().find(|((_, _, old), _)| names(text, old)));
        named.map(|((_, _, old), new)| (old.as_str(), new.as_str())).collect()
    }

    /// What is named, old and new name, where no reference is known to stand.
    fn named_elsewhere(&self, object: &Value, namespace: &str) -> Vec<(&str, &str)> {
        let mut rest = object.clone();
        places::references(&mut rest, namespace, &mut |_, _, name| {
            *name = Value::Null;
            Some(())
        });
        let is_meant = |(group, kind, old): &Known, said: &Said<'_>| match said.kind {
            Some(of) => of == kind && said.text == old,
            None if said.text == old => true,
            None => group.is_empty() && kind == "Service" && is_address(said.text, old, namespace),
        };
        let said = elsewhere::said(&rest, namespace);
        let named = said.iter().filter_map(|said| self.0.iter().find(|(known, _)| is_meant(known, said)));
        named.map(|((_, _, old), new)| (old.as_str(), new.as_str())).collect()
    }
}

/// Whether `text` holds `name` as a host: alone, or before a port, a path or the rest of a domain.
fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        before.is_none_or(|c| !part(c) && c != '.') && after.is_none_or(|c| !part(c))
    })
}

fn known(object: &Value) -> Option<Known> {
    let reference = ObjectRef::of(object)?;
    Some((reference.group().to_owned(), reference.kind.clone(), reference.name))
}

/// Puts the stage among labels.
fn mark(labels: &mut Map<String, Value>, stage: &str) {
    labels.insert(label::STAGE.to_owned(), json!(stage));
}

#[cfg(test)]
mod tests;
