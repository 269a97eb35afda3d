//! What an application owns, by four accounts: its revision's, the cluster's labels', the core's and the page's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::cluster::{self, name_of};
use crate::ground::Ground;

/// Names the application and environment that an object belongs to.
pub(crate) const INVENTORY: &str = "slipway.dev/inventory";
/// Names the generation that wrote an object.
const GENERATION: &str = "slipway.dev/generation";
/// How long what is deleted may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(90);
/// How long the core may take to name what a server wrote at the moment of its death: it lists such things half a
/// minute later.
const NAMED_WITHIN: Duration = Duration::from_secs(90);

type Names = BTreeSet<String>;

/// Asserts that all accounts of what a live deployment owns are the same.
pub(crate) fn assert_whole(ground: &Ground, space: &Namespace, live: &Value, document: Option<&Value>) {
    let text = |key: &str| live[key].as_str().expect("a text");
    let plan = ground.plan(text("environment"), text("bundle"), document);
    let wanted: Names = plan["objects"].as_array().into_iter().flatten().map(name_of).collect();
    assert!(!wanted.is_empty(), "{plan:#}");
    let labelled = wait::until("the labels name what is wanted", GONE_WITHIN, || {
        let labelled = cluster::all(space, INVENTORY);
        let names: Names = labelled.iter().map(name_of).collect();
        if names == wanted { Ok(labelled) } else { Err(format!("{names:?} in place of {wanted:?}")) }
    });
    let ids: BTreeSet<Option<&str>> =
        labelled.iter().map(|object| object["metadata"]["labels"][INVENTORY].as_str()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let newest = live["generation"].as_u64().expect("a generation");
    for object in &labelled {
        let mark = mark_of(object);
        assert!(mark.is_some_and(|mark| (1..=newest).contains(&mark)), "{mark:?} of {object:#}");
    }
    let shown = ground.show(live);
    let told = &shown["receiver"]["inventory"];
    if !told.is_null() {
        assert_eq!(names_in(told), wanted, "by the account of the page");
    }
    assert_eq!(kept(ground, space), wanted, "by the account of the core");
}

/// Asserts that the core's account and the labels' are the same, however far a deployment came.
pub(crate) fn assert_accounted(ground: &Ground, space: &Namespace) {
    wait::until("the labels name what the core keeps", GONE_WITHIN, || {
        let labelled: Names = cluster::all(space, INVENTORY).iter().map(name_of).collect();
        let kept = kept(ground, space);
        if labelled == kept { Ok(()) } else { Err(format!("{labelled:?} are there, {kept:?} are kept")) }
    });
}

/// What the core keeps.
fn kept(ground: &Ground, space: &Namespace) -> Names {
    let query =
        format!("select document from reconcile_state where environment like 'local/test/{}%'", space.name);
    let text = ground.server.value(&query);
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    names_in(&document["inventory"])
}

/// Every object that something names by `kind` and `name`, however deep.
fn names_in(value: &Value) -> Names {
    match value {
        Value::Object(fields) => {
            let named = value["kind"].as_str().zip(value["name"].as_str());
            let named = named.map(|(kind, name)| format!("{kind}/{name}"));
            fields.values().flat_map(names_in).chain(named).collect()
        }
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        _ => Names::new(),
    }
}

/// The generation that wrote an object, as its label or annotation says.
fn mark_of(object: &Value) -> Option<u64> {
    let metadata = &object["metadata"];
    let mark =
        metadata["annotations"][GENERATION].as_str().or_else(|| metadata["labels"][GENERATION].as_str());
    mark?.parse().ok()
}

/// An object at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which object it is.
    uid: Value,
    /// Which generation of the application wrote it.
    ours: u64,
    /// How often its specification changed.
    own: u64,
}

/// Every object that is the application's, by name.
pub(crate) fn marks(space: &Namespace) -> BTreeMap<String, Mark> {
    let mark = |object: &Value| Mark {
        uid: object["metadata"]["uid"].clone(),
        ours: mark_of(object).unwrap_or_default(),
        own: object["metadata"]["generation"].as_u64().unwrap_or_default(),
    };
    cluster::all(space, INVENTORY).iter().map(|object| (name_of(object), mark(object))).collect()
}

/// The same once the core names all of it, however far a deployment came: nothing is there that nobody would
/// remove.
pub(crate) fn named_marks(ground: &Ground, space: &Namespace) -> BTreeMap<String, Mark> {
    wait::until("the core names all that is labelled", NAMED_WITHIN, || {
        let found = marks(space);
        let kept = kept(ground, space);
        let unnamed: Names = found.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        if unnamed.is_empty() { Ok(found) } else { Err(format!("{unnamed:?} beside {kept:?}")) }
    })
}

/// Asserts that what was there before and is there still is the same object, and that no generation fell.
pub(crate) fn assert_risen(before: &BTreeMap<String, Mark>, after: &BTreeMap<String, Mark>) {
    for (name, was) in before {
        let Some(is) = after.get(name) else { continue };
        assert_eq!(is.uid, was.uid, "{name} was made anew");
        assert!(is.ours >= was.ours && is.own >= was.own, "{name}: {was:?}, then {is:?}");
    }
}
