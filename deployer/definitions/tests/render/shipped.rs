//! The built-in definitions together: what goes with what.

use std::sync::Arc;

use serde_json::{Value, json};
use slipway_definitions::trial::default_context;
use slipway_definitions::{
    Catalogue, ComponentRequest, DefinitionKind, RenderRequest, RenderedComponent, TraitRequest,
    check_together, render,
};

use crate::world::{codes, component, request, session, told};

fn builtin(kind: DefinitionKind, name: &str) -> Arc<slipway_definitions::Definition> {
    Catalogue::builtin().resolve(kind, name, None, name).unwrap()
}

fn of_type(name: &str, properties: Value, traits: &[(&str, Value)]) -> ComponentRequest {
    let mut component = component(&builtin(DefinitionKind::Component, name), properties, &[]);
    component.traits = traits
        .iter()
        .map(|(name, properties)| TraitRequest {
            definition: builtin(DefinitionKind::Trait, name),
            properties: properties.clone(),
            path: format!("components[web].traits[{name}]"),
        })
        .collect();
    component
}

/// Rendered on the cluster of the default test context, which has all kinds.
async fn whole(component: ComponentRequest) -> RenderedComponent {
    let context = default_context(&component.type_definition);
    let mut request: RenderRequest = request(vec![component]);
    request.cluster = serde_json::from_value(context["cluster"].clone()).unwrap();
    let mut rendered = render(&mut session().await, &request).await.unwrap();
    check_together(&request, &mut rendered);
    rendered.remove(0)
}

#[tokio::test]
async fn traits_that_have_nothing_against_each_other_stand_together() {
    let traits = [
        ("hpa", json!({})),
        ("gateway", json!({"domain": "shop.example.com", "http": {"/": 8080}})),
        ("env", json!({"env": {"MODE": "fast", "A": "2"}})),
        ("storage", json!({"emptyDir": [{"name": "tmp", "mountPath": "/tmp"}]})),
        ("resources", json!({"cpu": "0.5", "memory": "100Mi"})),
        ("sidecar", json!({"name": "log", "image": "log:1"})),
        ("init-container", json!({"name": "init", "image": "init:1"})),
        ("labels", json!({"tier": "front"})),
        ("annotations", json!({"example.com/a": "b"})),
        ("pdb", json!({"minAvailable": 1})),
        ("service-account", json!({"name": "shop", "create": true})),
        ("network-policy", json!({"ingress": [{"ports": [{"port": 8080}]}]})),
        ("update-strategy", json!({"strategy": {"type": "RollingUpdate"}})),
    ];
    let properties = json!({"ports": [{"port": 8080, "expose": true}], "env": [{"name": "A", "value": "1"}]});
    let web = whole(of_type("webservice", properties, &traits)).await;
    assert_eq!(told(&web.violations), [""; 0]);
    let kinds: Vec<&str> = web.objects.iter().map(|object| object.object["kind"].as_str().unwrap()).collect();
    for kind in [
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "Ingress",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ] {
        assert_eq!(kinds.iter().filter(|found| **found == kind).count(), 1, "{kind} in {kinds:?}");
    }
    let pod = &web.objects[0].object["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 2);
    assert!(pod["containers"][0]["env"].as_array().unwrap().contains(&json!({"name": "A", "value": "2"})));
    assert_eq!(pod["serviceAccountName"], "shop");
}

#[tokio::test]
async fn traits_that_fight_are_told_apart() {
    let hpa = ("hpa", json!({}));
    for (properties, traits, expected) in [
        (json!({}), vec![("scaler", json!({"replicas": 2})), hpa.clone()], vec!["trait_conflict"]),
        (json!({"replicas": 2}), vec![hpa.clone()], vec!["runtime_owned_field"]),
        (json!({"cpu": "1"}), vec![("resources", json!({"cpu": "2"}))], vec!["field_conflict"; 2]),
        (json!({"replicas": 2}), vec![("scaler", json!({"replicas": 2}))], vec!["field_conflict"]),
        (json!({}), vec![hpa.clone(), hpa], vec!["duplicate_name"]),
    ] {
        let web = whole(of_type("webservice", properties, &traits)).await;
        assert_eq!(codes(&web.violations), expected, "{traits:?}: {:?}", told(&web.violations));
    }
    let daemon = whole(of_type("daemon", json!({}), &[("scaler", json!({"replicas": 2}))])).await;
    assert_eq!(codes(&daemon.violations), ["trait_not_applicable"]);
}
