//! The endpoints that take logs in, and samples by remote-write.

mod body;
mod data;
mod decode;
mod error;
mod import;
mod ingest;
mod parse;
mod remote_write;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use watchfire_engine::Engine;

use crate::intake::{Intake, Share};
use crate::metrics::SourceCounters;
use error::ApiError;

/// What the endpoints share.
pub struct HttpState {
    pub(crate) intake: Arc<Intake>,
    pub(crate) counters: SourceCounters,
    pub(crate) import_counters: SourceCounters,
}

/// The routes: `/ingest`, `/ingest/raw`, `/data/`, `/data/fast`, `/parse/{format}`, `/api/v1/import/logs`.
pub fn router(intake: Arc<Intake>) -> Router {
    let (counters, import_counters) = (intake.metrics.source("http"), intake.metrics.source("import"));
    let state = Arc::new(HttpState { intake, counters, import_counters });
    let only = |route: MethodRouter<Arc<HttpState>>| route.fallback(method_not_allowed);
    Router::new()
        .route("/ingest", only(post(ingest::ingest)))
        .route("/ingest/raw", only(post(ingest::ingest_raw)))
        .route("/data", only(post(data::data)))
        .route("/data/", only(post(data::data)))
        .route("/data/fast", only(post(data::data_fast)))
        .route("/parse/{format}", only(post(parse::parse)))
        .route("/api/v1/import/logs", axum::routing::get(import::known).post(import::piece))
        .with_state(state)
}

/// The route of Prometheus' remote-write, `/api/v1/write`, into an engine.
pub fn remote_write_router(intake: Arc<Intake>, engine: Arc<Engine>) -> Router {
    let route = post(remote_write::write).fallback(method_not_allowed);
    Router::new().route("/api/v1/write", route).with_state(Arc::new(remote_write::Receiver { intake, engine }))
}

/// Whether requests to a path store records: the request log of such a request must not become a record itself.
pub fn stores_records(path: &str) -> bool {
    matches!(path, "/ingest" | "/ingest/raw" | "/data" | "/data/" | "/data/fast" | "/api/v1/import/logs")
        || path.starts_with("/parse/")
}

/// Unpacks a body that is not one of ours, within the limits and the memory of those that are. Its memory is counted
/// until the second part is dropped. CPU work. Errors: why it cannot be unpacked.
pub fn unpack(intake: &Arc<Intake>, encoding: &[u8], packed: &[u8]) -> Result<(Vec<u8>, Box<dyn Send>), UnpackError> {
    let mut share = Share::new(Arc::clone(intake));
    let encoding = decode::Encoding::of_header(encoding).map_err(|error| body::of_decode(&error))?;
    let unpacked = body::unpack(encoding, packed, intake.limits.decompressed_bytes, &mut share)?;
    Ok((unpacked, Box::new(share)))
}

/// Why a body cannot be unpacked, as an endpoint tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackError {
    /// HTTP status.
    pub status: StatusCode,
    /// A word for programs.
    pub error: &'static str,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl From<ApiError> for UnpackError {
    fn from(ApiError { status, error, message, hint, .. }: ApiError) -> UnpackError {
        UnpackError { status, error, message, hint: hint.map(String::from) }
    }
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
