use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::node::{Collect, Node, Wait};
use crate::sample::{self, config_map, object};
use crate::{Graph, ManifestSet, NodeState, SecretPlace, SecretUse};

/// A cluster in memory: objects by their reference, each apply with a new version.
#[derive(Default)]
struct Cluster {
    objects: Mutex<BTreeMap<ObjectRef, Value>>,
    version: Mutex<u64>,
}

impl Cluster {
    fn put(&self, mut object: Value) {
        let mut version = self.version.lock().unwrap();
        *version += 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let reference = ObjectRef::of(&object).unwrap();
        let mut objects = self.objects.lock().unwrap();
        if let Some(status) =
            objects.get(&reference).map(|old| old["status"].clone()).filter(Value::is_object)
            && object["status"].is_null()
        {
            object["status"] = status;
        }
        objects.insert(reference, object);
    }

    fn application(&self) -> Value {
        self.objects.lock().unwrap().values().find(|object| object["kind"] == "Application").unwrap().clone()
    }

    fn set_status(&self, status: Value) {
        let mut application = self.application();
        application["status"] = status;
        self.put(application);
    }
}

#[async_trait]
impl ClusterWriter for Cluster {
    fn name(&self) -> String {
        "kind".into()
    }

    async fn apply(&self, object: &Value) -> Result<(), ReceiverError> {
        self.put(object.clone());
        Ok(())
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ReceiverError> {
        Ok(self.objects.lock().unwrap().get(object).cloned())
    }

    async fn delete(&self, object: &ObjectRef) -> Result<(), ReceiverError> {
        self.objects.lock().unwrap().remove(object);
        Ok(())
    }
}

fn receiver(options: KubevelaOptions) -> (Arc<Cluster>, KubevelaReceiver) {
    let cluster = Arc::new(Cluster::default());
    (cluster.clone(), KubevelaReceiver::new(cluster, options))
}

fn key() -> Key {
    sample::submission(1, sample::plain().0).key
}

#[tokio::test]
async fn nodes_become_components_that_depend_on_each_other() {
    let (cluster, receiver) = receiver(KubevelaOptions::default());
    let (mut revision, manifests) = sample::plain();
    let mut nodes: BTreeMap<String, Node> = revision.graph.into();
    nodes.get_mut("web").unwrap().needs = BTreeSet::from(["Between/x".into()]);
    nodes.insert("Between/x".into(), Node { needs: BTreeSet::from(["config".into()]), ..Node::default() });
    nodes
        .insert("Last_One".into(), Node { needs: BTreeSet::from(["web".into()]), ..nodes["config"].clone() });
    let mut other = ManifestSet::new();
    let last = object(&mut other, &config_map("last"));
    let mut manifests = manifests;
    manifests.insert(&config_map("last"));
    nodes.get_mut("Last_One").unwrap().objects = vec![last];
    revision.graph = Graph::try_from(nodes).unwrap();
    let answer = receiver.submit(&sample::submission(3, revision), &manifests).await.unwrap();
    assert_eq!(answer, Answer::Accepted { run: "kind/shop/shop@g3".into() });

    let application = cluster.application();
    assert_eq!(application["metadata"]["annotations"]["app.oam.dev/publishVersion"], "g3");
    let components = application["spec"]["components"].as_array().unwrap();
    let shape: Vec<(&str, &Value)> = components
        .iter()
        .map(|component| (component["name"].as_str().unwrap(), &component["dependsOn"]))
        .collect();
    let (needs_config, needs_web) = (json!(["config"]), json!(["web"]));
    assert_eq!(shape[..2], [("config", &Value::Null), ("web", &needs_config)]);
    assert!(shape[2].0.starts_with("ast--ne-") && shape[2].1 == &needs_web, "{shape:?}");
    assert_eq!(components[1]["type"], "k8s-objects");
    assert_eq!(components[1]["properties"]["objects"][0], sample::deployment("web"));
}

#[tokio::test]
async fn it_is_idempotent_and_generations_only_rise_even_past_a_removal() {
    let (cluster, receiver) = receiver(KubevelaOptions::default());
    let (revision, manifests) = sample::plain();
    let mut changed = revision.clone();
    changed.bundle.version = "2.0.0".parse().unwrap();
    let first = sample::submission(3, revision);
    let answer = receiver.submit(&first, &manifests).await.unwrap();
    assert_eq!(receiver.submit(&first, &manifests).await.unwrap(), answer);
    let conflict = receiver.submit(&sample::submission(3, changed.clone()), &manifests).await.unwrap();
    assert_eq!(conflict, Answer::Conflict { revision: first.revision });
    let second = sample::submission(4, changed.clone());
    assert!(matches!(receiver.submit(&second, &manifests).await.unwrap(), Answer::Accepted { .. }));
    assert_eq!(receiver.submit(&first, &manifests).await.unwrap(), Answer::Stale { current: 4 });

    let mut removal = sample::submission(5, changed);
    removal.mode = Mode::Delete;
    for _ in 0..2 {
        assert!(matches!(receiver.submit(&removal, &manifests).await.unwrap(), Answer::Accepted { .. }));
        assert!(cluster.objects.lock().unwrap().keys().all(|object| object.kind == "ConfigMap"));
    }
    assert_eq!(receiver.submit(&second, &manifests).await.unwrap(), Answer::Stale { current: 5 });
    let events = receiver.observe(&removal.key, 0).await.unwrap();
    assert_eq!((events[0].state, events[0].generation), (NodeState::Deleted, 5));
    let again = sample::submission(6, first.document);
    assert!(matches!(receiver.submit(&again, &manifests).await.unwrap(), Answer::Accepted { .. }));
    assert_eq!(cluster.objects.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_of_somebody_else_is_left_alone() {
    let (cluster, receiver) = receiver(KubevelaOptions::default());
    let foreign = json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "shop", "namespace": "shop"}});
    cluster.put(foreign);
    let before = cluster.application();
    let (revision, manifests) = sample::plain();
    let answer = receiver.submit(&sample::submission(1, revision), &manifests).await.unwrap();
    let Answer::Rejected { violations } = answer else { panic!("{answer:?}") };
    assert_eq!(violations[0].code, "object_foreign");
    assert_eq!(cluster.application(), before);
    assert!(receiver.observe(&key(), 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn status_becomes_events_of_its_own_generation_alone() {
    let (cluster, receiver) = receiver(KubevelaOptions::default());
    let (revision, manifests) = sample::plain();
    receiver.submit(&sample::submission(3, revision), &manifests).await.unwrap();
    let look = |since| {
        let receiver = receiver.clone();
        async move { receiver.observe(&key(), since).await.unwrap() }
    };
    assert_eq!(look(0).await[0].state, NodeState::Pending);
    cluster.set_status(json!({"status": "running", "workflow": {"appRevision": "g2", "finished": true}}));
    assert_eq!(look(0).await[0].state, NodeState::Pending, "the status is of the generation before");

    for (phase, finished, healthy, whole, node) in [
        ("runningWorkflow", false, false, NodeState::Waiting, NodeState::Waiting),
        ("workflowSuspending", false, true, NodeState::Suspended, NodeState::Ready),
        ("workflowFailed", true, false, NodeState::Failed, NodeState::Failed),
        ("workflowTerminated", true, false, NodeState::Terminated, NodeState::Waiting),
        ("unhealthy", true, false, NodeState::Degraded, NodeState::Waiting),
        ("running", true, true, NodeState::Ready, NodeState::Ready),
        ("rendering", false, false, NodeState::Applying, NodeState::Waiting),
    ] {
        cluster.set_status(json!({"status": phase, "workflow": {"appRevision": "g3", "finished": finished,
                "steps": [{"name": "web", "phase": "failed", "message": "no image"}]},
            "services": [{"name": "web", "healthy": healthy}, {"name": "unknown", "healthy": true}]}));
        let events = look(0).await;
        let found: Vec<(Option<&str>, NodeState)> =
            events.iter().map(|event| (event.node.as_deref(), event.state)).collect();
        assert_eq!(found, [(Some("web"), node), (None, whole)], "{phase}");
        assert_eq!(events[1].reason.is_empty(), whole == NodeState::Ready, "{phase}");
        assert!(look(events[1].sequence).await.is_empty(), "nothing changed");
        // A restored cluster counts lower.
        assert_eq!(look(1_000).await[0].sequence, 1_001);
    }
}

#[tokio::test]
async fn what_kubevela_cannot_do_is_refused_and_policies_are_told_in_its_words() {
    let (cluster, receiver) =
        receiver(KubevelaOptions { secrets: SecretHandling::External, ..KubevelaOptions::default() });
    let mut manifests = ManifestSet::new();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"a": {"$secret": "secret://builtin/a"}}});
    let secret = object(&mut manifests, &secret);
    let mut map = object(&mut manifests, &config_map("a"));
    map.collect = Collect::Never;
    map.shared = true;
    map.once = vec!["/data/port".parse().unwrap(), "/metadata/annotations/a.b~1c".parse().unwrap()];
    let wait = Wait { object: map.object.clone(), until: "true".into() };
    let used_in = vec![SecretPlace { object: secret.object.clone(), key: "a".into() }];
    let node = Node { objects: vec![secret, map], ..Node::default() };
    let mut revision = sample::revision(BTreeMap::from([("a".to_owned(), node.clone())]));
    revision.secrets = vec![SecretUse {
        reference: "secret://builtin/a".parse().unwrap(),
        scope: None,
        version: "1".into(),
        used_in,
    }];
    receiver.submit(&sample::submission(1, revision.clone()), &manifests).await.unwrap();
    let application = cluster.application();
    assert!(!application.to_string().contains("$secret"));
    let selector = json!({"resourceTypes": ["ConfigMap"], "resourceNames": ["a"]});
    assert_eq!(
        application["spec"]["policies"],
        json!([
            {"name": "collect", "type": "garbage-collect", "properties": {"rules": [{"selector": selector, "strategy": "never"}]}},
            {"name": "once", "type": "apply-once", "properties": {"enable": true,
                "rules": [{"selector": selector, "strategy": {"path": ["data.port", "metadata.annotations[\"a.b/c\"]"]}}]}},
            {"name": "shared", "type": "shared-resource", "properties": {"rules": [{"selector": selector}]}},
        ])
    );

