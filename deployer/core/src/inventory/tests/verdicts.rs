use super::*;

#[test]
fn what_is_not_there_is_made_with_marks_and_without_force() {
    let (manifest, marks) = (deployment("web"), marks_of("commerce/shop", 7));
    let wanted = object(&manifest);
    let Verdict::Create(write) = judge(&Cluster::default(), &wanted, &manifest, &marks) else { panic!() };
    assert_eq!((write.manager, write.force), (FIELD_MANAGER, false));
    let metadata = &write.body["metadata"];
    assert_eq!(metadata["labels"], json!({INVENTORY: marks.inventory()}));
    let revision = Digest::of("commerce/shop 7").to_string();
    assert_eq!(metadata["annotations"], json!({GENERATION: "7", REVISION: revision}));
    assert_eq!(metadata.get("resourceVersion"), None);
    assert_eq!(write.body["spec"], manifest["spec"], "pod templates are not marked");
}

#[test]
fn marks_that_a_manifest_brings_do_not_count() {
    let mut manifest = config_map("a");
    manifest["metadata"]["labels"] = json!({INVENTORY: "other", "app": "a"});
    manifest["metadata"]["annotations"] =
        json!({GENERATION: "99", SHARED_BY: "other", COLLECT: "never", "b": "c"});
    let marks = marks_of("shop", 1);
    let plain = object(&manifest);
    let Verdict::Create(write) = judge(&Cluster::default(), &plain, &manifest, &marks) else { panic!() };
    let annotations = &write.body["metadata"]["annotations"];
    assert_eq!(write.body["metadata"]["labels"], json!({INVENTORY: marks.inventory(), "app": "a"}));
    assert_eq!((&annotations[GENERATION], &annotations["b"]), (&json!("1"), &json!("c")));
    assert!(annotations.get(SHARED_BY).is_none() && annotations.get(COLLECT).is_none());
    let kept = Object { collect: Collect::OnDelete, shared: true, ..plain };
    let Verdict::Create(write) = judge(&Cluster::default(), &kept, &manifest, &marks) else { panic!() };
    let annotations = &write.body["metadata"]["annotations"];
    assert_eq!(annotations, &json!({SHARED_BY: marks.inventory(), COLLECT: "on_delete", "b": "c"}));
}

/// The generation that an object says.
fn generation_of(cluster: &Cluster, object: &Object) -> Option<u64> {
    let found = cluster.get(&object.object).unwrap();
    Live::of(&found).unwrap().generation()
}

#[test]
fn what_is_as_wanted_is_left_alone_by_every_generation() {
    let (mut cluster, mut manifest) = (Cluster::default(), deployment("web"));
    let wanted = object(&manifest);
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 1));
    for generation in [1, 2, 3] {
        let marks = marks_of("shop", generation);
        assert_eq!(judge(&cluster, &wanted, &manifest, &marks), Verdict::AlreadySame);
        let found = cluster.get(&wanted.object).unwrap();
        assert_eq!(marks.follow(&Live::of(&found).unwrap()), generation > 1);
    }
    manifest["spec"]["replicas"] = 3.into();
    let Verdict::Update(write) = judge(&cluster, &wanted, &manifest, &marks_of("shop", 4)) else { panic!() };
    let version = cluster.get(&wanted.object).unwrap()["metadata"]["resourceVersion"].clone();
    assert!(write.force);
    assert_eq!(write.body["metadata"]["resourceVersion"], version);
    cluster.apply(&write).unwrap();
    assert_eq!(generation_of(&cluster, &wanted), Some(4), "what changes has the marks of who changed it");
}

