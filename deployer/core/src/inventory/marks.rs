//! What objects carry so that it can be told whose they are.
//!
//! Only the inventory is a label: objects are listed by it, and it never changes while they live, for
//! controllers copy labels (of a Service to its EndpointSlices). Which generation wrote an object last is in
//! annotations; there a revision's digest, one character too long for a label, is whole. They are written with
//! what changes and never alone, but for [`Marks::fenced`]: an object that several generations want alike has
//! the marks of the first of them. Pod templates are never marked.

use serde_json::{Map, Value};
use slipway_handoff::{Collect, Key, Object};
use slipway_types::Digest;

use super::id::InventoryId;
use super::live::Live;
use super::owners::Owners;

/// Label: the [`InventoryId`] of who applies the object.
pub const INVENTORY: &str = "slipway.dev/inventory";
/// Annotation: the generation that wrote it last.
pub const GENERATION: &str = "slipway.dev/generation";
/// Annotation: the digest of the revision of the generation that wrote it last.
pub const REVISION: &str = "slipway.dev/revision";
/// Annotation: all owners of a shared object, sorted, with commas. Who is named here that is no inventory
/// counts too: so people hold an object.
pub const SHARED_BY: &str = "slipway.dev/shared-by";
/// Annotation: when the object goes, if not as soon as no revision has it. An inventory that is rebuilt from a
/// cluster must know.
pub const COLLECT: &str = "slipway.dev/collect";

// The labels of every rendered object, as `slipway-definitions` calls them.
pub(super) const TEAM: &str = "slipway.dev/team";
pub(super) const APPLICATION: &str = "slipway.dev/application";
pub(super) const STAGE: &str = "slipway.dev/stage";

/// Who applies: one generation of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    key: Key,
    inventory: InventoryId,
    generation: u64,
    revision: Digest,
    /// Objects that this generation or a lower one wrote last get new marks in any case.
    fence: u64,
}

impl Marks {
    /// The marks of a submission's key, generation and revision.
    pub fn new(key: Key, generation: u64, revision: Digest) -> Self {
        Self { inventory: InventoryId::of(&key), key, generation, revision, fence: 0 }
    }

    /// The same where whoever drove generation `fence` was lost, and may write on: each object that this generation or a
    /// lower one wrote last gets these marks, whether it is as wanted or not. So a late write finds it changed since
    /// it was read, or written by a newer generation, and does nothing.
    #[must_use]
    pub fn fenced(self, fence: u64) -> Self {
        Self { fence, ..self }
    }

    /// Whether the marks that an object has stay if nothing else changes.
    pub(super) fn leave(&self, live: &Live<'_>) -> bool {
        let stays = |generation: u64| generation == self.generation || generation > self.fence;
        live.generation().is_some_and(stays)
    }

    /// The inventory.
    pub fn inventory(&self) -> &InventoryId {
        &self.inventory
    }

    /// The generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the object's label names this inventory.
    pub(super) fn is_on(&self, live: &Live<'_>) -> bool {
        live.inventory() == Some(self.inventory.as_str())
    }

    /// The higher generation of this very inventory that wrote the object.
    pub fn newer_on(&self, live: &Live<'_>) -> Option<u64> {
        // The generations of several owners cannot be compared.
        let comparable = self.is_on(live) && !live.is_shared();
        live.generation().filter(|generation| comparable && *generation > self.generation)
    }

    /// Whether a lower generation of this very inventory wrote the object, whose marks stay if nothing else changes.
    pub fn follow(&self, live: &Live<'_>) -> bool {
        let is_comparable = self.is_on(live) && !live.is_shared();
        is_comparable && self.leave(live) && live.generation() != Some(self.generation)
    }

    /// Whether the object says, by the labels that every rendered object has, that it is this application's in
    /// this stage: what other receivers applied does, and people say so to have an object taken over.
    pub(super) fn is_named_by(&self, live: &Live<'_>) -> bool {
        names(&self.key, live)
    }
}

/// Whether an object says that it is a key's: by the labels that every rendered object has, or by naming the key's
/// inventory among its owners.
pub fn belongs_to(live: &Live<'_>, key: &Key) -> bool {
    names(key, live) || Owners::of(live).has(&InventoryId::of(key))
}

fn names(key: &Key, live: &Live<'_>) -> bool {
    let Key { environment, application } = key;
    live.label(APPLICATION) == Some(application.bare().as_str())
        && live.label(TEAM) == Some(application.team().as_str())
        && live.label(STAGE) == Some(environment.stage())
}

/// Puts the marks on an object, in place of any that it brings. `owners` of a shared object, these marks' own
/// among them; `None`: it is not shared.
pub fn mark(manifest: &mut Value, marks: &Marks, object: &Object, owners: Option<&Owners>) {
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let labels = entries(metadata, "labels");
    labels.insert(INVENTORY.to_owned(), marks.inventory.as_str().into());
    let annotations = entries(metadata, "annotations");
    for key in [GENERATION, REVISION, SHARED_BY, COLLECT] {
        annotations.remove(key);
    }
    match owners {
        Some(owners) => annotations.insert(SHARED_BY.to_owned(), owners.to_string().into()),
        None => {
            annotations.insert(GENERATION.to_owned(), marks.generation.to_string().into());
            annotations.insert(REVISION.to_owned(), marks.revision.to_string().into())
        }
    };
    if let Some(word) = word_of(object.collect) {
        annotations.insert(COLLECT.to_owned(), word.into());
    }
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// Puts the generation and revision that `live` has in place of those on `body`: what differs then would be
/// different whoever asked.
pub fn keep_marks(body: &mut Value, live: &Live<'_>) {
    let annotations = body.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let Some(annotations) = annotations else { return };
    for key in [GENERATION, REVISION] {
        if let (Some(own), Some(there)) = (annotations.get_mut(key), live.annotation(key)) {
            *own = there.into();
        }
    }
}

fn entries<'m>(metadata: &'m mut Map<String, Value>, field: &str) -> &'m mut Map<String, Value> {
    let value = metadata.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("invariant: it was made an object above")
}

fn word_of(collect: Collect) -> Option<&'static str> {
    match collect {
        Collect::OnUpdate => None,
        Collect::OnDelete => Some("on_delete"),
        Collect::Never => Some("never"),
    }
}

/// What the annotation says. What cannot be read means never.
pub(super) fn collect_of(word: Option<&str>) -> Collect {
    let known = [Collect::OnUpdate, Collect::OnDelete];
    known.into_iter().find(|collect| word_of(*collect) == word).unwrap_or(Collect::Never)
}
