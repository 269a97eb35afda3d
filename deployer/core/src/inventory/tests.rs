use serde_json::{Value, json};
use slipway_handoff::{Collect, Graph, Key, Node, Object, ObjectRef};
use slipway_types::Digest;

use super::*;

mod adopt;
mod cluster;
mod entries;
mod leftover;
mod once;
mod properties;
mod pruning;
mod same;
mod values;
mod verdicts;

use cluster::Cluster;

fn marks_of(application: &str, generation: u64) -> Marks {
    let key = Key { environment: "eu/kind/shop".parse().unwrap(), application: application.parse().unwrap() };
    Marks::new(key, generation, Digest::of(format!("{application} {generation}")))
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"greeting": "yes"}})
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "containers": [{"name": "main", "image": "i:1", "args": ["a"]}]}}}})
}

fn object(manifest: &Value) -> Object {
    Object::new(ObjectRef::of(manifest).unwrap(), Digest::of(manifest.to_string()))
}

fn graph(objects: Vec<Object>) -> Graph {
    Graph::try_from(
        [("only".to_owned(), Node { objects, ..Node::default() })]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
    )
    .unwrap()
}

fn inventory(objects: Vec<Object>, generation: u64) -> Inventory {
    Inventory::of(&graph(objects), generation)
}

/// What is to be done about an object as the cluster has it.
fn judge(cluster: &Cluster, object: &Object, manifest: &Value, marks: &Marks) -> Verdict {
    let found = cluster.get(&object.object);
    let live = found.as_ref().map(|found| Live::of(found).unwrap());
    before_apply(&Wanted { object, manifest, adopt: false }, marks, live.as_ref())
}

/// Does it, until nothing is left to do; the UID.
fn settle(cluster: &mut Cluster, object: &Object, manifest: &Value, marks: &Marks) -> String {
    for _ in 0..3 {
        match judge(cluster, object, manifest, marks) {
            Verdict::Create(write) | Verdict::Update(write) | Verdict::Join(write) => {
                cluster.apply(&write).unwrap();
            }
            Verdict::AlreadySame | Verdict::Borrow => return cluster.uid(&object.object),
            other => panic!("{other:?}"),
        }
    }
    panic!("{} never settles", object.object)
}

/// What becomes of all that `held` has beyond what is wanted.
fn pruned(
    cluster: &Cluster,
    held: &Inventory,
    sweep: &Sweep<'_>,
    marks: &Marks,
) -> Result<Vec<Pruning>, EmptyRender> {
    let found: Vec<(ObjectRef, Option<Value>)> =
        held.entries().map(|entry| (entry.object.clone(), cluster.get(&entry.object))).collect();
    let mut sights = Sights::new();
    for (object, found) in &found {
        sights.insert(object.clone(), found.as_ref().map(|found| Live::of(found).unwrap()));
    }
    prune(held, sweep, marks, &sights)
}
