//! A build on a cluster, beside the very same Job made and waited for with `kubectl`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository, Server};

use crate::kaniko;
use crate::push::push_to_bundle;
use crate::report::{ROUNDS, below, line, median, ms};

const TARGET_MS: f64 = 1000.0;
/// How long a Job may take to be seen.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

/// Rounds, if nobody says how many.
pub(crate) const ROUNDS_DEFAULT: usize = ROUNDS;

pub(crate) fn run(rounds: usize) -> Result<bool> {
    let namespace = Namespace::create();
    let server = Server::start(namespace.options());
    let app = server.create_app("bench");
    let repository = kaniko::application("bench", 1)?;
    line("one component: FROM scratch, a COPY, a RUN; in turn, the cluster idle before each");
    line("ours: a build from its start to pushed, as the API says; peer: the Job that Slipway had made for");
    line("an earlier build, its Secret with another token, `kubectl apply` and `kubectl wait`");
    let peer = Peer { namespace: &namespace, manifest: first_build(&namespace, &server, &app, &repository)? };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        repository.write("c000/index.html", format!("round {round}\n"));
        let build = build_ms(&server, &app, &repository)?;
        namespace.assert_empty();
        let job = ms(peer.run_job(&server, round)?);
        let name = if round == 0 { "before".to_owned() } else { format!("round {round}") };
        line(format!("{name}: ours {build:.0} ms, peer {job:.0} ms"));
        if round > 0 {
            ours.push(build);
            theirs.push(job);
        }
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    line(format!("medians: ours {ours:.0} ms, peer {theirs:.0} ms"));
    Ok(below("overhead over the same Job, of the medians", ours - theirs, TARGET_MS, "ms"))
}

fn build_ms(server: &Server, app: &App, repository: &GitRepository) -> Result<f64> {
    let run = push_to_bundle(server, app, repository).run;
    let run = server.json(&["run", "show", run["id"].as_str().context("a run without id")?]);
    let build = &run["builds"][0];
    ensure!(build["state"] == "pushed", "the build should be pushed: {run:#}");
    build["stages_ms"]["build"].as_f64().with_context(|| format!("no time of the build: {build:#}"))
}

/// Builds once; gives the Job that Slipway made for it.
fn first_build(
    namespace: &Namespace,
    server: &Server,
    app: &App,
    repository: &GitRepository,
) -> Result<Value> {
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_job(namespace));
        push_to_bundle(server, app, repository);
        reading.join().expect("the thread ends")
    })
}

fn read_job(namespace: &Namespace) -> Result<Value> {
    let end = Instant::now() + SEEN_WITHIN;
    loop {
        let jobs: Value = serde_json::from_str(&namespace.kubectl(&["get", "jobs", "--output", "json"]))?;
        if jobs["items"][0].is_object() {
            return Ok(jobs["items"][0].clone());
        }
        ensure!(Instant::now() < end, "no Job was seen within {SEEN_WITHIN:?}");
    }
}

/// Who applies the same Job by hand.
struct Peer<'a> {
    namespace: &'a Namespace,
    manifest: Value,
}

impl Peer<'_> {
    fn run_job(&self, server: &Server, round: usize) -> Result<Duration> {
        let name = format!("peer-{round}");
        let file = server.scratch().join(format!("{name}.json"));
        fs::write(&file, self.objects(server, &name)?.to_string())?;
        let began = Instant::now();
        self.apply_and_wait(&file, &name)?;
        let elapsed = began.elapsed();
        let path = file.to_str().context("the path is not UTF-8")?;
        self.namespace.kubectl(&["delete", "--filename", path, "--wait=true"]);
        Ok(elapsed)
    }

    fn apply_and_wait(&self, file: &Path, name: &str) -> Result<()> {
        let path = file.to_str().context("the path is not UTF-8")?;
        self.namespace.kubectl(&["apply", "--filename", path]);
        let job = format!("job/{name}");
        let wait = self.namespace.try_kubectl(&["wait", "--for=condition=complete", "--timeout=50s", &job]);
        if let Err(error) = wait {
            let log = self.namespace.try_kubectl(&["logs", &job, "--all-containers"]);
            anyhow::bail!("{name}: {error}{}", log.unwrap_or_else(|error| error));
        }
        Ok(())
    }

    /// Secret and Job under another name, and nothing by which Slipway would take them for its own.
    fn objects(&self, server: &Server, name: &str) -> Result<Value> {
        let old = self.manifest["metadata"]["name"].as_str().context("a Job without name")?;
        let mut spec: Value = serde_json::from_str(&self.manifest["spec"].to_string().replace(old, name))?;
        let fields = spec.as_object_mut().context("a Job without spec")?;
        fields.remove("selector");
        fields["template"]["metadata"] = json!({});
        let auth = STANDARD.encode(format!("any:{}", server.token()));
        let login = json!({"auths": {server.address(): {"auth": auth}}});
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                "stringData": {"config.json": login.to_string(), "token": server.token()},
            },
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec},
        ]}))
    }
}
