//! Signing in, by an access token, and out.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use slipway_records::{NewAuditEntry, SignIn};
use slipway_secrets::AuthError;
use slipway_types::{Digest, Principal};

use super::forms::{Posted, Sent};
use super::frame::{Frame, Section, show_as};
use super::texts::{Said, Texts};
use super::visitor::{Visitor, cookie_name, is_secure};
use super::{address, cookie};
use crate::extract::Query;
use crate::hooks;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A browser stays signed in for so long at most, in days.
const DAYS_MAX: i64 = 7;
/// Sign-ins by one token in a minute, at most.
pub(crate) const SIGN_INS_PER_MINUTE: u32 = 60;
/// Expired sign-ins that go when a new one is made, at most.
const FORGOTTEN_MAX: u32 = 100;

/// Where somebody signs in.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    t: &'static Texts,
    frame: Frame,
    return_to: String,
    /// Why the token that was given lets nobody in.
    refusal: Option<Said>,
}

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Back {
    return_to: Option<String>,
}

/// The address of whoever sends a request.
pub(super) struct Sender(IpAddr);

impl FromRequestParts<ServerState> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, ApiError> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(hooks::sender_of(state, &parts.headers, connected)))
    }
}

fn form(
    visitor: &Visitor,
    status: StatusCode,
    return_to: &str,
    refusal: Option<Said>,
) -> Result<Response, ApiError> {
    let t = visitor.texts();
    let frame = Frame::new(visitor, Section::Elsewhere, t.sign_in);
    show_as(status, &SignInPage { t, frame, return_to: return_to.to_owned(), refusal })
}

/// The form.
pub(super) async fn page(visitor: Visitor, Query(back): Query<Back>) -> Result<Response, ApiError> {
    let return_to = address::own(back.return_to.as_deref());
    match &visitor.session {
        Ok(None) => form(&visitor, StatusCode::OK, return_to, None),
        Ok(Some(_)) => Ok(Redirect::to(return_to).into_response()),
        Err(error) => Err(error.clone()),
    }
}

/// Signs in: the token is looked at once, and what the browser keeps instead says nothing of it.
pub(super) async fn sign_in(
    State(state): State<ServerState>,
    sender: Sender,
    Sent { visitor, fields }: Sent,
) -> Result<Response, ApiError> {
    let return_to = address::own(fields.text("return_to"));
    let token = fields.text("token").unwrap_or_default();
    let principal = match slipway_secrets::authenticate(state.records.as_ref(), token, Utc::now()).await {
        Ok(principal) => principal,
        Err(AuthError::Records(error)) => return Err(error.into()),
        Err(error) => {
            if !state.refusals.allow(&sender.0) {
                return Err(hooks::too_many(&state, sender.0));
            }
            let why = visitor.texts().refusal(&error.to_string());
            return form(&visitor, StatusCode::UNPROCESSABLE_ENTITY, return_to, Some(why));
        }
    };
    let refused = |why: &str| {
        let why = Said::own(visitor.language, why);
        form(&visitor, StatusCode::UNPROCESSABLE_ENTITY, return_to, Some(why))
    };
    let (id, name) = match principal {
        Principal::Token { id, name, .. } => (id, name),
        Principal::Build { .. } => return refused(visitor.texts().token_of_build),
        Principal::Puller { .. } => return refused(visitor.texts().token_of_environment),
    };
    if !state.sign_ins.allow(&id) {
        return Err(too_many());
    }
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let now = Utc::now();
    let sign_in = SignIn {
        hash: Digest::of(&secret),
        token_id: id,
        created_at: now,
        last_seen_at: now,
        expires_at: now + TimeDelta::days(DAYS_MAX),
    };
    let mut tx = state.records.begin().await?;
    tx.sign_ins_forget(now, FORGOTTEN_MAX).await?;
    if let Some(before) = visitor.signed_in() {
        // The browser keeps one: nobody could sign out of the other any more.
        tx.sign_in_remove(&before.hash).await?;
    }
    tx.sign_in_insert(&sign_in).await?;
    tx.audit(NewAuditEntry {
        actor: name.clone(),
        action: "token.sign_in",
        subject: format!("token/{name}"),
        detail: json!({"id": id, "expires_at": sign_in.expires_at}),
    })
    .await?;
    tx.commit().await?;
    Ok(led(&state, &secret, DAYS_MAX * 86_400, return_to))
}

fn too_many() -> ApiError {
    let detail = format!("more than {SIGN_INS_PER_MINUTE} sign-ins by one token in a minute");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .header(RETRY_AFTER, HeaderValue::from_static("60"))
}

/// Signs out.
pub(super) async fn sign_out(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let mut tx = state.records.begin().await?;
    tx.sign_in_remove(&posted.session.hash).await?;
    tx.commit().await?;
    Ok(led(&state, "", 0, "/sign-in"))
}

/// Sets what the browser keeps and leads on.
fn led(state: &ServerState, secret: &str, max_age_s: i64, to: &str) -> Response {
    let url = &state.options.public_url;
    let kept = cookie::set(cookie_name(url), secret, max_age_s, is_secure(url));
    (AppendHeaders([(SET_COOKIE, kept)]), Redirect::to(to)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_over_tls_is_known_over_tls_alone() {
        for (url, name, secure) in
            [("https://slipway.example", "__Host-slipway", true), ("http://127.0.0.1:8000", "slipway", false)]
        {
            let url = url.parse().unwrap();
            assert_eq!((cookie_name(&url), is_secure(&url)), (name, secure));
        }
    }
}
