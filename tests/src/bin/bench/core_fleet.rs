//! Many applications driven by the built-in core in one real cluster: what the first apply costs, beside the same
//! objects written by a client alone; what nothing to do costs; and how soon a change in the cluster shows.
//!
//! Each application is one of its own, with its own remote, bundle and deployment; all go to one environment.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{Answer, GitRepository, Server};

use crate::report::{below, cpu_seconds, line, memory_mib, quantile};

mod changes;
mod objects;
mod peer;
mod rest;
mod witness;

use changes::Pace;

/// Applications, if nobody says how many.
pub(crate) const APPLICATIONS_DEFAULT: usize = 1_000;

/// Where all are deployed.
const ENVIRONMENT: &str = "fleet";
/// Requests to the server at once.
const CLIENTS: usize = 4;
/// How long all may take to get to the gate, and from there to the end.
const MOVES_WITHIN: Duration = Duration::from_mins(30);

/// The share of a core that a server at rest may take, in percent.
const IDLE_TARGET: f64 = 1.0;
const MEMORY_TARGET_MIB: f64 = 150.0;
const SEEN_TARGET_MS: f64 = 1_000.0;
/// How far apart changes of status are that are to show as soon.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// Our time on a core by that of the API server.
const SHARE_TARGET: f64 = 1.0;

/// How long all take from their gate to live, and how long their objects take a client alone.
pub(crate) fn apply(applications: usize) -> Result<bool> {
    let fleet = Fleet::prepare(applications)?;
    let (_, ours) = fleet.deploy()?;
    let alone = peer::apply(applications)?;
    line(format!(
        "the core takes {:.1} times as long as a client alone, and the API server {:.1} times as much of a core for it",
        ours.took_s / alone.took_s,
        ours.server_s / alone.server_s
    ));
    Ok(below("our time on a core by the API server's", ours.own_s / ours.server_s, SHARE_TARGET, "times"))
}

/// What they cost then, and how soon a change shows.
pub(crate) fn idle(applications: usize) -> Result<bool> {
    let fleet = Fleet::prepare(applications)?;
    let (deployments, _) = fleet.deploy()?;
    let rest = fleet.rest()?;
    let told = |what: &str, took: &[f64]| {
        line(format!(
            "{what}: shows after p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms, of {}",
            quantile(took, 0.5),
            quantile(took, 0.99),
            quantile(took, 1.0),
            took.len()
        ));
    };
    let singly = fleet.change_one_by_one(&deployments)?;
    told("ConfigMaps changed one after another", &singly);
    let (lost, back) = fleet.scale_all(&deployments, Pace::Every(STATUS_EVERY))?;
    told("the status of Deployments that lack a replica, 5 a second", &lost);
    told("the status of Deployments that are as wanted again, 5 a second", &back);
    let all = [singly, lost, back].concat();
    let (lost, back) = fleet.scale_all(&deployments, Pace::AtOnce(8))?;
    told("the status of Deployments that lack a replica, all at once (no target)", &lost);
    told("the status of Deployments that are as wanted again, all at once (no target)", &back);
    let idle = below("share of a core at rest, on average", rest.share_mean, IDLE_TARGET, "%");
    let memory = below("memory at rest, at most", rest.memory_most, MEMORY_TARGET_MIB, "MiB");
    Ok(below("a change shows, p99 of all", quantile(&all, 0.99), SEEN_TARGET_MS, "ms") & idle & memory)
}

/// What something took of a core, in seconds: whoever did it, and the API server.
struct Cost {
    took_s: f64,
    own_s: f64,
    server_s: f64,
}

impl Cost {
    /// Tells it of so many applications.
    fn told(&self, what: &str, applications: usize) {
        let count = u32::try_from(applications * objects::COUNT).map_or(f64::INFINITY, f64::from);
        line(format!(
            "{what} after {:.0} s: {:.0} objects a second; {:.0} % of a core, the API server {:.0} %",
            self.took_s,
            count / self.took_s,
            self.own_s / self.took_s * 100.0,
            self.server_s / self.took_s * 100.0
        ));
    }
}

