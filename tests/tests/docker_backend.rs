//! The Docker back-end against real engines: this release's and a later one.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use slipway_builder::backend::docker::{DockerBackend, DockerOptions, LABEL};
use slipway_builder::backend::{
    BuildClock, BuildError, ContainerRun, ImageBackend, ImageBuild, Requirements,
};
use slipway_builder::log::{LogTask, LogWriter};
use slipway_builder::target::{INTERNAL_HOST, ImageTarget};
use slipway_git::{GitOptions, GitStore};
use slipway_objects::{Blobs, BlobsOptions};
use slipway_oci::manifest::{Descriptor, ImageManifest, Manifest, canonical_json};
use slipway_oci::source::{ImageSource, Images};
use slipway_oci::{BuiltinRegistry, ClientOptions, Registries};
use slipway_records::plan::{BuildPlan, PlannedBase};
use slipway_records::{Build, Records, Source, SourceKind};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_tests::services;
use slipway_types::id::{ApplicationId, BuildId, CheckId, RunId, SourceId};
use slipway_types::state::{BuildState, BuiltImage};
use slipway_types::{CommitId, Digest, Fault, ImageReference, Platform, media_type};
use tokio_util::sync::CancellationToken;

const REPOSITORY: &str = "default/shop/i/api";
const BASE: &str = "registry.slipway.internal/default/base/i/busybox:1";
/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    engine: services::DockerEngine,
    owner: String,
    records: Arc<dyn Records>,
    blobs: Blobs,
    images: Images,
    git: GitStore,
    source: Source,
    base: Digest,
    base_layer: Digest,
}

/// What one build was and how it ended.
struct Outcome {
    result: Result<BuiltImage, BuildError>,
    log: String,
}

impl Outcome {
    fn image(&self) -> &BuiltImage {
        self.result.as_ref().unwrap_or_else(|error| panic!("{error:?}\n{}", self.log))
    }

    fn fault(&self) -> &Fault {
        match &self.result {
            Err(BuildError::Failed(fault)) => fault,
            other => panic!("{other:?}\n{}", self.log),
        }
    }
}

impl World {
    async fn new(engine: services::DockerEngine) -> Self {
        // Another test of this process may have done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let dir = tempfile::tempdir().unwrap();
        let records = SqliteRecords::open(&dir.path().join("s.db"), SqliteOptions::default()).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(records);
        let url = format!("file://{}", dir.path().join("blobs").display());
        let blobs = Blobs::open(BlobsOptions::new(url, dir.path().join("spool"))).await.unwrap();
        let builtin = BuiltinRegistry::new(Arc::clone(&records), blobs.clone());
        let options = ClientOptions { own_hosts: vec![INTERNAL_HOST.into()], ..ClientOptions::default() };
        let registries = Registries::new(options, BTreeMap::new(), blobs.clone()).unwrap();
        let images = Images::new(builtin, registries);
        let cache = dir.path().join("git");
        let git =
            GitStore::open(cache, blobs.clone(), Arc::clone(&records), GitOptions::default()).await.unwrap();
        let source = Source {
            id: SourceId::new(),
            name: "shop".parse().unwrap(),
            kind: SourceKind::Builtin,
            credential: None,
            poll_interval_s: 300,
            swept_at: None,
            last_error: None,
            created_at: Utc::now(),
        };
        let owner = format!("test-{}", SourceId::new());
        let (base, base_layer) = push_base(&images, &blobs).await;
        Self { dir, engine, owner, records, blobs, images, git, source, base, base_layer }
    }

    fn options(&self) -> DockerOptions {
        DockerOptions {
            host: self.engine.host.clone(),
            owner: self.owner.clone(),
            ..DockerOptions::default()
        }
    }

    fn backend(&self, options: DockerOptions) -> DockerBackend {
        let target = Arc::new(ImageTarget::builtin(self.images.clone()));
        DockerBackend::connect(options, self.blobs.clone(), self.images.clone(), target)
    }

