//! Credentials open a source and show up nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slipway_tests::forge::{Behaviour, Forge};

use crate::world::{assert_found, change, check, files, neighbourly, settled};

const USER: &str = "builder";
const PASSWORD: &str = "hunter2-correct-horse";

#[test]
fn a_private_repository_is_built_with_its_credential_and_no_other() {
    let forge = Forge::start();
    let url = forge.create("shop");
    let repository = files("shop");
    let first = change(&forge, "shop", &repository, "refs/heads/main");
    forge.behave(Behaviour::Protected(USER.to_owned(), PASSWORD.to_owned()));
    let server = neighbourly();
    server.set_secret("forge", &format!("{USER}:wrong-{PASSWORD}"));
    let app = server.create_app_with(
        "shop",
        &["--source", &url, "--credential", "secret://builtin/forge", "--poll", "24h"],
    );
    assert_found(&server, "shop", "address", "does not accept the credential");

    server.set_secret("forge", &format!("{USER}:{PASSWORD}"));
    let (findings, code) = check(&server, "shop");
    assert_eq!(code, 0, "{findings:#?}");
    server.tell(&app, "refs/heads/main", &first);
    let run = server.wait_run("shop", &first);
    assert_eq!(run["state"], "done", "{run:#}");

    let shown = server.cli(&["source", "show", "shop", "-o", "json"]).ok().stdout;
    assert!(shown.contains("secret://builtin/forge"), "{shown}");
    for text in [server.log(), shown, format!("{findings:#?}"), run.to_string()] {
        assert!(!text.contains(PASSWORD), "the password shows in: {text}");
    }
    assert!(forge.asked().iter().any(|asked| asked.authorization.is_some()), "no credential was sent");
}

#[test]
fn a_credential_is_in_no_argument_of_any_process_while_git_fetches() {
    let forge = Forge::start();
    let url = forge.create("shop");
    let repository = files("shop");
    let commit = change(&forge, "shop", &repository, "refs/heads/main");
    let server = neighbourly();
    server.set_secret("forge", &format!("{USER}:{PASSWORD}"));
    let app = server.create_app_with(
        "shop",
        &["--source", &url, "--credential", "secret://builtin/forge", "--poll", "24h"],
    );
    // Slow enough that whoever looks finds git at work.
    forge.behave(Behaviour::Slow(Duration::from_millis(400)));
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                seen.extend(command_lines());
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        let delivery = server.tell(&app, "refs/heads/main", &commit);
        let delivery = settled(&server, "shop", &delivery);
        done.store(true, Ordering::Relaxed);
        assert_eq!(delivery["state"], "planned", "{delivery:#}");
        looking.join().expect("looking went well")
    });
    let address = forge.address().to_string();
    assert!(
        seen.iter().any(|line| line.contains("fetch") && line.contains(&address)),
        "git was never seen at work"
    );
    let telling: Vec<_> = seen.iter().filter(|line| line.contains(PASSWORD)).collect();
    assert!(telling.is_empty(), "{telling:#?}");
}

/// The arguments of every process of the machine.
fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc");
    let lines = processes.flatten().filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn a_credential_that_cannot_be_read_is_named_and_fails_the_check() {
    let forge = Forge::start();
    let url = forge.create("shop");
    let server = neighbourly();
    server.create_app_with(
        "shop",
        &["--source", &url, "--credential", "secret://builtin/missing", "--poll", "24h"],
    );
    assert_found(&server, "shop", "credential", "missing");
    let refused = server.cli(&["app", "create", "other", "--source", &url, "--credential", "hunter2"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("secret://builtin/NAME"), "{}", refused.stderr);
}

#[test]
fn a_credential_in_the_address_is_refused_and_not_repeated() {
    let server = neighbourly();
    let url = format!("https://{USER}:{PASSWORD}@git.example.com/shop.git");
    let refused = server.cli(&["app", "create", "shop", "--source", &url]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("--credential"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(PASSWORD) && !server.log().contains(PASSWORD), "{}", refused.stderr);
}
