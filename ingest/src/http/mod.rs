//! The endpoints that take logs in.

mod body;
mod data;
mod decode;
mod error;
mod ingest;
mod parse;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};

use crate::intake::Intake;
use crate::metrics::SourceCounters;
use error::ApiError;

/// What the endpoints share.
pub struct HttpState {
    pub(crate) intake: Arc<Intake>,
    pub(crate) counters: SourceCounters,
}

/// The routes: `/ingest`, `/ingest/raw`, `/data/`, `/data/fast`, `/parse/{format}`.
pub fn router(intake: Arc<Intake>) -> Router {
    let counters = intake.metrics.source("http");
    let state = Arc::new(HttpState { intake, counters });
    let only = |route: MethodRouter<Arc<HttpState>>| route.fallback(method_not_allowed);
    Router::new()
        .route("/ingest", only(post(ingest::ingest)))
        .route("/ingest/raw", only(post(ingest::ingest_raw)))
        .route("/data", only(post(data::data)))
        .route("/data/", only(post(data::data)))
        .route("/data/fast", only(post(data::data_fast)))
        .route("/parse/{format}", only(post(parse::parse)))
        .with_state(state)
}

/// Whether requests to a path store records: the request log of such a request must not become a record itself.
pub fn stores_records(path: &str) -> bool {
    matches!(path, "/ingest" | "/ingest/raw" | "/data" | "/data/" | "/data/fast") || path.starts_with("/parse/")
}

async fn method_not_allowed() -> Response {
    let mut response =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only POST is understood here")
            .into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

#[cfg(test)]
mod tests;
