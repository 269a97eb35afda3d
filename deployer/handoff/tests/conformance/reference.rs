//! A small receiver that keeps to the contract, and can be told to break it in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use chrono::Utc;
use serde::Serialize;
use slipway_handoff::http::{Claim, Keys, ObserveRequest, Purpose, Report, SubmitRequest, Unproven};
use slipway_handoff::revision::Limits;
use slipway_handoff::{
    Answer, Capability, Description, Event, Key, Known, Mode, NodeState, Order, Submission, admission, admit,
};
use slipway_types::{Digest, Violation};

/// How it breaks the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    BelievesAnybody,
    IgnoresTime,
    IgnoresPurpose,
    TrustsManifests,
    TakesAnyContract,
    TrustsDigest,
    TakesEmpty,
    NewRunEachTime,
    ForgetsRevision,
    ForgetsGeneration,
    DryRunCounts,
    FallingEvents,
    IgnoresSince,
    NoEvents,
    LeavesOutWhatItCannot,
    NewAnswerToOldOrder,
    ForgetsRemoved,
    FailsOnNonsense,
}

struct Receiver {
    keys: Keys,
    fault: Option<Fault>,
    state: Mutex<BTreeMap<Key, Kept>>,
}

#[derive(Default)]
struct Kept {
    known: Option<Known>,
    events: Vec<Event>,
    orders: BTreeMap<String, Answer>,
    runs: u64,
}

/// Starts one, and says where.
pub(crate) async fn start(keys: Keys, fault: Option<Fault>) -> String {
    let receiver = Arc::new(Receiver { keys, fault, state: Mutex::default() });
    serve(Router::new().route("/base/v1/{purpose}", post(handle)).with_state(receiver)).await + "base/"
}

