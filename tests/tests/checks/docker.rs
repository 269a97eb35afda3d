//! What a check holds, and what lets it go.

use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::{WITHIN, await_line, checked, checks, declare, ended, log, options, picked, publish, script};

#[test]
fn a_bundle_is_held_until_its_checks_are_green() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[
        script(
            "unit",
            "/bin/busybox cat /greeting; echo told $WORD; test \"$(/bin/busybox cat /greeting)\" = hello",
        ),
        script("lint", "echo it is wrong >&2; exit 3"),
    ]);
    let first = publish(&server, &app, &repository, "One check is red");
    let unit = ended(&server, &first, "unit");
    assert_eq!((&unit["state"], &unit["holds"]), (&"passed".into(), &false.into()), "{unit:#}");
    assert_eq!(unit["backend"], "docker");
    assert!(log(&server, &first, "unit").contains("\nhello\n"), "{}", log(&server, &first, "unit"));
    let lint = ended(&server, &first, "lint");
    assert_eq!((&lint["state"], &lint["detail"]), (&"failed".into(), &"exit code 3".into()), "{lint:#}");
    assert!(log(&server, &first, "source/lint").contains("it is wrong"));

    let bundle = server.bundle("shop", &first);
    assert_eq!(bundle["held"][0], "source/lint is failed: exit code 3", "{bundle:#}");
    assert!(server.cli(&["bundle", "list", "shop"]).stdout.contains("(held)"));
    let run = server.cli(&["run", "show", "shop#1"]).stdout;
    assert!(run.contains("\nheld       source/lint is failed: exit code 3\n"), "{run}");
    let pick = picked(&server);
    assert!(pick["bundle"].is_null(), "{pick:#}");
    assert_eq!(pick["explanation"]["left_out"]["held"]["number"], 1, "{pick:#}");
    let said = pick["explanation"]["lines"].to_string();
    assert!(said.contains("held by checks that are not green"), "{said}");

    declare(&repository, &[script("unit", "/bin/busybox cat /greeting"), script("lint", "true")]);
    let second = publish(&server, &app, &repository, "Both are green");
    ended(&server, &second, "unit");
    assert_eq!(ended(&server, &second, "lint")["state"], "passed");
    assert_eq!(picked(&server)["bundle"]["version"], second.as_str());

    // Nothing that the checks see has changed.
    repository.write("README.md", "Read me.\n");
    let third = publish(&server, &app, &repository, "Words alone");
    let unit = ended(&server, &third, "unit");
    assert_eq!((&unit["state"], &unit["from"]), (&"passed".into(), &second.as_str().into()), "{unit:#}");
    assert_eq!(unit["attempt"], 0);
    assert!(log(&server, &third, "unit").contains("hello"), "the log of the one that stands in");

    // A release of the same commit has the same checks.
    repository.tag("v1.0.0");
    server.push(&app, &repository, &["refs/tags/v1.0.0"]);
    assert_eq!(server.wait_run_of("shop", &repository.head(), "v1.0.0")["version"], "1.0.0");
    assert_eq!(ended(&server, "1.0.0", "unit")["from"], second.as_str());
    assert_eq!(server.bundle("shop", "1.0.0")["held"], serde_json::Value::Null);
}

#[test]
fn a_check_is_run_again_or_waived_and_both_are_recorded() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[script("unit", "exit 1")]);
    let version = publish(&server, &app, &repository, "Red");
    assert_eq!(ended(&server, &version, "unit")["attempt"], 1);
    server.cli(&["check", "rerun", "shop", &version, "unit"]).ok();
    let again = ended(&server, &version, "unit");
    assert_eq!((&again["state"], &again["attempt"]), (&"failed".into(), &2.into()), "{again:#}");
    assert!(picked(&server)["bundle"].is_null());

    let made = server.json(&["token", "create", "dev", "--role", "developer"]);
    let developer = made["token"].as_str().expect("a token").to_owned();
    let waive = ["check", "waive", "shop", &version, "unit", "--reason", "the test server is down"];
    let refused = server.cli_as(&developer, &waive);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    let reported = ["check", "report", "shop", &version, "source/unit", "--state", "passed"];
    assert_ne!(server.cli(&reported).code, 0, "nobody reports what Slipway runs");
    assert_ne!(server.cli(&["check", "waive", "shop", &version, "unit", "--reason", " "]).code, 0);
    assert!(picked(&server)["bundle"].is_null());

    server.cli(&waive).ok();
    let waived = &checks(&server, &version)[0];
    assert_eq!((&waived["state"], &waived["holds"]), (&"failed".into(), &false.into()), "{waived:#}");
    assert_eq!(picked(&server)["bundle"]["version"], version.as_str());
    let audit = server.cli(&["audit", "list", "-o", "json"]).ok().stdout;
    for action in ["check.rerun", "check.waive", "the test server is down"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[test]
fn checks_of_a_run_that_is_done_are_stopped_with_it() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[script("slow", "echo begun; /bin/busybox sleep 600")]);
    let version = publish(&server, &app, &repository, "Slow");
    await_line(&server, &version, "slow", "begun\n");
    server.cli(&["run", "cancel", "shop#1"]).ok();
    assert_eq!(ended(&server, &version, "slow")["state"], "cancelled");
    crate::docker_kills::await_no_container(&server);
}