#[test]
fn a_late_write_of_an_older_generation_finds_the_object_changed() {
    let (mut cluster, manifest) = (Cluster::default(), config_map("a"));
    let wanted = object(&manifest);
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 5));
    let mut other = manifest.clone();
    other["data"]["greeting"] = "no".into();
    let Verdict::Update(late) = judge(&cluster, &wanted, &other, &marks_of("shop", 6)) else { panic!() };
    // The server that is about to send this is lost, and what comes next wants what is there.
    let marks = marks_of("shop", 7);
    assert_eq!(judge(&cluster, &wanted, &manifest, &marks), Verdict::AlreadySame);
    settle(&mut cluster, &wanted, &manifest, &marks.fenced(6));
    assert_eq!(generation_of(&cluster, &wanted), Some(7));
    assert_eq!(cluster.apply(&late), Err(cluster::Conflict));
    // Nor may it write if it looks again first, however late; and one round of writes is enough.
    let refused = Refusal::Newer { object: wanted.object.clone(), generation: 7, own: 6 };
    assert_eq!(judge(&cluster, &wanted, &other, &marks_of("shop", 6)), Verdict::Refused(refused));
    let next = marks_of("shop", 8).fenced(6);
    assert_eq!(judge(&cluster, &wanted, &manifest, &next), Verdict::AlreadySame);
}

#[test]
fn drift_is_seen_and_what_others_add_is_not_drift() {
    let (manifest, marks) = (deployment("web"), marks_of("shop", 1));
    let wanted = object(&manifest);
    let image = ["f:spec", "f:template", "f:spec", "f:containers", "k:{\"name\":\"main\"}", "f:image"];
    let mark = ["f:metadata", "f:annotations", "f:slipway.dev/generation"];
    for (path, value, is_drift) in [
        (image.as_slice(), json!("i:2"), true),
        (&image, Value::Null, true),
        // The value stands there, but another owns it by now and may take it away.
        (&image, json!("i:1"), true),
        (&mark, json!("0"), true),
        (&["f:metadata", "f:labels", "f:team"], json!("a"), false),
        (&["f:spec", "f:paused"], json!(true), false),
    ] {
        let mut cluster = Cluster::default();
        settle(&mut cluster, &wanted, &manifest, &marks);
        cluster.update("kubectl", &wanted.object, path, value);
        let verdict = judge(&cluster, &wanted, &manifest, &marks);
        assert_eq!(matches!(verdict, Verdict::Update(_)), is_drift, "{path:?} {verdict:?}");
        settle(&mut cluster, &wanted, &manifest, &marks);
        assert_eq!(cluster.get(&wanted.object).unwrap()["spec"]["template"], manifest["spec"]["template"]);
    }
}

#[test]
fn a_field_that_is_no_longer_wanted_goes() {
    let (mut cluster, mut manifest, marks) = (Cluster::default(), config_map("a"), marks_of("shop", 1));
    manifest["data"]["more"] = "1".into();
    let wanted = object(&manifest);
    settle(&mut cluster, &wanted, &manifest, &marks);
    manifest["data"].as_object_mut().unwrap().remove("more");
    assert!(matches!(judge(&cluster, &wanted, &manifest, &marks), Verdict::Update(_)));
    settle(&mut cluster, &wanted, &manifest, &marks);
    assert_eq!(cluster.get(&wanted.object).unwrap()["data"], json!({"greeting": "yes"}));
}

#[test]
fn a_change_since_the_look_is_a_conflict() {
    let (mut cluster, manifest) = (Cluster::default(), config_map("a"));
    let wanted = object(&manifest);
    let Verdict::Create(create) = judge(&cluster, &wanted, &manifest, &marks_of("shop", 1)) else { panic!() };
    cluster.put("kubectl", &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"greeting": "no"}}));
    assert_eq!(cluster.apply(&create), Err(cluster::Conflict), "it came in between");
    let (mut cluster, marks) = (Cluster::default(), marks_of("shop", 2));
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 1));
    let mut newer = manifest.clone();
    newer["data"]["more"] = "1".into();
    let Verdict::Update(update) = judge(&cluster, &object(&newer), &newer, &marks) else { panic!() };
    cluster.update("kubectl", &wanted.object, &["f:data", "f:x"], json!("1"));
    assert_eq!(cluster.apply(&update), Err(cluster::Conflict));
}

