//! Components whose objects come from their package.

use std::sync::Arc;

use serde_json::{Value, json};
use slipway_definitions::{
    Definition, Holds, PackageObject, Phase, RenderedComponent, Verb, apply_traits, render,
};

use crate::world::{codes, component, component_type, request, session, told, trait_type, writer};

fn chart() -> Arc<Definition> {
    component_type(
        "chart",
        "takes: chart, outputs: [a]",
        "def render(ctx):\n    return [chart.render(values = ctx.properties, release = ctx.object_name)]\n",
    )
}

fn object(api_version: &str, kind: &str, name: &str) -> PackageObject {
    let template = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = if kind == "ConfigMap" { json!({}) } else { json!({"template": template}) };
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "creationTimestamp": null},
        "spec": spec, "status": {}});
    PackageObject { object, phase: Phase::Main }
}

async fn with_package(traits: &[&Arc<Definition>], objects: Vec<PackageObject>) -> RenderedComponent {
    let mut chart = component(&chart(), json!({"a": 1}), traits);
    chart.package = Holds { chart: true, ..Holds::default() };
    let request = request(vec![chart]);
    let mut session = session().await;
    let mut rendered = render(&mut session, &request).await.unwrap().remove(0);
    assert_eq!(told(&rendered.violations), [""; 0]);
    assert!(rendered.awaits_package && rendered.objects.is_empty());
    let Verb::ChartRender { values, release } = &rendered.verbs[0].verb else {
        panic!("{:?}", rendered.verbs)
    };
    assert_eq!((values, release.as_deref()), (&json!({"a": 1}), Some("web")));
    apply_traits(&mut session, &request, &request.components[0], &mut rendered, objects).await.unwrap();
    rendered
}

fn paused() -> Arc<Definition> {
    trait_type(
        "paused",
        "appliesTo: ['apps/v1/Deployment', 'apps/v1/StatefulSet']",
        "def render(ctx):\n    w = ctx.workload\n    return [object.apply({'apiVersion': w['apiVersion'], 'kind': w['kind'], \
         'metadata': {'name': w['metadata']['name']}, 'spec': {'paused': True}})]\n",
    )
}

#[tokio::test]
async fn traits_apply_to_the_one_workload_of_a_package() {
    let objects = vec![object("v1", "ConfigMap", "c"), object("apps/v1", "StatefulSet", "db")];
    let rendered = with_package(&[&paused()], objects).await;
    assert_eq!(told(&rendered.violations), [""; 0]);
    assert!(!rendered.awaits_package);
    assert_eq!(rendered.objects[1].object["spec"]["paused"], true);
    assert_eq!(rendered.objects[1].object.get("status"), None, "the cluster writes it");
    assert_eq!(rendered.objects[1].by, "chart");
}

#[tokio::test]
async fn none_or_several_workloads_are_told() {
    let rendered = with_package(&[&paused()], vec![object("v1", "ConfigMap", "c")]).await;
    assert_eq!(codes(&rendered.violations), ["trait_not_applicable"]);
    let two = vec![object("apps/v1", "Deployment", "a"), object("apps/v1", "StatefulSet", "b")];
    let rendered = with_package(&[&paused()], two.clone()).await;
    assert_eq!(
        told(&rendered.violations),
        [
            "ambiguous_workload components[web].traits[paused]: trait `paused` 1.2.3 could apply to several objects of component \
          `web`: Deployment a, StatefulSet b"
        ]
    );
    let rendered = with_package(&[], two).await;
    assert_eq!(codes(&rendered.violations), [""; 0]);
}

#[tokio::test]
async fn a_trait_for_everything_takes_what_has_pods() {
    let labels = writer("labels", "", "{'spec': {'x': 1}}");
    let objects = vec![object("v1", "ConfigMap", "c"), object("example.com/v1", "Thing", "t")];
    let rendered = with_package(&[&labels], objects).await;
    assert_eq!(rendered.objects[1].object["spec"]["x"], 1);
    let rendered = with_package(&[&labels], vec![object("v1", "ConfigMap", "c")]).await;
    assert_eq!(rendered.objects[0].object["spec"]["x"], 1, "the only object there is");
}

#[tokio::test]
async fn a_packages_objects_are_held_to_the_same_rules() {
    let far = PackageObject {
        object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}),
        phase: Phase::Pre,
    };
    let nameless =
        PackageObject { object: json!({"apiVersion": "v1", "kind": "ConfigMap"}), phase: Phase::Main };
    let rendered = with_package(&[&paused()], vec![far, nameless]).await;
    assert_eq!(codes(&rendered.violations), ["unregistered_environment", "invalid_object"]);
    assert_eq!(rendered.objects[0].phase, Phase::Pre);
}

#[tokio::test]
async fn what_a_chart_sets_a_controller_cannot_own() {
    let mut workload = object("apps/v1", "Deployment", "a");
    workload.object["spec"]["replicas"] = Value::from(1);
    let hpa = writer("hpa", "owns: [{workload: '*', path: spec.replicas}]", "{}");
    let rendered = with_package(&[&hpa], vec![workload]).await;
    assert_eq!(codes(&rendered.violations), ["runtime_owned_field"]);
}
