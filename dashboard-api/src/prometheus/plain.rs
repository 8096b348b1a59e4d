//! What Prometheus says as plain text: methods and paths that its API does not have, and what its protocols for programs
//! (remote-read, federation) refuse.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::detour;
use crate::error::ApiError;
use crate::routes::methods;

/// An answer that is no success.
pub(super) struct Plain {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u32>,
}

impl Plain {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Plain {
        Plain { status, message: message.into(), retry_after_s: None }
    }
}

impl From<ApiError> for Plain {
    fn from(error: ApiError) -> Plain {
        Plain { retry_after_s: error.retry_after_s, ..Plain::new(error.status, error.message) }
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        let mut response = (self.status, plain, self.message + "\n").into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Answers requests whose route does not know their method.
pub(super) async fn wrong_method(request: Request) -> Response {
    if let Some(response) = detour::shortened(request.uri()) {
        return response;
    }
    let mut allowed: Vec<&str> = methods(request.uri().path()).split(' ').chain(["OPTIONS"]).collect();
    allowed.sort_unstable();
    let mut response = Plain::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response();
    response
        .headers_mut()
        .extend(HeaderValue::try_from(allowed.join(", ")).ok().map(|allowed| (header::ALLOW, allowed)));
    response
}

/// Where Prometheus has paths, and below that where we have paths of our own.
const FOLDER: &str = "/api/v1/";
const OURS: [&str; 5] = ["alerting/", "import/", "logs/", "metrics/", "saved/"];

/// What is answered where there is nothing: below its folder in the words of Prometheus. `None` for other paths.
pub(crate) fn nothing_at(path: &str) -> Option<Response> {
    let below = path.strip_prefix(FOLDER)?;
    let is_theirs = !OURS.iter().any(|folder| below.starts_with(folder));
    is_theirs.then(|| nothing().into_response())
}

/// There is nothing.
pub(super) fn nothing() -> Plain {
    Plain::new(StatusCode::NOT_FOUND, "404 page not found")
}