#[test]
fn what_is_anothers_is_refused_with_its_owner() {
    let (manifest, marks) = (config_map("a"), marks_of("shop", 1));
    let wanted = object(&manifest);
    let labelled = |labels: Value| {
        let mut manifest = config_map("a");
        manifest["metadata"]["labels"] = labels;
        let mut cluster = Cluster::default();
        cluster.put("kubectl", &manifest);
        cluster
    };
    let mut other = Cluster::default();
    settle(&mut other, &wanted, &manifest, &marks_of("web", 1));
    let web = InventoryId::of(&Key {
        environment: "eu/kind/shop".parse().unwrap(),
        application: "web".parse().unwrap(),
    });
    let theirs =
        json!({"slipway.dev/team": "ops", "slipway.dev/application": "shop", "slipway.dev/stage": "default"});
    let elsewhere = json!({"slipway.dev/team": "default", "slipway.dev/application": "shop", "slipway.dev/stage": "default", INVENTORY: web});
    for (cluster, owner) in [
        (labelled(json!({})), "nobody that Slipway knows".to_owned()),
        (labelled(theirs), "ops/shop in stage default".to_owned()),
        (labelled(elsewhere), format!("default/shop in stage default (inventory {web})")),
        (other, format!("inventory {web}")),
    ] {
        let refused = Refusal::Foreign { object: wanted.object.clone(), owner };
        assert_eq!(judge(&cluster, &wanted, &manifest, &marks), Verdict::Refused(refused));
    }
}

#[test]
fn what_is_nobodys_is_taken_over_if_that_was_asked() {
    let (manifest, marks) = (config_map("a"), marks_of("commerce/shop", 1));
    let wanted = object(&manifest);
    let mut cluster = Cluster::default();
    cluster.put("kubectl", &manifest);
    let found = cluster.get(&wanted.object).unwrap();
    let asked = Wanted { object: &wanted, manifest: &manifest, adopt: true };
    assert!(matches!(before_apply(&asked, &marks, Some(&Live::of(&found).unwrap())), Verdict::Update(_)));
    for (label, value) in [("team", "commerce"), ("application", "shop"), ("stage", "default")] {
        assert!(
            matches!(judge(&cluster, &wanted, &manifest, &marks), Verdict::Refused(_)),
            "{label} is missing"
        );
        cluster.update(
            "kubectl",
            &wanted.object,
            &["f:metadata", "f:labels", &format!("f:slipway.dev/{label}")],
            value.into(),
        );
    }
    settle(&mut cluster, &wanted, &manifest, &marks);
    // What belongs to another inventory is not to be had that way.
    let marks = marks_of("web", 1);
    let found = cluster.get(&wanted.object).unwrap();
    assert!(matches!(before_apply(&asked, &marks, Some(&Live::of(&found).unwrap())), Verdict::Refused(_)));
}

#[test]
fn an_older_generation_never_writes_over_a_newer_one() {
    let (mut cluster, manifest) = (Cluster::default(), config_map("a"));
    let wanted = object(&manifest);
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 5));
    let refused = Refusal::Newer { object: wanted.object.clone(), generation: 5, own: 4 };
    assert_eq!(judge(&cluster, &wanted, &manifest, &marks_of("shop", 4)), Verdict::Refused(refused.clone()));
    cluster.terminate(&wanted.object);
    assert_eq!(judge(&cluster, &wanted, &manifest, &marks_of("shop", 4)), Verdict::Refused(refused));
}

#[test]
fn what_is_on_its_way_out_is_waited_for() {
    let (mut cluster, manifest, marks) = (Cluster::default(), config_map("a"), marks_of("shop", 5));
    let wanted = object(&manifest);
    cluster.put("kubectl", &manifest);
    cluster.update("kubectl", &wanted.object, &["f:metadata", "f:finalizers"], json!(["a/b"]));
    cluster.terminate(&wanted.object);
    let Verdict::Wait(terminating) = judge(&cluster, &wanted, &manifest, &marks) else { panic!() };
    assert_eq!(
        terminating.to_string(),
        "is being removed since 2030-01-01T00:00:00Z, its finalizers are a/b"
    );
}

