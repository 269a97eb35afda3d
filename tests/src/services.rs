//! The real services that `./test` starts and the programs that it installs.
//!
//! A test asks for what it needs. What is absent fails the test by name: nothing is skipped silently.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

/// A running Docker engine.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    /// What `DOCKER_HOST` would hold: `unix:///…`.
    pub host: String,
    /// The host's address as containers reach it.
    pub host_address: IpAddr,
}

/// A bucket on a running S3 server, and who may use it.
#[derive(Debug, Clone)]
pub struct S3Bucket {
    /// Base address, path style: `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket that exists and may be read and written.
    pub bucket: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

/// A running Kubernetes cluster, and the images that builds on it need.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// kubeconfig file of its administrator.
    pub kubeconfig: PathBuf,
    /// This machine's address as nodes and pods reach it.
    pub host_address: IpAddr,
    /// The engine of its node: `unix:///…`.
    pub docker_host: String,
    /// What the API server was asked, a JSON object each line.
    pub audit_log: PathBuf,
    /// Process that starts the API server, and starts it again whenever it ends.
    pub apiserver_keeper: u32,
    /// An executor that takes Kaniko's flags, by digest.
    pub executor_image: String,
    /// Slipway's own image, by digest.
    pub slipway_image: String,
    /// PostgreSQL, set up as its official image is, by digest. Its `psql` finds Services without DNS.
    pub postgres_image: String,
    /// Redis, by digest. Its `redis-cli` finds Services without DNS.
    pub redis_image: String,
    /// A command that takes Terraform's words, by digest.
    pub terraform_image: String,
}

impl Kubernetes {
    /// Process of the API server; `None` while it is being started again.
    pub fn apiserver_pid(&self) -> Option<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.apiserver_keeper);
        let children = fs::read_to_string(children).expect("who starts the API server runs");
        let is_it = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim_end() == "kube-apiserver")
        };
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_it)
    }
}

/// The Kubernetes cluster.
pub fn kubernetes() -> Kubernetes {
    let host_address = address("SLIPWAY_TEST_CLUSTER_HOST_ADDRESS");
    let keeper = address("SLIPWAY_TEST_APISERVER_KEEPER");
    Kubernetes {
        kubeconfig: address("SLIPWAY_TEST_KUBECONFIG").into(),
        host_address: host_address.parse().expect("the cluster's host address is an IP address"),
        docker_host: address("SLIPWAY_TEST_CLUSTER_DOCKER_HOST"),
        audit_log: address("SLIPWAY_TEST_AUDIT_LOG").into(),
        apiserver_keeper: keeper.parse().expect("a process id"),
        executor_image: address("SLIPWAY_TEST_EXECUTOR_IMAGE"),
        slipway_image: address("SLIPWAY_TEST_SLIPWAY_IMAGE"),
        postgres_image: address("SLIPWAY_TEST_POSTGRES_IMAGE"),
        redis_image: address("SLIPWAY_TEST_REDIS_IMAGE"),
        terraform_image: address("SLIPWAY_TEST_TERRAFORM_IMAGE"),
    }
}

/// `HOST:PORT` of the registry, without TLS or authentication, that the cluster's nodes pull from.
pub fn cluster_registry() -> String {
    address("SLIPWAY_TEST_CLUSTER_REGISTRY")
}

/// A tar in the cache: the root file system of an image with git and certificates.
pub fn server_base() -> PathBuf {
    let cache = env::var_os("SLIPWAY_TEST_CACHE").map(PathBuf::from);
    let cache = cache
        .or_else(|| env::var_os("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("slipway-test")))
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/slipway-test")))
        .expect("HOME is set");
    let found = cache.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("server-base-") && name.ends_with(".tar")
    });
    found.unwrap_or_else(|| panic!("{} holds no server-base-*.tar: run `./test`", cache.display()))
}

/// The Docker engine of this Debian release.
pub fn docker() -> DockerEngine {
    docker_engine("SLIPWAY_TEST_DOCKER")
}

/// A later Docker engine than [`docker`].
pub fn docker_new() -> DockerEngine {
    docker_engine("SLIPWAY_TEST_DOCKER_NEW")
}

/// `HOST:PORT` of a reference registry without TLS or authentication.
pub fn registry() -> String {
    address("SLIPWAY_TEST_REGISTRY")
}

/// Address of a PostgreSQL database whose user may create further databases.
pub fn postgres() -> String {
    address("SLIPWAY_TEST_POSTGRES")
}

/// A bucket on a real S3 server.
pub fn s3() -> S3Bucket {
    S3Bucket {
        endpoint: address("SLIPWAY_TEST_S3_ENDPOINT"),
        region: address("SLIPWAY_TEST_S3_REGION"),
        bucket: address("SLIPWAY_TEST_S3_BUCKET"),
        access_key: address("SLIPWAY_TEST_S3_KEY"),
        secret_key: address("SLIPWAY_TEST_S3_SECRET"),
    }
}

/// A proxy as companies have them. It alone knows the names below `corp.test`, which lead to this machine.
#[derive(Debug, Clone)]
pub struct CorporateProxy {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Who may use it.
    pub user: &'static str,
    /// And with which password.
    pub password: &'static str,
    /// File of what it was asked.
    pub log: PathBuf,
}

/// The proxy.
pub fn corporate_proxy() -> CorporateProxy {
    CorporateProxy {
        url: address("SLIPWAY_TEST_PROXY"),
        user: "clerk",
        password: "corporate",
        log: address("SLIPWAY_TEST_PROXY_LOG").into(),
    }
}

/// Path of an installed program such as `oras`, `skopeo`, `crane`, `cosign` or `docker`.
pub fn tool(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("the program `{name}` is not installed: run `./test`, which installs it"))
}

fn docker_engine(prefix: &str) -> DockerEngine {
    let host_address = address(&format!("{prefix}_HOST_ADDRESS"));
    DockerEngine {
        host: address(&format!("{prefix}_HOST")),
        host_address: host_address.parse().expect("the engine's host address is an IP address"),
    }
}

fn address(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `./test` or `./test only 'test(NAME)'`, which start the services")
    })
}