    revision.graph =
        Graph::try_from(BTreeMap::from([("a".to_owned(), Node { waits: vec![wait], ..node })])).unwrap();
    let answer = receiver.submit(&sample::submission(2, revision), &manifests).await.unwrap();
    assert!(matches!(answer, Answer::Unsupported { capability, .. } if capability == "conditions"));
}

#[tokio::test]
async fn an_application_that_no_cluster_keeps_is_rejected() {
    let small =
        KubevelaOptions { max_application_bytes: MaxApplicationBytes(500), ..KubevelaOptions::default() };
    let (cluster, receiver) = receiver(small);
    let (revision, manifests) = sample::plain();
    let answer = receiver.submit(&sample::submission(1, revision), &manifests).await.unwrap();
    let Answer::Rejected { violations } = answer else { panic!("{answer:?}") };
    assert_eq!(violations[0].code, "application_too_large");
    assert!(cluster.objects.lock().unwrap().is_empty());
}

#[test]
fn names_are_labels_and_tell_keys_apart() {
    let mut key = key();
    assert_eq!(object_name(&key), "shop");
    key.environment = "eu/kind/shop/blue".parse().unwrap();
    assert_eq!(object_name(&key), "shop-blue");
    key.application = "a".repeat(40).parse().unwrap();
    key.environment = format!("eu/kind/shop/{}", "b".repeat(40)).parse().unwrap();
    let long = object_name(&key);
    key.environment = format!("eu/kind/shop/{}c", "b".repeat(39)).parse().unwrap();
    assert!(long.len() <= 63 && long != object_name(&key), "{long}");
}
