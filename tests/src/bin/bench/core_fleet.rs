//! Many applications driven by the built-in core in one real cluster: what the first apply costs, what nothing to do
//! costs, and how soon a change in the cluster shows.
//!
//! One bundle of ten objects goes to many stages of a namespace: each is a key of the core of its own.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use slipway_kubernetes::{Cluster, ClusterOptions, ObjectKey, connect, read_kubeconfig};
use slipway_network::Network;
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{Answer, GitRepository, Server};
use tokio::runtime::Runtime;

use crate::report::{below, cpu_seconds, line, memory_mib, ms, quantile};

/// Applications, if nobody says how many.
pub(crate) const APPLICATIONS_DEFAULT: usize = 1_000;

/// Objects of each application.
const OBJECTS: usize = 10;
/// Requests to the server at once.
const CLIENTS: usize = 4;
/// How long all may take to get to the gate, and from there to the end.
const MOVES_WITHIN: Duration = Duration::from_mins(30);
/// How long the server may take to come to rest.
const RESTS_WITHIN: Duration = Duration::from_mins(10);
/// It rests once it takes less than this share of a core, for so long.
const REST_SHARE: f64 = 0.05;
const REST_FOR: Duration = Duration::from_secs(30);
/// How long a server at rest is measured.
const IDLE_FOR: Duration = Duration::from_mins(2);
/// Changes in the cluster, one after another.
const CHANGES: usize = 100;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What others than Slipway write as.
const WRITER: &str = "bench";

/// The share of a core that a server at rest may take, in percent.
const IDLE_TARGET: f64 = 1.0;
const MEMORY_TARGET_MIB: f64 = 150.0;
const SEEN_TARGET_MS: f64 = 1_000.0;
/// Our time on a core by that of the API server.
const SHARE_TARGET: f64 = 1.0;

/// How long all take from their gate to live.
pub(crate) fn apply(applications: usize) -> Result<bool> {
    let fleet = Fleet::prepare(applications)?;
    Ok(fleet.deploy()?.1)
}

/// What they cost then, and how soon a change shows.
pub(crate) fn idle(applications: usize) -> Result<bool> {
    let fleet = Fleet::prepare(applications)?;
    let (deployments, _) = fleet.deploy()?;
    fleet.rest()?;
    let (ours, server) = fleet.shares(IDLE_FOR)?;
    let memory = memory_mib(fleet.server.pid(), "VmRSS")?;
    line(format!(
        "at rest for {} s: {ours:.2} % of a core, the API server {server:.2} %",
        IDLE_FOR.as_secs()
    ));
    let took = fleet.changes(&deployments)?;
    line(format!(
        "a change in the cluster shows after p50 {:.0} ms, p99 {:.0} ms, of {}",
        quantile(&took, 0.5),
        quantile(&took, 0.99),
        took.len()
    ));
    let idle = below("share of a core at rest", ours, IDLE_TARGET, "%");
    let memory = below("memory at rest", memory, MEMORY_TARGET_MIB, "MiB");
    Ok(below("a change shows, p99", quantile(&took, 0.99), SEEN_TARGET_MS, "ms") & idle & memory)
}

/// Ten objects that need no pod.
fn manifests() -> String {
    let mut text = String::new();
    for number in 1..=4 {
        write!(
            text,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings-{number}}}\ndata: {{currency: EUR, size: \"{number}\"}}\n"
        )
        .expect("text");
    }
    for number in 1..=2 {
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: web-{number}}}\nspec: {{selector: {{app: web-{number}}}, ports: [{{port: 80}}]}}\n\
             ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{number}}}\nspec:\n  replicas: 0\n  \
             selector: {{matchLabels: {{app: web-{number}}}}}\n  template:\n    metadata: {{labels: {{app: web-{number}}}}}\n    \
             spec: {{containers: [{{name: web, image: registry.invalid/none}}]}}\n"
        )
        .expect("text");
    }
    text.push_str(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: access}\nstringData: {token: bench}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\n\
         rules: [{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}]\n",
    );
    text
}

struct Fleet {
    server: Server,
    namespace: Namespace,
    version: String,
    applications: usize,
}

