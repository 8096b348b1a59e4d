//! D2's endpoints: `POST /data/` answers when the record is stored and found, `POST /data/fast` when it is durable.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use watchfire_log_store::document::{Document, Names};
use watchfire_model::{LogRecord, RecordView};

use super::HttpState;
use super::error::{ApiError, json};
use super::ingest::{Status, answer, gather_json, nothing_sent, take_json};
use super::request::{Job, Parameters, with_body};
use crate::gather::Gathered;
use crate::json_text::write_record;

/// One record, stored and visible to searches before the answer.
pub(super) async fn data(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(store(&state, request).await)
}

/// A record or a list of them, durable before the answer.
pub(super) async fn data_fast(State(state): State<Arc<HttpState>>, request: Request<Body>) -> Response {
    answer(take_json(&state, request, Status::Queued).await)
}

fn gather_one(job: Job<'_>) -> Result<(Gathered, Option<LogRecord>), ApiError> {
    let gathered = gather_json(job)?;
    let first = gathered.batches.first().and_then(|first| first.batch.records().next());
    let record = first.and_then(|bytes| RecordView::parse(bytes).ok()).map(|view| view.to_record());
    Ok((gathered, record))
}

async fn store(state: &HttpState, request: Request<Body>) -> Result<Response, ApiError> {
    let parameters = Parameters::of(request.uri(), &[])?;
    let ((mut gathered, record), parsers) = with_body(&state.intake, request, parameters, gather_one).await?;
    nothing_sent(&gathered)?;
    if gathered.total > 1 {
        return Err(
            ApiError::bad_request("one_record", "expected one record").with_hint("send lists to /data/fast or /ingest")
        );
    }
    let submitted = state.intake.submit(&mut gathered, &state.counters, &parsers).await;
    let submitted = submitted.map_err(|error| ApiError::of_queue(&error))?;
    if let Some(error) = gathered.errors.first() {
        return Err(ApiError::of_record(error.reason, &error.message));
    }
    let (Some(record), Some(seq)) = (record, submitted.first_offset) else {
        return Err(ApiError::bad_request("empty", "the body has no record"));
    };
    let deadline = state.intake.visible_deadline();
    let visible = state.intake.wait_visible(seq, deadline).await;
    let original = match submitted.repeats.first() {
        Some(_) if visible => state.intake.stored(seq, deadline).await,
        Some(_) | None => None,
    };
    let record = original.unwrap_or(record);
    let mut body = String::with_capacity(512);
    write_record(Document { record: &record, seq: Some(seq), names: Names::D2 }, &mut body);
    // It is durable, so an error would make the sender store it twice; but it is not found yet.
    Ok(json(if visible { StatusCode::CREATED } else { StatusCode::ACCEPTED }, body))
}
