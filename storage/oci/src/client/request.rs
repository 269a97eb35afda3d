//! One HTTP exchange: authorization, redirects, idle time, and what its failure means.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use slipway_objects::{Blob, BlobError};
use tokio::time::Instant;
use url::Url;

use super::address::{AddressPolicy, Refused};
use super::auth::TokenKey;
use super::endpoint::Endpoint;
use super::{ClientOptions, Inner};
use crate::error::ImageError;

/// The part of an error answer that is read, in bytes.
const MAX_ERROR_BYTES: u64 = 8 << 10;
/// The part of it that is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

pub(super) fn client_builder(options: &ClientOptions, policy: &AddressPolicy) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        // Redirects are followed here, each address checked.
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(policy.clone()));
    options.network.configure(builder)
}

/// What is sent.
pub(super) enum Body<'a> {
    None,
    Bytes(Bytes),
    Blob(&'a Blob),
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) repository: &'a str,
    /// Whether the right to push is needed.
    pub(super) push: bool,
    /// In words for people.
    pub(super) what: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body<'a>,
}

impl Ask<'_> {
    pub(super) fn scope(&self) -> String {
        let repository = self.endpoint.path(self.repository);
        format!("repository:{repository}:{}", if self.push { "pull,push" } else { "pull" })
    }

    pub(super) fn token_key(&self) -> TokenKey {
        {
            // What a mirror was logged in to with is not for who names it.
            let place = if self.endpoint.is_mirror { "mirror " } else { "" };
            (format!("{place}{}", self.endpoint.host), self.scope())
        }
    }

    pub(super) fn protocol(&self, detail: impl Into<String>) -> ImageError {
        let host = self.endpoint.host.clone();
        ImageError::Protocol { host, what: self.what.clone(), detail: detail.into() }
    }
}

/// When a body last moved, and what broke its source.
#[derive(Clone)]
struct Progress(Arc<Mutex<(Instant, Option<BlobError>)>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), None))))
    }

    fn moved(&self) {
        self.0.lock().expect("invariant: nothing panics while holding the lock").0 = Instant::now();
    }

    fn last(&self) -> Instant {
        self.0.lock().expect("invariant: nothing panics while holding the lock").0
    }

    fn broke(&self, error: BlobError) {
        self.0.lock().expect("invariant: nothing panics while holding the lock").1 = Some(error);
    }

    fn take_error(&self) -> Option<BlobError> {
        self.0.lock().expect("invariant: nothing panics while holding the lock").1.take()
    }
}

impl Inner {
    /// Sends a request, answers one challenge, follows redirects of reads.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response, ImageError> {
        let cached = self.cached_authorization(&ask.token_key());
        let response = self.follow(ask, cached.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.log_in(ask, &response).await? {
            Some(header) => self.follow(ask, Some(&header)).await,
            None => Ok(response),
        }
    }

    async fn follow(&self, ask: &Ask<'_>, auth: Option<&HeaderValue>) -> Result<Response, ImageError> {
        let mut url = ask.url.clone();
        for _ in 0..=self.options.max_redirects {
            let response = self.send_once(ask, &url, auth).await?;
            let is_read = [Method::GET, Method::HEAD].contains(&ask.method);
            if !is_read || !response.status().is_redirection() {
                return Ok(response);
            }
            url = location(ask, &url, &response)?;
            self.check_sent_to(ask.endpoint, &url)?;
        }
        Err(ask.protocol(format!("more than max_redirects = {} redirects", self.options.max_redirects)))
    }

    /// One exchange with `url`. The authorization goes to the registry itself only.
    pub(super) async fn send_once(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        auth: Option<&HeaderValue>,
    ) -> Result<Response, ImageError> {
        if let Some(proxy) = self.options.network.proxy_for(url) {
            // The proxy resolves names by itself.
            let checked = self.policy_for(ask.endpoint).check_name(url, proxy.resolves()).await;
            checked.map_err(|refused| ImageError::AddressRefused {
                host: url.host_str().unwrap_or_default().to_owned(),
                why: refused.0,
            })?;
        }
        let http = match self.http_with_ca.get(&ask.endpoint.host) {
            _ if ask.endpoint.is_mirror => &self.mirror_http,
            Some(http) => http,
            None => &self.http,
        };
        let mut request = http.request(ask.method.clone(), url.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(auth) = auth.filter(|_| ask.endpoint.is_origin_of(url)) {
            request = request.header(AUTHORIZATION, auth);
        }
        let progress = Progress::new();
        match &ask.body {
            Body::None => {}
            Body::Bytes(bytes) => request = request.body(bytes.clone()),
            Body::Blob(blob) => {
                request = request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, blob.size)
                    .body(self.blob_body(blob, &progress).await?);
            }
        }
        let result = self.while_moving(ask, &progress, request.send()).await?;
        result.map_err(|error| match progress.take_error() {
            Some(error) => error.into(),
            None => self.unreachable(ask, error),
        })
    }

