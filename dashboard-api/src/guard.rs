//! What every request passes before it reaches its endpoint: request id, Host, Origin, key, CORS.
//!
//! One layer for all routes, whoever serves them, so that no route can be forgotten. While only loopback
//! addresses are bound and no keys are set, a page of another site must not reach us through the browser of
//! someone on this machine: a foreign `Host` is answered 421 (DNS rebinding), and a foreign `Origin` on a call
//! that changes something is answered 403, always.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

use crate::auth::credentials::is_upgrade;
use crate::auth::{Access, Identity, Scope, Sent};
use crate::error::ApiError;
use crate::routes::{Needs, needs};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Rules of passage; fixed at start.
#[derive(Debug)]
pub struct Guard {
    /// Who may come in.
    pub access: Arc<Access>,
    /// Whether `Host` must be ours: while bound to loopback without keys.
    pub check_host: bool,
    /// Names, beside loopback ones, under which requests may come.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call us; `*` for all.
    pub cors: Vec<String>,
    /// Tells this process' request ids from another's.
    pub process: u32,
    /// Number of the last request.
    pub requests: AtomicU64,
}

impl Guard {
    /// Decides whether a request may pass; answers whose it is, where that is asked.
    fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Option<Identity>, ApiError> {
        if self.check_host {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            if !self.is_our_host(host) {
                let message = format!("this server is not `{}`", host.chars().take(100).collect::<String>());
                return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message)
                    .hint("ask for 127.0.0.1 or localhost, or add the name to `allowed_hosts`"));
            }
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let upgrade = is_upgrade(headers);
        if let Some(origin) = headers.get(header::ORIGIN)
            && (changes || upgrade)
            && !self.is_our_origin(origin, headers)
        {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "pages of another site may not do this",
            )
            .hint("add the page's origin to `cors`"));
        }
        // A preflight is sent by the browser itself, without what it asks leave for.
        if *method == Method::OPTIONS {
            return Ok(None);
        }
        let Needs::Scope(scope) = needs(method, uri.path(), upgrade) else { return Ok(None) };
        let identity = self.access.identify(&Sent::of(headers))?;
        if let Some(identity) = &identity
            && !identity.scopes.allow(scope)
        {
            let message = format!("this needs the scope `{}`, which is not given to you", scope.as_str());
            return Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
        }
        Ok(identity)
    }

    fn is_our_host(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        loopback
            || name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name) || allowed == host)
    }

    fn is_our_origin(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = origin.split_once("://").is_some_and(|(_, name)| !host.is_empty() && name.eq_ignore_ascii_case(host));
        own || self.cors_allows(origin)
    }

    fn cors_allows(&self, origin: &str) -> bool {
        self.cors.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    fn add_cors(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|text| self.cors_allows(text))) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let exposed = HeaderValue::from_static("X-Request-Id, X-Total-Count");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    fn preflight(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = "authorization, content-type, content-encoding, idempotency-key, x-api-key";
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        response
    }

    /// An id for a request that no other of this or another process has.
    pub fn request_id(&self) -> HeaderValue {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:08x}-{number:x}", self.process);
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

/// Target of the request log; whoever stores our own lines leaves out those about storing records.
const REQUEST_LOG_TARGET: &str = "watchfire::request";
/// A request that takes longer is told at once, not only when somebody listens closely.
const SLOW: Duration = Duration::from_secs(1);

/// Runs the endpoint. What reads ends with its client, that is when this future is dropped; what changes something
/// is not left half done because its client hung up.
async fn run(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD)
        || needs(request.method(), request.uri().path(), false) == Needs::Scope(Scope::Read);
    if is_read {
        return next.run(request).await;
    }
    let answered = tokio::spawn(next.run(request)).await;
    answered.unwrap_or_else(|failed| ApiError::internal(failed).into_response())
}

/// The layer: admits or refuses, adds the request id and CORS headers, logs.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let (method, path) = (request.method().clone(), request.uri().clone());
    let mut response = match guard.admit(&method, &path, request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(_) if method == Method::OPTIONS => guard.preflight(),
        Ok(identity) => {
            // Who acts is known to the endpoints: some write it down.
            if let Some(identity) = identity {
                request.extensions_mut().insert(identity);
            }
            run(request, next).await
        }
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, guard.request_id());
    guard.add_cors(origin.as_ref(), headers);
    log(&method, path.path(), response.status(), begun.elapsed());
    response
}

/// One line per request: of what failed or was slow always, of the rest when the level is `debug`.
fn log(method: &Method, path: &str, status: StatusCode, took: Duration) {
    let (status, ms) = (status.as_u16(), took.as_secs_f64() * 1e3);
    if status >= 500 || took >= SLOW {
        tracing::warn!(target: REQUEST_LOG_TARGET, %method, path, status, ms, "request");
    } else {
        tracing::debug!(target: REQUEST_LOG_TARGET, %method, path, status, ms, "request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Guard {
        Guard {
            access: Arc::new(Access::new(None)),
            check_host: true,
            allowed_hosts: vec!["logs.example.org".into()],
            cors: vec!["https://app.example.org".into()],
            process: 1,
            requests: AtomicU64::new(0),
        }
    }

    fn admit(method: Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        let uri = path.parse().expect("a path");
        open().admit(&method, &uri, &map).err().map_or(200, |error| error.status.as_u16())
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        for (host, status) in [
            ("127.0.0.1:8080", 200),
            ("localhost:8080", 200),
            ("[::1]:8080", 200),
            ("logs.example.org", 200),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("", 421),
        ] {
            assert_eq!(admit(Method::GET, "/recent", &[("host", host)]), status, "{host}");
        }
        let host = ("host", "localhost:8080");
        for (origin, status) in [
            ("http://localhost:8080", 200),
            ("https://app.example.org", 200),
            ("http://localhost:3000", 403),
            ("null", 403),
        ] {
            assert_eq!(admit(Method::POST, "/ingest", &[host, ("origin", origin)]), status, "{origin}");
            let upgrade = [host, ("origin", origin), ("sec-websocket-key", "x")];
            assert_eq!(admit(Method::GET, "/ws/logs", &upgrade), status, "websocket from {origin}");
        }
        assert_eq!(admit(Method::GET, "/recent", &[host, ("origin", "http://localhost:3000")]), 200);
    }
}
