//! The line to the API server, which can be cut.

use std::io;
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

/// Passes connections on while it is whole.
#[derive(Debug)]
pub(crate) struct Line {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    open: Vec<TcpStream>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// A line from an address of this machine to `HOST:PORT`.
    fn start(ip: IpAddr, upstream: String) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Either side may go away at any time.
                drop(join(&client, &upstream, &shared));
            }
        });
        Self { address, state }
    }

    /// From now on nothing passes, on connections that are there neither.
    pub(crate) fn cut(&self) {
        let mut state = lock(&self.state);
        state.is_cut = true;
        for stream in state.open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// From now on it is whole again.
    pub(crate) fn mend(&self) {
        lock(&self.state).is_cut = false;
    }
}

fn join(client: &TcpStream, upstream: &str, state: &Mutex<State>) -> io::Result<()> {
    let mut state = lock(state);
    if state.is_cut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(upstream)?;
    for (from, to) in [(client, &server), (&server, client)] {
        state.open.push(from.try_clone()?);
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || pass_on(from, to));
    }
    Ok(())
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

/// A line to the cluster, and a kubeconfig in `directory` that leads over it; gives its path.
pub(crate) fn line_to(space: &Namespace, directory: &Path) -> (Line, String) {
    let config = space.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output", "json"]);
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    let cluster = &mut config["clusters"][0]["cluster"];
    let server = cluster["server"].as_str().expect("an address").trim_start_matches("https://").to_owned();
    let line = Line::start(space.cluster.host_address, server.clone());
    let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host);
    // Its certificate names the address that it has, not that of the line.
    cluster["tls-server-name"] = json!(host);
    cluster["server"] = json!(format!("https://{}", line.address));
    let file = directory.join("over-the-line.json");
    fs::write(&file, config.to_string()).expect("a file");
    (line, file.display().to_string())
}