    /// A commit of these files, where the git store keeps the source's repository.
    fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        let bare = self.dir.path().join(format!("git/{}.git", self.source.id));
        let work = tempfile::tempdir().unwrap();
        let git = |directory: &Path, arguments: &[&str]| {
            let mut command = Command::new("git");
            command
                .current_dir(directory)
                .args(["-c", "user.name=t", "-c", "user.email=t@t"])
                .args(arguments);
            output(&mut command)
        };
        git(work.path(), &["init", "-q", "-b", "main"]);
        for (path, content) in files {
            let path = work.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(work.path(), &["add", "-A"]);
        git(work.path(), &["commit", "-q", "-m", "x"]);
        git(work.path(), &["init", "-q", "--bare", bare.to_str().unwrap()]);
        git(work.path(), &["push", "-q", "-f", bare.to_str().unwrap(), "main"]);
        git(work.path(), &["rev-parse", "HEAD"]).trim().parse().unwrap()
    }

    fn plan(&self, args: &[(&str, &str)]) -> BuildPlan {
        BuildPlan {
            context_tree: String::new(),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: args.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            platforms: vec![Platform::default()],
            bases: vec![PlannedBase { reference: BASE.parse().unwrap(), digest: self.base, note: None }],
            secrets: BTreeMap::new(),
            watched: BTreeMap::new(),
            backend: "docker".into(),
            recipe: 1,
            backend_why: String::new(),
        }
    }

    async fn build(&self, options: DockerOptions, files: &[(&str, &str)]) -> Outcome {
        self.build_as(BuildId::new(), options, files, &self.plan(&[]), async |_, _| ()).await
    }

    /// Builds while `meanwhile` runs, which is given the log's id and the token.
    async fn build_as<F: Future<Output = ()>>(
        &self,
        id: BuildId,
        options: DockerOptions,
        files: &[(&str, &str)],
        plan: &BuildPlan,
        meanwhile: impl FnOnce(BuildId, CancellationToken) -> F,
    ) -> Outcome {
        let commit = self.commit(files);
        let build = build_row(id);
        let (log, task) = self.log(id);
        let cancelled = CancellationToken::new();
        let (component, needs) = ("api".parse().unwrap(), BTreeMap::new());
        let application = "shop".parse().unwrap();
        let job = ImageBuild {
            build: &build,
            application: &application,
            component: &component,
            plan,
            context: "app",
            commit: &commit,
            source: &self.source,
            git: &self.git,
            repository: REPOSITORY,
            needs: &needs,
            log: &log,
            cancelled: cancelled.clone(),
            resumed: false,
            clock: &BuildClock::default(),
            stopping: CancellationToken::new(),
        };
        let backend = self.backend(options);
        let built = tokio::time::timeout(LONG, backend.build(job));
        let (result, ()) = tokio::join!(built, meanwhile(id, cancelled));
        let result = result.unwrap();
        drop(log);
        task.close().await;
        Outcome { result, log: self.log_text(id).await }
    }

    fn log(&self, id: BuildId) -> (LogWriter, LogTask) {
        LogWriter::open(Arc::clone(&self.records), self.blobs.clone(), id.as_uuid(), 1 << 20)
    }

