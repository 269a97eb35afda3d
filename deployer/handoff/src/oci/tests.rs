use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::json;

use super::*;
use crate::node::{Node, Object, Wait};
use crate::sample::{self, config_map, deployment, object};
use crate::secret::{SecretPlace, SecretUse};
use crate::{Graph, ManifestSet, Mode, Revision, Tasks};

const REPOSITORY: &str = "default/shop/d/eu/kind/shop/default";

fn receiver(options: OciOptions) -> (Arc<MemoryStore>, OciReceiver) {
    let store = Arc::new(MemoryStore::default());
    (store.clone(), OciReceiver::new(store, options))
}

fn changed() -> (Revision, ManifestSet) {
    let (mut revision, manifests) = sample::plain();
    revision.bundle.version = "1.4.3".parse().unwrap();
    (revision, manifests)
}

async fn tagged(store: &MemoryStore, tag: &str) -> Option<Digest> {
    store.tagged(REPOSITORY, tag).await.unwrap().map(|manifest| manifest.digest())
}

/// The files of the artifact that a tag names.
async fn files(store: &MemoryStore, tag: &str) -> BTreeMap<String, String> {
    let manifest = store.tagged(REPOSITORY, tag).await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let layer = store.blob(REPOSITORY, &manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap());
    let mut archive = tar::Archive::new(GzDecoder::new(std::io::Cursor::new(layer.unwrap())));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

#[tokio::test]
async fn the_artifact_holds_the_objects_in_order_and_its_configuration_is_the_revision() {
    let (store, receiver) = receiver(OciOptions::default());
    let (revision, manifests) = sample::plain();
    let submission = sample::submission(3, revision);
    let answer = receiver.submit(&submission, &manifests).await.unwrap();
    let digest = tagged(&store, "live").await.unwrap();
    assert_eq!(answer, Answer::Accepted { run: format!("memory.invalid/{REPOSITORY}@{digest}") });
    assert_eq!(tagged(&store, "g3").await, Some(digest));

    let manifest = store.tagged(REPOSITORY, "live").await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["config"]["digest"], submission.revision.to_string());
    assert_eq!(manifest["artifactType"], REVISION_ARTIFACT);
    assert_eq!(manifest["annotations"]["dev.slipway.generation"], "3");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.4.2");
    assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], "shop-g3.tar.gz");
    assert!(store.blob(REPOSITORY, &submission.revision).is_some());

    let files = files(&store, "live").await;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["010-configmap-a.yaml", "020-deployment-web.yaml"]);
    assert!(files["010-configmap-a.yaml"].contains("greeting: \"yes\"\n  port: \"8080\"\n"));
}

#[tokio::test]
async fn the_same_submission_gives_the_same_bytes_everywhere() {
    let (revision, manifests) = sample::plain();
    let submission = sample::submission(3, revision);
    let options = OciOptions { argo_waves: true, ..OciOptions::default() };
    let build = || Artifact::build(&submission, &manifests, &options);
    let first = build().await.unwrap().unwrap();
    assert_eq!(first.manifest, build().await.unwrap().unwrap().manifest);
    // Another digest means that every environment gets a new revision: it must be meant.
    assert_eq!(
        submission.revision.to_string(),
        "sha256:67669547c99eede742ad3605eb442f83ddc07e312106d6e959ee5039e081751b"
    );
}

#[tokio::test]
async fn it_is_idempotent_and_generations_only_rise() {
    let (store, receiver) = receiver(OciOptions::default());
    let (revision, manifests) = sample::plain();
    let first = sample::submission(3, revision.clone());
    let answer = receiver.submit(&first, &manifests).await.unwrap();
    let written = tagged(&store, "live").await;
    assert_eq!(receiver.submit(&first, &manifests).await.unwrap(), answer);
    assert_eq!(tagged(&store, "live").await, written);

    let conflict = receiver.submit(&sample::submission(3, changed().0), &manifests).await.unwrap();
    assert_eq!(conflict, Answer::Conflict { revision: first.revision });
    let second = sample::submission(4, changed().0);
    assert!(matches!(receiver.submit(&second, &manifests).await.unwrap(), Answer::Accepted { .. }));
    assert_eq!(receiver.submit(&first, &manifests).await.unwrap(), Answer::Stale { current: 4 });
    assert_eq!(tagged(&store, "g3").await, written);
    // Back to the first revision: a new generation.
    let back = receiver.submit(&sample::submission(5, revision), &manifests).await.unwrap();
    assert!(matches!(back, Answer::Accepted { .. }));
    assert_ne!(tagged(&store, "live").await, written);
}

