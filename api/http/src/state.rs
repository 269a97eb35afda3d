//! What every handler reaches, and the router over all of it.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use serde::Serialize;
use slipway_git::GitStore;
use slipway_objects::Blobs;
use slipway_oci::builtin::BuiltinRegistry;
use slipway_oci::external::ExternalRegistry;
use slipway_records::Records;
use slipway_records::composing::Composing;
use slipway_records::defining::Defining;
use slipway_records::deploying::Deploying;
use slipway_records::noticing::Noticing;
use slipway_records::port::{BuildPlaces, MachineCheck, Planning, SourceCheck};
use slipway_secrets::Secrets;
use slipway_types::id::TokenId;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;
use utoipa::ToSchema;

use crate::hooks::intake::Intake;
use crate::hooks::secret_cache::SecretCache;
use crate::operation::{self, metrics::Metrics, open_streams::OpenStreams, rate::RateLimit};
use crate::{git_remote, hooks, pages, reports, rest, v2};

/// The release of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which parts of the server this instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpRoles {
    /// REST, hooks and git.
    pub api: bool,
    /// The registry at `/v2`.
    pub registry: bool,
}

impl Default for HttpRoles {
    fn default() -> Self {
        Self { api: true, registry: true }
    }
}

/// What upkeep keeps how long, as far as people ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retention {
    /// Logs of runs and builds, in days.
    pub log_days: u32,
    /// Versions of a deleted branch, and images that no version names, in days.
    pub branch_days: u32,
    /// Cached steps of builds on clusters, in days.
    pub cache_days: u32,
    /// Bytes that nothing refers to any more, in hours.
    pub unused_blob_hours: u32,
    /// Whether upkeep only says what it would remove.
    pub only_says: bool,
}

/// Addresses and limits of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The address people and forges use, without a path.
    pub public_url: Url,
    /// What this instance serves.
    pub roles: HttpRoles,
    /// Largest webhook body in bytes. GitHub itself sends at most 25 MB, and pushes are far smaller.
    pub max_hook_body_bytes: usize,
    /// Largest body of a REST call in bytes.
    pub max_api_body_bytes: usize,
    /// Largest manifest in bytes; the distribution specification asks for at least 4 MiB.
    pub max_manifest_bytes: usize,
    /// Largest blob in bytes.
    pub max_upload_bytes: u64,
    /// Most chunks of one upload: each is a blob and a row.
    pub max_upload_parts: usize,
    /// How long the body of an upload may be silent.
    pub upload_idle_timeout_ms: u64,
    /// Largest body of a push, and of what it unpacks to, in bytes.
    pub max_push_bytes: u64,
    /// How long a REST call or hook may take.
    pub request_timeout_ms: u64,
    /// How long composing a bundle may take: images of other registries are copied meanwhile.
    pub compose_timeout_ms: u64,
    /// How many unverified hook requests one address may make in a minute before it gets 429.
    pub max_hook_refusals_per_minute: u32,
    /// How long a webhook secret is kept in memory.
    pub webhook_secret_cache_ms: u64,
    /// Largest age of a signed timestamp, either way.
    pub max_signature_age_ms: u64,
    /// How long a push is shown its run's progress.
    pub push_progress_timeout_ms: u64,
    /// How long `POST /runs` waits for its run to be made.
    pub start_wait_ms: u64,
    /// How often waiting streams look for themselves.
    pub stream_poll_ms: u64,
    /// Largest piece of a log in one answer, in bytes.
    pub max_log_bytes: u64,
    /// Most entries of the audit record that one request looks through.
    pub max_audit_entries: u32,
    /// Whether `X-Forwarded-For` tells the client's address: only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// What upkeep keeps how long; absent where that is not known.
    pub retention: Option<Retention>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            public_url: Url::parse("http://127.0.0.1:8000").expect("invariant: a constant URL"),
            roles: HttpRoles::default(),
            max_hook_body_bytes: 5 << 20,
            max_api_body_bytes: 1 << 20,
            max_manifest_bytes: 4 << 20,
            max_upload_bytes: 64 << 30,
            max_upload_parts: 10_000,
            upload_idle_timeout_ms: 5 * 60_000,
            max_push_bytes: 4 << 30,
            request_timeout_ms: 30_000,
            compose_timeout_ms: 15 * 60_000,
            max_hook_refusals_per_minute: 60,
            webhook_secret_cache_ms: 5_000,
            max_signature_age_ms: 5 * 60_000,
            push_progress_timeout_ms: 10 * 60_000,
            start_wait_ms: 5_000,
            stream_poll_ms: 1_000,
            max_log_bytes: 4 << 20,
            max_audit_entries: 20_000,
            trust_forwarded_for: false,
            retention: None,
        }
    }
}

