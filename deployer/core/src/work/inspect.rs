//! How the objects of a graph stand in their cluster now, for whoever asks: by the rules by which nodes are waited for.
//! Nothing of it is kept, and nothing is driven by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::Utc;
use futures::future::{BoxFuture, join_all};
use serde_json::Value;
use slipway_handoff::{Key, ManifestSet, NodeName, Object, Revision};
use slipway_kubernetes::{Cluster, Freshness, ObjectKey};
use slipway_records::failure::FoundEvent;
use slipway_records::{LiveObject, LiveObjects, LiveState, LiveWanted};
use slipway_secrets::Mask;
use tokio::sync::Semaphore;

use super::evidence::events::{about, event};
use super::evidence::masking::values_of;
use super::evidence::{Asking, bounded, push_note, reason, text_at, time_at};
use super::key_of;
use super::look::stands_against;
use super::passing::{goes_by_itself, may_go_by_itself};
use super::pods::pods_of_workload;
use crate::inventory::{GENERATION, Live, belongs_to};
use crate::schedule::Verdict;

/// How long one look may take in all.
const WITHIN: Duration = Duration::from_secs(8);
/// So many objects are looked at once.
const OBJECTS_MAX: usize = 200;
/// Of so many objects that are not ready, the pods are asked for too.
const TROUBLED_MAX: usize = 10;
/// So many pods of one of them.
const PODS_MAX: usize = 5;
/// So many events of one object are told, the newest.
const EVENTS_MAX: usize = 5;
/// In so many namespaces, each with up to so many events, they are read at once.
const NAMESPACES_MAX: usize = 5;
const EVENTS_READ_MAX: u32 = 500;
/// So many Secrets of a graph are read to know what to hide.
const SECRETS_MAX: usize = 50;

/// What is said of an object that is not the key's.
const OTHERS: &str = "it is there, and does not say that it is this application's here";

/// A look at a graph's objects.
pub struct Inspection<'a> {
    /// Where they are.
    pub cluster: &'a Cluster,
    /// Whose they are.
    pub key: &'a Key,
    /// What was frozen.
    pub document: &'a Revision,
    /// Its objects, where [`Inspection::needs_manifests`]; without them what went by itself is missing.
    pub manifests: Option<&'a ManifestSet>,
    /// Nodes that were ready in this generation: what falls behind there did so after it was as wanted.
    pub was_live: &'a BTreeSet<NodeName>,
    /// Bounds how many requests are under way.
    pub permits: &'a Semaphore,
}

/// An object, and what the cluster said of it: how it is, that it is not there, or why it cannot be read.
struct Sight<'a> {
    node: &'a str,
    object: &'a Object,
    live: Result<Option<Value>, String>,
    /// Whether it is there and says that it is the key's. Of others nothing is told but that they are there: what
    /// was frozen may name any object.
    is_own: bool,
}

/// The events of one of the objects, by its place, and what could not be read.
type EventsOf<'a> = BoxFuture<'a, (usize, Vec<FoundEvent>, Vec<String>)>;