struct Fleet {
    server: Server,
    namespace: Namespace,
    applications: usize,
}

/// The name of an application.
fn name(number: usize) -> String {
    format!("fleet-{number}")
}

impl Fleet {
    fn prepare(applications: usize) -> Result<Self> {
        ensure!(applications > 0, "there is nothing to deploy");
        let namespace = Namespace::create();
        let server = Server::start(namespace.options());
        let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
        server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
        let fleet = Self { server, namespace, applications };
        let settings =
            json!({"receiver": {"type": "core"}, "gates": {"approvals": {"count": 1, "authorMay": true}}});
        let address = format!("local/test/{}", fleet.namespace.name);
        let path = format!("/api/v1/environments/{ENVIRONMENT}");
        fleet.sent("PUT", &path, &json!({"address": address, "settings": settings}))?;
        line(format!(
            "{applications} applications of {} objects, on SQLite; {CLIENTS} lines of requests",
            objects::COUNT
        ));
        Ok(fleet)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {}", self.server.token());
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        // A body that nobody reads makes the system cut the answer off when the connection closes.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.server.request(method, path, &headers, body.as_bytes())
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

    /// Makes an application, and pushes its first version.
    fn publish(&self, number: usize) -> Result<String> {
        let name = name(number);
        let app = self.server.create_app(&name);
        let repository = GitRepository::new();
        let declared = json!({
            "apiVersion": "slipway.dev/v1",
            "kind": "Application",
            "metadata": {"name": name},
            "components": [{"name": "parts", "kit": "manifests", "context": "parts"}],
        });
        repository.write("slipway.yaml", declared.to_string());
        repository.write("parts/parts.yaml", objects::file(&name));
        let bundle = self.server.publish(&app, &repository, "main", "Begin");
        Ok(bundle["version"].as_str().context("a bundle has a version")?.to_owned())
    }

    /// All deployments, newest first.
    fn deployments(&self, states: &str) -> Result<Vec<Value>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/deployments?environment={ENVIRONMENT}&limit=500{states}{after}");
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
            if let Some(id) = lost.first().and_then(|lost| lost["id"].as_str()) {
                let lost = self.sent("GET", &format!("/api/v1/deployments/{id}"), &Value::Null)?;
                bail!("not {state} any more: {lost:#}");
            }
            ensure!(Instant::now() < end, "only {} are {state} after {MOVES_WITHIN:?}", there.len());
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Time on a core so far, in seconds: ours and the API server's.
    fn cpu(&self) -> Result<(f64, f64)> {
        let apiserver = self.namespace.cluster.apiserver_pid().context("the API server runs")?;
        Ok((cpu_seconds(self.server.pid())?, cpu_seconds(apiserver)?))
    }

    /// Builds all, brings them to their gate, opens it and waits until they are live.
    fn deploy(&self) -> Result<(Vec<Value>, Cost)> {
        let numbers: Vec<usize> = (1..=self.applications).collect();
        let began = Instant::now();
        self.each(&numbers, |number| {
            let version = self.publish(*number)?;
            let body = json!({"application": name(*number), "environment": ENVIRONMENT, "bundle": version});
            self.sent("POST", "/api/v1/deployments", &body).map(drop)
        })?;
        let waiting = self.all_are("awaiting")?;
        line(format!(
            "pushed, packaged, planned, checked and frozen after {:.0} s",
            began.elapsed().as_secs_f64()
        ));
        let (before, began) = (self.cpu()?, Instant::now());
        self.each(&waiting, |deployment| {
            let id = deployment["id"].as_str().context("a deployment has an id")?;
            let path = format!("/api/v1/deployments/{id}/approve");
            self.sent("POST", &path, &json!({"revision": deployment["revision"]})).map(drop)
        })?;
        let live = self.all_are("live")?;
        let (after, took_s) = (self.cpu()?, began.elapsed().as_secs_f64());
        let cost = Cost { took_s, own_s: after.0 - before.0, server_s: after.1 - before.1 };
        cost.told("applied and live", self.applications);
        line(format!("most memory so far {:.0} MiB", memory_mib(self.server.pid(), "VmHWM")?));
        Ok((live, cost))
    }
}
