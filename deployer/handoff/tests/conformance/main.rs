//! The conformance test, against a receiver that keeps to the contract and against ones that do not.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use slipway_handoff::conformance::{self, Options, Outcome, Report, probe};
use slipway_handoff::http::{Keys, Purpose, SigningKey};
use slipway_handoff::oci::{MemoryStore, OciOptions, OciReceiver};
use slipway_handoff::settings::base_url;
use slipway_handoff::{
    Answer, Command, HttpOptions, HttpReceiver, Key, NodeState, Order, Receiver, ReceiverError,
};
use slipway_network::Network;

mod reference;

use reference::{Fault, start};

const SECRET: &str = "fedcba9876543210fedcba9876543210";

fn key() -> Key {
    Key { environment: "eu/kind/conformance".parse().unwrap(), application: "conformance".parse().unwrap() }
}

fn signing_key() -> SigningKey {
    SigningKey::new("k1", &SECRET.to_owned().into()).unwrap()
}

fn client(address: &str, options: HttpOptions) -> HttpReceiver {
    // The first test to come installs it for all.
    drop(rustls::crypto::ring::default_provider().install_default());
    let base = base_url(address, true).unwrap();
    HttpReceiver::new(base, signing_key(), &Network::default(), options).unwrap()
}

async fn receiver(fault: Option<Fault>) -> HttpReceiver {
    client(&start(Keys::new([signing_key()]), fault).await, HttpOptions::default())
}

async fn report(fault: Option<Fault>) -> Report {
    let options = Options { event_timeout_ms: 200, event_poll_ms: 20, ..Options::new(key(), 1_000) };
    conformance::run_http(&receiver(fault).await, &options).await
}

#[tokio::test]
async fn the_reference_receiver_keeps_to_the_contract() {
    let report = report(None).await;
    assert!(report.passed(), "{report}");
    assert!(report.checks.len() >= 28, "{report}");
    assert!(report.to_string().ends_with("0 failed, 0 skipped"), "{report}");
}

#[tokio::test]
async fn the_oci_receiver_keeps_to_the_contract() {
    let receiver = OciReceiver::new(Arc::new(MemoryStore::default()), OciOptions::default());
    let report = conformance::run(&receiver, &Options::new(key(), 7)).await;
    assert!(report.passed(), "{report}");
    let skipped = report.checks.iter().filter(|check| matches!(check.outcome, Outcome::Skipped { .. }));
    assert_eq!(skipped.count(), 2, "only events: {report}");
}

#[tokio::test]
async fn every_fault_is_found_by_its_check() {
    for (fault, expected) in [
        (Fault::BelievesAnybody, "signature_of_another_key_is_refused"),
        (Fault::IgnoresTime, "replayed_request_is_refused"),
        (Fault::IgnoresPurpose, "signature_for_another_purpose_is_refused"),
        (Fault::TrustsManifests, "altered_manifest_is_rejected"),
        (Fault::TakesAnyContract, "unknown_contract_is_unsupported"),
        (Fault::TrustsDigest, "altered_document_is_rejected"),
        (Fault::TakesEmpty, "empty_graph_is_rejected"),
        (Fault::NewRunEachTime, "same_submission_is_the_same_run"),
        (Fault::ForgetsRevision, "other_revision_is_a_conflict"),
        (Fault::ForgetsGeneration, "older_generation_is_stale"),
        (Fault::DryRunCounts, "dry_run_takes_no_generation"),
        (Fault::FallingEvents, "events_come_and_rise"),
        (Fault::IgnoresSince, "events_are_told_after_a_number"),
        (Fault::NoEvents, "events_come_and_rise"),
        (Fault::LeavesOutWhatItCannot, "undeclared_secret_is_unsupported"),
        (Fault::NewAnswerToOldOrder, "same_order_is_the_same_answer"),
        (Fault::ForgetsRemoved, "generation_before_a_delete_is_stale"),
        (Fault::FailsOnNonsense, "malformed_body_is_400"),
    ] {
        let report = report(Some(fault)).await;
        assert!(report.failed().any(|name| name == expected), "{fault:?}\n{report}");
    }
}

