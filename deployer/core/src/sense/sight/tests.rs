use std::sync::Arc;
use std::time::Duration;

use slipway_handoff::{Collect, ObjectRef};
use slipway_kubernetes::ObjectKey;
use slipway_types::Digest;

use super::*;
use crate::inventory::{Entry, InventoryId};
use crate::sense::Senses;

/// Longer than wakes are spread or kept apart.
const LATER: Duration = Duration::from_secs(60);

fn key(name: &str) -> Key {
    Key { environment: "eu/kind/shop".parse().unwrap(), application: name.parse().unwrap() }
}

fn kind(kind: &str) -> Kind {
    Kind { api_version: "v1".to_owned(), kind: kind.to_owned(), namespace: None }
}

fn inventory(kinds: &[&str]) -> Inventory {
    let entry = |kind: &&str| Entry {
        object: ObjectRef {
            api_version: "v1".to_owned(),
            kind: (*kind).to_owned(),
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
        },
        uid: None,
        generation: 1,
        collect: Collect::OnUpdate,
        shared: false,
    };
    Inventory::try_from(kinds.iter().map(entry).collect::<Vec<_>>()).unwrap()
}

fn object(kind: &str) -> ObjectKey {
    ObjectKey {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: "a".to_owned(),
    }
}

fn labels(owner: &Key) -> Arc<BTreeMap<String, String>> {
    Arc::new(BTreeMap::from([(INVENTORY.to_owned(), InventoryId::of(owner).as_str().to_owned())]))
}

fn seen(kind: &str, owner: &Key, content: &str) -> Sensed {
    let digest = Digest::of(content);
    Sensed::Seen { key: object(kind), labels: labels(owner), digest, object: serde_json::Value::Null }
}

/// What a list has of the one object of a kind.
fn glimpse(kind: &str, owner: &Key, content: &str) -> Glimpse {
    Glimpse {
        place: Place::of_key(&object(kind)),
        label: InventoryId::of(owner).as_str().to_owned(),
        digest: Digest::of(content),
    }
}

/// The key `shop` holds a Service and a Secret, the key `web` a Service; nothing is due.
struct Rig {
    sight: Sight,
    numbers: BTreeMap<&'static str, u64>,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::of(&Arc::new(Senses::default()))
    }

    fn of(senses: &Arc<Senses>) -> Self {
        let post = Post::take(Arc::clone(senses), "kind".to_owned());
        let mut sight = Sight::new("kind".to_owned(), post);
        let now = Instant::now();
        sight.learnt(&key("shop"), &inventory(&["Service", "Secret"]), now);
        sight.learnt(&key("web"), &inventory(&["Service"]), now);
        let numbers = ["Service", "Secret"].map(|name| (name, sight.begin(kind(name))));
        let mut rig = Self { sight, numbers: BTreeMap::from(numbers), now };
        assert_eq!(rig.woken(), [key("shop"), key("web")], "whoever is new is woken");
        rig
    }

    fn told(&mut self, of: &str, sensed: Sensed) -> bool {
        self.sight.take(&kind(of), self.numbers[of], sensed, self.now)
    }

    fn listed(&mut self, of: &str, glimpses: &[Glimpse]) -> bool {
        self.sight.take_all(&kind(of), self.numbers[of], glimpses, self.now)
    }

    fn all_told(&mut self) {
        for of in ["Service", "Secret"] {
            self.told(of, seen(of, &key("shop"), "1"));
            self.told(of, Sensed::Listed);
        }
    }

    fn is_whole(&self, name: &str) -> bool {
        self.sight.post.are_whole(self.sight.index.kinds_of(&key(name)))
    }

    /// Who is woken in time.
    fn woken(&mut self) -> Vec<Key> {
        self.now += LATER;
        self.sight.wakes.take(self.now, 100)
    }
}

#[test]
fn what_is_listed_first_wakes_nobody_and_what_changes_then_wakes_its_owner() {
    let mut rig = Rig::new();
    assert!(!rig.is_whole("shop"));
    rig.all_told();
    assert!(rig.is_whole("shop"));
    assert!(rig.woken().is_empty());
    rig.told("Service", seen("Service", &key("shop"), "1"));
    assert!(rig.woken().is_empty(), "it did not change");
    rig.told("Service", seen("Service", &key("shop"), "2"));
    assert_eq!(rig.woken(), [key("shop")]);
    rig.told("Service", Sensed::Gone { key: object("Service"), labels: labels(&key("shop")) });
    assert_eq!(rig.woken(), [key("shop")]);
    rig.told("Service", seen("Service", &key("web"), "2"));
    assert_eq!(rig.woken(), [key("web")], "it came");
}

#[test]
fn what_turned_out_not_to_be_good_is_looked_at_again_though_polls_saw_no_change() {
    let senses = Arc::new(Senses::default());
    let mut rig = Rig::of(&senses);
    let polled = [kind("Service")];
    let glimpses = [glimpse("Service", &key("shop"), "1")];
    rig.listed("Service", &glimpses);
    rig.listed("Service", &glimpses);
    assert!(rig.woken().is_empty(), "nothing changed");
    senses.not_good(&key("shop"));
    rig.sight.doubt(polled.iter());
    for _ in 0..DOUBTED_POLLS {
        rig.listed("Service", &glimpses);
        assert_eq!(rig.woken(), [key("shop")]);
    }
    rig.listed("Service", &glimpses);
    assert!(rig.woken().is_empty(), "it was looked at");
    senses.not_good(&key("shop"));
    rig.sight.doubt([].iter());
    rig.listed("Service", &glimpses);
    assert!(rig.woken().is_empty(), "what is watched is not doubted");
}

