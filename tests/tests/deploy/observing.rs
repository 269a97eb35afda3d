//! What becomes of a deployment at a receiver that reports: asked for, and told by itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_handoff::http::Purpose;
use slipway_handoff::{Capability, Command, Mode, NodeState};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::rotation::rotate;
use crate::secrets::{application, set};
use crate::service::{Fault, SECRET, Service, report, report_raw};
use crate::world::{Field, options};

use Capability::{Delete, Observe, Ownership, Resume, Retry, Secrets, Suspend, Terminate};

/// How long it may take until it is said why a deployment waits.
const SAID_WITHIN: Duration = Duration::from_secs(90);

/// The field, whose environment `prod` hands off to a service.
pub(crate) struct Ground {
    pub(crate) field: Field,
    pub(crate) service: Service,
    address: String,
}

impl Ground {
    pub(crate) fn prepare(can: &[Capability], env: &[(&str, &str)]) -> Self {
        let namespace = Namespace::create();
        let allowed = options(&namespace).env("SLIPWAY__DEPLOY__ALLOW_HTTP_RECEIVERS", "true");
        let options = env.iter().fold(allowed, |options, (key, value)| options.env(key, value));
        Self::on(Field::on(namespace, options), can)
    }

    fn on(field: Field, can: &[Capability]) -> Self {
        let service = Service::start(can.iter().copied());
        field.server.set_secret("core-key", SECRET);
        field.environment("prod", "default", &service.settings());
        let address = format!("local/test/{}/default", field.namespace.name);
        Self { field, service, address }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.field.server
    }

    pub(crate) fn deploy(&self, version: &str) -> Value {
        let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", version, "--no-wait"];
        self.server().json(&create)
    }

    pub(crate) fn show(&self) -> Value {
        self.server().json(&["deploy", "show", "shop@prod"])
    }

    /// Waits until a deployment is in a state for a reason that says this.
    fn await_reason(&self, deployment: &Value, state: &str, said: &str) {
        let id = deployment["id"].as_str().expect("an id");
        wait::until(&format!("{id} is {state}, since: {said}"), SAID_WITHIN, || {
            let shown = self.server().json(&["deploy", "show", id]);
            let is = shown["reason"].as_str().is_some_and(|why| why.contains(said));
            if is && shown["state"] == state { Ok(()) } else { Err(shown) }
        });
    }

    /// The token by which nodes pull the shop, as their namespace holds it.
    fn pull_token(&self) -> String {
        let get = ["get", "secret", "slipway-pull-default-shop", "--output", "json"];
        let secret: Value = serde_json::from_str(&self.field.namespace.kubectl(&get)).expect("a Secret");
        let decoded = |text: &Value| STANDARD.decode(text.as_str().expect("a text")).expect("base64");
        let config = decoded(&secret["data"][".dockerconfigjson"]);
        let config: Value = serde_json::from_slice(&config).expect("a configuration");
        let registry = config["auths"].as_object().and_then(|auths| auths.values().next()).expect("one");
        let pair = String::from_utf8(decoded(&registry["auth"])).expect("user and password");
        pair.split_once(':').expect("a password").1.to_owned()
    }

    /// What the server says to whoever brings the token.
    fn status(&self, token: &str, path: &str) -> u16 {
        let authorization = format!("Bearer {token}");
        self.server().request("GET", path, &[("Authorization", &authorization)], b"").status
    }

    fn reported(&self, events: &[slipway_handoff::Event]) -> (u16, Value) {
        let answer = report(self.server(), &self.address, SECRET, events);
        (answer.status, answer.json())
    }
}