    async fn log_text(&self, id: BuildId) -> String {
        let chunks = self.records.read().await.unwrap().log_chunks(id.as_uuid(), 0, 1000).await.unwrap();
        let mut text = String::new();
        for chunk in chunks {
            let bytes = self.blobs.get(&chunk.digest, 1 << 20).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    }

    async fn log_says(&self, id: BuildId, wanted: &str) {
        let deadline = Instant::now() + LONG;
        loop {
            let text = self.log_text(id).await;
            if text.contains(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "no `{wanted}` in:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let mut docker = Command::new(services::tool("docker"));
        output(docker.args(["--host", &self.engine.host]).args(arguments))
    }

    fn containers(&self, owner: &str) -> String {
        self.docker(&["ps", "--all", "--quiet", "--filter", &format!("label={LABEL}={owner}")])
    }

    fn results(&self, id: BuildId) -> String {
        self.docker(&["images", "--quiet", &format!("slipway-build/{id}")])
    }

    /// The files of all layers, later ones over earlier ones, and the configuration.
    async fn contents(
        &self,
        image: &BuiltImage,
    ) -> (BTreeMap<String, String>, serde_json::Value, ImageManifest) {
        let target = ImageTarget::builtin(self.images.clone());
        let reference = target.reference(&image.repository, Some(image.digest));
        let Manifest::Image(manifest) = self.images.fetch_manifest(&reference).await.unwrap().manifest else {
            panic!("an index")
        };
        let config = self.images.fetch_bytes(&reference, &manifest.config, 1 << 20).await.unwrap();
        let mut files = BTreeMap::new();
        for layer in &manifest.layers {
            let blob = self.images.fetch_blob(&reference, layer).await.unwrap();
            let bytes = self.blobs.get(&blob.digest, 64 << 20).await.unwrap();
            let tar = flate2::bufread::MultiGzDecoder::new(bytes.as_ref());
            for entry in tar::Archive::new(tar).entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                files.insert(path, String::from_utf8_lossy(&content).into_owned());
            }
        }
        (files, serde_json::from_slice(&config).unwrap(), manifest)
    }
}

fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn build_row(id: BuildId) -> Build {
    Build {
        id,
        run_id: RunId::new(),
        application_id: ApplicationId::new(),
        component: "api".parse().unwrap(),
        kit: "dockerfile".into(),
        position: 0,
        backend: None,
        backend_why: None,
        plan: serde_json::Value::Null,
        image_fingerprint: None,
        state: BuildState::Building { attempt: 2, waits_for: None },
        attempt: 2,
        stages_ms: serde_json::json!({}),
        generation: 0,
        created_at: Utc::now(),
        started_at: None,
        finished_at: None,
    }
}

/// An image of busybox in the built-in registry: digests of its manifest and its layer.
async fn push_base(images: &Images, blobs: &Blobs) -> (Digest, Digest) {
    let mut tar = tar::Builder::new(Vec::new());
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_path_with_name("/bin/busybox", "bin/busybox").unwrap();
    for applet in ["sh", "sleep", "cat", "touch"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    let layer = blobs.put(encoder.finish().unwrap()).await.unwrap();
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar)]}});
    let config = blobs.put(Bytes::from(config.to_string())).await.unwrap();
    let to = BASE.parse().unwrap();
    images.push_blob(&to, &layer).await.unwrap();
    images.push_blob(&to, &config).await.unwrap();
    let manifest = canonical_json(&ImageManifest::image(
        Descriptor::new(media_type::OCI_CONFIG, config.digest, config.size),
        vec![Descriptor::new(media_type::OCI_LAYER_GZIP, layer.digest, layer.size)],
    ));
    let digest = images.push_manifest(&to, manifest, media_type::OCI_MANIFEST).await.unwrap();
    (digest, layer.digest)
}

async fn stages_arguments_and_ignore_files_give_the_image_in_the_registry(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let dockerfile = format!(
        "ARG FROM_WHERE\nFROM ${{FROM_WHERE}} AS made\nARG TARGETARCH\nARG GREETING\nCOPY . /src\n\
         RUN echo $GREETING $TARGETARCH > /src/out\n\
         FROM registry.slipway.internal/not/there:9 AS unused\nRUN false\n\
         FROM scratch\nCOPY --from=made /src /\nCOPY --from={BASE} /bin/busybox /b\nLABEL keep=1\nCMD [\"/b\"]\n"
    );
    let files = [
        ("app/Dockerfile", dockerfile.as_str()),
        ("app/.dockerignore", "*.log"),
        ("app/x.log", "x"),
        ("app/a", "a"),
    ];
    let plan = world.plan(&[("FROM_WHERE", BASE), ("GREETING", "hello")]);
    let id = BuildId::new();
    let built = world.build_as(id, world.options(), &files, &plan, async |_, _| ()).await;
    let image = built.image();
    assert_eq!((image.repository.as_str(), image.platforms.len()), (REPOSITORY, 1));
    let (contents, config, _) = world.contents(image).await;
    assert_eq!(contents["out"], "hello amd64\n");
    assert_eq!(contents["Dockerfile"], dockerfile);
    assert_eq!(contents["a"], "a");
    for absent in ["x.log", ".slipway.Dockerfile"] {
        assert!(!contents.contains_key(absent), "{absent}: {contents:?}");
    }
    assert_eq!(config["config"]["Labels"], serde_json::json!({"keep": "1"}));
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["/b"]));
    assert!(!config.to_string().contains(&world.owner), "{config}");
    assert!(built.log.contains("RUN echo $GREETING"), "{}", built.log);
    assert_eq!((world.results(id), world.containers(&world.owner)), (String::new(), String::new()));
}

async fn layers_of_the_base_are_those_of_the_registry(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let dockerfile = format!("FROM {BASE}\nRUN touch /made\n");
    let built = world.build(world.options(), &[("app/Dockerfile", &dockerfile)]).await;
    let (contents, _, manifest) = world.contents(built.image()).await;
    assert_eq!(manifest.layers[0].digest, world.base_layer);
    assert!(contents.contains_key("made"));
}

