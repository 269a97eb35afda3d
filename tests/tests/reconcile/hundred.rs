//! The server is killed (SIGKILL) a hundred times, inside whatever state a node may be in, while one
//! application is deployed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::database_file::DatabaseFile;
use slipway_tests::namespace::Namespace;
use slipway_tests::random::Random;
use slipway_tests::wait;

use crate::audit::assert_in_order;
use crate::ground::{Ground, document, id_of};
use crate::inventory::{Mark, assert_risen, assert_whole, marks};

const KILLS: usize = 100;
/// So often at least inside each state.
const EACH: usize = 5;
/// The same kills in each run.
const SEED: u64 = 20_211_207;
/// Where the core can be held.
const POINTS: [&str; 5] = ["core.accepted", "core.applied", "core.checked", "core.pruned", "core.saved"];
/// All states of nodes on their way.
const STATES: [&str; 10] = [
    "pending",
    "blocked",
    "applying",
    "waiting",
    "suspended",
    "ready",
    "failed",
    "timed_out",
    "skipped",
    "terminated",
];
/// How long a deployment may take to where the server is killed, or to its end.
const COMES_WITHIN: Duration = Duration::from_secs(120);

/// What becomes of a deployment.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// A person lets it go on, and it is live.
    Resumed,
    /// One node fails, one runs out of time, and what needs them is skipped.
    Broken,
    /// A person stops it while it is held.
    Stopped,
}

impl Course {
    fn of(round: usize) -> Self {
        [Self::Resumed, Self::Broken, Self::Stopped][round % 3]
    }

    fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Resumed => &["live"],
            Self::Broken => &["failed", "timed_out"],
            Self::Stopped => &["terminated"],
        }
    }

    fn document(self, round: usize) -> Value {
        let component = |name: &str| {
            let object = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name},
                "data": {"round": round.to_string(), "name": name},
            });
            json!({"name": name, "type": "manifests", "properties": {"objects": [object]}})
        };
        // One object comes and another goes with every round.
        let changing = format!("round-{round}");
        let components = ["first", "second", "third", &changing].map(component);
        let apply = |name: &str, component: &str| json!({"name": name, "type": "apply-component", "properties": {"component": component}});
        let first = apply("one", "first");
        let roll = json!({"name": "roll", "type": "deploy"});
        let steps = match self {
            Self::Resumed | Self::Stopped => {
                json!([first, {"name": "person", "type": "suspend"}, apply("two", "second"), roll])
            }
            Self::Broken => json!([
                first,
                await_first("wrong", "object.data.name + 1 == 2", 60, "one"),
                await_first("never", "object.data.name == 'nobody'", 3, "one"),
                await_first("later", "object.data.name == 'nobody'", 6, "one"),
                {"name": "roll", "type": "deploy", "dependsOn": ["wrong", "never"]},
            ]),
        };
        let mode = if matches!(self, Self::Broken) { "DAG" } else { "StepByStep" };
        document(&json!({
            "components": components,
            "workflow": {"mode": {"steps": mode}, "steps": steps},
        }))
    }

    /// What a person says to a node that is held.
    fn order(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Resumed => Some(&["resume"]),
            Self::Broken => None,
            Self::Stopped => Some(&["terminate", "--yes"]),
        }
    }
}

/// A step that waits for the ConfigMap `first`.
fn await_first(name: &str, until: &str, seconds: u32, after: &str) -> Value {
    json!({
        "name": name,
        "type": "wait-for",
        "timeout": format!("{seconds}s"),
        "dependsOn": [after],
        "properties": {"apiVersion": "v1", "kind": "ConfigMap", "name": "first", "until": until},
    })
}

