//! The real binary, driven from outside: its server, its command line, `git`, HTTP and OCI layouts.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

mod app;
mod balancer;
mod beside;
mod cli;
pub mod definition;
mod fickle_proxy;
mod git;
mod hook;
mod http;
mod instance;
pub mod layout;
mod process;
mod sample;
mod stub_registry;
mod world;

pub use app::{App, packages};
pub use balancer::Balancer;
pub use cli::CliOutput;
pub use fickle_proxy::{FickleProxy, Mood};
pub use git::{GitRepository, Pushed};
pub use http::Answer;
pub use process::{Finished, run_within, tool_output};
pub use sample::{SHOP_YAML, running, shop};
pub use stub_registry::StubRegistry;
pub use world::{Database, World};

use instance::{Instance, clean_environment};

use crate::database_file::DatabaseFile;

/// How much of a server's log a failing test prints.
const MAX_LOG_LINES: usize = 200;

/// How a server is started. The default: as `SLIPWAY_TEST_WORLD` says, in a directory of its own.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Data directory; none: one of its own that goes with the server.
    pub data: Option<PathBuf>,
    /// Address to listen on. After the first start the server keeps its port.
    pub listen: String,
    /// Environment, besides `PATH` and an empty `HOME`: `SLIPWAY__SECTION__KEY`, `LC_ALL`, `TZ`, …
    pub env: BTreeMap<String, String>,
    /// `PATH`; none: that of the test.
    pub path: Option<String>,
    /// `umask`, such as `0027`; none: that of the test.
    pub umask: Option<String>,
    /// What runs the binary, such as `["taskset", "-c", "0"]`. It must `exec`.
    pub wrapper: Vec<String>,
    /// More arguments of `slipway serve`.
    pub args: Vec<String>,
    /// What it stands on; none: as `SLIPWAY_TEST_WORLD` says.
    pub world: Option<World>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            data: None,
            listen: "127.0.0.1:0".to_owned(),
            env: BTreeMap::new(),
            path: None,
            umask: None,
            wrapper: Vec::new(),
            args: Vec::new(),
            world: None,
        }
    }
}

impl ServerOptions {
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A running server, or several that stand for one. It is killed when dropped; its log is printed if the
/// test fails.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    directory: TempDir,
    url: String,
    token: String,
    instances: Vec<Instance>,
    // After the instances: these go last.
    database: Option<Database>,
}

