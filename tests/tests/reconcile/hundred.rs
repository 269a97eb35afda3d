//! A canary by way of two stages goes its way again and again, on two servers that are killed (SIGKILL) a hundred
//! times, inside whatever state a node may be in, and with an API server that is killed once.

mod course;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::random::Random;
use slipway_tests::wait;

use crate::audit::assert_in_order;
use crate::cluster::{assert_serves, field, object};
use crate::flow::image_of;
use crate::ground::{Ground, core, id_of};
use crate::inventory::{Mark, assert_accounted, assert_risen, assert_whole, marks, named_marks};

use course::Course;

const KILLS: usize = 100;
/// So many at most, if some of the hundred missed the state that they were aimed at.
const KILLS_MAX: usize = 160;
/// So often at least inside each state.
const EACH: usize = 5;
/// The same aims in each run.
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
/// How long a deployment may take to where a server is killed, or to its end: two stages, of which each may first
/// have to find out that its cluster answers again, and a job that ended its server three times in a row.
const COMES_WITHIN: Duration = Duration::from_secs(240);
/// What the two versions show.
const PAGES: [&str; 2] = ["one", "two"];

/// Where a server is killed next.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// The one that is started now, when it comes to a point for the nth time; so a node is to be in that state.
    Point { point: &'static str, count: u64, state: Option<&'static str> },
    /// One of the two, as soon as a node is in this state.
    State(&'static str),
}

/// A deployment under way.
struct Way {
    course: Course,
    made: Value,
    /// The newest generation in staging before.
    staging: u64,
    /// The states in which a server was killed on its way: one kill each, so that each deployment is hit anew.
    killed: BTreeSet<&'static str>,
}

/// What the records tell at one time.
struct Look {
    /// The state of the deployment under way.
    page: String,
    /// What the core keeps of each stage.
    prod: Value,
    staging: Value,
}

/// Where a deployment came to.
enum Came {
    /// This server stands at its point.
    Held(usize),
    /// A node is in the state that was wanted.
    State,
    /// It is over.
    End,
}

/// One application that is deployed, and its servers that are killed.
struct Hunt {
    ground: Ground,
    staging: Namespace,
    /// Another person than who deploys.
    bob: String,
    versions: [String; 2],
    images: [String; 2],
    chance: Random,
    /// Which of the two servers does not run, if one does not.
    down: Option<usize>,
    /// Which state a node is to be in when a server comes to the point that it was told, if it was told one.
    aimed: [Option<&'static str>; 2],
    rounds: usize,
    /// How many of them ended live.
    lived: usize,
    /// Which version of `web` is in staging, and how often it became another.
    staged: usize,
    stagings: usize,
    way: Option<Way>,
    /// What a person said last; its answer may never come.
    said: Option<Child>,
    /// How often which server was killed.
    kills: [usize; 2],
    /// How often one was killed where a node was in the state that was aimed at.
    killed: BTreeMap<&'static str, usize>,
    /// What was there after the last kill: in `prod`, in staging.
    seen: [BTreeMap<String, Mark>; 2],
    /// Which version of `web`, and of `settings`, is in `prod`.
    web: usize,
    settings: usize,
}

impl Hunt {
    fn begin() -> Self {
        let (namespace, staging) = (Namespace::create(), Namespace::create());
        let options = namespace.options_of_two();
        let mut ground = Ground::on(namespace, options);
        ground.environment("staging", &staging, &core());
        let versions = PAGES.map(|page| publish(&ground, page));
        for environment in ["prod", "staging"] {
            ground.deployed(environment, &versions[0], None);
        }
        let images = [0, 1].map(|version| ground.image("prod", &versions[version]));
        assert_ne!(images[0], images[1]);
        let bob = ground.server.json(&["token", "create", "bob", "--role", "operator", "--person", "bob"]);
        let seen = [marks(&ground.namespace), marks(&staging)];
        ground.server.kill9_of(0);
        Self {
            ground,
            staging,
            bob: bob["token"].as_str().expect("a token").to_owned(),
            versions,
            images,
            chance: Random::new(SEED),
            down: Some(0),
            aimed: [None; 2],
            rounds: 0,
            lived: 0,
            staged: 0,
            stagings: 0,
            way: None,
            said: None,
            kills: [0; 2],
            killed: BTreeMap::new(),
            seen,
            web: 0,
            settings: 0,
        }
    }

