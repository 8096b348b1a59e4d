//! What every request passes before it reaches its endpoint: request id, Host, Origin, key, CORS.
//!
//! One layer for all routes, whoever serves them, so that no route can be forgotten. While only loopback
//! addresses are bound and no keys are set, a page of another site must not reach us through the browser of
//! someone on this machine: a foreign `Host` is answered 421 (DNS rebinding), and a foreign `Origin` on a call
//! that changes something is answered 403, always.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

use crate::audit::{self, Actor, Did};
use crate::auth::credentials::is_upgrade;
use crate::auth::sessions::Holder;
use crate::auth::{Access, Identity, Scope, Sent};
use crate::cors::{Allowed, Cors, is_changing};
use crate::error::ApiError;
use crate::long_query::NoRoom;
use crate::rate::{Buckets, neighbourhood};
use crate::routes::{Needs, needs};
use crate::serve::Peer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who asks, for counting how often.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A key or user.
    Known(Holder),
    /// Where nobody is asked, or somebody is not known.
    Address(IpAddr),
}

/// Whose request was let in, for what.
struct Caller {
    identity: Option<Identity>,
    needs: Needs,
}

/// An admin's change, to be written down with what comes of it.
struct Change {
    identity: Option<Identity>,
    peer: IpAddr,
}

impl Change {
    /// Writes it down; a call that nothing answers changes nothing.
    fn audit(&self, method: &Method, path: &str, response: &Response) {
        let status = response.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return;
        }
        let actor = self.identity.as_ref().map_or(Actor::Anyone, Actor::Known);
        let result = if status.is_success() { "done" } else { "failed" };
        let action = format!("{method} {path}");
        match response.extensions().get::<Did>() {
            Some(did) => audit::record_did(actor, Some(self.peer), &action, did, result),
            None => audit::record(actor, Some(self.peer), &action, result),
        }
    }
}

/// Whether a path only says how we are.
fn is_probe(path: &str) -> bool {
    matches!(path, "/-/healthy" | "/-/ready" | "/health" | "/api/v1/health")
}

/// Rules of passage; fixed at start.
#[derive(Debug)]
pub struct Guard {
    /// Who may come in.
    pub access: Arc<Access>,
    /// Whether `Host` must be ours: while bound to loopback without keys.
    pub check_host: bool,
    /// Names, beside loopback ones, under which requests may come.
    pub allowed_hosts: Vec<String>,
    /// Pages of other origins that may call us.
    pub cors: Cors,
    /// Bound on how often somebody may ask, if there is one.
    pub rate: Option<Buckets<Asker>>,
    /// Requests of known keys and users that were not heard, as they asked too often.
    pub limited_known_total: AtomicU64,
    /// The same of addresses.
    pub limited_addresses_total: AtomicU64,
    /// Tells this process' request ids from another's.
    pub process: u32,
    /// Number of the last request.
    pub requests: AtomicU64,
}

impl Guard {
    /// Whether a request is meant for us, and not sent by the page of another site.
    fn check_origin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        // Load balancers probe without `Host`, as HTTP/1.0 has it; browsers never do.
        let is_plain_probe = matches!(uri.path(), "/-/healthy" | "/-/ready") && !headers.contains_key(header::HOST);
        if self.check_host && !is_plain_probe {
            let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
            if !self.is_our_host(host.unwrap_or_default()) {
                let message = match host {
                    Some(host) => format!("this server is not `{}`", host.chars().take(100).collect::<String>()),
                    None => "a request without a `Host` header may only ask for /-/healthy and /-/ready".to_owned(),
                };
                return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message)
                    .hint("ask for 127.0.0.1 or localhost, or add the name to `allowed_hosts`"));
            }
        }
        let upgrade = is_upgrade(headers);
        if let Some(origin) = headers.get(header::ORIGIN)
            && (is_changing(method) || upgrade)
            && !self.is_our_origin(origin, headers, !matches!(Sent::of(headers), Sent::Session(_)))
        {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "pages of another site may not do this",
            )
            .hint("add the page's origin to `cors`"));
        }
        Ok(())
    }

    /// Whose request it is, if that is asked, and whether they may do what it wants.
    async fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, ApiError> {
        self.check_origin(method, uri, headers)?;
        // A preflight is sent by the browser itself, without what it asks leave for.
        let needs = match *method {
            Method::OPTIONS => Needs::Nothing,
            _ => needs(method, uri.path(), is_upgrade(headers)),
        };
        let Needs::Scope(scope) = needs else {
            // Whether we live may be asked however often.
            if !is_probe(uri.path()) {
                self.limit(None, peer)?;
            }
            return Ok(Caller { identity: None, needs });
        };
        let identity = match self.access.identify(&Sent::of(headers), peer).await {
            Ok(identity) => identity,
            Err(refusal) => {
                self.limit(None, peer)?;
                return Err(refusal.into());
            }
        };
        self.limit(identity.as_ref(), peer)?;
        if let Some(identity) = &identity
            && !identity.scopes.allow(scope)
        {
            if scope == Scope::Admin && is_changing(method) {
                audit::record(Actor::Known(identity), Some(peer), &format!("{method} {}", uri.path()), "not allowed");
            }
            let message = format!("this needs the scope `{}`, which is not given to you", scope.as_str());
            return Err(ApiError::new(StatusCode::FORBIDDEN, "scope", message));
        }
        Ok(Caller { identity, needs })
    }

    /// Whether this key, user or address has not asked too often.
    fn limit(&self, identity: Option<&Identity>, peer: IpAddr) -> Result<(), ApiError> {
        let Some(buckets) = &self.rate else { return Ok(()) };
        let (who, counted) = match identity {
            Some(identity) => (Asker::Known(identity.holder.clone()), &self.limited_known_total),
            None => (Asker::Address(neighbourhood(peer)), &self.limited_addresses_total),
        };
        buckets.take(who, Instant::now()).map_err(|wait| {
            counted.fetch_add(1, Ordering::Relaxed);
            ApiError::limited("rate_limit", "too many requests per second", wait)
                .hint("ask less often, or raise `limits.requests_per_second`")
        })
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

    /// Whether a page of ours, or one that is listed, sends this; `star` if one that `*` lets in is as good.
    fn is_our_origin(&self, origin: &HeaderValue, headers: &HeaderMap, star: bool) -> bool {
        if self.cors.allowed(origin).is_some_and(|allowed| allowed == Allowed::ByName || star) {
            return true;
        }
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, name)| !host.is_empty() && name.eq_ignore_ascii_case(host))
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
async fn run(request: Request, next: Next, change: Option<Change>) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD)
        || needs(request.method(), request.uri().path(), false) == Needs::Scope(Scope::Read);
    if is_read {
        return next.run(request).await;
    }
    let answered = tokio::spawn(async move {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = next.run(request).await;
        if let Some(change) = change {
            change.audit(&method, uri.path(), &response);
        }
        response
    });
    answered.await.unwrap_or_else(|failed| ApiError::internal(failed).into_response())
}

