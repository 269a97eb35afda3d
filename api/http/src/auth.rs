//! Who makes a request, and guards that say what they may reach.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use slipway_records::{Application, Read, TokenRow};
use slipway_secrets::AuthError;
use slipway_types::id::ApplicationId;
use slipway_types::{ApplicationName, Principal, Role};

use crate::problem::ApiError;
use crate::state::ServerState;

/// The authenticated caller of a request.
#[derive(Debug, Clone)]
pub struct Caller(pub Principal);

impl FromRequestParts<ServerState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, ApiError> {
        authenticate(state, &parts.headers).await
    }
}

/// The caller whose token the headers carry.
pub async fn authenticate(state: &ServerState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = token_of(headers).ok_or_else(|| ApiError::unauthorized("this address needs a token"))?;
    match slipway_secrets::authenticate(state.records.as_ref(), &token, Utc::now()).await {
        Ok(principal) => Ok(Caller(principal)),
        Err(AuthError::Records(error)) => Err(error.into()),
        Err(error) => Err(ApiError::unauthorized(error.to_string())),
    }
}

/// Whether a token that let somebody in still does at `now`.
pub(crate) fn holds(token: &TokenRow, now: DateTime<Utc>) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|at| now < at)
}

/// The token of `Authorization: Bearer TOKEN` or of Basic, whose password it is.
fn token_of(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (_user, password) = pair.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
}

impl Caller {
    /// The caller's name, as records keep it.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether the caller holds `role` on `application`, or on the whole server.
    pub fn may(&self, role: Role, application: Option<ApplicationId>) -> bool {
        self.0.may(role, application)
    }

    /// The one application this caller is limited to.
    pub fn limited_to(&self) -> Option<ApplicationId> {
        match &self.0 {
            Principal::Token { application, .. } => *application,
            Principal::Build { .. } | Principal::Puller { .. } => None,
        }
    }

    /// Refuses callers without `role` on the whole server.
    pub fn on_server(&self, role: Role) -> Result<(), ApiError> {
        if self.may(role, None) { Ok(()) } else { Err(ApiError::forbidden(role, "the whole server")) }
    }

    /// Refuses callers that hold `role` nowhere; what they see is limited further by
    /// [`Self::limited_to`].
    pub fn somewhere(&self, role: Role) -> Result<(), ApiError> {
        let may = self.may(role, self.limited_to());
        if may { Ok(()) } else { Err(ApiError::forbidden(role, "an application")) }
    }

    /// The application, if this caller holds `role` on it. One they may not see is not found.
    pub async fn application(
        &self,
        read: &mut dyn Read,
        name: &ApplicationName,
        role: Role,
    ) -> Result<Application, ApiError> {
        let application = read
            .application_by_name(name)
            .await?
            .filter(|application| self.may(Role::Reader, Some(application.id)))
            .ok_or_else(|| ApiError::not_found("application", name))?;
        self.on_application(&application, role)?;
        Ok(application)
    }

    /// Refuses callers without `role` on an application they may see.
    pub fn on_application(&self, application: &Application, role: Role) -> Result<(), ApiError> {
        if self.may(role, Some(application.id)) {
            Ok(())
        } else {
            Err(ApiError::forbidden(role, &format!("`{}`", application.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn tokens_come_as_bearer_or_as_the_basic_password() {
        assert_eq!(token_of(&headers("Bearer abc")).as_deref(), Some("abc"));
        let basic = STANDARD.encode("any:a:b");
        assert_eq!(token_of(&headers(&format!("basic {basic}"))).as_deref(), Some("a:b"));
        for bad in ["abc", "Basic !!", "Digest x", &format!("Basic {}", STANDARD.encode("user:"))] {
            assert_eq!(token_of(&headers(bad)), None, "{bad}");
        }
    }
}
