//! The registry that pods talk to, or the one where images go, fails: for a while, or until somebody helps.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::server::{App, FickleProxy, Mood, Server, ServerOptions, running};
use slipway_tests::{services, wait};
use tempfile::NamedTempFile;

use crate::{push_unwatched, tokens, web_build};

const CONTEXT: &[&str] = &["GET /v2/default/shop/i/web/blobs/sha256:"];
const UPLOAD: &[&str] = &["POST /v2/default/shop/i/web/blobs/uploads/"];
const MANIFEST: &[&str] = &["PUT /v2/default/shop/i/web/manifests/"];
/// What is asked of the registry where images go.
const TARGET: &[&str] = &["/v2/target/"];
/// How long five attempts may take, with the pauses between them.
const RUN_WITHIN: Duration = Duration::from_mins(5);
const FOR_GOOD: u32 = u32::MAX;

/// The overlay at `path`, and a fetcher that soon gives up.
fn overlay(path: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    let text = fs::read_to_string(path).expect("the executor's overlay");
    let fetcher = "  initContainers:\n    - name: fetch-context\n      env: [{name: SLIPWAY_FETCH_WITHIN_MS, value: '6000'}]\n";
    file.write_all(format!("{text}{fetcher}").as_bytes()).expect("a file");
    file
}

/// A server that builds on the cluster, and a proxy that fails as told.
struct Setting {
    namespace: Namespace,
    server: Server,
    app: App,
    proxy: FickleProxy,
}

impl Setting {
    /// The proxy stands between pods and server.
    fn before_server() -> Self {
        let namespace = Namespace::create();
        let options = namespace.options();
        let overlay = overlay(&options.env["SLIPWAY__KANIKO__POD_OVERLAY"]);
        let proxy = FickleProxy::start_at(&namespace.cluster.host_address.to_string(), &options.listen);
        let options = options
            .env("SLIPWAY__KANIKO__ADDRESS", &format!("http://{}", proxy.address()))
            .env("SLIPWAY__KANIKO__POD_OVERLAY", &overlay.path().display().to_string());
        Self::start(namespace, options, proxy)
    }

    /// The proxy stands before the registry where images go.
    fn before_target() -> Self {
        let namespace = Namespace::create();
        let proxy = FickleProxy::start(&services::registry());
        let unique = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let target = format!("{}/target/k{unique}", proxy.address());
        let options = namespace.options().env("SLIPWAY__REGISTRY__IMAGE_TARGET", &target);
        Self::start(namespace, options, proxy)
    }

    fn start(namespace: Namespace, options: ServerOptions, proxy: FickleProxy) -> Self {
        let server = Server::start(options);
        let app = server.create_app("shop");
        Self { namespace, server, app, proxy }
    }

    fn build(&self) -> Value {
        let repository = running("echo built");
        let commit = push_unwatched(&self.server, &self.app, &repository);
        let path = format!("/api/v1/runs?application=shop&commit={commit}");
        let id = wait::until(&format!("{commit} has a run"), JOB_WITHIN, || {
            let listed = self.server.get(&path).json();
            listed["items"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| listed.to_string())
        });
        self.ended(&id)
    }

    /// The run once it has ended.
    fn ended(&self, id: &str) -> Value {
        let path = format!("/api/v1/runs/{id}");
        wait::until("the run ends", RUN_WITHIN, || {
            let run = self.server.get(&path).json();
            if run["finished_at"].is_string() { Ok(run) } else { Err(run) }
        })
    }

    fn log(&self, run: &Value) -> String {
        self.server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).stdout
    }

    /// Done at the first attempt, though all that was to fail has failed.
    fn assert_survived(&self, run: &Value) {
        assert_eq!(run["state"], "done", "{run:#}\n{}", self.log(run));
        assert_eq!(web_build(run)["attempt"], 1, "{run:#}");
        assert_eq!(self.proxy.call_off(), 0, "some failures were never asked for: {}", self.log(run));
        self.assert_nothing_left();
    }

    /// Failed as `code`, in words that name the registry; a retry succeeds once that is well.
    fn assert_fails_and_recovers(&self, run: &Value, code: &str, words: &str) {
        assert_eq!(run["state"], "failed", "{run:#}\n{}", self.log(run));
        let build = web_build(run);
        assert_eq!(build["fault"]["code"], code, "{run:#}");
        let reason = build["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(self.proxy.address()) && reason.contains(words), "{reason}");
        self.assert_nothing_left();
        self.proxy.call_off();
        let retried = self.server.json(&["run", "retry", run["id"].as_str().expect("an id")]);
        let id = retried["id"].as_str().expect("an id");
        let retried = self.ended(id);
        assert_eq!(retried["state"], "done", "{retried:#}\n{}", self.log(&retried));
        self.assert_nothing_left();
    }

    fn assert_nothing_left(&self) {
        self.namespace.assert_empty();
        tokens::assert_all_ended(&self.server);
    }
}

#[test]
fn faults_of_a_registry_that_answers_500_for_a_while_lose_no_build() {
    let setting = Setting::before_server();
    setting.proxy.fail(CONTEXT, 500, 2);
    setting.proxy.fail(UPLOAD, 500, 1);
    setting.proxy.fail(MANIFEST, 500, 1);
    let run = setting.build();
    setting.assert_survived(&run);
    assert_eq!(setting.log(&run).matches("\nbuilt\n").count(), 1, "{}", setting.log(&run));
}

#[test]
fn faults_of_a_registry_that_takes_no_image_fail_the_build_by_name() {
    let setting = Setting::before_server();
    setting.proxy.fail(UPLOAD, 500, FOR_GOOD);
    let run = setting.build();
    setting.assert_fails_and_recovers(&run, "kaniko_push", "did not take the image");
}

#[test]
fn faults_of_a_registry_that_gives_no_context_fail_the_build_by_name() {
    let setting = Setting::before_server();
    setting.proxy.fail(CONTEXT, 500, FOR_GOOD);
    let run = setting.build();
    setting.assert_fails_and_recovers(&run, "kaniko_context", "the server answered 500");
}

#[test]
fn faults_of_the_image_target_for_a_while_lose_no_job() {
    let setting = Setting::before_target();
    setting.proxy.fail(TARGET, 500, 2);
    let run = setting.build();
    setting.assert_survived(&run);
}

#[test]
fn faults_of_the_image_target_after_the_job_fail_the_build_by_name() {
    let setting = Setting::before_target();
    setting.proxy.is(Mood::Status(500));
    let run = setting.build();
    setting.proxy.is(Mood::Well);
    setting.assert_fails_and_recovers(&run, "registry_error", "answered 500");
}
