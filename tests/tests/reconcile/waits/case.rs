//! One way to wait for ever, and what becomes of it.

use std::net::TcpListener;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use crate::cluster::assert_variable;
use crate::ground::{Ground, document, gated, of_web};
use crate::inventory::assert_whole;

/// How long a node may take in these deployments.
const TIMEOUT_S: i64 = 20;
/// How long it may take where it is not to end: longer than any fix may take.
const LONG_S: i64 = 900;
/// How much later than its deadline a wait may end, on a machine that is busy with others.
const SLACK_S: i64 = 45;
/// How long it may take until the end of a wait is on the page.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// What a case is made of.
pub(crate) struct Seed<'a> {
    /// An image that the cluster can pull, with busybox in it.
    pub(crate) image: &'a str,
    /// Where it is deployed.
    pub(crate) space: &'a Namespace,
    /// Somebody who takes calls and never answers one.
    pub(crate) silent: &'a str,
    /// How long a step may take, as a workflow says it.
    pub(crate) timeout: &'a str,
}

/// A way to wait for ever.
pub(crate) struct Case {
    /// Of its environment.
    pub(crate) name: &'static str,
    /// One of these words is in what is told, in lower case.
    pub(crate) names: &'static [&'static str],
    /// The operator's `components`, and the `steps` that come before all are deployed.
    pub(crate) spec: fn(&Seed<'_>) -> Value,
    /// What is done before it is planned.
    pub(crate) before: fn(&Namespace),
    /// What is done between freezing and handing off.
    pub(crate) obstruct: fn(&Namespace),
    /// What is done before the fix.
    pub(crate) mend: fn(&Namespace),
    /// Takes away what would outlive the namespace, or keep it. It must not fail.
    pub(crate) clear: fn(&Namespace),
    /// The states it may end in.
    pub(crate) ends: &'static [&'static str],
}

/// Nothing is to be done.
fn nothing(_: &Namespace) {}

impl Case {
    /// A case in which the operator's file alone makes the wait.
    pub(crate) fn new(
        name: &'static str,
        names: &'static [&'static str],
        spec: fn(&Seed<'_>) -> Value,
    ) -> Self {
        Self {
            name,
            names,
            spec,
            before: nothing,
            obstruct: nothing,
            mend: nothing,
            clear: nothing,
            ends: &["failed", "timed_out"],
        }
    }
}

impl Case {
    fn is_named_in(&self, told: &str) -> bool {
        self.names.iter().any(|name| told.contains(name))
    }
}

/// Something of `web` in the operator's file.
pub(crate) fn web(properties: &Value) -> Value {
    json!({"components": [{"name": "web", "properties": properties}]})
}

/// A component of the operator's own with these objects.
pub(crate) fn objects(objects: &Value) -> Value {
    json!({"components": [{"name": "extra", "type": "manifests", "properties": {"objects": objects}}]})
}

/// A case under way, in a namespace of its own.
struct Waiting<'a> {
    case: &'a Case,
    space: Namespace,
    made: Value,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        (self.case.clear)(&self.space);
    }
}

impl<'a> Waiting<'a> {
    fn begin(field: &Field, case: &'a Case, timeout_s: i64) -> Self {
        let ground = &field.ground;
        let space = Namespace::create();
        ground.environment(case.name, &space, &gated());
        // From here on it is cleared up.
        let mut waiting = Self { case, space, made: Value::Null };
        let space = &waiting.space;
        (case.before)(space);
        // What kinds there are is known from the last look at the cluster.
        ground.server.cli(&["cluster", "check", "test"]).ok();
        let timeout = format!("{timeout_s}s");
        let seed = Seed { image: &field.image, space, silent: &field.silent, timeout: &timeout };
        let spec = (case.spec)(&seed);
        let mut steps = spec["steps"].as_array().cloned().unwrap_or_default();
        steps.push(json!({"name": "roll", "type": "deploy", "timeout": timeout}));
        let file = document(&json!({"components": spec["components"], "workflow": {"steps": steps}}));
        let made = ground.deploy(case.name, &field.version, Some(&file));
        ground.wait(&made, &["awaiting"], ENDS_WITHIN);
        (case.obstruct)(space);
        ground.approve(&made);
        waiting.made = made;
        waiting
    }

    fn assert_ended(&self, ground: &Ground) {
        let case = self.case;
        let ended = ground.wait(&self.made, case.ends, ENDS_WITHIN);
        let told = told(&ended);
        assert!(case.is_named_in(&told), "{}: none of {:?} is in: {told}", case.name, case.names);
        let took = took(&ended).unwrap_or_else(|| panic!("{}: nothing ended badly: {ended:#}", case.name));
        let most = TimeDelta::seconds(TIMEOUT_S + SLACK_S);
        assert!(took <= most, "{}: ended after {took}: {ended:#}", case.name);
    }

