//! A forge, a server that builds from it, and an application.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use slipway_tests::forge::Forge;
use slipway_tests::server::{Answer, App, GitRepository, Server, ServerOptions};
use slipway_tests::wait;

use crate::payload::Hook;

/// No change is like another.
static CHANGES: AtomicU64 = AtomicU64::new(1);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const SLIPWAY_YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: NAME}
components:
  - {name: web, kit: dockerfile, context: web}
";

/// What a test of webhooks stands on.
pub(crate) struct World {
    pub(crate) forge: Forge,
    pub(crate) server: Server,
    pub(crate) app: App,
    pub(crate) repository: GitRepository,
}

impl World {
    /// The application `shop`, built from an empty repository on the forge. The first sweep is over, and
    /// the next is a day away.
    pub(crate) fn new() -> Self {
        let forge = Forge::start();
        let url = forge.create("shop");
        let repository = GitRepository::with(&[
            ("slipway.yaml", SLIPWAY_YAML.replace("NAME", "shop").as_str()),
            ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
            ("web/index.html", "0\n"),
            ("other/slipway.yaml", SLIPWAY_YAML.replace("NAME", "other").as_str()),
            ("other/web/Dockerfile", "FROM scratch\nCOPY Dockerfile /srv/\n"),
        ]);
        let mut server = Server::start(
            ServerOptions::default()
                .env("SLIPWAY__GIT__ALLOW_HTTP", "true")
                .env("SLIPWAY__GIT__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
        );
        let app = server.create_app_with("shop", &["--source", &url, "--poll", "24h"]);
        server.stop();
        server.restart();
        wait::holds("the source is swept at start", SETTLED_WITHIN, || {
            !server.json(&["source", "show", "shop"])["swept_at"].is_null()
        });
        Self { forge, server, app, repository }
    }

    /// Commits a change and brings it to a branch or tag of the forge; no webhook is sent.
    pub(crate) fn change(&self, name: &str) -> String {
        self.repository.write("web/index.html", format!("{}\n", CHANGES.fetch_add(1, Ordering::Relaxed)));
        let commit = self.repository.commit(&format!("Change for {name}"));
        self.upload(&commit, name);
        commit
    }

    /// Brings a commit to a ref of the forge, by force.
    pub(crate) fn upload(&self, commit: &str, name: &str) {
        let path = self.forge.path("shop");
        self.repository.git(&[
            "push",
            "--quiet",
            "--force",
            path.to_str().expect("a path"),
            &format!("{commit}:{name}"),
        ]);
    }

    /// Sends a webhook to the source `shop`.
    pub(crate) fn send(&self, hook: &Hook) -> Answer {
        self.send_to("shop", hook)
    }

    /// Sends a webhook to a source.
    pub(crate) fn send_to(&self, source: &str, hook: &Hook) -> Answer {
        let headers: Vec<(&str, &str)> =
            hook.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.server.request("POST", &format!("/hooks/{source}/{}", hook.forge), &headers, &hook.body)
    }

    /// Sends a webhook that must be accepted; gives the delivery once it is settled.
    pub(crate) fn deliver(&self, hook: &Hook) -> Value {
        let answer = self.send(hook);
        assert_eq!(answer.status, 202, "{}: {}", hook.forge, answer.text());
        self.settled(answer.json()["delivery"].as_str().expect("the delivery's id"))
    }

    /// A delivery once it is no longer `received`.
    pub(crate) fn settled(&self, id: &str) -> Value {
        wait::until(&format!("delivery {id} is settled"), SETTLED_WITHIN, || {
            let found = self.deliveries().into_iter().find(|delivery| delivery["id"] == id);
            let found = found.unwrap_or_else(|| panic!("delivery {id} is not listed"));
            if found["state"] == "received" { Err(found) } else { Ok(found) }
        })
    }

    /// `slipway source deliveries`, newest first.
    pub(crate) fn deliveries(&self) -> Vec<Value> {
        let listed = self.server.json(&["source", "deliveries", "shop", "--limit", "1000"]);
        listed.as_array().expect("a list").clone()
    }

    /// The runs of an application's commit.
    pub(crate) fn runs(&self, application: &str, commit: &str) -> Vec<Value> {
        let listed = self.server.json(&["run", "list", "--app", application, "--commit", commit]);
        listed.as_array().expect("a list").clone()
    }

    /// Asserts that a commit's run on a branch or tag is done, and that it has no other.
    pub(crate) fn assert_one_run(&self, commit: &str, name: &str) -> Value {
        let run = self.server.wait_run_of("shop", commit, name);
        assert_eq!(run["state"], "done", "{run:#}");
        let runs = self.runs("shop", commit);
        let of_ref = runs.iter().filter(|other| other["ref"] == run["ref"]).count();
        assert_eq!(of_ref, 1, "{runs:#?}");
        run
    }
}
