//! A revision for tests: a Secret, a database, an application that waits for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::{Value, json};
use slipway_types::Digest;

use crate::{
    Bundle, CONTRACT_VERSION, Cause, Configuration, Definition, DefinitionKind, Environment, Graph, Key,
    ManifestSet, Mode, Node, Object, ObjectRef, Phase, Revision, Submission, Tasks, revision,
};

pub(crate) fn object(manifests: &mut ManifestSet, object: &Value) -> Object {
    let digest = manifests.insert(object);
    Object::new(ObjectRef::of(object).unwrap(), digest)
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"greeting": "yes", "port": "8080"}})
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "r.example.com/shop@sha256:0", "env": [{"name": "DB_HOST", "value": ""}]}]}}}})
}

pub(crate) fn revision(nodes: BTreeMap<String, Node>) -> Revision {
    let graph = Graph::try_from(nodes).unwrap();
    Revision {
        format: revision::FORMAT,
        application: "shop".parse().unwrap(),
        bundle: Bundle {
            digest: Digest::of("bundle"),
            version: "1.4.2".parse().unwrap(),
            source: Some("https://git.example.com/shop.git".into()),
            commit: Some("1a2b3c".into()),
        },
        lock: Digest::of("lock"),
        environment: Environment {
            address: "eu/kind/shop".parse().unwrap(),
            settings: Digest::of("settings"),
        },
        configuration: Configuration {
            digest: Digest::of("configuration"),
            levels: BTreeMap::from([(String::new(), 3), ("eu/kind".into(), 1)]),
        },
        definitions: BTreeSet::from([Definition {
            kind: DefinitionKind::Component,
            name: "webservice".parse().unwrap(),
            version: "1.0.0".into(),
            digest: Digest::of("webservice"),
        }]),
        graph,
        secrets: Vec::new(),
        allow_empty: false,
    }
}

/// Two nodes, `config` and then `web`, and their manifests.
pub(crate) fn plain() -> (Revision, ManifestSet) {
    let mut manifests = ManifestSet::new();
    let config = Node {
        phase: Phase::Pre,
        objects: vec![object(&mut manifests, &config_map("a"))],
        ..Node::default()
    };
    let web = Node {
        needs: BTreeSet::from(["config".to_owned()]),
        component: Some("web".parse().unwrap()),
        objects: vec![object(&mut manifests, &deployment("web"))],
        ..Node::default()
    };
    let nodes = BTreeMap::from([("config".to_owned(), config), ("web".to_owned(), web)]);
    (revision(nodes), manifests)
}

pub(crate) fn submission(generation: u64, document: Revision) -> Submission {
    Submission {
        contract: CONTRACT_VERSION,
        key: Key {
            environment: document.environment.address.clone(),
            application: document.application.clone(),
        },
        generation,
        mode: Mode::Apply,
        revision: document.digest(),
        document,
        proof: Vec::new(),
        predecessor: None,
        cause: Cause::Deploy { by: "ann".into() },
        deadline: DateTime::from_timestamp(1_900_000_000, 0).unwrap(),
        tasks: Tasks::Run,
        adopt: Vec::new(),
    }
}
