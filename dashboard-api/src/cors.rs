//! Pages of other origins that may call us: the list `cors`, by the Fetch standard's CORS protocol.
//!
//! Off unless something is listed. An origin that is listed by name may send cookies and basic authentication; `*` lets
//! every page in, but none with what its user's browser knows of us.

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

/// What a page may send.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
/// The headers that it may set; those that every page may set need no leave.
const REQUEST_HEADERS: &str = "authorization, content-type, content-encoding, idempotency-key, x-api-key";
/// The headers of answers that it may read, beside those that every page may read.
const ANSWER_HEADERS: &str = "X-Request-Id, X-Total-Count, Retry-After";
/// How long a browser may remember a leave, seconds.
const MAX_AGE_S: &str = "600";

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors(Vec<String>);

/// How an origin is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// By its name.
    ByName,
    /// By `*`.
    ByStar,
}

impl Cors {
    /// Of origins (`https://app.example.org`), or `*`.
    pub fn new(origins: Vec<String>) -> Cors {
        Cors(origins)
    }

    /// How an origin is allowed, if it is. `null`, which a sandboxed page or a file sends, is nobody's name.
    pub fn allowed(&self, origin: &HeaderValue) -> Option<Allowed> {
        let origin = origin.to_str().ok()?;
        if self.0.iter().any(|listed| origin != "null" && listed.eq_ignore_ascii_case(origin)) {
            return Some(Allowed::ByName);
        }
        self.0.iter().any(|listed| listed == "*").then_some(Allowed::ByStar)
    }

    /// Tells the browser whether the page may read this answer.
    pub fn add_headers(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // Also where there is no leave: a cache must not give one origin the answer to another.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some((origin, allowed)) = origin.and_then(|origin| Some((origin, self.allowed(origin)?))) else { return };
        match allowed {
            Allowed::ByName => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Allowed::ByStar => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS));
    }

    /// The answer to `OPTIONS`: to a browser that asks on behalf of a page, what the page may send.
    pub fn preflight(&self, request: &HeaderMap) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let asks = request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let allowed = request.get(header::ORIGIN).and_then(|origin| self.allowed(origin));
        let headers = response.headers_mut();
        if !asks {
            headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
        } else if allowed.is_some() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
        }
        if asks && !self.0.is_empty() {
            let varies = "Access-Control-Request-Method, Access-Control-Request-Headers";
            headers.append(header::VARY, HeaderValue::from_static(varies));
        }
        response
    }
}

/// Whether a method may change something.
pub fn is_changing(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
