use proptest::prelude::*;
use serde_json::{Value, json};
use slipway_types::Address;

use super::*;

fn address(stage: &str) -> Address {
    format!("eu/kind/shop/{stage}").parse().unwrap()
}

fn settled(stage: &str, origin: Origin<'_>, mut objects: Vec<Value>) -> (Vec<Value>, Renames) {
    let mut all: Vec<&mut Value> = objects.iter_mut().collect();
    let renames = settle(&address(stage), origin, &mut all);
    (objects, renames)
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cache"},
        "spec": {
            "selector": {"matchLabels": {"app": "cache"}},
            "template": {
                "metadata": {"labels": {"app": "cache"}},
                "spec": {
                    "serviceAccountName": "cache",
                    "containers": [{
                        "name": "cache",
                        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "cache", "key": "a"}}}],
                        "envFrom": [{"configMapRef": {"name": "foreign"}}],
                        "args": ["--peer=cache:6379"],
                    }],
                    "topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": "cache"}}}],
                },
            },
        },
    })
}

fn named(kind: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "cache"}});
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

#[test]
fn names_references_and_selectors_become_the_stages_own() {
    let service = named("Service", json!({"spec": {"selector": {"app": "cache"}}}));
    let secret = named("Secret", json!({}));
    let account = named("ServiceAccount", json!({}));
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "cache"},
            {"kind": "ServiceAccount", "name": "cache", "namespace": "other"},
        ],
    });
    let (objects, renames) =
        settled("blue", Origin::Written, vec![deployment(), service, secret, account, binding]);
    let at = |index: usize, pointer: &str| objects[index].pointer(pointer).cloned().unwrap_or_default();
    let pod = "/spec/template/spec";
    for (pointer, expected) in [
        ("/metadata/name".to_owned(), "cache-blue"),
        (format!("{pod}/serviceAccountName"), "cache-blue"),
        (format!("{pod}/containers/0/env/0/valueFrom/secretKeyRef/name"), "cache-blue"),
        (format!("{pod}/containers/0/envFrom/0/configMapRef/name"), "foreign"),
        (format!("{pod}/containers/0/name"), "cache"),
        ("/spec/selector/matchLabels/slipway.dev~1stage".to_owned(), "blue"),
        ("/spec/template/metadata/labels/slipway.dev~1stage".to_owned(), "blue"),
        (format!("{pod}/topologySpreadConstraints/0/labelSelector/matchLabels/slipway.dev~1stage"), "blue"),
    ] {
        assert_eq!(at(0, &pointer), expected, "{pointer}");
    }
    assert_eq!(at(1, "/spec/selector/slipway.dev~1stage"), "blue");
    assert_eq!(at(4, "/roleRef/name"), "view");
    assert_eq!((at(4, "/subjects/0/name"), at(4, "/subjects/1/name")), (json!("cache-blue"), json!("cache")));
    let notes = renames.notes("c", "shop", &objects.iter().collect::<Vec<_>>());
    assert_eq!(
        notes,
        ["c: a text of Deployment cache-blue names `cache`, which is `cache-blue` in this stage"]
    );
}

#[test]
fn selectors_of_others_and_names_that_others_fix_stay() {
    let elsewhere = json!({"spec": {"selector": {"app": "database"}}});
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
        "spec": {
            "podSelector": {},
            "ingress": [{"from": [
                {"podSelector": {"matchLabels": {"app": "cache"}}},
                {"podSelector": {"matchLabels": {"app": "cache"}}, "namespaceSelector": {}},
                {"podSelector": {"matchLabels": {"app": "gateway"}}},
            ]}],
        },
    });
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "a.b.c"}});
    let objects = vec![deployment(), named("Service", elsewhere), policy, crd];
    let (blue, _) = settled("blue", Origin::Written, objects.clone());
    assert_eq!(blue[1]["spec"]["selector"], json!({"app": "database"}));
    let from = &blue[2]["spec"]["ingress"][0]["from"];
    let own = json!({"matchLabels": {"app": "cache", "slipway.dev/stage": "blue"}});
    assert_eq!(from[0]["podSelector"], own);
    assert_eq!(from[1]["podSelector"], json!({"matchLabels": {"app": "cache"}}));
    assert_eq!(from[2]["podSelector"], json!({"matchLabels": {"app": "gateway"}}));
    assert_eq!(blue[2]["spec"]["podSelector"], json!({"matchLabels": {"slipway.dev/stage": "blue"}}));
    assert_eq!(blue[3]["metadata"]["name"], "a.b.c");
    let (default, renames) = settled("default", Origin::Written, objects);
    assert!(renames.0.is_empty() && default[0]["metadata"]["name"] == "cache");
    assert_eq!(default[0]["spec"]["selector"]["matchLabels"]["slipway.dev/stage"], "default");
    assert_eq!(default[2]["spec"]["podSelector"], json!({}));
}

