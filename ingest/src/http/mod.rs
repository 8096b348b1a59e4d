//! The endpoints that take logs in, and samples by remote-write and as text.

mod body;
mod charset;
mod data;
mod decode;
mod error;
mod import;
mod import_metrics;
mod ingest;
mod otlp;
mod parse;
mod remote_write;
mod request;

use std::cell::Cell;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::header::{ALLOW, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use watchfire_engine::{AppendError, Engine};

use crate::intake::{Intake, Share};
use crate::metrics::SourceCounters;
use decode::Encoding;
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

/// The routes that put samples into an engine: Prometheus' remote-write, OTLP metrics and `/api/v1/import`.
/// `late_after_ms` is how old a change may be to be counted as of now (`metrics.late_after`).
pub fn samples_router(intake: Arc<Intake>, engine: Arc<Engine>, late_after_ms: i64) -> Router {
    let only = |route: MethodRouter<Arc<Receiver>>| route.fallback(method_not_allowed);
    Router::new()
        .route("/api/v1/write", post(remote_write::write).fallback(not_allowed_by_prometheus))
        .route("/api/v1/import", only(post(import_metrics::import)))
        .route("/v1/metrics", only(post(otlp::metrics)))
        .route("/api/v1/otlp/v1/metrics", post(otlp::metrics).fallback(not_allowed_by_prometheus))
        .with_state(Arc::new(Receiver { intake, engine, late_after_ms, importing: Mutex::default() }))
}

/// Asks a share for memory as a reader of messages wants it; `is_hopeless` tells whether there will never be enough.
fn grow<'s>(share: &'s mut Share, is_hopeless: &'s Cell<bool>) -> impl FnMut(usize) -> bool + 's {
    move |bytes| {
        let is_taken = share.take(bytes);
        is_hopeless.set(share.is_hopeless());
        is_taken
    }
}

/// Where samples go.
struct Receiver {
    intake: Arc<Intake>,
    engine: Arc<Engine>,
    late_after_ms: i64,
    /// Held by the one import whose text is being read: old samples leave the cores to what comes now.
    importing: Mutex<()>,
}

impl Receiver {
    /// What is told when the engine cannot take samples.
    fn of_append(AppendError::Log(error): AppendError) -> ApiError {
        tracing::error!(%error, "the engine's log cannot be written");
        ApiError::not_now("storage", "the samples cannot be written now; the server's log has the cause")
    }

    /// Errors: no parameter is understood here. `what` is the way in.
    fn without_parameters(what: &str, uri: &Uri) -> Result<(), ApiError> {
        match uri.query().filter(|query| !query.is_empty()) {
            None => Ok(()),
            Some(query) => {
                let said: String = query.chars().take(80).collect();
                Err(ApiError::bad_request("bad_parameter", format!("{what} takes no parameters, not `{said}`")))
            }
        }
    }

    /// Reads and unpacks a body and does work on it, off the async threads; `encoding` is that of a body that does not
    /// name its own. The permit is for as much of the work as needs a core.
    async fn with_body<R: Send + 'static>(
        self: Arc<Receiver>,
        request: Request<Body>,
        encoding: Encoding,
        work: impl FnOnce(&Receiver, &HeaderMap, &[u8], &mut Share, OwnedSemaphorePermit) -> Result<R, ApiError>
        + Send
        + 'static,
    ) -> Result<R, ApiError> {
        let intake = &self.intake;
        if intake.is_draining() {
            return Err(ApiError::draining());
        }
        let (parts, body) = request.into_parts();
        let encoding = match parts.headers.get(CONTENT_ENCODING) {
            None => encoding,
            Some(_) => body::encoding(&parts.headers)?,
        };
        let mut share = Share::new(Arc::clone(intake));
        let packed = body::read(&parts.headers, body, intake, &mut share).await?;
        let Ok(permit) = Arc::clone(&intake.cpu).acquire_owned().await else { return Err(ApiError::draining()) };
        let done = tokio::task::spawn_blocking(move || {
            let (limit, rooms) = (self.intake.limits.decompressed_bytes, &self.intake.rooms);
            let unpacked = body::unpack(encoding, &packed, limit, rooms.take(), &mut share)?;
            let done = work(&self, &parts.headers, &unpacked, &mut share, permit);
            rooms.give_back(unpacked);
            done
        });
        done.await.unwrap_or_else(|_| Err(ApiError::not_now("internal", "the work on the body was stopped")))
    }
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
    let unpacked = body::unpack(encoding, packed, intake.limits.decompressed_bytes, Vec::new(), &mut share)?;
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

/// What Prometheus says where only POST is known.
async fn not_allowed_by_prometheus() -> Response {
    let mut response =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed").into_plain();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    response
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
