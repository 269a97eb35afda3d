//! Builds as Jobs on a real cluster.

mod copies;
mod faults;
mod hostile;
mod kills;
mod proxy;
mod registry;
mod tokens;

use std::fs;
use std::process::Command;

use serde_json::Value;
use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::server::{App, GitRepository, Server, packages, run_within, running};
use slipway_tests::services;

use copies::Copies;

/// Prints what a log may get wrong: colours, no line end, a line longer than runtimes keep whole.
const PRINT: &str = "echo plain; printf '\\033[31mred\\033[0m\\n'; i=0; while [ $i -lt 3000 ]; do \
                     printf 'a long line without an end '; i=$((i + 1)); done; echo; echo last";

/// Commits and pushes, and does not wait while git shows the run's progress.
fn push_unwatched(server: &Server, app: &App, repository: &GitRepository) -> String {
    let commit = repository.commit("Build it");
    let (path, url, token) = (repository.path().to_owned(), app.git_url.clone(), server.token().to_owned());
    std::thread::spawn(move || {
        drop(GitRepository::push_from(&path, &url, &token, &["HEAD:refs/heads/main"]));
    });
    commit
}

fn web_build(run: &Value) -> &Value {
    run["builds"].as_array().and_then(|builds| builds.first()).expect("a build")
}

/// The build's log without Slipway's own lines before and behind what the executor wrote.
fn executor_log(server: &Server, run: &Value) -> Vec<u8> {
    let path = format!("/api/v1/runs/{}/builds/web/log?limit=4000000", run["id"].as_str().expect("an id"));
    let answer = server.get(&path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begin = find(&answer.body, b"INFO FROM").expect("the executor's first line");
    let end =
        find(&answer.body, b"INFO Pushed\n").expect("the executor's last line") + b"INFO Pushed\n".len();
    answer.body[begin..end].to_vec()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// What `docker run` of the image prints.
fn docker_run(server: &Server, image: &str) -> String {
    let docker = services::docker();
    let at = |args: &[&str]| {
        let mut command = Command::new(services::tool("docker"));
        command.args(["--host", &docker.host]).args(args).env("HOME", server.scratch());
        let finished = run_within(command, JOB_WITHIN);
        assert_eq!(finished.code, 0, "docker {}: {}", args.join(" "), finished.stderr);
        finished.text()
    };
    // The engine speaks HTTP to loopback only, so the image comes as an archive.
    let archive = server.scratch().join("image.tar");
    let mut skopeo = Command::new(services::tool("skopeo"));
    skopeo.args(["copy", "--src-tls-verify=false", "--src-creds", &format!("any:{}", server.token())]);
    skopeo.arg(format!("docker://{image}")).arg(format!("docker-archive:{}:built:1", archive.display()));
    let finished = run_within(skopeo, JOB_WITHIN);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    at(&["load", "--input", archive.to_str().expect("text")]);
    at(&["run", "--rm", "built:1"])
}

#[test]
fn kaniko_builds_a_push_and_its_log_is_what_the_container_wrote() {
    let namespace = Namespace::create();
    let copies = Copies::receive(&namespace);
    let flag = format!("--log-copy=http://{}", copies.address);
    let mut server = Server::start(namespace.options().env("SLIPWAY__KANIKO__FLAGS", &flag));
    let app = server.create_app("shop");
    let repository = running(&format!("{PRINT}; echo made > /made"));
    let run = server.deliver(&app, &repository, "main", "Build on Kubernetes");
    assert_eq!(run["state"], "done", "{run:#}\n{}", server.cli(&["run", "logs", "shop#1", "web"]).stdout);
    assert_eq!(web_build(&run)["backend"], "kaniko");
    let found = server.cli(&["doctor"]).stdout;
    assert!(found.contains("ok   builds   kaniko (test): Kubernetes v"), "{found}");
    let bundle = server.bundle_of(&run);
    let image = packages(&bundle)[0]["images"][0].as_str().expect("an image").to_owned();
    assert_eq!(docker_run(&server, &image), "made\nhello\n");

    let wrote = copies.next();
    assert!(wrote.len() > 70_000, "{} bytes", wrote.len());
    assert!(
        executor_log(&server, &run) == wrote,
        "{}",
        String::from_utf8_lossy(&executor_log(&server, &run))
    );
    namespace.assert_empty();
    server.kill9();
    drop(fs::remove_dir_all(server.data().join("cache")));
    drop(fs::remove_dir_all(server.data().join("git")));
    server.restart();
    assert!(executor_log(&server, &run) == wrote, "after a restart");
}