    /// Waits until it is told what is waited for, long before the wait would end.
    fn await_named(&self, ground: &Ground) {
        wait::until(&format!("{} is told", self.case.name), ENDS_WITHIN, || {
            let told = told(&ground.show(&self.made));
            if self.case.is_named_in(&told) { Ok(()) } else { Err(told) }
        });
    }

    /// Deploys what nothing stands against; gives that.
    fn fix(&self, ground: &Ground, version: &str) -> Value {
        (self.case.mend)(&self.space);
        let fixed = ground.deploy(self.case.name, version, Some(&fix()));
        ground.approve(&fixed);
        fixed
    }

    fn assert_fixed(&self, ground: &Ground, fixed: &Value) {
        let live = ground.live(fixed);
        assert_variable(&self.space, "web", "FIXED", "yes");
        assert_whole(ground, &self.space, &live, Some(&fix()));
        let state = ground.show(&self.made)["state"].clone();
        assert!(state == "superseded" || state == "broken", "{}: {state}", self.case.name);
    }
}

/// What is right, and tells itself from what was wrong.
fn fix() -> Value {
    of_web(&json!({"properties": {"env": {"FIXED": "yes"}}}))
}

/// What the page says of why, in lower case: of the whole and of each node.
pub(crate) fn told(shown: &Value) -> String {
    let nodes = shown["receiver"]["nodes"].as_array().cloned().unwrap_or_default();
    let reasons = nodes.iter().map(|node| node["reason"].to_string());
    let all: Vec<String> = std::iter::once(shown["reason"].to_string()).chain(reasons).collect();
    all.join("\n").to_lowercase()
}

/// How long after the hand-off the first node ended badly, if one did; how long after the approval all did, if it could
/// not be handed off.
fn took(ended: &Value) -> Option<TimeDelta> {
    let at = |value: &Value| DateTime::parse_from_rfc3339(value.as_str()?).ok();
    if ended["state"] == "broken" {
        return Some(at(&ended["finished_at"])? - at(&ended["approvals"][0]["at"])?);
    }
    let begun = at(&ended["handed_off_at"])?;
    let nodes = ended["receiver"]["nodes"].as_array()?;
    let bad = nodes.iter().filter(|node| node["state"] == "failed" || node["state"] == "timed_out");
    bad.filter_map(|node| at(&node["observed_at"])).min().map(|at| at - begun)
}

/// What all cases are deployed by.
struct Field {
    ground: Ground,
    version: String,
    image: String,
    silent: String,
    /// Takes calls, and never answers one.
    _listener: TcpListener,
}

impl Field {
    fn prepare(env: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let silent = format!("http://{}", listener.local_addr().expect("a port"));
        let calls =
            [("SLIPWAY__DEPLOY__CALLS", silent.as_str()), ("SLIPWAY__DEPLOY__CALLS_PRIVATE_HOSTS", &silent)];
        let ground = Ground::with(&[env, &calls].concat());
        let version = ground.publish("one\n");
        let image = ground.image("prod", &version);
        Self { ground, version, image, silent, _listener: listener }
    }

    fn begin<'c>(&self, cases: &'c [Case], timeout_s: i64) -> Vec<Waiting<'c>> {
        cases.iter().map(|case| Waiting::begin(self, case, timeout_s)).collect()
    }

    fn assert_fixed(&self, waiting: &[Waiting<'_>]) {
        let fixed: Vec<Value> = waiting.iter().map(|one| one.fix(&self.ground, &self.version)).collect();
        waiting.iter().zip(&fixed).for_each(|(one, fixed)| one.assert_fixed(&self.ground, fixed));
    }
}

/// Holds all cases to it, at the same time: each wait ends by its deadline, and then a fix goes through.
pub(crate) fn hold(cases: &[Case], env: &[(&str, &str)]) {
    let field = Field::prepare(env);
    let waiting = field.begin(cases, TIMEOUT_S);
    for one in &waiting {
        one.assert_ended(&field.ground);
    }
    field.assert_fixed(&waiting);
}

/// Holds all cases to it, at the same time: a fix goes through while they wait.
pub(crate) fn overtake(cases: &[Case]) {
    let field = Field::prepare(&[]);
    let waiting = field.begin(cases, LONG_S);
    for one in &waiting {
        one.await_named(&field.ground);
    }
    field.assert_fixed(&waiting);
}
