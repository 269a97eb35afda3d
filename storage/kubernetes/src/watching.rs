//! Objects as they change.
//!
//! A watch tells every object at its beginning, then what changes. After whatever broke it, it begins
//! with a full list again. It keeps no objects, only their names and labels: so what was deleted while
//! nobody watched is told as soon as that list is complete, as if it had been seen to go.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::runtime::watcher::{DefaultBackoff, Event};
use serde_json::Value;
use slipway_types::Digest;
use tokio::time::Instant;

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::objects::{ObjectKey, typed};
use crate::presence::is_silence;

/// Labels by their keys. Objects of one application mostly have the same ones.
type Labels = Arc<BTreeMap<String, String>>;

/// Namespace and name.
type Place = (String, String);

/// How often a kind is looked for that the cluster does not serve.
const UNSERVED_PAUSE: Duration = Duration::from_secs(30);
/// How long a watch is believed before everything is listed again. Each watch adds up to four minutes, so
/// that not all list at once.
const LIST_EVERY: Duration = Duration::from_secs(600);

/// What a watch tells.
#[derive(Clone, PartialEq)]
pub enum Sensed {
    /// An object that is there: as it is now, which need not be new.
    Seen {
        /// Which one.
        key: ObjectKey,
        /// Its labels.
        labels: Arc<BTreeMap<String, String>>,
        /// Of all that it is: see [`digest_of`].
        digest: Digest,
        /// The object without its `managedFields`.
        object: Value,
    },
    /// An object that is not there any more, or that the selector does not choose any more.
    Gone {
        /// Which one.
        key: ObjectKey,
        /// Its last labels.
        labels: Arc<BTreeMap<String, String>>,
    },
    /// Every object there is was told since the watch began or broke, and every one that went meanwhile.
    /// Of a kind that the cluster does not serve there is none.
    Listed,
    /// The watch is broken, for this reason. It mends itself; then all is told again, up to
    /// [`Sensed::Listed`].
    Broken(String),
    /// The same, but because a right is missing, which this names: it stays so until somebody gives it.
    Denied(String),
}

/// Objects may hold secrets: they are not shown.
impl fmt::Debug for Sensed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen { key, labels, digest, object: _ } => {
                write!(f, "Seen({key}, {labels:?}, {})", digest.short())
            }
            Self::Gone { key, labels } => write!(f, "Gone({key}, {labels:?})"),
            Self::Listed => f.write_str("Listed"),
            Self::Broken(why) => write!(f, "Broken({why})"),
            Self::Denied(why) => write!(f, "Denied({why})"),
        }
    }
}

/// The digest of what an object is: everything but its `resourceVersion` and its `managedFields`, which
/// change by writes that change nothing.
pub fn digest_of(object: &Value) -> Digest {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for passing in ["resourceVersion", "managedFields", "selfLink"] {
            metadata.remove(passing);
        }
    }
    Digest::of(object.to_string())
}

impl Cluster {
    /// What becomes of the objects of a kind (`apiVersion`, `kind`), in `namespace` or anywhere in the cluster,
    /// that a label selector chooses. The stream never ends; what was not taken from it is not lost.
    ///
    /// It needs the rights to list and to watch the kind there; without them it tells [`Sensed::Denied`] until
    /// it has them.
    pub fn watch(
        &self,
        kind: (String, String),
        namespace: Option<String>,
        selector: String,
    ) -> BoxStream<'static, Sensed> {
        let watching = Watching {
            cluster: self.clone(),
            namespace,
            selector,
            events: None,
            told: Told::new(kind),
            ready: VecDeque::new(),
            backoff: DefaultBackoff::default(),
            pause: None,
            is_new_kind: false,
            list_at: Instant::now(),
        };
        let next = |mut watching: Watching| async move {
            let sensed = watching.next().await;
            Some((sensed, watching))
        };
        stream::unfold(watching, next).boxed()
    }
}

/// A watch and what it needs to begin again.
struct Watching {
    cluster: Cluster,
    /// `None`: anywhere.
    namespace: Option<String>,
    selector: String,
    events: Option<BoxStream<'static, watcher::Result<Event<DynamicObject>>>>,
    told: Told,
    /// What is still to be given.
    ready: VecDeque<Sensed>,
    backoff: DefaultBackoff,
    /// How long to wait before the next attempt.
    pause: Option<Duration>,
    /// Whether the kind may have another place by now than the list of kinds says.
    is_new_kind: bool,
    /// When everything is listed again.
    list_at: Instant,
}

