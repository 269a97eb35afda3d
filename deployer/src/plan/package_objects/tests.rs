use serde_json::json;
use slipway_definitions::directive::{CollectRule, CollectStrategy, Selector};
use slipway_definitions::{Directive, Phase, RenderedObject};
use slipway_handoff::{Collect, Object, ObjectRef};
use slipway_types::Digest;

use super::*;
use crate::plan::rules;

const STEP: &str = "step.prepare";

fn address() -> Address {
    "eu/kind/shop/blue".parse().unwrap()
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
}

fn key(kind: &str, name: &str) -> ObjectKey {
    ObjectKey { api_version: "v1".into(), kind: kind.into(), name: name.into() }
}

fn rendered(name: &str, object: Value) -> RenderedComponent {
    let found = RenderedObject {
        object,
        phase: Phase::Main,
        cluster_scoped: false,
        by: "raw".to_owned(),
        writers: BTreeMap::new(),
    };
    RenderedComponent { name: name.to_owned(), objects: vec![found], ..RenderedComponent::default() }
}

fn job(mounted: &str) -> Value {
    let volumes = json!([{"name": "c", "configMap": {"name": mounted}}]);
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"},
        "spec": {"template": {"spec": {"containers": [{"name": "c"}], "volumes": volumes}}},
    })
}

#[test]
fn what_steps_and_components_wait_for_read_and_mount_is_the_stages_own() {
    let mut gathered = Gathered::default();
    let mut store = rendered("store", object("Service", "cache"));
    gathered.settle_rendered(&address(), &mut store);
    let field = OutputSource::Field { object: key("Service", "cache"), path: "status.x".to_owned() };
    store.outputs.insert("host".to_owned(), field);
    let wait = |name: &str| Verb::Wait { object: key("Service", name), until: "true".to_owned() };
    let mut web = rendered("web", job("conf"));
    web.verbs.push(Caused { by: "raw".to_owned(), phase: Phase::Pre, verb: wait("cache") });
    let mut first = vec![Verb::ObjectApply { object: object("ConfigMap", "conf") }];
    let mut second = vec![Verb::JobRun { object: job("conf") }, wait("cache"), wait("foreign")];
    gathered.settle_step(&address(), STEP.to_owned(), &mut first);
    gathered.settle_step(&address(), "step.load".to_owned(), &mut second);
    let mut all = [store, web];
    gathered.follow_renames(&address(), &mut all);
    gathered.follow_in_step(&address(), STEP, &mut first);
    gathered.follow_in_step(&address(), "step.load", &mut second);
    let mounted = |job: &Value| job.pointer("/spec/template/spec/volumes/0/configMap/name").cloned();
    assert_eq!(applied(&mut first[0]).unwrap()["metadata"]["name"], "conf-blue");
    assert_eq!(mounted(applied(&mut second[0]).unwrap()), Some(json!("conf-blue")));
    assert_eq!((&second[1], &second[2]), (&wait("cache-blue"), &wait("foreign")));
    let [store, web] = all;
    let expected = OutputSource::Field { object: key("Service", "cache-blue"), path: "status.x".to_owned() };
    assert_eq!(store.outputs["host"], expected);
    assert_eq!(web.verbs[0].verb, wait("cache-blue"));
    assert_eq!(mounted(&web.objects[0].object), Some(json!("conf-blue")));
}

#[test]
fn rules_mean_objects_by_the_names_of_the_file() {
    let rule = CollectRule {
        selector: Selector { resource_names: vec!["data".to_owned()], ..Selector::default() },
        strategy: CollectStrategy::Never,
        propagation: None,
    };
    let directives = [("keep".to_owned(), Directive::Collect(vec![rule]))];
    let collected = |name: &str, suffix: &str| {
        let whole = rendered("db", object("PersistentVolumeClaim", name));
        let found = &whole.objects[0];
        let mut kept = Object::new(ObjectRef::of(&found.object).unwrap(), Digest::of("data"));
        let candidate = rules::Candidate { component: "db", component_type: "raw", rendered: found, suffix };
        rules::apply(&directives, &candidate, &mut kept);
        kept.collect
    };
    assert_eq!(collected("data-blue", "-blue"), Collect::Never);
    assert_eq!(collected("data", "-blue"), Collect::Never);
    assert_eq!(collected("data", ""), Collect::Never);
    assert_ne!(collected("data-green", "-blue"), Collect::Never);
    assert_ne!(collected("data-blue", ""), Collect::Never);
}
