//! A forge of one's own: bare repositories served over plain HTTP by `git http-backend`, and what
//! goes wrong with forges.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::request::Request;
use crate::server::GitRepository;

/// How a forge answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// As a forge does.
    Serve,
    /// Only to who knows this user and password.
    Protected(String, String),
    /// With this status, whatever is asked.
    Status(u16),
    /// To go to this address instead.
    Redirect(String),
    /// As a forge does, but so much later.
    Slow(Duration),
}

/// A request that a forge got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path with query.
    pub line: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    asked: Vec<Asked>,
}

/// A running forge. Its threads end with the test's process.
#[derive(Debug)]
pub struct Forge {
    address: SocketAddr,
    root: TempDir,
    state: Arc<Mutex<State>>,
}

impl Default for Forge {
    fn default() -> Self {
        Self::start()
    }
}

impl Forge {
    /// A forge without repositories on a loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a port");
        let root =
            tempfile::Builder::new().prefix("slipway-forge.").tempdir().expect("a temporary directory");
        let state = Arc::new(Mutex::new(State { behaviour: Behaviour::Serve, asked: Vec::new() }));
        let (shared, directory) = (Arc::clone(&state), root.path().to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, directory) = (Arc::clone(&shared), directory.clone());
                // A client that goes away has its reasons.
                thread::spawn(move || drop(answer(&stream, &shared, &directory)));
            }
        });
        Self { address, root, state }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes an empty repository; gives its clone address.
    pub fn create(&self, name: &str) -> String {
        let made = Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(self.path(name))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status();
        assert!(made.expect("git runs").success(), "the repository {name} can be made");
        format!("http://{}/{name}.git", self.address)
    }

    /// Where a repository lies, to push to it by its path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}.git"))
    }

    /// Pushes a refspec to a repository by its path, by force, however the forge behaves.
    pub fn receive(&self, name: &str, repository: &GitRepository, refspec: &str) {
        let path = self.path(name);
        repository.git(&["push", "--quiet", "--force", path.to_str().expect("a path"), refspec]);
    }

    /// From now on the forge answers so.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>, root: &std::path::Path) -> io::Result<()> {
    let request = Request::read(stream)?;
    let behaviour = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let authorization = request.header("authorization").map(str::to_owned);
        state.asked.push(Asked { line: format!("{} {}", request.method, request.target), authorization });
        state.behaviour.clone()
    };
    let plain = |status: &str, header: &str| {
        format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let bytes = match behaviour {
        Behaviour::Status(status) => plain(&format!("{status} So"), ""),
        Behaviour::Redirect(to) => plain("302 Found", &format!("Location: {to}\r\n")),
        Behaviour::Protected(user, password)
            if request.header("authorization")
                != Some(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))) =>
        {
            plain("401 Unauthorized", "WWW-Authenticate: Basic realm=\"forge\"\r\n")
        }
        Behaviour::Slow(by) => {
            thread::sleep(by);
            backend(&request, root)?
        }
        Behaviour::Serve | Behaviour::Protected(..) => backend(&request, root)?,
    };
    stream.write_all(&bytes)
}

/// What `git http-backend` answers, as HTTP.
fn backend(request: &Request, root: &std::path::Path) -> io::Result<Vec<u8>> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "HTTP_GIT_PROTOCOL"),
    ] {
        command.env(variable, request.header(header).unwrap_or_default());
    }
    let mut child = command.spawn()?;
    child.stdin.take().expect("standard input is piped").write_all(&request.body)?;
    let mut output = Vec::new();
    child.stdout.take().expect("standard output is piped").read_to_end(&mut output)?;
    child.wait()?;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(&output[end + 4..]);
    Ok(bytes)
}