/// What the binary hands over.
pub struct ServerParts {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Content-addressed bytes.
    pub blobs: Blobs,
    /// Git data of sources.
    pub git: GitStore,
    /// The built-in registry.
    pub registry: BuiltinRegistry,
    /// The registry that images are kept in, if not the built-in one.
    pub external: Option<ExternalRegistry>,
    /// Secrets and tokens.
    pub secrets: Secrets,
    /// Planning without running.
    pub planning: Arc<dyn Planning>,
    /// Looking at a source.
    pub source_check: Arc<dyn SourceCheck>,
    /// Looking at where images are built.
    pub places: Arc<dyn BuildPlaces>,
    /// Looking at the machine that the server runs on.
    pub machine: Arc<dyn MachineCheck>,
    /// The deploy stage.
    pub deploying: Arc<dyn Deploying>,
    /// Composing bundles.
    pub composing: Arc<dyn Composing>,
    /// Definitions.
    pub defining: Arc<dyn Defining>,
    /// Notices.
    pub noticing: Arc<dyn Noticing>,
    /// What is counted; others feed it too.
    pub metrics: Arc<Metrics>,
    /// Fires when the server stops: `/readyz` fails and streams end.
    pub stopping: CancellationToken,
    /// Addresses and limits.
    pub options: HttpOptions,
}

/// What every handler reaches. Cheap to clone.
#[derive(Clone)]
pub struct ServerState(Arc<Shared>);

/// The inside of [`ServerState`].
pub struct Shared {
    parts: ServerParts,
    pub(crate) webhook_secrets: SecretCache,
    pub(crate) refusals: RateLimit<IpAddr>,
    /// Sign-ins by each token: every one is a row, and an entry of the audit record.
    pub(crate) sign_ins: RateLimit<TokenId>,
    /// Streams that each sign-in and token has open.
    pub(crate) open_streams: OpenStreams,
    /// What stands around the server, for the page that shows it.
    pub(crate) surroundings: pages::Surroundings,
    pub(crate) intake: Intake,
}

impl ServerState {
    /// The state over `parts`.
    pub fn new(parts: ServerParts) -> Self {
        let options = &parts.options;
        Self(Arc::new(Shared {
            webhook_secrets: SecretCache::new(Duration::from_millis(options.webhook_secret_cache_ms)),
            refusals: RateLimit::per_minute(options.max_hook_refusals_per_minute),
            sign_ins: RateLimit::per_minute(pages::SIGN_INS_PER_MINUTE),
            open_streams: OpenStreams::default(),
            surroundings: pages::Surroundings::default(),
            intake: Intake::new(Arc::clone(&parts.records)),
            parts,
        }))
    }
}

impl Deref for ServerState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Deref for Shared {
    type Target = ServerParts;

    fn deref(&self) -> &ServerParts {
        &self.parts
    }
}

impl ServerParts {
    /// `public_url` with `path` (which begins with `/`) at its end.
    pub fn public_address(&self, path: &str) -> String {
        format!("{}{path}", self.options.public_url.as_str().trim_end_matches('/'))
    }

    /// Host and port by which people reach the built-in registry.
    pub fn registry_host(&self) -> String {
        let url = &self.options.public_url;
        let host = url.host_str().unwrap_or("localhost");
        url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// The address of a client whose connection is unknown.
pub(crate) const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Everything this instance serves. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, so that addresses are known.
pub fn router(state: ServerState) -> Router {
    let roles = state.options.roles;
    let mut router = Router::new()
        .route("/livez", get(operation::health::live))
        .route("/readyz", get(operation::health::ready))
        .route("/metrics", get(operation::metrics::page));
    if roles.api {
        let limited = Router::new()
            .merge(rest::router(&state))
            .merge(hooks::router(&state))
            .merge(reports::router())
            .layer(from_fn_with_state(state.clone(), operation::request::time_limit));
        router = router
            .merge(limited)
            .merge(rest::composing(&state))
            .merge(rest::streams(&state))
            .merge(git_remote::router())
            .merge(pages::router(&state));
    } else {
        router = router.route("/", get(operation::landing::page));
    }
    if roles.registry {
        router = router.merge(v2::router());
    }
    router
        .fallback(pages::nowhere)
        .method_not_allowed_fallback(pages::otherwise)
        .layer(DefaultBodyLimit::max(state.options.max_api_body_bytes))
        .layer(CatchPanicLayer::custom(operation::request::panicked))
        .layer(from_fn_with_state(state.clone(), operation::request::observe))
        .layer(from_fn(operation::request::safe_headers))
        .with_state(state)
}
