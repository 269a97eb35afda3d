//! What plain files come to.

use serde_json::{Value, json};
use slipway_charts::RenderError;

use crate::rig::{Rig, lines};

const OBJECTS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n\
                       apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: correct-horse}\n";

#[test]
fn files_follow_the_rules_of_charts() {
    let json = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}"#;
    let rig = Rig::new("kustomize", Value::Null).file("b.yaml", OBJECTS).file("a.json", json);
    let rendered = rig.objects(&["b.yaml", "a.json"]).unwrap();
    let sources: Vec<_> = rendered.objects.iter().map(|object| object.source.as_deref().unwrap()).collect();
    assert_eq!(sources, ["b.yaml", "b.yaml", "a.json"]);
    assert_eq!(rendered.objects[0].object["metadata"], json!({"name": "a", "namespace": "prod"}));
    assert_eq!(rendered.cluster_scoped[0].to_string(), "Namespace b");
    assert_eq!(rendered.secrets.len(), 1);
    assert!(!format!("{rendered:?}").contains("correct-horse"));
}

#[test]
fn what_is_missing_or_wrong_is_told_at_once() {
    let rig =
        Rig::new("kustomize", Value::Null).file("b.yaml", "a: 1\n---\nkind: A\n").file("c.yaml", [0xff]);
    let Err(RenderError::Refused(found)) = rig.objects(&["none.yaml", "b.yaml", "c.yaml"]) else {
        panic!("it was taken")
    };
    assert_eq!(
        lines(&found),
        [
            "invalid_property components[web].properties.paths[0]: `none.yaml` is not in the package",
            "invalid_object b.yaml:1:1: components[web]: `document` is no object of Kubernetes: it has no `apiVersion`",
            "invalid_object b.yaml:1:1: components[web]: `A` is no object of Kubernetes: it has no `apiVersion`",
            "invalid_output components[web]: c.yaml is not UTF-8 text",
        ]
    );
}