    fn space(&self) -> &Namespace {
        &self.ground.namespace
    }

    fn marker(&self, server: usize) -> PathBuf {
        self.ground.server.scratch().join(format!("stopped-{server}"))
    }

    fn lacking(&self) -> Vec<&'static str> {
        let is_lacking = |state: &&str| self.killed.get(state).copied().unwrap_or_default() < EACH;
        STATES.into_iter().filter(is_lacking).collect()
    }

    /// A point or a state by chance, more often a state that they were seldom killed in.
    fn aim(&mut self) -> Aim {
        let lacking = self.lacking();
        if lacking.is_empty() || self.chance.below(4) == 0 {
            let point = self.chance.pick(&POINTS);
            // A deployment comes to these once in each stage.
            let is_rare = matches!(point, "core.accepted" | "core.pruned");
            let count = if is_rare { 1 } else { 1 + self.chance.below(3) };
            return Aim::Point { point, count, state: None };
        }
        match self.chance.pick(&lacking) {
            "pending" => Aim::Point { point: "deploy.before_submit", count: 1, state: Some("pending") },
            "applying" => Aim::Point { point: "core.applied", count: 1, state: Some("applying") },
            lasting => Aim::State(lasting),
        }
    }

    /// Starts the server that does not run, so that it can be killed there.
    fn start(&mut self, aim: Aim) {
        let Some(server) = self.down.take() else { return };
        let marker = self.marker(server);
        drop(fs::remove_file(&marker));
        let armed = match aim {
            Aim::Point { point, count, state } => {
                self.aimed[server] = state;
                vec![
                    ("SLIPWAY_TEST_STOP_AT", format!("{point}:{count}")),
                    ("SLIPWAY_TEST_STOP_MARKER", marker.display().to_string()),
                ]
            }
            Aim::State(_) => Vec::new(),
        };
        let env: Vec<(&str, &str)> = armed.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.ground.server.restart_of(server, &env);
    }

    /// Has a deployment under way; a new one is such that nodes come to the state that is wanted.
    fn set_out(&mut self, wanted: Option<&str>) {
        if self.way.is_some() {
            return;
        }
        let course = Course::of(self.rounds, wanted);
        self.rounds += 1;
        let passing = format!("round-{}", self.rounds);
        self.depart(course, Some(&passing));
    }

    /// Makes a deployment of the version that `prod` has not.
    fn depart(&mut self, course: Course, passing: Option<&str>) {
        let document = course.document(&self.staging, self.space(), passing);
        let staging = generation_of(&self.look().staging);
        let made = self.ground.deploy("prod", &self.versions[1 - self.web], Some(&document));
        self.way = Some(Way { course, made, staging, killed: BTreeSet::new() });
    }

    fn look(&self) -> Look {
        let kept = |space: &Namespace| {
            format!(
                "(select document::json from reconcile_state where environment like 'local/test/{}%')",
                space.name
            )
        };
        let page = self.way.as_ref().map_or_else(
            || "null::text".to_owned(),
            |way| format!("(select state from deployment where id = '{}')", id_of(&way.made)),
        );
        let query = format!(
            "select json_build_object('page', {page}, 'prod', {}, 'staging', {})",
            kept(self.space()),
            kept(&self.staging)
        );
        let text = self.ground.server.value(&query);
        let mut told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Look {
            page: told["page"].as_str().unwrap_or_default().to_owned(),
            prod: told["prod"].take(),
            staging: told["staging"].take(),
        }
    }

    /// Whether the core has heard of the deployment under way in `prod`.
    fn is_in_prod(&self, look: &Look) -> bool {
        let wanted = self.way.as_ref().and_then(|way| way.made["generation"].as_u64());
        generation_of(&look.prod) >= wanted.unwrap_or_default()
    }

