//! What traits add, and when they may stand.

use serde_json::json;
use slipway_definitions::{Phase, Verb};

use crate::world::{attached, codes, component, definition, rendered, told, trait_type, web_type, writer};

#[tokio::test]
async fn a_trait_writes_into_the_workload_and_adds_objects() {
    let main = r#"
def render(ctx):
    w = ctx.workload
    if w["spec"]["template"]["spec"]["containers"][0]["name"] != ctx.component["name"]:
        fail("the workload is not the base")
    if ctx.traits != ["budget"] or ctx.component["type"] != "web" or len(ctx.objects) != 2:
        fail("%s %s" % (ctx.traits, ctx.component))
    return [
        object.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ctx.object_name},
            "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}, {"name": "web", "tty": True}]}}}}),
        object.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": ctx.object_name}}),
        job.run({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}}),
    ]
"#;
    let budget = trait_type("budget", "appliesTo: [web], phase: post", main);
    let web = rendered(component(&web_type(), json!({"port": 80}), &[&budget])).await;
    assert_eq!(told(&web.violations), [""; 0]);
    let [deployment, service, added] = &web.objects[..] else { panic!("{:?}", web.objects) };
    let containers = deployment.object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers[0], json!({"name": "web", "image": "r.example/web@sha256:0", "tty": true}));
    assert_eq!(containers[1], json!({"name": "side", "image": "s"}));
    let written = &deployment.writers["budget"];
    assert_eq!(
        written,
        &["spec.template.spec.containers[name=side].image", "spec.template.spec.containers[name=web].tty"]
    );
    assert!(service.writers.is_empty());
    assert_eq!((deployment.phase, added.phase, added.by.as_str()), (Phase::Main, Phase::Post, "budget"));
    let [job] = &web.verbs[..] else { panic!("{:?}", web.verbs) };
    assert!(job.phase == Phase::Post && matches!(job.verb, Verb::JobRun { .. }));
}

#[tokio::test]
async fn a_trait_stands_only_where_it_applies() {
    for (applies, fits) in [
        ("[web]", true),
        ("['apps/v1/Deployment']", true),
        ("['apps/v1beta2/Deployment']", true),
        ("['*']", true),
        ("[worker, 'apps/v1/StatefulSet']", false),
    ] {
        let definition =
            trait_type("picky", &format!("appliesTo: {applies}"), "def render(ctx):\n    return []\n");
        let web = rendered(component(&web_type(), json!({}), &[&definition])).await;
        assert_eq!(web.violations.is_empty(), fits, "{applies}: {:?}", web.violations);
        if !fits {
            assert_eq!(
                told(&web.violations),
                [
                    "trait_not_applicable components[web].traits[picky]: trait `picky` 1.2.3 does not apply to component `web` \
                  of component type `web` 1.2.3, which renders apps/Deployment"
                ]
            );
        }
    }
}

#[tokio::test]
async fn a_declared_conflict_counts_from_either_side() {
    let declaring = writer("scaler", "conflictsWith: [hpa]", "{'spec': {'replicas': 2}}");
    let other = writer("hpa", "owns: [{workload: '*', path: spec.replicas}]", "{'spec': {'paused': True}}");
    for pair in [[&declaring, &other], [&other, &declaring]] {
        let web = rendered(component(&web_type(), json!({}), &pair)).await;
        assert_eq!(codes(&web.violations), ["trait_conflict"], "{:?}", web.violations);
        assert_eq!(web.violations[0].path, format!("components[web].traits[{}]", pair[1].name()));
        let message = &web.violations[0].message;
        assert!(message.contains("`scaler`") && message.contains("`hpa`"), "{message}");
        assert!(message.ends_with("trait `scaler` 1.2.3 declares the conflict"), "{message}");
    }
}