impl Inspection<'_> {
    /// Whether some object of a revision may have gone by itself, which only its manifest tells.
    pub fn needs_manifests(document: &Revision) -> bool {
        document.graph.objects().any(|(_, object)| may_go_by_itself(&object.object))
    }

    /// Looks at the objects that are wanted. What the cluster does not tell in time is unknown.
    pub async fn look(&self, wanted: &LiveWanted) -> LiveObjects {
        let (asking, asked_at) = (Asking::new(self.permits, WITHIN), Utc::now());
        let mut chosen = self.chosen(wanted);
        let next = (chosen.len() > OBJECTS_MAX).then(|| wanted.from.saturating_add(OBJECTS_MAX));
        chosen.truncate(OBJECTS_MAX);
        let sights = self.read(&chosen, &asking).await;
        let mut notes = Vec::new();
        let mut objects: Vec<LiveObject> = sights.iter().map(|sight| self.judged(sight)).collect();
        self.add_events(&sights, &mut objects, &asking, &mut notes).await;
        self.hide(&sights, &mut objects, &asking, &mut notes).await;
        LiveObjects { asked_at, objects, next, notes }
    }

    /// One more than are looked at, if there are more.
    fn chosen(&self, wanted: &LiveWanted) -> Vec<(&str, &Object)> {
        let nodes = self.document.graph.nodes();
        let is_meant = |name: &&NodeName| wanted.node.as_ref().is_none_or(|node| node == *name);
        let order = self.document.graph.order().into_iter().filter(is_meant);
        let objects =
            order.flat_map(move |name| nodes[name].objects.iter().map(move |object| (name.as_str(), object)));
        objects.skip(wanted.from).take(OBJECTS_MAX + 1).collect()
    }

    async fn read<'s>(&'s self, chosen: &[(&'s str, &'s Object)], asking: &Asking<'_>) -> Vec<Sight<'s>> {
        let mut reads: Vec<BoxFuture<'_, Result<Option<Value>, String>>> = Vec::with_capacity(chosen.len());
        for (_, object) in chosen {
            let key = key_of(&object.object);
            reads.push(Box::pin(async move { asking.ask(self.cluster.get(&key)).await }));
        }
        let read = join_all(reads).await;
        let sight = |(&(node, object), live): (&(&'s str, &'s Object), Result<Option<Value>, String>)| {
            let found = live.as_ref().ok().and_then(Option::as_ref);
            let is_own = found.is_some_and(|found| self.is_own(found));
            Sight { node, object, live, is_own }
        };
        chosen.iter().zip(read).map(sight).collect()
    }

    fn is_own(&self, found: &Value) -> bool {
        Live::of(found).is_ok_and(|live| belongs_to(&live, self.key))
    }

    fn judged(&self, sight: &Sight<'_>) -> LiveObject {
        let was_live = self.was_live.contains(sight.node);
        let live = sight.live.as_ref().ok().and_then(Option::as_ref);
        let (state, why) = match live {
            Some(_) if !sight.is_own => (LiveState::Unknown, OTHERS.to_owned()),
            _ => standing(sight.object, &sight.live, was_live, self.manifests),
        };
        let live = live.filter(|_| sight.is_own);
        LiveObject {
            node: sight.node.to_owned(),
            object: sight.object.object.to_string(),
            state,
            why,
            created_at: live.and_then(|live| time_at(live, "/metadata/creationTimestamp")),
            generation: live.and_then(generation),
            events: Vec::new(),
        }
    }

    async fn add_events(
        &self,
        sights: &[Sight<'_>],
        objects: &mut [LiveObject],
        asking: &Asking<'_>,
        notes: &mut Vec<String>,
    ) {
        let told = self.events_by_uid(sights, asking, notes).await;
        let mut asked: Vec<EventsOf<'_>> = Vec::new();
        for (place, (sight, object)) in sights.iter().zip(objects.iter_mut()).enumerate() {
            let Ok(Some(live)) = &sight.live else { continue };
            if !sight.is_own {
                continue;
            }
            let is_troubled = matches!(object.state, LiveState::Progressing | LiveState::Failed);
            if is_troubled && asked.len() < TROUBLED_MAX {
                asked.push(Box::pin(self.events_of(place, live, asking)));
            } else {
                object.events = told.get(text_at(live, "/metadata/uid")).cloned().unwrap_or_default();
            }
        }
        for (place, events, problems) in join_all(asked).await {
            objects[place].events = events;
            for problem in problems {
                push_note(notes, problem);
            }
        }
    }

    /// The newest events by the UID of what they are about, of namespaces that have not too many.
    async fn events_by_uid(
        &self,
        sights: &[Sight<'_>],
        asking: &Asking<'_>,
        notes: &mut Vec<String>,
    ) -> BTreeMap<String, Vec<FoundEvent>> {
        let there = sights.iter().filter(|sight| sight.is_own);
        let namespaces: BTreeSet<&String> =
            there.filter_map(|sight| sight.object.object.namespace.as_ref()).collect();
        let mut told: BTreeMap<String, Vec<FoundEvent>> = BTreeMap::new();
        for namespace in namespaces.into_iter().take(NAMESPACES_MAX) {
            let like = ObjectKey {
                api_version: "v1".to_owned(),
                kind: "Event".to_owned(),
                namespace: namespace.clone(),
                name: String::new(),
            };
            match asking.ask(self.cluster.list(&like, EVENTS_READ_MAX)).await {
                Ok(listed) if listed.all => {
                    for found in listed.objects.values() {
                        let uid = text_at(found, "/involvedObject/uid").to_owned();
                        told.entry(uid).or_default().push(event(found));
                    }
                }
                Ok(_) => {
                    let most = format!("{namespace} has more than {EVENTS_READ_MAX} events");
                    push_note(notes, format!("{most}: only those of what is not ready are read"));
                }
                Err(why) => push_note(notes, format!("events in {namespace} could not be read: {why}")),
            }
        }
        told.remove("");
        told.values_mut().for_each(keep_newest);
        told
    }

    /// The newest events about an object that is not ready, its ReplicaSets and its pods that are not.
    async fn events_of(
        &self,
        place: usize,
        live: &Value,
        asking: &Asking<'_>,
    ) -> (usize, Vec<FoundEvent>, Vec<String>) {
        let mut notes = Vec::new();
        let pods = asking.ask(pods_of_workload(self.cluster, live, Freshness::Now)).await;
        let mut pods = pods.ok().flatten().unwrap_or_default();
        pods.retain(|pod| !slipway_health::of(pod).state.is_ready());
        pods.truncate(PODS_MAX);
        let mut events = about(std::slice::from_ref(live), &pods, self.cluster, asking, &mut notes).await;
        keep_newest(&mut events);
        (place, events, notes)
    }

    /// Hides values of the graph's Secrets in what others wrote, and cuts it. Where it is not known what to hide,
    /// events have no sentence.
    async fn hide(
        &self,
        sights: &[Sight<'_>],
        objects: &mut [LiveObject],
        asking: &Asking<'_>,
        notes: &mut Vec<String>,
    ) {
        if objects.iter().all(|object| object.why.is_empty() && object.events.is_empty()) {
            return;
        }
        let mask = self.mask(sights, asking).await;
        if let Err(why) = &mask {
            push_note(notes, format!("what events say is left out, for it may hold a secret: {why}"));
            let events = objects.iter_mut().flat_map(|object| &mut object.events);
            events.for_each(|event| event.message.clear());
        }
        let mask = mask.unwrap_or_else(|_| Mask::new(&[]));
        for object in objects {
            object.why = bounded(&mask.mask(&object.why));
            for event in &mut object.events {
                event.message = bounded(&mask.mask(&event.message));
            }
        }
    }

    async fn mask(&self, sights: &[Sight<'_>], asking: &Asking<'_>) -> Result<Mask, String> {
        let is_read = |object: &Object| sights.iter().any(|sight| sight.object.object == object.object);
        let secrets = self.document.graph.objects().filter(|(_, object)| object.object.is_secret());
        let others: Vec<(&str, &Object)> = secrets
            .filter(|(_, object)| !is_read(object))
            .map(|(node, object)| (node.as_str(), object))
            .take(SECRETS_MAX + 1)
            .collect();
        if others.len() > SECRETS_MAX {
            return Err(format!("it has more than {SECRETS_MAX} Secrets"));
        }
        let others = self.read(&others, asking).await;
        let mut values = Vec::new();
        for sight in sights.iter().chain(&others).filter(|sight| sight.object.object.is_secret()) {
            match &sight.live {
                // Whoever may name another's Secret must not learn what stands in it by what is hidden.
                Ok(live) => values.extend(live.iter().filter(|_| sight.is_own).flat_map(values_of)),
                Err(why) => return Err(format!("{} could not be read: {why}", sight.object.object)),
            }
        }
        Ok(Mask::new(&values))
    }
}

/// Where an object stands, and why.
fn standing(
    object: &Object,
    live: &Result<Option<Value>, String>,
    was_live: bool,
    manifests: Option<&ManifestSet>,
) -> (LiveState, String) {
    let live = match live {
        Err(why) => return (LiveState::Unknown, why.clone()),
        Ok(None) if was_live && went_by_itself(object, manifests) => {
            return (LiveState::Ready, "it ended, and the cluster removed it".to_owned());
        }
        Ok(None) => return (LiveState::Missing, "it is not there".to_owned()),
        Ok(Some(live)) => live,
    };
    let Some(verdict) = stands_against(object, live, was_live) else {
        return (LiveState::Ready, String::new());
    };
    let state = match verdict {
        Verdict::Failed { .. } => LiveState::Failed,
        _ => LiveState::Progressing,
    };
    let told = reason(&verdict);
    let named = format!("{}: ", object.object);
    (state, told.strip_prefix(named.as_str()).unwrap_or(told).to_owned())
}

fn went_by_itself(object: &Object, manifests: Option<&ManifestSet>) -> bool {
    let manifest = manifests.and_then(|manifests| manifests.get(&object.manifest));
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    manifest.is_some_and(|manifest| goes_by_itself(&manifest))
}

/// The generation that wrote an object last, if it says so.
fn generation(live: &Value) -> Option<u64> {
    live["metadata"]["annotations"][GENERATION].as_str()?.parse().ok()
}

/// Keeps the newest events, the newest last.
fn keep_newest(events: &mut Vec<FoundEvent>) {
    events.sort_by_key(|event| event.at);
    events.drain(..events.len().saturating_sub(EVENTS_MAX));
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use slipway_handoff::{ObjectRef, Ready};

    use super::*;
    use crate::inventory::{INVENTORY, InventoryId, SHARED_BY};

    fn object(manifest: &Value, manifests: &mut ManifestSet) -> Object {
        let digest = manifests.insert(manifest);
        Object::new(ObjectRef::of(manifest).expect("a manifest"), digest)
    }

    fn claim(phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop", "annotations": {GENERATION: "7"}},
            "status": {"phase": phase}})
    }

    #[test]
    fn an_object_stands_as_the_core_would_wait_for_it() {
        let mut manifests = ManifestSet::new();
        let claimed = object(&claim(""), &mut manifests);
        let stands = |object: &Object, live: Result<Option<Value>, String>, was_live| {
            standing(object, &live, was_live, Some(&manifests))
        };
        assert_eq!(stands(&claimed, Ok(Some(claim("Bound"))), false), (LiveState::Ready, String::new()));
        let (state, why) = stands(&claimed, Ok(Some(claim("Pending"))), false);
        assert_eq!(state, LiveState::Progressing);
        assert!(!why.is_empty() && !why.contains("shop/data"), "{why}");
        assert_eq!(stands(&claimed, Ok(None), true).0, LiveState::Missing);
        assert_eq!(
            stands(&claimed, Err("no answer".to_owned()), true),
            (LiveState::Unknown, "no answer".to_owned())
        );
        let applied = Object { ready: Ready::Applied, ..claimed.clone() };
        assert_eq!(stands(&applied, Ok(Some(claim("Pending"))), false).0, LiveState::Ready);
        let wrong = Object { ready: Ready::Cel("self.(".to_owned()), ..claimed };
        assert_eq!(stands(&wrong, Ok(Some(claim("Bound"))), false).0, LiveState::Failed);
    }

    #[test]
    fn an_object_is_a_keys_by_labels_by_inventory_or_among_its_owners() {
        let key = |environment: &str| Key {
            environment: environment.parse().expect("an address"),
            application: "shop".parse().expect("a name"),
        };
        let ours = key("eu/kind/shop/prod");
        let is_ours = |metadata: Value| {
            let mut object = json!({"metadata": metadata});
            object["metadata"]["uid"] = "u".into();
            object["metadata"]["resourceVersion"] = "1".into();
            Live::of(&object).is_ok_and(|live| belongs_to(&live, &ours))
        };
        let inventory = |key: &Key| InventoryId::of(key).as_str().to_owned();
        let other = inventory(&key("eu/kind/shop/test"));
        assert!(is_ours(json!({"labels": {INVENTORY: inventory(&ours)}})));
        assert!(!is_ours(json!({"labels": {INVENTORY: other}})) && !is_ours(json!({})));
        let owners = format!("{other},{}", inventory(&ours));
        assert!(is_ours(json!({"labels": {INVENTORY: other}, "annotations": {SHARED_BY: owners}})));
        let labels = |stage: &str| json!({"slipway.dev/application": "shop", "slipway.dev/team": "default", "slipway.dev/stage": stage});
        assert!(is_ours(json!({"labels": labels("prod")})) && !is_ours(json!({"labels": labels("test")})));
    }

    #[test]
    fn a_job_that_went_after_its_end_was_as_wanted() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": "shop"},
            "spec": {"ttlSecondsAfterFinished": 60}});
        let mut manifests = ManifestSet::new();
        let job = object(&job, &mut manifests);
        assert_eq!(standing(&job, &Ok(None), true, Some(&manifests)).0, LiveState::Ready);
        assert_eq!(standing(&job, &Ok(None), false, Some(&manifests)).0, LiveState::Missing);
        assert_eq!(standing(&job, &Ok(None), true, None).0, LiveState::Missing);
        assert!(may_go_by_itself(&job.object));
    }

    #[test]
    fn the_generation_is_read_and_the_newest_events_are_kept() {
        assert_eq!(generation(&claim("Bound")), Some(7));
        assert_eq!(generation(&json!({"metadata": {"annotations": {GENERATION: "x"}}})), None);
        let at = |second| DateTime::from_timestamp(second, 0);
        let mut events: Vec<FoundEvent> =
            (0..9).rev().map(|second| FoundEvent { at: at(second), ..FoundEvent::default() }).collect();
        keep_newest(&mut events);
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events.last().map(|event| event.at), Some(at(8)));
    }
}