#[tokio::test]
async fn a_write_that_broke_off_before_live_moved_is_finished_and_not_replaced() {
    let (store, receiver) = receiver(OciOptions::default());
    let (revision, manifests) = sample::plain();
    let submission = sample::submission(3, revision);
    let artifact = Artifact::build(&submission, &manifests, &OciOptions::default()).await.unwrap().unwrap();
    store.put_manifest(REPOSITORY, &artifact.manifest, Some("g3")).await.unwrap();
    let other = receiver.submit(&sample::submission(3, changed().0), &manifests).await.unwrap();
    assert_eq!(other, Answer::Conflict { revision: submission.revision });
    assert!(matches!(receiver.submit(&submission, &manifests).await.unwrap(), Answer::Accepted { .. }));
    assert_eq!(tagged(&store, "live").await, tagged(&store, "g3").await);
}

#[tokio::test]
async fn a_tag_of_somebody_else_is_left_alone() {
    let (store, receiver) = receiver(OciOptions::default());
    let foreign = StoredManifest { media_type: "x".into(), bytes: "{\"schemaVersion\":2}".into() };
    store.put_manifest(REPOSITORY, &foreign, Some("live")).await.unwrap();
    let (revision, manifests) = sample::plain();
    let refused = receiver.submit(&sample::submission(1, revision), &manifests).await.unwrap_err();
    assert!(!refused.is_transient() && refused.to_string().contains("live"));
}

fn with_secret() -> (Revision, ManifestSet) {
    let mut manifests = ManifestSet::new();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"},
        "data": {"password": {"$secret": "secret://builtin/db"}}});
    let secret = object(&mut manifests, &secret);
    let used_in = vec![SecretPlace { object: secret.object.clone(), key: "password".into() }];
    let empty =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later", "namespace": "shop"}});
    let objects = vec![secret, object(&mut manifests, &empty), object(&mut manifests, &config_map("a"))];
    let mut revision =
        sample::revision(BTreeMap::from([("a".to_owned(), Node { objects, ..Node::default() })]));
    revision.secrets = vec![SecretUse {
        reference: "secret://builtin/db".parse().unwrap(),
        scope: None,
        version: "1".into(),
        used_in,
    }];
    (revision, manifests)
}

#[tokio::test]
async fn secrets_are_refused_or_left_out_and_never_written() {
    let (revision, manifests) = with_secret();
    let submission = sample::submission(1, revision);
    let (store, refusing) = receiver(OciOptions::default());
    let answer = refusing.submit(&submission, &manifests).await.unwrap();
    assert!(matches!(answer, Answer::Unsupported { capability, .. } if capability == "secrets"));
    assert_eq!(tagged(&store, "live").await, None);

    let (store, leaving) =
        receiver(OciOptions { secrets: SecretHandling::External, ..OciOptions::default() });
    assert!(matches!(leaving.submit(&submission, &manifests).await.unwrap(), Answer::Accepted { .. }));
    let names: Vec<String> = files(&store, "live").await.into_keys().collect();
    assert_eq!(names, ["010-secret-later.yaml", "020-configmap-a.yaml"]);
    let manifest = store.tagged(REPOSITORY, "live").await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["annotations"]["dev.slipway.secrets-left-out"], "shop/db");
}

#[tokio::test]
async fn a_revision_that_comes_back_brings_no_job_again() {
    let (store, receiver) = receiver(OciOptions::default());
    let (mut revision, mut manifests) = sample::plain();
    let metadata = json!({"name": "migrate", "namespace": "shop"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata});
    let mut nodes: BTreeMap<String, Node> = revision.graph.into();
    nodes.get_mut("config").unwrap().objects.push(object(&mut manifests, &job));
    revision.graph = Graph::try_from(nodes).unwrap();
    for (generation, tasks, count, told) in
        [(1, Tasks::Run, 3, json!(null)), (2, Tasks::Done, 2, json!("shop/migrate"))]
    {
        let submission = crate::Submission { tasks, ..sample::submission(generation, revision.clone()) };
        let answer = receiver.submit(&submission, &manifests).await.unwrap();
        assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
        let names: Vec<String> = files(&store, "live").await.into_keys().collect();
        assert_eq!(names.len(), count, "{names:?}");
        let manifest = store.tagged(REPOSITORY, "live").await.unwrap().unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
        assert_eq!(manifest["annotations"]["dev.slipway.tasks-left-out"], told);
        assert_eq!(manifest["config"]["digest"], submission.revision.to_string(), "the revision is the same");
    }
}

