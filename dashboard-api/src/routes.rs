//! What each route asks for: a table of all of them. What is not in it only an admin may call.
//!
//! `tests/tidy.rs` walks every route of the code and looks it up here, so that none is forgotten.

use http::Method;

use crate::auth::Scope;

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: everyone may call it.
    Nothing,
    /// Somebody who has this scope.
    Scope(Scope),
}

const OPEN: Needs = Needs::Nothing;
const INGEST: Needs = Needs::Scope(Scope::Ingest);
const READ: Needs = Needs::Scope(Scope::Read);
const ADMIN: Needs = Needs::Scope(Scope::Admin);

/// Methods (a blank between), path (`/*` at the end: everything below), what is asked for. The first row counts.
const TABLE: &[(&str, &str, Needs)] = &[
    // Whether we live says nothing of what we hold.
    ("GET", "/-/healthy", OPEN),
    ("GET", "/-/ready", OPEN),
    ("GET", "/health", OPEN),
    ("GET", "/api/v1/health", OPEN),
    // The page itself is the same for everyone; what it shows comes from the API. (An upgrade is no page: see below.)
    ("GET", "/", OPEN),
    ("GET", "/logs", OPEN),
    ("GET", "/explore", OPEN),
    ("GET", "/alerts", OPEN),
    ("GET", "/graph", OPEN),
    ("GET", "/assets/*", OPEN),
    ("GET", "/favicon.ico", OPEN),
    ("GET", "/favicon.svg", OPEN),
    // Who logs in is nobody yet, and whoever wants to leave may.
    ("GET POST DELETE", "/api/v1/session", OPEN),
    // Logs and metrics in.
    ("POST", "/ingest", INGEST),
    ("POST", "/ingest/raw", INGEST),
    ("POST", "/data", INGEST),
    ("POST", "/data/", INGEST),
    ("POST", "/data/fast", INGEST),
    ("POST", "/parse/*", INGEST),
    ("POST", "/api/v1/metrics", INGEST),
    ("POST", "/api/v1/import", INGEST),
    ("POST", "/api/v1/write", INGEST),
    ("POST", "/v1/metrics", INGEST),
    ("POST", "/api/v1/otlp/v1/metrics", INGEST),
    ("GET POST", "/api/v1/import/logs", INGEST),
    // Logs out.
    ("GET POST", "/api/v1/logs/*", READ),
    ("GET", "/recent", READ),
    ("GET", "/api/logs", READ),
    ("GET", "/api/log-levels", READ),
    ("GET", "/api/services", READ),
    ("GET", "/api/v1/saved", READ),
    ("GET", "/api/v1/saved/*", READ),
    ("GET", "/ws", READ),
    ("GET", "/ws/logs", READ),
    // Metrics out.
    ("GET POST", "/api/v1/metrics/*", READ),
    ("GET", "/api/metrics", READ),
    ("GET POST", "/api/query", READ),
    ("GET", "/metrics", READ),
    ("GET", "/federate", READ),
    // Prometheus' API.
    ("GET POST", "/api/v1/query", READ),
    ("GET POST", "/api/v1/query_range", READ),
    ("GET POST", "/api/v1/query_exemplars", READ),
    ("GET POST", "/api/v1/format_query", READ),
    ("GET POST", "/api/v1/parse_query", READ),
    ("POST", "/api/v1/read", READ),
    ("GET POST", "/api/v1/series", READ),
    ("GET POST", "/api/v1/labels", READ),
    ("GET", "/api/v1/label/*", READ),
    ("GET", "/api/v1/metadata", READ),
    ("GET", "/api/v1/targets", READ),
    ("GET", "/api/v1/targets/metadata", READ),
    ("GET", "/api/v1/targets/relabel_steps", READ),
    ("GET", "/api/v1/scrape_pools", READ),
    ("GET", "/api/v1/scrape_pools/config", READ),
    ("GET POST", "/api/v1/search/*", READ),
    ("GET", "/api/v1/alertmanagers", READ),
    ("GET", "/api/v1/notifications", READ),
    ("GET", "/api/v1/notifications/live", READ),
    ("GET", "/api/v1/status/*", READ),
    ("GET", "/api/v1/features", READ),
    ("GET", "/api/v1/openapi.yaml", READ),
    // Rules, alerts, the state of the server.
    ("GET", "/api/v1/rules", READ),
    ("GET", "/api/v1/alerts", READ),
    ("GET", "/api/v1/alerting/*", READ),
    ("POST", "/api/v1/backtest", READ),
    ("GET", "/api/v2/alerts", READ),
    ("GET", "/api/v2/status", READ),
    ("GET", "/api/v2/silences", READ),
    ("GET", "/api/v2/silence/*", READ),
    ("GET", "/queue/status", READ),
    // Changes of the server.
    ("POST PUT", "/-/reload", ADMIN),
    ("POST PUT", "/api/v1/admin/tsdb/*", ADMIN),
    ("POST", "/api/v1/backup", ADMIN),
    ("POST", "/api/v1/verify", ADMIN),
    ("POST", "/api/v1/backfill", ADMIN),
    ("PUT DELETE", "/api/v1/saved/*", ADMIN),
    ("POST", "/api/v2/silences", ADMIN),
    ("DELETE", "/api/v2/silence/*", ADMIN),
];

fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(folder) => path.len() > folder.len() && path.starts_with(folder),
        None => path == pattern,
    }
}

fn row(method: &Method, path: &str) -> Option<Needs> {
    // HEAD is GET without the body.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let mut rows = TABLE.iter();
    rows.find(|(methods, pattern, _)| methods.split(' ').any(|known| known == method) && fits(pattern, path))
        .map(|(_, _, needs)| *needs)
}

/// The methods of the first row for a path, a blank between.
pub(crate) fn methods(path: &str) -> &'static str {
    TABLE.iter().find(|(_, pattern, _)| fits(pattern, path)).map_or("", |(methods, ..)| methods)
}

/// Whether the table has a row for a path, whatever the method.
pub fn is_listed(path: &str) -> bool {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    methods.iter().any(|method| row(method, path).is_some())
}

/// What a request asks for; `upgrade` if it wants to become a WebSocket.
pub fn needs(method: &Method, path: &str, upgrade: bool) -> Needs {
    match row(method, path) {
        // Whatever becomes a stream of records is no page.
        Some(Needs::Nothing) if upgrade => READ,
        Some(needs) => needs,
        None => ADMIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_route_and_what_is_unknown() {
        for (method, path, wanted) in [
            (Method::POST, "/ingest", INGEST),
            (Method::GET, "/ingest", ADMIN),
            (Method::POST, "/data/", INGEST),
            (Method::POST, "/data/other", ADMIN),
            (Method::POST, "/ingestion", ADMIN),
            (Method::POST, "/api/v1/metrics", INGEST),
            (Method::POST, "/api/v1/metrics/query", READ),
            (Method::DELETE, "/api/v1/metrics/query", ADMIN),
            (Method::GET, "/api/v1/logs/search", READ),
            (Method::HEAD, "/api/v1/logs/search", READ),
            (Method::GET, "/api/v1/logs/", ADMIN),
            (Method::GET, "/metrics", READ),
            (Method::POST, "/-/reload", ADMIN),
            (Method::PUT, "/api/v1/saved/x", ADMIN),
            (Method::GET, "/-/ready", OPEN),
            (Method::GET, "/", OPEN),
            (Method::POST, "/", ADMIN),
            (Method::GET, "/assets/app.js", OPEN),
            (Method::GET, "/assetsx", ADMIN),
            (Method::GET, "//", ADMIN),
            (Method::GET, "/nothing/here", ADMIN),
            (Method::OPTIONS, "/metrics", ADMIN),
            (Method::TRACE, "/", ADMIN),
        ] {
            assert_eq!(needs(&method, path, false), wanted, "{method} {path}");
        }
        assert_eq!(needs(&Method::GET, "/", true), READ);
        assert_eq!(needs(&Method::GET, "/-/ready", true), READ);
        assert_eq!(needs(&Method::POST, "/-/reload", true), ADMIN);
    }
}
