//! What component types render, and what is wrong with it.

use serde_json::json;
use slipway_definitions::{Holds, OutputSource};

use crate::world::{
    codes, component, component_type, definition, rendered, request, session, told, web_type,
};

#[tokio::test]
async fn a_component_becomes_objects_outputs_and_labels() {
    let web = rendered(component(&web_type(), json!({"port": 80}), &[])).await;
    assert_eq!(told(&web.violations), [""; 0]);
    let [deployment, service] = &web.objects[..] else { panic!("{:?}", web.objects) };
    assert_eq!(deployment.object["spec"]["selector"]["matchLabels"]["slipway.dev/stage"], "default");
    assert_eq!(deployment.object["metadata"]["labels"]["slipway.dev/team"], "commerce");
    assert_eq!(deployment.object["spec"].get("replicas"), None, "a value of None is left out");
    assert_eq!(service.by, "web");
    let OutputSource::Field { object, path } = &web.outputs["address"] else { panic!("{:?}", web.outputs) };
    assert_eq!((object.name.as_str(), path.as_str()), ("web", "spec.clusterIP"));
    assert!(!web.awaits_package);
}

#[tokio::test]
async fn objects_of_another_stage_carry_it() {
    let mut request = request(vec![component(&web_type(), json!({}), &[])]);
    request.environment.address = "eu/main/shop/canary".parse().unwrap();
    let web = slipway_definitions::render(&mut session().await, &request).await.unwrap().remove(0);
    let object = &web.objects[0].object;
    assert_eq!(object["metadata"]["name"], "web-canary");
    assert_eq!(object["spec"]["selector"]["matchLabels"]["slipway.dev/stage"], "canary");
    assert_eq!(object["spec"]["selector"]["matchLabels"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn copies_of_a_component_select_their_own_pods() {
    let mut copy = component(&web_type(), json!({}), &[]);
    copy.object_name = Some("web-eu".into());
    let object = rendered(copy).await.objects.remove(0).object;
    assert_eq!(object["metadata"]["name"], "web-eu");
    assert_eq!(object["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"], "web-eu");
}

#[tokio::test]
async fn wrong_properties_are_told_before_anything_is_called() {
    let schema = r#"{"type": "object", "additionalProperties": false, "properties": {
        "port": {"type": "integer", "minimum": 1, "maximum": 65535}}}"#;
    let strict = definition(
        "ComponentDefinition",
        "strict",
        "takes: nothing",
        schema,
        "def render(ctx):\n    fail('it was called')\n",
    );
    let web = rendered(component(&strict, json!({"port": "http", "prot": 1}), &[])).await;
    assert_eq!(
        told(&web.violations),
        [
            "invalid_property components[web].properties.port: must be a whole number from 1 to 65535, is \"http\"",
            "unknown_field components[web].properties.prot: unknown property `prot`",
        ]
    );
    assert_eq!(web.violations[1].hint.as_deref(), Some("did you mean `port`?"));
}

#[tokio::test]
async fn a_definition_may_refuse_and_may_fail() {
    let refusing = component_type(
        "odd",
        "takes: nothing",
        "def render(ctx):\n    refuse('ports[0].port', 'is odd', hint = 'take 80')\n",
    );
    let web = rendered(component(&refusing, json!({}), &[])).await;
    assert_eq!(told(&web.violations), ["invalid_property components[web].properties.ports[0].port: is odd"]);
    assert_eq!(web.violations[0].hint.as_deref(), Some("take 80"));

    let failing = component_type("broken", "takes: nothing", "def render(ctx):\n    return ctx.nothing\n");
    let web = rendered(component(&failing, json!({}), &[])).await;
    assert_eq!(codes(&web.violations), ["definition_failed"]);
    assert!(
        web.violations[0].message.contains("component type `broken` 1.2.3 failed: main.star:2"),
        "{:?}",
        web.violations
    );

    let endless = "def render(ctx):\n    for i in range(1000000000):\n        pass\n";
    let web =
        rendered(component(&component_type("endless", "takes: nothing", endless), json!({}), &[])).await;
    assert_eq!(codes(&web.violations), ["definition_limit"]);
}

#[tokio::test]
async fn nonsense_results_name_the_definition_and_the_index() {
    let returning = |value: &str| {
        component_type(
            "nonsense",
            "takes: nothing, outputs: [a]",
            &format!("def render(ctx):\n    return {value}\n"),
        )
    };
    for (value, part) in [
        ("5", "must return a list of verbs"),
        ("[7]", "[0]: is no verb"),
        ("[1]", "[0]: "),
        ("[{'verb': 'object.delete'}]", "[0]: there is no verb `object.delete`"),
        (
            "[output.set('a', value = 1), output.set('b', value = 1)]",
            "[1]: the output `b` is not listed in spec.outputs",
        ),
        ("[{'verb': 'output.set', 'name': 'a'}]", "[0]: `output.set` takes either"),
        ("[{'verb': 'wait', 'object': {'kind': 'A'}, 'until': 'x'}]", "is missing in `wait`"),
        ("[{'verb': 'files.objects', 'paths': [], 'more': 1}]", "[0]: unknown field `more`"),
        ("lambda: 1", "no JSON"),
    ] {
        let web = rendered(component(&returning(value), json!({}), &[])).await;
        assert_eq!(codes(&web.violations), ["bad_definition_result"], "{value}: {:?}", web.violations);
        let message = &web.violations[0].message;
        assert!(
            message.contains("component type `nonsense` 1.2.3") && message.contains(part),
            "{value}: {message}"
        );
    }
}

#[tokio::test]
async fn what_is_no_object_is_not_applied() {
    let object = |fields: &str| {
        let main = format!("def render(ctx):\n    return [{{'verb': 'object.apply', 'object': {fields}}}]\n");
        component_type("odd", "takes: nothing", &main)
    };
    for (fields, part) in [
        (
            "{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'A_b'}}",
            "`metadata.name` `A_b` is no DNS name",
        ),
        (
            "{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}, 'status': {}}",
            "`status` is written by",
        ),
        (
            "{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'a'}, 'env': [{'name': 'A'}, {'name': 'A'}]}",
            "`env[name=A]` stands twice",
        ),
        (
            "{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'a'}, 'env': [{'name': 'A', '$patch': 'delete'}]}",
            "does not cover it",
        ),
        (
            "{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}, 'data': {'a': {'$secret': 'secret://env/A'}}}",
            "only as a value of `data` or `stringData` of a Secret",
        ),
    ] {
        let web = rendered(component(&object(fields), json!({}), &[])).await;
        assert_eq!(codes(&web.violations), ["bad_definition_result"], "{fields}");
        assert!(web.violations[0].message.contains(part), "{}", web.violations[0].message);
    }
}

#[tokio::test]
async fn an_object_rendered_twice_is_told() {
    let main = "def render(ctx):\n    o = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}}\n    \
                return [object.apply(o), object.apply(o)]\n";
    let web = rendered(component(&component_type("twice", "takes: nothing", main), json!({}), &[])).await;
    assert_eq!(
        told(&web.violations),
        ["bad_definition_result components[web]: component type `twice` 1.2.3 renders ConfigMap a twice"]
    );
}

#[tokio::test]
async fn other_namespaces_and_the_whole_cluster_are_out_of_reach() {
    let object = |spec: &str, kind: &str, namespace: &str| {
        let main = format!(
            "def render(ctx):\n    return [object.apply({{'apiVersion': '{kind}', 'kind': '{}', \
             'metadata': {{'name': 'a', 'namespace': {namespace}}}}})]\n",
            if kind == "v1" { "ConfigMap" } else { "ClusterRole" }
        );
        component_type("far", &format!("takes: nothing{spec}"), &main)
    };
    let role = "rbac.authorization.k8s.io/v1";
    for (definition, expected) in [
        (object("", "v1", "'other'"), vec!["unregistered_environment"]),
        (object("", "v1", "'shop'"), vec![]),
        (object("", role, "None"), vec!["cluster_scoped_object"]),
        (object(", clusterScoped: [ClusterRole]", role, "None"), vec![]),
        (object(", clusterScoped: ['*']", role, "None"), vec![]),
    ] {
        let web = rendered(component(&definition, json!({}), &[])).await;
        assert_eq!(codes(&web.violations), expected);
        assert_eq!(web.objects[0].cluster_scoped, web.objects[0].object["kind"] == "ClusterRole");
    }
}

#[tokio::test]
async fn the_package_must_hold_what_the_type_takes() {
    let taking =
        |what: &str| component_type("taking", &format!("takes: {what}"), "def render(ctx):\n    return []\n");
    let image = Holds { image: true, ..Holds::default() };
    for (what, held, properties, expected) in [
        ("image", Holds::default(), json!({}), vec!["image_missing"]),
        ("image", Holds::default(), json!({"image": "a"}), vec![]),
        ("chart", Holds::default(), json!({}), vec!["package_not_found"]),
        ("chart", image, json!({}), vec!["package_mismatch"]),
        ("files", image, json!({}), vec!["package_mismatch"]),
        ("files", Holds { files: true, ..Holds::default() }, json!({}), vec![]),
        ("nothing", Holds::default(), json!({}), vec![]),
    ] {
        let mut web = component(&taking(what), properties, &[]);
        web.package = held;
        web.images.clear();
        assert_eq!(codes(&rendered(web).await.violations), expected, "{what}");
    }
}

#[tokio::test]
async fn an_output_of_an_object_that_nobody_renders_is_told() {
    let main = "def render(ctx):\n    ref = {'apiVersion': 'v1', 'kind': 'Service', 'name': 'x'}\n    \
                return [output.set('a', object = ref, path = 'spec.clusterIP')]\n";
    let web =
        rendered(component(&component_type("lost", "takes: nothing, outputs: [a]", main), json!({}), &[]))
            .await;
    assert_eq!(codes(&web.violations), ["bad_definition_result"]);
    assert!(
        web.violations[0].message.contains("the output `a` is a field of Service x, which nothing renders")
    );
}

#[tokio::test]
async fn secrets_are_noted_with_their_places() {
    let main = "def render(ctx):\n    return [object.apply({'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 's'},\n        \
                'stringData': {'token': secret.ref('secret://builtin/npm#token')}})]\n";
    let web = rendered(component(&component_type("secret", "takes: nothing", main), json!({}), &[])).await;
    let [secret] = &web.secrets[..] else { panic!("{:?}", web.secrets) };
    assert_eq!(secret.reference.to_string(), "secret://builtin/npm#token");
    assert_eq!((secret.path.to_string().as_str(), secret.object.name.as_str()), ("stringData.token", "s"));
}
