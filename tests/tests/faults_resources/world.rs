//! Applications and what tests ask of them.

use std::time::Duration;

use serde_json::Value;
use slipway_tests::server::{GitRepository, Server};
use slipway_tests::wait;

/// Files of the application `shop` with one component.
pub(crate) fn shop(dockerfile: &str) -> GitRepository {
    GitRepository::with(&[
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\n\
             components:\n  - {name: web, kit: dockerfile, context: web}\n",
        ),
        ("web/Dockerfile", dockerfile),
        ("web/index.html", "0\n"),
    ])
}

/// Asserts that a run failed for a reason that says this; gives the reason.
pub(crate) fn assert_failed(run: &Value, part: &str) -> String {
    assert_eq!(run["state"], "failed", "{run:#}");
    let reason = run["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains(part), "`{part}` is not in the reason: {run:#}");
    reason
}

/// Retries a run and asserts that it is done then; gives the new run.
pub(crate) fn assert_retry_is_done(server: &Server, run: &Value) -> Value {
    let id = run["id"].as_str().expect("a run has an id");
    let retried = server.json(&["run", "retry", id]);
    let retried = retried["id"].as_str().expect("a run has an id").to_owned();
    assert_ne!(retried, id);
    let run = wait::until("the retry ends", Duration::from_mins(2), || {
        let run = server.json(&["run", "show", &retried]);
        if run["finished_at"].is_string() { Ok(run) } else { Err(run) }
    });
    assert_eq!(run["state"], "done", "{run:#}");
    run
}

/// Noise that does not compress.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