    async fn blob_body(&self, blob: &Blob, progress: &Progress) -> Result<reqwest::Body, ImageError> {
        let progress = progress.clone();
        let stream = self.blobs.read(&blob.digest).await?.map(move |chunk| {
            progress.moved();
            chunk.map_err(|error| {
                let text = error.to_string();
                progress.broke(error);
                std::io::Error::other(text)
            })
        });
        Ok(reqwest::Body::wrap_stream(stream))
    }

    /// Waits for `future` as long as its body moves.
    async fn while_moving<T>(
        &self,
        ask: &Ask<'_>,
        progress: &Progress,
        future: impl Future<Output = T>,
    ) -> Result<T, ImageError> {
        let idle = Duration::from_millis(self.options.idle_timeout_ms);
        tokio::pin!(future);
        loop {
            let deadline = progress.last() + idle;
            tokio::select! {
                result = &mut future => return Ok(result),
                () = tokio::time::sleep_until(deadline) => {}
            }
            if progress.last() + idle <= Instant::now() {
                return Err(self.idle(ask));
            }
        }
    }

    fn idle(&self, ask: &Ask<'_>) -> ImageError {
        ImageError::Timeout {
            host: ask.endpoint.host.clone(),
            what: format!("go on answering {}", ask.what),
            limit: "idle_timeout_ms",
            limit_ms: self.options.idle_timeout_ms,
        }
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn next_chunk(
        &self,
        ask: &Ask<'_>,
        response: &mut Response,
    ) -> Result<Option<Bytes>, ImageError> {
        let idle = Duration::from_millis(self.options.idle_timeout_ms);
        let chunk = tokio::time::timeout(idle, response.chunk()).await.map_err(|_| self.idle(ask))?;
        chunk.map_err(|error| self.unreachable(ask, error))
    }

    /// A whole small body.
    pub(super) async fn read_all(
        &self,
        ask: &Ask<'_>,
        mut response: Response,
        max_bytes: u64,
    ) -> Result<Bytes, ImageError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next_chunk(ask, &mut response).await? {
            if (bytes.len() + chunk.len()) as u64 > max_bytes {
                return Err(ask.protocol(format!("the answer has more than {max_bytes} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    /// The response if it is a success, else what its status means.
    pub(super) async fn expect_success(
        &self,
        ask: &Ask<'_>,
        response: Response,
    ) -> Result<Response, ImageError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (host, what) = (ask.endpoint.host.clone(), ask.what.clone());
        Err(match status {
            StatusCode::NOT_FOUND => ImageError::NotFound { host, what },
            StatusCode::UNAUTHORIZED => {
                let with_credential = ask.endpoint.credential().is_some();
                ImageError::Unauthorized { host, what, with_credential }
            }
            StatusCode::FORBIDDEN => {
                ImageError::Forbidden { host, what, detail: self.error_detail(ask, response).await }
            }
            _ => {
                let detail = self.error_detail(ask, response).await;
                ImageError::Status { host, what, status: status.as_u16(), detail }
            }
        })
    }

    /// The message of an error answer, cut and without control characters.
    async fn error_detail(&self, ask: &Ask<'_>, mut response: Response) -> String {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.next_chunk(ask, &mut response).await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX_ERROR_BYTES {
                break;
            }
        }
        let first_error = serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|json| {
            let error = json.get("errors")?.get(0)?;
            let text = |field: &str| error.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
            Some(format!("{} {}", text("code"), text("message")).trim().to_owned())
        });
        let text = first_error.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        let clean: String = text.chars().filter(|c| !c.is_control()).take(MAX_ERROR_CHARS).collect();
        if clean.is_empty() { "no reason given".to_owned() } else { clean }
    }

    fn unreachable(&self, ask: &Ask<'_>, error: reqwest::Error) -> ImageError {
        let host = ask.endpoint.host.clone();
        // URLs may carry tokens in their query.
        let error = error.without_url();
        if error.is_timeout() && error.is_connect() {
            let limit_ms = self.options.connect_timeout_ms;
            return ImageError::Timeout {
                host,
                what: "connect".into(),
                limit: "connect_timeout_ms",
                limit_ms,
            };
        }
        let causes =
            std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |e| e.source());
        let mut detail = String::new();
        let mut is_unresolved = false;
        for cause in causes {
            if let Some(refused) = cause.downcast_ref::<Refused>() {
                return ImageError::AddressRefused { host, why: refused.0.clone() };
            }
            detail = cause.to_string();
            is_unresolved |= detail == NO_ADDRESS;
        }
        if is_unresolved {
            "its name cannot be resolved: check how it is written, and this server's DNS"
                .clone_into(&mut detail);
        }
        if let Some(proxy) = self.options.network.proxy_for(&ask.url) {
            detail = format!("through the proxy {} (network.proxy): {detail}", proxy.host_and_port());
        }
        ImageError::Unreachable { host, detail, source: error.into() }
    }
}

/// What an HTTP client says where a name leads to no address.
const NO_ADDRESS: &str = "dns error";

/// Where a response sends us.
pub(super) fn location(ask: &Ask<'_>, from: &Url, response: &Response) -> Result<Url, ImageError> {
    let header = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| ask.protocol("no Location in it"))?;
    from.join(header).map_err(|_| ask.protocol("its Location is no URL"))
}
