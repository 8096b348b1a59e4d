//! What a browser or a script sees: every endpoint that reads, the live tail, and the guard of all requests.
//!
//! Nobody but this crate chooses HTTP codes for them. It knows no parser and no queue: what arrives is the
//! business of `ingest`, whose routes the binary puts beside these, under the same [`guard`].
//!
//! Invariants:
//! - every answer passes the guard: Host, Origin and key are checked in one place;
//! - a query or a search runs off the async threads, with limits, and ends when its client leaves;
//! - a slow reader of the live tail loses records and is told how many; nothing is buffered without bound.

pub mod alertmanager;
pub mod alerts;
mod asked_by;
pub mod audit;
pub mod auth;
pub mod backtest;
pub mod backup;
mod body;
pub mod context;
pub mod cors;
mod detour;
pub mod documents;
pub mod error;
pub mod exposition;
pub mod fields;
mod filters;
pub mod guard;
pub mod health;
mod linger;
pub mod live;
pub mod logs;
pub mod long_query;
pub mod maintenance;
pub mod metrics;
mod negotiate;
pub mod notices;
mod numbers;
pub mod own_metrics;
mod packed;
pub mod page;
mod params;
mod pieces;
mod plain_path;
pub mod prometheus;
pub mod push;
pub mod rate;
pub mod reading;
mod refused;
mod request_line;
pub mod roles;
pub mod routes;
pub mod saved;
pub mod self_scrape;
pub mod serve;
pub mod session;
pub mod silences;
mod stalling;
pub mod state;
pub mod stats;
mod stream;
pub mod tail;
pub mod tls;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};

pub use state::Api;

/// All routes of this crate.
pub fn router(api: Arc<Api>) -> Router {
    // What may be long, and is read by programs.
    let packed = Router::new()
        .merge(metrics::routes())
        .merge(prometheus::routes())
        .merge(exposition::routes())
        .layer(axum::middleware::from_fn(packed::pack));
    Router::new()
        .merge(packed)
        .merge(logs::routes())
        .merge(stats::routes())
        .merge(fields::routes())
        .merge(context::routes())
        .merge(saved::routes())
        .merge(documents::routes())
        .merge(live::routes())
        .merge(page::routes())
        .merge(push::routes())
        .merge(alerts::routes())
        .merge(silences::routes())
        .merge(alertmanager::routes())
        .merge(health::routes())
        .merge(backup::routes())
        .merge(maintenance::routes())
        .merge(backtest::routes())
        .with_state(api)
}

/// Answers requests that no route knows.
pub async fn unknown(request: axum::extract::Request) -> Response {
    if let Some(response) = detour::shortened(request.uri()) {
        return response;
    }
    prometheus::nothing_at(request.uri().path()).unwrap_or_else(|| {
        let path: String = request.uri().path().chars().take(200).collect();
        error::ApiError::not_found(format!("there is nothing at `{path}`")).into_response()
    })
}

/// Answers requests whose route does not know their method.
pub async fn wrong_method(request: axum::extract::Request) -> error::ApiError {
    let message = format!("`{}` is not answered here", request.method());
    error::ApiError::new(http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
