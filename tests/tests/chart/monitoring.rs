//! Alert rules and dashboard, against promtool and a server that builds.

use std::collections::BTreeSet;
use std::fs;

use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::server::{GitRepository, Server, running, tool_output};
use slipway_tests::wait;

use crate::helm::deploy;

#[test]
fn rules_fire_when_they_are_to() {
    let path = |file: &str| deploy("chart/monitoring").join(file).display().to_string();
    tool_output("promtool", &["check", "rules", &path("alerts.yaml")]);
    tool_output("promtool", &["test", "rules", &path("alerts-test.yaml")]);
    let alerts = fs::read_to_string(path("alerts.yaml")).expect("rules");
    let tested = fs::read_to_string(path("alerts-test.yaml")).expect("tests of rules");
    for name in alerts.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")) {
        assert!(tested.contains(&format!("alertname: {name}\n")), "{name} is never seen to fire");
    }
    for part in ["labels: {severity: ", "summary: ", "description: "] {
        let rules = alerts.matches("- alert: ").count();
        assert_eq!(alerts.matches(part).count(), rules, "every rule has {part}");
    }
}

/// Every word of Slipway's that a text names.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("slipway_")).map(ToOwned::to_owned).collect()
}

#[test]
fn kaniko_is_measured_and_every_metric_named_is_served() {
    let namespace = Namespace::create();
    // One at a time, so that the second waits.
    let mut options = namespace.options();
    let clusters = options.env.get_mut("SLIPWAY__KANIKO__CLUSTERS").expect("a cluster");
    *clusters = clusters.replace("max_jobs = 4", "max_jobs = 1");
    let server = Server::start(options);
    let app = server.create_app("shop");
    let served = || server.get("/metrics").text();
    await_line(&served, "slipway_kaniko_cluster_up{cluster=\"test\"} 1");
    await_line(&served, "slipway_kaniko_jobs_max{cluster=\"test\"} 1");

    let branches = ["one", "two"].map(|branch| {
        let repository = running(&format!("/bin/busybox sleep 8; echo {branch} > /made"));
        let commit = repository.commit("Build slowly");
        let (url, token) = (app.git_url.clone(), server.token().to_owned());
        let push = std::thread::spawn(move || {
            let to = format!("HEAD:refs/heads/{branch}");
            GitRepository::push_from(repository.path(), &url, &token, &[&to]).code
        });
        (branch, commit, push)
    });
    await_line(&served, "slipway_kaniko_jobs{cluster=\"test\",state=\"running\"} 1");
    let mut page = await_line(&served, "slipway_queue_jobs{kind=\"cluster_build\",state=\"ready\"} 1");
    for (branch, commit, push) in branches {
        assert_eq!(push.join().expect("a push"), 0);
        assert_eq!(server.wait_run_of("shop", &commit, branch)["state"], "done");
    }
    await_line(&served, "slipway_kaniko_jobs{cluster=\"test\",state=\"running\"} 0");
    await_line(&served, "slipway_stage_seconds_count{stage=\"build\",outcome=\"pushed\"} 2");

    // One that proves nothing.
    let source = server.create_app_with("mirror", &["--source", "https://git.example.com/mirror.git"]);
    let hook = source.webhook_urls["generic"].as_str().expect("an address").to_owned();
    let path = hook.strip_prefix(server.url()).expect("an address of this server");
    assert!(server.request("POST", path, &[], b"{}").status >= 400);

    page.push_str(&served());
    let free: f64 = value(&page, "slipway_data_free_bytes").parse().expect("a number");
    assert!(free > 1e6, "{free}");
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = fs::read_to_string(deploy("chart/monitoring").join(file)).expect("a file");
        let named = metrics(&text);
        assert!(named.len() > 5, "{named:?}");
        for metric in named {
            let has_sample = page.lines().any(|line| {
                line.strip_prefix(metric.as_str()).is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            assert!(has_sample, "{file} names {metric}, which nobody serves:\n{page}");
        }
    }
}

fn value<'a>(page: &'a str, metric: &str) -> &'a str {
    page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')).expect("a sample")
}

/// The page once it has that line.
fn await_line(served: &dyn Fn() -> String, line: &str) -> String {
    wait::until(&format!("served: {line}"), JOB_WITHIN, || {
        let page = served();
        if page.lines().any(|found| found == line) { Ok(page) } else { Err(page) }
    })
}
