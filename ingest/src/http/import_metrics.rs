//! `POST /api/v1/import`: samples of the past as text, OpenMetrics 1.0 or Prometheus' own, times out of order included.
//!
//! Success is answered when what it counts is durable. Good lines are kept beside bad ones, which are told with their
//! numbers; the same text again adds nothing.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use watchfire_exposition::Format;
use watchfire_model::Timestamp;

use super::decode::Encoding;
use super::error::{ApiError, json};
use super::{Receiver, body};
use crate::intake::Share;
use crate::json_text::write_text;
use crate::old_samples::{self, BATCH_BYTES, Outcome};

/// A text of somebody who has old samples.
pub(super) async fn import(
    State(receiver): State<Arc<Receiver>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    Receiver::without_parameters("the import", request.uri())?;
    let outcome = receiver.with_body(request, Encoding::Identity, store).await?;
    answer(&outcome)
}

fn store(
    receiver: &Receiver,
    headers: &HeaderMap,
    text: &[u8],
    share: &mut Share,
    permit: OwnedSemaphorePermit,
) -> Result<Outcome, ApiError> {
    let intake = &receiver.intake;
    drop(permit);
    let _turn = receiver.importing.lock();
    if !share.take(BATCH_BYTES) {
        return Err(body::busy());
    }
    let format = format(headers).unwrap_or_else(|| old_samples::format_of(text));
    let stored = old_samples::store(&receiver.engine, text, format, intake.limits.line_bytes, Timestamp::now());
    let outcome = stored.map_err(Receiver::of_append)?;
    intake.metrics.import_samples.inc_by(outcome.accepted);
    for (reason, count) in &outcome.refused {
        intake.metrics.import_rejected.with_label_values(&[*reason]).inc_by(*count);
    }
    Ok(outcome)
}

/// The format that the content type names, if it names one.
fn format(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if essence.eq_ignore_ascii_case("application/openmetrics-text") {
        return Some(Format::OpenMetrics);
    }
    // `text/plain` alone is what clients say of any text.
    let is_versioned = parts.any(|part| part.strip_prefix("version=").is_some_and(|version| !version.is_empty()));
    (is_versioned && essence.eq_ignore_ascii_case("text/plain")).then_some(Format::Classic)
}

fn answer(outcome: &Outcome) -> Result<Response, ApiError> {
    let (accepted, rejected) = (outcome.accepted, outcome.rejected());
    let mut counts =
        format!("\"accepted\":{accepted},\"rejected\":{rejected},\"duplicate\":{},\"errors\":[", outcome.duplicates);
    for (at, (line, why)) in outcome.told.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(counts, "{comma}{{\"line\":{line},\"error\":");
        write_text(why, &mut counts);
        counts.push('}');
    }
    counts.push(']');
    if accepted + outcome.duplicates > 0 {
        return Ok(json(StatusCode::ACCEPTED, format!("{{{counts}}}")));
    }
    let message = match outcome.told.first() {
        Some((line, why)) => format!("no sample could be taken; the first problem, in line {line}: {why}"),
        None => "there is no sample in the body".to_owned(),
    };
    Err(ApiError::bad_request("rejected", message).with_extra(format!(",{counts}")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_content_type_names_a_format_or_says_nothing() {
        for (value, expected) in [
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(Format::OpenMetrics)),
            ("application/openmetrics-text", Some(Format::OpenMetrics)),
            ("text/plain; version=0.0.4", Some(Format::Classic)),
            ("text/plain; charset=utf-8", None),
            ("application/x-www-form-urlencoded", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(format(&headers), expected, "{value}");
        }
    }
}