    /// The states that nodes of the deployment under way are in. Before the core has heard of them they are pending,
    /// while those of the stage before are on their way.
    fn states(&self, look: &Look) -> BTreeSet<String> {
        if self.is_in_prod(look) {
            return states_of(&look.prod);
        }
        let before = self.way.as_ref().map_or(0, |way| way.staging);
        let is_in_staging = generation_of(&look.staging) > before;
        let staging = if is_in_staging { states_of(&look.staging) } else { BTreeSet::new() };
        staging.into_iter().chain(["pending".to_owned()]).collect()
    }

    /// The server that stands at its point.
    fn held(&self) -> Option<usize> {
        (0..self.kills.len()).find(|server| Some(*server) != self.down && self.marker(*server).exists())
    }

    fn is_over(&self, look: &Look) -> bool {
        self.way.as_ref().is_none_or(|way| way.course.ends().contains(&look.page.as_str()))
    }

    /// Says what a person says to a node that is held, and again if it came to nothing: the page may not know yet
    /// that it is held.
    fn say(&mut self, look: &Look) {
        let is_saying = self.said.as_mut().is_some_and(|said| matches!(said.try_wait(), Ok(None)));
        if is_saying || !self.is_in_prod(look) {
            return;
        }
        if let (Some(way), Some(node)) = (&self.way, held_node(&look.prod)) {
            let args = way.course.said(&node, id_of(&way.made));
            self.said = Some(self.ground.server.cli_begun_as(&self.bob, &args));
        }
    }

    /// Waits until the deployment is where a server is to be killed, or over.
    fn comes_to(&mut self, wanted: Option<&'static str>) -> Came {
        let is_new = |state: &&'static str| self.way.as_ref().is_some_and(|way| !way.killed.contains(state));
        let wanted = wanted.filter(is_new);
        wait::until(&format!("it comes to {wanted:?}, a point, or its end"), COMES_WITHIN, || {
            if let Some(server) = self.held() {
                return Ok(Came::Held(server));
            }
            let look = self.look();
            let states = self.states(&look);
            if wanted.is_some_and(|state| states.contains(state)) {
                return Ok(Came::State);
            }
            if self.is_over(&look) {
                return Ok(Came::End);
            }
            if wanted != Some("suspended") {
                self.say(&look);
            }
            Err(format!("{} {:#} {:#}", look.page, look.prod["checkpoint"], look.staging["checkpoint"]))
        })
    }

    /// Kills a server where a node is to be in a state, and counts it if one still is in it afterwards: the other
    /// server goes on.
    fn kill(&mut self, server: usize, aimed: Option<&'static str>) {
        self.ground.server.kill9_of(server);
        self.aimed[server] = None;
        self.down = Some(server);
        self.kills[server] += 1;
        let states = self.states(&self.look());
        if let Some(state) = aimed.filter(|state| states.contains(*state)) {
            *self.killed.entry(state).or_default() += 1;
            if let Some(way) = &mut self.way {
                way.killed.insert(state);
            }
        }
        self.hear();
    }

    /// Waits until the person's command has ended, however.
    fn hear(&mut self) {
        if let Some(mut said) = self.said.take() {
            drop(said.kill());
            said.wait().expect("a child process can be waited for");
        }
    }

    /// Goes on until a server was killed once more.
    fn kill_once(&mut self) {
        let aim = self.aim();
        self.start(aim);
        let mut wanted = match aim {
            Aim::State(state) => Some(state),
            Aim::Point { .. } => None,
        };
        loop {
            self.set_out(wanted);
            match self.comes_to(wanted) {
                Came::Held(server) => {
                    self.kill(server, self.aimed[server]);
                    break;
                }
                Came::State => {
                    // In turn, as far as points do not say otherwise.
                    self.kill(usize::from(self.kills[1] < self.kills[0]), wanted);
                    break;
                }
                Came::End => self.end(),
            }
            // The other server did all that the one was to be killed at: it is not left to chance for longer.
            wanted = wanted.or(Some("blocked"));
        }
        for (seen, space) in self.seen.iter_mut().zip([&self.ground.namespace, &self.staging]) {
            let after = named_marks(&self.ground, space);
            assert_risen(seen, &after);
            *seen = after;
        }
    }

