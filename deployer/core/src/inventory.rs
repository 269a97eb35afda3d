//! What belongs to an application in an environment, and what may be done to each object. Nothing here asks
//! a cluster: objects come in as they were read, writes go out as they are to be sent.
//!
//! The way of one generation:
//!
//! 1. [`Inventory::union_before_apply`] is kept before the first write, so that nothing is ever in the cluster
//!    that no inventory names.
//! 2. For each object in [`apply_order`]: read it, ask [`before_apply`], send the [`Write`], tell
//!    [`Inventory::applied`] its UID. A conflict means that it changed since: read it again.
//! 3. When all is ready: read what [`Inventory::beyond`] names, ask [`prune()`], carry it out in its order, and tell
//!    [`Inventory::dropped`] what is confirmed to be gone.
//!
//! An object is only ever removed if its label names this inventory and its UID is the one that was applied. What
//! others may have something in ([`takes_along`]) never is: it is left without marks.

mod adopt;
mod entries;
mod fields;
mod id;
mod left;
mod leftover;
mod live;
mod marks;
mod once;
mod order;
mod owners;
mod prune;
mod same;
mod selector;
mod verdict;

#[cfg(test)]
mod tests;

pub use adopt::{
    ADOPTER, ARGO_TRACKING, HELM_NAMESPACE, HELM_RELEASE, INSTANCE, LAST_APPLIED, MANAGED_BY, Tool,
    controller_of, handed_over, without_theirs,
};
pub use entries::{Entry, Inventory, TwiceHeld};
pub use id::{InvalidInventoryId, InventoryId};
pub use left::{is_left, takes_along};
pub use leftover::without_leftovers;
pub use live::{Incomplete, Live, Manager, Terminating, writer_of};
pub use marks::{COLLECT, GENERATION, INVENTORY, Marks, REVISION, SHARED_BY, belongs_to, keep_marks, mark};
pub use once::without_once;
pub use order::{apply_order, rank};
pub use owners::Owners;
pub use prune::{Disowned, EmptyRender, Fate, Kept, Pruning, Sights, Sweep, fate, prune};
pub use same::{changes_no_value, changes_nothing};
pub use selector::keep_selector;
pub use verdict::{Refusal, Verdict, Wanted, Write, before_apply};

pub use slipway_kubernetes::FIELD_MANAGER;

/// By which it knows who keeps the list of owners of shared objects. Whoever joins writes only that list:
/// sent as [`FIELD_MANAGER`] it would remove every other field of the object.
pub const OWNERS_MANAGER: &str = "slipway-owners";

/// By which it knows who has pods made anew for what their Secrets hold: what no manifest has would go with the next
/// apply of [`FIELD_MANAGER`].
pub const PODS_MANAGER: &str = "slipway-pods";
