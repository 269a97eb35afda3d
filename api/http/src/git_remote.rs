//! `/git/APPLICATION.git`: git's smart HTTP, over the git data of the application's source.

mod progress;

use std::collections::BTreeMap;
use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures::TryStreamExt as _;
use slipway_git::{GitError, Pusher};
use slipway_records::{Application, Source, SourceKind};
use slipway_types::fault::chain;
use slipway_types::{ApplicationName, GitRef, Role};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use crate::auth::{Caller, authenticate};
use crate::problem::ApiError;
use crate::state::ServerState;

/// What a push's body may hold beside its pack, in bytes.
const BESIDE_PACK_BYTES: u64 = 4 << 20;

/// Everything under `/git`.
pub(crate) fn router() -> Router<ServerState> {
    Router::new().route("/git/{*path}", any(dispatch)).layer(DefaultBodyLimit::disable())
}

/// What git asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// A push.
    Receive,
    /// A clone or fetch.
    Upload,
}

impl Service {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "git-receive-pack" => Some(Self::Receive),
            "git-upload-pack" => Some(Self::Upload),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Receive => "git-receive-pack",
            Self::Upload => "git-upload-pack",
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Receive => Role::Developer,
            Self::Upload => Role::Reader,
        }
    }
}

/// An error answer as text: git shows it to the person.
#[derive(Debug)]
struct GitRefusal {
    status: StatusCode,
    text: String,
}

