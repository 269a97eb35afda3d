//! Who looks at a page: language and colours, and who is signed in.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_records::{RecordsError, SignIn};
use slipway_secrets::AuthError;
use slipway_types::{Digest, Principal};
use url::Url;

use super::forms::Posted;
use super::language::Language;
use super::texts::Texts;
use super::theme::Theme;
use super::times::Times;
use super::{cookie, origin};
use crate::auth::{self, Caller};
use crate::operation::open_streams::{self, Holder};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A browser that is not used for so long is signed out, in hours.
const IDLE_HOURS_MAX: i64 = 24;

/// Whoever looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(super) language: Language,
    pub(super) theme: Theme,
    pub(super) times: Times,
    /// Path and query of the page, to come back to.
    pub(super) address: String,
    /// Who is signed in; an error where that could not be found out.
    pub(super) session: Result<Option<Session>, ApiError>,
}

/// A visitor who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(super) caller: Caller,
    /// What forms carry.
    pub(super) form_token: String,
    /// By which the records know the browser.
    pub(super) hash: Digest,
}

/// A visitor who must be signed in.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(super) visitor: Visitor,
    pub(super) session: Session,
}

/// Whether cookies travel over TLS alone.
pub(super) fn is_secure(public_url: &Url) -> bool {
    public_url.scheme() == "https"
}

/// Name of the cookie by which a browser is known. With the prefix, browsers take it from this very host alone.
pub(super) fn cookie_name(public_url: &Url) -> &'static str {
    if is_secure(public_url) { "__Host-slipway" } else { "slipway" }
}

impl Visitor {
    pub(super) async fn of(state: &ServerState, uri: &Uri, headers: &HeaderMap) -> Self {
        let address = uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        Self {
            language: Language::of(headers),
            theme: Theme::of(headers),
            times: Times::of(headers),
            address,
            session: session_of(state, headers).await,
        }
    }

    /// The texts of the visitor's language.
    pub(super) fn texts(&self) -> &'static Texts {
        self.language.texts()
    }

    /// Who is signed in, if that is known.
    pub(super) fn signed_in(&self) -> Option<&Session> {
        self.session.as_ref().ok().and_then(Option::as_ref)
    }
}

async fn session_of(state: &ServerState, headers: &HeaderMap) -> Result<Option<Session>, ApiError> {
    let Some(secret) = cookie::value(headers, cookie_name(&state.options.public_url)) else {
        return Ok(None);
    };
    let (hash, now) = (Digest::of(secret), Utc::now());
    let mut read = state.records.read().await?;
    let kept = read.sign_in_get(&hash).await?.filter(|kept| lasts(kept, now));
    let Some(kept) = kept else { return Ok(None) };
    let Some(token) = read.token_get(kept.token_id).await? else { return Ok(None) };
    drop(read);
    let principal = match slipway_secrets::admit(state.records.as_ref(), token, now).await {
        Ok(principal @ Principal::Token { .. }) => principal,
        Ok(Principal::Build { .. } | Principal::Puller { .. }) => return Ok(None),
        Err(AuthError::Records(error)) => return Err(error.into()),
        Err(AuthError::Unknown | AuthError::Expired { .. } | AuthError::Revoked { .. }) => return Ok(None),
    };
    let is_noted = now - kept.last_seen_at < TimeDelta::minutes(1);
    if !is_noted && let Err(error) = note(state, &hash, now).await {
        // Whoever is signed in is so, whether this is noted or not.
        tracing::warn!(%error, "the use of a sign-in could not be noted");
    }
    Ok(Some(Session { caller: Caller(principal), form_token: origin::form_token(secret), hash }))
}

fn lasts(sign_in: &SignIn, now: DateTime<Utc>) -> bool {
    now < sign_in.expires_at && now - sign_in.last_seen_at < TimeDelta::hours(IDLE_HOURS_MAX)
}

/// Whether a sign-in still lets somebody in. To ask is no use of it.
pub(crate) async fn still_signed_in(state: &ServerState, sign_in: &Digest) -> Result<bool, RecordsError> {
    let now = Utc::now();
    let mut read = state.records.read().await?;
    let kept = read.sign_in_get(sign_in).await?.filter(|kept| lasts(kept, now));
    let Some(kept) = kept else { return Ok(false) };
    let token = read.token_get(kept.token_id).await?;
    Ok(token.is_some_and(|token| auth::holds(&token, now)))
}

/// Around what lasts on a page: it ends with its sign-in, which has a bounded number of it.
pub(super) async fn bounded(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    let holder = visitor.and_then(Visitor::signed_in).map(|session| Holder::SignIn(session.hash));
    open_streams::bounded(state, holder, request, next).await
}

async fn note(state: &ServerState, hash: &Digest, now: DateTime<Utc>) -> Result<(), RecordsError> {
    let mut tx = state.records.begin().await?;
    tx.sign_in_seen(hash, now).await?;
    tx.commit().await
}

impl FromRequestParts<ServerState> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, ApiError> {
        match parts.extensions.get::<Self>() {
            Some(visitor) => Ok(visitor.clone()),
            None => Ok(Self::of(state, &parts.uri, &parts.headers).await),
        }
    }
}

impl FromRequestParts<ServerState> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, ApiError> {
        Self::of(Visitor::from_request_parts(parts, state).await?)
    }
}

impl From<Posted> for Member {
    fn from(Posted { visitor, session, .. }: Posted) -> Self {
        Self { visitor, session }
    }
}

impl Member {
    /// The visitor, if signed in.
    pub(super) fn of(visitor: Visitor) -> Result<Self, ApiError> {
        let session = visitor.session.clone()?;
        let nobody = || ApiError::unauthorized("this page is for those who are signed in");
        Ok(Self { session: session.ok_or_else(nobody)?, visitor })
    }
}
