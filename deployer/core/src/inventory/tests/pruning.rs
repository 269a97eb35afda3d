use super::*;

/// One object that was applied and is no longer wanted.
struct Left {
    cluster: Cluster,
    held: Inventory,
    object: Object,
    marks: Marks,
}

impl Left {
    fn of(object: Object, manifest: &Value) -> Self {
        let (mut cluster, marks) = (Cluster::default(), marks_of("shop", 5));
        let uid = settle(&mut cluster, &object, manifest, &marks);
        let mut held = inventory(vec![object.clone()], 5);
        assert!(held.applied(&object.object, &uid, 5));
        Self { cluster, held, object, marks: marks_of("shop", 6) }
    }

    fn plain() -> Self {
        Self::of(object(&config_map("a")), &config_map("a"))
    }

    fn fate(&self, sweep: &Sweep<'_>) -> Fate {
        let found = self.cluster.get(&self.object.object);
        let sight = found.as_ref().map(|found| Live::of(found).unwrap());
        fate(self.held.get(&self.object.object).unwrap(), sweep, &self.marks, Some(&sight))
    }

    fn uid(&self) -> String {
        self.cluster.uid(&self.object.object)
    }

    /// That it is removed, as it is.
    fn deleted(&self) -> Fate {
        let found = self.cluster.get(&self.object.object).unwrap();
        let live = Live::of(&found).unwrap();
        Fate::Delete { uid: live.uid().to_owned(), resource_version: live.resource_version().to_owned() }
    }
}

fn on_update() -> Sweep<'static> {
    static NOTHING: std::sync::LazyLock<Inventory> = std::sync::LazyLock::new(Inventory::default);
    Sweep::Update { wanted: &NOTHING, allow_empty: true }
}

#[test]
fn what_is_ours_goes_as_it_was_read() {
    let mut left = Left::plain();
    let gone = left.deleted();
    assert_eq!((left.fate(&on_update()), left.fate(&Sweep::Removal)), (gone.clone(), gone));
    left.cluster.terminate(&left.object.object);
    assert!(matches!(left.fate(&on_update()), Fate::Going(_)));
    let entry = left.held.get(&left.object.object).unwrap();
    assert_eq!(fate(entry, &on_update(), &left.marks, Some(&None)), Fate::Gone);
    assert_eq!(fate(entry, &on_update(), &left.marks, None), Fate::Keep(Kept::NotLooked));
}

#[test]
fn what_was_frozen_to_stay_stays() {
    for (collect, update, removal) in [
        (Collect::OnUpdate, None, None),
        (Collect::OnDelete, Some(Kept::OnDelete), None),
        (Collect::Never, Some(Kept::Never), Some(Kept::Never)),
    ] {
        let left = Left::of(Object { collect, ..object(&config_map("a")) }, &config_map("a"));
        for (sweep, kept) in [(on_update(), update), (Sweep::Removal, removal)] {
            let wanted = kept.map_or_else(|| left.deleted(), Fate::Keep);
            assert_eq!(left.fate(&sweep), wanted, "{collect:?} {sweep:?}");
        }
    }
}

#[test]
fn another_object_of_the_name_is_not_ours() {
    let mut left = Left::plain();
    left.cluster.restore(&left.object.object);
    assert_eq!(left.fate(&on_update()), Fate::NotOurs(Disowned::Uid(left.uid())));
    left.cluster.put("kubectl", &config_map("a"));
    let nobody = Fate::NotOurs(Disowned::Label("nobody that Slipway knows".to_owned()));
    assert_eq!(left.fate(&on_update()), nobody);
}

#[test]
fn an_object_whose_label_was_changed_is_not_ours() {
    let label = ["f:metadata", "f:labels", "f:slipway.dev/inventory"];
    for value in [json!("web-0123456789abcdef0123"), json!(""), Value::Null] {
        let mut left = Left::plain();
        left.cluster.update("kubectl", &left.object.object, &label, value);
        assert!(matches!(left.fate(&on_update()), Fate::NotOurs(Disowned::Label(_))));
    }
    // The list of owners alone is no proof.
    let mut left = Left::of(Object { shared: true, ..object(&config_map("a")) }, &config_map("a"));
    left.cluster.update("kubectl", &left.object.object, &label, Value::Null);
    assert!(matches!(left.fate(&on_update()), Fate::NotOurs(Disowned::Label(_))));
}

#[test]
fn a_write_without_an_answer_is_known_by_its_manager() {
    let mut left = Left::plain();
    left.held = inventory(vec![left.object.clone()], 5);
    assert_eq!(left.fate(&on_update()), left.deleted());
    let mut copy = config_map("a");
    copy["metadata"]["labels"] = json!({INVENTORY: left.marks.inventory()});
    left.cluster.put("kubectl", &copy);
    assert_eq!(left.fate(&on_update()), Fate::NotOurs(Disowned::Unproven));
}