#[test]
fn a_server_without_an_engine_says_which_back_end_checks_need() {
    let server = Server::start(options().env("SLIPWAY__BUILD__DOCKER_HOST", "none"));
    let app = server.create_app("shop");
    let repository = checked(&[script("unit", "true")]);
    let run = server.deliver(&app, &repository, "main", "No engine");
    let said = run["fault"].to_string();
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(
        said.contains("source/unit") && said.contains("checks need the back-end docker or kaniko"),
        "{said}"
    );
}

#[test]
fn composing_frees_no_bundle_from_what_its_developers_check() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[]);
    let first = publish(&server, &app, &repository, "No checks yet");
    declare(&repository, &[script("lint", "exit 3")]);
    repository.write("web/greeting", "good day\n");
    let second = publish(&server, &app, &repository, "A check, and it is red");
    assert_eq!(ended(&server, &second, "lint")["state"], "failed");
    // Once what the held bundle has under another version, once its base's check over an older component.
    for (from, web, version) in [(&first, &second, "5.0.0"), (&second, &first, "6.0.0")] {
        let set = format!("web={web}");
        let create = [
            "bundle",
            "create",
            "shop",
            "--from",
            from,
            "--set",
            &set,
            "--version",
            version,
            "--reason",
            "a try",
        ];
        server.cli(&create).ok();
        assert_eq!(ended(&server, version, "lint")["state"], "failed", "{version}");
        let held = server.bundle("shop", version)["held"][0].to_string();
        assert!(held.contains("source/lint is failed"), "{version}: {held}");
    }
    assert_eq!(picked(&server)["bundle"]["version"], first.as_str());
}

#[test]
fn checks_of_a_composed_bundle_are_read_and_stopped_by_their_bundle() {
    let server = Server::start(options());
    let app = server.create_app("shop");
    let repository = checked(&[]);
    let first = publish(&server, &app, &repository, "No checks yet");
    declare(&repository, &[script("slow", "echo begun; /bin/busybox sleep 600")]);
    repository.write("web/greeting", "good day\n");
    let second = publish(&server, &app, &repository, "A check that takes long");
    server.cli(&["check", "cancel", "shop", &second, "slow"]).ok();
    assert_eq!(ended(&server, &second, "slow")["state"], "cancelled");

    let set = format!("web={first}");
    let version = "6.0.0";
    let create = ["bundle", "create", "shop", "--from", &second, "--set", &set, "--version", version];
    server.cli(&create).ok();
    // Its own log: by a run that of the bundle it was composed from is shown.
    wait::until("the composed bundle's check begins", WITHIN, || {
        let log = server.cli(&["check", "log", "shop", version, "slow"]).stdout;
        if log.contains("begun\n") { Ok(()) } else { Err(log) }
    });

    let made = server.json(&["token", "create", "eye", "--role", "reader"]);
    let reader = made["token"].as_str().expect("a token");
    assert!(server.cli_as(reader, &["check", "log", "shop", version, "slow"]).ok().stdout.contains("begun"));
    let cancel = ["check", "cancel", "shop", version, "source/slow"];
    assert_ne!(server.cli_as(reader, &cancel).code, 0, "a reader stops nothing");
    server.cli(&cancel).ok();
    let stopped = ended(&server, version, "slow");
    assert_eq!((&stopped["state"], &stopped["holds"]), (&"cancelled".into(), &true.into()), "{stopped:#}");
    assert_ne!(server.cli(&cancel).code, 0, "it is over");

    // Both ways to follow it end with it.
    let followed = server.cli(&["check", "log", "shop", version, "slow", "--follow"]).ok().stdout;
    assert!(followed.contains("begun"), "{followed}");
    let path = format!("/api/v1/bundles/shop/{version}/checks/source%2Fslow/log/stream");
    let streamed = server.get(&path).text();
    assert!(streamed.contains("begun") && streamed.contains("event: end"), "{streamed}");
    let subject = format!("bundle/shop/{version}");
    let audit = server.json(&["audit", "list", "--subject", &subject]).to_string();
    assert!(audit.contains("check.cancel"), "{audit}");
    crate::docker_kills::await_no_container(&server);
}