#[test]
fn one_owner_writes_a_shared_object_and_others_join() {
    let (mut cluster, manifest) = (Cluster::default(), config_map("a"));
    let (shop, web) = (marks_of("shop", 9), marks_of("web", 1));
    let wanted = Object { shared: true, ..object(&manifest) };
    settle(&mut cluster, &wanted, &manifest, &web);
    let mut other = manifest.clone();
    other["data"]["greeting"] = "no".into();
    let Verdict::Join(write) = judge(&cluster, &wanted, &other, &shop) else { panic!() };
    assert_eq!(write.manager, OWNERS_MANAGER);
    settle(&mut cluster, &wanted, &other, &shop);
    // The list was another's write: its own is in it again, and then all is quiet for both.
    settle(&mut cluster, &wanted, &manifest, &web);
    for (manifest, marks) in [(&other, &shop), (&manifest, &web)] {
        assert_eq!(judge(&cluster, &wanted, manifest, marks), Verdict::AlreadySame);
    }
    let found = cluster.get(&wanted.object).unwrap();
    let live = Live::of(&found).unwrap();
    assert_eq!(live.inventory(), Some(web.inventory().as_str()));
    assert_eq!(Owners::of(&live).to_string(), format!("{},{}", shop.inventory(), web.inventory()));
    assert_eq!((live.generation(), &found["data"]["greeting"]), (None, &json!("yes")));
}

#[test]
fn sharing_takes_both() {
    let (mut cluster, manifest) = (Cluster::default(), config_map("a"));
    let plain = object(&manifest);
    let shared = Object { shared: true, ..plain.clone() };
    settle(&mut cluster, &plain, &manifest, &marks_of("web", 1));
    assert!(matches!(judge(&cluster, &shared, &manifest, &marks_of("shop", 1)), Verdict::Refused(_)));
    settle(&mut cluster, &shared, &manifest, &marks_of("web", 1));
    assert!(matches!(judge(&cluster, &plain, &manifest, &marks_of("shop", 1)), Verdict::Refused(_)));
    assert!(matches!(judge(&cluster, &shared, &manifest, &marks_of("shop", 1)), Verdict::Join(_)));
}

#[test]
fn a_shared_object_that_is_nobodys_is_used_as_it_is() {
    let (mut cluster, manifest, marks) = (Cluster::default(), namespace("shop"), marks_of("shop", 1));
    cluster.put("kubectl", &manifest);
    assert_eq!(judge(&cluster, &object(&manifest), &manifest, &marks), Verdict::Borrow);
}

#[test]
fn a_namespace_is_always_shared() {
    let (mut cluster, manifest) = (Cluster::default(), namespace("shop"));
    settle(&mut cluster, &object(&manifest), &manifest, &marks_of("shop", 1));
    assert!(matches!(judge(&cluster, &object(&manifest), &manifest, &marks_of("web", 1)), Verdict::Join(_)));
}

#[test]
fn secrets_are_not_told() {
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"key": "aHVzaA=="}});
    let (mut cluster, wanted, marks) = (Cluster::default(), object(&manifest), marks_of("shop", 1));
    let verdict = judge(&cluster, &wanted, &manifest, &marks);
    settle(&mut cluster, &wanted, &manifest, &marks);
    let found = cluster.get(&wanted.object).unwrap();
    let live = Live::of(&found).unwrap();
    let told =
        format!("{verdict:?} {live:?} {:?}", Wanted { object: &wanted, manifest: &manifest, adopt: false });
    assert!(told.contains("Secret shop/s") && !told.contains("aHVzaA=="), "{told}");
}

#[test]
fn what_no_cluster_gave_is_not_taken_for_live() {
    assert_eq!(
        Live::of(&config_map("a")).unwrap_err().to_string(),
        "the object has no metadata.uid: it was not read from a cluster"
    );
}
