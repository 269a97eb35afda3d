//! The registry of a base image is away: what its tag led to stands in, and says so.

use std::time::{Duration, Instant};

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions};

use crate::database::execute;
use crate::registry::{Mood, Registry};
use crate::world::{assert_failed, assert_retry_is_done, shop};

/// Longer than a plan may wait here, and shorter than one operation on a registry.
const SOON: Duration = Duration::from_secs(25);

/// An application on a base that was built once while all was well.
struct World {
    registry: Registry,
    server: Server,
    app: App,
    repository: GitRepository,
}

impl World {
    fn new(max_base_age_hours: &str) -> Self {
        let registry = Registry::start(Mood::Well);
        let address = registry.address.to_string();
        let options = ServerOptions::default()
            .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", &address)
            .env("SLIPWAY__REGISTRIES__RESOLVE_TIMEOUT_MS", "2000")
            .env("SLIPWAY__REGISTRIES__MAX_BASE_AGE_HOURS", max_base_age_hours);
        let server = Server::start(options);
        let app = server.create_app("shop");
        let repository = shop(&format!("FROM {address}/library/base:1\nCOPY index.html /srv/\n"));
        let world = Self { registry, server, app, repository };
        let run = world.deliver("Begin");
        assert_eq!((&run["state"], notes(&world.shown(&run))), (&"done".into(), vec![]));
        world
    }

    fn deliver(&self, message: &str) -> Value {
        self.server.deliver(&self.app, &self.repository, "main", message)
    }

    fn shown(&self, run: &Value) -> Value {
        self.server.json(&["run", "show", run["id"].as_str().expect("an id")])
    }

    fn assert_named(&self, text: &str) {
        assert!(text.contains(&self.registry.address.to_string()), "the registry is not named: {text}");
    }
}

fn notes(run: &Value) -> Vec<String> {
    let builds = run["builds"].as_array().expect("builds");
    let notes = builds.iter().flat_map(|build| build["notes"].as_array().expect("notes"));
    notes.map(|note| note.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn faults_of_a_base_registry_that_is_away_leave_the_last_answer_which_is_said() {
    let world = World::new("24");
    for mood in [Mood::Status(503), Mood::Hangs] {
        world.registry.is(mood);
        world.repository.write("README", format!("{mood:?}"));
        let began = Instant::now();
        let run = world.deliver("Nothing that the image is made of");
        assert_eq!(run["state"], "done", "{run:#}");
        assert!(began.elapsed() < SOON, "{mood:?} took {:?}", began.elapsed());
        let shown = world.shown(&run);
        assert_eq!(shown["builds"][0]["state"], "reused");
        let [note] = notes(&shown).try_into().expect("one note");
        world.assert_named(&note);
        assert!(note.contains("is taken as sha256:") && note.contains("a minute ago"), "{note}");
        let text = world.server.cli(&["run", "show", run["id"].as_str().expect("an id")]).ok().stdout;
        assert!(text.contains(&note), "not shown: {text}");
    }
}

#[test]
fn faults_of_a_base_registry_that_is_away_fail_what_must_read_the_base_by_name_and_soon() {
    let world = World::new("24");
    for mood in [Mood::Status(503), Mood::Hangs] {
        world.registry.is(mood);
        world.repository.write("web/index.html", format!("{mood:?}"));
        let began = Instant::now();
        let run = world.deliver("Another page");
        let reason = assert_failed(&run, "this build must read its base");
        assert!(began.elapsed() < 2 * SOON, "{mood:?} took {:?}", began.elapsed());
        world.assert_named(&reason);
        let log = world.server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout;
        assert!(log.contains("note: ") && log.contains("is taken as sha256:"), "{log}");
        world.registry.is(Mood::Well);
        let retried = assert_retry_is_done(&world.server, &run);
        assert_eq!(notes(&retried), Vec::<String>::new());
    }
}

#[test]
fn faults_of_a_base_registry_that_answers_are_taken_at_its_word() {
    let world = World::new("24");
    for status in [403, 404] {
        world.registry.is(Mood::Status(status));
        world.repository.write("README", status.to_string());
        world.assert_named(&assert_failed(&world.deliver("Refused"), ""));
    }
}

#[test]
fn faults_of_a_base_registry_are_not_covered_by_an_answer_that_is_too_old() {
    let world = World::new("24");
    execute(&world.server, "update resolution set resolved_at = resolved_at - 25 * 3600 * 1000");
    world.registry.is(Mood::Hangs);
    world.repository.write("README", "1");
    let began = Instant::now();
    let reason = assert_failed(&world.deliver("Too late"), "max_base_age_hours = 24");
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    assert!(reason.contains("resolve_timeout_ms = 2000"), "{reason}");
    world.assert_named(&reason);
}

#[test]
fn faults_of_a_base_registry_are_never_covered_if_no_age_is_allowed() {
    let world = World::new("0");
    world.registry.is(Mood::Status(503));
    world.repository.write("README", "1");
    world.assert_named(&assert_failed(&world.deliver("Away"), "answered 503"));
}
