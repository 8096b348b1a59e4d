//! The envelope of every answer: `{"status": "success", "data": …}`, or `"error"` with its type.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use watchfire_query_lang::{EvalError, Notes, ParseError};

use crate::error::ApiError;

/// What clients of nginx and Prometheus know as "the client has left".
const CLIENT_LEFT: u16 = 499;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    /// `bad_data`, `execution`, `timeout`, …
    kind: &'static str,
    message: String,
    retry_after_s: Option<u32>,
}

impl Refused {
    /// 400: what was sent cannot be read.
    pub(crate) fn bad_data(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// 400 with the name of the parameter.
    pub(crate) fn parameter(name: &str, problem: impl std::fmt::Display) -> Refused {
        Refused::bad_data(format!("invalid parameter {name:?}: {problem}"))
    }

    /// 422: what is asked for is well formed, but cannot be done.
    pub(crate) fn execution(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message)
    }

    /// 500, as Prometheus says of what is not switched on.
    pub(super) fn switched_off(message: &str) -> Refused {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", message)
    }

    /// A query or selector that cannot be read.
    pub(crate) fn parse(name: &str, error: &ParseError) -> Refused {
        Refused::parameter(name, parse_problem(error))
    }

    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Refused {
        Refused { status, kind, message: message.into(), retry_after_s: None }
    }
}

/// What is wrong with a text, and where.
pub(super) fn parse_problem(error: &ParseError) -> String {
    let ParseError { line, column, message, hint, .. } = error;
    let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{line}:{column}: parse error: {message}{hint}")
}

impl From<EvalError> for Refused {
    fn from(error: EvalError) -> Refused {
        let message = error.to_string();
        let (status, kind) = match error {
            EvalError::Timeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            EvalError::Cancelled => (StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST), "canceled"),
            EvalError::Busy { .. } | EvalError::Storage { retry: true, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            EvalError::Storage { retry: false, .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            EvalError::Range { .. } | EvalError::Steps { .. } | EvalError::Query(_) | EvalError::Refused { .. } => {
                (StatusCode::BAD_REQUEST, "bad_data")
            }
            EvalError::Samples { .. }
            | EvalError::Memory { .. }
            | EvalError::Type { .. }
            | EvalError::Labels { .. }
            | EvalError::Parameter { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
        };
        Refused::new(status, kind, message)
    }
}

/// What is refused before a query is looked at: bodies, forms, our own faults.
impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        let kind = match error.status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::UNPROCESSABLE_ENTITY => "execution",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "unavailable",
            status if status.is_server_error() => "internal",
            _ => "bad_data",
        };
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("{}{hint}", error.message);
        Refused { retry_after_s: error.retry_after_s, ..Refused::new(error.status, kind, message) }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'static str,
    error: &'a str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = ErrorBody { status: "error", kind: self.kind, error: &self.message };
        // Texts always serialise.
        let mut response = json(serde_json::to_vec(&body).unwrap_or_default());
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What all answers are.
pub(super) const JSON: &str = "application/json";

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], Body::from(body)).into_response()
}

/// A success that is being written: `data` is appended as JSON.
pub(super) struct Reply {
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn new() -> Reply {
        Reply { body: br#"{"status":"success","data":"#.to_vec() }
    }

    /// One that goes on behind what was sent already.
    pub(super) fn after(body: Vec<u8>) -> Reply {
        Reply { body }
    }

    /// Where `data` is written to.
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    /// The whole answer, with warnings and infos if there are any.
    pub(super) fn finish(mut self, notes: &Notes) -> Vec<u8> {
        for (name, list) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
            if !list.is_empty() {
                self.body.extend_from_slice(format!(",\"{name}\":").as_bytes());
                self.body.extend(serde_json::to_vec(list).unwrap_or_default());
            }
        }
        self.body.push(b'}');
        self.body
    }
}

/// A whole success with `data`, written where it is called.
pub(crate) fn success_bytes(data: &impl Serialize, notes: &Notes) -> Result<Vec<u8>, Refused> {
    let mut reply = Reply::new();
    serde_json::to_writer(reply.data(), data).map_err(ApiError::internal)?;
    Ok(reply.finish(notes))
}

/// A success with `data`, for what is small.
pub(crate) fn success(data: &impl Serialize) -> Result<Response, Refused> {
    success_bytes(data, &Notes::default()).map(json)
}

/// Runs work off the async threads whose result is the body of a success.
pub(super) async fn in_background(
    work: impl FnOnce() -> Result<Vec<u8>, Refused> + Send + 'static,
) -> Result<Response, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?.map(json)
}

/// An answer of bytes that are JSON.
pub(super) fn written(body: Vec<u8>) -> Response {
    json(body)
}
