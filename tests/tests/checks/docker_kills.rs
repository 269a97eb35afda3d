//! The server is killed while a check runs: the end is the same, and nothing stays.

use std::fs;
use std::process::Command;

use slipway_records::fault_point::CHECK_POINTS;
use slipway_tests::server::{Server, run_within};
use slipway_tests::{services, wait};

use crate::{WITHIN, await_line, checked, ended, log, options, picked, publish, script};

/// Names of containers of checks whose label is this server's.
fn containers(server: &Server) -> Vec<String> {
    let owner = fs::read_to_string(server.data().join("instance")).expect("the server's name");
    let mut command = Command::new(services::tool("docker"));
    let filter = format!("label=dev.slipway.build={}", owner.trim());
    command.args(["--host", &services::docker().host, "ps", "--all", "--format", "{{.Names}}"]);
    command.args(["--filter", &filter]).env("HOME", server.scratch());
    let listed = run_within(command, WITHIN);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    listed.text().lines().map(str::to_owned).collect()
}

/// Waits until the engine has none of them.
pub(crate) fn await_no_container(server: &Server) {
    wait::until("no container is left", WITHIN, || {
        let left = containers(server);
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    });
}

#[test]
fn a_check_that_was_killed_anywhere_has_one_end() {
    let mut server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[]);
    let marker = server.scratch().join("stopped");
    for point in CHECK_POINTS {
        server.stop();
        drop(fs::remove_file(&marker));
        let options = server.options_mut();
        options.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
        options.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
        server.restart();
        crate::declare(
            &repository,
            &[script("unit", &format!("echo killed at {point}; /bin/busybox sleep 1"))],
        );
        let version = publish(&server, &app, &repository, point);
        wait::holds(&format!("the server comes to {point}"), WITHIN, || {
            fs::read_to_string(&marker).is_ok_and(|reached| !reached.is_empty())
        });
        server.kill9();
        server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        server.restart();
        let check = ended(&server, &version, "unit");
        assert_eq!((&check["state"], &check["attempt"]), (&"passed".into(), &1.into()), "{point}: {check:#}");
        assert_eq!(picked(&server)["bundle"]["version"], version.as_str(), "killed at {point}");
        await_no_container(&server);
    }
}

#[test]
fn a_check_whose_server_was_killed_while_it_ran_runs_again() {
    let mut server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[script("unit", "echo begun; /bin/busybox sleep 10; echo over")]);
    let version = publish(&server, &app, &repository, "Slow");
    await_line(&server, &version, "unit", "begun\n");
    server.kill9();
    assert!(!containers(&server).is_empty(), "the container outlives the server");
    server.restart();
    assert_eq!(ended(&server, &version, "unit")["state"], "passed");
    assert!(log(&server, &version, "unit").contains("over\n"));
    await_no_container(&server);
}