/// Where the server is killed next.
#[derive(Debug)]
enum Aim {
    /// When it comes to a point for the nth time.
    Point(&'static str, u64),
    /// As soon as a node is in this state.
    State(&'static str),
}

/// A deployment under way.
struct Way {
    course: Course,
    made: Value,
}

/// One application that is deployed, and its server that is killed.
struct Hunt {
    ground: Ground,
    database: DatabaseFile,
    marker: PathBuf,
    chance: Random,
    version: String,
    rounds: usize,
    way: Option<Way>,
    /// What a person said last; its answer may never come.
    said: Option<Child>,
    /// How often it was killed inside each state.
    killed: BTreeMap<&'static str, usize>,
    /// What was there after the last time.
    seen: BTreeMap<String, Mark>,
}

impl Hunt {
    fn begin() -> Self {
        let ground = Ground::prepare();
        let version = ground.publish("one\n");
        let database = DatabaseFile::open(&ground.server.data());
        let marker = ground.server.scratch().join("stopped");
        Self {
            ground,
            database,
            marker,
            chance: Random::new(SEED),
            version,
            rounds: 0,
            way: None,
            said: None,
            killed: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// A point or a state by chance, more often one that it was seldom killed at.
    fn aim(&mut self) -> Aim {
        let is_lacking = |state: &&str| self.killed.get(state).copied().unwrap_or_default() < EACH;
        let lacking: Vec<&'static str> = STATES.into_iter().filter(is_lacking).collect();
        if lacking.is_empty() || self.chance.below(3) == 0 {
            let point = self.chance.pick(&POINTS);
            // A deployment comes to these once.
            let is_rare = matches!(point, "core.accepted" | "core.pruned");
            return Aim::Point(point, if is_rare { 1 } else { 1 + self.chance.below(4) });
        }
        match self.chance.pick(&lacking) {
            "pending" => Aim::Point("deploy.before_submit", 1),
            "applying" => Aim::Point("core.applied", 1 + self.chance.below(3)),
            lasting => Aim::State(lasting),
        }
    }

    /// Starts the server, which is not running, so that it can be killed there.
    fn start(&mut self, aim: &Aim) {
        drop(fs::remove_file(&self.marker));
        let env = &mut self.ground.server.options_mut().env;
        env.remove("SLIPWAY_TEST_STOP_AT");
        if let Aim::Point(point, count) = aim {
            env.insert("SLIPWAY_TEST_STOP_AT".to_owned(), format!("{point}:{count}"));
            env.insert("SLIPWAY_TEST_STOP_MARKER".to_owned(), self.marker.display().to_string());
        }
        self.ground.server.restart();
    }

    /// Has a deployment under way; gives what becomes of it.
    fn set_out(&mut self) -> Course {
        let way = self.way.take().unwrap_or_else(|| {
            let course = Course::of(self.rounds);
            self.rounds += 1;
            let document = course.document(self.rounds);
            Way { course, made: self.ground.deploy("prod", &self.version, Some(&document)) }
        });
        self.way.insert(way).course
    }

    /// The states that nodes of the deployment under way are in.
    fn states(&self, rows: &[Vec<String>]) -> BTreeSet<String> {
        let document = rows.first().and_then(|row| row.first());
        let document: Value = document.map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"));
        let wanted = self.way.as_ref().and_then(|way| way.made["generation"].as_u64());
        if document["submission"]["generation"].as_u64() < wanted {
            // It has not come to the core.
            return BTreeSet::from(["pending".to_owned()]);
        }
        let nodes = document["checkpoint"]["nodes"].as_object().cloned().unwrap_or_default();
        let state = |node: &Value| node["standing"]["state"].as_str().map(ToOwned::to_owned);
        nodes.values().filter_map(state).collect()
    }

    fn query(&self) -> String {
        format!(
            "select document from reconcile_state where environment like 'local/test/{}%'",
            self.space().name
        )
    }

    fn space(&self) -> &Namespace {
        &self.ground.namespace
    }

    /// Whether the deployment under way has come to its end.
    fn is_over(&self) -> bool {
        let Some(way) = &self.way else { return true };
        let rows =
            self.database.rows(&format!("select state from deployment where id = '{}'", id_of(&way.made)));
        let state = rows.concat().concat();
        way.course.ends().contains(&state.as_str())
    }

    /// Says what a person says to a node that is held, and again if it came to nothing: the page may not know yet
    /// that it is held.
    fn say(&mut self, states: &BTreeSet<String>) {
        let is_saying = self.said.as_mut().is_some_and(|said| matches!(said.try_wait(), Ok(None)));
        let Some(way) = &self.way else { return };
        if let (Some(order), false, true) = (way.course.order(), is_saying, states.contains("suspended")) {
            let id = id_of(&way.made).to_owned();
            let args = [&["deploy", order[0], id.as_str()], &order[1..]].concat();
            self.said = Some(self.ground.server.cli_begun(&args));
        }
    }

    /// Waits until the server is where it is to be killed; `false`: the deployment came to its end before.
    fn comes_to(&mut self, aim: &Aim) -> bool {
        let is_held_at = matches!(aim, Aim::State("suspended"));
        let query = self.query();
        wait::until(&format!("the server comes to {aim:?}, or to the end"), COMES_WITHIN, || {
            let rows = self.database.rows(&query);
            let states = self.states(&rows);
            let is_there = match aim {
                Aim::Point(point, _) => {
                    fs::read_to_string(&self.marker).is_ok_and(|reached| reached == *point)
                }
                Aim::State(state) => states.contains(*state),
            };
            if is_there {
                return Ok(true);
            }
            if self.is_over() {
                return Ok(false);
            }
            if !is_held_at {
                self.say(&states);
            }
            Err(rows.concat().concat())
        })
    }

    fn kill(&mut self) {
        self.ground.server.kill9();
        self.hear();
        let states = self.states(&self.database.rows_in_copy(&self.query()));
        for state in STATES {
            if states.contains(state) {
                *self.killed.entry(state).or_default() += 1;
            }
        }
    }

    /// Waits until the person's command has ended, however.
    fn hear(&mut self) {
        if let Some(mut said) = self.said.take() {
            drop(said.kill());
            said.wait().expect("a child process can be waited for");
        }
    }

    /// Goes on until the server was killed once more.
    fn kill_once(&mut self) {
        let aim = self.aim();
        self.start(&aim);
        loop {
            self.set_out();
            if self.comes_to(&aim) {
                break;
            }
            self.hear();
            self.way = None;
        }
        self.kill();
        let after = marks(self.space());
        assert_risen(&self.seen, &after);
        self.seen = after;
    }

    /// Deploys once more, with nobody killing anything.
    fn finish(mut self) {
        self.start(&Aim::State("none"));
        self.rounds += 1;
        let document = json!({"components": Course::Resumed.document(self.rounds)["spec"]["components"]});
        let document = crate::ground::document(&document);
        let live = self.ground.deployed("prod", &self.version, Some(&document));
        assert_whole(&self.ground, &self.ground.namespace, &live, Some(&document));
        let dead = self.database.rows("select kind, last_error from job where state = 'dead'");
        assert!(dead.is_empty(), "{dead:?}");
        assert_in_order(self.space(), KILLS / 5);
    }
}

#[test]
fn the_server_is_killed_a_hundred_times() {
    let mut hunt = Hunt::begin();
    hunt.ground.server.stop();
    for _ in 0..KILLS {
        hunt.kill_once();
    }
    let killed = &hunt.killed;
    for state in STATES {
        let times = killed.get(state).copied().unwrap_or_default();
        assert!(times >= EACH, "only {times} kills while a node was {state}: {killed:?}");
    }
    hunt.finish();
}
