use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use slipway_git::GitOptions;
use slipway_objects::BlobsOptions;
use slipway_records::{Application, ManifestRow, NewRun, NewSource, NewVersion, RefMove, Run, SourceKind};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_types::label::Labels;
use slipway_types::state::RunState;
use slipway_types::{CommitId, GitRef};
use tempfile::TempDir;

use super::*;

/// A server's records, blobs and git cache with one application.
struct World {
    records: Arc<dyn Records>,
    blobs: Blobs,
    git: GitStore,
    application: Application,
    run: Run,
    _dir: TempDir,
}

fn commit() -> CommitId {
    "1".repeat(40).parse().unwrap()
}

fn feature() -> GitRef {
    GitRef::Branch("feature".into())
}

async fn open(dir: &Path) -> (Arc<dyn Records>, Blobs) {
    let records = SqliteRecords::open(&dir.join("records.db"), SqliteOptions::default()).await.unwrap();
    let url = format!("file://{}", dir.join("objects").display());
    for name in ["objects", "spool"] {
        std::fs::create_dir(dir.join(name)).unwrap();
    }
    (Arc::new(records), Blobs::open(BlobsOptions::new(url, dir.join("spool"))).await.unwrap())
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (records, blobs) = open(dir.path()).await;
        let cache = dir.path().join("git");
        let options = GitOptions::default();
        let git = GitStore::open(cache, blobs.clone(), Arc::clone(&records), options).await.unwrap();
        let mut tx = records.begin().await.unwrap();
        let source = NewSource {
            name: "shop".parse().unwrap(),
            kind: SourceKind::Builtin,
            credential: None,
            poll_interval_s: 300,
        };
        let source = tx.source_insert(source).await.unwrap();
        let application = tx.application_insert(&"shop".parse().unwrap(), source.id, "").await.unwrap();
        let run = NewRun {
            application_id: application.id,
            git_ref: feature(),
            commit: commit(),
            actor: "ann".into(),
            subject: String::new(),
            author: String::new(),
            committed_at: Utc::now(),
            delivery_id: None,
            retry_of: None,
            fresh: false,
        };
        let mut run = tx.run_insert(run).await.unwrap().into_inner();
        run.state = RunState::Skipped { why: "test".into() };
        assert!(tx.run_save(&mut run).await.unwrap());
        let there = RefMove { name: feature(), old: None, new: Some((commit(), commit())) };
        assert!(tx.git_ref_move(source.id, &there).await.unwrap());
        tx.commit().await.unwrap();
        Self { records, blobs, git, application, run, _dir: dir }
    }

    async fn delete_branch(&self) {
        let mut tx = self.records.begin().await.unwrap();
        let gone = RefMove { name: feature(), old: Some(commit()), new: None };
        assert!(tx.git_ref_move(self.application.source_id, &gone).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// Publishes a bundle of one layer; gives the digests of its manifest and its layer.
    async fn publish(&self, git_ref: GitRef, version: &str, layer: &str) -> [Digest; 2] {
        let repository = self.application.name.path();
        let layer = self.blobs.put(layer.to_owned()).await.unwrap();
        let bytes = json!({"layers": [{"digest": layer.digest}], "annotations": {"v": version}}).to_string();
        let bundle = self.blobs.put(bytes).await.unwrap();
        let mut tx = self.records.begin().await.unwrap();
        tx.blob_link(&repository, &layer.digest, layer.size).await.unwrap();
        let row = ManifestRow {
            repository: repository.clone(),
            digest: bundle.digest,
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            artifact_type: None,
            subject: None,
            size: bundle.size,
            annotations: serde_json::Map::new(),
            created_at: Utc::now(),
        };
        tx.manifest_put(&row).await.unwrap();
        tx.tag_put(&repository, version, &bundle.digest).await.unwrap();
        let new = NewVersion {
            application_id: self.application.id,
            component: None,
            version: version.parse().unwrap(),
            digest: bundle.digest,
            size: bundle.size,
            built_as: version.parse().unwrap(),
            run_id: self.run.id,
            git_ref,
            commit: commit(),
            fingerprint: bundle.digest,
            detail: json!({"members": []}),
            labels: Labels::new(),
        };
        tx.version_insert(new).await.unwrap();
        tx.commit().await.unwrap();
        [bundle.digest, layer.digest]
    }

    async fn has(&self, digest: &Digest) -> bool {
        self.blobs.head(digest).await.unwrap().is_some()
    }

    fn handler(&self, options: CollectOptions) -> CollectHandler {
        CollectHandler::new(Arc::clone(&self.records), self.blobs.clone(), self.git.clone(), options)
    }
}

async fn pass(handler: &CollectHandler, now: DateTime<Utc>) -> Collected {
    handler.collect(now, &CancellationToken::new()).await.unwrap()
}

fn after_days(days: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(days)
}

#[tokio::test]
async fn a_deleted_branch_leaves_nothing_and_others_stay_whole() {
    let world = World::new().await;
    let old = world.publish(feature(), "0.1.0-feature.1", "only here").await;
    let kept = world.publish(GitRef::Branch("main".into()), "0.1.0-main.1", "kept").await;
    world.delete_branch().await;
    let handler = world.handler(CollectOptions::default());
    assert_eq!(pass(&handler, after_days(29)).await, Collected::default());
    let dry = world.handler(CollectOptions { dry_run: true, ..CollectOptions::default() });
    assert_eq!(pass(&dry, after_days(31)).await.versions, 1);
    let first = pass(&handler, after_days(32)).await;
    let expected = Collected { versions: 1, manifests: 1, links: 1, ..Collected::default() };
    assert_eq!(first, expected, "bytes have a time of grace");
    assert!(world.has(&old[0]).await && world.has(&old[1]).await);
    let second = pass(&handler, after_days(34)).await;
    assert_eq!(second, Collected { blobs: 2, condemned: 2, ..Collected::default() });
    for digest in old {
        assert!(!world.has(&digest).await);
    }
    for digest in kept {
        assert!(world.has(&digest).await);
    }
    assert_eq!(pass(&handler, after_days(35)).await, Collected::default());
}

/// Stores a pack of one object as a push would.
async fn add_pack(world: &World, content: &str) -> Digest {
    let dir = TempDir::new().unwrap();
    let git = |arguments: &[&str], input: &[u8]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(dir.path()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        output.stdout
    };
    git(&["init", "-q", "--bare", "."], b"");
    let object = git(&["hash-object", "-w", "--stdin"], content.as_bytes());
    let pack = world.blobs.put(git(&["pack-objects", "-q", "--stdout"], &object)).await.unwrap();
    let mut tx = world.records.begin().await.unwrap();
    tx.git_pack_add(world.application.source_id, pack.digest, pack.size).await.unwrap();
    tx.commit().await.unwrap();
    pack.digest
}

#[tokio::test]
async fn small_packs_become_one_and_their_bytes_go_after_the_grace() {
    let world = World::new().await;
    let mut old = Vec::new();
    for content in ["one", "two", "three"] {
        old.push(add_pack(&world, content).await);
    }
    let few = world.handler(CollectOptions { max_packs: 3, ..CollectOptions::default() });
    assert_eq!(pass(&few, after_days(0)).await, Collected::default());
    let handler = world.handler(CollectOptions { max_packs: 2, ..CollectOptions::default() });
    let dry = CollectOptions { dry_run: true, ..handler.options.clone() };
    assert_eq!(pass(&world.handler(dry), after_days(0)).await.packs, 0);
    assert_eq!(pass(&handler, after_days(0)).await, Collected { packs: 3, ..Collected::default() });
    let source = world.application.source_id;
    let packs = world.records.read().await.unwrap().git_packs(source, 0).await.unwrap();
    let [whole] = packs.as_slice() else { panic!("one pack: {packs:?}") };
    assert_eq!(whole.seq, 4);
    for digest in &old {
        assert!(world.has(digest).await, "another server may be reading it");
    }
    // The next look at all blobs notes them, and one after the grace removes them.
    assert_eq!(pass(&handler, after_days(1)).await.blobs, 0);
    assert_eq!(pass(&handler, after_days(3)).await.blobs, 3);
    assert!(world.has(&whole.digest).await);
}

#[tokio::test]
async fn a_blob_removed_under_its_uploader_is_stored_again() {
    let world = World::new().await;
    let blob = world.blobs.put("x").await.unwrap();
    let handler = world.handler(CollectOptions::default());
    pass(&handler, after_days(0)).await;
    // Somebody finds the blob stored, and goes on only after it is gone.
    assert!(world.has(&blob.digest).await);
    let removed_at = after_days(2);
    assert_eq!(pass(&handler, removed_at).await.blobs, 1);
    let link = async || {
        let mut tx = world.records.begin().await.unwrap();
        tx.blob_link("team/a", &blob.digest, blob.size).await?;
        tx.commit().await
    };
    assert!(link().await.unwrap_err().is_transient());
    world.blobs.put("x").await.unwrap();
    assert_eq!(pass(&handler, removed_at + TimeDelta::minutes(4)).await.condemned, 1);
    assert!(link().await.is_err());
    assert_eq!(pass(&handler, removed_at + TimeDelta::minutes(6)).await.condemned, 0);
    link().await.unwrap();
    pass(&handler, after_days(9)).await;
    assert!(world.has(&blob.digest).await);
}

#[tokio::test]
async fn a_blob_that_lies_elsewhere_loses_its_copy_here_and_stays_linked() {
    let world = World::new().await;
    let [bundle, layer] = world.publish(GitRef::Branch("main".into()), "0.1.0-main.1", "layer").await;
    let repository = world.application.name.path();
    let mut tx = world.records.begin().await.unwrap();
    assert!(tx.blob_unlink(&repository, &layer).await.unwrap());
    tx.blob_link_elsewhere(&repository, &layer, 5, &"r.io/team/x".parse().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let handler = world.handler(CollectOptions::default());
    pass(&handler, after_days(0)).await;
    assert_eq!(pass(&handler, after_days(40)).await.blobs, 1);
    assert!(!world.has(&layer).await && world.has(&bundle).await);
    let linked = world.records.read().await.unwrap().blob_linked(&repository, &layer).await.unwrap();
    assert_eq!(linked, Some(5));
    assert_eq!(pass(&handler, after_days(41)).await, Collected::default());
}

#[tokio::test]
async fn each_look_at_all_blobs_tells_how_much_is_stored() {
    let world = World::new().await;
    for content in ["four", "sixsix"] {
        world.blobs.put(content).await.unwrap();
    }
    let handler = world.handler(CollectOptions::default());
    let stored = async || world.records.read().await.unwrap().stored_get().await.unwrap();
    assert_eq!(stored().await, None);
    pass(&handler, after_days(0)).await;
    let first = stored().await.unwrap();
    assert_eq!((first.blobs, first.bytes), (2, 10));
    pass(&handler, after_days(2)).await;
    let removed = pass(&handler, after_days(4)).await;
    assert_eq!(removed.blobs, 0, "they went before");
    let last = stored().await.unwrap();
    assert_eq!((last.blobs, last.bytes), (0, 0));
    assert!(last.measured_at > first.measured_at);
}

#[tokio::test]
async fn all_blobs_are_looked_at_once_in_an_interval_whichever_server_does() {
    let world = World::new().await;
    let now = after_days(0);
    pass(&world.handler(CollectOptions::default()), now).await;
    world.blobs.put("later").await.unwrap();
    for (hours, blobs) in [(5, 0), (6, 1)] {
        pass(&world.handler(CollectOptions::default()), now + TimeDelta::hours(hours)).await;
        let stored = world.records.read().await.unwrap().stored_get().await.unwrap().unwrap();
        assert_eq!(stored.blobs, blobs, "after {hours} h");
    }
}

#[tokio::test]
async fn a_removal_that_was_broken_off_is_finished() {
    let world = World::new().await;
    let blob = world.blobs.put("x").await.unwrap();
    let handler = world.handler(CollectOptions::default());
    pass(&handler, after_days(0)).await;
    let mut tx = world.records.begin().await.unwrap();
    assert!(tx.blob_condemn(&blob.digest, after_days(1), after_days(2)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(pass(&handler, after_days(2)).await.blobs, 1);
    assert!(!world.has(&blob.digest).await);
}

#[tokio::test]
async fn nothing_leaves_a_repository_while_a_manifest_cannot_be_read() {
    let world = World::new().await;
    let old = world.publish(feature(), "0.1.0-feature.1", "old").await;
    let kept = world.publish(GitRef::Branch("main".into()), "0.1.0-main.1", "kept").await;
    world.delete_branch().await;
    world.blobs.delete(&kept[0]).await.unwrap();
    let collected = pass(&world.handler(CollectOptions::default()), after_days(31)).await;
    assert_eq!((collected.versions, collected.manifests, collected.links), (1, 0, 0));
    assert!(world.has(&old[1]).await);
    // However often it comes up, it is told of once.
    let (handler, stop) = (world.handler(CollectOptions::default()), CancellationToken::new());
    let mut again = handler.begin(after_days(31), &stop);
    for _ in 0..2 {
        again.expire_repositories().await.unwrap();
        assert_eq!(again.unreadable, BTreeSet::from([kept[0]]));
    }
}

#[tokio::test]
async fn a_pass_that_is_told_to_stop_stops() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = world.handler(CollectOptions::default()).collect(Utc::now(), &stop).await;
    assert!(matches!(stopped, Err(JobError::Stopped)));
}
