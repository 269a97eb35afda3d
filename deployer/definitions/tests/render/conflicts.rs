//! Two writers of one field, and fields that controllers write.

use serde_json::json;

use crate::world::{codes, component, rendered, told, trait_type, web_type, writer};

const ENV: &str = "{'spec': {'template': {'spec': {'containers': [{'name': 'web', 'env': [{'name': 'A', 'value': '2'}]}]}}}}";

#[tokio::test]
async fn two_traits_that_write_one_field_are_both_named() {
    let (first, second) = (writer("first", "", ENV), writer("second", "", ENV));
    let web = rendered(component(&web_type(), json!({}), &[&first, &second])).await;
    assert_eq!(
        told(&web.violations),
        [
            "field_conflict components[web].traits[second]: trait `first` 1.2.3 and trait `second` 1.2.3 both write \
          `spec.template.spec.containers[name=web].env[name=A].value` of Deployment web"
        ]
    );
}

#[tokio::test]
async fn the_component_type_is_a_writer_too() {
    let env = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]});
    let web = rendered(component(&web_type(), env.clone(), &[&writer("env", "", ENV)])).await;
    assert_eq!(codes(&web.violations), ["field_conflict"]);
    assert!(
        web.violations[0].message.starts_with("component type `web` 1.2.3 and trait `env` 1.2.3 both write")
    );

    let leave = "overwrites: ['spec.template.spec.containers[*].env[*]']";
    let web = rendered(component(&web_type(), env, &[&writer("env", leave, ENV)])).await;
    assert_eq!(told(&web.violations), [""; 0]);
    let deployment = &web.objects[0];
    assert_eq!(
        deployment.object["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "2"}, {"name": "B", "value": "1"}])
    );
    assert_eq!(deployment.writers["env"], ["spec.template.spec.containers[name=web].env[name=A].value"]);
}

#[tokio::test]
async fn who_may_overwrite_may_remove_and_exchange() {
    let leave = "overwrites: ['spec.template.spec.containers[*].env[*]']";
    let marks = "{'spec': {'template': {'spec': {'containers': [{'name': 'web', 'env': [{'name': 'A', '$patch': 'delete'}, \
                 {'name': 'B', '$patch': 'replace', 'valueFrom': {'x': 1}}]}]}}}}";
    let env = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]});
    let web = rendered(component(&web_type(), env.clone(), &[&writer("env", leave, marks)])).await;
    assert_eq!(told(&web.violations), [""; 0]);
    assert_eq!(
        web.objects[0].object["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "B", "valueFrom": {"x": 1}}])
    );
    let both = [&writer("env", leave, marks), &writer("more", leave, ENV)];
    let web = rendered(component(&web_type(), env.clone(), &both)).await;
    assert_eq!(codes(&web.violations), ["field_conflict"], "leave counts against the component type alone");

    let web = rendered(component(&web_type(), env.clone(), &[&writer("env", "", marks)])).await;
    assert_eq!(codes(&web.violations), ["bad_definition_result", "bad_definition_result"]);
    let wrong = "{'spec': {'env': [{'name': 'A', '$patch': 'merge'}], 'x': {'$patch': 'delete'}}}";
    let web = rendered(component(&web_type(), env, &[&writer("env", "overwrites: [spec.env]", wrong)])).await;
    assert_eq!(codes(&web.violations), ["bad_definition_result", "bad_definition_result"]);
}

#[tokio::test]
async fn equal_labels_do_no_harm() {
    let labels = |value: &str| format!("{{'metadata': {{'name': 'web', 'labels': {{'tier': '{value}'}}}}}}");
    let (a, b, c) =
        (writer("a", "", &labels("x")), writer("b", "", &labels("x")), writer("c", "", &labels("y")));
    let web = rendered(component(&web_type(), json!({}), &[&a, &b])).await;
    assert_eq!(codes(&web.violations), [""; 0]);
    let web = rendered(component(&web_type(), json!({}), &[&a, &c])).await;
    assert_eq!(codes(&web.violations), ["field_conflict"]);
}

#[tokio::test]
async fn nobody_writes_what_a_controller_writes() {
    let hpa = writer(
        "hpa",
        "owns: [{workload: 'apps/v1/Deployment', path: spec.replicas}]",
        "{'spec': {'paused': True}}",
    );
    let scaler = writer("scaler", "", "{'spec': {'replicas': 2}}");
    for traits in [[&hpa, &scaler], [&scaler, &hpa]] {
        let web = rendered(component(&web_type(), json!({}), &traits)).await;
        assert_eq!(
            told(&web.violations),
            [
                "runtime_owned_field components[web].traits[scaler]: trait `scaler` 1.2.3 writes `spec.replicas` of Deployment \
              web, which the trait `hpa` leaves to its controller"
            ]
        );
        assert_eq!(web.owns[0].path.to_string(), "spec.replicas");
    }
    let web = rendered(component(&web_type(), json!({"replicas": 2}), &[&hpa])).await;
    assert_eq!(codes(&web.violations), ["runtime_owned_field"]);
    assert_eq!(web.violations[0].path, "components[web]");
    let elsewhere = writer("hpa", "owns: [{workload: 'apps/v1/StatefulSet', path: spec.replicas}]", "{}");
    let web = rendered(component(&web_type(), json!({"replicas": 2}), &[&elsewhere])).await;
    assert_eq!(codes(&web.violations), [""; 0]);
}

#[tokio::test]
async fn a_new_object_of_two_traits_is_written_by_both() {
    let config = |name: &str, key: &str, version: &str| {
        let main = format!(
            "def render(ctx):\n    return [object.apply({{'apiVersion': '{version}', 'kind': 'ConfigMap', \
             'metadata': {{'name': 'shared'}}, 'data': {{'{key}': '1'}}}})]\n"
        );
        trait_type(name, "appliesTo: ['*']", &main)
    };
    let (a, b) = (config("a", "x", "v1"), config("b", "y", "v1"));
    let web = rendered(component(&web_type(), json!({}), &[&a, &b])).await;
    assert_eq!(told(&web.violations), [""; 0]);
    let shared = &web.objects[1];
    assert_eq!(shared.object["data"], json!({"x": "1", "y": "1"}));
    assert_eq!(
        (shared.writers["a"].as_slice(), shared.writers["b"].as_slice()),
        (&["data.x".to_owned()][..], &["data.y".to_owned()][..])
    );

    let web = rendered(component(&web_type(), json!({}), &[&a, &config("b", "x", "v1")])).await;
    assert_eq!(codes(&web.violations), ["field_conflict"]);
}

#[tokio::test]
async fn two_versions_of_one_kind_cannot_both_be_sent() {
    let old = trait_type(
        "old",
        "appliesTo: ['*']",
        "def render(ctx):\n    return [object.apply({'apiVersion': 'apps/v1beta1', 'kind': 'Deployment', 'metadata': {'name': 'web'}})]\n",
    );
    let web = rendered(component(&web_type(), json!({}), &[&old])).await;
    assert_eq!(codes(&web.violations), ["field_conflict"]);
    assert!(web.violations[0].message.ends_with("both write `apiVersion` of Deployment web"));
}
