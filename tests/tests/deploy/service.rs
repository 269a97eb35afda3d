//! A receiver of somebody else's: it keeps to the contract, by HTTP, and fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};
use slipway_handoff::http::{Claim, Keys, ObserveRequest, Purpose, Report, SigningKey, SubmitRequest};
use slipway_handoff::revision::Limits;
use slipway_handoff::{
    Answer, Capability, Command, Description, Event, Key, Known, NodeState, Order, Submission, admit,
};
use slipway_tests::server::{Answer as HttpAnswer, Server};
use slipway_tests::wait;

/// The key that both sides have.
pub(crate) const SECRET: &str = "fedcba9876543210fedcba9876543210";
const WINDOW_MS: u64 = 300_000;
const ASKED_WITHIN: Duration = Duration::from_secs(60);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every answer is this status.
    Answers(u16),
    /// It takes a submission or an order and does not get round to saying so.
    TakesInSilence,
    /// It hears no order.
    HearsNoOrders,
    /// It answers with a run that is no name.
    LiesAboutTheRun,
}

#[derive(Default)]
struct Kept {
    can: BTreeSet<Capability>,
    known: BTreeMap<Key, Known>,
    submissions: Vec<Submission>,
    events: Vec<Event>,
    /// Those that did something: one that comes again does nothing.
    orders: Vec<Order>,
    /// The identifiers of those that came, repetitions included.
    ordered: Vec<String>,
    fault: Option<Fault>,
    refused: usize,
}

/// A running one.
#[derive(Clone)]
pub(crate) struct Service {
    url: String,
    kept: Arc<Mutex<Kept>>,
}

impl Service {
    /// Starts one that can do `can`.
    pub(crate) fn start(can: impl IntoIterator<Item = Capability>) -> Self {
        let kept = Arc::new(Mutex::new(Kept { can: can.into_iter().collect(), ..Kept::default() }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}/base", listener.local_addr().expect("an address"));
        let router = Router::new().route("/base/v1/{purpose}", post(handle)).with_state(Arc::clone(&kept));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                axum::serve(listener, router).await
            })
        });
        Self { url, kept }
    }

    /// Settings of an environment that hands off to it.
    pub(crate) fn settings(&self) -> Value {
        json!({"receiver": {"type": "http", "url": self.url, "keyId": "k1", "key": "secret://builtin/core-key"}})
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it fail, or no longer.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        let mut kept = self.kept();
        kept.fault = fault;
        kept.refused = 0;
    }

    /// What was submitted, repetitions included.
    pub(crate) fn submissions(&self) -> Vec<Submission> {
        self.kept().submissions.clone()
    }

    /// The identifiers of orders that came, repetitions included.
    pub(crate) fn ordered(&self) -> Vec<String> {
        self.kept().ordered.clone()
    }

    /// What it was told to do, each once.
    pub(crate) fn commands(&self) -> Vec<Command> {
        self.kept().orders.iter().map(|order| order.command.clone()).collect()
    }

    /// Waits until it has failed so many requests.
    pub(crate) fn await_failed(&self, count: usize) {
        wait::holds(&format!("it is asked {count} times"), ASKED_WITHIN, || self.kept().refused >= count);
    }

    /// An event about the newest submission, with the next number.
    pub(crate) fn event(&self, node: Option<&str>, state: NodeState, reason: &str) -> Event {
        let kept = self.kept();
        let submission = kept.submissions.last().expect("something was submitted");
        Event {
            sequence: kept.events.iter().map(|event| event.sequence).max().unwrap_or(0) + 1,
            key: submission.key.clone(),
            generation: submission.generation,
            node: node.map(str::to_owned),
            state,
            reason: reason.to_owned(),
            observed_at: Utc::now(),
            outputs: BTreeMap::new(),
            filled: Vec::new(),
        }
    }

    /// Keeps an event for those who ask.
    pub(crate) fn happens(&self, node: Option<&str>, state: NodeState, reason: &str) -> Event {
        let event = self.event(node, state, reason);
        self.kept().events.push(event.clone());
        event
    }
}

