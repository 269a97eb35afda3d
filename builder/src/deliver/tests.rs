use std::path::Path;
use std::process::Command;
use std::time::Duration;

use slipway_git::GitOptions;
use slipway_objects::{Blobs, BlobsOptions};
use slipway_records::{
    NewConfigurationSource, NewDelivery, NewSource, NewVersion, Origin, Page, RefMove, RunFilter,
};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::SecretOptions;
use slipway_types::label::Labels;
use slipway_types::state::DeliveryState;
use slipway_types::{CommitId, Digest, Version};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::sweep::SweepHandler;

/// A server's records and git cache with the application `ops` of a source of its own.
struct World {
    dir: TempDir,
    records: Arc<dyn Records>,
    git: GitStore,
    secrets: Secrets,
    application: Application,
    head: Option<CommitId>,
}

fn main_branch() -> GitRef {
    GitRef::Branch("main".into())
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let records = SqliteRecords::open(&at("records.db"), SqliteOptions::default()).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(records);
        let url = format!("file://{}", at("objects").display());
        let blobs = Blobs::open(BlobsOptions::new(url, at("spool"))).await.unwrap();
        let git = GitStore::open(at("git"), blobs, Arc::clone(&records), GitOptions::default());
        let options = SecretOptions { key_file: at("secret.key"), ..SecretOptions::default() };
        let secrets = Secrets::new(Arc::clone(&records), options).unwrap();
        let mut tx = records.begin().await.unwrap();
        let source = NewSource {
            name: "ops".parse().unwrap(),
            kind: SourceKind::Builtin,
            credential: None,
            poll_interval_s: 300,
        };
        let source = tx.source_insert(source).await.unwrap();
        let application = tx.application_insert(&"ops".parse().unwrap(), source.id, "").await.unwrap();
        tx.commit().await.unwrap();
        let git = git.await.unwrap();
        Self { dir, records, git, secrets, application, head: None }
    }

    /// Pushes a commit of these files to `main`; gives the delivery once it was handled.
    async fn push(&mut self, files: &[(&str, &str)]) -> Delivery {
        let commit = self.commit(files);
        let source = self.application.source_id;
        let old = self.head.replace(commit.clone());
        let mut tx = self.records.begin().await.unwrap();
        let there = RefMove { name: main_branch(), old, new: Some((commit.clone(), commit.clone())) };
        assert!(tx.git_ref_move(source, &there).await.unwrap());
        let new = NewDelivery {
            source_id: source,
            origin: Origin::Push,
            external_id: None,
            event: "push".to_owned(),
            git_ref: Some(main_branch()),
            commit: Some(commit),
            actor: "ann".to_owned(),
            fresh: false,
            state: DeliveryState::Received,
        };
        let delivery = tx.delivery_insert(new).await.unwrap().into_inner();
        let job = NewJob::new(JobPayload::Deliver { delivery: delivery.id }, None);
        tx.job_enqueue(job).await.unwrap();
        tx.commit().await.unwrap();
        let handler = DeliverHandler {
            records: Arc::clone(&self.records),
            git: self.git.clone(),
            secrets: self.secrets.clone(),
        };
        self.work("deliver", &handler).await;
        self.records.read().await.unwrap().delivery_get(delivery.id).await.unwrap().unwrap()
    }

    /// Does the one job of a kind that there is.
    async fn work(&self, kind: &'static str, handler: &dyn Handler) {
        let queue = self.records.queue();
        let job = queue.claim(&[kind], "test", Duration::from_secs(60)).await.unwrap().unwrap();
        let context = JobContext { cancelled: CancellationToken::new() };
        handler.run(&job, &context).await.unwrap();
        assert!(queue.complete(job.id, job.token).await.unwrap());
    }

    async fn sweep(&self) {
        let mut tx = self.records.begin().await.unwrap();
        let payload = JobPayload::Sweep { source: self.application.source_id };
        tx.job_enqueue(NewJob::new(payload, None)).await.unwrap();
        tx.commit().await.unwrap();
        let handler = SweepHandler {
            records: Arc::clone(&self.records),
            git: self.git.clone(),
            secrets: self.secrets.clone(),
        };
        self.work("sweep", &handler).await;
    }

    /// A commit of these files, where the git store keeps the source's repository.
    fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        let bare = self.dir.path().join(format!("git/{}.git", self.application.source_id));
        let work = TempDir::new().unwrap();
        let git = |directory: &Path, arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(directory).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
            git.args(["-c", "user.name=n", "-c", "user.email=e@example.org"]);
            let done = git.args(arguments).output().unwrap();
            assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        git(work.path(), &["init", "--quiet"]);
        for (path, text) in files {
            std::fs::write(work.path().join(path), text).unwrap();
        }
        git(work.path(), &["add", "--all"]);
        git(work.path(), &["commit", "--quiet", "--message", "m"]);
        let bare = bare.to_str().unwrap();
        git(work.path(), &["init", "--quiet", "--bare", bare]);
        git(work.path(), &["push", "--quiet", "--force", bare, "HEAD:refs/heads/main"]);
        git(work.path(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    async fn follow(&self) {
        let new = NewConfigurationSource {
            application_id: self.application.id,
            level: "eu".to_owned(),
            source_id: self.application.source_id,
            branch: "main".to_owned(),
            path: "eu.yaml".to_owned(),
            by: "ann".to_owned(),
            reason: None,
        };
        let mut tx = self.records.begin().await.unwrap();
        tx.configuration_source_put(new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Stores a version as if `run` had published it.
    async fn publish(&self, run: RunId, commit: CommitId) {
        let digest = Digest::of("bundle");
        let new = NewVersion {
            application_id: self.application.id,
            component: None,
            version: Version::release(1, 0, 0),
            digest,
            size: 1,
            built_as: Version::release(1, 0, 0),
            run_id: run,
            git_ref: main_branch(),
            commit,
            fingerprint: digest,
            detail: serde_json::json!({"members": []}),
            labels: Labels::new(),
        };
        let mut tx = self.records.begin().await.unwrap();
        tx.version_insert(new).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn deliveries(&self) -> usize {
        let mut read = self.records.read().await.unwrap();
        read.delivery_list(self.application.source_id, Page::first(100)).await.unwrap().len()
    }
}

fn ignored(delivery: &Delivery) -> Option<&str> {
    match &delivery.state {
        DeliveryState::Ignored { reason } => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn a_source_of_configuration_alone_makes_no_run_and_says_why() {
    let mut world = World::new().await;
    let first = world.push(&[("eu.yaml", "1")]).await;
    assert_eq!(ignored(&first), None, "nobody follows it yet");
    world.follow().await;
    let second = world.push(&[("eu.yaml", "2")]).await;
    let why = ignored(&second).unwrap();
    assert!(why.starts_with("configuration only: ") && why.contains("slipway.yaml"), "{why}");
    // Nor does the sweep find that a run is missing.
    world.sweep().await;
    assert_eq!(world.deliveries().await, 2);
    let filter = RunFilter {
        application: Some(world.application.id),
        git_ref: None,
        commit: None,
        states: Vec::new(),
    };
    let mut read = world.records.read().await.unwrap();
    assert_eq!(read.run_list(&filter, Page::first(10)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_declares_something_or_did_so_before_makes_runs_though_it_is_followed() {
    let mut world = World::new().await;
    world.follow().await;
    let declared = world.push(&[("eu.yaml", "1"), ("slipway.yaml", "[broken")]).await;
    let DeliveryState::Planned { runs } = &declared.state else { panic!("{:?}", declared.state) };
    world.publish(runs[0], declared.commit.clone().unwrap()).await;
    // Somebody has lost the file: that is told by a run.
    let lost = world.push(&[("eu.yaml", "1")]).await;
    assert_eq!(ignored(&lost), None);
}
