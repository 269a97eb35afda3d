//! A way to a real registry that can fail as told.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// They are passed on.
    Well,
    /// They get this status and no more.
    Status(u16),
    /// They get no answer.
    Hangs,
}

/// A proxy before a registry.
#[derive(Debug)]
pub struct FickleProxy {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    faults: Vec<Fault>,
    answers: Vec<(&'static str, String)>,
    /// By a number of their own.
    open: BTreeMap<u64, TcpStream>,
    connections: u64,
    requests: Vec<String>,
}

/// A status for so many of the requests whose first line has all `parts`.
#[derive(Debug)]
struct Fault {
    parts: &'static [&'static str],
    status: u16,
    left: u32,
}

impl State {
    fn mood_for(&mut self, request: &str) -> Mood {
        let due =
            |fault: &&mut Fault| fault.left > 0 && fault.parts.iter().all(|part| request.contains(part));
        match self.faults.iter_mut().find(due) {
            Some(fault) => {
                fault.left -= 1;
                Mood::Status(fault.status)
            }
            None => self.mood,
        }
    }
}

impl FickleProxy {
    /// Starts it on loopback before the registry at `HOST:PORT`.
    pub fn start(upstream: &str) -> Self {
        Self::start_at("127.0.0.1", upstream)
    }

    /// Starts it at an IP address of this machine.
    pub fn start_at(ip: &str, upstream: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = State {
            mood: Mood::Well,
            faults: vec![],
            answers: vec![],
            open: BTreeMap::new(),
            connections: 0,
            requests: vec![],
        };
        let state = Arc::new(Mutex::new(state));
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, upstream) = (Arc::clone(&shared), upstream.clone());
                // Either side may go away at any time.
                thread::spawn(move || drop(serve(&client, &shared, &upstream)));
            }
        });
        Self { address, state }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on, also for who is connected already.
    pub fn is(&self, mood: Mood) {
        let mut state = lock(&self.state);
        state.mood = mood;
        for stream in std::mem::take(&mut state.open).into_values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// While all is well, requests whose first line begins so are answered with this JSON instead of being passed on.
    pub fn answer(&self, begin: &'static str, json: String) {
        lock(&self.state).answers.push((begin, json));
    }

    /// The next `times` requests whose first line has all `parts` get this status, whatever the mood.
    pub fn fail(&self, parts: &'static [&'static str], status: u16, times: u32) {
        lock(&self.state).faults.push(Fault { parts, status, left: times });
    }

    /// How many of the failures that were asked for have not come yet; the rest of them is called off.
    pub fn call_off(&self) -> u32 {
        lock(&self.state).faults.drain(..).map(|fault| fault.left).sum()
    }

    /// First lines of the requests so far, of those that were passed on.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request: connections are closed after it, so that each meets the mood of its time.
fn serve(client: &TcpStream, shared: &Mutex<State>, upstream: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    let mut first = String::new();
    reader.read_line(&mut first)?;
    head.extend_from_slice(first.as_bytes());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.extend_from_slice(line.as_bytes());
        }
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    let (mood, number, own) = {
        let mut state = lock(shared);
        state.connections += 1;
        let number = state.connections;
        state.open.insert(number, client.try_clone()?);
        let own = state.answers.iter().find(|(begin, _)| first.starts_with(begin));
        let own = own.map(|(_, json)| json.clone());
        let mood = state.mood_for(&first);
        if mood == Mood::Well {
            state.requests.push(first.trim_end().to_owned());
        }
        (mood, number, own)
    };
    let done = answer(client, reader, (mood, own), &head, upstream);
    lock(shared).open.remove(&number);
    done
}

fn answer(
    client: &TcpStream,
    mut reader: BufReader<TcpStream>,
    (mood, own): (Mood, Option<String>),
    head: &[u8],
    upstream: &str,
) -> std::io::Result<()> {
    let mut to_client = client.try_clone()?;
    match mood {
        Mood::Well if own.is_some() => {
            let body = own.unwrap_or_default();
            let length = body.len();
            write!(
                to_client,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )?;
        }
        Mood::Well => {
            let mut server = TcpStream::connect(upstream)?;
            server.write_all(head)?;
            let mut to_server = server.try_clone()?;
            thread::spawn(move || copy(&mut reader, &mut to_server));
            copy(&mut server, &mut to_client)?;
        }
        Mood::Status(status) => {
            let body = "{\"errors\": [{\"code\": \"UNKNOWN\", \"message\": \"told to\"}]}";
            let length = body.len();
            write!(
                to_client,
                "HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
        }
        // Held open until the mood changes or the client goes.
        Mood::Hangs => drop(copy(&mut reader, &mut std::io::sink())?),
    }
    client.shutdown(Shutdown::Both)
}