#[test]
fn an_older_generation_removes_nothing_of_a_newer_one() {
    let mut left = Left::plain();
    left.marks = marks_of("shop", 4);
    assert_eq!(left.fate(&Sweep::Removal), Fate::Keep(Kept::Newer(5)));
}

#[test]
fn a_late_removal_takes_nothing_that_a_newer_generation_has() {
    let mut left = Left::plain();
    let Fate::Delete { uid, resource_version } = left.fate(&on_update()) else { panic!() };
    // Whoever sent it was lost, so the object gets new marks although it is as wanted.
    settle(&mut left.cluster, &left.object, &config_map("a"), &marks_of("shop", 7).fenced(6));
    let late = left.cluster.delete(&left.object.object, &uid, &resource_version);
    assert_eq!(late, Err(cluster::Conflict));
    assert_eq!(left.fate(&on_update()), Fate::Keep(Kept::Newer(7)), "nor is it sent again");
}

#[test]
fn a_shared_object_goes_with_its_last_owner() {
    let manifest = config_map("a");
    let (shop, web) = (marks_of("shop", 6), marks_of("web", 1));
    for first_to_leave_leads in [true, false] {
        let mut left = Left::of(Object { shared: true, ..object(&manifest) }, &manifest);
        settle(&mut left.cluster, &left.object, &manifest, &web);
        let (first, last) = if first_to_leave_leads { (&shop, &web) } else { (&web, &shop) };
        left.marks = first.clone();
        let Fate::Release(write) = left.fate(&on_update()) else { panic!() };
        left.cluster.apply(&write).unwrap();
        assert!(matches!(left.fate(&on_update()), Fate::NotOurs(_)), "it left already");
        settle(&mut left.cluster, &left.object, &manifest, last);
        left.marks = last.clone();
        let Fate::Delete { uid, resource_version } = left.fate(&on_update()) else { panic!() };
        // Somebody who joins in between must not lose it.
        settle(&mut left.cluster, &left.object, &manifest, first);
        let late = left.cluster.delete(&left.object.object, &uid, &resource_version);
        assert_eq!(late, Err(cluster::Conflict));
    }
}

#[test]
fn people_can_hold_a_shared_object() {
    let mut left = Left::of(Object { shared: true, ..object(&config_map("a")) }, &config_map("a"));
    let list = format!("the-archive, {}", left.marks.inventory());
    left.cluster.update(
        "kubectl",
        &left.object.object,
        &["f:metadata", "f:annotations", "f:slipway.dev/shared-by"],
        list.into(),
    );
    let Fate::Release(write) = left.fate(&Sweep::Removal) else { panic!() };
    left.cluster.apply(&write).unwrap();
    assert!(matches!(left.fate(&Sweep::Removal), Fate::NotOurs(_)), "not ours, and still there");
}

fn applied(cluster: &mut Cluster, manifests: &[(Value, Collect)]) -> Inventory {
    let marks = marks_of("shop", 1);
    let objects: Vec<Object> = manifests
        .iter()
        .map(|(manifest, collect)| Object { collect: *collect, ..object(manifest) })
        .collect();
    let mut held = inventory(objects.clone(), 1);
    for (object, (manifest, _)) in objects.iter().zip(manifests) {
        let uid = settle(cluster, object, manifest, &marks);
        assert!(held.applied(&object.object, &uid, 1));
    }
    held
}

#[test]
fn nothing_that_is_wanted_goes_by_another_name_of_its_kind() {
    let ingress = |version: &str| json!({"apiVersion": version, "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"}});
    let mut cluster = Cluster::default();
    let (old, new) = (ingress("extensions/v1beta1"), ingress("networking.k8s.io/v1"));
    let held = applied(&mut cluster, &[(old.clone(), Collect::OnUpdate)]);
    let (wanted, marks) = (inventory(vec![object(&new)], 2), marks_of("shop", 2));
    let mut union = held.union_before_apply(&wanted);
    let sweep = Sweep::Update { wanted: &wanted, allow_empty: false };
    let fates = |union: &Inventory| pruned(&cluster, union, &sweep, &marks).unwrap();
    let of_old = |fate| vec![Pruning { object: ObjectRef::of(&old).unwrap(), fate }];
    assert_eq!(fates(&union), of_old(Fate::Keep(Kept::NotLooked)), "it could be the same");
    let new = ObjectRef::of(&new).unwrap();
    assert!(union.applied(&new, &cluster.uid(&ObjectRef::of(&old).unwrap()), 2));
    assert_eq!(fates(&union), of_old(Fate::Moved));
    assert!(union.applied(&new, "another", 2));
    assert!(matches!(fates(&union)[..], [Pruning { fate: Fate::Delete { .. }, .. }]));
}

