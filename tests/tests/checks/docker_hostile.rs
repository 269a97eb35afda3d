//! Checks that try to harm: each ends by its limit, and nothing of it stays.

use serde_json::json;
use slipway_tests::server::Server;

use crate::{checked, ended, log, options, publish, script};

const LOG_MAX: usize = 300_000;

#[test]
fn hostile_checks_end_by_their_limits() {
    let server = Server::start(
        options()
            .env("SLIPWAY__BUILD__MAX_LOG_BYTES", &LOG_MAX.to_string())
            .env("SLIPWAY__BUILD__CHECK_MEMORY_BYTES", "67108864")
            .env("SLIPWAY__BUILD__CHECK_PIDS", "64")
            .env("SLIPWAY__BUILD__MAX_BUILDS", "3"),
    );
    let app = server.create_app("shop");
    let timed = |name: &str, seconds: u32, text: &str| {
        let mut check = script(name, text);
        check["timeoutSeconds"] = seconds.into();
        check
    };
    let probe = "/bin/busybox grep -q 'CapEff:.0000000000000000' /proc/self/status || exit 11
        /bin/busybox grep -q 'NoNewPrivs:.1' /proc/self/status || exit 12
        /bin/busybox touch /written 2>/dev/null && exit 13
        /bin/busybox mount -t tmpfs none /proc 2>/dev/null && exit 14
        test -e /var/run/docker.sock && exit 15
        /bin/busybox mknod /tmp/disk b 8 0 2>/dev/null && exit 16
        /bin/busybox touch /tmp/written || exit 17
        echo shut in";
    let repository = checked(&[
        // Long enough that a busy engine has begun it: its time counts from when its container is made.
        timed("sleeps", 10, "echo waits; /bin/busybox sleep 600"),
        timed("floods", 8, "/bin/busybox yes a line of the flood"),
        timed(
            "eats",
            60,
            "/bin/busybox dd if=/dev/zero of=/tmp/x bs=1M count=400; x=$(/bin/busybox yes | /bin/busybox head -c 400000000)",
        ),
        timed(
            "forks",
            20,
            "bomb() { bomb | bomb & }; bomb; i=0; while [ $i -lt 500 ]; do /bin/busybox sleep 30 & i=$((i + 1)); done; echo made all",
        ),
        timed("probes", 60, probe),
        json!({"name": "missing", "image": "web", "command": ["/no/such/program"]}),
        json!({"name": "data", "image": "web", "command": ["/greeting"]}),
    ]);
    let version = publish(&server, &app, &repository, "Harm");

    let sleeps = ended(&server, &version, "sleeps");
    assert_eq!(sleeps["state"], "timed_out", "{sleeps:#}");
    assert_eq!(sleeps["detail"], "it ran longer than timeoutSeconds = 10");
    assert!(log(&server, &version, "sleeps").contains("waits\n"));

    let floods = ended(&server, &version, "floods");
    assert_eq!(floods["state"], "timed_out", "{floods:#}");
    let kept = log(&server, &version, "floods").len();
    assert!((LOG_MAX..LOG_MAX + 1_000_000).contains(&kept), "{kept} bytes are kept");

    let eats = ended(&server, &version, "eats");
    assert_eq!(eats["state"], "failed", "{eats:#}");

    let forks = ended(&server, &version, "forks");
    assert_ne!(forks["state"], "passed", "{forks:#}\n{}", log(&server, &version, "forks"));
    assert!(!log(&server, &version, "forks").lines().any(|line| line == "made all"));

    let probes = ended(&server, &version, "probes");
    assert_eq!(probes["state"], "passed", "{probes:#}\n{}", log(&server, &version, "probes"));
    assert!(log(&server, &version, "probes").contains("shut in\n"));

    for name in ["missing", "data"] {
        let check = ended(&server, &version, name);
        assert_eq!(check["state"], "failed", "{check:#}");
        let detail = check["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with("the command did not begin"), "{detail}");
    }
    crate::docker_kills::await_no_container(&server);
}

#[test]
fn what_a_check_may_not_ask_for_is_refused_at_its_place() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    for (key, value) in [
        ("privileged", json!(true)),
        ("volumes", json!(["/:/host"])),
        ("network", json!("host")),
        ("user", json!("root")),
    ] {
        let mut check = script("unit", "true");
        check[key] = value;
        let repository = checked(&[check]);
        let run = server.deliver(&app, &repository, &format!("try-{key}"), key);
        let said = run["fault"].to_string();
        assert!(run["state"] == "failed" && said.contains(&format!("unknown key `{key}`")), "{run:#}");
    }
}
