//! The submissions of the test: small, harmless, and all alike but for one word.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_types::Digest;

use crate::manifests::ManifestSet;
use crate::node::{Node, Object, ObjectRef, Wait};
use crate::revision::{Bundle, Configuration, Environment, FORMAT, Revision};
use crate::secret::{MARKER, SecretPlace, SecretUse};
use crate::submission::{Cause, Key, Mode, Submission};
use crate::tasks::Tasks;
use crate::{CONTRACT_VERSION, Graph};

/// The ConfigMap that is submitted.
pub const OBJECT_NAME: &str = "slipway-conformance";

/// A submission of one ConfigMap that holds `word`.
pub fn submission(key: &Key, generation: u64, word: &str) -> (Submission, ManifestSet) {
    let mut manifests = ManifestSet::new();
    let object = config_map(key, word);
    let object = Object::new(reference(&object), manifests.insert(&object));
    let node = Node { objects: vec![object], ..Node::default() };
    (of(key, generation, node), manifests)
}

/// One that waits for a condition in CEL.
pub(super) fn with_condition(key: &Key, generation: u64) -> (Submission, ManifestSet) {
    let (mut submission, manifests) = submission(key, generation, "condition");
    change(&mut submission, |node| {
        let object = node.objects[0].object.clone();
        node.waits.push(Wait { object, until: "has(self.data)".to_owned() });
    });
    (submission, manifests)
}

/// One whose node runs only if a condition over its graph holds.
pub(super) fn with_branch(key: &Key, generation: u64) -> (Submission, ManifestSet) {
    let (mut submission, manifests) = submission(key, generation, "branch");
    change(&mut submission, |node| node.when = Some("true".to_owned()));
    (submission, manifests)
}

/// One with a secret.
pub(super) fn with_secret(key: &Key, generation: u64) -> (Submission, ManifestSet) {
    let (mut submission, mut manifests) = submission(key, generation, "secret");
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": OBJECT_NAME, "namespace": key.environment.namespace()},
        "data": {"word": {MARKER: "secret://builtin/slipway-conformance"}}});
    let secret = Object::new(reference(&secret), manifests.insert(&secret));
    let place = SecretPlace { object: secret.object.clone(), key: "word".to_owned() };
    submission.document.secrets = vec![SecretUse {
        reference: slipway_types::SecretReference::builtin(OBJECT_NAME),
        scope: None,
        version: "1".to_owned(),
        used_in: vec![place],
    }];
    change(&mut submission, |node| node.objects.push(secret));
    (submission, manifests)
}

/// One that does nothing and does not say that this is meant.
pub(super) fn empty(key: &Key, generation: u64) -> Submission {
    of(key, generation, Node::default())
}

fn config_map(key: &Key, word: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": OBJECT_NAME, "namespace": key.environment.namespace()},
        "data": {"word": word}})
}

fn reference(object: &Value) -> ObjectRef {
    ObjectRef::of(object).expect("invariant: the probe's objects name themselves")
}

fn change(submission: &mut Submission, change: impl FnOnce(&mut Node)) {
    let mut nodes: BTreeMap<String, Node> = submission.document.graph.clone().into();
    change(nodes.get_mut(OBJECT_NAME).expect("invariant: the probe's node is named after its object"));
    submission.document.graph = graph(nodes);
    submission.revision = submission.document.digest();
}

fn graph(nodes: BTreeMap<String, Node>) -> Graph {
    Graph::try_from(nodes).expect("invariant: the probe's only node needs none")
}

fn of(key: &Key, generation: u64, node: Node) -> Submission {
    let document = Revision {
        format: FORMAT,
        application: key.application.clone(),
        bundle: Bundle {
            digest: Digest::of("bundle of the conformance test"),
            version: "1.0.0".parse().expect("invariant: this is a version"),
            source: None,
            commit: None,
        },
        lock: Digest::of("lock of the conformance test"),
        environment: Environment {
            address: key.environment.clone(),
            settings: Digest::of("settings of the conformance test"),
        },
        configuration: Configuration {
            digest: Digest::of("configuration of the conformance test"),
            levels: BTreeMap::new(),
        },
        definitions: BTreeSet::new(),
        graph: graph(BTreeMap::from([(OBJECT_NAME.to_owned(), node)])),
        secrets: Vec::new(),
        allow_empty: false,
    };
    Submission {
        contract: CONTRACT_VERSION,
        key: key.clone(),
        generation,
        mode: Mode::Apply,
        revision: document.digest(),
        document,
        proof: Vec::new(),
        predecessor: None,
        cause: Cause::Deploy { by: "conformance test".to_owned() },
        deadline: Utc::now() + TimeDelta::hours(1),
        tasks: Tasks::Run,
        adopt: Vec::new(),
    }
}
