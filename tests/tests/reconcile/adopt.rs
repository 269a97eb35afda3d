//! Objects that another tool made, taken over.

use std::fs;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster;
use crate::ground::{Ground, MOVES_WITHIN, core, document};
use crate::inventory::{INVENTORY, assert_whole};

/// Makes an object as Helm does.
fn helm_makes(space: &Namespace, mut object: Value) {
    object["metadata"]["annotations"] =
        json!({"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": space.name});
    object["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), object.to_string()).expect("a file");
    let path = file.path().display().to_string();
    space.kubectl(&["create", "--field-manager", "helm", "--filename", &path]);
}

/// A workload without pods, so that no image is needed.
fn workload(image: &str, env: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "old"}},
            "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [
                {"name": "main", "image": image, "env": env},
            ]}},
        },
    })
}

fn leads_to_old() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old"},
        "spec": {"selector": {"app": "old"}, "ports": [{"port": 80, "protocol": "TCP"}]}})
}

fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// The workload with who owns which field, which newer tools leave out.
fn owned_workload(space: &Namespace) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/old", space.name);
    serde_json::from_str(&space.kubectl(&["get", "--raw", &path])).expect("JSON")
}

fn found<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let mut objects = plan["objects"].as_array().into_iter().flatten();
    objects.find(|object| object["object"] == name).unwrap_or_else(|| panic!("no {name}: {plan:#}"))
}

#[test]
fn what_helm_made_is_taken_over_when_that_is_asked_for() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let env = json!([{"name": "A", "value": "1"}, {"name": "GONE", "value": "x"}]);
    helm_makes(space, workload("old.invalid/none:1", &env));
    helm_makes(space, leads_to_old());
    helm_makes(space, config("old-settings", &json!({"kept": "1", "gone": "2"})));
    helm_makes(space, config("old-left", &json!({})));
    let version = ground.publish("one\n");
    let objects = json!([
        workload("old.invalid/none:2", &json!([{"name": "A", "value": "1"}])),
        leads_to_old(),
        config("old-settings", &json!({"kept": "1"})),
    ]);
    let spec =
        json!({"components": [{"name": "old", "type": "manifests", "properties": {"objects": objects}}]});
    let document = document(&spec);
    let made = ground.deploy("prod", &version, Some(&document));
    ground.wait(&made, &["rejected"], MOVES_WITHIN);

    let file = ground.file("adopt.json", &document);
    let adopt = ["adopt", "shop", "--env", "prod", "--bundle", &version, "-f", &file, "--from"];
    let before = cluster::version(space, "deployment", "old");
    is_told(&ground, &adopt);
    assert_eq!(cluster::version(space, "deployment", "old"), before, "a check changes nothing");

    let made = ground.server.json(&[&adopt[..], &["helm", "--release", "old", "--no-wait"]].concat());
    assert_eq!(made["cause"], "adopt", "{made:#}");
    let live = ground.live(&made);
    is_taken_over(space, &before.0);
    assert_whole(&ground, space, &live, Some(&document));
    assert!(cluster::object(space, "configmap", "old-left").is_some(), "it is left with who has it");

    // From now on it is deployed like all others, and what a revision no longer has goes.
    let without = document_of(&[config("old-settings", &json!({"kept": "2"}))]);
    let live = ground.deployed("prod", &version, Some(&without));
    assert_eq!(cluster::object(space, "deployment", "old"), None);
    assert_eq!(cluster::field(space, "configmap", "old-settings", "/data/kept"), "2");
    assert_whole(&ground, space, &live, Some(&without));
}

fn document_of(objects: &[Value]) -> Value {
    let component = json!({"name": "old", "type": "manifests", "properties": {"objects": objects}});
    document(&json!({"components": [component]}))
}

/// What a check says, for the right tool and for another.
fn is_told(ground: &Ground, adopt: &[&str]) {
    let plan = ground.server.json(&[adopt, &["helm", "--release", "old", "--check"]].concat());
    let workload = found(&plan, "Deployment old");
    assert_eq!((&workload["fate"], &workload["restarts"]), (&json!("take_over"), &json!(true)), "{plan:#}");
    let fields = workload["fields"].to_string();
    assert!(fields.contains("old.invalid/none:2") && fields.contains("env"), "{workload:#}");
    let settings = found(&plan, "ConfigMap old-settings");
    assert_eq!((&settings["fate"], &settings["restarts"]), (&json!("take_over"), &json!(false)), "{plan:#}");
    // Beside it are the labels that every object of an application has.
    assert!(settings["fields"].to_string().contains("data.gone"), "{settings:#}");
    assert_eq!(found(&plan, "Deployment web")["fate"], "create");
    assert!(plan["left"].to_string().contains("old-left"), "{plan:#}");
    for wrong in [&["helm", "--release", "other"][..], &["argocd"]] {
        let checked = ground.server.cli(&[adopt, wrong, &["--check", "-o", "json"]].concat());
        assert_eq!(checked.code, 1, "{checked:?}");
        let refused = checked.json();
        assert_eq!(found(&refused, "Deployment old")["fate"], "refused", "{refused:#}");
        let done = ground.server.cli(&[adopt, wrong, &["--no-wait"]].concat());
        assert!(done.code != 0 && done.stderr.contains("Deployment old"), "{done:?}");
    }
}