#[tokio::test]
async fn the_same_trait_twice_needs_leave() {
    let once = trait_type("once", "appliesTo: ['*']", "def render(ctx):\n    return []\n");
    let web = rendered(component(&web_type(), json!({}), &[&once, &once])).await;
    assert_eq!(codes(&web.violations), ["duplicate_name"]);
    let often =
        trait_type("often", "appliesTo: ['*'], repeatable: true", "def render(ctx):\n    return []\n");
    let web = rendered(component(&web_type(), json!({}), &[&often, &often])).await;
    assert_eq!(codes(&web.violations), [""; 0]);
}

#[tokio::test]
async fn wrong_properties_of_a_trait_have_its_path() {
    let schema = r#"{"type": "object", "additionalProperties": false, "required": ["max"],
        "properties": {"max": {"type": "integer"}}}"#;
    let hpa =
        definition("TraitDefinition", "hpa", "appliesTo: ['*']", schema, "def render(ctx):\n    return []\n");
    let mut web = component(&web_type(), json!({"replicas": "x"}), &[]);
    web.traits = vec![attached(&hpa, json!({"max": "many"})), attached(&hpa, json!({}))];
    web.traits[1].path = "components[web].traits[1]".into();
    let web = rendered(web).await;
    assert_eq!(
        told(&web.violations),
        [
            "duplicate_name components[web].traits[1]: component `web` has the trait `hpa` twice",
            "invalid_property components[web].traits[hpa].properties.max: must be a whole number, is \"many\"",
            "invalid_property components[web].traits[1].properties.max: `max` is missing",
        ]
    );
}

#[tokio::test]
async fn a_trait_may_not_render_packages() {
    let main = "def render(ctx):\n    return [chart.render()]\n";
    let web =
        rendered(component(&web_type(), json!({}), &[&trait_type("chart", "appliesTo: ['*']", main)])).await;
    assert_eq!(codes(&web.violations), ["bad_definition_result"]);
    assert!(web.violations[0].message.contains("[0]: a trait may not use `chart.render`"));
}

#[tokio::test]
async fn a_job_is_an_object_too() {
    let main = "def render(ctx):\n    return [job.run({'apiVersion': 'batch/v1', 'kind': 'Job', \
                'metadata': {'name': 'A_b', 'namespace': 'other'}, 'spec': None})]\n";
    let web =
        rendered(component(&web_type(), json!({}), &[&trait_type("job", "appliesTo: ['*']", main)])).await;
    assert_eq!(codes(&web.violations), ["bad_definition_result", "unregistered_environment"]);
    let Verb::JobRun { object } = &web.verbs[0].verb else { panic!("{:?}", web.verbs) };
    assert_eq!(object.get("spec"), None);
}

#[tokio::test]
async fn two_that_set_one_output_are_told() {
    let setting = |name: &str, value: u8| {
        let main = format!("def render(ctx):\n    return [output.set('port', value = {value})]\n");
        trait_type(name, "appliesTo: ['*'], outputs: [port]", &main)
    };
    let web = rendered(component(&web_type(), json!({}), &[&setting("a", 1), &setting("b", 2)])).await;
    assert_eq!(codes(&web.violations), ["duplicate_output"]);
    let web = rendered(component(&web_type(), json!({}), &[&setting("a", 1), &setting("b", 1)])).await;
    assert_eq!(codes(&web.violations), [""; 0]);
}

#[tokio::test]
async fn the_workload_a_type_declares_must_be_there() {
    let lying = crate::world::component_type(
        "lying",
        "workload: {apiVersion: apps/v1, kind: Deployment}, takes: nothing",
        "def render(ctx):\n    return []\n",
    );
    let any = trait_type("any", "appliesTo: ['*']", "def render(ctx):\n    return []\n");
    let web = rendered(component(&lying, json!({}), &[&any])).await;
    assert_eq!(codes(&web.violations), ["bad_definition_result"]);
    assert!(web.violations[0].message.contains("its workload, apps/Deployment, is not among the objects"));
}