impl Server {
    /// Starts the binary and waits until it is ready.
    pub fn start(options: ServerOptions) -> Self {
        let directory =
            tempfile::Builder::new().prefix("slipway-e2e.").tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("home")).expect("an empty home");
        match options.world.unwrap_or_else(World::of_environment) {
            World::Embedded => Self::start_one(options, directory),
            World::Pair => Self::start_two(options, directory),
        }
    }

    /// A server that somebody else has started, and its administrator's token.
    pub fn elsewhere(url: &str, token: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("slipway-e2e.").tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("home")).expect("an empty home");
        Self {
            options: ServerOptions::default(),
            directory,
            url: url.to_owned(),
            token: token.to_owned(),
            instances: Vec::new(),
            database: None,
        }
    }

    fn start_one(options: ServerOptions, directory: TempDir) -> Self {
        let data = options.data.clone().unwrap_or_else(|| directory.path().join("data"));
        let mut instance = Instance::new("server", directory.path(), data);
        instance.boot(&options);
        let url = format!("http://{}", instance.address());
        Self::running(options, directory, url, vec![instance], None)
    }

    /// Two servers with nothing in common but database, bucket and the key of their secrets.
    fn start_two(mut options: ServerOptions, directory: TempDir) -> Self {
        let database = Database::create();
        let balancer = Balancer::start(&options.listen);
        let url = format!("http://{}", balancer.address());
        world::share(&mut options, &database, directory.path());
        options.env.entry("SLIPWAY__SERVER__PUBLIC_URL".to_owned()).or_insert_with(|| url.clone());
        let data = options.data.clone().unwrap_or_else(|| directory.path().join("data"));
        let instances = [("server-a", data), ("server-b", directory.path().join("data-b"))];
        let instances = instances.into_iter().map(|(name, data)| {
            let mut instance = Instance::new(name, directory.path(), data);
            instance.boot(&options);
            balancer.add(instance.address());
            instance
        });
        let instances = instances.collect();
        Self::running(options, directory, url, instances, Some(database))
    }

    fn running(
        options: ServerOptions,
        directory: TempDir,
        url: String,
        instances: Vec<Instance>,
        database: Option<Database>,
    ) -> Self {
        let mut server = Self { options, directory, url, token: String::new(), instances, database };
        server.read_token();
        server
    }

    /// A server as a newcomer gets it.
    pub fn fresh() -> Self {
        Self::start(ServerOptions::default())
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// `ADDRESS:PORT` of one of several servers.
    pub fn address_of(&self, instance: usize) -> &str {
        self.instances[instance].address()
    }

    /// The first admin token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The (first) data directory.
    pub fn data(&self) -> PathBuf {
        self.instances[0].data().to_owned()
    }

    /// A directory that goes with the server, for what a test writes.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Process id of the running (first) server.
    pub fn pid(&self) -> u32 {
        self.instances[0].pid().expect("the server runs")
    }

    /// Process id of one of several servers.
    pub fn pid_of(&self, instance: usize) -> u32 {
        self.instances[instance].pid().expect("the server runs")
    }

    /// What a query of the running server's database gives, which is one column of one row: as text, empty if there
    /// is no row.
    pub fn value(&self, query: &str) -> String {
        match &self.database {
            Some(database) => database.sql(query),
            None => DatabaseFile::open(&self.data()).rows(query).concat().concat(),
        }
    }

    /// Takes blobs out of the object store, as the collector does after its time of grace.
    pub fn delete_blobs<'a>(&self, digests: impl IntoIterator<Item = &'a String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let spool = self.scratch().join("spool");
            let blobs = world::blobs(self.database.as_ref(), &self.data(), &spool).await;
            for digest in digests {
                let digest = digest.parse().expect("a digest");
                assert!(blobs.head(&digest).await.expect("an answer").is_some(), "{digest} was never there");
                blobs.delete(&digest).await.expect("a deleted blob");
            }
        });
    }

    /// Options, which the next [`Server::restart`] uses.
    pub fn options_mut(&mut self) -> &mut ServerOptions {
        &mut self.options
    }

    /// Everything the server wrote, of every start.
    pub fn log(&self) -> String {
        self.instances.iter().map(Instance::log).collect()
    }

    /// Whether the process has not ended.
    pub fn runs(&mut self) -> bool {
        self.instances.iter_mut().all(Instance::runs)
    }

    /// Kills the process (SIGKILL).
    pub fn kill9(&mut self) {
        self.instances.iter_mut().for_each(Instance::kill9);
    }

    /// Kills one of several servers (SIGKILL).
    pub fn kill9_of(&mut self, instance: usize) {
        self.instances[instance].kill9();
    }

    /// Asks the server to stop (SIGTERM) and asserts that it ends well.
    pub fn stop(&mut self) {
        for instance in &self.instances {
            instance.terminate();
        }
        self.instances.iter_mut().for_each(Instance::wait_stopped);
    }

    /// Starts a stopped or killed server again, on the same data, address and options.
    pub fn restart(&mut self) {
        for instance in &mut self.instances {
            instance.boot(&self.options);
        }
        self.read_token();
    }

    /// Starts one of several servers again, with more environment.
    pub fn restart_of(&mut self, instance: usize, env: &[(&str, &str)]) {
        let options =
            env.iter().fold(self.options.clone(), |options, (name, value)| options.env(name, value));
        self.instances[instance].boot(&options);
    }

    fn read_token(&mut self) {
        if let Ok(token) = fs::read_to_string(self.data().join("admin.token")) {
            token.trim().clone_into(&mut self.token);
        }
    }

    /// Nothing of the test's own environment but `PATH`, and a home without anything in it.
    fn clean_environment(&self, command: &mut Command) {
        clean_environment(command, self.directory.path(), &self.options);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            for instance in &self.instances {
                print_log(instance.address(), &instance.log());
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows what its server said")]
fn print_log(address: &str, log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(MAX_LOG_LINES)..];
    eprintln!("--- the last {} lines of the server at {address}\n{}\n---", shown.len(), shown.join("\n"));
}

/// The `slipway` binary: `SLIPWAY_BIN`, else the one beside the running test.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("SLIPWAY_BIN") {
        return PathBuf::from(path);
    }
    let test = env::current_exe().expect("the running test has a path");
    let profile = test.ancestors().find(|directory| directory.join("deps").is_dir());
    let found = profile.map(|directory| directory.join("slipway")).filter(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("no `slipway` beside {}: cargo build --release -p slipway", test.display()))
}
