//! Pushes without end, to branches and tags of two applications, by the real client.

use std::process::{Child, Command, Stdio};

use slipway_tests::random::Random;
use slipway_tests::server::{App, GitRepository, Server};

const SHOP: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - {name: base, kit: dockerfile, context: base}
  - name: api
    kit: dockerfile
    context: api
    needs: [base]
    with: {args: {BASE: \"${base.image}\"}}
  - {name: web, kit: dockerfile, context: web}
  - {name: config, kit: manifests, context: config}
";

const TOOLS: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: tools}
components:
  - {name: tool, kit: dockerfile, context: .}
";

/// Where a change goes, by application: seldom where others depend on it.
const SHOP_FILES: [&str; 6] = [
    "web/index.html",
    "api/server",
    "web/index.html",
    "api/server",
    "base/os-release",
    "config/settings.yaml",
];
const SHOP_BRANCHES: [&str; 4] = ["main", "main", "dev", "feature/cart"];

/// Who pushes.
pub(crate) struct Stream {
    random: Random,
    shop: Pusher,
    tools: Pusher,
    pushes: usize,
}

struct Pusher {
    app: App,
    token: String,
    repository: GitRepository,
    pushing: Option<Child>,
    changes: u64,
    releases: u64,
}

impl Stream {
    /// Makes both applications and pushes the first commit of each.
    pub(crate) fn start(server: &Server, random: Random) -> Self {
        let shop = GitRepository::with(&[
            ("slipway.yaml", SHOP),
            ("base/Dockerfile", "FROM scratch\nCOPY os-release /etc/\n"),
            ("base/os-release", "0\n"),
            ("api/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY server /bin/\n"),
            ("api/server", "0\n"),
            ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
            ("web/index.html", "0\n"),
            ("config/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        ]);
        let tools = GitRepository::with(&[
            ("slipway.yaml", TOOLS),
            ("Dockerfile", "FROM scratch\nCOPY tool /bin/\n"),
            ("tool", "0\n"),
        ]);
        let mut made = Self {
            random,
            shop: Pusher::new(server, "shop", shop),
            tools: Pusher::new(server, "tools", tools),
            pushes: 0,
        };
        for pusher in [&mut made.shop, &mut made.tools] {
            let run = server.deliver(&pusher.app, &pusher.repository, "main", "Begin");
            assert_eq!(run["state"], "done", "{run:#}");
        }
        made
    }

    /// Begins a further push for each application that has none under way.
    pub(crate) fn go_on(&mut self) {
        if self.shop.is_idle() {
            let file = self.random.pick(&SHOP_FILES);
            let name = match self.random.below(10) {
                0 => self.shop.next_release("v"),
                1 => self.shop.next_release("web/v"),
                2 => format!("refs/heads/topic-{}", self.pushes),
                _ => format!("refs/heads/{}", self.random.pick(&SHOP_BRANCHES)),
            };
            // A release is of a commit that is pushed elsewhere too, or of one of its own.
            let is_new = self.random.below(4) > 0;
            self.shop.push(is_new.then_some(file), &name);
            self.pushes += 1;
        }
        if self.tools.is_idle() {
            self.tools.push(Some("tool"), "refs/heads/main");
            self.pushes += 1;
        }
    }

    /// The server is gone: pushes under way end, well or not.
    pub(crate) fn abandon(&mut self) {
        for pusher in [&mut self.shop, &mut self.tools] {
            if let Some(mut pushing) = pusher.pushing.take() {
                drop(pushing.kill());
                pushing.wait().expect("git can be waited for");
            }
        }
    }

    pub(crate) fn pushes(&self) -> usize {
        self.pushes
    }

    /// Asserts that what the server has can be cloned and is whole.
    pub(crate) fn assert_clonable(&self, server: &Server) {
        for pusher in [&self.shop, &self.tools] {
            let target = server.scratch().join(format!("clone-{}", pusher.app.name));
            let target = target.to_str().expect("a path of ASCII");
            let cloned = pusher
                .repository
                .remote(server.token(), &["clone", "--quiet", "--mirror", &pusher.app.git_url, target]);
            assert_eq!(cloned.code, 0, "{}", cloned.stderr);
            pusher.repository.git(&["-C", target, "fsck", "--full", "--strict"]);
        }
    }
}

impl Pusher {
    fn new(server: &Server, name: &str, repository: GitRepository) -> Self {
        let app = server.create_app(name);
        Self { app, token: server.token().to_owned(), repository, pushing: None, changes: 0, releases: 0 }
    }

    fn is_idle(&mut self) -> bool {
        self.pushing.as_mut().is_none_or(|pushing| !matches!(pushing.try_wait(), Ok(None)))
    }

    fn next_release(&mut self, prefix: &str) -> String {
        self.releases += 1;
        format!("refs/tags/{prefix}1.{}.0", self.releases)
    }

    /// Commits a change, if there is one, and begins to push it.
    fn push(&mut self, file: Option<&str>, name: &str) {
        if let Some(file) = file {
            self.changes += 1;
            let content = if file.starts_with("config/") {
                format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{}}}\n", self.changes)
            } else {
                format!("{}\n", self.changes)
            };
            self.repository.write(file, content);
            self.repository.commit(&format!("Change {}", self.changes));
        }
        let helper = "!f() { echo username=test; echo \"password=$SLIPWAY_PUSH_TOKEN\"; }; f";
        let mut command = Command::new("git");
        command
            .current_dir(self.repository.path())
            .args(["-c", &format!("credential.helper={helper}"), "push", "--quiet", &self.app.git_url])
            .arg(format!("HEAD:{name}"))
            .env("SLIPWAY_PUSH_TOKEN", &self.token)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.pushing = Some(command.spawn().expect("git can be started"));
    }
}
