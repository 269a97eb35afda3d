//! The page of a run: what waits for what, what took longest, and what was there already.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_records::plan::ComponentPlan;
use slipway_records::{Build, Run};
use slipway_types::Digest;
use slipway_types::id::BuildId;
use slipway_types::label::Labels;
use slipway_types::state::{BuildState, RunEvent};

use crate::logs::{append, step};
use crate::pages::{Browser, between, hostile, hostile_run, is_page};
use crate::server::Server;

fn build(run: &Run, component: &str, needs: &[&str], state: BuildState) -> Build {
    let plan = ComponentPlan {
        name: component.parse().unwrap(),
        kit: "dockerfile".to_owned(),
        kit_digest: Digest::of("kit"),
        context: component.to_owned(),
        needs: needs.iter().map(|need| need.parse().unwrap()).collect(),
        image: None,
        files: Vec::new(),
        workload: Value::Null,
        labels: Labels::new(),
        checks: Vec::new(),
    };
    Build {
        id: BuildId::new(),
        run_id: run.id,
        application_id: run.application_id,
        component: component.parse().unwrap(),
        kit: "dockerfile".to_owned(),
        position: 0,
        backend: None,
        backend_why: None,
        plan: serde_json::to_value(plan).unwrap(),
        image_fingerprint: None,
        state,
        attempt: 1,
        stages_ms: json!({}),
        generation: 1,
        created_at: Utc::now(),
        started_at: None,
        finished_at: None,
    }
}

/// The build once it has ended after so many seconds.
fn ended(build: Build, seconds: i64) -> Build {
    let began = build.created_at;
    Build { started_at: Some(began), finished_at: Some(began + TimeDelta::seconds(seconds)), ..build }
}

#[tokio::test]
async fn a_run_shows_what_waits_for_what_and_names_the_slowest() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    step(&server, &run, RunEvent::Plan).await;
    step(&server, &run, RunEvent::Planned).await;
    let reused = BuildState::Reused { from: BuildId::new(), why: "as in run 1".to_owned(), images: vec![] };
    let mut api = ended(build(&run, "api", &["base"], BuildState::Pushed { images: vec![] }), 9);
    api.stages_ms = json!({"fetch": 500, "build": 8000});
    let waiting = BuildState::Queued { why: hostile(), retry_at: None };
    let builds = [ended(build(&run, "base", &[], reused), 0), api, build(&run, "web", &[], waiting)];
    let mut tx = server.records.begin().await.unwrap();
    tx.builds_insert(&builds).await.unwrap();
    tx.commit().await.unwrap();
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = is_page(&browser.get("/applications/shop/runs/1").await.is(200));
    for text in [
        "node good reused",
        ">base</text>",
        "as in run 1",
        "pushed · 9.0 s · slowest",
        "Slowest: api, 9.0 s · build 8.0 s",
        "node waiting",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // Planning to base, base to api, planning to web, api and web to packaging; base is passed on by api.
    assert_eq!(page.matches("class=\"line\"").count(), 5, "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
}

#[tokio::test]
async fn whoever_goes_back_through_a_long_log_comes_to_its_beginning() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    let long = "w".repeat(300_000);
    append(&server, &run, 0, &format!("first\n{long}\n{}", "line\n".repeat(30_000))).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let mut path = "/applications/shop/runs/1/logs/run".to_owned();
    let mut pages = 0;
    loop {
        let page = is_page(&browser.get(&path).await.is(200));
        assert!(page.contains("data-window=\"131072\"") && page.contains("<li id=\"b"), "{path} is empty");
        pages += 1;
        let before = between(&page, "<p id=\"before\" class=\"pager\"", "</p>");
        if before.starts_with(" hidden") {
            assert!(page.contains("<li id=\"b0\">") && page.contains("first"), "{path}");
            break;
        }
        let earlier = between(before, "</a> <a href=\"", "\"").to_owned();
        assert!(earlier != path && pages < 9, "{path} leads back to itself");
        path = earlier;
    }
    assert!(pages > 3, "450 kB do not fit {pages} pages");
}
