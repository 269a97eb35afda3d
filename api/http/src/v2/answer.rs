//! Error answers of the distribution specification, and headers that answers share.

use axum::Json;
use axum::http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use slipway_objects::BlobError;
use slipway_oci::builtin::RegistryError;
use slipway_records::RecordsError;
use slipway_types::Digest;
use slipway_types::fault::chain;

use crate::problem::ApiError;

/// Digest of what is answered.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

const DIGEST_INVALID: &str = "DIGEST_INVALID";

/// An error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    // Boxed: errors are moved about on every path that has none.
    headers: Box<HeaderMap>,
}

pub(super) type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Box::default() }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn unsupported(what: &str) -> Self {
        let message = format!("{what} is not part of this registry");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    pub(super) fn denied(what: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", what)
    }

    pub(super) fn name_unknown(repository: &str) -> Self {
        let message = format!("there is no repository `{repository}`");
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
    }

    pub(super) fn digest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, DIGEST_INVALID, message)
    }

    pub(super) fn is_digest_invalid(&self) -> bool {
        self.code == DIGEST_INVALID
    }

    pub(super) fn too_large(what: &str, max_bytes: u64) -> Self {
        let message = format!("the {what} is larger than {max_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    }

    pub(super) fn upload_unknown() -> Self {
        let message = "there is no such upload: it ended or lay idle too long";
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code, "message": self.message}]});
        (self.status, *self.headers, Json(body)).into_response()
    }
}

/// Challenges and statuses stay; the shape becomes the registry's.
impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        let refusal = Self::new(status, code, error.detail());
        match status {
            StatusCode::UNAUTHORIZED => refusal.header(WWW_AUTHENTICATE, "Basic realm=\"slipway\""),
            StatusCode::SERVICE_UNAVAILABLE => refusal.header(RETRY_AFTER, "2"),
            _ => refusal,
        }
    }
}

impl From<RecordsError> for Refusal {
    fn from(error: RecordsError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = error.code();
        match error {
            RegistryError::Records(error) => error.into(),
            RegistryError::Blobs(error) => error.into(),
            RegistryError::Upstream(error) => {
                tracing::warn!(%error, "a blob cannot be fetched from the registry that keeps it");
                Self::new(status, code, RegistryError::Upstream(error).to_string())
            }
            error => Self::new(status, code, error.to_string()),
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Missing { .. } => {
                tracing::error!(error = %chain(&error), "a linked blob is missing");
                Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", error.to_string())
            }
            BlobError::TooLarge { limit_bytes } => Self::too_large("blob", *limit_bytes),
            BlobError::NoSpace { .. } => {
                tracing::error!(error = %chain(&error), "no space for a blob");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", "no space left on the server")
            }
            BlobError::SpoolFull { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", error.to_string())
                    .header(RETRY_AFTER, "5")
            }
            error if error.is_transient() => {
                ApiError::unavailable(error, "the object store does not answer").into()
            }
            error => ApiError::internal(error).into(),
        }
    }
}

/// Something is now at `location` under `digest`.
pub(super) fn created(location: &str, digest: &Digest) -> Result<Response> {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, header_value(location)?);
    headers.insert(CONTENT_DIGEST, header_value(&digest.to_string())?);
    Ok(response)
}

/// A text of ours as a header's value.
pub(super) fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text)
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "NAME_INVALID", "the name holds odd characters"))
}
