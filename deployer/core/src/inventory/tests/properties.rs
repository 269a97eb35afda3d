//! Two applications, people and a backup work on one cluster, in any order, with crashes between.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Everything that anybody may want.
fn pool() -> Vec<Value> {
    let of = |version: &str, kind: &str, namespace: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "databases.db.example.com"}});
    vec![
        namespace("shop"),
        definition,
        of("db.example.com/v1", "Database", "shop", "main"),
        config_map("a"),
        config_map("b"),
        of("v1", "Secret", "shop", "a"),
        of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "shop", "a"),
        deployment("web"),
    ]
}

/// What a generation wants, by place in the pool: when it goes, whether it is shared, and its content.
type Plan = BTreeMap<usize, (Collect, bool, u8)>;

#[derive(Debug, Clone)]
enum Happening {
    Deploys {
        who: usize,
        plan: Plan,
        /// The core dies before this object, and the answer to its last write is lost.
        dies_before: Option<usize>,
    },
    /// A person makes an object anew.
    Put(usize),
    /// A backup brings an object back as another one.
    Restore(usize),
    /// A person removes the label.
    Unlabel(usize),
    /// A person writes a field.
    Edit(usize),
}

fn plan() -> impl Strategy<Value = Plan> {
    let collect =
        prop_oneof![3 => Just(Collect::OnUpdate), 1 => Just(Collect::OnDelete), 1 => Just(Collect::Never)];
    prop::collection::btree_map(0..pool().len(), (collect, any::<bool>(), 0u8..2), 0..8)
}

fn deploys() -> impl Strategy<Value = Happening> {
    (0usize..2, plan(), prop::option::weighted(0.2, 0usize..6))
        .prop_map(|(who, plan, dies_before)| Happening::Deploys { who, plan, dies_before })
}

fn happening() -> impl Strategy<Value = Happening> {
    let at = 0..pool().len();
    prop_oneof![
        6 => deploys(),
        1 => at.clone().prop_map(Happening::Put),
        1 => at.clone().prop_map(Happening::Restore),
        1 => at.clone().prop_map(Happening::Unlabel),
        1 => at.prop_map(Happening::Edit),
    ]
}

struct Application {
    name: &'static str,
    held: Inventory,
    generation: u64,
}

struct World {
    cluster: Cluster,
    applications: [Application; 2],
}

impl World {
    fn new() -> Self {
        let application = |name| Application { name, held: Inventory::default(), generation: 0 };
        Self { cluster: Cluster::default(), applications: [application("shop"), application("web")] }
    }

    fn happens(&mut self, happening: &Happening) {
        let (cluster, pool) = (&mut self.cluster, pool());
        let there = |cluster: &Cluster, at: usize| {
            ObjectRef::of(&pool[at]).filter(|object| cluster.get(object).is_some())
        };
        match happening {
            Happening::Deploys { who, plan, dies_before } => self.deploys(*who, plan, *dies_before),
            Happening::Put(at) => cluster.put("kubectl", &pool[*at]),
            Happening::Restore(at) => there(cluster, *at).iter().for_each(|object| cluster.restore(object)),
            Happening::Unlabel(at) => there(cluster, *at).iter().for_each(|object| {
                let label = ["f:metadata", "f:labels", "f:slipway.dev/inventory"];
                cluster.update("kubectl", object, &label, Value::Null);
            }),
            Happening::Edit(at) => there(cluster, *at)
                .iter()
                .for_each(|object| cluster.update("kubectl", object, &["f:content"], json!("edited"))),
        }
    }

