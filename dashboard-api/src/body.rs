//! Bodies of requests: bounded in length and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// A body that is not there after this time is not waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// So long is waited for a place for a long body.
const PLACE_TIMEOUT: Duration = Duration::from_secs(10);

/// A body, and the place that it takes if it is a long one.
pub struct Placed {
    pub bytes: Bytes,
    pub place: Option<OwnedSemaphorePermit>,
}

/// The whole body, at most `limit` bytes; one of more than `short` bytes takes a place from then on.
pub async fn read_placed(body: Body, short: usize, limit: usize, places: &Arc<Semaphore>) -> Result<Placed, ApiError> {
    let reading = async {
        let (mut body, mut bytes, mut place) = (body, BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(broken_off)?;
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > limit {
                return Err(too_large(limit));
            }
            if bytes.len() > short && place.is_none() {
                let free = tokio::time::timeout(PLACE_TIMEOUT, places.clone().acquire_owned()).await;
                place = Some(free.ok().and_then(Result::ok).ok_or_else(|| {
                    ApiError::unavailable("busy", format!("too many other bodies of more than {short} bytes are there"))
                })?);
            }
        }
        Ok(Placed { bytes: bytes.freeze(), place })
    };
    tokio::time::timeout(TIMEOUT, reading).await.unwrap_or_else(|_| Err(not_there()))
}

/// The whole body, at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(error)) => Err(broken_off(error)),
        Err(_) => Err(not_there()),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is longer than {limit} bytes"))
}

fn broken_off(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "body", format!("the body broke off: {error}"))
}

fn not_there() -> ApiError {
    let message = format!("the body was not there after {} s", TIMEOUT.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: usize = 4;
    const LIMIT: usize = 10;

    /// The length of what is read, and the place that it takes.
    async fn read_in(
        places: &Arc<Semaphore>,
        bytes: &'static [u8],
    ) -> Result<(usize, Option<OwnedSemaphorePermit>), StatusCode> {
        let pieces = bytes.chunks(3).map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece)));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let read = read_placed(body, SHORT, LIMIT, places).await;
        read.map(|placed| (placed.bytes.len(), placed.place)).map_err(|error| error.status)
    }

    #[tokio::test(start_paused = true)]
    async fn long_bodies_wait_for_places_and_short_ones_never() {
        let places = Arc::new(Semaphore::new(2));
        let first = read_in(&places, b"12345").await.expect("there is a place");
        let second = read_in(&places, b"1234567890").await.expect("there is a place");
        assert_eq!((first.0, second.0, places.available_permits()), (5, 10, 0));
        assert_eq!(read_in(&places, b"1234").await.map(|(length, place)| (length, place.is_some())), Ok((4, false)));
        assert_eq!(read_in(&places, b"12345").await.map(|_| ()), Err(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(read_in(&places, b"12345678901").await.map(|_| ()), Err(StatusCode::SERVICE_UNAVAILABLE));
        drop(second);
        assert_eq!(read_in(&places, b"12345678901").await.map(|_| ()), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(places.available_permits(), 1, "what was refused gives its place back");
    }
}
