//! What becomes of objects that are no longer wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_handoff::{Collect, ObjectRef};

use super::entries::{Entry, Inventory};
use super::left::{takes_along, without_marks};
use super::live::{Live, Terminating};
use super::marks::Marks;
use super::order::apply_order;
use super::owners::Owners;
use super::verdict::Write;

/// What objects are removed for.
#[derive(Debug, Clone, Copy)]
pub enum Sweep<'a> {
    /// A generation is in place that no longer has them.
    Update {
        /// All that it has.
        wanted: &'a Inventory,
        /// Whether it is meant if it has nothing of its own.
        allow_empty: bool,
    },
    /// The application is removed.
    Removal,
}

/// Objects as they were read, by the reference that the inventory has of them; `None`: the cluster said that
/// there is no such object. What is missing here was not read, which says nothing.
pub type Sights<'a> = BTreeMap<ObjectRef, Option<Live<'a>>>;

/// One object of an inventory that is no longer wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruning {
    /// Which object.
    pub object: ObjectRef,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of an object that is no longer wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is removed. Its entry goes when the cluster says that it is not there.
    Delete {
        /// The precondition: only this very object.
        uid: String,
        /// A further one: only as it was read. Whoever sends a removal may be lost, and it may come when a later
        /// generation, or another owner, has the object already.
        resource_version: String,
    },
    /// Others own it too: this inventory leaves its owners. Its entry goes when that is written.
    Release(Write),
    /// It is nobody else's, and stays, since others may have something in it: the merge patch that takes the marks
    /// off. Its entry goes when that is written.
    Leave(Value),
    /// It is on its way out. Its entry goes when the cluster says that it is not there.
    Going(Terminating),
    /// It stays, and so does its entry.
    Keep(Kept),
    /// It is not there: its entry goes.
    Gone,
    /// It is wanted under another group of its API: its entry goes.
    Moved,
    /// It is not this inventory's, so it is never removed; its entry goes.
    NotOurs(Disowned),
}

/// Why an object stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// By what was frozen.
    #[error("is never removed")]
    Never,
    /// By what was frozen.
    #[error("stays until the application is removed")]
    OnDelete,
    /// Nobody looked, so nobody knows.
    #[error("was not looked at")]
    NotLooked,
    /// A higher generation of the same inventory has it.
    #[error("was written by the newer generation {0}")]
    Newer(u64),
}

/// Why an object is not this inventory's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disowned {
    /// Its label says so.
    #[error("belongs to {0} by now")]
    Label(String),
    /// It is another object of the same name.
    #[error("is another object of that name, with the UID {0}")]
    Uid(String),
    /// No write of it was ever confirmed, and it does not say that Slipway applied it.
    #[error("was not applied by Slipway")]
    Unproven,
}

/// A generation without any object, where there are some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the revision has no object and would remove all {objects}: deploy one that has some, or take the application \
     away by `slipway deploy remove`"
)]
pub struct EmptyRender {
    /// How many objects it would remove.
    pub objects: usize,
}

impl Fate {
    /// Whether the object is changed.
    pub fn acts(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::Release(_) | Self::Leave(_))
    }

    /// Whether the entry goes without anything being done.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Gone | Self::Moved | Self::NotOurs(_))
    }
}

/// What becomes of one object that is no longer wanted, as far as it can be said of it alone.
pub fn fate(entry: &Entry, sweep: &Sweep<'_>, marks: &Marks, sight: Option<&Option<Live<'_>>>) -> Fate {
    match (entry.collect, sweep, sight) {
        (_, _, Some(None)) => Fate::Gone,
        (Collect::Never, _, _) => Fate::Keep(Kept::Never),
        (Collect::OnDelete, Sweep::Update { .. }, _) => Fate::Keep(Kept::OnDelete),
        (_, _, None) => Fate::Keep(Kept::NotLooked),
        (_, _, Some(Some(live))) => fate_of_live(entry, marks, live),
    }
}

