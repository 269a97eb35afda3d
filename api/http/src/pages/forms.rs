//! Forms that pages send.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::visitor::{Member, Session, Visitor};
use super::{known_fields, origin};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Most fields of one form.
const FIELDS_MAX: usize = 1000;

/// What was filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

/// A form of anybody, from a page of this server.
pub(crate) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

/// A form of somebody who is signed in, from a page of theirs.
pub(crate) struct Posted {
    pub(super) visitor: Visitor,
    pub(super) session: Session,
    pub(super) fields: Fields,
}

impl Fields {
    /// The fields of a form as it was sent, or of the query of an address.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().take(FIELDS_MAX).collect())
    }

    #[cfg(test)]
    pub(super) fn read(body: &str) -> Self {
        Self::of(body.as_bytes())
    }

    /// A form as it is shown first, with these values.
    pub(super) fn filled<'p>(pairs: impl IntoIterator<Item = (&'p str, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// What a field holds, with line breaks as files have them, for browsers send those of HTTP; `None` if it is
    /// empty or absent.
    pub(super) fn file(&self, name: &str) -> Option<String> {
        self.exact(name).map(|value| value.replace("\r\n", "\n")).filter(|value| !value.is_empty())
    }

    /// The lines of a field that hold something, without spaces around them.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let text = self.text(name).unwrap_or_default();
        text.lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// What a field holds without spaces around it; `None` if it is empty or absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.exact(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// What a field holds to the letter; `None` if it is absent.
    pub(super) fn exact(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The names of all fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is a field of that name, or one whose name goes on with a `/` after it.
    pub(super) fn holds(&self, name: &str) -> bool {
        let goes_on = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.0.iter().any(|(found, _)| found.strip_prefix(name).is_some_and(goes_on))
    }
}

impl FromRequest<ServerState> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ServerState) -> Result<Self, ApiError> {
        origin::check(&state.options.public_url, request.headers())?;
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type.is_none_or(|value| !value.starts_with("application/x-www-form-urlencoded")) {
            let detail = "a form is sent as application/x-www-form-urlencoded";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(|error| {
            ApiError::new(error.status(), "bad_body", "the form broke off or is longer than is taken here")
        })?;
        let fields = Fields::of(&bytes);
        if let Some(session) = visitor.signed_in() {
            origin::check_token(&session.form_token, fields.text(origin::FIELD))?;
        }
        known_fields::check(&route, &fields)?;
        Ok(Self { visitor, fields })
    }
}

impl FromRequest<ServerState> for Posted {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ServerState) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let Member { session, .. } = Member::from_request_parts(&mut parts, state).await?;
        let Sent { visitor, fields } = Sent::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self { visitor, session, fields })
    }
}
