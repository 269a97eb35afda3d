use slipway_handoff::Pointer;

use super::*;

fn once(pointers: &[&str]) -> Object {
    let once: Vec<Pointer> = pointers.iter().map(|pointer| pointer.parse().unwrap()).collect();
    Object { once, ..object(&deployment("web")) }
}

fn settled(pointers: &[&str]) -> (Cluster, Object) {
    let (mut cluster, wanted) = (Cluster::default(), once(pointers));
    settle(&mut cluster, &wanted, &deployment("web"), &marks_of("shop", 1));
    (cluster, wanted)
}

/// What stands there after a revision that wants five replicas and another image.
fn after_another(cluster: &mut Cluster, wanted: &Object) -> Value {
    let mut manifest = deployment("web");
    manifest["spec"]["replicas"] = 5.into();
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "i:2".into();
    settle(cluster, wanted, &manifest, &marks_of("shop", 2));
    cluster.get(&wanted.object).unwrap()["spec"].take()
}

#[test]
fn a_field_that_nobody_took_stays_as_it_was_made() {
    let (mut cluster, wanted) = settled(&["/spec/replicas"]);
    let spec = after_another(&mut cluster, &wanted);
    assert_eq!(
        (&spec["replicas"], &spec["template"]["spec"]["containers"][0]["image"]),
        (&json!(2), &json!("i:2"))
    );
}

#[test]
fn merely_left_out_it_would_be_set_back_to_its_default() {
    let (mut cluster, wanted) = settled(&[]);
    let mut manifest = deployment("web");
    manifest["spec"].as_object_mut().unwrap().remove("replicas");
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 2));
    assert_eq!(cluster.get(&wanted.object).unwrap()["spec"]["replicas"], 1);
}

#[test]
fn a_field_that_an_autoscaler_took_is_its_own() {
    let (mut cluster, wanted) = settled(&["/spec/replicas"]);
    let replicas = ["f:spec", "f:replicas"];
    cluster.update("autoscaler", &wanted.object, &replicas, json!(7));
    let marks = marks_of("shop", 1);
    // That is what was wanted, so it is no drift.
    assert_eq!(judge(&cluster, &wanted, &deployment("web"), &marks), Verdict::AlreadySame);
    assert_eq!(after_another(&mut cluster, &wanted)["replicas"], 7);
    cluster.update("autoscaler", &wanted.object, &replicas, json!(3));
    assert_eq!(after_another(&mut cluster, &wanted)["replicas"], 3);
}

const CONTAINERS: [&str; 4] = ["f:spec", "f:template", "f:spec", "f:containers"];

fn of_container<'a>(name: &'a str, fields: &[&'a str]) -> Vec<&'a str> {
    CONTAINERS.iter().chain([&name]).chain(fields).copied().collect()
}

#[test]
fn an_item_of_a_list_is_found_by_its_keys() {
    let (mut cluster, wanted) = settled(&["/spec/template/spec/containers/0/image"]);
    // Another container stands before it by now.
    cluster.update(
        "injector",
        &wanted.object,
        &of_container("k:{\"name\":\"aaa\"}", &["f:image"]),
        json!("side:1"),
    );
    let containers = after_another(&mut cluster, &wanted)["template"]["spec"]["containers"].take();
    assert_eq!(
        containers,
        json!([{"name": "aaa", "image": "side:1"}, {"name": "main", "image": "i:1", "args": ["a"]}])
    );
    cluster.update(
        "kubectl",
        &wanted.object,
        &of_container("k:{\"name\":\"main\"}", &["f:image"]),
        json!("i:9"),
    );
    let containers = after_another(&mut cluster, &wanted)["template"]["spec"]["containers"].take();
    assert_eq!(containers[1]["image"], "i:9");
}

#[test]
fn in_a_list_that_is_written_whole_the_value_that_stands_there_is_sent() {
    let (mut cluster, wanted) = settled(&["/spec/template/spec/containers/0/args/0"]);
    let args = of_container("k:{\"name\":\"main\"}", &["f:args"]);
    cluster.update("kubectl", &wanted.object, &args, json!(["z"]));
    let containers = after_another(&mut cluster, &wanted)["template"]["spec"]["containers"].take();
    assert_eq!(containers, json!([{"name": "main", "image": "i:2", "args": ["z"]}]));
}

#[test]
fn an_item_that_was_removed_stays_away_if_a_pointer_names_it() {
    for (pointer, is_back) in
        [("/spec/template/spec/containers/1", false), ("/spec/template/spec/containers/1/image", true)]
    {
        let (mut cluster, wanted, mut manifest) = (Cluster::default(), once(&[pointer]), deployment("web"));
        let containers =
            manifest.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut).unwrap();
        containers.push(json!({"name": "side", "image": "s:1"}));
        settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 1));
        for field in ["f:name", "f:image"] {
            cluster.update(
                "kubectl",
                &wanted.object,
                &of_container("k:{\"name\":\"side\"}", &[field]),
                Value::Null,
            );
        }
        settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 2));
        let names = cluster.get(&wanted.object).unwrap()["spec"]["template"]["spec"]["containers"].take();
        assert_eq!(names.as_array().unwrap().len(), if is_back { 2 } else { 1 }, "{pointer} {names}");
    }
}

#[test]
fn of_a_mapping_only_what_nobody_took_is_sent() {
    let (mut cluster, mut manifest) = (Cluster::default(), config_map("a"));
    manifest["data"] = json!({"a": "1", "b": "1", "c": "1"});
    let wanted = Object { once: vec!["/data".parse().unwrap()], ..object(&manifest) };
    settle(&mut cluster, &wanted, &manifest, &marks_of("shop", 1));
    cluster.update("kubectl", &wanted.object, &["f:data", "f:a"], json!("2"));
    cluster.update("kubectl", &wanted.object, &["f:data", "f:b"], Value::Null);
    manifest["data"] = json!({"a": "3", "b": "3", "c": "3", "d": "3"});
    let marks = marks_of("shop", 2);
    assert_eq!(judge(&cluster, &wanted, &manifest, &marks), Verdict::AlreadySame);
    let Verdict::Update(write) = judge(&cluster, &wanted, &manifest, &marks.fenced(1)) else { panic!() };
    assert_eq!(write.body["data"], json!({"c": "1"}));
    cluster.apply(&write).unwrap();
    assert_eq!(cluster.get(&wanted.object).unwrap()["data"], json!({"a": "2", "c": "1"}));
}

#[test]
fn several_pointers_into_one_list_do_not_disturb_each_other() {
    let mut live = deployment("web");
    live["metadata"]["uid"] = "1".into();
    live["metadata"]["resourceVersion"] = "1".into();
    let fields = json!({"f:spec": {"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}, "v:\"c\"": {}}}});
    live["spec"]["finalizers"] = json!(["b"]);
    live["metadata"]["managedFields"] =
        json!([{"manager": "other", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": fields}]);
    let mut sent = json!({"spec": {"finalizers": ["a", "b", "c"]}});
    let pointers = ["/spec/finalizers/0", "/spec/finalizers/2", "/spec/none/x", "/spec/finalizers/9"];
    let pointers: Vec<Pointer> = pointers.iter().map(|pointer| pointer.parse().unwrap()).collect();
    without_once(&mut sent, &pointers, &Live::of(&live).unwrap());
    assert_eq!(sent, json!({"spec": {"finalizers": ["b"]}}));
}