impl Watching {
    async fn next(&mut self) -> Sensed {
        loop {
            if let Some(sensed) = self.ready.pop_front() {
                return sensed;
            }
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
                self.cluster.turned(true, true).await;
            }
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let is_listing = self.told.is_listing();
        if !is_listing && Instant::now() >= self.list_at {
            self.events = None;
        }
        let limit = self.cluster.call_limit();
        let quiet = if is_listing { limit } else { Duration::from_secs(self.cluster.options.silence_s) };
        let Some(events) = &mut self.events else { return self.begin().await };
        match tokio::time::timeout(quiet, events.next()).await {
            Ok(Some(Ok(event))) => {
                self.cluster.breaker.answered();
                self.ready.extend(self.told.take(event));
            }
            Ok(Some(Err(error))) => {
                let has_answer = !begins_in_silence(&error);
                self.fail_by(meaning(error), has_answer);
            }
            Ok(None) => self.events = None,
            Err(_) if is_listing => self.fail_by(CallError::no_answer(limit), false),
            // A server that is gone without a word is as silent as one where nothing happens.
            Err(_) => {
                if let Err(error) = self.cluster.answers().await {
                    self.fail(error);
                }
            }
        }
    }

    async fn begin(&mut self) {
        if let Err(error) = self.cluster.admitted().await {
            return self.fail(error);
        }
        if std::mem::take(&mut self.is_new_kind)
            && let Err(error) = self.cluster.kinds_now().await
        {
            return self.fail(error);
        }
        let resource = &self.told.resource;
        match self.cluster.served_any(&resource.api_version, &resource.kind).await {
            Ok(Some(served)) => {
                let config = watcher::Config::default().labels(&self.selector);
                let api = self.cluster.api_of(&served, self.namespace.as_deref());
                self.events = Some(watcher(api, config).boxed());
                self.told.begin(served.resource);
                self.list_at = Instant::now() + LIST_EVERY + self.spread();
            }
            Ok(None) => {
                self.ready.extend(self.told.end_empty());
                self.pause = Some(UNSERVED_PAUSE);
            }
            Err(error) => self.fail(error),
        }
    }

    /// A time of its own for each watch.
    fn spread(&self) -> Duration {
        let resource = &self.told.resource;
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let name = format!("{} {} {namespace} {}", resource.api_version, resource.kind, self.selector);
        let [first, ..] = *Digest::of(name).as_bytes();
        Duration::from_secs(first.into())
    }

    /// The same, but if nobody answered it is looked into whether anybody does.
    fn fail_by(&mut self, error: CallError, has_answer: bool) {
        let error = if has_answer { error } else { self.cluster.unanswered(Instant::now(), error) };
        self.fail(error);
    }

    /// Begins anew in a while. The watcher would go on by itself, and would not say that it does.
    fn fail(&mut self, error: CallError) {
        self.events = None;
        self.pause = self.backoff.next();
        self.is_new_kind = error.is_not_found();
        // That a version is too old is said of a watch that was away, and mended by the list.
        if error.has_code(403) {
            self.ready.push_back(Sensed::Denied(error.says()));
        } else if !error.has_code(410) {
            self.ready.push_back(Sensed::Broken(error.says()));
        }
    }
}

/// Whether nobody answered when a watch or its list was asked for. That one which was there breaks says nothing: much
/// that lies between ends long answers.
fn begins_in_silence(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            is_silence(error)
        }
        watcher::Error::WatchFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::NoResourceVersion => false,
    }
}

fn meaning(error: watcher::Error) -> CallError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => CallError::of(error),
        watcher::Error::WatchError(status) => CallError::of(kube::Error::Api(status)),
        watcher::Error::NoResourceVersion => CallError::Away(error.to_string()),
    }
}

/// What a watch has told of, so that it can tell what went.
struct Told {
    resource: ApiResource,
    objects: BTreeMap<Place, Labels>,
    /// Those that objects have, each once.
    labels: HashSet<Labels>,
    /// What the list had so far that is under way.
    listed: Option<BTreeSet<Place>>,
}