/// Starts something that gives one answer to everything.
pub(crate) async fn answering(status: u16, retry_after: &'static str, body: String) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = move || async move { (status, [("retry-after", retry_after), ("location", "/")], body) };
    serve(Router::new().fallback(any(answer))).await
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

async fn handle(
    State(receiver): State<Arc<Receiver>>,
    Path(purpose): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let all = [Purpose::Describe, Purpose::Submit, Purpose::Observe, Purpose::Command];
    let Some(purpose) = all.into_iter().find(|known| known.as_str() == purpose) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let claim = Claim::read(|name| headers.get(name)?.to_str().ok());
    if let Err(error) = receiver.proven(purpose, &claim, &body) {
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
    }
    match purpose {
        Purpose::Describe => json(&receiver.describe()),
        Purpose::Submit => match serde_json::from_slice(&body) {
            Ok(request) => json(&receiver.submit(request).await),
            Err(_) if receiver.has(Fault::FailsOnNonsense) => {
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        },
        Purpose::Observe => json(&receiver.observe(&serde_json::from_slice(&body).unwrap())),
        _ => json(&receiver.command(&serde_json::from_slice(&body).unwrap())),
    }
}

fn json(value: &impl Serialize) -> Response {
    ([("content-type", "application/json")], serde_json::to_vec(value).unwrap()).into_response()
}

impl Receiver {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn proven(&self, purpose: Purpose, claim: &Claim, body: &[u8]) -> Result<(), Unproven> {
        let window_ms = if self.has(Fault::IgnoresTime) { u64::MAX } else { 300_000 };
        let verify = |purpose| self.keys.verify(purpose, claim, body, Utc::now(), window_ms).map(drop);
        match verify(purpose) {
            Err(Unproven::Mismatch) if self.has(Fault::BelievesAnybody) => Ok(()),
            Err(Unproven::Mismatch) if self.has(Fault::IgnoresPurpose) => verify(Purpose::Observe),
            verdict => verdict,
        }
    }

    fn describe(&self) -> Description {
        Description {
            receiver: "reference 1".into(),
            contracts: BTreeSet::from([1]),
            capabilities: self.capabilities(),
        }
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        use Capability::{Delete, DryRun, Observe, Resume, Retry, Suspend};
        BTreeSet::from([Observe, Suspend, Resume, Retry, Delete, DryRun])
    }

    async fn submit(&self, mut request: SubmitRequest) -> Answer {
        self.forgive(&mut request.submission);
        let SubmitRequest { submission, .. } = &request;
        let limits = Limits::default();
        let mut capabilities = self.capabilities();
        if self.has(Fault::LeavesOutWhatItCannot) {
            capabilities.extend([Capability::Secrets, Capability::Conditions, Capability::Workflow]);
        }
        let known = self.known(submission);
        if let Some(answer) = admit(submission, known.as_ref(), &capabilities, &limits) {
            return answer;
        }
        let checked = admission::admit_objects(submission, &request.manifests(), &limits).await;
        match checked {
            Ok(Some(answer)) => return answer,
            Err(error) if !self.has(Fault::TrustsManifests) => {
                let violations = vec![Violation::new("manifest_missing", "graph", error.to_string())];
                return Answer::Rejected { violations };
            }
            _ => {}
        }
        self.take(submission)
    }

    /// Makes what is wrong right, where the fault is not to see it.
    fn forgive(&self, submission: &mut Submission) {
        match self.fault {
            Some(Fault::TakesAnyContract) => submission.contract = 1,
            Some(Fault::TrustsDigest) => submission.revision = submission.document.digest(),
            Some(Fault::TakesEmpty) => {
                submission.document.allow_empty = true;
                submission.revision = submission.document.digest();
            }
            _ => {}
        }
    }

    fn known(&self, submission: &Submission) -> Option<Known> {
        let state = self.state.lock().unwrap();
        let known = state.get(&submission.key)?.known.clone()?;
        let forgotten = match self.fault {
            Some(Fault::ForgetsRevision) => known.generation == submission.generation,
            Some(Fault::ForgetsGeneration) => true,
            _ => false,
        };
        (!forgotten).then_some(known)
    }

    fn take(&self, submission: &Submission) -> Answer {
        let mut state = self.state.lock().unwrap();
        let kept = state.entry(submission.key.clone()).or_default();
        if submission.mode == Mode::DryRun && !self.has(Fault::DryRunCounts) {
            return Answer::Accepted { run: "dry".into() };
        }
        let is_same = kept.known.as_ref().is_some_and(|known| known.generation == submission.generation);
        if let Some(known) = kept.known.as_ref().filter(|_| is_same && !self.has(Fault::NewRunEachTime)) {
            return Answer::Accepted { run: known.run.clone() };
        }
        kept.runs += 1;
        let run = format!("run-{}", kept.runs);
        let revision: Digest = submission.revision;
        kept.known = Some(Known { generation: submission.generation, revision, run: run.clone() });
        if submission.mode == Mode::Delete && self.has(Fault::ForgetsRemoved) {
            kept.known = None;
        }
        for state in [NodeState::Applying, NodeState::Waiting, NodeState::Ready] {
            let sequence = kept.events.len() as u64 + 1;
            kept.events.push(Event {
                sequence,
                key: submission.key.clone(),
                generation: submission.generation,
                node: None,
                state,
                reason: String::new(),
                observed_at: Utc::now(),
                outputs: BTreeMap::new(),
                filled: Vec::new(),
            });
        }
        Answer::Accepted { run }
    }

    fn observe(&self, request: &ObserveRequest) -> Report {
        let since = if self.has(Fault::IgnoresSince) { 0 } else { request.since };
        let state = self.state.lock().unwrap();
        let events = state.get(&request.key).map(|kept| kept.events.as_slice()).unwrap_or_default();
        let wanted = events.iter().filter(|event| event.sequence > since);
        let mut events: Vec<Event> = wanted.take(request.limit).cloned().collect();
        match self.fault {
            Some(Fault::FallingEvents) => events.reverse(),
            Some(Fault::NoEvents) => events.clear(),
            _ => {}
        }
        Report { events }
    }

    fn command(&self, order: &Order) -> Answer {
        if !self.capabilities().contains(&order.command.capability()) {
            return Answer::unsupported(order.command.capability(), "not here");
        }
        let mut state = self.state.lock().unwrap();
        let kept = state.entry(order.key.clone()).or_default();
        if let Some(answer) = kept.orders.get(&order.id).filter(|_| !self.has(Fault::NewAnswerToOldOrder)) {
            return answer.clone();
        }
        kept.runs += 1;
        let answer = match &kept.known {
            Some(known) if known.generation > order.generation => Answer::Stale { current: known.generation },
            Some(known) if self.has(Fault::NewAnswerToOldOrder) => {
                Answer::Accepted { run: format!("{}-{}", known.run, kept.runs) }
            }
            Some(known) => Answer::Accepted { run: known.run.clone() },
            None => Answer::Rejected {
                violations: vec![Violation::new("key_unknown", "key", "nothing was submitted for this key")],
            },
        };
        kept.orders.insert(order.id.clone(), answer.clone());
        answer
    }
}