#[test]
fn what_others_may_have_something_in_is_left_to_whoever_brings_it_next() {
    let mut definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "databases.db.example.com"}});
    definition["spec"] = json!({"scope": "Namespaced"});
    let mut space = namespace("shop");
    space["metadata"]["labels"] = json!({"team": "a"});
    for manifest in [definition, space] {
        let mut left = Left::of(object(&manifest), &manifest);
        let reference = left.object.object.clone();
        assert!(takes_along(&reference));
        assert_eq!(left.fate(&on_update()), left.fate(&Sweep::Removal));
        let Fate::Leave(patch) = left.fate(&Sweep::Removal) else { panic!() };
        left.cluster.merge(OWNERS_MANAGER, &reference, &patch);
        assert!(matches!(left.fate(&Sweep::Removal), Fate::NotOurs(_)), "it was left already");
        let found = left.cluster.get(&reference).unwrap();
        assert!(is_left(&reference, &Live::of(&found).unwrap()));
        assert_eq!(Inventory::rebuilt(left.marks.inventory(), [&found]).len(), 0);
        let uid = settle(&mut left.cluster, &left.object, &manifest, &marks_of("web", 1));
        assert_eq!(uid, left.uid(), "the same object");
        let found = left.cluster.get(&reference).unwrap();
        let live = Live::of(&found).unwrap();
        assert_eq!(live.inventory(), Some(marks_of("web", 1).inventory().as_str()));
        assert!(!is_left(&reference, &live));
    }
    // What nobody of Slipway's applied is not free.
    let mut cluster = Cluster::default();
    cluster.put("kubectl", &namespace("shop"));
    let theirs = object(&namespace("shop"));
    assert_eq!(judge(&cluster, &theirs, &namespace("shop"), &marks_of("web", 1)), Verdict::Borrow);
}

#[test]
fn a_revision_without_objects_is_refused_unless_it_is_meant() {
    let (mut cluster, marks, wanted) = (Cluster::default(), marks_of("shop", 2), Inventory::default());
    let held =
        applied(&mut cluster, &[(config_map("a"), Collect::OnUpdate), (config_map("b"), Collect::OnDelete)]);
    let sweep = |allow_empty| Sweep::Update { wanted: &wanted, allow_empty };
    let refused = pruned(&cluster, &held, &sweep(false), &marks);
    assert_eq!(refused, Err(EmptyRender { objects: 1 }));
    assert_eq!(pruned(&cluster, &held, &sweep(true), &marks).unwrap().len(), 2);
    assert_eq!(pruned(&cluster, &held, &Sweep::Removal, &marks).unwrap().len(), 2);
    // The namespace that the environment makes is in every revision.
    let own = Object { collect: Collect::Never, ..object(&namespace("shop")) };
    let alone = inventory(vec![own.clone()], 2);
    let update = Sweep::Update { wanted: &alone, allow_empty: false };
    assert_eq!(pruned(&cluster, &held, &update, &marks), Err(EmptyRender { objects: 1 }));
    let brought = inventory(vec![Object { collect: Collect::OnUpdate, ..own }], 2);
    let update = Sweep::Update { wanted: &brought, allow_empty: false };
    assert_eq!(pruned(&cluster, &held, &update, &marks).unwrap().len(), 2);
    // Where nothing would go, nothing is refused.
    let nothing = applied(&mut cluster, &[(config_map("b"), Collect::OnDelete)]);
    assert_eq!(pruned(&cluster, &nothing, &sweep(false), &marks).unwrap().len(), 1);
}

#[test]
fn who_takes_over_the_lead_is_not_bound_by_anothers_generations() {
    let (mut cluster, manifest, web) = (Cluster::default(), config_map("a"), marks_of("web", 1));
    let plain = object(&manifest);
    let shared = Object { shared: true, ..plain.clone() };
    settle(&mut cluster, &shared, &manifest, &marks_of("shop", 8));
    settle(&mut cluster, &shared, &manifest, &web);
    // One that no longer shares marks its generation, and then goes.
    settle(&mut cluster, &plain, &manifest, &marks_of("shop", 9));
    let left =
        Left { held: inventory(vec![plain.clone()], 9), object: plain, marks: marks_of("shop", 10), cluster };
    let Fate::Release(write) = left.fate(&on_update()) else { panic!() };
    let mut cluster = left.cluster;
    cluster.apply(&write).unwrap();
    settle(&mut cluster, &shared, &manifest, &web);
    let found = cluster.get(&shared.object).unwrap();
    let live = Live::of(&found).unwrap();
    assert_eq!((live.inventory(), live.generation()), (Some(web.inventory().as_str()), None));
}
