//! What is not built, and what the pusher is told.

use std::fs;

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, SHOP_YAML, Server, ServerOptions, shop};

/// Commits, pushes to main, gives what the pusher saw and the run.
fn push(server: &Server, app: &App, repository: &GitRepository, message: &str) -> (String, Value) {
    let commit = repository.commit(message);
    let pushed = server.push(app, repository, &["main"]);
    (pushed.stderr, server.wait_run(&app.name, &commit))
}

fn message(run: &Value) -> String {
    assert_eq!(run["state"], "failed", "{run:#}");
    run["fault"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn skip_marks_are_honoured_and_named() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    for mark in ["[skip ci]", "[ci skip]"] {
        let (seen, run) = push(&server, &app, &repository, &format!("Tidy {mark}"));
        assert_eq!(run["state"], "skipped", "{run:#}");
        assert!(run["reason"].as_str().unwrap().contains(mark), "{run:#}");
        assert!(seen.contains("skipped"), "{seen}");
    }
    assert!(server.bundles("shop").is_empty());
    // A person who asks for it gets it.
    let started = server.json(&["run", "start", "--app", "shop", "--ref", "main"]);
    assert!(started.is_object());
    let run = server.json(&["run", "list", "--app", "shop", "--limit", "1"])[0].clone();
    let run = server.cli(&["run", "wait", "--app", "shop", "--commit", run["commit"].as_str().unwrap()]);
    assert!([0, 1].contains(&run.code), "{}", run.stderr);
}

#[test]
fn a_push_without_slipway_yaml_tells_how_to_write_one_that_works() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = GitRepository::with(&[("Dockerfile", "FROM scratch\nCOPY a /a\n"), ("a", "a\n")]);
    let (seen, run) = push(&server, &app, &repository, "No file yet");
    assert!(message(&run).contains("slipway.yaml"), "{run:#}");
    let terminal: Vec<_> = seen.lines().filter_map(|line| line.strip_prefix("remote: slipway: ")).collect();
    let begin = terminal.iter().position(|line| line.starts_with("apiVersion:")).expect("an example");
    let example: Vec<_> = terminal[begin..].iter().take_while(|line| !line.trim().is_empty()).collect();
    let example = example.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    let shown = server.cli(&["run", "show", "shop#1"]).ok().stdout;
    assert!(shown.contains(&example), "{shown}");

    repository.write("slipway.yaml", example + "\n");
    let (_, run) = push(&server, &app, &repository, "As told");
    assert_eq!(run["state"], "done", "the example should work as it stands: {run:#}");
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.symlink("../../outside", "link");
    let samples = [
        ("kit: dockerfile, context: web", "kitt: dockerfile, context: web", "slipway.yaml:5:17", "kitt"),
        ("context: web", "context: absent", "slipway.yaml:5:43", "absent"),
        ("context: web", "context: ../web", "slipway.yaml:5:43", "../web"),
        ("context: web", "context: /link", "slipway.yaml:5:43", "link"),
        ("context: web", "context: [web]", "slipway.yaml:5:43", "context"),
        ("name: api", "name: web", "slipway.yaml:6:12", "web"),
        ("name: api", "name: API", "slipway.yaml:6:12", "API"),
        ("kit: manifests", "kit: manifest", "slipway.yaml:7:25", "manifests"),
        ("{name: shop}", "{name: other}", "slipway.yaml:3:18", "other"),
        ("context: web}", "context: web, needs: [web]}", "slipway.yaml:5:", "web"),
        ("context: web}", "context: web, needs: [absent]}", "slipway.yaml:5:", "absent"),
        ("components:", "components: {", "slipway.yaml:", ""),
        ("slipway.dev/v1", "slipway.dev/v9", "slipway.yaml:1:13", "slipway.dev/v1"),
    ];
    for (right, wrong, place, named) in samples {
        repository.write("slipway.yaml", SHOP_YAML.replacen(right, wrong, 1));
        let (seen, run) = push(&server, &app, &repository, wrong);
        let told = message(&run);
        assert!(
            told.contains(place) && told.contains(named),
            "{wrong}: expected {place}, {named} in: {told}"
        );
        assert!(seen.contains(place), "the pusher's terminal should show {place}: {seen}");
    }
    // Several mistakes are told at once.
    repository.write(
        "slipway.yaml",
        SHOP_YAML.replace("context: web", "context: a").replace("context: api", "context: b"),
    );
    let (_, run) = push(&server, &app, &repository, "two");
    let told = message(&run);
    assert!(told.contains("slipway.yaml:5:43") && told.contains("slipway.yaml:6:43"), "{told}");
}