fn fate_of_live(entry: &Entry, marks: &Marks, live: &Live<'_>) -> Fate {
    let mut owners = Owners::of(live);
    let labelled = || Fate::NotOurs(Disowned::Label(live.told_owner()));
    if !owners.remove(marks.inventory()) {
        return labelled();
    }
    if let Some(generation) = marks.newer_on(live) {
        return Fate::Keep(Kept::Newer(generation));
    }
    if let Some(terminating) = live.terminating() {
        return Fate::Going(terminating);
    }
    if !owners.is_empty() {
        // Its version need not be served any more.
        let served = ObjectRef::of(live.object()).unwrap_or_else(|| entry.object.clone());
        return Fate::Release(owners.write(&served, live));
    }
    if !marks.is_on(live) {
        return labelled();
    }
    match &entry.uid {
        Some(uid) if uid != live.uid() => Fate::NotOurs(Disowned::Uid(live.uid().to_owned())),
        // Its write may have gone through without an answer.
        None if !live.is_applied_here() => Fate::NotOurs(Disowned::Unproven),
        _ if takes_along(&entry.object) => Fate::Leave(without_marks(live)),
        _ => {
            Fate::Delete { uid: live.uid().to_owned(), resource_version: live.resource_version().to_owned() }
        }
    }
}

/// What becomes of everything in `inventory` that is no longer wanted, in the order in which it is done: the
/// reverse of that in which objects are applied. `inventory` is the union that was kept before apply, so that it
/// has the UIDs of what is wanted.
pub fn prune(
    inventory: &Inventory,
    sweep: &Sweep<'_>,
    marks: &Marks,
    sights: &Sights<'_>,
) -> Result<Vec<Pruning>, EmptyRender> {
    let nothing = Inventory::default();
    let wanted = match sweep {
        Sweep::Update { wanted, .. } => wanted,
        Sweep::Removal => &nothing,
    };
    let standing = Standing::of(inventory, wanted, sights);
    let mut left: Vec<&Entry> = inventory.beyond(wanted).collect();
    apply_order(&mut left, |entry| &entry.object);
    let prunings: Vec<Pruning> = left
        .into_iter()
        .rev()
        .map(|entry| {
            let sight = sights.get(&entry.object);
            let fate = standing.same_as(entry, sight).unwrap_or_else(|| fate(entry, sweep, marks, sight));
            Pruning { object: entry.object.clone(), fate }
        })
        .collect();
    let acts = prunings.iter().filter(|pruning| pruning.fate.acts()).count();
    match sweep {
        Sweep::Update { wanted, allow_empty: false } if has_nothing(wanted) && acts > 0 => {
            Err(EmptyRender { objects: acts })
        }
        _ => Ok(prunings),
    }
}

/// Whether a generation has nothing of its own: the namespace that its environment makes is in every one.
fn has_nothing(wanted: &Inventory) -> bool {
    wanted.entries().all(|entry| entry.object.is_namespace() && entry.collect == Collect::Never)
}

/// What is wanted, as the cluster has it.
struct Standing<'a> {
    uids: BTreeSet<&'a str>,
    /// Those of which no UID is known.
    unknown: Vec<&'a ObjectRef>,
}

impl<'a> Standing<'a> {
    fn of(inventory: &'a Inventory, wanted: &'a Inventory, sights: &'a Sights<'_>) -> Self {
        let (mut uids, mut unknown) = (BTreeSet::new(), Vec::new());
        for entry in wanted.entries() {
            let held = inventory.get(&entry.object).and_then(|held| held.uid.as_deref());
            let seen = sights.get(&entry.object).and_then(Option::as_ref).map(Live::uid);
            if held.or(seen).is_none() {
                unknown.push(&entry.object);
            }
            uids.extend(held.into_iter().chain(seen));
        }
        Self { uids, unknown }
    }

    /// Some kinds are served by two groups: what is no longer wanted in the one may be what is wanted in the
    /// other.
    fn same_as(&self, entry: &Entry, sight: Option<&Option<Live<'_>>>) -> Option<Fate> {
        let live = sight?.as_ref()?;
        if self.uids.contains(live.uid()) {
            return Some(Fate::Moved);
        }
        let at = |object: &ObjectRef| (object.kind.clone(), object.namespace.clone(), object.name.clone());
        let may_be = self.unknown.iter().any(|object| at(object) == at(&entry.object));
        may_be.then_some(Fate::Keep(Kept::NotLooked))
    }
}
