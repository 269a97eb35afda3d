//! Back to what ran before while hardly anything else is there: no window is open, nobody approves, and neither the
//! forge nor a builder answers.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_tests::forge::{Behaviour, Forge};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository};
use slipway_tests::wait;

use crate::cluster::{assert_serves, assert_variable, field, object};
use crate::drift::assert_told;
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, core, of_web, served, settings};
use crate::inventory::marks;
use crate::rollback::ROLLBACK;

/// Nothing listens there.
const NOWHERE: &str = "127.0.0.1:9";
/// Jobs that have not looked yet whether an environment that follows has something to do.
const TO_FOLLOW: &str = "select count(*) from job where kind = 'follow' and state in ('ready', 'leased')";
/// Those that have.
const FOLLOWED: &str = "select count(*) from job where kind = 'follow' and state = 'done'";

/// A week's minute three days from now.
fn elsewhen() -> String {
    let day = (Utc::now() + TimeDelta::days(3)).format("%a").to_string().to_lowercase();
    format!("{day} 00:00-00:01")
}

/// Gates that none of the people who are there can open.
fn nightly() -> Value {
    json!({
        "receiver": {"type": "core"},
        "drift": "correct",
        "upstream": "staging",
        "follow": {"channel": "stable"},
        "checks": {"e2e": {"by": "ci"}},
        "gates": {
            "windows": [elsewhen()],
            "approvals": {"count": 1, "of": ["nobody"]},
            "labels": "tested",
            "checks": ["e2e"],
            "soak": {"minutes": 60},
        },
    })
}

/// What operators keep in their repository.
fn greeting(word: &str) -> String {
    of_web(&json!({"properties": {"env": {"GREETING": word}}})).to_string()
}

/// A shop whose source and configuration lie on a forge.
struct Scene {
    ground: Ground,
    forge: Forge,
    /// Whose source is the operators' repository.
    ops: App,
    configuration: GitRepository,
}

impl Scene {
    fn prepare() -> Self {
        let namespace = Namespace::create();
        let forge = Forge::start();
        let options = namespace.options();
        let ground = Ground::at_forge(namespace, options, &forge);
        // Nothing is ever deployed there.
        ground.environment("staging", &Namespace::create(), &core());
        let configuration = GitRepository::with(&[("shop.yaml", greeting("evening").as_str())]);
        configuration.commit("Greet");
        let url = forge.create("ops");
        forge.receive("ops", &configuration, "HEAD:refs/heads/main");
        let ops = ground.server.create_app_with("ops", &["--source", &url, "--poll", "24h"]);
        let scene = Self { ground, forge, ops, configuration };
        let level = scene.level();
        let follow = ["env", "config", "shop", "--level", &level, "--follow", "ops", "--path", "shop.yaml"];
        scene.ground.server.cli(&follow).ok();
        scene
    }

    fn level(&self) -> String {
        format!("local/test/{}", self.ground.namespace.name)
    }

    fn publish(&self, page: &str) -> String {
        self.ground.publish_at(&self.forge, page)
    }

    /// Two versions, one after the other; gives the deployment of the first.
    fn by_day(&self) -> Value {
        let (ground, space) = (&self.ground, &self.ground.namespace);
        let workload = json!({"type": "task", "properties": {"cmd": ["/bin/busybox", "true"]}});
        let load = json!({"name": "load", "kit": "dockerfile", "context": "web", "workload": workload});
        ground.declare(&[served("web"), settings(), load]);
        let first = ground.deployed("prod", &self.publish("one\n"), None);
        assert!(object(space, "job", "load").is_some());
        assert_variable(space, "web", "GREETING", "evening");
        ground.declare(&[served("web"), settings()]);
        ground.deployed("prod", &self.publish("two\n"), None);
        assert_serves(space, "web", "two\n");
        assert_eq!(object(space, "job", "load"), None);
        first
    }

