//! The page of a run: what waits for what, what took longest, and what was there already.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_records::plan::{ComponentPlan, ImagePlan};
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
    let pin = ImagePlan::Pin {
        reference: "registry.example.com/api:1".parse().unwrap(),
        digest: Digest::of("api"),
        platforms: Vec::new(),
        note: None,
    };
    api.plan["image"] = serde_json::to_value(pin).unwrap();
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
    // Only what makes an image writes a log.
    assert!(page.contains("/runs/1/logs/build.api\"") && !page.contains("/runs/1/logs/build.base"), "{page}");
    // Planning to base, base to api, planning to web, api and web to packaging; base is passed on by api.
    assert_eq!(page.matches("class=\"line\"").count(), 5, "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
}

/// Places of the lines on a log's page.
fn places(page: &str) -> Vec<u64> {
    let items = page.split("<li id=\"b").skip(1);
    items.map(|item| item.split_once('"').unwrap().0.parse().unwrap()).collect()
}

/// Where the way `id` on a log's page leads, if it leads anywhere.
fn way<'p>(page: &'p str, id: &str) -> Option<&'p str> {
    let way = between(page, &format!("<p id=\"{id}\" class=\"pager\""), "</p>");
    if way.starts_with(" hidden") {
        return None;
    }
    let link = way.split("<a ").find(|link| link.contains(" rel=\""));
    Some(between(link.unwrap(), "href=\"", "\""))
}

/// What a log's page has beside what its lines may weigh.
const FRAME_BYTES_MAX: usize = 10_000;

#[tokio::test]
async fn whoever_goes_through_a_long_log_comes_to_its_other_end_by_small_pages() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    let long = "w".repeat(300_000);
    let text =
        format!("first\n{long}\n{}{}last\n", "line\n".repeat(3_000), "\u{1b}[31m<\u{1b}[92m>\n".repeat(500));
    append(&server, &run, 0, &text).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let log = "/applications/shop/runs/1/logs/run";
    let mut ways = Vec::new();
    for (begin, id) in [(log.to_owned(), "before"), (format!("{log}?from=0"), "behind")] {
        let (mut path, mut pages, mut seen) = (begin, 0, Vec::new());
        loop {
            let page = is_page(&browser.get(&path).await.is(200));
            assert!(page.len() < 60_000 + FRAME_BYTES_MAX, "{path} has {} bytes", page.len());
            let lines = places(&page);
            assert!(!lines.is_empty(), "{path} is empty");
            seen.extend(lines);
            pages += 1;
            let Some(next) = way(&page, id) else { break };
            assert!(next != path && pages < 40, "{path} leads back to itself");
            path = next.to_owned();
        }
        assert!(pages > 10, "{} bytes do not fit {pages} pages", text.len());
        seen.sort_unstable();
        // How the long line is cut depends on where one comes from.
        seen.retain(|place| *place < 7 || *place > 300_006);
        ways.push(seen);
    }
    let lines = text.split_inclusive('\n').scan(0, |next, line| {
        let place = *next;
        *next += line.len() as u64;
        Some(place)
    });
    let mut lines: Vec<u64> = lines.collect();
    assert_eq!(lines.len(), 3_503);
    lines.retain(|place| *place < 7 || *place > 300_006);
    assert_eq!(ways, [lines.clone(), lines], "each line, once");
}

#[tokio::test]
async fn whoever_scrolls_gets_more_at_once_but_not_all() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    append(&server, &run, 0, &"compiling a part of the whole\n".repeat(30_000)).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let log = "/applications/shop/runs/1/logs/run";
    let mut sizes = Vec::new();
    for weight in ["", "&weight=1", "&weight=256000", "&weight=999999999"] {
        let page = is_page(&browser.get(&format!("{log}?from=0{weight}")).await.is(200));
        assert!(page.contains("data-further=\"256000\""), "{page}");
        sizes.push(page.len());
    }
    let [first, light, further, heavy] = sizes[..] else { panic!("{sizes:?}") };
    assert!(light.abs_diff(first) < 1_000 && heavy.abs_diff(further) < 1_000, "{sizes:?}");
    assert!(first < 60_000 + FRAME_BYTES_MAX && further < 256_000 + FRAME_BYTES_MAX, "{sizes:?}");
    assert!(further > 3 * first, "{sizes:?}");
    let found = is_page(&browser.get(&format!("{log}?find=part")).await.is(200));
    assert!(found.len() < 60_000 + FRAME_BYTES_MAX, "{} bytes", found.len());
    assert!(found.contains(" rel=\"next\""), "the rest is looked through");
}
