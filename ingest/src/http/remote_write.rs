//! `POST /api/v1/write`: samples by Prometheus' remote-write, 1.0 and 2.0.
//!
//! Success is answered when all samples are durable. What a series or a sample of it makes impossible to store is told
//! with 400, which senders do not repeat, while all the rest is stored; what can be mended by waiting is told with 503. Both
//! in plain text, as by Prometheus.

use std::cell::Cell;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use watchfire_model::Timestamp;
use watchfire_model::text::{is_or_are, was_or_were};

use super::decode::Encoding;
use super::error::ApiError;
use super::{Receiver, body};
use crate::intake::Share;
use crate::remote_write::{self, Outcome, PiecesError, ReadError, Version};

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// A request of a sender.
pub(super) async fn write(State(receiver): State<Arc<Receiver>>, request: Request<Body>) -> Response {
    let version = match version(request.headers()) {
        Ok(version) => version,
        Err(error) => return error.into_plain(),
    };
    let (outcome, mut response) = match take(receiver, version, request).await {
        Ok(outcome) if outcome.told.is_empty() => (outcome, StatusCode::NO_CONTENT.into_response()),
        Ok(outcome) => {
            let response = partly(&outcome).into_plain();
            (outcome, response)
        }
        Err(error) => (Outcome::default(), error.into_plain()),
    };
    if version == Version::V2 {
        // Senders take an answer without these headers for one of a server that knows only the first version.
        let headers = response.headers_mut();
        headers.insert(SAMPLES_WRITTEN, HeaderValue::from(outcome.samples));
        headers.insert(HISTOGRAMS_WRITTEN, HeaderValue::from(outcome.histograms));
        headers.insert(EXEMPLARS_WRITTEN, HeaderValue::from(outcome.exemplars));
    }
    response
}

/// The version that the content type names; without one it is the first, as old senders have it.
fn version(headers: &HeaderMap) -> Result<Version, ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Version::V1) };
    let unknown = || {
        let said: String = String::from_utf8_lossy(value.as_bytes()).chars().take(80).collect();
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", format!("unknown Content-Type `{said}`"))
            .with_hint(
                "send `application/x-protobuf`, with `;proto=prometheus.WriteRequest` or \
                 `;proto=io.prometheus.write.v2.Request`",
            )
    };
    let mut parts = value.to_str().map_err(|_| unknown())?.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-protobuf")) {
        return Err(unknown());
    }
    let mut version = Version::V1;
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        version = match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("proto") => match value.trim().trim_matches('"') {
                "prometheus.WriteRequest" => Version::V1,
                "io.prometheus.write.v2.Request" => Version::V2,
                _ => return Err(unknown()),
            },
            _ => version,
        };
    }
    Ok(version)
}

async fn take(receiver: Arc<Receiver>, version: Version, request: Request<Body>) -> Result<Outcome, ApiError> {
    Receiver::without_parameters("remote-write", request.uri()).map_err(|error| {
        error.with_hint("labels are added by the sender's `external_labels` or `write_relabel_configs`")
    })?;
    // Of old senders none names its packing.
    let stored = receiver.with_body(request, Encoding::Snappy, move |receiver, _, body, share, permit| {
        let outcome = receiver.store(version, body, share, permit)?;
        receiver.intake.metrics.count_remote_write(version, &outcome);
        Ok(outcome)
    });
    stored.await
}

impl Receiver {
    /// Reads a message and stores its samples; `permit` is held for the reading.
    fn store(
        &self,
        version: Version,
        body: &[u8],
        share: &mut Share,
        permit: OwnedSemaphorePermit,
    ) -> Result<Outcome, ApiError> {
        let now = Timestamp::now();
        let is_hopeless = Cell::new(false);
        let mut grow = super::grow(share, &is_hopeless);
        let read = remote_write::read(version, body, now, Some(self.engine.spellings()), &mut grow);
        let gathered = read.map_err(|error| of_read(&error, is_hopeless.get()))?;
        if gathered.is_for_pieces() {
            drop(gathered);
            // The permit is held: it is read while it is stored.
            return remote_write::store_in_pieces(version, body, now, &self.engine, &mut grow).map_err(|error| {
                match error {
                    PiecesError::Read(error) => of_read(&error, is_hopeless.get()),
                    PiecesError::Append(error) => Receiver::of_append(error),
                }
            });
        }
        // What follows waits for the disk, together with others.
        drop(permit);
        if let Some(outcome) = gathered.store(&self.engine).map_err(Receiver::of_append)? {
            return Ok(outcome);
        }
        let read = remote_write::read(version, body, now, None, &mut grow);
        let again = read.map_err(|error| of_read(&error, is_hopeless.get()))?;
        let again = again.store(&self.engine).map_err(Receiver::of_append)?;
        again.ok_or_else(|| ApiError::not_now("internal", "series went away while their samples came"))
    }
}

/// `is_hopeless`: the body takes more memory than there is for all.
fn of_read(error: &ReadError, is_hopeless: bool) -> ApiError {
    match error {
        ReadError::NoMemory if is_hopeless => body::too_much(),
        ReadError::NoMemory => body::busy(),
        // Where that is so, why is told instead.
        ReadError::NotStored => ApiError::not_now("storage", error.to_string()),
        ReadError::Malformed { .. } | ReadError::Symbols => {
            ApiError::bad_request("malformed", format!("the body is no remote-write message: {error}"))
        }
        ReadError::OtherVersion(_) => {
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", error.to_string())
        }
    }
}

/// The answer when not all was stored.
fn partly(outcome: &Outcome) -> ApiError {
    let refused: u64 = outcome.refused.iter().map(|(_, count)| count).sum();
    let stored = outcome.samples + outcome.histograms;
    let message = format!(
        "{refused} of the samples {} refused and {stored} {} stored; the first refusals: {}",
        was_or_were(refused),
        is_or_are(stored),
        outcome.told.join("; ")
    );
    ApiError::bad_request("rejected", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_content_type() {
        for (value, expected) in [
            (None, Some(Version::V1)),
            (Some("application/x-protobuf"), Some(Version::V1)),
            (Some("Application/X-Protobuf; proto=prometheus.WriteRequest"), Some(Version::V1)),
            (Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Some(Version::V2)),
            (Some("application/x-protobuf; proto=\"io.prometheus.write.v2.Request\";"), Some(Version::V2)),
            (Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), None),
            (Some("application/json"), None),
            (Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(version(&headers).ok(), expected, "{value:?}");
        }
    }
}
