//! Errors as clients see them: RFC 9457 `application/problem+json` with a stable `code`.

use std::error::Error;
use std::fmt;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use slipway_records::RecordsError;
use slipway_secrets::SecretError;
use slipway_types::fault::chain;
use slipway_types::{Class, Fault, Role, Violation};
use utoipa::ToSchema;

tokio::task_local! {
    /// The id of the request this task answers.
    pub(crate) static REQUEST_ID: String;
}

/// The body of every error answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    pub r#type: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable `snake_case` word for scripts.
    pub code: &'static str,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The fault's own code, where a check behind this server found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Everything that is wrong with what was submitted, each with its place and the way out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub violations: Vec<Violation>,
    /// By which the server's log finds this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// An error answer.
#[derive(Debug, Clone)]
pub struct ApiError {
    problem: Box<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An answer with `status`, `code` and `detail`.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            hint: None,
            fault: None,
            violations: Vec::new(),
            request_id: None,
        };
        Self { problem: Box::new(problem), headers: Vec::new() }
    }

    /// The same answer with the next step named.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// 422: what was submitted cannot be taken as it stands.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let detail = match &violations[..] {
            [one] => one.to_string(),
            [first, ..] => format!("{} violations; the first: {first}", violations.len()),
            [] => "it cannot be taken as it stands".to_owned(),
        };
        let mut answer = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "violations", detail);
        answer.problem.violations = violations;
        answer
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).expect("invariant: made from a StatusCode")
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.problem.code
    }

    /// What is wrong.
    pub fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// The next step, if there is one to name.
    pub fn way_out(&self) -> Option<&str> {
        self.problem.hint.as_deref()
    }

    /// What is wrong and the next step, as one text.
    pub fn in_words(&self) -> String {
        match &self.problem.hint {
            Some(hint) => format!("{}. {hint}", self.problem.detail),
            None => self.problem.detail.clone(),
        }
    }

    /// Everything that is wrong with what was submitted, where that was found at once.
    pub fn all_violations(&self) -> &[Violation] {
        &self.problem.violations
    }

    /// 400: the request is wrong.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: no token, or none that holds.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .hint("send `Authorization: Bearer TOKEN`, or Basic with the token as the password")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"slipway\", charset=\"UTF-8\""))
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"slipway\""))
    }

    /// 403: the token's role does not reach.
    pub fn forbidden(wanted: Role, on: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", format!("this needs the role {wanted} on {on}"))
            .hint("ask an admin for a token with that role (`slipway token create`)")
    }

    /// 404: there is no such thing, or none this caller may know of.
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{name}`"))
    }

    /// 409: it stands otherwise than the request supposes.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 500: a bug or a broken store. The cause goes to the log once, never to the client.
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed at this request")
            .hint("the server's log has the cause under this request_id")
    }

    /// 503: something behind the server does not answer; the request may be repeated.
    pub fn unavailable(error: &(dyn Error + 'static), detail: &'static str) -> Self {
        tracing::warn!(error = %chain(error), "request failed for now");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .header(RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// The answer to what a fault ended.
    pub fn of_fault(fault: Fault) -> Self {
        let status = match fault.class {
            Class::Transient => StatusCode::SERVICE_UNAVAILABLE,
            Class::Permanent => StatusCode::UNPROCESSABLE_ENTITY,
            Class::Bug => return Self::internal(&fault),
        };
        let mut answer = Self::new(status, "fault", fault.message);
        answer.problem.hint = fault.hint;
        answer.problem.fault = Some(fault.code);
        answer
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.problem.status, self.problem.code, self.problem.detail)
    }
}

impl Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut problem = self.problem;
        problem.request_id = REQUEST_ID.try_with(Clone::clone).ok();
        let status = StatusCode::from_u16(problem.status).expect("invariant: made from a StatusCode");
        let mut response = (status, Json(&problem)).into_response();
        // Pages show it in their own form.
        response.extensions_mut().insert(*problem);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl From<RecordsError> for ApiError {
    fn from(error: RecordsError) -> Self {
        match &error {
            RecordsError::Unavailable(_) => Self::unavailable(&error, "the database does not answer"),
            RecordsError::NoSpace(_) => Self::unavailable(
                &error,
                "the disk under the database is full: free space there, then try again",
            ),
            RecordsError::Conflict { what } => {
                Self::conflict("exists_already", format!("{what} exists already"))
            }
            RecordsError::Removed { .. } => Self::conflict("removed_meanwhile", error.to_string())
                .hint("look at what there is now, then decide again"),
            RecordsError::TooLarge { .. } => Self::of_fault(Fault::permanent("too_large", error.to_string())),
            RecordsError::Unreadable { .. } | RecordsError::Refused(_) | RecordsError::Damaged(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Records(error) => error.into(),
            SecretError::Name { .. } | SecretError::Size { .. } => {
                Self::bad_request("bad_secret", error.to_string())
            }
            error => Self::of_fault(error.into()),
        }
    }
}

/// The answer where no route leads.
pub(crate) fn not_found(uri: &Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_address", format!("nothing is at {}", uri.path()))
        .hint("GET /openapi.json lists every address of the API")
}

/// The answer where the address exists, but not for this method.
pub(crate) fn method_not_allowed(method: &Method, uri: &Uri) -> ApiError {
    let detail = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
