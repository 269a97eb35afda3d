//! Logs by offset, and streams that resume.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::{LogChunk, Run};
use slipway_records_sqlite::SqliteOptions;
use slipway_types::state::RunEvent;

use crate::pages::Browser;
use crate::rest::run;
use crate::server::{Answer, Server};

pub(crate) async fn append(server: &Server, run: &Run, offset: u64, text: &str) {
    let blob = server.blobs.put(text.as_bytes().to_vec()).await.unwrap();
    let mut tx = server.records.begin().await.unwrap();
    let chunk = LogChunk { offset, length: blob.size, digest: blob.digest, mark: None };
    assert!(tx.log_append(run.id.as_uuid(), &chunk).await.unwrap());
    tx.commit().await.unwrap();
}

async fn finish(server: &Server, run: &Run) {
    step(server, run, RunEvent::Skip("[skip ci]".into())).await;
}

pub(crate) async fn step(server: &Server, run: &Run, event: RunEvent) {
    let mut tx = server.records.begin().await.unwrap();
    let mut run = tx.run_get(run.id).await.unwrap().unwrap();
    let moved = run_move(tx.as_mut(), &mut run, event).await.unwrap();
    assert_eq!(moved, Moved::Stored);
    tx.commit().await.unwrap();
}

/// Events as (name, id, data).
fn events(answer: &Answer) -> Vec<(String, String, String)> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim_start().to_owned()
    };
    let text = answer.text();
    let blocks = text.split("\n\n").filter(|block| block.contains("event:"));
    blocks.map(|block| (field(block, "event"), field(block, "id"), field(block, "data"))).collect()
}

#[tokio::test]
async fn a_log_is_read_in_pieces_by_offset() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    append(&server, &run, 0, "hello ").await;
    append(&server, &run, 6, "world\n").await;
    let get = async |query: &str| server.get(&format!("/api/v1/runs/shop%231/log?{query}")).await;
    let piece = get("offset=3&limit=5").await.is(200);
    assert_eq!((piece.text().as_str(), piece.header("slipway-next-offset")), ("lo wo", "8"));
    assert_eq!(piece.header("slipway-log-complete"), "false");
    let piece = get("offset=8").await.is(200);
    assert_eq!((piece.text().as_str(), piece.header("slipway-log-complete")), ("rld\n", "false"));
    finish(&server, &run).await;
    let piece = get("offset=12").await.is(200);
    assert_eq!((piece.text().as_str(), piece.header("slipway-log-complete")), ("", "true"));
    let beyond = get("offset=18446744073709551615").await.is(200);
    assert_eq!((beyond.text().as_str(), beyond.header("slipway-log-complete")), ("", "true"));
    get("limit=0").await.problem(400, "bad_query");
    server.get("/api/v1/runs/shop%231/builds/api/log").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_cut_and_ends_with_the_run() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    append(&server, &run, 0, "one\n").await;
    append(&server, &run, 4, "zwö\n").await;
    let path = format!("/api/v1/runs/{}/log/stream", run.id);
    let send = |last: &'static str| {
        let request = Request::builder().method(Method::GET).uri(&path);
        let request = request.header("authorization", format!("Bearer {}", server.admin));
        server.send(request.header("last-event-id", last).body(Body::empty()).unwrap())
    };
    let (answer, ()) = tokio::join!(send("4"), async {
        append(&server, &run, 9, "three\n").await;
        finish(&server, &run).await;
    });
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let events = events(&answer);
    let (last, logs) = events.split_last().unwrap();
    assert_eq!((last.0.as_str(), last.1.as_str()), ("end", "15"));
    assert!(!last.2.is_empty(), "browsers pass over events without data");
    let text: String = logs
        .iter()
        .map(|(_, _, data)| serde_json::from_str::<Value>(data).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "zwö\nthree\n");
    send("x").await.problem(400, "bad_header");
}

#[tokio::test]
async fn a_runs_events_show_it_until_it_ends() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let path = format!("/api/v1/runs/{}/events", run.id);
    let (answer, ()) = tokio::join!(server.get(&path), finish(&server, &run));
    let events = events(&answer);
    let run: Value = serde_json::from_str(&events[events.len() - 2].2).unwrap();
    assert_eq!((&run["state"], &run["reason"]), (&json!("skipped"), &json!("[skip ci]")));
    assert_eq!(events.last().unwrap().0, "end");
}

#[tokio::test]
async fn whoever_reads_a_log_has_one_connection_and_none_while_its_bytes_come() {
    // With a single one, who asked for a second would wait for the first.
    let options = SqliteOptions { readers: 1, acquire_timeout_ms: 20_000, ..SqliteOptions::default() };
    let server = Server::over(options, |_| {}).await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    append(&server, &run, 0, "hello\n").await;
    finish(&server, &run).await;
    for path in ["/api/v1/runs/shop%231/log", "/api/v1/runs/shop%231/log/stream"] {
        assert!(server.get(path).await.is(200).text().contains("hello"), "{path}");
    }
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let log = "/applications/shop/runs/1/logs/run";
    for rest in ["", "?find=hell", "/stream?from=0", "/download"] {
        assert!(browser.get(&format!("{log}{rest}")).await.is(200).text().contains("hello"), "{rest}");
    }
}
