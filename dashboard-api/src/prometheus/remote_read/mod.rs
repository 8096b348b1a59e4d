//! `POST /api/v1/read`: Prometheus' remote-read. A Prometheus (or Thanos) asks for the raw series of a selector and
//! evaluates by itself.
//!
//! Sources: `prompb/remote.proto` and `storage/remote/read_handler.go` of Prometheus.

mod bits;
mod native;
mod request;
mod written;
mod xor;

use std::sync::Arc;

use axum::extract::{Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::{StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;
use watchfire_model::LabelSet;

use super::plain::Plain;
use crate::body;
use crate::error::ApiError;
use crate::metrics::CancelOnDrop;
use crate::pieces::in_pieces;
use crate::state::Api;
use request::{Request, RequestError, ResponseType};
use written::{Frames, whole};

/// Largest body of a request, bytes; one of Prometheus has some hundred.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Requests that are answered at once, as with Prometheus.
pub(crate) const AT_ONCE: usize = 10;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/read", routing::post(read))
}

async fn read(State(api): State<Arc<Api>>, request: HttpRequest) -> Result<Response, Plain> {
    let (parts, packed) = request.into_parts();
    let encoding = parts.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_vec());
    let packed = body::read(packed, BODY_BYTES_MAX).await?;
    let unpack = api.unpack.clone();
    let read = move || {
        // Requests are packed, also where that is not said.
        let (unpacked, _memory) = unpack(encoding.as_deref().unwrap_or(b"snappy"), &packed)?;
        request::read(&unpacked).map_err(refused)
    };
    let mut asked = tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??;
    let external = api.external_labels();
    asked.queries.iter_mut().for_each(|query| query.mean_without(&external));
    let Ok(turn) = Arc::clone(&api.remote_reads).acquire_owned().await else {
        return Err(ApiError::internal("the server is shutting down").into());
    };
    match asked.response {
        ResponseType::Chunks => {
            let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
            Ok(in_pieces(Frames::new(api, asked.queries, external, turn), content_type).await?)
        }
        ResponseType::Samples => Ok(samples(api, asked, external, turn).await?),
    }
}

async fn samples(
    api: Arc<Api>,
    asked: Request,
    external: LabelSet,
    turn: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let limits = api.limits.of_query();
    let _cancel_on_drop = CancelOnDrop(limits.cancel.clone());
    let work = move || {
        let _turn = turn;
        whole(&api.engine, &asked.queries, &external, &limits)
    };
    let packed = tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??;
    let headers = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
    Ok((headers, packed).into_response())
}

/// Matchers that are none are found out late there, and told as a fault of the server.
fn refused(error: RequestError) -> ApiError {
    let status = match error {
        RequestError::MatcherType | RequestError::Matcher(_) => StatusCode::INTERNAL_SERVER_ERROR,
        RequestError::Malformed(_) | RequestError::ResponseType | RequestError::TooMany => StatusCode::BAD_REQUEST,
    };
    ApiError::new(status, "bad_data", error.to_string())
}