#[test]
fn a_service_takes_a_revision_and_says_what_becomes_of_it() {
    let ground = Ground::prepare(&[Observe], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    assert_eq!(service.submissions().len(), 1);

    // It is asked.
    service.happens(Some("web"), NodeState::Waiting, "0 of 1 replicas");
    service.happens(None, NodeState::Waiting, "");
    let shown = ground.field.wait_for(&made, &["progressing"]);
    assert_eq!(shown["reason"], "web: 0 of 1 replicas (0 of 1 nodes are ready)", "{shown:#}");
    assert_eq!(
        (shown["receiver"]["run"].as_str(), shown["receiver"]["nodes"][0]["node"].as_str()),
        (Some("run-1"), Some("web"))
    );
    assert!(shown["receiver"]["deadline"].is_string(), "{shown:#}");
    let told = server.cli(&["deploy", "show", "shop@prod"]).ok();
    assert!(told.stdout.contains("0 of 1 replicas") && told.stdout.contains("run-1"), "{}", told.stdout);
    service.happens(Some("web"), NodeState::Ready, "");
    let ready = service.happens(None, NodeState::Ready, "");
    let watched = server.cli(&["deploy", "watch", "shop@prod"]).ok();
    assert!(watched.stdout.contains("live"), "{}", watched.stdout);
    let place = ground.field.place("prod").expect("prod runs something");
    assert_eq!((place["state"].as_str(), place["version"].as_str()), (Some("live"), Some(&*version)));
    assert!(ground.show()["receiver"]["deadline"].is_null(), "nothing is waited for");

    // It tells by itself, at once, and as often as it likes.
    let mut worse = service.event(None, NodeState::Degraded, "1 of 2 replicas\u{1b}[31m");
    worse.sequence += 100;
    assert_eq!(ground.reported(&[worse.clone()]), (200, json!({"taken": 1, "dropped": 0})));
    let shown = ground.show();
    assert_eq!(
        (shown["state"].as_str(), shown["reason"].as_str()),
        (Some("degraded"), Some("1 of 2 replicas [31m"))
    );
    assert_eq!(ground.reported(&[worse.clone(), ready]), (200, json!({"taken": 0, "dropped": 2})));
    let mut better = worse.clone();
    (better.sequence, better.state) = (worse.sequence + 1, NodeState::Ready);
    assert_eq!(ground.reported(&[better.clone()]).0, 200);
    assert_eq!(ground.show()["state"], "live");

    // What is not its own, or not proven, moves nothing.
    let mut later = better.clone();
    (later.sequence, later.state) = (better.sequence + 1, NodeState::Failed);
    for generation in [0, 2, 99] {
        let mut other = later.clone();
        other.generation = generation;
        assert_eq!(ground.reported(&[other]), (200, json!({"taken": 0, "dropped": 1})));
    }
    let mut unknown = later.clone();
    unknown.node = Some("nowhere".into());
    assert_eq!(ground.reported(&[unknown]), (200, json!({"taken": 0, "dropped": 1})));
    let mut foreign = later.clone();
    foreign.key.environment = "local/test/other".parse().expect("an address");
    assert_eq!(ground.reported(&[foreign]).0, 403);
    let body = json!({"events": [later]}).to_string();
    let send = |address: &str, secret: &str, purpose, body: &[u8]| {
        report_raw(server, address, secret, purpose, body).status
    };
    assert_eq!(
        send(&ground.address, "00000000000000000000000000000000", Purpose::Report, body.as_bytes()),
        401
    );
    assert_eq!(send(&ground.address, SECRET, Purpose::Submit, body.as_bytes()), 401);
    assert_eq!(send("local/test/none/default", SECRET, Purpose::Report, body.as_bytes()), 401);
    assert_eq!(send(&ground.address, SECRET, Purpose::Report, b"{}"), 400);
    assert_eq!(send(&ground.address, SECRET, Purpose::Report, &vec![b' '; (4 << 20) + 1]), 413);
    let unsigned =
        server.request("POST", &format!("/receivers/{}/report", ground.address), &[], body.as_bytes());
    assert_eq!(unsigned.status, 401);
    assert_eq!(ground.show()["state"], "live");

    // Nothing tells an environment whose key cannot be read from one that is not there.
    server.cli(&["secret", "remove", "core-key", "--yes"]).ok();
    let [here, nowhere] = [ground.address.as_str(), "local/test/none/default"].map(|address| {
        let nobody = "00000000000000000000000000000000";
        let answer = report_raw(server, address, nobody, Purpose::Report, body.as_bytes());
        (answer.status, answer.json()["detail"].clone())
    });
    assert_eq!((here.0, &here), (401, &nowhere));
}

#[test]
fn what_fails_is_named_and_can_be_tried_again_held_and_stopped() {
    let ground = Ground::prepare(&[Observe, Suspend, Resume, Retry, Terminate, Delete], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    let says = |node: Option<&str>, state, reason: &str| {
        let event = service.happens(node, state, reason);
        assert_eq!(ground.reported(&[event]).0, 200);
    };
    says(Some("web"), NodeState::Failed, "no such image");
    says(None, NodeState::Failed, "");
    let failed = server.cli(&["deploy", "watch", "shop@prod"]);
    assert!(failed.code == 1 && failed.stdout.contains("web: no such image"), "{}", failed.stdout);
    let wrong = server.cli(&["deploy", "suspend", "shop@prod"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("failed cannot be suspended"), "{}", wrong.stderr);

    server.cli(&["deploy", "retry", "shop@prod", "--node", "web", "--reason", "pushed it"]).ok();
    assert_eq!(ground.show()["state"], "progressing");
    server.cli(&["deploy", "suspend", "shop@prod"]).ok();
    assert_eq!(ground.show()["state"], "suspended");
    assert!(ground.show()["receiver"]["deadline"].is_null(), "who is held is not late");
    server.cli(&["deploy", "resume", "shop@prod"]).ok();
    let shown = ground.show();
    assert_eq!(shown["state"], "progressing");
    assert!(shown["receiver"]["deadline"].is_string(), "{shown:#}");
    let node = Some("web".to_owned());
    let expected = [Command::Retry { node }, Command::Suspend, Command::Resume { node: None }];
    assert_eq!(service.commands(), expected);

    let refused = server.cli(&["deploy", "terminate", "shop@prod"]);
    assert!(refused.code == 2 && refused.stderr.contains("--yes"), "{}", refused.stderr);
    server.cli(&["deploy", "terminate", "shop@prod", "--yes", "--reason", "wrong region"]).ok();
    assert_eq!(ground.show()["state"], "terminating");
    says(None, NodeState::Terminated, "");
    assert_eq!(ground.show()["state"], "terminated");
    // What stands where it was stopped is what a plan is held against.
    let plan = server.json(&["deploy", "plan", "shop", "--env", "prod", "--bundle", &version]);
    assert_eq!(plan["running"]["generation"], 1, "{plan:#}");
    let subject = format!("deployment/{}", made["id"].as_str().expect("an id"));
    let audit = server.json(&["audit", "list", "--subject", &subject]).to_string();
    for said in ["deployment.retry", "pushed it", "deployment.terminate", "wrong region"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
}

#[test]
fn a_rotation_starts_nothing_that_somebody_holds() {
    let ground = Ground::prepare(&[Observe, Suspend, Resume, Secrets], &[]);
    let server = ground.server();
    let version = ground.field.publish("one\n");
    assert_eq!(set(&ground.field, server.token(), "db", "the-first-value", &["--app", "shop"]), 0);
    let file = server.scratch().join("application.json");
    std::fs::write(&file, application(&["secret://builtin/db"])).expect("a file");
    let file = file.display().to_string();
    let create =
        ["deploy", "create", "shop", "--env", "prod", "--bundle", &version, "-f", &file, "--no-wait"];
    let made = server.json(&create);
    ground.field.wait_for(&made, &["handed_off"]);
    server.cli(&["deploy", "suspend", "shop@prod"]).ok();
    let (done, code) = rotate(&ground.field, "the-next-value");
    assert_eq!((code, &done["secret"]["version"]), (1, &json!(2)), "{done:#}");
    let restarts = done["restarts"].as_array().cloned().unwrap_or_default();
    assert!(restarts.len() == 1 && restarts[0]["deployment"].is_null(), "{done:#}");
    let says = |key: &str, words: &str| restarts[0][key].as_str().is_some_and(|text| text.contains(words));
    assert!(says("problem", "suspended") && says("hint", "deploy resume shop@prod"), "{done:#}");
    let shown = ground.show();
    assert_eq!((&shown["generation"], &shown["state"]), (&json!(1), &json!("suspended")), "{shown:#}");
}

#[test]
fn what_a_service_cannot_do_is_told_before_it_is_handed_anything() {
    let ground = Ground::prepare(&[Observe], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let mut settings = service.settings();
    settings["createNamespace"] = json!(true);
    let name = format!("{}-n", ground.field.namespace.name);
    ground.field.environment_at("fresh", &format!("local/test/{name}"), &settings);
    let version = ground.field.publish("one\n");
    let create = ["deploy", "plan", "shop", "--env", "fresh", "--bundle", &version, "-o", "json"];
    let plan = server.cli(&create);
    assert_eq!(plan.code, 1, "{}", plan.stdout);
    let found = &plan.json()["violations"][0];
    assert_eq!((found["code"].as_str(), found["path"].as_str()), (Some("receiver_cannot"), Some("receiver")));
    assert!(found["message"].as_str().is_some_and(|text| text.contains(&Ownership.to_string())), "{found}");
    let create = ["deploy", "create", "shop", "--env", "fresh", "--bundle", &version];
    let rejected = server.cli(&create);
    assert!(rejected.code == 1 && rejected.stdout.contains("cannot do `ownership`"), "{}", rejected.stdout);
    assert!(service.submissions().is_empty());

    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    let refused = server.cli(&["deploy", "suspend", "shop@prod"]);
    assert!(refused.code == 1 && refused.stderr.contains("cannot suspend"), "{}", refused.stderr);
    let kept = server.cli(&["deploy", "remove", "shop", "--env", "prod", "--reason", "x", "--yes"]);
    assert!(kept.code == 1 && kept.stdout.contains("cannot do `delete`"), "{}{}", kept.stdout, kept.stderr);
    assert_eq!(service.submissions().len(), 1);
}

#[test]
fn an_application_is_taken_away_through_the_gates_and_then_its_environment() {
    let ground = Ground::prepare(&[Observe, Delete], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    service.happens(None, NodeState::Ready, "");
    ground.field.wait_for(&made, &["live"]);
    let in_use = server.cli(&["env", "remove", "prod", "--yes"]);
    assert!(in_use.code == 1 && in_use.stderr.contains("deployed in"), "{}", in_use.stderr);
    let nodes = ground.pull_token();
    assert_eq!(
        ["/v2/", "/v2/default/shop/tags/list", "/api/v1/runs"].map(|path| ground.status(&nodes, path)),
        [200, 200, 403]
    );

    let gates = ["env", "set", "prod", "--approvals", "1"];
    server.cli(&gates).ok();
    let remove = ["deploy", "remove", "shop", "--env", "prod", "--reason", "the fair is over"];
    let refused = server.cli(&remove);
    assert!(refused.code == 2 && refused.stderr.contains("--yes"), "{}", refused.stderr);
    let waits = server.cli(&[&remove[..], &["--yes"]].concat());
    assert!(waits.code == 3 && waits.stdout.contains("approvals"), "{}{}", waits.stdout, waits.stderr);
    assert_eq!(service.submissions().len(), 1, "nothing leaves before its gates are open");
    let ann = server.json(&["token", "create", "ann", "--role", "operator", "--person", "ann"]);
    let ann = ann["token"].as_str().expect("a token");
    server.cli_as(ann, &["deploy", "approve", "shop@prod"]).ok();
    let going = ground.field.wait("prod", &["deleting"]);
    let submitted = service.submissions().pop().expect("a submission");
    assert_eq!((submitted.mode, submitted.generation), (Mode::Delete, 2));
    assert!(submitted.document.graph.is_empty() && submitted.document.allow_empty);
    // It is not gone because somebody says that it runs.
    service.happens(None, NodeState::Ready, "");
    service.happens(None, NodeState::Deleting, "2 objects are left");
    let shown = ground.field.wait_for(&going, &["deleting"]);
    assert!(shown["receiver"]["deadline"].is_string(), "{shown:#}");
    service.happens(None, NodeState::Deleted, "");
    let watched = server.cli(&["deploy", "watch", "shop@prod"]).ok();
    assert!(watched.stdout.contains("deleted"), "{}", watched.stdout);
    assert_eq!(ground.field.place("prod"), None);
    assert_eq!(ground.status(&nodes, "/v2/"), 401, "no node pulls what is nowhere any more");
    let back = ["deploy", "rollback", "shop", "--env", "prod", "--to", "2", "--reason", "x", "--no-wait"];
    let never = server.cli(&back);
    assert!(never.code == 1 && never.stderr.contains("never ran"), "{}", never.stderr);
    server.cli(&["env", "remove", "prod", "--yes"]).ok();
}

#[test]
fn a_service_that_is_away_is_waited_for_by_name_and_asked_once_in_effect() {
    let ground = Ground::prepare(&[Observe], &[]);
    let service = &ground.service;
    let version = ground.field.publish("one\n");
    service.fail(Some(Fault::Answers(503)));
    let made = ground.deploy(&version);
    service.await_failed(2);
    ground.await_reason(&made, "draft", "503");
    // It takes the submission, and its answer is lost.
    service.fail(Some(Fault::TakesInSilence));
    service.await_failed(2);
    ground.await_reason(&made, "approved", "504");
    service.fail(None);
    let handed = ground.field.wait_for(&made, &["handed_off"]);
    let submissions = service.submissions();
    assert!(submissions.len() >= 2, "it was asked again");
    assert!(submissions.iter().all(|one| *one == submissions[0]), "and told the same: {submissions:#?}");
    assert_eq!((handed["generation"].as_u64(), handed["receiver"]["run"].as_str()), (Some(1), Some("run-1")));

    // While it is away nobody knows more than before, and that is said.
    service.happens(None, NodeState::Ready, "");
    ground.field.wait_for(&made, &["live"]);
    service.fail(Some(Fault::Answers(500)));
    service.await_failed(1);
    wait::until("the trouble is told", SAID_WITHIN, || {
        let shown = ground.show();
        let is = shown["receiver"]["trouble"].as_str().is_some_and(|why| why.contains("500"));
        if is { Ok(()) } else { Err(shown) }
    });
    assert_eq!(ground.show()["state"], "live");
    service.fail(None);

    // What it answers must be what the contract knows.
    service.fail(Some(Fault::LiesAboutTheRun));
    let second = ground.deploy(&version);
    let broken = ground.field.wait_for(&second, &["broken"]);
    assert!(broken["reason"].as_str().is_some_and(|why| why.contains("`run` must be")), "{broken:#}");
}

#[test]
fn a_service_that_never_says_more_runs_into_the_deadline() {
    let ground = Ground::prepare(&[Observe], &[("SLIPWAY__DEPLOY__DEADLINE_MINUTES", "1")]);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    ground.service.happens(Some("web"), NodeState::Waiting, "0 of 1 replicas");
    let late = ground.field.wait_for(&made, &["timed_out"]);
    let reason = late["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("deadline_minutes = 1 passed") && reason.contains("web: 0 of 1"), "{late:#}");
    // It came about after all.
    let event = ground.service.happens(None, NodeState::Ready, "");
    assert_eq!(ground.reported(&[event]).0, 200);
    assert_eq!(ground.show()["state"], "live");
}

/// Two servers; the one that hands off is killed right after the service took it.
#[test]
fn pair_the_other_server_takes_over_a_deployment() {
    let namespace = Namespace::create();
    let options = namespace.options_of_two().env("SLIPWAY__DEPLOY__ALLOW_HTTP_RECEIVERS", "true");
    let mut ground = Ground::on(Field::on(namespace, options), &[Observe]);
    for (victim, point) in ["deploy.kept", "deploy.submitted", "deploy.before_commit"].into_iter().enumerate()
    {
        let (victim, other) = (victim % 2, 1 - victim % 2);
        let version = ground.field.publish(&format!("{point}\n"));
        let marker = ground.server().scratch().join(format!("marker-{point}"));
        let armed = [
            ("SLIPWAY_TEST_STOP_AT", format!("{point}:1")),
            ("SLIPWAY_TEST_STOP_MARKER", marker.display().to_string()),
        ];
        let armed: Vec<(&str, &str)> = armed.iter().map(|(key, value)| (*key, value.as_str())).collect();
        ground.field.server.kill9_of(0);
        ground.field.server.kill9_of(1);
        // The other comes once the deployment is under way: then it is the victim's.
        ground.field.server.restart_of(victim, &armed);
        let made = ground.deploy(&version);
        wait::holds(&format!("the server comes to {point}"), Duration::from_secs(60), || marker.exists());
        ground.field.server.restart_of(other, &[]);
        ground.field.server.kill9_of(victim);
        let handed = ground.field.wait_for(&made, &["handed_off"]);
        let generation = handed["generation"].as_u64().expect("a number");
        let of_it: Vec<_> =
            ground.service.submissions().into_iter().filter(|one| one.generation == generation).collect();
        assert!(of_it.iter().all(|one| *one == of_it[0]), "{of_it:#?}");
        assert_eq!(of_it.len(), if point == "deploy.kept" { 1 } else { 2 }, "{point}");
        ground.service.happens(None, NodeState::Ready, "");
        ground.field.wait_for(&made, &["live"]);
        ground.field.server.restart_of(victim, &[]);
    }
    let list = ground.server().json(&["deploy", "list", "shop", "--env", "prod"]);
    let states: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["live", "superseded", "superseded"], "{list:#}");
}
