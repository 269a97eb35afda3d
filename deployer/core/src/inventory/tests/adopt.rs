use super::super::adopt::{Tool, controller_of, handed_over, without_theirs};
use super::*;

/// An object as a tool left it: `managers` are names, operations and what each owns.
fn left_by(managers: &[(&str, &str, Value)], marks: &Value) -> Value {
    let entries: Vec<Value> = managers
        .iter()
        .map(|(manager, operation, fields)| {
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z"})
        })
        .collect();
    let mut object = deployment("web");
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.extend([
        ("uid".to_owned(), json!("u")),
        ("resourceVersion".to_owned(), json!("7")),
        ("managedFields".to_owned(), json!(entries)),
    ]);
    for (key, value) in marks.as_object().unwrap() {
        metadata.insert(key.clone(), value.clone());
    }
    object
}

fn helm() -> Value {
    json!({
        "annotations": {"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": "shop", "note": "x"},
        "labels": {"app.kubernetes.io/managed-by": "Helm", "tier": "a"},
    })
}

fn helms_fields() -> Value {
    json!({
        "f:metadata": {
            "f:annotations": {".": {}, "f:meta.helm.sh/release-name": {}, "f:note": {}},
            "f:labels": {"f:app.kubernetes.io/managed-by": {}, "f:tier": {}},
        },
        "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"main\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}},
        }}}},
        "f:status": {"f:x": {}},
    })
}

#[test]
fn every_tool_is_told_by_its_marks() {
    let argo = json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}});
    let labelled = json!({"labels": {"app.kubernetes.io/instance": "shop"}});
    for (managers, marks, expected) in [
        (vec!["helm"], helm(), "the Helm release shop/old"),
        (vec!["whoever"], argo, "the Argo CD application shop"),
        (vec!["argocd-controller"], labelled.clone(), "the Argo CD application shop"),
        (
            vec!["kubelet", "kubectl-client-side-apply"],
            labelled,
            "whoever writes as kubectl-client-side-apply",
        ),
        (vec!["operator"], json!({}), "whoever writes as operator"),
    ] {
        let managers: Vec<_> = managers.into_iter().map(|name| (name, "Update", json!({}))).collect();
        let object = left_by(&managers, &marks);
        assert_eq!(Tool::of(&Live::of(&object).unwrap()).to_string(), expected);
    }
    let owned = json!({"ownerReferences": [{"kind": "Operator", "name": "x", "controller": true}]});
    let object = left_by(&[], &owned);
    assert_eq!(controller_of(&Live::of(&object).unwrap()).as_deref(), Some("Operator x"));
}

#[test]
fn what_a_tool_owns_becomes_ours_and_its_marks_go() {
    let others = json!({"f:spec": {"f:paused": {}}});
    let managers = [("helm", "Update", helms_fields()), ("autoscaler", "Update", others.clone())];
    let object = left_by(&managers, &helm());
    let patch = handed_over(&Live::of(&object).unwrap(), &deployment("web")).unwrap();
    let metadata = &patch["metadata"];
    assert_eq!(metadata["resourceVersion"], "7");
    assert_eq!(metadata["labels"], json!({"app.kubernetes.io/managed-by": null}));
    assert_eq!(
        metadata["annotations"],
        json!({"meta.helm.sh/release-name": null, "meta.helm.sh/release-namespace": null,
            "helm.sh/resource-policy": "keep"})
    );
    let mut owned = helms_fields();
    owned.as_object_mut().unwrap().remove("f:status");
    let entries = metadata["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert_eq!((&entries[0]["manager"], &entries[0]["operation"]), (&json!("slipway"), &json!("Apply")));
    assert_eq!(entries[0]["fieldsV1"], owned);
    assert_eq!((&entries[1]["manager"], &entries[1]["fieldsV1"]), (&json!("autoscaler"), &others));
}

#[test]
fn replicas_that_the_revision_does_not_say_stay_with_nobody_of_ours() {
    let object = left_by(&[("helm", "Update", helms_fields())], &helm());
    let mut manifest = deployment("web");
    manifest["spec"].as_object_mut().unwrap().remove("replicas");
    let live = Live::of(&object).unwrap();
    let patch = handed_over(&live, &manifest).unwrap();
    let entries = patch["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries[0]["fieldsV1"].pointer("/f:spec/f:replicas"), None);
    assert_eq!(entries[1]["manager"], "slipway-adoption");
    assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(without_theirs(&live, &manifest, &object)["spec"]["replicas"], 2);
}

#[test]
fn taking_over_is_done_once() {
    let mut object = left_by(&[("helm", "Update", helms_fields())], &helm());
    let mut manifest = deployment("web");
    manifest["spec"].as_object_mut().unwrap().remove("replicas");
    let patch = handed_over(&Live::of(&object).unwrap(), &manifest).unwrap();
    for (key, value) in patch["metadata"].as_object().unwrap() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if value.is_null() {
                        object["metadata"][key].as_object_mut().unwrap().remove(name);
                    } else {
                        object["metadata"][key][name] = value.clone();
                    }
                }
            }
            value => object["metadata"][key] = value.clone(),
        }
    }
    assert_eq!(handed_over(&Live::of(&object).unwrap(), &manifest), None);
}

#[test]
fn what_only_the_tool_has_goes() {
    let object = left_by(&[("helm", "Update", helms_fields())], &helm());
    let mut manifest = deployment("web");
    manifest["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("args");
    let after = without_theirs(&Live::of(&object).unwrap(), &manifest, &object);
    assert_eq!(after.pointer("/spec/template/spec/containers/0/args"), None);
    assert_eq!(after.pointer("/spec/template/spec/containers/0/image"), Some(&json!("i:1")));
    assert_eq!(after.pointer("/metadata/labels/tier"), None);
    assert_eq!(after.pointer("/metadata/annotations/meta.helm.sh~1release-name"), None);
    assert_eq!(after["spec"]["replicas"], 2, "the manifest says it");

    let shared = [
        ("helm", "Update", helms_fields()),
        ("operator", "Update", json!({"f:metadata": {"f:labels": {"f:tier": {}}}})),
    ];
    let object = left_by(&shared, &helm());
    let after = without_theirs(&Live::of(&object).unwrap(), &manifest, &object);
    assert_eq!(after.pointer("/metadata/labels/tier"), Some(&json!("a")), "somebody else has it too");
}

#[test]
fn sets_of_fields_add_up() {
    let one = json!({"f:spec": {"f:list": {}, "f:a": {"f:x": {}}}});
    let two = json!({"f:spec": {"f:list": {"v:1": {}}, "f:a": {"f:y": {}}, "f:b": {}}});
    let managers = [("kubectl-create", "Update", one), ("kubectl-edit", "Update", two)];
    let object = left_by(&managers, &json!({}));
    let patch = handed_over(&Live::of(&object).unwrap(), &deployment("web")).unwrap();
    assert_eq!(
        patch["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:list": {".": {}, "v:1": {}}, "f:a": {"f:x": {}, "f:y": {}}, "f:b": {}}})
    );
}
