//! The registry of a base image fails, hangs or lies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use slipway_tests::server::layout::digest_of;
use slipway_tests::server::{Server, ServerOptions};

use crate::world::{assert_failed, assert_retry_is_done, shop};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Longer than the server waits.
const FOR_EVER: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Status(u16),
    Hangs,
    /// The layer's bytes are others than its digest says.
    Lies,
    /// The layer breaks off in the middle.
    BreaksOff,
}

/// A registry with one image, `base:1`.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
}

impl Registry {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a port");
        let mood = Arc::new(Mutex::new(mood));
        let (shared, image) = (Arc::clone(&mood), Arc::new(Image::new()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mood = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                let image = Arc::clone(&image);
                thread::spawn(move || drop(image.answer(&stream, mood)));
            }
        });
        Self { address, mood }
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(5);
        archive.append_data(&mut header, "base", b"base\n".as_slice()).expect("an archive");
        let tar = archive.into_inner().expect("an archive");
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&tar).expect("gzip");
        let layer = packed.finish().expect("gzip");
        let config = json!({"architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(&tar)]}})
        .to_string()
        .into_bytes();
        let descriptor = |media_type: &str, bytes: &[u8]| -> Value {
            json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()})
        };
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)]})
        .to_string()
        .into_bytes();
        Self { manifest, config, layer }
    }

    fn answer(&self, mut stream: &TcpStream, mood: Mood) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let target = line.split(' ').nth(1).unwrap_or_default();
        let (kind, body) = match target {
            "/v2/" => ("application/json", b"{}".to_vec()),
            _ if target.contains("/manifests/") => (MANIFEST, self.manifest.clone()),
            _ if target.ends_with(&digest_of(&self.config)) => {
                ("application/octet-stream", self.config.clone())
            }
            _ => ("application/octet-stream", self.layer.clone()),
        };
        let is_layer = body == self.layer;
        let (status, body) = match mood {
            Mood::Hangs => {
                thread::sleep(FOR_EVER);
                return Ok(());
            }
            Mood::Status(status) => (status, b"{\"errors\": [{\"code\": \"UNKNOWN\"}]}".to_vec()),
            Mood::Lies if is_layer => (200, body.iter().map(|byte| byte ^ 1).collect()),
            Mood::Well | Mood::Lies | Mood::BreaksOff => (200, body),
        };
        let digest = if kind == MANIFEST && status == 200 {
            format!("Docker-Content-Digest: {}\r\n", digest_of(&self.manifest))
        } else {
            String::new()
        };
        let head = format!(
            "HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n{digest}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if line.starts_with("HEAD") {
            return Ok(());
        }
        let sent = if mood == Mood::BreaksOff && is_layer { body.len() / 2 } else { body.len() };
        stream.write_all(&body[..sent])
    }
}

/// A server that may use the registry, and soon gives up waiting.
fn server_for(registry: &Registry) -> Server {
    Server::start(
        ServerOptions::default()
            .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", &registry.address.to_string())
            .env("SLIPWAY__REGISTRIES__IDLE_TIMEOUT_MS", "3000")
            .env("SLIPWAY__REGISTRIES__MAX_ATTEMPTS", "1"),
    )
}

fn assert_fails_and_recovers(mood: Mood, part: &str) {
    let registry = Registry::start(mood);
    let server = server_for(&registry);
    let app = server.create_app("shop");
    let repository = shop(&format!("FROM {}/library/base:1\nCOPY index.html /srv/\n", registry.address));
    let run = server.deliver(&app, &repository, "main", "From a base");
    let reason = assert_failed(&run, part);
    assert!(reason.contains(&registry.address.to_string()), "the registry is not named: {reason}");
    assert_eq!(server.bundles("shop"), Vec::<Value>::new());
    registry.is(Mood::Well);
    assert_retry_is_done(&server, &run);
    assert_eq!(server.bundles("shop").len(), 1);
}

#[test]
fn faults_of_a_registry_that_answers_500_fail_the_run_and_a_retry_succeeds() {
    assert_fails_and_recovers(Mood::Status(500), "answered 500");
}

#[test]
fn faults_of_a_registry_that_hangs_fail_the_run_and_a_retry_succeeds() {
    assert_fails_and_recovers(Mood::Hangs, "idle_timeout_ms = 3000 ms");
}

#[test]
fn faults_of_a_registry_that_sends_other_bytes_fail_the_run_with_its_log_and_a_retry_succeeds() {
    for (mood, part) in [(Mood::Lies, "sent other bytes"), (Mood::BreaksOff, "")] {
        let registry = Registry::start(mood);
        let server = server_for(&registry);
        let app = server.create_app("shop");
        let repository = shop(&format!("FROM {}/library/base:1\nCOPY index.html /srv/\n", registry.address));
        let run = server.deliver(&app, &repository, "main", "From a base");
        assert_failed(&run, part);
        let log = server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout;
        assert!(log.contains("error"), "the log does not tell: {log}");
        registry.is(Mood::Well);
        assert_retry_is_done(&server, &run);
    }
}
