//! A namespace on the cluster, and a server that builds in it.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use uuid::Uuid;

use crate::server::{ServerOptions, World, run_within};
use crate::services::{self, Kubernetes};
use crate::wait;

/// How long a Job may take from nothing to its end.
pub const JOB_WITHIN: Duration = Duration::from_secs(90);
/// Jobs at once that the cluster has room for.
const JOBS_MAX: usize = 4;
const KUBECTL_WITHIN: Duration = Duration::from_secs(120);

/// A namespace of a test's own, gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    /// The cluster that it is on.
    pub cluster: Kubernetes,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// A new one.
    pub fn create() -> Self {
        let namespace =
            Self { cluster: services::kubernetes(), name: format!("test-{}", Uuid::now_v7().simple()) };
        namespace.try_kubectl(&["create", "namespace", &namespace.name]).expect("a namespace");
        namespace
    }

    /// What `kubectl ARGS` prints there, or why it fails.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(services::tool("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(&self.cluster.kubeconfig)
            .args(["--namespace", &self.name])
            .args(args);
        let finished = run_within(command, KUBECTL_WITHIN);
        if finished.code == 0 { Ok(finished.text()) } else { Err(finished.stderr) }
    }

    /// What `kubectl ARGS` prints there; it must succeed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).unwrap_or_else(|error| panic!("kubectl {}: {error}", args.join(" ")))
    }

    /// Kills the API server of the cluster (SIGKILL), and waits until the next one answers.
    ///
    /// It is that of all tests: the name of one that calls this says `api_server`, so that it runs alone.
    pub fn restart_api_server(&self) {
        let old = self.cluster.apiserver_pid().expect("the API server runs");
        let killed = Command::new("kill").args(["-KILL", &old.to_string()]).status().expect("kill");
        assert!(killed.success(), "the API server {old} cannot be killed");
        wait::until("another API server answers", JOB_WITHIN, || {
            if self.cluster.apiserver_pid().is_none_or(|pid| pid == old) {
                return Err("there is none".to_owned());
            }
            self.try_kubectl(&["get", "--raw", "/readyz"])
        });
    }

    /// Names of our objects of a kind.
    pub fn names(&self, kind: &str) -> Vec<String> {
        let listed = self.kubectl(&["get", kind, "--selector", "slipway.dev/owner", "--output", "name"]);
        listed.lines().map(ToOwned::to_owned).collect()
    }

    /// Waits until no Job and no Secret of ours is left.
    pub fn assert_empty(&self) {
        wait::until("no Job and no Secret is left", JOB_WITHIN, || {
            let left = [self.names("jobs"), self.names("secrets")].concat();
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        });
    }

    /// One server with its own data.
    pub fn options(&self) -> ServerOptions {
        self.options_for(JOBS_MAX)
    }

    /// One server with its own data and so many Jobs at once.
    pub fn options_for(&self, jobs: usize) -> ServerOptions {
        // The server must be told its address before it has it. The port is free on every address: on
        // loopback another's would pass for the server's own.
        let probe = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = probe.local_addr().expect("an address").port();
        let listen = format!("{}:{port}", self.cluster.host_address);
        let options =
            ServerOptions { listen: listen.clone(), world: Some(World::Embedded), ..self.building(jobs) };
        options.env("SLIPWAY__SERVER__PUBLIC_URL", &format!("http://{listen}"))
    }

    /// Two servers that share all they have.
    pub fn options_of_two(&self) -> ServerOptions {
        let listen = format!("{}:0", self.cluster.host_address);
        ServerOptions { listen, world: Some(World::Pair), ..self.building(JOBS_MAX) }
    }

    fn building(&self, jobs: usize) -> ServerOptions {
        let clusters = format!(
            "[{{ name = \"test\", kubeconfig = \"{}\", namespace = \"{}\", max_jobs = {jobs} }}]",
            self.cluster.kubeconfig.display(),
            self.name
        );
        let overlay = concat!(env!("CARGO_MANIFEST_DIR"), "/services/executor/pod-overlay.yaml");
        [
            ("BUILD__DOCKER_HOST", "none".to_owned()),
            ("KANIKO__CLUSTERS", clusters),
            ("KANIKO__IMAGE", self.cluster.executor_image.clone()),
            ("KANIKO__SLIPWAY_IMAGE", self.cluster.slipway_image.clone()),
            ("KANIKO__REQUESTS", String::new()),
            ("KANIKO__LIMITS", String::new()),
            ("KANIKO__POD_OVERLAY", overlay.to_owned()),
        ]
        .into_iter()
        .fold(ServerOptions::default(), |options, (key, value)| {
            options.env(&format!("SLIPWAY__{key}"), &value)
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.try_kubectl(&["delete", "namespace", &self.name, "--wait=false"]));
    }
}