/// The layer: admits or refuses, adds the request id and CORS headers, logs.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let origin = request.headers().get(header::ORIGIN).cloned();
    // Only a preflight's headers are still asked for once it is admitted.
    let asked = if *request.method() == Method::OPTIONS { request.headers().clone() } else { HeaderMap::new() };
    let (method, path) = (request.method().clone(), request.uri().clone());
    let Peer(peer) = Peer::of(request.extensions());
    // To a page's own call the browser would answer with a box of its own, over the page's form.
    let by_page = request.headers().get("sec-fetch-dest").is_some_and(|dest| dest == "empty");
    let mut response = match guard.admit(&method, &path, request.headers(), peer).await {
        Err(refusal) => refusal.into_response(),
        Ok(_) if method == Method::OPTIONS => guard.cors.preflight(&asked),
        Ok(_) if request.extensions().get::<NoRoom>().is_some() => NoRoom::answer(),
        Ok(Caller { identity, needs }) => {
            let is_admin = needs == Needs::Scope(Scope::Admin) && is_changing(&method);
            run(request, next, is_admin.then_some(Change { identity, peer })).await
        }
    };
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, guard.request_id());
    if status == StatusCode::UNAUTHORIZED && !by_page && guard.access.takes_passwords() {
        headers
            .append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"watchfire\", charset=\"UTF-8\""));
    }
    // What we answer is what we say it is, whatever a record's text looks like.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    guard.cors.add_headers(origin.as_ref(), headers);
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

    impl Guard {
        pub(crate) fn open() -> Guard {
            Guard {
                access: Arc::new(Access::new(None).expect("random numbers")),
                rate: None,
                limited_known_total: AtomicU64::new(0),
                limited_addresses_total: AtomicU64::new(0),
                check_host: true,
                allowed_hosts: vec!["logs.example.org".into()],
                cors: Cors::new(vec!["https://app.example.org".into()]),
                process: 1,
                requests: AtomicU64::new(0),
            }
        }
    }

    fn admit(method: Method, headers: &[(&'static str, &str)]) -> u16 {
        admit_to("/api/v1/logs/search", method, headers)
    }

    fn admit_to(path: &'static str, method: Method, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        Guard::open()
            .check_origin(&method, &Uri::from_static(path), &map)
            .err()
            .map_or(200, |error| error.status.as_u16())
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
            assert_eq!(admit(Method::GET, &[("host", host)]), status, "{host}");
        }
        for (path, status, foreign) in
            [("/-/healthy", 200, 421), ("/-/ready", 200, 421), ("/health", 421, 421), ("/-/reload", 421, 421)]
        {
            assert_eq!(admit_to(path, Method::GET, &[]), status, "{path}");
            assert_eq!(admit_to(path, Method::GET, &[("host", "evil.example")]), foreign, "{path}");
        }
        let host = ("host", "localhost:8080");
        for (origin, status) in [
            ("http://localhost:8080", 200),
            ("https://app.example.org", 200),
            ("http://localhost:3000", 403),
            ("null", 403),
        ] {
            assert_eq!(admit(Method::POST, &[host, ("origin", origin)]), status, "{origin}");
            let upgrade = [host, ("origin", origin), ("sec-websocket-key", "x")];
            assert_eq!(admit(Method::GET, &upgrade), status, "websocket from {origin}");
        }
        assert_eq!(admit(Method::GET, &[host, ("origin", "http://localhost:3000")]), 200);
    }
}
