//! Checks as Jobs on a real cluster.

use slipway_tests::namespace::Namespace;
use slipway_tests::server::Server;

use crate::{await_line, checked, ended, log, picked, publish, script};

fn repository_of(all: &[serde_json::Value]) -> slipway_tests::server::GitRepository {
    let repository = checked(all);
    let file = std::fs::read_to_string(repository.path().join("slipway.yaml")).expect("the file");
    repository.write("slipway.yaml", file.replacen('{', "{\"backend\":\"kaniko\",", 1));
    repository.write(
        "web/Dockerfile",
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY greeting /\nCMD [\"/bin/busybox\"]\n",
    );
    repository
}

#[test]
fn checks_run_as_jobs_and_leave_nothing() {
    let namespace = Namespace::create();
    let server = Server::start(namespace.options());
    let app = server.create_app("shop");
    let mut slow = script("slow", "echo waits; /bin/busybox sleep 600");
    slow["timeoutSeconds"] = 3.into();
    let repository = repository_of(&[
        script(
            "unit",
            "/bin/busybox cat /greeting; test ! -e /var/run/secrets/kubernetes.io && /bin/busybox touch /tmp/x && ! /bin/busybox touch /x",
        ),
        script("lint", "echo wrong; exit 3"),
        slow,
        serde_json::json!({"name": "missing", "image": "web", "command": ["/no/such/program"]}),
    ]);
    let version = publish(&server, &app, &repository, "On the cluster");
    let unit = ended(&server, &version, "unit");
    assert_eq!(
        (&unit["state"], &unit["backend"]),
        (&"passed".into(), &"kaniko".into()),
        "{unit:#}\n{}",
        log(&server, &version, "unit")
    );
    assert!(log(&server, &version, "unit").contains("\nhello\n"), "{}", log(&server, &version, "unit"));
    let lint = ended(&server, &version, "lint");
    assert_eq!((&lint["state"], &lint["detail"]), (&"failed".into(), &"exit code 3".into()), "{lint:#}");
    let slow = ended(&server, &version, "slow");
    assert_eq!(
        (&slow["state"], &slow["detail"]),
        (&"timed_out".into(), &"it ran longer than timeoutSeconds = 3".into())
    );
    let missing = ended(&server, &version, "missing");
    assert_eq!(missing["state"], "failed", "{missing:#}");
    assert!(picked(&server)["bundle"].is_null());
    namespace.assert_empty();
}

#[test]
fn a_job_of_a_check_is_gone_on_with_after_a_kill() {
    let namespace = Namespace::create();
    let mut server = Server::start(namespace.options());
    let app = server.create_app("shop");
    let repository =
        repository_of(&[script("unit", "for i in 1 2 3 4 5 6; do echo line $i; /bin/busybox sleep 1; done")]);
    let version = publish(&server, &app, &repository, "Slow");
    await_line(&server, &version, "unit", "line 2\n");
    server.kill9();
    server.restart();
    let unit = ended(&server, &version, "unit");
    assert_eq!((&unit["state"], &unit["attempt"]), (&"passed".into(), &1.into()), "{unit:#}");
    let log = log(&server, &version, "unit");
    assert!(log.contains("slipway: going on with Job"), "{log}");
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6"], "{log}");
    namespace.assert_empty();
}