    /// Looks whether a deployment that is over left what was asked for.
    fn end(&mut self) {
        self.hear();
        let Some(Way { course, .. }) = self.way.take() else { return };
        let new = 1 - self.web;
        if course.is_let_on() {
            self.settings = new;
        }
        if self.staged != new {
            self.staged = new;
            self.stagings += 1;
        }
        if course == Course::Resumed {
            self.web = new;
            self.lived += 1;
            // The next is another, by the same name.
            self.seen[0].retain(|name, _| !name.ends_with("--canary"));
            assert_eq!(object(self.space(), "deployment", "web--canary"), None);
            assert_accounted(&self.ground, self.space());
            assert_accounted(&self.ground, &self.staging);
        } else {
            assert_eq!(image_of(self.space(), "web--canary"), json!(self.images[new]), "{course:?}");
        }
        assert_eq!(image_of(self.space(), "web"), json!(self.images[self.web]), "{course:?}");
        assert_eq!(image_of(&self.staging, "web"), json!(self.images[new]), "{course:?}");
        let settings = field(self.space(), "configmap", "shop-settings", "/data/page");
        assert_eq!(settings, PAGES[self.settings], "{course:?}");
    }

    /// Deploys once more, with nobody killing anything, and accounts for everything.
    fn finish(mut self) {
        self.ground.server.kill9();
        for server in 0..self.kills.len() {
            self.down = Some(server);
            self.start(Aim::State("none"));
        }
        if self.way.is_some() {
            assert!(matches!(self.comes_to(None), Came::End));
            self.end();
        }
        self.depart(Course::Resumed, None);
        assert!(matches!(self.comes_to(None), Came::End));
        self.end();
        for (environment, space) in [("prod", self.space()), ("staging", &self.staging)] {
            let live = self.ground.live(&self.ground.newest(environment));
            assert_whole(&self.ground, space, &live, None);
            assert_serves(space, "web", &format!("{}\n", PAGES[self.web]));
        }
        let dead = self.ground.server.value("select count(*) from job where state = 'dead'");
        assert_eq!(dead, "0");
        // Each generation that brought another version to its place wrote its own ConfigMap there.
        assert_in_order(self.space(), self.lived);
        assert_in_order(&self.staging, self.stagings);
    }
}

/// Pushes a page, and a ConfigMap that is another with each.
fn publish(ground: &Ground, page: &str) -> String {
    let settings = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shop-settings}}\ndata: {{page: {page}}}\n"
    );
    ground.repository.write("settings/settings.yaml", settings);
    ground.publish(&format!("{page}\n"))
}

/// The generation that the core has of a stage.
fn generation_of(kept: &Value) -> u64 {
    kept["submission"]["generation"].as_u64().unwrap_or_default()
}

fn states_of(kept: &Value) -> BTreeSet<String> {
    let nodes = kept["checkpoint"]["nodes"].as_object().into_iter().flatten();
    nodes.filter_map(|(_, node)| node["standing"]["state"].as_str().map(ToOwned::to_owned)).collect()
}

/// A node that a person holds.
fn held_node(kept: &Value) -> Option<String> {
    let mut nodes = kept["checkpoint"]["nodes"].as_object().into_iter().flatten();
    nodes.find(|(_, node)| node["standing"]["state"] == "suspended").map(|(name, _)| name.clone())
}

#[test]
fn a_canary_ends_as_people_say_with_servers_killed_a_hundred_times_and_the_api_server_once() {
    let mut hunt = Hunt::begin();
    let mut kills = 0;
    while kills < KILLS || !hunt.lacking().is_empty() {
        assert!(
            kills < KILLS_MAX,
            "{kills} kills, and too few while a node was in each state: {:?}",
            hunt.killed
        );
        hunt.kill_once();
        kills += 1;
        if kills == KILLS / 2 {
            hunt.space().restart_api_server();
        }
    }
    let few = hunt.kills.iter().min().copied().unwrap_or_default();
    assert!(few >= KILLS / 5, "one server was killed {few} times: {:?}", hunt.kills);
    hunt.finish();
}
