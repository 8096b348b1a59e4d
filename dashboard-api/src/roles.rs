//! Which parts of the server a process runs, and which requests it therefore can answer.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::error::ApiError;

/// A part of the server that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes logs in: by HTTP, syslog, from files, the journal and standard input; into the queue.
    Ingestion,
    /// Counts logs, takes samples in, scrapes, sends samples on, answers PromQL.
    Metrics,
    /// Evaluates rules, and tells people.
    Alerting,
    /// Keeps logs to be searched; the live tail and the pages.
    Dashboard,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Ingestion, Role::Metrics, Role::Alerting, Role::Dashboard];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Ingestion => "ingestion",
            Role::Metrics => "metrics",
            Role::Alerting => "alerting",
            Role::Dashboard => "dashboard",
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// The roles of a process; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles([bool; Role::ALL.len()]);

impl Roles {
    /// All of them.
    pub const ALL: Roles = Roles([true; Role::ALL.len()]);

    /// Whether one is among them.
    pub fn has(self, role: Role) -> bool {
        self.0.get(role.place()).copied().unwrap_or(false)
    }

    /// Those that are here, in their order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Role::as_str).collect()
    }
}

impl FromStr for Roles {
    type Err = String;

    /// `all`, or names with commas between.
    fn from_str(text: &str) -> Result<Roles, String> {
        if text.trim() == "all" {
            return Ok(Roles::ALL);
        }
        let mut roles = Roles([false; Role::ALL.len()]);
        for name in text.split(',').map(str::trim) {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == name);
            let role = role.ok_or_else(|| "write all, or some of ingestion,metrics,alerting,dashboard".to_owned())?;
            if let Some(place) = roles.0.get_mut(role.place()) {
                *place = true;
            }
        }
        Ok(roles)
    }
}

/// What a request needs to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// These roles, all of them.
    All(&'static [Role]),
    /// Somebody who answers queries: this process, or another cluster that it asks.
    Queries,
}

const INGESTION: Needs = Needs::All(&[Role::Ingestion]);
const METRICS: Needs = Needs::All(&[Role::Metrics]);
const ALERTING: Needs = Needs::All(&[Role::Alerting]);
const DASHBOARD: Needs = Needs::All(&[Role::Dashboard]);
const RECOUNT: Needs = Needs::All(&[Role::Metrics, Role::Dashboard]);

/// Paths (`/*` at the end: everything below) and what they need. The first row counts; what is in none is everywhere.
const TABLE: &[(&str, Needs)] = &[
    ("/ingest", INGESTION),
    ("/ingest/*", INGESTION),
    ("/data", INGESTION),
    ("/data/", INGESTION),
    ("/data/*", INGESTION),
    ("/parse/*", INGESTION),
    ("/api/v1/import/logs", INGESTION),
    ("/api/v1/metrics", METRICS),
    ("/api/v1/import", METRICS),
    ("/api/v1/write", METRICS),
    ("/v1/metrics", METRICS),
    ("/api/v1/otlp/*", METRICS),
    ("/api/v1/targets", METRICS),
    ("/api/v1/targets/*", METRICS),
    ("/api/v1/scrape_pools", METRICS),
    ("/api/v1/admin/tsdb/*", METRICS),
    ("/api/v1/metrics/*", Needs::Queries),
    ("/api/metrics", Needs::Queries),
    ("/api/query", Needs::Queries),
    ("/federate", Needs::Queries),
    ("/api/v1/query", Needs::Queries),
    ("/api/v1/query_range", Needs::Queries),
    ("/api/v1/query_exemplars", Needs::Queries),
    ("/api/v1/read", Needs::Queries),
    ("/api/v1/series", Needs::Queries),
    ("/api/v1/labels", Needs::Queries),
    ("/api/v1/label/*", Needs::Queries),
    ("/api/v1/metadata", Needs::Queries),
    ("/api/v1/backtest", Needs::Queries),
    ("/api/v1/rules", ALERTING),
    ("/api/v1/alerts", ALERTING),
    ("/api/v1/alerting/*", ALERTING),
    ("/api/v2/*", ALERTING),
    ("/api/v1/verify", RECOUNT),
    ("/api/v1/backfill", RECOUNT),
    ("/", DASHBOARD),
    ("/logs", DASHBOARD),
    ("/explore", DASHBOARD),
    ("/alerts", DASHBOARD),
    ("/graph", DASHBOARD),
    ("/assets/*", DASHBOARD),
    ("/api/v1/logs/*", DASHBOARD),
    ("/recent", DASHBOARD),
    ("/api/logs", DASHBOARD),
    ("/api/log-levels", DASHBOARD),
    ("/api/services", DASHBOARD),
    ("/api/v1/saved", DASHBOARD),
    ("/api/v1/saved/*", DASHBOARD),
    ("/ws", DASHBOARD),
    ("/ws/*", DASHBOARD),
];

/// What there is in this process.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// The roles that it runs.
    pub roles: Roles,
    /// Queries are answered by another cluster (`metrics.backend`).
    pub has_backend: bool,
}

impl Here {
    /// The role that a path lacks here.
    fn lacks(self, path: &str) -> Option<Role> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(folder) => path.len() > folder.len() && path.starts_with(folder),
            None => path == pattern,
        };
        let (_, needs) = TABLE.iter().find(|(pattern, _)| fits(pattern))?;
        match needs {
            Needs::All(roles) => roles.iter().copied().find(|role| !self.roles.has(*role)),
            Needs::Queries if self.has_backend => None,
            Needs::Queries => (!self.roles.has(Role::Metrics)).then_some(Role::Metrics),
        }
    }
}

/// Answers what this process does not do with where it is done.
pub async fn check(State(here): State<Arc<Here>>, request: Request, next: Next) -> Response {
    match here.lacks(request.uri().path()) {
        None => next.run(request).await,
        Some(role) => {
            let (role, runs) = (role.as_str(), here.roles.names().join(", "));
            let message = format!("this needs the role `{role}`, and this process runs: {runs}");
            ApiError::new(StatusCode::NOT_FOUND, "role_absent", message)
                .hint(format!("ask a process that runs it (`watchfire serve --roles {role}`)"))
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Here, Role, Roles};

    #[test]
    fn roles_are_read() {
        assert_eq!("all".parse(), Ok(Roles::ALL));
        assert_eq!("ingestion,metrics,alerting,dashboard".parse(), Ok(Roles::ALL));
        let two: Roles = "dashboard, metrics".parse().expect("two roles");
        assert_eq!(two.names(), ["metrics", "dashboard"]);
        for text in ["", "ingest", "all,metrics", "metrics,"] {
            assert!(text.parse::<Roles>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_need_roles() {
        let here = |roles: &str, has_backend| Here { roles: roles.parse().expect("roles"), has_backend };
        let none = here("ingestion", false);
        for (path, lacks) in [
            ("/ingest", None),
            ("/metrics", None),
            ("/-/ready", None),
            ("/api/v1/import/logs", None),
            ("/api/v1/import", Some(Role::Metrics)),
            ("/api/v1/query", Some(Role::Metrics)),
            ("/api/v1/rules", Some(Role::Alerting)),
            ("/", Some(Role::Dashboard)),
            ("/api/v1/logs/search", Some(Role::Dashboard)),
        ] {
            assert_eq!(none.lacks(path), lacks, "{path}");
        }
        assert_eq!(here("metrics", false).lacks("/api/v1/verify"), Some(Role::Dashboard));
        assert_eq!(here("alerting", true).lacks("/api/v1/query"), None);
        assert_eq!(here("alerting", true).lacks("/api/v1/write"), Some(Role::Metrics));
    }
}