#[tokio::test]
async fn answers_events_and_orders_pass_through() {
    let receiver = receiver(None).await;
    let (submission, manifests) = probe::submission(&key(), 5, "hello");
    let Answer::Accepted { run } = receiver.submit(&submission, &manifests).await.unwrap() else { panic!() };
    let events = receiver.observe(&key(), 0).await.unwrap();
    assert_eq!(events.last().unwrap().state, NodeState::Ready);
    assert!(receiver.observe(&key(), events.last().unwrap().sequence).await.unwrap().is_empty());
    let (id, command, by) = ("1".into(), Command::Suspend, "ann".into());
    let reason = Some("the database is slow".into());
    let order = Order { id, key: key(), generation: 5, command, by, reason };
    assert_eq!(receiver.command(&order).await.unwrap(), Answer::Accepted { run });
}

#[tokio::test]
async fn what_is_too_large_is_not_sent() {
    let small = HttpOptions { max_submission_bytes: 50, ..HttpOptions::default() };
    let receiver = client("http://127.0.0.1:9/", small);
    let (submission, manifests) = probe::submission(&key(), 5, "hello");
    let Answer::Rejected { violations } = receiver.submit(&submission, &manifests).await.unwrap() else {
        panic!()
    };
    assert_eq!(violations[0].code, "submission_too_large");
}

#[tokio::test]
async fn what_a_service_does_wrong_is_classed() {
    for (status, transient) in [
        (500, true),
        (503, true),
        (429, true),
        (408, true),
        (302, false),
        (401, false),
        (404, false),
        (418, false),
    ] {
        let address = reference::answering(status, "7", "no\u{7} more".into()).await;
        let receiver = client(&address, HttpOptions::default());
        let error = receiver.describe().await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{status}: {error}");
        assert!(error.to_string().contains("no  more"), "{error}");
        if let ReceiverError::Unavailable { retry_after_ms, .. } = error {
            assert_eq!(retry_after_ms, Some(7_000));
        }
    }
    let address = reference::answering(200, "0", "{}".repeat(100)).await;
    let nonsense = client(&address, HttpOptions::default()).describe().await.unwrap_err();
    assert!(matches!(nonsense, ReceiverError::Protocol { .. }), "{nonsense}");
    let small = HttpOptions { max_answer_bytes: 10, ..HttpOptions::default() };
    let long = client(&address, small).describe().await.unwrap_err();
    assert!(long.to_string().contains("max_answer_bytes"), "{long}");
    let gone = client("http://127.0.0.1:9/", HttpOptions::default()).describe().await.unwrap_err();
    assert!(gone.is_transient(), "{gone}");
}

#[tokio::test]
async fn a_service_that_takes_a_connection_and_says_nothing_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let taken = tokio::spawn(async move { silent.accept().await.unwrap() });
    let impatient = HttpOptions { request_timeout_ms: 300, ..HttpOptions::default() };
    let (id, command, by) = ("1".into(), Command::Suspend, "ann".into());
    let order = Order { id, key: key(), generation: 5, command, by, reason: None };
    let error = client(&address, impatient).command(&order).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("does not answer in time"), "{error}");
    drop(taken.await.unwrap());
}

#[tokio::test]
async fn answers_that_cannot_be_kept_are_refused() {
    let (submission, manifests) = probe::submission(&key(), 5, "hello");
    for body in [
        r#"{"answer":"accepted","run":""}"#.to_owned(),
        format!(r#"{{"answer":"accepted","run":"{}"}}"#, "x".repeat(513)),
        r#"{"answer":"accepted","run":"a\nb"}"#.to_owned(),
        r#"{"answer":"rejected","violations":[]}"#.to_owned(),
        r#"{"answer":"perhaps"}"#.to_owned(),
    ] {
        let receiver = client(&reference::answering(200, "0", body.clone()).await, HttpOptions::default());
        let error = receiver.submit(&submission, &manifests).await.unwrap_err();
        assert!(matches!(error, ReceiverError::Protocol { .. }), "{body}: {error}");
    }
    let violation = format!(r#"{{"code":"c","path":"p","message":"{}"}}"#, "m".repeat(5_000));
    let body = format!(r#"{{"answer":"rejected","violations":[{}]}}"#, vec![violation; 300].join(","));
    let receiver = client(&reference::answering(200, "0", body).await, HttpOptions::default());
    let Answer::Rejected { violations } = receiver.submit(&submission, &manifests).await.unwrap() else {
        panic!()
    };
    assert_eq!((violations.len(), violations[0].message.len()), (200, 2_000));
}

#[tokio::test]
async fn the_secret_never_shows() {
    let receiver = receiver(None).await;
    let claim = receiver.channel().key().sign(Purpose::Submit, b"", chrono::Utc::now());
    assert!(!format!("{claim:?} {:?}", receiver.channel().key()).contains(SECRET));
}