#[test]
fn an_object_that_changes_hands_wakes_both_and_one_that_loses_its_label_its_last_owner() {
    let mut rig = Rig::new();
    rig.all_told();
    rig.told("Service", seen("Service", &key("web"), "1"));
    assert_eq!(rig.woken(), [key("shop"), key("web")]);
    rig.told("Service", Sensed::Gone { key: object("Service"), labels: Arc::default() });
    assert_eq!(rig.woken(), [key("web")]);
}

#[test]
fn when_a_watch_breaks_those_who_relied_on_it_are_woken_once() {
    let mut rig = Rig::new();
    rig.all_told();
    rig.told("Secret", Sensed::Broken("away".to_owned()));
    assert!(rig.is_whole("web") && !rig.is_whole("shop"));
    assert_eq!(rig.woken(), [key("shop")]);
    rig.told("Secret", Sensed::Broken("away".to_owned()));
    assert!(rig.woken().is_empty(), "nobody relies on it now");
    rig.told("Secret", Sensed::Listed);
    assert!(rig.is_whole("shop"));
}

#[test]
fn a_break_that_mends_at_once_wakes_only_for_what_changed_meanwhile() {
    let mut rig = Rig::new();
    rig.all_told();
    for of in ["Service", "Secret"] {
        rig.told(of, Sensed::Broken("away".to_owned()));
    }
    for of in ["Service", "Secret"] {
        rig.told(of, seen(of, &key("shop"), if of == "Secret" { "2" } else { "1" }));
        rig.told(of, Sensed::Listed);
    }
    assert_eq!(rig.woken(), [key("shop")]);
}

#[test]
fn a_right_that_is_missing_leaves_those_who_hold_the_kind_on_the_ladder() {
    let mut rig = Rig::new();
    rig.told("Service", Sensed::Listed);
    rig.told("Secret", Sensed::Denied("secrets is forbidden".to_owned()));
    assert!(rig.is_whole("web") && !rig.is_whole("shop"));
    assert!(rig.woken().is_empty(), "nobody relied on it");
}

#[test]
fn a_label_of_nobody_is_asked_about_once() {
    let mut rig = Rig::new();
    rig.all_told();
    assert!(rig.told("Service", seen("Service", &key("other"), "1")));
    assert!(!rig.told("Service", seen("Service", &key("other"), "2")));
    assert_eq!(rig.woken(), [key("shop")], "whose it was");
    rig.sight.learnt(&key("other"), &inventory(&["Service"]), rig.now);
    assert_eq!(rig.woken(), [key("other")], "it is known now");
}

#[test]
fn what_an_ended_watch_still_tells_is_passed_over() {
    let mut rig = Rig::new();
    rig.all_told();
    rig.sight.end(&kind("Service"));
    assert!(!rig.is_whole("web"));
    rig.sight.begin(kind("Service"));
    rig.told("Service", Sensed::Listed);
    assert!(!rig.is_whole("web"), "that was the old one's list");
}

#[test]
fn lists_tell_what_changed_came_and_went_since_the_one_before() {
    let mut rig = Rig::new();
    assert!(!rig.listed("Secret", &[]));
    rig.listed("Service", &[glimpse("Service", &key("shop"), "1")]);
    assert!(rig.is_whole("shop"));
    assert!(rig.woken().is_empty(), "the first list wakes nobody");
    rig.listed("Service", &[glimpse("Service", &key("shop"), "1")]);
    assert!(rig.woken().is_empty());
    rig.listed("Service", &[glimpse("Service", &key("shop"), "2")]);
    assert_eq!(rig.woken(), [key("shop")]);
    rig.listed("Service", &[glimpse("Service", &key("web"), "2")]);
    assert_eq!(rig.woken(), [key("shop"), key("web")], "it changed hands");
    rig.listed("Service", &[]);
    assert_eq!(rig.woken(), [key("web")]);
    rig.listed("Secret", &[glimpse("Secret", &key("shop"), "1")]);
    assert_eq!(rig.woken(), [key("shop")], "it came");
    assert!(rig.listed("Secret", &[glimpse("Secret", &key("other"), "1")]), "nobody knows whose it is");
}

#[test]
fn a_list_goes_on_where_a_watch_ended() {
    let mut rig = Rig::new();
    rig.all_told();
    rig.listed("Service", &[glimpse("Service", &key("shop"), "1")]);
    assert!(rig.woken().is_empty(), "both tell the same of what is the same");
    rig.listed("Service", &[glimpse("Service", &key("shop"), "2")]);
    assert_eq!(rig.woken(), [key("shop")]);
}

#[test]
fn when_a_cluster_expires_those_who_relied_on_it_are_woken_and_all_when_it_is_back() {
    let mut rig = Rig::new();
    rig.all_told();
    let kinds = [kind("Secret"), kind("Service")];
    rig.sight.expired(kinds.iter(), "no route", rig.now);
    assert!(!rig.is_whole("shop") && !rig.is_whole("web"));
    assert_eq!(rig.woken(), [key("shop"), key("web")]);
    rig.sight.returned(rig.now);
    rig.listed("Service", &[glimpse("Service", &key("shop"), "1")]);
    assert_eq!(
        rig.woken(),
        [key("shop"), key("web")],
        "they are to say that it is back, though nothing changed"
    );
    assert!(rig.is_whole("web"));
}