#[test]
fn huge_and_exploding_files_are_refused_quickly() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.write("slipway.yaml", format!("{SHOP_YAML}#{}\n", "x".repeat(10 << 20)));
    let (_, run) = push(&server, &app, &repository, "10 MiB");
    assert!(message(&run).contains("bytes"), "{run:#}");

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        let line = format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(", "));
        bomb.push_str(&line);
    }
    repository.write("slipway.yaml", format!("{bomb}{SHOP_YAML}"));
    let (_, run) = push(&server, &app, &repository, "bomb");
    assert!(message(&run).contains("slipway.yaml:"), "{run:#}");
}

#[test]
fn lfs_pointers_and_submodules_are_never_packed() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    repository.write(
        "web/big.bin",
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n"),
    );
    let (_, run) = push(&server, &app, &repository, "LFS");
    let told = message(&run);
    assert!(told.contains("web/big.bin") && told.contains("LFS"), "{told}");

    repository.remove("web/big.bin");
    let commit = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},api/vendored")]);
    repository.git(&["commit", "--quiet", "--message", "Submodule"]);
    let head = repository.head();
    server.push(&app, &repository, &["main"]);
    let told = message(&server.wait_run("shop", &head));
    assert!(told.contains("api/vendored") && told.contains("submodule"), "{told}");
}

#[test]
fn a_failed_run_names_the_last_good_one() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "good");
    repository.write("web/Dockerfile", "FROM scratch\nCOPY absent /\n");
    let (_, run) = push(&server, &app, &repository, "bad");
    assert!(message(&run).contains("absent"), "{run:#}");
    assert_eq!(run["last_good"]["version"], "0.1.0-main.1", "{run:#}");
    let shown = server.cli(&["run", "show", "shop#2"]).ok().stdout;
    assert!(shown.contains("#1 0.1.0-main.1"), "{shown}");
    assert_eq!(server.bundles("shop").len(), 1);
}

#[test]
fn what_a_server_lacks_is_told_by_doctor() {
    // More than any disk has.
    let options = ServerOptions::default().env("SLIPWAY__STORAGE__MIN_FREE_BYTES", "1152921504606846976");
    let server = Server::start(options.env("SLIPWAY__DEPLOY__HELM", "no-such-helm"));
    let doctor = server.cli(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}", doctor.stdout);
    let line = |begin: &str| doctor.stdout.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    assert!(line("FAIL disk").contains("storage.min_free_bytes"), "{}", doctor.stdout);
    assert!(line("none helm").contains("charts cannot be rendered"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(" kustomize "), "{}", doctor.stdout);
    assert_eq!(server.get("/readyz").status, 200, "what is there is served all the same");

    // A push does not wait for room that may come tomorrow.
    let app = server.create_app("shop");
    let repository = shop();
    repository.commit("one");
    let seen = server.push(&app, &repository, &["main"]).stderr;
    assert!(seen.contains("waits for disk space") && seen.contains("slipway run wait shop#1"), "{seen}");
}

/// A kubeconfig whose API server is not there.
fn kubeconfig(user: &str) -> String {
    format!(
        "current-context: kind
contexts: [{{name: kind, context: {{cluster: kind, user: me}}}}]
clusters: [{{name: kind, cluster: {{server: 'https://127.0.0.1:1'}}}}]
users: [{{name: me, user: {{{user}}}}}]
"
    )
}

#[test]
fn a_cluster_that_cannot_be_registered_is_told_with_the_next_step() {
    let server = Server::fresh();
    let add = |content: &str, more: &[&str]| {
        fs::write(server.scratch().join("kubeconfig"), content).unwrap();
        let command = ["cluster", "add", "kind", "--kubeconfig-file", "kubeconfig"];
        let refused = server.cli(&[&command[..], more].concat());
        assert_ne!(refused.code, 0, "{}", refused.stdout);
        refused.stderr
    };
    for (user, more, said, step) in [
        ("token: x", &[][..], "cannot be asked just now", "network.no_proxy"),
        ("token: x", &["--context", "eu"], "eu", "--context: kind"),
        ("exec: {command: aws}", &[], "a program for credentials", "kubectl create token"),
        ("client-key: /etc/key", &[], "certificate files", "--flatten"),
    ] {
        let told = add(&kubeconfig(user), more);
        assert!(told.contains(said) && told.contains(step), "{user} {more:?}: {told}");
    }
    let told = add("- a\n", &[]);
    assert!(told.contains("is no kubeconfig") && told.contains("--flatten"), "{told}");
    let absent = server.cli(&["cluster", "add", "kind", "--kubeconfig-file", "absent"]);
    assert!(absent.code == 2 && absent.stderr.contains("--kubeconfig-file"), "{}", absent.stderr);
    assert_eq!(server.json(&["secret", "list"]), serde_json::json!([]), "no kubeconfig is left");
}
