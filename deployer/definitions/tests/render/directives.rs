//! What policies and workflow steps say.

use serde_json::json;
use slipway_definitions::directive::{Deploy, StepDirective, Target};
use slipway_definitions::{Directive, Verb, evaluate_policy, evaluate_step};

use crate::world::{OPEN_SCHEMA, codes, component, definition, request, session, web_type};

async fn policy(main: &str) -> Result<Directive, Vec<slipway_types::Violation>> {
    let request = request(vec![component(&web_type(), json!({}), &[])]);
    let main = format!("def render(ctx):\n    return {main}\n");
    let policy = definition("PolicyDefinition", "where", "", OPEN_SCHEMA, &main);
    let properties = json!({"cluster": "main"});
    evaluate_policy(&mut session().await, &request, &policy, &properties, "policies[where]").await.unwrap()
}

async fn step(main: &str) -> Result<StepDirective, Vec<slipway_types::Violation>> {
    let request = request(vec![component(&web_type(), json!({}), &[])]);
    let main = format!("def render(ctx):\n    return {main}\n");
    let step = definition("WorkflowStepDefinition", "go", "", OPEN_SCHEMA, &main);
    let policies = ["where".to_owned()];
    let said = evaluate_step(
        &mut session().await,
        &request,
        &step,
        "canary",
        &policies,
        &json!({}),
        "workflow.steps[canary]",
    )
    .await;
    said.unwrap()
}

#[tokio::test]
async fn every_directive_of_a_policy_is_understood() {
    let targets =
        policy("{'targets': [{'cluster': ctx.properties['cluster'], 'stage': None}]}").await.unwrap();
    assert_eq!(
        targets,
        Directive::Targets(vec![Target { cluster: Some("main".into()), ..Target::default() }])
    );
    let Directive::Overrides(overrides) = policy(
        "{'overrides': [{'component': 'web', 'properties': {'a': None}, 'traits': [{'type': 'hpa', 'disable': True}]}, \
         {'only': ctx.components}]}",
    )
    .await
    .unwrap() else {
        panic!()
    };
    assert_eq!(overrides[0].properties, json!({"a": null}).as_object().cloned());
    assert!(overrides[0].traits[0].disable);
    assert_eq!(overrides[1].only, ["web"]);
    for (said, form) in [
        ("{'replicate': {'keys': ['a'], 'components': ['web']}}", "Replicate"),
        (
            "{'applyOnce': [{'selector': {'componentNames': ['web']}, 'paths': ['spec.replicas']}]}",
            "ApplyOnce",
        ),
        (
            "{'collect': [{'selector': {'oamTypes': ['TRAIT']}, 'strategy': 'onAppDelete', 'propagation': 'orphan'}]}",
            "Collect",
        ),
        ("{'health': [{'selector': {'resourceTypes': ['Job']}, 'cel': 'true'}]}", "Health"),
        ("{'shared': [{'selector': {}}]}", "Shared"),
    ] {
        let directive = policy(said).await.unwrap();
        assert!(format!("{directive:?}").starts_with(form), "{directive:?}");
    }
}

#[tokio::test]
async fn what_a_policy_requires_the_cluster_must_serve() {
    let request = request(vec![component(&web_type(), json!({}), &[])]);
    let requires = "requires: [{apiVersion: example.com/v1, kind: Region, install: the region operator}]";
    let main = "def render(ctx):\n    return {'shared': [{'selector': {}}]}\n";
    let policy = definition("PolicyDefinition", "where", requires, OPEN_SCHEMA, main);
    let said = evaluate_policy(&mut session().await, &request, &policy, &json!({}), "policies[where]").await;
    let violations = said.unwrap().unwrap_err();
    assert_eq!(codes(&violations), ["requirement_missing"]);
    assert_eq!(violations[0].path, "policies[where]");
    assert!(violations[0].message.contains("example.com/v1 Region"), "{:?}", violations[0]);
    assert_eq!(violations[0].hint.as_deref(), Some("install it there: the region operator"));
}

#[tokio::test]
async fn what_is_no_directive_is_told() {
    for said in [
        "[]",
        "{}",
        "{'targets': [], 'shared': []}",
        "{'targets': [{'clutser': 'a'}]}",
        "{'collect': [{'strategy': 'sometimes'}]}",
        "[object.apply({'apiVersion': 'v1', 'kind': 'A', 'metadata': {'name': 'a'}})]",
    ] {
        let violations = policy(said).await.unwrap_err();
        assert_eq!(codes(&violations), ["bad_definition_result"], "{said}");
        assert!(violations[0].message.contains("policy `where` 1.2.3"), "{:?}", violations[0]);
    }
    let violations = policy("refuse('cluster', 'is unknown')").await.unwrap_err();
    assert_eq!(violations[0].path, "policies[where].properties.cluster");
}

#[tokio::test]
async fn every_directive_of_a_step_is_understood() {
    let deploy = step("{'deploy': {'policies': ctx.policies, 'parallelism': 3}}").await.unwrap();
    let expected = Deploy { policies: vec!["where".into()], parallelism: Some(3), auto: true };
    assert_eq!(deploy, StepDirective::Deploy(expected));
    assert!(matches!(
        step("{'suspend': {'duration': '1m', 'message': None}}").await.unwrap(),
        StepDirective::Suspend(_)
    ));
    assert!(matches!(
        step("{'apply': {'component': ctx.components[0]}}").await.unwrap(),
        StepDirective::Apply(_)
    ));
    let StepDirective::Verbs(verbs) = step(
        "{'verbs': [http.call(method = 'POST', url = 'https://a.example/' + ctx.step['name']), \
         object.apply({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}, 'data': None})]}",
    )
    .await
    .unwrap() else {
        panic!()
    };
    assert!(matches!(&verbs[0], Verb::HttpCall { url, .. } if url.ends_with("canary")));
    assert!(matches!(&verbs[1], Verb::ObjectApply { object } if object.get("data").is_none()));
}

#[tokio::test]
async fn verbs_of_a_step_are_held_to_the_rules() {
    for (said, part) in [
        ("{'verbs': [kustomize.build()]}", "[0]: a workflow step may not use `kustomize.build`"),
        ("{'verbs': 1}", "must return a list of verbs"),
        ("{'verbs': [], 'more': 1}", ""),
    ] {
        let violations = step(said).await.unwrap_err();
        assert_eq!(codes(&violations), ["bad_definition_result"], "{said}");
        assert!(violations[0].message.contains(part), "{}", violations[0].message);
    }
    let far = "{'verbs': [object.apply({'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'a', 'namespace': 'x'}})]}";
    assert_eq!(codes(&step(far).await.unwrap_err()), ["unregistered_environment"]);
}