    fn deploys(&mut self, who: usize, plan: &Plan, dies_before: Option<usize>) {
        let pool = pool();
        let application = &mut self.applications[who];
        application.generation += 1;
        let marks = marks_of(application.name, application.generation);
        let mut objects: Vec<(Object, Value)> = plan
            .iter()
            .map(|(at, (collect, shared, content))| {
                let mut manifest = pool[*at].clone();
                manifest["content"] = content.to_string().into();
                (Object { collect: *collect, shared: *shared, ..object(&manifest) }, manifest)
            })
            .collect();
        apply_order(&mut objects, |(object, _)| &object.object);
        let wanted =
            inventory(objects.iter().map(|(object, _)| object.clone()).collect(), application.generation);
        let before = application.held.clone();
        application.held = before.union_before_apply(&wanted);
        assert!(before.entries().chain(wanted.entries()).all(|entry| application.held.has(&entry.object)));
        for (index, (object, manifest)) in objects.iter().enumerate() {
            let dies = dies_before.is_some_and(|dies| dies <= index + 1);
            if applies(&mut self.cluster, object, manifest, &marks) && !dies {
                let uid = self.cluster.uid(&object.object);
                assert!(application.held.applied(&object.object, &uid, marks.generation()));
            }
            if dies {
                return;
            }
        }
        self.sweeps(
            who,
            &Sweep::Update { wanted: &wanted, allow_empty: marks.generation().is_multiple_of(2) },
            &wanted,
            &marks,
        );
        for (object, manifest) in &objects {
            let verdict = judge(&self.cluster, object, manifest, &marks);
            let quiet = matches!(
                verdict,
                Verdict::AlreadySame | Verdict::Borrow | Verdict::Refused(Refusal::Foreign { .. })
            );
            assert!(quiet, "{verdict:?}");
        }
    }

    fn removes(&mut self, who: usize) {
        let application = &mut self.applications[who];
        application.generation += 1;
        let marks = marks_of(application.name, application.generation);
        self.sweeps(who, &Sweep::Removal, &Inventory::default(), &marks);
    }

    fn sweeps(&mut self, who: usize, sweep: &Sweep<'_>, wanted: &Inventory, marks: &Marks) {
        let held = self.applications[who].held.clone();
        let Ok(prunings) = pruned(&self.cluster, &held, sweep, marks) else {
            let is_own = |entry: &Entry| entry.object.is_namespace() && entry.collect == Collect::Never;
            assert!(wanted.entries().all(is_own));
            return;
        };
        let ranks: Vec<u8> = prunings.iter().map(|pruning| rank(&pruning.object)).collect();
        assert!(ranks.is_sorted_by(|earlier, later| earlier >= later), "{ranks:?}");
        let mut staying: BTreeSet<ObjectRef> = wanted.entries().map(|entry| entry.object.clone()).collect();
        for Pruning { object, fate } in &prunings {
            assert!(!wanted.has(object), "{object} is wanted");
            match fate {
                Fate::Delete { uid, resource_version } => {
                    assert!(!takes_along(object), "others may have something in it");
                    self.check_removal(who, held.get(object).unwrap(), uid, sweep);
                    self.cluster.delete(object, uid, resource_version).unwrap();
                }
                Fate::Release(write) => {
                    let uid = self.cluster.uid(object);
                    self.cluster.apply(write).unwrap();
                    assert_eq!(self.cluster.uid(object), uid);
                }
                Fate::Leave(patch) => {
                    let uid = self.cluster.uid(object);
                    self.cluster.merge(OWNERS_MANAGER, object, patch);
                    let found = self.cluster.get(object).unwrap();
                    let live = Live::of(&found).unwrap();
                    assert_eq!((live.uid(), live.inventory()), (uid.as_str(), None));
                }
                Fate::Keep(_) | Fate::Going(_) => {
                    staying.insert(object.clone());
                    continue;
                }
                Fate::Gone | Fate::Moved | Fate::NotOurs(_) => {}
            }
            assert!(self.applications[who].held.dropped(object).is_some());
        }
        let left: BTreeSet<ObjectRef> =
            self.applications[who].held.entries().map(|entry| entry.object.clone()).collect();
        assert_eq!(left, staying);
    }

    /// What must be so before anything is removed, looked at without the code under test.
    fn check_removal(&self, who: usize, entry: &Entry, uid: &str, sweep: &Sweep<'_>) {
        let found = self.cluster.get(&entry.object).unwrap();
        let inventory = marks_of(self.applications[who].name, 1).inventory().clone();
        assert_eq!(found["metadata"]["labels"][INVENTORY], inventory.as_str());
        assert_eq!(found["metadata"]["uid"], uid);
        assert!(entry.uid.as_deref().is_none_or(|applied| applied == uid));
        assert_eq!(self.cluster.made_by[uid], FIELD_MANAGER, "Slipway made it");
        assert_ne!(entry.collect, Collect::Never);
        assert!(entry.collect == Collect::OnUpdate || matches!(sweep, Sweep::Removal));
        let listed = found["metadata"]["annotations"][SHARED_BY].as_str().unwrap_or(inventory.as_str());
        assert_eq!(listed, inventory.as_str());
    }
}

