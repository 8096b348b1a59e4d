//! Reading a request's body: bounded in length, in time, and in what all requests hold together.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::decode::{DecodeError, Encoding, decode};
use super::error::ApiError;
use crate::intake::{Intake, Share};

/// Slowest pace that is waited for beyond the body timeout, bytes per second.
const PACE_BYTES_PER_S: usize = 16 << 10;

/// The packed body. The common case, a body that came with its headers, takes no timer and no copy.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    intake: &Intake,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let limit = intake.limits.body_bytes;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut started = None;
    let mut received = 0usize;
    loop {
        let frame = match poll_once(&mut body).await {
            Poll::Ready(frame) => frame?,
            Poll::Pending => {
                let patience = intake.limits.body_timeout + Duration::from_secs((received / PACE_BYTES_PER_S) as u64);
                let since = *started.get_or_insert_with(Instant::now);
                match tokio::time::timeout_at(since + patience, next_data(&mut body)).await {
                    Ok(frame) => frame?,
                    Err(_) => return Err(too_slow(patience)),
                }
            }
        };
        let Some(data) = frame else { break };
        received += data.len();
        if !share.take(data.len()) {
            return Err(busy());
        }
        match first.take() {
            None if all.is_empty() => {
                if data.len() > limit {
                    return Err(too_large(limit));
                }
                if body.is_end_stream() {
                    return Ok(data);
                }
                first = Some(data);
                continue;
            }
            None => {}
            Some(first) => {
                all.reserve(announced.unwrap_or(0).min(limit).max(first.len() + data.len()));
                all.extend_from_slice(&first);
            }
        }
        if all.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        all.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// What [`next_data`] gives at once, if anything.
async fn poll_once(body: &mut Body) -> Poll<Result<Option<Bytes>, ApiError>> {
    let mut next = std::pin::pin!(next_data(body));
    std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await
}

/// The next data of a body; `None` at its end.
async fn next_data(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(ApiError::bad_request("body", format!("the body broke off: {error}"))),
            Some(Ok(frame)) => {
                // Trailers say nothing to us.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_slow(patience: Duration) -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        format!("the body was not there after {} s", patience.as_secs()),
    )
}

/// How the body is packed.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(Encoding::Identity),
        Some(value) => Encoding::of_header(value.as_bytes()).map_err(|error| of_decode(&error)),
    }
}

/// The unpacked body, in this room if that serves; CPU work.
pub(super) fn unpack(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    room: Vec<u8>,
    share: &mut Share,
) -> Result<Vec<u8>, ApiError> {
    decode(encoding, body, limit, room, &mut |bytes| share.take(bytes)).map_err(|error| of_decode(&error))
}

pub(super) fn of_decode(error: &DecodeError) -> ApiError {
    match error {
        DecodeError::Unknown { .. } => {
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", error.to_string())
                .with_hint("gzip, deflate, zstd, snappy and identity are understood")
        }
        DecodeError::Malformed { .. } => ApiError::bad_request("content_encoding", error.to_string()),
        DecodeError::TooLarge { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string())
            .with_hint("send less at once, or raise `limits.decompressed`"),
        DecodeError::Busy => busy(),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is longer than {limit} bytes"))
        .with_hint("send less at once, or raise `limits.body`")
}

/// What the body says takes more memory than there is for all.
pub(super) fn too_much() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "what the body says takes too much memory at once")
        .with_hint("send less at once")
}

pub(super) fn busy() -> ApiError {
    ApiError::not_now("busy", "too many bodies are being worked on")
}
