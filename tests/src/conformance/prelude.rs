//! Rows to begin with, and the traits every promise calls.

pub(super) use std::sync::Arc;
pub(super) use std::time::Duration;

pub(super) use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
pub(super) use slipway_records::{
    Application, Build, BuildResult, Change, ChannelMove, Delivery, Inserted, Job, JobPayload, JobState,
    LabelChange, LogChunk, ManifestRow, NewDelivery, NewJob, NewRun, NewSource, NewToken, NewVersion, Origin,
    PackRow, PackageVersion, Page, Read, Records, RecordsError, RefMove, RefRow, Refusal, Resolution, Run,
    RunFilter, SealedSecret, Source, SourceKind, VersionFilter, Write,
};
pub(super) use slipway_types::id::{ApplicationId, BuildId, JobId, RunId, SourceId, VersionId};
pub(super) use slipway_types::label::{LabelKey, LabelValue, Labels};
pub(super) use slipway_types::state::{
    BuildEvent, BuildState, BuiltImage, DeliveryState, PlatformManifest, RunEvent, RunState,
};
pub(super) use slipway_types::{ApplicationName, CommitId, ComponentName, Digest, GitRef, Role, Version};

/// How long to wait for what must happen.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// The records under test.
pub(super) type Shared = Arc<dyn Records>;

/// Reads a name, version, ref or any other parsed word.
pub(super) fn word<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// The `n`th commit.
pub(super) fn commit(n: u32) -> CommitId {
    word(&format!("{n:040x}"))
}

/// A branch.
pub(super) fn branch(name: &str) -> GitRef {
    GitRef::Branch(name.to_owned())
}

/// A time, `s` seconds after one long ago.
pub(super) fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + s, 0).unwrap()
}

/// A transaction.
pub(super) async fn begin(records: &Shared) -> Box<dyn Write> {
    records.begin().await.unwrap()
}

/// A connection for reading.
pub(super) async fn read(records: &Shared) -> Box<dyn Read> {
    records.read().await.unwrap()
}

/// A source of that name, committed.
pub(super) async fn source(records: &Shared, name: &str) -> Source {
    let mut tx = begin(records).await;
    let new =
        NewSource { name: word(name), kind: SourceKind::Builtin, credential: None, poll_interval_s: 300 };
    let source = tx.source_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    source
}

/// An application of that name with a source of its own, committed.
pub(super) async fn application(records: &Shared, name: &str) -> Application {
    let source = source(records, &name.replace('/', "-")).await;
    let mut tx = begin(records).await;
    let application = tx.application_insert(&word(name), source.id, "").await.unwrap();
    tx.commit().await.unwrap();
    application
}

/// A run to be made of the `n`th commit of `main`.
pub(super) fn new_run(application: ApplicationId, n: u32) -> NewRun {
    NewRun {
        application_id: application,
        git_ref: branch("main"),
        commit: commit(n),
        actor: "ann".into(),
        subject: "Fix it".into(),
        author: "Ann <ann@example.com>".into(),
        committed_at: at(i64::from(n)),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    }
}

/// Makes that run and commits.
pub(super) async fn insert_run(records: &Shared, run: NewRun) -> Run {
    let mut tx = begin(records).await;
    let run = tx.run_insert(run).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    run
}

/// Stores what `change` does to a run.
pub(super) async fn save_run(records: &Shared, run: &mut Run, state: RunState) {
    run.state = state;
    let mut tx = begin(records).await;
    assert!(tx.run_save(run).await.unwrap());
    tx.commit().await.unwrap();
}

/// A version of a run's application to be published, with a digest of its own.
pub(super) fn new_version(run: &Run, component: Option<&str>, version: &str) -> NewVersion {
    NewVersion {
        application_id: run.application_id,
        component: component.map(word),
        version: word(version),
        digest: Digest::of(format!("{component:?} {version}")),
        size: 1234,
        built_as: word(version),
        run_id: run.id,
        git_ref: run.git_ref.clone(),
        commit: run.commit.clone(),
        fingerprint: Digest::of(format!("fingerprint {component:?} {version}")),
        detail: serde_json::json!({"kit": "manifests"}),
        labels: Labels::new(),
    }
}

/// Publishes it and commits.
pub(super) async fn insert_version(records: &Shared, version: NewVersion) -> PackageVersion {
    let mut tx = begin(records).await;
    let version = tx.version_insert(version).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    version
}

/// A build of a run.
pub(super) fn new_build(run: &Run, component: &str, position: u32) -> Build {
    Build {
        id: BuildId::new(),
        run_id: run.id,
        application_id: run.application_id,
        component: word(component),
        kit: "dockerfile".into(),
        position,
        backend: Some("assemble".into()),
        backend_why: Some("no RUN".into()),
        plan: serde_json::json!({"context": "api", "args": {"A": null}}),
        image_fingerprint: None,
        state: BuildState::Queued { why: "a worker".into(), retry_at: None },
        attempt: 0,
        stages_ms: serde_json::json!({}),
        generation: 1,
        created_at: at(1),
        started_at: None,
        finished_at: None,
    }
}

/// An image with that digest.
pub(super) fn image(text: &str) -> BuiltImage {
    let digest = Digest::of(text);
    let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
    BuiltImage {
        repository: "default/shop/i/api".into(),
        registry: None,
        digest,
        media_type: media_type.clone(),
        size: 7,
        platforms: vec![PlatformManifest { platform: word("linux/amd64"), digest, size: 7, media_type }],
    }
}

/// Queues a job and commits.
pub(super) async fn enqueue(records: &Shared, job: NewJob) -> JobId {
    let mut tx = begin(records).await;
    let id = tx.job_enqueue(job).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// Whether `error` says that something exists already.
pub(super) fn is_conflict<T: std::fmt::Debug>(result: &Result<T, RecordsError>) -> bool {
    matches!(result, Err(RecordsError::Conflict { .. }))
}