#[tokio::test]
async fn what_no_puller_can_do_is_refused() {
    let (_, receiver) = receiver(OciOptions::default());
    let (revision, manifests) = sample::plain();
    let refused = |capability: &'static str, change: fn(&mut crate::Submission)| {
        let mut submission = sample::submission(1, revision.clone());
        change(&mut submission);
        submission.revision = submission.document.digest();
        let (receiver, manifests) = (receiver.clone(), manifests.clone());
        async move {
            let answer = receiver.submit(&submission, &manifests).await.unwrap();
            assert!(
                matches!(&answer, Answer::Unsupported { capability: missing, .. } if missing == capability),
                "{answer:?}"
            );
        }
    };
    refused("dry_run", |submission| submission.mode = Mode::DryRun).await;
    refused("contract", |submission| submission.contract = 9).await;
    refused("conditions", |submission| {
        change_node(submission, |node| {
            let object = node.objects[0].object.clone();
            node.waits.push(Wait { object, until: "true".into() });
        });
    })
    .await;
    refused("resume", |submission| {
        change_node(submission, |node| node.hold = Some(crate::Hold::default()));
    })
    .await;
    refused("empty", |submission| {
        submission.document.graph = crate::Graph::default();
        submission.document.allow_empty = true;
    })
    .await;
}

fn change_node(submission: &mut crate::Submission, change: impl FnOnce(&mut Node)) {
    let mut nodes: BTreeMap<String, Node> = submission.document.graph.clone().into();
    change(nodes.get_mut("web").unwrap());
    submission.document.graph = nodes.try_into().unwrap();
}

#[tokio::test]
async fn sizes_are_bounded() {
    let (revision, manifests) = sample::plain();
    let submission = sample::submission(1, revision);
    let (store, small) =
        receiver(OciOptions { max_artifact_bytes: MaxArtifactBytes(100), ..OciOptions::default() });
    let Answer::Rejected { violations } = small.submit(&submission, &manifests).await.unwrap() else {
        panic!()
    };
    assert_eq!(violations[0].code, "artifact_too_large");
    assert_eq!(tagged(&store, "live").await, None);
}

#[tokio::test]
async fn an_object_that_is_not_the_one_of_the_graph_is_not_written() {
    let (store, receiver) = receiver(OciOptions::default());
    let mut manifests = ManifestSet::new();
    let web = object(&mut manifests, &deployment("web"));
    let other = Object { object: object(&mut manifests, &config_map("a")).object, ..web };
    let node = Node { objects: vec![other], ..Node::default() };
    let revision = sample::revision(BTreeMap::from([("a".to_owned(), node)]));
    let answer = receiver.submit(&sample::submission(1, revision), &manifests).await.unwrap();
    assert!(matches!(answer, Answer::Rejected { .. }));
    assert_eq!(tagged(&store, "live").await, None);
}

#[tokio::test]
async fn a_removal_leaves_the_namespace_and_a_mark() {
    let (store, receiver) = receiver(OciOptions::default());
    let mut manifests = ManifestSet::new();
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let objects = vec![
        object(&mut manifests, &namespace),
        object(&mut manifests, &deployment("web")),
        object(&mut manifests, &config_map("a")),
    ];
    let node = Node { objects, ..Node::default() };
    let revision = sample::revision(BTreeMap::from([("web".to_owned(), node)]));
    let first = sample::submission(4, revision.clone());
    assert!(matches!(receiver.submit(&first, &manifests).await.unwrap(), Answer::Accepted { .. }));
    let mut removal = sample::submission(5, revision);
    removal.mode = Mode::Delete;
    let Answer::Accepted { run } = receiver.submit(&removal, &manifests).await.unwrap() else { panic!() };
    assert_eq!(receiver.submit(&removal, &manifests).await.unwrap(), Answer::Accepted { run });
    let names: Vec<String> = files(&store, "live").await.into_keys().collect();
    assert_eq!(names, ["010-namespace-shop.yaml", "020-configmap-shop-slipway-removed.yaml"]);
    // What was on its way before does not bring it back.
    let late = receiver.submit(&first, &manifests).await.unwrap();
    assert_eq!(late, Answer::Stale { current: 5 });
}
