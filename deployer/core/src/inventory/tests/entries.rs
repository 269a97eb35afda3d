use super::*;

fn reference(api_version: &str, kind: &str, name: &str) -> ObjectRef {
    let namespace = Some("shop".to_owned());
    ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() }
}

fn budget(api_version: &str) -> Object {
    Object::new(reference(api_version, "PodDisruptionBudget", "web"), Digest::of("x"))
}

#[test]
fn a_union_keeps_uids_and_takes_what_the_new_generation_says() {
    let (a, b) = (object(&config_map("a")), object(&config_map("b")));
    let mut old = inventory(vec![a.clone(), b.clone()], 1);
    assert!(old.applied(&a.object, "uid-a", 1));
    let kept = Object { collect: Collect::Never, ..a.clone() };
    let union = old.union_before_apply(&inventory(vec![kept, object(&config_map("c"))], 2));
    assert_eq!(union.len(), 3);
    let held = union.get(&a.object).unwrap();
    assert_eq!((held.uid.as_deref(), held.generation, held.collect), (Some("uid-a"), 2, Collect::Never));
    assert_eq!(union.get(&b.object), old.get(&b.object));
}

#[test]
fn an_object_is_the_same_in_every_version_of_its_api() {
    let (old, new) = (budget("policy/v1beta1"), budget("policy/v1"));
    let mut held = inventory(vec![old.clone()], 1);
    let wanted = inventory(vec![new.clone()], 2);
    assert_eq!(held.beyond(&wanted).count(), 0);
    assert!(held.applied(&new.object, "1", 2));
    assert_eq!(held.entries().map(|entry| &entry.object).collect::<Vec<_>>(), [&new.object]);
    assert!(held.has(&old.object) && !held.has(&budget("other/v1").object));
    assert!(held.dropped(&old.object).is_some() && held.is_empty());
    assert!(!held.applied(&new.object, "1", 2), "it is not held any more");
}

#[test]
fn an_inventory_survives_being_written_down() {
    let mut held =
        inventory(vec![Object { shared: true, ..object(&config_map("a")) }, object(&namespace("shop"))], 3);
    assert!(held.applied(&ObjectRef::of(&config_map("a")).unwrap(), "1", 3));
    assert!(held.entries().all(|entry| entry.shared));
    let text = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<Inventory>(&text).unwrap(), held);
    let mut entries = Vec::from(held);
    entries.push(entries[0].clone());
    let twice = serde_json::to_string(&entries).unwrap();
    let error = serde_json::from_str::<Inventory>(&twice).unwrap_err().to_string();
    assert_eq!(error, "the inventory holds v1/ConfigMap shop/a twice");
}

#[test]
fn a_lost_inventory_is_rebuilt_from_what_was_applied() {
    let (mut cluster, marks) = (Cluster::default(), marks_of("shop", 4));
    let (a, shared) = (config_map("a"), config_map("shared"));
    let kept = Object { collect: Collect::OnDelete, ..object(&a) };
    let with_others = Object { shared: true, ..object(&shared) };
    settle(&mut cluster, &with_others, &shared, &marks_of("web", 9));
    settle(&mut cluster, &with_others, &shared, &marks);
    settle(&mut cluster, &kept, &a, &marks);
    settle(&mut cluster, &object(&config_map("theirs")), &config_map("theirs"), &marks_of("web", 9));
    // A controller copies the labels of what it works for.
    let mut copy = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a-1", "namespace": "shop"}});
    copy["metadata"]["labels"] = json!({INVENTORY: marks.inventory()});
    cluster.put("endpointslice-controller", &copy);
    let rebuilt = Inventory::rebuilt(marks.inventory(), &cluster.all());
    let mut expected = inventory(vec![kept.clone(), with_others.clone()], 4);
    assert!(expected.applied(&kept.object, &cluster.uid(&kept.object), 4));
    assert!(expected.applied(&with_others.object, &cluster.uid(&with_others.object), 0));
    assert_eq!(rebuilt, expected);
}

#[test]
fn a_collect_rule_that_cannot_be_read_means_never() {
    let (mut cluster, manifest, marks) = (Cluster::default(), config_map("a"), marks_of("shop", 1));
    let wanted = object(&manifest);
    for (collect, word) in [
        (Collect::OnUpdate, None),
        (Collect::OnDelete, Some("on_delete")),
        (Collect::Never, Some("never")),
        (Collect::Never, Some("tomorrow")),
    ] {
        settle(&mut cluster, &wanted, &manifest, &marks);
        if let Some(word) = word {
            cluster.update(
                "kubectl",
                &wanted.object,
                &["f:metadata", "f:annotations", "f:slipway.dev/collect"],
                word.into(),
            );
        }
        let rebuilt = Inventory::rebuilt(marks.inventory(), &cluster.all());
        assert_eq!(rebuilt.get(&wanted.object).unwrap().collect, collect);
    }
}

#[test]
fn what_others_need_comes_first() {
    let kinds = [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("v1", "Namespace"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("v1", "ServiceAccount"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("v1", "Secret"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("networking.k8s.io/v1", "Ingress"),
        ("apiregistration.k8s.io/v1", "APIService"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ];
    let expected: Vec<ObjectRef> =
        kinds.iter().map(|(version, kind)| reference(version, kind, "a")).collect();
    let mut objects: Vec<ObjectRef> = expected.iter().rev().cloned().collect();
    apply_order(&mut objects, |object| object);
    assert_eq!(objects, expected);
    assert_eq!(
        rank(&reference("db.example.com/v1", "Database", "a")),
        rank(&reference("apps/v1", "Deployment", "a"))
    );
    assert_ne!(
        rank(&reference("serving.example.com/v1", "Service", "a")),
        rank(&reference("v1", "Service", "a"))
    );
    let mut equals = ["b", "a", "c"].map(|name| reference("v1", "Secret", name));
    let before = equals.clone();
    apply_order(&mut equals, |object| object);
    assert_eq!(equals, before, "what is equal stays in its order");
}