#[test]
fn a_selector_that_names_a_stage_on_purpose_stays() {
    let labels = json!({"slipway.dev/component": "web", "slipway.dev/stage": "green"});
    let router = named("Service", json!({"spec": {"selector": labels}}));
    let expressions = json!([{"key": "slipway.dev/stage", "operator": "In", "values": ["green"]}]);
    let peers = json!([
        {"podSelector": {"matchLabels": labels}},
        {"podSelector": {"matchLabels": {"app": "cache"}, "matchExpressions": expressions}},
        {"podSelector": {"matchLabels": {"slipway.dev/component": "web"}}},
    ]);
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
        "spec": {"podSelector": {"matchLabels": labels}, "ingress": [{"from": peers}]},
    });
    // Its pods say that they are of the stage that the second peer names.
    let mut pods = deployment();
    pods["spec"]["template"]["metadata"]["labels"]["slipway.dev/stage"] = json!("green");
    for stage in ["default", "blue"] {
        let written = vec![router.clone(), policy.clone(), pods.clone()];
        let (objects, _) = settled(stage, Origin::Rendered, written);
        assert_eq!(objects[0]["spec"]["selector"], labels, "{stage}");
        assert_eq!(objects[1]["spec"]["podSelector"]["matchLabels"], labels, "{stage}");
        let from = &objects[1]["spec"]["ingress"][0]["from"];
        assert_eq!((&from[0], &from[1]), (&peers[0], &peers[1]), "{stage}");
        assert_eq!(from[2]["podSelector"]["matchLabels"]["slipway.dev/stage"], stage);
        let template = &objects[2]["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&template["slipway.dev/stage"], &template["app"]), (&json!(stage), &json!("cache")));
    }
}

#[test]
fn what_is_the_stages_own_already_stays() {
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let names = |origin| {
        let objects = vec![object("shop-blue-config"), object("config"), object("config-blue")];
        let (objects, _) = settled("blue", origin, objects);
        objects
            .iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(Origin::Chart { release: "shop-blue" })[..2], ["shop-blue-config", "config-blue"]);
    assert_eq!(names(Origin::Rendered)[1..], ["config-blue", "config-blue"]);
    assert_eq!(names(Origin::Written)[2], "config-blue-blue");
}

#[test]
fn a_host_is_told_from_a_longer_word() {
    for text in ["redis", "redis:6379", "tcp://redis:6379/0", "a=redis,b", "redis.shop.svc"] {
        assert!(names(text, "redis"), "{text}");
    }
    for text in ["redisearch", "my-redis", "redis-ha", "x.redis", "", "redis_host"] {
        assert!(!names(text, "redis"), "{text}");
    }
}

fn custom(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.org/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

#[test]
fn what_names_an_object_where_no_rule_says_so_is_told() {
    let issuer = json!({"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "ca"}});
    let told = |object: Value| {
        let all = vec![named("Service", json!({})), deployment(), issuer.clone(), object];
        let (objects, renames) = settled("blue", Origin::Written, all);
        renames.notes("c", "shop", &[&objects[3]])
    };
    let pod =
        |container: Value| custom("Rollout", json!({"template": {"spec": {"containers": [container]}}}));
    for (object, old) in [
        (
            custom("VirtualService", json!({"http": [{"route": [{"destination": {"host": "cache"}}]}]})),
            "cache",
        ),
        (custom("VirtualService", json!({"hosts": ["cache.shop.svc.cluster.local"]})), "cache"),
        (custom("Certificate", json!({"issuerRef": {"kind": "Issuer", "name": "ca"}})), "ca"),
        (custom("HTTPRoute", json!({"parentRefs": [{"name": "ca"}]})), "ca"),
        (custom("Rollout", json!({"workloadRef": {"kind": "Deployment", "name": "cache"}})), "cache"),
        (custom("Probe", json!({"url": "http://cache:8080/health"})), "cache"),
        (pod(json!({"name": "c", "command": ["sh", "-c", "wget cache:80"]})), "cache"),
    ] {
        let expected = format!(
            "c: a text of {} x-blue names `{old}`, which is `{old}-blue` in this stage",
            object["kind"].as_str().unwrap()
        );
        assert_eq!(told(object), [expected]);
    }
    for silent in [
        custom(
            "Rollout",
            json!({"selector": {"app": "cache"}, "template": {"metadata": {"labels": {"app": "cache"}}}}),
        ),
        custom("Certificate", json!({"issuerRef": {"kind": "ClusterIssuer", "name": "ca"}})),
        custom("Middleware", json!({"to": {"name": "cache", "namespace": "other"}})),
        custom("Route", json!({"path": "/cache", "host": "cache.example.org", "text": "a cache is filled"})),
        pod(json!({"name": "cache", "image": "cache", "command": ["cache"], "ports": [{"name": "cache"}]})),
        named("CustomResourceDefinition", json!({"spec": {"names": {"singular": "cache"}}})),
    ] {
        assert_eq!(told(silent.clone()), [""; 0], "{silent}");
    }
}

#[test]
fn an_address_is_told_from_what_looks_like_one() {
    for text in
        ["cache", "cache:80", "cache.shop", "cache.shop.svc:80", "redis://u:p@cache:6379/0", "http://cache"]
    {
        assert!(is_address(text, "cache", "shop"), "{text}");
    }
    for text in [
        "",
        "/cache",
        "cache/x",
        "cache.example.org",
        "cache-x",
        "x.cache",
        "cache.shopping",
        "http://x/cache",
    ] {
        assert!(!is_address(text, "cache", "shop"), "{text}");
    }
}

/// Any JSON, objects that look like Kubernetes' own among it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 4, |inner| {
        let keys = prop::sample::select(vec![
            "kind",
            "apiVersion",
            "metadata",
            "name",
            "labels",
            "spec",
            "template",
            "selector",
            "containers",
            "matchLabels",
            "podSelector",
            "ingress",
            "from",
            "scaleTargetRef",
            "volumes",
            "configMap",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_is_too_odd(mut objects in prop::collection::vec(any_json(), 0..4)) {
        let mut all: Vec<&mut Value> = objects.iter_mut().collect();
        let renames = settle(&address("blue"), Origin::Written, &mut all);
        let shown: Vec<&Value> = all.iter().map(|object| &**object).collect();
        prop_assert!(renames.notes("c", "shop", &shown).len() <= NOTES_MAX);
    }
}
