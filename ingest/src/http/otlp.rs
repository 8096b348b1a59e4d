//! `POST /v1/metrics`, and `/api/v1/otlp/v1/metrics` as Prometheus has it: OTLP metrics over HTTP, in protobuf or JSON.
//!
//! Success is answered when all that was taken is durable. What cannot be kept is told as a partial success with the
//! number of data points, which senders do not repeat.

use std::cell::Cell;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use watchfire_model::Timestamp;
use watchfire_protobuf::Writer;

use super::decode::Encoding;
use super::error::ApiError;
use super::{Receiver, body};
use crate::intake::Share;
use crate::otlp::{self, Fault};
use crate::remote_write::{Gathered, Outcome};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// How a request and its answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Protobuf,
    Json,
}

/// A request of a sender.
pub(super) async fn metrics(
    State(receiver): State<Arc<Receiver>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let style = style(request.headers())?;
    let work = move |receiver: &Receiver, _: &HeaderMap, body: &[u8], share: &mut Share, permit| {
        let outcome = store(receiver, style, body, share, permit)?;
        receiver.intake.metrics.count_otlp(&outcome);
        Ok(outcome)
    };
    let outcome = receiver.with_body(request, Encoding::Identity, work).await?;
    Ok(answer(style, &outcome))
}

fn style(headers: &HeaderMap) -> Result<Style, ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(PROTOBUF) {
        Ok(Style::Protobuf)
    } else if essence.eq_ignore_ascii_case(JSON) {
        Ok(Style::Json)
    } else {
        let said: String = value.chars().take(80).collect();
        let message = format!("unknown Content-Type `{said}`");
        Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message)
            .with_hint(format!("send `{PROTOBUF}` or `{JSON}`")))
    }
}

/// Reads a request and stores its samples; `permit` is held for the reading.
fn store(
    receiver: &Receiver,
    style: Style,
    body: &[u8],
    share: &mut Share,
    permit: OwnedSemaphorePermit,
) -> Result<Outcome, ApiError> {
    let written;
    let message = match style {
        Style::Protobuf => body,
        Style::Json => {
            // Numbers written in one digit take eight bytes and more.
            if !share.take(body.len().saturating_mul(4)) {
                return Err(if share.is_hopeless() { body::too_much() } else { body::busy() });
            }
            written = otlp::json::to_message(body)
                .map_err(|error| ApiError::bad_request("malformed", format!("the body is no OTLP JSON: {error}")))?;
            &written
        }
    };
    let now = Timestamp::now();
    let is_hopeless = Cell::new(false);
    let mut grow = super::grow(share, &is_hopeless);
    let mut gathered = Gathered::new(now, None, &mut grow);
    otlp::read(message, now, receiver.late_after_ms, &mut gathered).map_err(|fault| match fault {
        Fault::NoMemory if is_hopeless.get() => body::too_much(),
        Fault::NoMemory => body::busy(),
        Fault::Malformed(_) | Fault::Text | Fault::Depth => {
            ApiError::bad_request("malformed", format!("the body is no OTLP request of metrics: {fault}"))
        }
    })?;
    // What follows waits for the disk, together with others.
    drop(permit);
    let outcome = gathered.store(&receiver.engine).map_err(Receiver::of_append)?;
    outcome.ok_or_else(|| ApiError::not_now("internal", "series went away while their samples came"))
}

/// `ExportMetricsServiceResponse`: `1 partial success (1 rejected data points  2 why)`; empty if all was taken.
fn answer(style: Style, outcome: &Outcome) -> Response {
    let rejected: u64 = outcome.refused.iter().map(|(_, count)| count).sum();
    let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
    let why = outcome.told.join("; ");
    match style {
        Style::Protobuf => {
            let mut body = Vec::new();
            if rejected > 0 {
                Writer::new(&mut body).message(1, |partial| {
                    partial.signed(1, rejected);
                    partial.bytes(2, why.as_bytes());
                });
            }
            ([(CONTENT_TYPE, PROTOBUF)], body).into_response()
        }
        Style::Json => {
            let body = match rejected {
                0 => "{}".to_owned(),
                // A number of 64 bits is a text in protobuf's JSON.
                _ => serde_json::json!({
                    "partialSuccess": {"rejectedDataPoints": rejected.to_string(), "errorMessage": why}
                })
                .to_string(),
            };
            ([(CONTENT_TYPE, JSON)], body).into_response()
        }
    }
}
