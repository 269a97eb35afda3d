//! Applications, their runs and their bundles, as scripts see them.

use serde_json::Value;

use super::{GitRepository, Pushed, Server};

/// How long a run may take.
const RUN_WITHIN: &str = "180s";

/// An application on a server.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Address of its built-in git remote.
    pub git_url: String,
    /// Webhook addresses by forge.
    pub webhook_urls: Value,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
}

impl Server {
    /// Makes an application with Slipway's own git remote.
    pub fn create_app(&self, name: &str) -> App {
        self.create_app_with(name, &[])
    }

    /// Makes an application with more arguments of `slipway app create`.
    pub fn create_app_with(&self, name: &str, args: &[&str]) -> App {
        let made = self.json(&[&["app", "create", name], args].concat());
        let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
        App {
            name: text("name"),
            git_url: text("git_url"),
            webhook_urls: made["webhook_urls"].clone(),
            webhook_secret: text("webhook_secret"),
        }
    }

    /// Pushes with the administrator's token; asserts that git is content.
    pub fn push(&self, app: &App, repository: &GitRepository, refspecs: &[&str]) -> Pushed {
        let pushed = repository.push(&app.git_url, self.token(), refspecs);
        assert_eq!(pushed.code, 0, "git push {}:\n{}", refspecs.join(" "), pushed.stderr);
        pushed
    }

    /// Commits everything, pushes it to `branch` and gives the run once it has ended.
    pub fn deliver(&self, app: &App, repository: &GitRepository, branch: &str, message: &str) -> Value {
        let commit = repository.commit(message);
        self.push(app, repository, &[&format!("HEAD:refs/heads/{branch}")]);
        self.wait_run_of(&app.name, &commit, branch)
    }

    /// [`Server::deliver`], asserting that the run is done; gives the bundle.
    pub fn publish(&self, app: &App, repository: &GitRepository, branch: &str, message: &str) -> Value {
        let run = self.deliver(app, repository, branch, message);
        self.bundle_of(&run)
    }

    /// The bundle of a run, which must be done.
    pub fn bundle_of(&self, run: &Value) -> Value {
        assert_eq!(run["state"], "done", "the run should be done: {run:#}");
        let application = run["application"].as_str().expect("a run names its application");
        let version = run["version"].as_str().unwrap_or_else(|| panic!("a run without version: {run:#}"));
        self.bundle(application, version)
    }

    /// The terminal run of a commit, whatever its ref.
    pub fn wait_run(&self, application: &str, commit: &str) -> Value {
        self.waited(&["run", "wait", "--app", application, "--commit", commit])
    }

    /// The terminal run of a commit on one branch or tag.
    pub fn wait_run_of(&self, application: &str, commit: &str, git_ref: &str) -> Value {
        self.waited(&["run", "wait", "--app", application, "--commit", commit, "--ref", git_ref])
    }

    /// Every bundle of an application, newest first.
    pub fn bundles(&self, application: &str) -> Vec<Value> {
        let list = self.json(&["bundle", "list", "--app", application, "--limit", "1000"]);
        list.as_array().expect("a list").clone()
    }

    /// One bundle.
    pub fn bundle(&self, application: &str, version: &str) -> Value {
        self.json(&["bundle", "show", application, version])
    }

    fn waited(&self, command: &[&str]) -> Value {
        let output = self.cli(&[command, &["--timeout", RUN_WITHIN, "-o", "json"]].concat());
        assert!([0, 1, 4].contains(&output.code), "{}: {}", output.command, output.stderr);
        let run = output.json();
        let id = run["id"].as_str().expect("a run has an id");
        self.json(&["run", "show", id])
    }
}

/// The packages of a bundle, which has one at least.
pub fn packages(bundle: &Value) -> &[Value] {
    let packages = bundle["packages"].as_array().expect("a bundle lists its packages");
    assert!(!packages.is_empty(), "a bundle without packages: {bundle:#}");
    packages
}