async fn a_failing_step_is_named_with_its_line_and_output(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let dockerfile = format!("FROM {BASE}\n\n# a comment\nRUN echo bo\"\"om; \\\n  exit 3\n");
    let built = world.build(world.options(), &[("app/Dockerfile", &dockerfile)]).await;
    let fault = built.fault();
    assert_eq!(fault.code, "build_failed");
    assert!(fault.message.starts_with("Dockerfile:4: RUN echo"), "{fault}");
    assert!(fault.message.contains("non-zero code: 3") && fault.message.contains("\nboom"), "{fault}");
    assert_eq!(world.containers(&world.owner), "");
}

async fn what_cancels_a_build_stops_its_step(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let dockerfile = format!("FROM {BASE}\nRUN echo beg\"\"un; sleep 300\n");
    let files = [("app/Dockerfile", dockerfile.as_str())];
    let cancel = async |id, token: CancellationToken| {
        world.log_says(id, "\nbegun").await;
        assert_ne!(world.containers(&world.owner), "");
        token.cancel();
    };
    let built = world.build_as(BuildId::new(), world.options(), &files, &world.plan(&[]), cancel).await;
    assert!(matches!(built.result, Err(BuildError::Cancelled)), "{:?}", built.result);
    assert_eq!(world.containers(&world.owner), "");
}

