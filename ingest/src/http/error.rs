//! Errors as the endpoints answer them.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use watchfire_queue::AppendError;

use crate::gather::{BodyError, Place, Reason};
use crate::json_text::write_text;

/// Seconds after which a sender may try again.
const RETRY_AFTER_S: u64 = 1;

/// An error of an endpoint: `{"error", "message", "where", "hint"}` and a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) error: &'static str,
    /// What is wrong, for people.
    pub(super) message: String,
    pub(super) place: Option<Place>,
    /// How to mend it.
    pub(super) hint: Option<Box<str>>,
    /// Further members of the answer, as JSON that starts with a comma.
    pub(super) extra: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, error, message: message.into(), place: None, hint: None, extra: String::new() }
    }

    pub(super) fn bad_request(error: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, error, message)
    }

    pub(super) fn not_now(error: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, message)
    }

    pub(super) fn draining() -> ApiError {
        ApiError::not_now("draining", "the server is shutting down")
    }

    pub(super) fn with_hint(mut self, hint: impl Into<Box<str>>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> ApiError {
        self.status = status;
        self
    }

    pub(super) fn with_extra(mut self, extra: String) -> ApiError {
        self.extra = extra;
        self
    }

    /// A body that is no list of records.
    pub(super) fn of_body(error: &BodyError, body: &[u8]) -> ApiError {
        match error {
            BodyError::Json { at, .. } => ApiError {
                place: Some(Place::of(body, *at)),
                ..ApiError::bad_request("malformed_json", error.to_string())
            },
            BodyError::NotRecords => ApiError::bad_request("not_records", error.to_string()),
        }
    }

    /// What the queue says.
    pub(super) fn of_queue(error: &AppendError) -> ApiError {
        match error {
            AppendError::Full { .. } => ApiError::not_now("queue_full", error.to_string()).with_hint(
                "send it again later; nothing of this request was stored. `queue.disk_limit` is how much it may hold",
            ),
            AppendError::TooLarge { is_of_disk_limit, .. } => {
                let told = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string());
                match is_of_disk_limit {
                    true => told
                        .with_hint("a batch may take a quarter of `queue.disk_limit`; raise it, or send less at once"),
                    false => told,
                }
            }
            AppendError::Moved { .. } => ApiError::new(StatusCode::CONFLICT, "moved", error.to_string()),
            AppendError::Reused => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this `Idempotency-Key` was used within the last day with another body, or with other parameters; \
                 nothing of this request was stored",
            )
            .with_hint("send each new body under a new key; under the same key repeat exactly the same request"),
            AppendError::Io(_) => ApiError::not_now("queue_error", error.to_string())
                .with_hint("send it again later; nothing of this request was stored. A full disk needs room first"),
            AppendError::Closed => ApiError::not_now("queue_error", error.to_string()),
        }
    }

    /// A refused record that was the only one.
    pub(super) fn of_record(reason: Reason, message: &str) -> ApiError {
        let status = match reason {
            Reason::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::QueueFull | Reason::QueueError | Reason::Dropped => StatusCode::SERVICE_UNAVAILABLE,
            Reason::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Reason::Malformed | Reason::NoMessage | Reason::TooOld => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, reason.as_str(), message)
    }

    fn body(&self) -> String {
        use std::fmt::Write;
        let mut out = String::from("{\"error\":");
        write_text(self.error, &mut out);
        out.push_str(",\"message\":");
        write_text(&self.message, &mut out);
        if let Some(Place { line, column, offset }) = self.place {
            // Writing to a string cannot fail.
            let _ = write!(out, ",\"where\":{{\"line\":{line},\"column\":{column},\"offset\":{offset}}}");
        }
        if let Some(hint) = &self.hint {
            out.push_str(",\"hint\":");
            write_text(hint, &mut out);
        }
        out.push_str(&self.extra);
        out.push('}');
        out
    }
}

impl ApiError {
    /// The answer as plain text, where that is what the protocol has.
    pub(super) fn into_plain(self) -> Response {
        let hint = self.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        told(self.status, "text/plain; charset=utf-8", format!("{}{hint}\n", self.message))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        told(self.status, "application/json", self.body())
    }
}

/// An answer that is no success.
fn told(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    response
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
