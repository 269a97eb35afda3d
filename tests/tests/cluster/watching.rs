//! Objects as they change, told by a watch that may be away for a while.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};
use slipway_kubernetes::{ClusterOptions, Freshness, ObjectKey, Sensed};
use slipway_tests::namespace::Namespace;
use slipway_tests::plain_api::PlainApi;
use slipway_tests::server::{FickleProxy, Mood};

use crate::{Field, LABEL, cluster_at};

/// Longer than the API server and its controllers take for anything here.
const WITHIN: Duration = Duration::from_secs(40);

/// What a watch tells, one after another.
struct Watch(BoxStream<'static, Sensed>);

impl Watch {
    async fn next(&mut self, what: &str) -> Sensed {
        let next = tokio::time::timeout(WITHIN, self.0.next()).await;
        next.unwrap_or_else(|_| panic!("not within {WITHIN:?}: {what}")).expect("a watch does not end")
    }

    /// What is told up to the first that is wanted, which is the last.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Sensed) -> bool) -> Vec<Sensed> {
        let mut told = Vec::new();
        loop {
            let next = self.next(&format!("{what}, after {told:?}")).await;
            let is_wanted = wanted(&next);
            told.push(next);
            if is_wanted {
                return told;
            }
        }
    }

    async fn until_listed(&mut self) -> Vec<Sensed> {
        self.until("a list", |sensed| *sensed == Sensed::Listed).await
    }

    /// The object as it is once that holds.
    async fn seen(&mut self, key: &ObjectKey, what: &str, holds: impl Fn(&Value) -> bool) -> Sensed {
        let is_it = |sensed: &Sensed| match sensed {
            Sensed::Seen { key: seen, object, .. } => seen == key && holds(object),
            _ => false,
        };
        self.until(what, is_it).await.pop().expect("the last")
    }

    /// The labels it went with.
    async fn gone(&mut self, key: &ObjectKey) -> Value {
        let is_it = |sensed: &Sensed| matches!(sensed, Sensed::Gone { key: gone, .. } if gone == key);
        match self.until("it goes", is_it).await.pop() {
            Some(Sensed::Gone { labels, .. }) => json!(*labels),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_comes_changes_and_goes() {
    let field = Field::prepare().await;
    let kind = ("apps/v1".to_owned(), "Deployment".to_owned());
    let mut watch = Watch(field.cluster.watch(kind.clone(), None, field.selector()));
    assert_eq!(watch.until_listed().await.len(), 1, "there is nothing yet");

    let web = field.key("apps/v1", "Deployment", "web");
    let pods = json!({"spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nowhere.test/web"}]},
        },
    }});
    field.apply(&web, &pods).await;
    let made = watch.seen(&web, "it is there", |_| true).await;
    let Sensed::Seen { digest: before, labels, object, .. } = made else { panic!("{made:?}") };
    assert_eq!(labels.get(LABEL), Some(&field.namespace.name));
    assert!(object["metadata"].get("managedFields").is_none());
    let observed = |object: &Value| object["status"]["observedGeneration"].is_number();
    let settled = watch.seen(&web, "its controller has seen it", observed).await;
    let Sensed::Seen { digest: after, .. } = settled else { panic!("{settled:?}") };
    assert_ne!(before, after, "the status belongs to what it is");

    // A list of the namespace beside it, and the end of another, are nothing to it.
    let kinds = [kind].into();
    let listed =
        field.cluster.labelled(&field.selector(), &kinds, Some(&field.namespace.name), Freshness::Now).await;
    assert_eq!(listed.expect("a list").len(), 1);
    drop(Namespace::create());
    field.namespace.kubectl(&["annotate", "deployment", "web", "by=hand"]);
    watch.seen(&web, "an annotation", |object| object["metadata"]["annotations"]["by"] == "hand").await;

    field.namespace.kubectl(&["label", "deployment", "web", &format!("{LABEL}-")]);
    assert_eq!(watch.gone(&web).await[LABEL], field.namespace.name.as_str());
    field.namespace.kubectl(&["label", "deployment", "web", &format!("{LABEL}={}", field.namespace.name)]);
    watch.seen(&web, "it is back", |_| true).await;
    field.cluster.delete(&web).await.expect("an answer");
    watch.gone(&web).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_kind_that_is_not_served_there_is_nothing() {
    let field = Field::prepare().await;
    let mut watch =
        Watch(field.cluster.watch(("nowhere.test/v1".into(), "Thing".into()), None, field.selector()));
    assert_eq!(watch.next("a list").await, Sensed::Listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_api_server_was_away_is_told_when_it_is_back() {
    let field = Field::prepare().await;
    let plain = PlainApi::start(&field.namespace);
    let proxy = FickleProxy::start(plain.address());
    let options = ClusterOptions { call_timeout_ms: 3000, silence_s: 1, ..ClusterOptions::default() };
    let cluster = cluster_at(proxy.address(), options).await;
    let key = |name: &str| field.key("v1", "ConfigMap", name);
    for name in ["stays", "goes", "goes-too"] {
        field.apply(&key(name), &json!({"data": {"round": "0"}})).await;
    }
    let kind = ("v1".to_owned(), "ConfigMap".to_owned());
    let mut watch = Watch(cluster.watch(kind, None, field.selector()));
    assert_eq!(watch.until_listed().await.len(), 4);

    for (mood, round, goes) in [(Mood::Hangs, "1", "goes"), (Mood::Status(503), "2", "goes-too")] {
        proxy.is(mood);
        field.cluster.delete(&key(goes)).await.expect("an answer");
        field.apply(&key("stays"), &json!({"data": {"round": round}})).await;
        let broken = watch.until("it breaks", |sensed| matches!(sensed, Sensed::Broken(_))).await;
        assert_eq!(broken.len(), 1, "{mood:?}: {broken:?}");
        proxy.is(Mood::Well);
        let told = watch.until_listed().await;
        let went = |sensed: &&Sensed| matches!(sensed, Sensed::Gone { key: gone, .. } if *gone == key(goes));
        assert_eq!(told.iter().filter(went).count(), 1, "{mood:?}: {told:?}");
        let changed = told.iter().any(|sensed| {
            matches!(sensed, Sensed::Seen { key: seen, object, .. }
                if *seen == key("stays") && object["data"]["round"] == round)
        });
        assert!(changed, "{mood:?}: {told:?}");
    }

    // It is a watch again, and not a list now and then.
    field.apply(&key("comes"), &json!({"data": {"round": "3"}})).await;
    watch.seen(&key("comes"), "a new object", |_| true).await;
}