/// The very objects are Slipway's, and nothing of what only the tool had is left.
fn is_taken_over(space: &Namespace, uid: &Value) {
    let object = owned_workload(space);
    let metadata = &object["metadata"];
    assert_eq!(&metadata["uid"], uid);
    assert!(metadata["labels"][INVENTORY].is_string(), "{object:#}");
    let annotations = metadata["annotations"].to_string();
    assert!(!annotations.contains("meta.helm.sh"), "{annotations}");
    assert_eq!(metadata["annotations"]["helm.sh/resource-policy"], "keep");
    let main = &object["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(main["image"], "old.invalid/none:2");
    assert_eq!(main["env"], json!([{"name": "A", "value": "1"}]), "what the revision does not have goes");
    let writers: Vec<&str> = metadata["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert!(writers.contains(&"slipway") && !writers.contains(&"helm"), "{writers:?}");
    let data = cluster::field(space, "configmap", "old-settings", "/data");
    assert_eq!(data, json!({"kept": "1"}));
}

#[test]
fn what_was_applied_by_hand_is_taken_over_and_what_is_another_applications_is_not() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let file = ground.file("theirs.json", &config("shop-settings", &json!({"currency": "USD", "b": "1"})));
    space.kubectl(&["apply", "--filename", &file]);
    let version = ground.publish("one\n");
    let adopt = ["adopt", "shop", "--env", "prod", "--bundle", &version, "--from", "manifests"];
    let stranger = "slipway.dev/application=other";
    space.kubectl(&["label", "configmap", "shop-settings", stranger]);
    let checked = ground.server.cli(&[&adopt[..], &["--check", "-o", "json"]].concat());
    assert_eq!(
        (checked.code, &found(&checked.json(), "ConfigMap shop-settings")["fate"]),
        (1, &json!("refused"))
    );

    space.kubectl(&["label", "configmap", "shop-settings", "slipway.dev/application-"]);
    let made = ground.server.json(&[&adopt[..], &["--no-wait"]].concat());
    let live = ground.live(&made);
    assert_eq!(cluster::field(space, "configmap", "shop-settings", "/data"), json!({"currency": "EUR"}));
    let annotations = cluster::field(space, "configmap", "shop-settings", "/metadata/annotations");
    assert!(!annotations.to_string().contains("last-applied"), "{annotations}");
    assert_whole(&ground, space, &live, None);

    let nothing = ground.server.cli(&[&adopt[..], &["--no-wait"]].concat());
    assert!(nothing.code != 0 && nothing.stderr.contains("nothing"), "{nothing:?}");
    is_taken_from_argo(&ground, &version);
}

/// What Argo CD has is taken over from it alone, and its marks with it.
fn is_taken_from_argo(ground: &Ground, version: &str) {
    const TRACKING: &str = "argocd.argoproj.io/tracking-id";
    let space = Namespace::create();
    ground.environment("argo", &space, &core());
    let mut theirs = config("shop-settings", &json!({"currency": "USD"}));
    theirs["metadata"]["annotations"] =
        json!({TRACKING: format!("old:/ConfigMap:{}/shop-settings", space.name)});
    let file = ground.file("argo.json", &theirs);
    space.kubectl(&["apply", "--server-side", "--field-manager", "argocd-controller", "--filename", &file]);
    let uid = cluster::field(&space, "configmap", "shop-settings", "/metadata/uid");
    let adopt = ["adopt", "shop", "--env", "argo", "--bundle", version, "--from"];
    for wrong in [&["manifests"][..], &["argocd", "--release", "other"]] {
        let checked = ground.server.cli(&[&adopt[..], wrong, &["--check", "-o", "json"]].concat());
        let plan = checked.json();
        assert_eq!((checked.code, &found(&plan, "ConfigMap shop-settings")["fate"]), (1, &json!("refused")));
    }
    let made = ground.server.json(&[&adopt[..], &["argocd", "--release", "old", "--no-wait"]].concat());
    ground.live(&made);
    let object = cluster::object(&space, "configmap", "shop-settings").expect("it is there");
    assert_eq!((&object["metadata"]["uid"], &object["data"]), (&uid, &json!({"currency": "EUR"})));
    let annotations = &object["metadata"]["annotations"];
    assert!(annotations[TRACKING].is_null(), "{annotations:#}");
    assert_eq!(annotations["argocd.argoproj.io/sync-options"], "Prune=false,Delete=false");
}
