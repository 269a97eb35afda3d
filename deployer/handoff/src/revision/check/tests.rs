use serde_json::json;
use slipway_types::Digest;

use super::*;
use crate::node::{Approvals, Hold, Hole, HoleType, Input, Retry};
use crate::sample::{self, config_map, deployment, object};
use crate::secret::SecretUse;
use crate::{Capability, ManifestSet};

fn codes(revision: &Revision) -> Vec<String> {
    revision.violations(&Limits::default()).into_iter().map(|violation| violation.code).collect()
}

fn with_nodes(nodes: Vec<(&str, Node)>) -> Revision {
    sample::revision(nodes.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

async fn object_codes(revision: &Revision, manifests: &ManifestSet) -> Vec<String> {
    let found = revision.object_violations(manifests, &Limits::default()).await.unwrap();
    found.into_iter().map(|violation| violation.code).collect()
}

#[tokio::test]
async fn a_sound_revision_has_no_violations() {
    let (revision, manifests) = sample::plain();
    assert!(codes(&revision).is_empty());
    assert!(object_codes(&revision, &manifests).await.is_empty());
    assert!(revision.requires().is_empty());
}

#[test]
fn the_digest_is_of_the_canonical_text_and_covers_everything() {
    let (revision, _) = sample::plain();
    let text = String::from_utf8(revision.canonical().to_vec()).unwrap();
    assert!(text.starts_with(r#"{"allow_empty":false,"application":"shop","bundle":{"commit""#), "{text}");
    assert_eq!(revision.digest(), Digest::of(&text));
    let read: Revision = serde_json::from_str(&text).unwrap();
    assert_eq!(read, revision);
    for change in [
        |r: &mut Revision| r.bundle.digest = Digest::of("x"),
        |r: &mut Revision| r.lock = Digest::of("x"),
        |r: &mut Revision| r.environment.settings = Digest::of("x"),
        |r: &mut Revision| r.environment.address = "eu/kind/shop/blue".parse().unwrap(),
        |r: &mut Revision| r.configuration.digest = Digest::of("x"),
        |r: &mut Revision| r.configuration.levels.clear(),
        |r: &mut Revision| r.definitions.clear(),
        |r: &mut Revision| r.graph = crate::Graph::default(),
        |r: &mut Revision| r.allow_empty = true,
    ] {
        let mut other = revision.clone();
        change(&mut other);
        assert_ne!(other.digest(), revision.digest());
    }
}

#[test]
fn nothing_to_do_must_be_meant() {
    let mut revision = with_nodes(vec![("idle", Node::default())]);
    assert_eq!(codes(&revision), ["empty_graph"]);
    revision.allow_empty = true;
    assert!(codes(&revision).is_empty());
}

#[test]
fn an_object_stands_once() {
    let mut manifests = ManifestSet::new();
    let (v1, mut beta) = (deployment("web"), deployment("web"));
    beta["apiVersion"] = json!("apps/v1beta1");
    let first = Node { objects: vec![object(&mut manifests, &v1)], ..Node::default() };
    let second = Node { objects: vec![object(&mut manifests, &beta)], ..Node::default() };
    assert_eq!(codes(&with_nodes(vec![("a", first), ("b", second)])), ["object_twice"]);
}

/// A graph where `web` fills a hole with an output of `db`.
fn passing(input: impl FnOnce(&mut Input), needs: &[&str], output: Output) -> (Revision, ManifestSet) {
    let mut manifests = ManifestSet::new();
    let web = object(&mut manifests, &deployment("web"));
    let hole = Hole {
        object: web.object.clone(),
        path: "/spec/template/spec/containers/0/env/0/value".parse().unwrap(),
        accepts: HoleType::String,
    };
    let mut filled = Input { node: "db".into(), output: "host".into(), holes: vec![hole] };
    input(&mut filled);
    let web = Node {
        needs: needs.iter().map(|&need| need.to_owned()).collect(),
        objects: vec![web],
        inputs: vec![filled],
        ..Node::default()
    };
    let db = Node {
        objects: vec![object(&mut manifests, &config_map("db"))],
        outputs: BTreeMap::from([("host".to_owned(), output)]),
        ..Node::default()
    };
    let between = Node { needs: BTreeSet::from(["db".to_owned()]), ..Node::default() };
    (with_nodes(vec![("db", db), ("between", between), ("web", web)]), manifests)
}

#[tokio::test]
async fn inputs_come_from_nodes_that_are_ready_before() {
    let value = || Output::Value(json!("db.shop"));
    let (revision, manifests) = passing(|_| {}, &["between"], value());
    assert!(codes(&revision).is_empty());
    assert!(object_codes(&revision, &manifests).await.is_empty());
    assert_eq!(revision.requires(), BTreeSet::from([Capability::Outputs]));

    let wrong = |input: fn(&mut Input), needs: &[&str], output| codes(&passing(input, needs, output).0);
    assert_eq!(wrong(|_| {}, &[], value()), ["input_unordered"]);
    assert_eq!(wrong(|input| input.output = "port".into(), &["db"], value()), ["output_unknown"]);
    assert_eq!(wrong(|_| {}, &["db"], Output::Value(json!(5432))), ["output_type"]);
    assert_eq!(wrong(|_| {}, &["db"], Output::Value(json!(1.5))), ["fraction", "output_type"]);
    assert_eq!(wrong(|input| input.holes[0].object.name = "x".into(), &["db"], value()), ["hole_unknown"]);
    let twice: fn(&mut Input) = |input| input.holes.push(input.holes[0].clone());
    assert_eq!(wrong(twice, &["db"], value()), ["hole_twice"]);
    let (revision, manifests) =
        passing(|input| input.holes[0].path = "/spec/none/x".parse().unwrap(), &["db"], value());
    assert_eq!(object_codes(&revision, &manifests).await, ["hole_unknown"]);
}

#[test]
fn outputs_never_fill_secrets() {
    let mut manifests = ManifestSet::new();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {}});
    let secret = object(&mut manifests, &secret);
    let hole = Hole {
        object: secret.object.clone(),
        path: "/stringData/x".parse().unwrap(),
        accepts: HoleType::String,
    };
    let outputs = BTreeMap::from([("o".to_owned(), Output::Value(json!("v")))]);
    let giver = Node { objects: vec![object(&mut manifests, &config_map("c"))], outputs, ..Node::default() };
    let taker = Node {
        needs: BTreeSet::from(["a".to_owned()]),
        objects: vec![secret],
        inputs: vec![Input { node: "a".into(), output: "o".into(), holes: vec![hole] }],
        ..Node::default()
    };
    assert_eq!(codes(&with_nodes(vec![("a", giver), ("b", taker)])), ["hole_in_secret"]);
}

#[test]
fn times_conditions_and_calls_are_bounded() {
    let mut manifests = ManifestSet::new();
    let mut map = object(&mut manifests, &config_map("a"));
    map.ready = Ready::Cel(" ".into());
    let call = |method: &str, url: &str| {
        Some(Call { method: method.into(), url: url.into(), body: Some(json!({"n": 0.5})), secret: None })
    };
    let node = |call| Node {
        objects: vec![map.clone()],
        timeout_ms: 0,
        hold: Some(Hold { for_ms: Some(u64::MAX), ..Hold::default() }),
        call,
        ..Node::default()
    };
    let found = codes(&with_nodes(vec![("a", node(call("TRACE", "ftp://x")))]));
    assert_eq!(
        found,
        [
            "timeout_invalid",
            "timeout_invalid",
            "condition_invalid",
            "call_invalid",
            "call_invalid",
            "fraction"
        ]
    );
    let found = codes(&with_nodes(vec![("a", node(call("POST", "https://u:p@x.example.com/")))]));
    assert_eq!(found.iter().filter(|code| *code == "call_invalid").count(), 1);
    let (mut revision, _) = sample::plain();
    let limits = Limits { max_nodes: 1, max_objects: 1, max_document_bytes: 10, ..Limits::default() };
    assert_eq!(revision.violations(&limits).len(), 3);
    revision.format = 2;
    assert_eq!(codes(&revision), ["format_unknown"]);
}

#[test]
fn what_only_a_workflow_asks_for_is_bounded_and_needs_a_receiver_that_can() {
    let one = |node: Node| with_nodes(vec![("a", Node::default()), ("b", node)]);
    let after = || BTreeSet::from(["a".to_owned()]);
    let call = || {
        let url = "https://x.example.com/".to_owned();
        Some(Call { method: "POST".into(), url, body: None, secret: None })
    };
    let approvals =
        |count| Hold { for_ms: None, message: None, approvals: Some(Approvals { count, author_may: false }) };
    let retry = |limit, backoff_ms| Some(Retry { limit, backoff_ms });
    for (node, expected) in [
        (Node { after: after(), ..Node::default() }, None),
        (Node { needs: after(), when: Some("true".into()), ..Node::default() }, None),
        (Node { when: Some(" ".into()), ..Node::default() }, Some("condition_invalid")),
        (Node { hold: Some(approvals(2)), ..Node::default() }, None),
        (Node { hold: Some(approvals(0)), ..Node::default() }, Some("hold_invalid")),
        (
            Node { hold: Some(Hold { for_ms: Some(5), ..approvals(1) }), ..Node::default() },
            Some("hold_invalid"),
        ),
        (Node { retry: retry(3, 1_000), ..Node::default() }, None),
        (Node { retry: retry(21, 1_000), ..Node::default() }, Some("retry_invalid")),
        (Node { retry: retry(3, 0), ..Node::default() }, Some("timeout_invalid")),
        (Node { temporary: true, ..Node::default() }, None),
    ] {
        let revision = one(Node { call: call(), ..node.clone() });
        let told: Vec<String> = codes(&revision);
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{node:?}");
        assert!(revision.requires().contains(&Capability::Workflow), "{node:?}");
    }
    assert!(
        !one(Node { hold: Some(Hold::default()), ..Node::default() })
            .requires()
            .contains(&Capability::Workflow)
    );
}

#[tokio::test]
async fn objects_are_what_the_document_says() {
    let (revision, mut manifests) = sample::plain();
    let other = ManifestSet::new();
    assert!(revision.object_violations(&other, &Limits::default()).await.is_err());
    let small = Limits { max_manifest_bytes: 10, ..Limits::default() };
    assert!(revision.object_violations(&manifests, &small).await.is_err());

    let mut object = object(&mut manifests, &config_map("other"));
    object.object.name = "claimed".into();
    let revision = with_nodes(vec![("a", Node { objects: vec![object], ..Node::default() })]);
    assert_eq!(object_codes(&revision, &manifests).await, ["manifest_invalid"]);
}

#[tokio::test]
async fn every_secret_is_declared_with_its_version_and_none_stands_in_the_clear() {
    let mut manifests = ManifestSet::new();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "stringData": {"password": {"$secret": "secret://builtin/db"}}});
    let secret = object(&mut manifests, &secret);
    let place = SecretPlace { object: secret.object.clone(), key: "password".into() };
    let declared = SecretUse {
        reference: "secret://builtin/db".parse().unwrap(),
        scope: None,
        version: "7".into(),
        used_in: vec![place.clone()],
    };
    let mut revision = with_nodes(vec![("a", Node { objects: vec![secret], ..Node::default() })]);
    assert_eq!(object_codes(&revision, &manifests).await, ["secret_not_declared"]);
    revision.secrets = vec![declared.clone()];
    assert!(object_codes(&revision, &manifests).await.is_empty());
    assert_eq!(revision.requires(), BTreeSet::from([Capability::Secrets]));
    let elsewhere = SecretPlace { key: "other".into(), ..place.clone() };
    revision.secrets[0].used_in.push(elsewhere);
    assert_eq!(object_codes(&revision, &manifests).await, ["secret_not_declared"]);
    revision.secrets[0].used_in[1].object.kind = "ConfigMap".into();
    assert_eq!(codes(&revision), ["secret_place_unknown"]);

    let clear =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aGk="}});
    let clear = object(&mut manifests, &clear);
    let revision = with_nodes(vec![("a", Node { objects: vec![clear], ..Node::default() })]);
    let found = revision.object_violations(&manifests, &Limits::default()).await.unwrap();
    assert_eq!(found[0].code, "secret_in_the_clear");
    assert!(!found[0].message.contains("aGk") && !found[0].path.contains("aGk"));
}