impl GitRefusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl IntoResponse for GitRefusal {
    fn into_response(self) -> Response {
        let text = format!("slipway: {}\n", self.text);
        let mut response = (self.status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"slipway\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ApiError> for GitRefusal {
    fn from(error: ApiError) -> Self {
        Self::new(error.status(), error.detail())
    }
}

impl From<slipway_records::RecordsError> for GitRefusal {
    fn from(error: slipway_records::RecordsError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<GitError> for GitRefusal {
    fn from(error: GitError) -> Self {
        let status = match &error {
            GitError::Protocol(_) => StatusCode::BAD_REQUEST,
            GitError::NotFound { .. } => StatusCode::NOT_FOUND,
            GitError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GitError::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            GitError::Path(_) | GitError::Fault(_) => StatusCode::UNPROCESSABLE_ENTITY,
            GitError::Records(_) | GitError::Blobs(_) => StatusCode::SERVICE_UNAVAILABLE,
            GitError::Damaged(_) | GitError::Command { .. } | GitError::Io { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        if status.is_server_error() {
            tracing::error!(error = %chain(&error), "a git request failed");
            return Self::new(status, "the server failed at this request; try again");
        }
        Self::new(status, error.to_string())
    }
}

/// Application and remainder of a path such as `team/shop.git/info/refs`.
fn parse(path: &str) -> Option<(ApplicationName, &str)> {
    let (repository, rest) = ["/info/refs", "/git-receive-pack", "/git-upload-pack"]
        .iter()
        .find_map(|end| Some((path.strip_suffix(end)?, &end[1..])))?;
    let name = repository.strip_suffix(".git").unwrap_or(repository);
    Some((name.parse().ok()?, rest))
}

async fn dispatch(
    State(state): State<ServerState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, GitRefusal> {
    let caller = authenticate(&state, request.headers()).await?;
    let not_found = || GitRefusal::new(StatusCode::NOT_FOUND, "there is no such repository");
    let (name, rest) = parse(&path).ok_or_else(not_found)?;
    let advertise = rest == "info/refs";
    let service = if advertise {
        let query = request.uri().query().unwrap_or_default();
        let service = query.split('&').find_map(|pair| pair.strip_prefix("service="));
        service.and_then(Service::of_name).ok_or_else(|| {
            GitRefusal::new(StatusCode::FORBIDDEN, "only git's smart HTTP protocol is served")
        })?
    } else {
        Service::of_name(rest).ok_or_else(not_found)?
    };
    let (application, source) = reach(&state, &caller, &name, service).await?;
    let protocol =
        request.headers().get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let protocol = protocol.as_deref();
    match (advertise, request.method().clone(), service) {
        (true, Method::GET, Service::Receive) => {
            Ok(advertisement(service, state.git.receive_advertise(source.id).await?))
        }
        (true, Method::GET, Service::Upload) => {
            Ok(advertisement(service, state.git.upload_advertise(source.id, protocol).await?))
        }
        (false, Method::POST, Service::Receive) => push(state, &caller, application, &source, request).await,
        (false, Method::POST, Service::Upload) => {
            let body = decoded(&state, request)?;
            let answer = state.git.upload_pack(source.id, protocol, body).await?;
            Ok(result(service, Body::from_stream(answer)))
        }
        _ => Err(GitRefusal::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")),
    }
}

/// The application and its source, if the caller may do this there.
async fn reach(
    state: &ServerState,
    caller: &Caller,
    name: &ApplicationName,
    service: Service,
) -> Result<(Application, Source), GitRefusal> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), name, service.role()).await?;
    let source = read.source_get(application.source_id).await?;
    let source = source.ok_or_else(|| GitRefusal::new(StatusCode::NOT_FOUND, "the source is gone"))?;
    match (&source.kind, service) {
        (SourceKind::Https { url }, Service::Receive) => Err(GitRefusal::new(
            StatusCode::FORBIDDEN,
            format!("`{name}` is built from {url}: push there, a webhook or the sweep brings it here"),
        )),
        _ => Ok((application, source)),
    }
}

fn no_cache(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    response
}

fn advertisement(service: Service, bytes: Bytes) -> Response {
    let content = format!("application/x-{}-advertisement", service.name());
    no_cache(([(CONTENT_TYPE, content)], bytes).into_response())
}

fn result(service: Service, body: Body) -> Response {
    let content = format!("application/x-{}-result", service.name());
    no_cache(([(CONTENT_TYPE, content)], body).into_response())
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The request's body, unpacked if it is compressed, and never longer than `max_push_bytes`.
fn decoded(state: &ServerState, request: Request) -> Result<Reader, GitRefusal> {
    let gzip = is_gzip(request.headers())?;
    let chunks = request.into_body().into_data_stream().map_err(io::Error::other);
    let reader = StreamReader::new(chunks);
    // A little more than a pack may have, so that git names the limit that is passed.
    let max_bytes = state.options.max_push_bytes.saturating_add(BESIDE_PACK_BYTES);
    if gzip {
        Ok(Box::new(GzipDecoder::new(reader).take(max_bytes)))
    } else {
        Ok(Box::new(reader.take(max_bytes)))
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, GitRefusal> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => Err(GitRefusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be gzip")),
    }
}

/// Branches from which operators' configuration is followed: what lies there is the operators' word, so
/// that only they push to it.
async fn closed_to(
    state: &ServerState,
    caller: &Caller,
    source: &Source,
) -> Result<BTreeMap<GitRef, String>, GitRefusal> {
    let mut closed = BTreeMap::new();
    for followed in state.records.read().await?.configuration_sources_of(source.id).await? {
        if !caller.may(Role::Operator, Some(followed.application_id)) {
            let why = "configuration is followed from this branch: pushing to it needs the role operator";
            closed.insert(GitRef::Branch(followed.branch), why.to_owned());
        }
    }
    Ok(closed)
}

/// Takes a push. The report goes out first, then the progress of what it caused.
async fn push(
    state: ServerState,
    caller: &Caller,
    application: Application,
    source: &Source,
    request: Request,
) -> Result<Response, GitRefusal> {
    let body = decoded(&state, request)?;
    let pusher = Pusher { actor: caller.name().to_owned(), closed: closed_to(&state, caller, source).await? };
    let received = state.git.receive(source.id, body, pusher).await?;
    Ok(result(Service::Receive, progress::stream(state, application, received)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_names_may_hold_a_team_and_end_in_git_or_not() {
        let name = |path| parse(path).map(|(name, rest)| (name.to_string(), rest));
        assert_eq!(name("shop.git/info/refs"), Some(("shop".into(), "info/refs")));
        assert_eq!(name("team/shop/git-receive-pack"), Some(("team/shop".into(), "git-receive-pack")));
        for bad in ["shop.git", "a/b/c.git/info/refs", "../x/info/refs", "shop.git/HEAD"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