impl Fleet {
    fn prepare(applications: usize) -> Result<Self> {
        ensure!(applications > 0, "there is nothing to deploy");
        let namespace = Namespace::create();
        let server = Server::start(namespace.options());
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
        let app = server.create_app("fleet");
        let repository = GitRepository::new();
        let file = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: fleet}\ncomponents: [{name: parts, kit: manifests, context: parts}]\n";
        repository.write("slipway.yaml", file);
        repository.write("parts/parts.yaml", manifests());
        let bundle = server.publish(&app, &repository, "main", "Begin");
        let version = bundle["version"].as_str().context("a bundle has a version")?.to_owned();
        line(format!("{applications} applications of {OBJECTS} objects in {CLIENTS} lines of requests"));
        Ok(Self { server, namespace, version, applications })
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {}", self.server.token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.server.request(method, path, &headers, body.to_string().as_bytes())
    }

    /// The same, which must go well.
    fn sent(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(method, path, body);
        ensure!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        Ok(answer.json())
    }

    /// Does something for each of these, several at once.
    fn each<T: Sync>(&self, all: &[T], does: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
        thread::scope(|scope| {
            let lines = (0..CLIENTS).map(|line| {
                let does = &does;
                scope.spawn(move || all.iter().skip(line).step_by(CLIENTS).try_for_each(does))
            });
            let lines: Vec<_> = lines.collect();
            lines.into_iter().try_for_each(|line| line.join().expect("a line of requests ends"))
        })
    }

    /// All deployments, newest first.
    fn deployments(&self, states: &str) -> Result<Vec<Value>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/deployments?application=fleet&limit=500{states}{after}");
            let page = self.sent("GET", &path, &Value::Null)?;
            all.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Waits until all are in one state.
    fn all_are(&self, state: &str) -> Result<Vec<Value>> {
        let end = Instant::now() + MOVES_WITHIN;
        loop {
            let there = self.deployments(&format!("&state={state}"))?;
            if there.len() == self.applications {
                return Ok(there);
            }
            let lost = self.deployments("&state=rejected,broken,failed,timed_out")?;
            ensure!(lost.is_empty(), "not {state} any more: {:#}", lost[0]);
            ensure!(Instant::now() < end, "only {} are {state} after {MOVES_WITHIN:?}", there.len());
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Time on a core so far, in seconds: ours and the API server's.
    fn cpu(&self) -> Result<(f64, f64)> {
        let apiserver = self.namespace.cluster.apiserver_pid().context("the API server runs")?;
        Ok((cpu_seconds(self.server.pid())?, cpu_seconds(apiserver)?))
    }

    /// The shares of a core that both take for so long, in percent.
    fn shares(&self, time: Duration) -> Result<(f64, f64)> {
        let (before, began) = (self.cpu()?, Instant::now());
        thread::sleep(time);
        let (after, took) = (self.cpu()?, began.elapsed().as_secs_f64());
        Ok(((after.0 - before.0) / took * 100.0, (after.1 - before.1) / took * 100.0))
    }

    /// Brings all to their gate, opens it and waits until all are live; gives them, and whether the API server took
    /// more than the core.
    fn deploy(&self) -> Result<(Vec<Value>, bool)> {
        let numbers: Vec<usize> = (1..=self.applications).collect();
        let began = Instant::now();
        self.each(&numbers, |number| {
            let settings =
                json!({"receiver": {"type": "core"}, "gates": {"approvals": {"count": 1, "authorMay": true}}});
            let address = format!("local/test/{}/s{number}", self.namespace.name);
            let path = format!("/api/v1/environments/e{number}");
            self.sent("PUT", &path, &json!({"address": address, "settings": settings}))?;
            let body = json!({"application": "fleet", "environment": format!("e{number}"), "bundle": self.version});
            self.sent("POST", "/api/v1/deployments", &body).map(drop)
        })?;
        let waiting = self.all_are("awaiting")?;
        line(format!("planned, checked and frozen after {:.0} s", began.elapsed().as_secs_f64()));
        let (before, began) = (self.cpu()?, Instant::now());
        self.each(&waiting, |deployment| {
            let id = deployment["id"].as_str().context("a deployment has an id")?;
            let path = format!("/api/v1/deployments/{id}/approve");
            self.sent("POST", &path, &json!({"revision": deployment["revision"]})).map(drop)
        })?;
        let live = self.all_are("live")?;
        let (after, took) = (self.cpu()?, began.elapsed().as_secs_f64());
        let (ours, servers) = (after.0 - before.0, after.1 - before.1);
        let count = u32::try_from(self.applications * OBJECTS).map_or(f64::INFINITY, f64::from);
        line(format!("applied and live after {took:.0} s: {:.0} objects a second", count / took));
        line(format!(
            "{:.0} % of a core, the API server {:.0} %; most memory {:.0} MiB",
            ours / took * 100.0,
            servers / took * 100.0,
            memory_mib(self.server.pid(), "VmHWM")?
        ));
        let met = below("our time on a core by the API server's", ours / servers, SHARE_TARGET, "times");
        Ok((live, met))
    }

    /// Waits until the server has done all that follows a first apply.
    fn rest(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let (ours, _) = self.shares(REST_FOR)?;
            if ours < REST_SHARE * 100.0 {
                line(format!("at rest after {:.0} s", began.elapsed().as_secs_f64()));
                return Ok(());
            }
            ensure!(began.elapsed() < RESTS_WITHIN, "it takes {ours:.1} % of a core still");
        }
    }

    /// Changes objects one after the other; gives after how many milliseconds each change was told.
    fn changes(&self, deployments: &[Value]) -> Result<Vec<f64>> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(async {
            let file = read_kubeconfig(&self.namespace.cluster.kubeconfig)?;
            let client = connect(Some(file), None, &Network::default()).await?;
            anyhow::Ok(Cluster::new(client, ClusterOptions::default()))
        })?;
        let mut took = Vec::new();
        for deployment in deployments.iter().take(CHANGES) {
            let environment = deployment["environment"].as_str().context("its environment")?;
            let stage = environment.replacen('e', "s", 1);
            let key = ObjectKey {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                namespace: self.namespace.name.clone(),
                name: format!("settings-1-{stage}"),
            };
            let manifest = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key.name}, "data": {"currency": "USD"},
            });
            let is_there = runtime.block_on(cluster.get(&key))?.is_some();
            ensure!(is_there, "there is no ConfigMap {}", key.name);
            runtime.block_on(cluster.apply(&key, &manifest, WRITER))?;
            let id = deployment["id"].as_str().context("its id")?;
            took.push(self.seen(id)?);
        }
        Ok(took)
    }

    /// After how many milliseconds a deployment is not live any more.
    fn seen(&self, id: &str) -> Result<f64> {
        let (began, path) = (Instant::now(), format!("/api/v1/deployments/{id}"));
        while self.server.get(&path).json()["state"] == "live" {
            ensure!(began.elapsed() < SEEN_WITHIN, "{id} is still live after {SEEN_WITHIN:?}");
            thread::sleep(LOOK_EVERY);
        }
        Ok(ms(began.elapsed()))
    }
}
