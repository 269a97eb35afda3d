//! The disk fills up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use slipway_tests::server::{Server, ServerOptions};
use slipway_tests::wait;
use tempfile::TempDir;

use crate::world::{assert_failed, assert_retry_is_done, noise, shop};

const MIB: usize = 1 << 20;
/// A step takes its files away once its end is known.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// A small disk of its own; needs root.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn new(mib: usize) -> Self {
        let directory = tempfile::Builder::new().prefix("slipway-disk.").tempdir().expect("a directory");
        let disk = Self { directory };
        disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "slipway-test"]);
        disk
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let ran = Command::new(program).args(args).arg(self.path()).output().expect("the program runs");
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills the disk until about this much is free.
    fn leave(&self, bytes: usize) {
        let free = self.free();
        let ballast = free.saturating_sub(bytes);
        let length = format!("{ballast}");
        let filled = Command::new("fallocate").args(["-l", &length]).arg(self.ballast()).status();
        assert!(filled.expect("fallocate runs").success(), "{ballast} of {free} bytes cannot be taken");
    }

    fn free(&self) -> usize {
        let answer =
            Command::new("df").args(["--output=avail", "-B1"]).arg(self.path()).output().expect("df runs");
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        text.lines().last().and_then(|line| line.trim().parse().ok()).expect("df gives a number")
    }

    fn relieve(&self) {
        fs::remove_file(self.ballast()).expect("the ballast can be removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

fn server_on(disk: &Disk, env: &[(&str, &str)]) -> Server {
    let options = ServerOptions { data: Some(disk.path().join("data")), ..ServerOptions::default() };
    let options = env.iter().fold(options, |options, (name, value)| options.env(name, value));
    Server::start(options.env("SLIPWAY__STORAGE__MIN_FREE_BYTES", "0"))
}

#[test]
fn faults_of_a_disk_that_fills_during_a_push_refuse_the_push_by_name() {
    let disk = Disk::new(48);
    let server = server_on(&disk, &[]);
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    server.publish(&app, &repository, "main", "Begin");
    disk.leave(MIB);
    repository.write("web/large", noise(4 * MIB, 1));
    let commit = repository.commit("Grow");
    let pushed = repository.push(&app.git_url, server.token(), &["HEAD:refs/heads/main"]);
    assert_ne!(pushed.code, 0, "{}", pushed.stderr);
    let said = pushed.stderr.to_lowercase();
    assert!(said.contains("space") || said.contains("disk"), "the cause is not named: {}", pushed.stderr);
    assert_eq!(server.get("/readyz").status, 200);
    disk.relieve();
    server.push(&app, &repository, &["HEAD:refs/heads/main"]);
    assert_eq!(server.wait_run("shop", &commit)["state"], "done");
}

#[test]
fn faults_of_a_disk_that_fills_during_a_build_fail_the_run_by_name_and_a_retry_succeeds() {
    let disk = Disk::new(64);
    let server = server_on(&disk, &[]);
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    server.publish(&app, &repository, "main", "Begin");
    // The pack fits; the layer, which holds the same file twelve times, does not.
    let block = noise(MIB, 2);
    for copy in 0..24 {
        repository.write(&format!("web/copy-{copy}"), &block);
    }
    disk.leave(8 * MIB);
    let run = server.deliver(&app, &repository, "main", "Grow");
    let reason = assert_failed(&run, "space");
    assert!(reason.contains("web"), "the component is not named: {reason}");
    let log = server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout;
    assert!(log.contains("space"), "the log does not tell: {log}");
    assert_eq!(server.bundles("shop").len(), 1);
    disk.relieve();
    let retried = assert_retry_is_done(&server, &run);
    assert_eq!(retried["version"], "0.1.0-main.2", "{retried:#}");
    wait::until("no spool file is left", GONE_WITHIN, || {
        let spooled = fs::read_dir(server.data().join("spool")).expect("the spool directory").count();
        if spooled == 0 { Ok(()) } else { Err(spooled) }
    });
}

#[test]
fn faults_of_a_disk_without_a_byte_left_are_told_and_survived() {
    let disk = Disk::new(48);
    let mut server = server_on(&disk, &[]);
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    let first = server.publish(&app, &repository, "main", "Begin");
    disk.leave(0);
    // The log of the database takes what is left of its last page, then nothing goes any more.
    let mut refused = None;
    for index in 0..400 {
        let made = server.cli(&["app", "create", &format!("app-{index}")]);
        if made.code != 0 {
            refused = Some(made.stderr);
            break;
        }
    }
    let refused = refused.expect("a full disk refuses at some time");
    assert!(refused.contains("disk") && refused.contains("full"), "the cause is not named: {refused}");
    let version = first["version"].as_str().expect("a version");
    assert_eq!(server.bundle("shop", version)["digest"], first["digest"], "what is there can be read");
    disk.relieve();
    repository.write("web/index.html", "1\n");
    server.publish(&app, &repository, "main", "Go on");
    server.stop();
    server.restart();
    assert_eq!(server.bundles("shop").len(), 2);
}

#[test]
fn faults_of_a_spool_at_its_limit_fail_the_run_by_the_limit_s_name() {
    let server = Server::start(ServerOptions::default().env("SLIPWAY__STORAGE__MAX_SPOOL_BYTES", "1048576"));
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    repository.write("web/large", noise(3 * MIB, 3));
    let commit = repository.commit("Large");
    let pushed = repository.push(&app.git_url, server.token(), &["HEAD:refs/heads/main"]);
    if pushed.code != 0 {
        assert!(pushed.stderr.contains("max_spool_bytes"), "{}", pushed.stderr);
        return;
    }
    assert_failed(&server.wait_run("shop", &commit), "max_spool_bytes");
}
