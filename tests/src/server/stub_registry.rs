//! A registry with one image, which can be told to keep its clients waiting.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::layout::digest_of;

/// A held client is let go after this time, so that no thread stays for ever.
const MAX_HOLD: Duration = Duration::from_mins(3);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry on loopback that serves `base` for linux/amd64, whatever the tag.
#[derive(Debug)]
pub struct StubRegistry {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    waiting: usize,
    blobs: Vec<(String, &'static str, Vec<u8>)>,
}

impl StubRegistry {
    /// Starts it; `content` lies in `/etc/base` of its image.
    pub fn start(content: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let registry = Self { address, shared: Arc::default() };
        registry.set_content(content);
        let shared = registry.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client may go away at any time; that is its own affair.
                thread::spawn(move || drop(answer(stream, &shared)));
            }
        });
        registry
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Moves every tag to another image.
    pub fn set_content(&self, content: &str) {
        self.lock().blobs = image(content);
    }

    /// Digest of the image's manifest.
    pub fn digest(&self) -> String {
        self.lock().blobs[0].0.clone()
    }

    /// From now on clients get no answer.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Answers those who wait, and all later ones.
    pub fn release(&self) {
        self.lock().held = false;
        self.shared.changed.notify_all();
    }

    /// Waits until at least one client is kept waiting.
    pub fn await_held(&self) {
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.lock(), Duration::from_mins(1), |state| state.waiting == 0)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "nobody asked the registry for its image");
        drop(state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    let state = hold(shared, state);
    let wanted = path.rsplit('/').next().unwrap_or_default();
    let found = if path == "/v2/" {
        Some((String::new(), "application/json", b"{}".to_vec()))
    } else if path.contains("/manifests/") && !wanted.starts_with("sha256:") {
        state.blobs.first().cloned()
    } else {
        state.blobs.iter().find(|(digest, ..)| digest == wanted).cloned()
    };
    drop(state);
    let (status, (digest, media_type, body)) = match found {
        Some(found) => ("200 OK", found),
        None => ("404 Not Found", (String::new(), "application/json", b"{\"errors\":[]}".to_vec())),
    };
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {media_type}\r\n");
    if !digest.is_empty() {
        head.extend(["Docker-Content-Digest: ", &digest, "\r\n"]);
    }
    head.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n"]);
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}

fn hold<'a>(
    shared: &'a Shared,
    mut state: std::sync::MutexGuard<'a, State>,
) -> std::sync::MutexGuard<'a, State> {
    if !state.held {
        return state;
    }
    state.waiting += 1;
    shared.changed.notify_all();
    let waited = shared.changed.wait_timeout_while(state, MAX_HOLD, |state| state.held);
    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    state.waiting -= 1;
    state
}

/// Manifest first, then configuration and layer.
fn image(content: &str) -> Vec<(String, &'static str, Vec<u8>)> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, "etc/base", content.as_bytes()).expect("a tar in memory");
    let archive = archive.into_inner().expect("a tar in memory");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).expect("gzip in memory");
    let layer = gzip.finish().expect("gzip in memory");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(&archive)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(&config), "size": config.len()},
        "layers": [{"mediaType": LAYER, "digest": digest_of(&layer), "size": layer.len()}],
    });
    let manifest = manifest.to_string().into_bytes();
    vec![
        (digest_of(&manifest), MANIFEST, manifest),
        (digest_of(&config), CONFIG, config),
        (digest_of(&layer), LAYER, layer),
    ]
}