    /// Starts the server again where neither the forge nor a builder answers.
    fn night_falls(&mut self) {
        self.ground.set("prod", &nightly());
        self.forge.behave(Behaviour::Status(503));
        let nowhere = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "nowhere",
            "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
            "clusters": [{"name": "nowhere", "cluster": {"server": format!("http://{NOWHERE}")}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        let file = self.ground.file("nowhere.json", &nowhere);
        let cluster = format!(
            "[{{ name = \"nowhere\", kubeconfig = \"{file}\", namespace = \"builds\", max_jobs = 1 }}]"
        );
        let server = &mut self.ground.server;
        server.stop();
        let env = &mut server.options_mut().env;
        env.insert("SLIPWAY__KANIKO__CLUSTERS".to_owned(), cluster);
        env.insert("SLIPWAY__BUILD__DOCKER_HOST".to_owned(), format!("tcp://{NOWHERE}"));
        server.restart();
    }

    /// Waits until the server has found out that the others are away.
    fn assert_away(&self) {
        let server = &self.ground.server;
        wait::until("the forge was asked for the source", LIVE_WITHIN, || {
            let source = server.json(&["source", "show", "shop"]);
            let is_away =
                source["last_error"].as_str().is_some_and(|error| error.contains("cannot be reached"));
            if is_away { Ok(()) } else { Err(source) }
        });
        wait::until("the forge was asked for the configuration", LIVE_WITHIN, || {
            let followed = self.followed();
            if followed["away"].is_null() { Err(followed) } else { Ok(()) }
        });
        let found = server.cli(&["doctor", "-o", "json"]).json();
        for builder in ["docker: ", "kaniko (nowhere): "] {
            let is = |row: &Value| row["detail"].as_str().is_some_and(|said| said.starts_with(builder));
            let mut rows = found.as_array().into_iter().flatten();
            assert!(rows.any(|row| row["check"] == "builds" && row["ok"] == false && is(row)), "{found:#}");
        }
    }

    fn followed(&self) -> Value {
        let level = self.level();
        self.ground.server.json(&["env", "config", "shop", "--level", &level])["follows"].clone()
    }

    /// The channel that is followed names another version, and whoever follows has looked.
    fn is_named_stable(&self, version: &str) {
        let server = &self.ground.server;
        let count = |query: &str| server.value(query).parse::<u64>().expect("a number");
        let before = count(FOLLOWED);
        server.cli(&["channel", "set", "shop", "stable", version]).ok();
        wait::holds("it is looked at", MOVES_WITHIN, || count(TO_FOLLOW) == 0 && count(FOLLOWED) > before);
    }

    /// The forge is back, with a configuration of the night, and that is taken over.
    fn is_configured_anew(&self) {
        self.configuration.write("shop.yaml", greeting("night"));
        let commit = self.configuration.commit("Greet by night");
        self.forge.receive("ops", &self.configuration, "HEAD:refs/heads/main");
        self.forge.behave(Behaviour::Serve);
        self.ground.server.tell(&self.ops, "refs/heads/main", &commit);
        wait::until("the configuration is taken over", LIVE_WITHIN, || {
            let followed = self.followed();
            if followed["seen_commit"] == commit.as_str() { Ok(()) } else { Err(followed) }
        });
    }

    /// The label of the Service that somebody changes.
    fn label(&self) -> Value {
        field(&self.ground.namespace, "service", "web", "/metadata/labels/slipway.dev~1component")
    }

    fn is_changed_by_somebody(&self, live: &Value) {
        let label = ["label", "service", "web", "slipway.dev/component=other", "--overwrite"];
        self.ground.namespace.kubectl(&label);
        assert_told(&self.ground, live, "holds it (rolled back to generation 1: it crashes)");
        assert_eq!(self.label(), "other");
    }

    /// Waits until the channel's version is on its way again, as far as the gates let it.
    fn is_released(&self, version: &str) {
        self.ground.server.cli(&["release", "shop", "--env", "prod"]).ok();
        let followed = wait::until("it is followed again, through the gates", MOVES_WITHIN, || {
            let newest = self.ground.newest("prod");
            if newest["state"] == "awaiting" { Ok(newest) } else { Err(newest) }
        });
        assert_eq!((&followed["bundle"], &followed["cause"]), (&json!(version), &json!("follow")));
        wait::holds("what somebody changed is set right", MOVES_WITHIN, || self.label() == "web");
    }
}

#[test]
fn at_night_it_is_live_again_and_nothing_moves_it_until_it_is_released() {
    let mut scene = Scene::prepare();
    let first = scene.by_day();
    let third = scene.publish("three\n");
    scene.night_falls();
    let (ground, space) = (&scene.ground, &scene.ground.namespace);

    let back = ground.live(&ground.server.json(&ROLLBACK));
    assert_eq!((&back["generation"], &back["revision"]), (&json!(3), &first["revision"]), "{back:#}");
    assert_serves(space, "web", "one\n");
    assert_eq!(object(space, "job", "load"), None, "it ran when this was live before");
    scene.assert_away();

    let before = marks(space);
    scene.is_named_stable(&third);
    scene.is_changed_by_somebody(&back);
    scene.is_configured_anew();
    let place = ground.server.json(&["where", "shop", "--env", "prod"])[0].clone();
    assert_eq!((&place["generation"], &place["pin"]["rollback_to"]), (&json!(3), &json!(1)), "{place:#}");
    assert_eq!(ground.newest("prod")["generation"], 3);
    assert_eq!(marks(space), before, "something was written");
    assert_variable(space, "web", "GREETING", "evening");
    assert_serves(space, "web", "one\n");

    scene.is_released(&third);
    ground.live(&back);
}
