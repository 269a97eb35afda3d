//! Path, query and body of a request, whose faults are problems that name the field.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use slipway_types::json_words;

use crate::problem::ApiError;

/// What the path holds.
pub(crate) struct Path<T>(pub T);

/// What the query string holds.
pub(crate) struct Query<T>(pub T);

/// What the JSON body holds.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(ApiError::bad_request("bad_path", path_problem(error.kind())))
            }
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error: QueryRejection| {
                ApiError::bad_request("bad_query", json_words::data(&cause_of(&error)))
            })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(error) => Err(body_problem(&error)),
        }
    }
}

/// What is wrong with an address, by the name of its part.
fn path_problem(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Message(message) => message.clone(),
        ErrorKind::DeserializeError { key, message, .. } => format!("{key}: {message}"),
        other => other.to_string(),
    }
}

fn body_problem(error: &JsonRejection) -> ApiError {
    let status = error.status();
    match error {
        JsonRejection::JsonDataError(_) => {
            ApiError::new(status, "bad_body", json_words::data(&cause_of(error)))
        }
        JsonRejection::JsonSyntaxError(_) => {
            let why = json_words::syntax(&cause_of(error));
            ApiError::new(status, "bad_body", format!("the body is no JSON: {why}"))
                .hint("GET /openapi.json tells what the body holds")
        }
        JsonRejection::MissingJsonContentType(_) => {
            let detail = "the body must be JSON, and say so by `Content-Type: application/json`";
            ApiError::new(status, "unsupported_media_type", detail)
        }
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(status, "body_too_large", "the body is longer than is taken here")
                .hint("GET /api/v1/server names the limits")
        }
        _ => ApiError::new(status, "bad_body", "the body broke off"),
    }
}

/// The cause alone: what stands before it names no field.
fn cause_of(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether a body was refused for its length.
pub(crate) fn is_length_limit(error: &axum::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if source.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        next = source.source();
    }
    false
}