/// Whether the object is there as wanted in the end.
fn applies(cluster: &mut Cluster, object: &Object, manifest: &Value, marks: &Marks) -> bool {
    for _ in 0..3 {
        match judge(cluster, object, manifest, marks) {
            Verdict::Create(write) | Verdict::Update(write) | Verdict::Join(write) => {
                cluster.apply(&write).unwrap();
            }
            Verdict::AlreadySame | Verdict::Borrow => return true,
            Verdict::Wait(_) | Verdict::Refused(_) => return false,
        }
    }
    panic!("{} never settles", object.object)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_that_is_not_ours_or_is_wanted(happenings in prop::collection::vec(happening(), 1..10)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        for who in [0, 1] {
            world.removes(who);
        }
        prop_assert!(world.cluster.removed.iter().all(|(_, uid)| world.cluster.made_by[uid] == FIELD_MANAGER));
    }

    #[test]
    fn undisturbed_applications_leave_nothing_but_what_is_to_stay(
        happenings in prop::collection::vec(deploys(), 1..8),
        order in prop::sample::select(vec![[0, 1], [1, 0]]),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        for who in order {
            world.removes(who);
        }
        // What was in the way of the first may have gone with the second.
        world.removes(order[0]);
        for object in world.cluster.objects() {
            let holders = world.applications.iter().filter_map(|application| application.held.get(object));
            let stays = holders.clone().any(|entry| entry.collect == Collect::Never) || takes_along(object);
            prop_assert!(stays, "{} was left", object);
        }
    }

    #[test]
    fn a_lost_inventory_is_rebuilt_whole(happenings in prop::collection::vec(deploys(), 1..8)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happens(happening);
        }
        let all = world.cluster.all();
        for application in &world.applications {
            let marks = marks_of(application.name, 1);
            let rebuilt = Inventory::rebuilt(marks.inventory(), &all);
            // Everything that says that it is ours, and nothing that was not held before.
            let ours = all.iter().filter(|object| object["metadata"]["labels"][INVENTORY] == marks.inventory().as_str());
            prop_assert!(ours.clone().all(|object| rebuilt.has(&ObjectRef::of(object).unwrap())));
            for entry in rebuilt.entries() {
                let held = application.held.get(&entry.object);
                prop_assert!(held.is_some(), "{}", entry.object);
                prop_assert!(held.is_some_and(|held| held.uid.is_none() || held.uid == entry.uid));
            }
        }
    }

    #[test]
    fn a_union_has_both_and_is_stable(old in plan(), new in plan()) {
        let pool = pool();
        let of = |plan: &Plan, generation| {
            let objects = plan.iter().map(|(at, (collect, shared, _))| {
                Object { collect: *collect, shared: *shared, ..object(&pool[*at]) }
            });
            inventory(objects.collect(), generation)
        };
        let (mut old, new) = (of(&old, 1), of(&new, 2));
        let references: Vec<ObjectRef> = old.entries().map(|entry| entry.object.clone()).collect();
        for reference in &references {
            prop_assert!(old.applied(reference, &reference.to_string(), 1));
        }
        let union = old.union_before_apply(&new);
        prop_assert_eq!(union.union_before_apply(&new), union.clone());
        prop_assert_eq!(union.len(), new.len() + old.beyond(&new).count());
        for entry in union.entries() {
            let (before, after) = (old.get(&entry.object), new.get(&entry.object));
            prop_assert_eq!(entry.uid.as_ref(), before.and_then(|before| before.uid.as_ref()));
            let said = after.or(before).map(|said| (said.generation, said.collect, said.shared));
            prop_assert_eq!(said, Some((entry.generation, entry.collect, entry.shared)));
        }
    }

    #[test]
    fn what_was_applied_first_goes_last(plan in plan()) {
        let pool = pool();
        let mut applied: Vec<ObjectRef> = plan.keys().filter_map(|at| ObjectRef::of(&pool[*at])).collect();
        let held = inventory(applied.iter().map(|one| Object::new(one.clone(), Digest::of("x"))).collect(), 1);
        applied = held.entries().map(|entry| entry.object.clone()).collect();
        apply_order(&mut applied, |object| object);
        applied.reverse();
        let prunings = prune(&held, &Sweep::Removal, &marks_of("shop", 2), &Sights::new()).unwrap();
        prop_assert_eq!(prunings.into_iter().map(|pruning| pruning.object).collect::<Vec<_>>(), applied);
    }
}