async fn a_command_that_nobody_waits_for_is_stopped(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let (backend, id) = (world.backend(world.options()), BuildId::new());
    let (log, task) = world.log(id);
    let image: ImageReference = BASE.parse().unwrap();
    let (application, image) = ("shop".parse().unwrap(), image.pinned(world.base));
    let command = ["/bin/sh", "-c", "echo begun; sleep 300"].map(str::to_owned);
    let (env, clock) = (BTreeMap::new(), BuildClock::default());
    let run = backend.run(ContainerRun {
        check: CheckId::new(),
        attempt: 1,
        application: &application,
        image: &image,
        command: &command,
        env: &env,
        timeout: LONG,
        log: &log,
        resumed: false,
        clock: &clock,
        cancelled: CancellationToken::new(),
        stopping: CancellationToken::new(),
    });
    // As a worker does that has lost its lease: it goes away without a word.
    tokio::select! {
        ended = run => panic!("{ended:?}"),
        () = world.log_says(id, "begun") => {}
    }
    let deadline = Instant::now() + LONG;
    while !world.containers(&world.owner).is_empty() {
        assert!(Instant::now() < deadline, "the container stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(log);
    task.close().await;
}

async fn a_silent_build_times_out_by_name(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let options = DockerOptions { idle_timeout_ms: 6000, ..world.options() };
    let dockerfile = format!("FROM {BASE}\nRUN sleep 300\n");
    let built = world.build(options, &[("app/Dockerfile", &dockerfile)]).await;
    let Err(BuildError::TimedOut(which)) = &built.result else { panic!("{:?}", built.result) };
    assert_eq!(which, "Dockerfile:2: RUN sleep 300: silent longer than idle_timeout_ms = 6000");
    assert_eq!(world.containers(&world.owner), "");
}

async fn an_earlier_attempts_image_is_adopted(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let id = BuildId::new();
    let archive = world.dir.path().join("a.tar");
    output(Command::new("tar").arg("-C").arg("/bin").arg("-cf").arg(&archive).arg("busybox"));
    world.docker(&["import", archive.to_str().unwrap(), &format!("slipway-build/{id}:1")]);
    let files = [("app/Dockerfile", "FROM scratch\nRUN false\n")];
    let built = world.build_as(id, world.options(), &files, &world.plan(&[]), async |_, _| ()).await;
    assert!(world.contents(built.image()).await.0.contains_key("busybox"));
    assert_eq!(world.results(id), "");
}

async fn an_engine_that_goes_away_is_a_passing_fault(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let socket = world.dir.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let path = world.engine.host.strip_prefix("unix://").unwrap().to_owned();
    let proxy = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::UnixStream::connect(&path).await.unwrap();
            connections.spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let options = DockerOptions {
        host: format!("unix://{}", socket.display()),
        stop_timeout_ms: 500,
        ..world.options()
    };
    let dockerfile = format!("FROM {BASE}\nRUN echo beg\"\"un; sleep 300\n");
    let files = [("app/Dockerfile", dockerfile.as_str())];
    let vanish = async |id, _| {
        world.log_says(id, "\nbegun").await;
        proxy.abort();
        std::fs::remove_file(&socket).unwrap();
    };
    let built = world.build_as(BuildId::new(), options, &files, &world.plan(&[]), vanish).await;
    let fault = built.fault();
    assert_eq!((fault.code.as_str(), fault.class), ("docker_unavailable", slipway_types::Class::Transient));
    assert!(fault.message.starts_with("Dockerfile:2: RUN echo"), "{fault}");
    let built = world.build(world.options(), &[("app/Dockerfile", "FROM scratch\nCOPY . /\n")]).await;
    built.image();
}

async fn leftovers_and_old_steps_are_removed_and_nobody_elses(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let dockerfile = format!("FROM {BASE}\nRUN touch /made\nFROM scratch\nCOPY . /\nENV a=b\n");
    world.build(world.options(), &[("app/Dockerfile", &dockerfile)]).await.image();
    let ours = format!("label={LABEL}={}", world.owner);
    let kept = || world.docker(&["images", "--all", "--quiet", "--filter", &ours]);
    assert_ne!(kept(), "", "the next build finds no cache");
    let image = format!("slipway-test/{}:1", world.owner);
    let archive = world.dir.path().join("a.tar");
    output(Command::new("tar").arg("-C").arg("/bin").arg("-cf").arg(&archive).arg("busybox"));
    world.docker(&["import", archive.to_str().unwrap(), &image]);
    let stranger = format!("{}-other", world.owner);
    for owner in [&world.owner, &stranger] {
        world.docker(&["create", "--label", &format!("{LABEL}={owner}"), &image, "/busybox"]);
    }
    let options = DockerOptions { cache_keep_bytes: 0, ..world.options() };
    world.backend(options).sweep().await.unwrap();
    assert_eq!((kept(), world.containers(&world.owner)), (String::new(), String::new()));
    let strange = world.containers(&stranger);
    world.docker(&["rm", strange.trim()]);
    world.docker(&["rmi", &image]);
}

async fn what_it_cannot_do_is_refused_with_the_reason(engine: services::DockerEngine) {
    let world = World::new(engine).await;
    let backend = world.backend(world.options());
    let can = async |wanted: Requirements| backend.can(&wanted).await;
    assert!(can(Requirements::default()).await.unwrap().contains("Docker Engine"));
    let buildkit = Requirements { buildkit: Some((7, "RUN --mount".into())), ..Requirements::default() };
    assert!(can(buildkit).await.unwrap_err().starts_with("line 7: RUN --mount needs BuildKit"));
    let secrets = Requirements { secrets: true, ..Requirements::default() };
    assert!(can(secrets).await.unwrap_err().contains("secrets"));
    let foreign = Requirements { foreign_platforms: true, ..Requirements::default() };
    assert_eq!(can(foreign).await.unwrap_err(), "the engine builds for linux/amd64 only");
    let nowhere = DockerOptions { host: "unix:///nowhere/docker.sock".into(), ..world.options() };
    let refused = world.backend(nowhere).can(&Requirements::default()).await.unwrap_err();
    assert_eq!(
        refused,
        "no Docker engine answers at unix:///nowhere/docker.sock: /nowhere/docker.sock does not exist"
    );
}

macro_rules! against {
    ($module:ident, $engine:path, [$($test:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($engine()).await;
                }
            )*
        }
    };
}

macro_rules! against_both {
    ($($tests:tt)*) => {
        against!(docker_this_release, slipway_tests::services::docker, [$($tests)*]);
        against!(docker_later_release, slipway_tests::services::docker_new, [$($tests)*]);
    };
}

against_both!(
    stages_arguments_and_ignore_files_give_the_image_in_the_registry,
    layers_of_the_base_are_those_of_the_registry,
    a_failing_step_is_named_with_its_line_and_output,
    what_cancels_a_build_stops_its_step,
    a_command_that_nobody_waits_for_is_stopped,
    a_silent_build_times_out_by_name,
    an_earlier_attempts_image_is_adopted,
    an_engine_that_goes_away_is_a_passing_fault,
    leftovers_and_old_steps_are_removed_and_nobody_elses,
    what_it_cannot_do_is_refused_with_the_reason,
);
