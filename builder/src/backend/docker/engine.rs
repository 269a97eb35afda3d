//! Reaching the engine: which one answers, and what its errors mean.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use slipway_types::{Fault, Platform};
use tokio::sync::Mutex;

use super::DockerOptions;

/// The way to an engine that may come and go.
pub(super) struct Engine {
    host: String,
    call_timeout: Duration,
    stream_timeout: Duration,
    ttl: Duration,
    probed: Mutex<Option<(Instant, Reached)>>,
}

/// An engine that has answered.
#[derive(Clone)]
pub(super) struct Reached {
    /// For requests that are answered at once.
    pub(super) docker: Docker,
    /// For builds and images: the engine answers these only when it has read the whole body.
    pub(super) streams: Docker,
    pub(super) host: Arc<str>,
    pub(super) platform: Platform,
    about: Arc<str>,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.about)
    }
}

impl Engine {
    pub(super) fn new(options: &DockerOptions) -> Self {
        Self {
            host: options.host.clone(),
            call_timeout: Duration::from_millis(options.call_timeout_ms),
            stream_timeout: Duration::from_millis(options.total_timeout_ms),
            ttl: Duration::from_millis(options.probe_ttl_ms),
            probed: Mutex::default(),
        }
    }

    /// The engine, asked again if its last answer is too old.
    pub(super) async fn reach(&self) -> Result<Reached, Fault> {
        let mut probed = self.probed.lock().await;
        if let Some((when, reached)) = &*probed
            && when.elapsed() < self.ttl
        {
            return Ok(reached.clone());
        }
        *probed = None;
        let probe = tokio::time::timeout(self.call_timeout, self.probe()).await;
        let reached = probe
            .unwrap_or(Err(Error::RequestTimeoutError))
            .map_err(|error| unavailable(&self.host, &error))?;
        *probed = Some((Instant::now(), reached.clone()));
        Ok(reached)
    }

    /// Whether the engine does not answer now, whatever it said before.
    pub(super) async fn is_gone(&self) -> bool {
        *self.probed.lock().await = None;
        self.reach().await.is_err()
    }

    async fn probe(&self) -> Result<Reached, Error> {
        let docker = Docker::connect_with_host(&self.host)?.with_timeout(self.call_timeout);
        let docker = docker.negotiate_version().await?;
        let version = docker.version().await?;
        let platform = Platform {
            os: version.os.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            variant: None,
        };
        let name = version.components.unwrap_or_default().into_iter().next().map(|first| first.name);
        let name = match name {
            Some(name) if name.starts_with("Podman") => "Podman",
            _ => "Docker Engine",
        };
        let about = format!(
            "{name} {} (API {}, {platform}) at {}",
            version.version.unwrap_or_default(),
            docker.client_version(),
            self.host
        );
        let streams = docker.clone().with_timeout(self.stream_timeout);
        Ok(Reached { docker, streams, host: self.host.as_str().into(), platform, about: about.into() })
    }
}

impl Reached {
    /// A fault of the engine while it was to do `what`.
    pub(super) fn fault(&self, what: &str, error: &Error) -> Fault {
        if is_connection(error) {
            return unavailable(&self.host, error);
        }
        let message = format!("the Docker engine could not {what}: {}", text(error));
        let message_lower = message.to_lowercase();
        if message_lower.contains("no space left") {
            return no_space(&self.host, &message);
        }
        Fault::transient("docker_error", message)
    }
}

pub(super) fn unavailable(host: &str, error: &Error) -> Fault {
    let hint = "See that the engine runs and that the user of this server may use its socket \
                (group `docker`); DOCKER_HOST names another address.";
    Fault::transient("docker_unavailable", format!("no Docker engine answers at {host}: {}", text(error)))
        .hint(hint)
}

pub(super) fn no_space(host: &str, message: &str) -> Fault {
    Fault::transient("docker_no_space", message).hint(format!(
        "The disk of the Docker engine at {host} is full: `docker system df` shows what holds it."
    ))
}

/// Whether the answer did not come, or not in full.
pub(super) fn is_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::RequestTimeoutError
            | Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::HttpClientError { .. }
            | Error::SocketNotFoundError(_)
    )
}

pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// What an error says, with its causes.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::DockerStreamError { error } => error.clone(),
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::SocketNotFoundError(path) => format!("{path} does not exist"),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        error => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}
