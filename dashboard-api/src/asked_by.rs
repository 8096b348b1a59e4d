//! Who asks a query, for the log of queries.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Method, Uri};
use watchfire_json_log::query::{LoggedQuery, Origin, QueryStats};
use watchfire_query_lang::{Asked as When, EvalError};

use crate::serve::Peer;
use crate::state::Api;

/// What the log tells of a request.
pub(crate) struct AskedBy {
    peer: Peer,
    method: Method,
    uri: Uri,
}

impl<S: Sync> FromRequestParts<S> for AskedBy {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AskedBy, Infallible> {
        Ok(AskedBy { peer: Peer::of(&parts.extensions), method: parts.method.clone(), uri: parts.uri.clone() })
    }
}

impl AskedBy {
    /// Evaluates a query, and writes down that it was.
    pub(crate) fn evaluate<T>(
        &self,
        api: &Api,
        query: &str,
        when: When,
        work: impl FnOnce() -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let begun = Instant::now();
        let outcome = work();
        let stats = QueryStats { evaluated: begun.elapsed(), ..QueryStats::default() };
        self.write_down(api, query, when, &outcome, stats);
        outcome
    }

    /// Writes down that a query was evaluated, if queries are written down.
    pub(crate) fn write_down<T>(
        &self,
        api: &Api,
        query: &str,
        when: When,
        outcome: &Result<T, EvalError>,
        stats: QueryStats,
    ) {
        let (start, end, step_ms) = match when {
            When::Instant(at) => (at, at, 0),
            When::Range(steps) => (steps.start, steps.end, steps.step_ms),
        };
        api.json_logs.query(&LoggedQuery {
            query,
            start,
            end,
            step_ms,
            error: outcome.as_ref().err().map(EvalError::to_string),
            stats,
            origin: Origin::Request { client: self.peer.0, method: self.method.as_str(), path: self.uri.path() },
        });
    }
}