impl Told {
    fn new((api_version, kind): (String, String)) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version.as_str()));
        let (group, version) = (group.to_owned(), version.to_owned());
        // Its place in the API comes with the list of kinds.
        let resource = ApiResource { group, version, api_version, kind, plural: String::new() };
        Self { resource, objects: BTreeMap::new(), labels: HashSet::new(), listed: None }
    }

    fn is_listing(&self) -> bool {
        self.listed.is_some()
    }

    /// A list begins.
    fn begin(&mut self, resource: ApiResource) {
        self.resource = resource;
        self.listed = Some(BTreeSet::new());
    }

    fn take(&mut self, event: Event<DynamicObject>) -> Vec<Sensed> {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) | Event::Apply(object) => vec![self.seen(object)],
            Event::Delete(object) => {
                let place = place_of(&object);
                self.objects.remove(&place);
                vec![self.gone(place, Arc::new(object.metadata.labels.unwrap_or_default()))]
            }
            Event::InitDone => self.end(),
        }
    }

    fn seen(&mut self, mut object: DynamicObject) -> Sensed {
        object.metadata.managed_fields = None;
        let place = place_of(&object);
        let labels = self.labels_once(object.metadata.labels.clone().unwrap_or_default());
        if let Some(listed) = &mut self.listed {
            listed.insert(place.clone());
        }
        self.objects.insert(place.clone(), Arc::clone(&labels));
        let object = typed(object, &self.resource);
        Sensed::Seen { key: self.key(place), labels, digest: digest_of(&object), object }
    }

    fn labels_once(&mut self, labels: BTreeMap<String, String>) -> Labels {
        if let Some(known) = self.labels.get(&labels) {
            return Arc::clone(known);
        }
        let labels = Arc::new(labels);
        self.labels.insert(Arc::clone(&labels));
        labels
    }

    /// The list is complete: what it does not have went.
    fn end(&mut self) -> Vec<Sensed> {
        let listed = self.listed.take().unwrap_or_default();
        let all = std::mem::take(&mut self.objects).into_iter();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.partition(|(place, _)| listed.contains(place));
        self.objects = kept;
        // Only here: what comes and goes in between is little.
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        let gone = gone.into_iter().map(|(place, labels)| self.gone(place, labels));
        gone.chain([Sensed::Listed]).collect()
    }

    /// There is no object.
    fn end_empty(&mut self) -> Vec<Sensed> {
        self.listed = None;
        self.end()
    }

    fn gone(&self, place: Place, labels: Labels) -> Sensed {
        Sensed::Gone { key: self.key(place), labels }
    }

    fn key(&self, (namespace, name): Place) -> ObjectKey {
        let ApiResource { api_version, kind, .. } = self.resource.clone();
        ObjectKey { api_version, kind, namespace, name }
    }
}

