//! The one shape of every error of our own endpoints (API.md, 1).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::auth::Refusal;

/// A place in a text that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Where {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes from the start.
    pub offset: usize,
}

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Short name for programs (`query_parse`).
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where, if known.
    pub place: Option<Where>,
    /// How to mend it, if known.
    pub hint: Option<String>,
    /// Seconds after which a retry makes sense.
    pub retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    place: Option<Where>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl ApiError {
    /// An error without place and hint.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, code, message: message.into(), place: None, hint: None, retry_after_s: None }
    }

    /// 400: a parameter that cannot be read.
    pub fn bad_parameter(name: &str, problem: impl std::fmt::Display) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", format!("`{name}`: {problem}"))
    }

    /// 400: a body that is no JSON, or not the JSON that is wanted.
    pub fn malformed_json(body: &[u8], error: &serde_json::Error) -> ApiError {
        let before: usize =
            body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
        // Of the very first byte the column is told as zero.
        let column = error.column().max(1);
        let place = Where { line: error.line(), column, offset: before + column - 1 };
        let place = (error.line() > 0).then_some(place);
        let message = format!("the body is not the JSON that is wanted: {error}");
        ApiError { place, ..ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", message) }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 503 with a time to come back.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { retry_after_s: Some(1), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }

    /// 429 with the time after which the next is heard.
    pub fn limited(code: &'static str, message: impl Into<String>, wait: Duration) -> ApiError {
        let retry_after_s = Some(crate::rate::whole_seconds(wait));
        ApiError { retry_after_s, ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, message) }
    }

    /// 500: a fault of ours; the cause goes to the log, not to the caller.
    pub fn internal(cause: impl std::fmt::Display) -> ApiError {
        tracing::error!(%cause, "request failed");
        let message = "something failed on our side; the server's log has the cause";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The body of the answer.
    pub fn json(&self) -> String {
        let body = Body { error: self.code, message: &self.message, place: self.place, hint: self.hint.as_deref() };
        // Texts and numbers always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The same error with a way to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, json, self.json()).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Who asks is not known. Which of name and password was wrong is not told.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let (code, message) = match refusal {
            Refusal::Missing => ("no_key", "a key is needed"),
            Refusal::Malformed => ("bad_credentials", "the header `Authorization` cannot be read"),
            Refusal::UnknownKey => ("unknown_key", "this key is unknown"),
            Refusal::WrongPassword => ("wrong_password", "this name and password do not belong together"),
            Refusal::SessionEnded => ("session_ended", "the session has ended; log in again"),
            Refusal::Limited(wait) => {
                return ApiError::limited("too_many_failures", "too many failed logins from this address", wait);
            }
            Refusal::Busy => return ApiError::unavailable("busy", "too many passwords are being checked"),
        };
        let error = ApiError::new(StatusCode::UNAUTHORIZED, code, message);
        match refusal {
            Refusal::Missing | Refusal::Malformed => {
                error.hint("send `Authorization: Bearer KEY`, `X-API-Key: KEY`, or a name and password")
            }
            _ => error,
        }
    }
}

/// A name in the path that is no text.
impl From<axum::extract::rejection::PathRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::PathRejection) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", rejection.body_text())
    }
}

/// Pointers into a search text.
impl From<watchfire_log_store::query::QueryError> for ApiError {
    fn from(error: watchfire_log_store::query::QueryError) -> ApiError {
        let place = Where { line: error.line, column: error.column, offset: error.offset };
        ApiError {
            place: Some(place),
            hint: error.hint.clone(),
            ..ApiError::new(StatusCode::BAD_REQUEST, "query_parse", error.message)
        }
    }
}