/// Reports events to the server, signed with `secret`.
pub(crate) fn report(server: &Server, address: &str, secret: &str, events: &[Event]) -> HttpAnswer {
    let body = serde_json::to_vec(&Report { events: events.to_vec() }).expect("JSON");
    report_raw(server, address, secret, Purpose::Report, &body)
}

/// Sends a body as a report, signed for `purpose`.
pub(crate) fn report_raw(
    server: &Server,
    address: &str,
    secret: &str,
    purpose: Purpose,
    body: &[u8],
) -> HttpAnswer {
    let key = SigningKey::new("k1", &secret.to_owned().into()).expect("a key");
    let claim = key.sign(purpose, body, Utc::now());
    let mut headers: Vec<(&str, &str)> = claim.headers().collect();
    headers.push(("content-type", "application/json"));
    server.request("POST", &format!("/receivers/{address}/report"), &headers, body)
}

async fn handle(
    State(kept): State<Arc<Mutex<Kept>>>,
    Path(purpose): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let all = [Purpose::Describe, Purpose::Submit, Purpose::Observe, Purpose::Command];
    let Some(purpose) = all.into_iter().find(|known| known.as_str() == purpose) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keys = Keys::new(SigningKey::new("k1", &SECRET.to_owned().into()).ok());
    let claim = Claim::read(|name| headers.get(name)?.to_str().ok());
    if let Err(error) = keys.verify(purpose, &claim, &body, Utc::now(), WINDOW_MS) {
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
    }
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Fault::Answers(status)) = kept.fault {
        kept.refused += 1;
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, "not today").into_response();
    }
    match purpose {
        Purpose::Describe => answer(&Description {
            receiver: "somebody else's 1".into(),
            contracts: BTreeSet::from([1]),
            capabilities: kept.can.clone(),
        }),
        Purpose::Submit => {
            let request: SubmitRequest = serde_json::from_slice(&body).expect("a submission");
            kept.submit(request.submission)
        }
        Purpose::Observe => {
            let request: ObserveRequest = serde_json::from_slice(&body).expect("a question");
            let events = kept.events.iter();
            let wanted = events.filter(|event| event.key == request.key && event.sequence > request.since);
            answer(&Report { events: wanted.take(request.limit).cloned().collect() })
        }
        _ => {
            let order: Order = serde_json::from_slice(&body).expect("an order");
            kept.order(order)
        }
    }
}

fn answer(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("JSON");
    ([("content-type", "application/json")], body).into_response()
}

impl Kept {
    fn order(&mut self, order: Order) -> Response {
        if self.fault == Some(Fault::HearsNoOrders) {
            self.refused += 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let run = self.known.get(&order.key).map(|known| known.run.clone()).unwrap_or_default();
        self.ordered.push(order.id.clone());
        match self.orders.iter().find(|known| known.id == order.id) {
            Some(known) => assert_eq!(*known, order, "what comes again says the same"),
            None => self.orders.push(order),
        }
        if self.fault == Some(Fault::TakesInSilence) {
            self.refused += 1;
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        answer(&Answer::Accepted { run })
    }

    fn submit(&mut self, submission: Submission) -> Response {
        let known = self.known.get(&submission.key).cloned();
        if let Some(refusal) = admit(&submission, known.as_ref(), &self.can, &Limits::default()) {
            return answer(&refusal);
        }
        let generation = submission.generation;
        let run = match known.filter(|known| known.generation == generation) {
            Some(known) => known.run,
            None => format!("run-{generation}"),
        };
        let known = Known { generation, revision: submission.revision, run: run.clone() };
        self.known.insert(submission.key.clone(), known);
        self.submissions.push(submission);
        match self.fault {
            Some(Fault::TakesInSilence) => {
                self.refused += 1;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Some(Fault::LiesAboutTheRun) => answer(&Answer::Accepted { run: "\u{1b}[2J".into() }),
            _ => answer(&Answer::Accepted { run }),
        }
    }
}