fn place_of(object: &DynamicObject) -> Place {
    let metadata = &object.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, status: &str) -> DynamicObject {
        let object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "labels": {"of": name},
                "managedFields": [{"manager": "somebody"}],
            },
            "status": {"phase": status},
        });
        serde_json::from_value(object).expect("an object")
    }

    fn told() -> Told {
        Told::new(("apps/v1".to_owned(), "Deployment".to_owned()))
    }

    /// What is told of these events, in short.
    fn told_of(told: &mut Told, events: impl IntoIterator<Item = Event<DynamicObject>>) -> Vec<String> {
        let sensed = events.into_iter().flat_map(|event| told.take(event));
        let short = sensed.map(|sensed| match sensed {
            Sensed::Seen { key, .. } => format!("+{}", key.name),
            Sensed::Gone { key, labels } => format!("-{} of {}", key.name, labels["of"]),
            Sensed::Listed => "listed".to_owned(),
            Sensed::Broken(why) | Sensed::Denied(why) => why,
        });
        short.collect()
    }

    #[test]
    fn what_went_while_nobody_watched_is_told_when_the_next_list_is_complete() {
        let mut told = told();
        let events = [Event::Init, Event::InitApply(object("a", "")), Event::InitDone];
        assert_eq!(told_of(&mut told, events), ["+a", "listed"]);
        let events = [Event::Apply(object("b", "")), Event::Apply(object("c", ""))];
        assert_eq!(told_of(&mut told, events), ["+b", "+c"]);
        let events = [Event::Init, Event::InitApply(object("b", "")), Event::InitDone];
        assert_eq!(told_of(&mut told, events), ["+b", "-a of a", "-c of c", "listed"]);
        assert_eq!(told_of(&mut told, [Event::Init, Event::InitDone]), ["-b of b", "listed"]);
    }

    #[test]
    fn a_list_that_broke_off_makes_nothing_go() {
        let mut told = told();
        let both = [object("a", ""), object("b", "")];
        let events = both.clone().map(Event::InitApply);
        told_of(&mut told, [Event::Init].into_iter().chain(events).chain([Event::InitDone]));
        assert_eq!(told_of(&mut told, [Event::Init, Event::InitApply(object("b", ""))]), ["+b"]);
        let [first, second] = both.map(Event::InitApply);
        let events = [Event::Init, second, first, Event::InitDone];
        assert_eq!(told_of(&mut told, events), ["+b", "+a", "listed"]);
    }

    #[test]
    fn with_its_kind_every_object_goes() {
        let mut told = told();
        let events = [Event::Init, Event::InitApply(object("a", "")), Event::InitDone];
        told_of(&mut told, events);
        told_of(&mut told, [Event::Init, Event::InitApply(object("a", ""))]);
        let ended = told.end_empty();
        assert!(matches!(ended.as_slice(), [Sensed::Gone { .. }, Sensed::Listed]), "{ended:?}");
    }

    #[test]
    fn what_was_seen_to_go_is_told_once() {
        let mut told = told();
        let events = [Event::Init, Event::InitDone, Event::Apply(object("a", ""))];
        assert_eq!(told_of(&mut told, events), ["listed", "+a"]);
        assert_eq!(told_of(&mut told, [Event::Delete(object("a", ""))]), ["-a of a"]);
        assert_eq!(told_of(&mut told, [Event::Init, Event::InitDone]), ["listed"]);
    }

    #[test]
    fn labels_are_kept_once_and_only_while_an_object_has_them() {
        let mut told = told();
        let labelled = |name: &str, of: &str| {
            let mut object = object(name, "");
            object.metadata.labels = Some([("of".to_owned(), of.to_owned())].into());
            Event::Apply(object)
        };
        let all =
            [labelled("a", "shop"), labelled("b", "shop"), labelled("c", "blog"), labelled("c", "shop")];
        told_of(&mut told, [Event::Init].into_iter().chain(all).chain([Event::InitDone]));
        assert_eq!(told.labels.len(), 1, "{:?}", told.labels);
        assert_eq!(told_of(&mut told, [Event::Init, Event::InitDone]).len(), 4);
        told_of(&mut told, [Event::Init, Event::InitDone]);
        assert!(told.labels.is_empty(), "{:?}", told.labels);
    }

    #[test]
    fn an_object_is_told_with_its_kind_and_without_its_managers() {
        let mut told = told();
        let seen = told.take(Event::Apply(object("a", "Ready")));
        let [Sensed::Seen { key, object, digest, .. }] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((key.kind.as_str(), key.namespace.as_str()), ("Deployment", "shop"));
        assert_eq!((&object["apiVersion"], &object["kind"]), (&json!("apps/v1"), &json!("Deployment")));
        assert!(object["metadata"].get("managedFields").is_none());
        assert_eq!(*digest, digest_of(object));
        assert!(!format!("{seen:?}").contains("Ready"), "objects are not shown");
    }

    #[test]
    fn the_digest_passes_over_versions_and_managers_and_nothing_else() {
        let plain = json!({"metadata": {"name": "a", "labels": {"of": "a"}}, "data": {"a": "1"}});
        let with = |pointer: &str, name: &str, value: Value| {
            let mut object = plain.clone();
            let map = object.pointer_mut(pointer).and_then(Value::as_object_mut).expect("a map");
            map.insert(name.to_owned(), value);
            digest_of(&object)
        };
        let same = digest_of(&plain);
        assert_eq!(with("/metadata", "resourceVersion", json!("7")), same);
        assert_eq!(with("/metadata", "managedFields", json!([{"manager": "a"}])), same);
        let others = [
            with("", "status", json!({"ready": 1})),
            with("", "spec", json!({"replicas": 2})),
            with("/data", "b", json!("2")),
            with("/metadata/labels", "of", json!("b")),
            with("/metadata", "annotations", json!({"a": "b"})),
            with("/metadata", "uid", json!("another")),
            with("/metadata", "deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ];
        assert!(!others.contains(&same), "{others:?}");
    }
}
