//! A service that hears JSON over plain HTTP, and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

use crate::request::Request;

/// A request that it heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Path with query.
    pub target: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The body; null if it is no JSON.
    pub body: Value,
}

#[derive(Debug, Default)]
struct State {
    heard: Vec<Heard>,
    answers: BTreeMap<String, VecDeque<u16>>,
}

/// A running one, on a loopback port. Its threads end with the test's process.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Default for Listener {
    fn default() -> Self {
        Self::start()
    }
}

impl Listener {
    /// One that is content with all.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a port");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away has its reasons.
                thread::spawn(move || drop(answer(&stream, &shared)));
            }
        });
        Self { address, state }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Address of a path.
    pub fn url(&self, target: &str) -> String {
        format!("{}{target}", self.origin())
    }

    /// The next requests for a path get these statuses, one each; those after them 200.
    pub fn answer(&self, target: &str, statuses: &[u16]) {
        lock(&self.state).answers.insert(target.to_owned(), statuses.iter().copied().collect());
    }

    /// All requests so far, as they came.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.state).heard.clone()
    }

    /// Bodies of the requests for a path.
    pub fn bodies(&self, target: &str) -> Vec<Value> {
        self.heard().into_iter().filter(|heard| heard.target == target).map(|heard| heard.body).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let request = Request::read(stream)?;
    let authorization = request.header("authorization").map(str::to_owned);
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    let status = {
        let mut state = lock(state);
        let status = state.answers.get_mut(&request.target).and_then(VecDeque::pop_front).unwrap_or(200);
        state.heard.push(Heard { target: request.target, authorization, body });
        status
    };
    let head = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())
}
