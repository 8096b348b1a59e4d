//! Answers that are sent as they are made, piece by piece: all of one may be larger than memory has room for.

use std::fmt::Display;
use std::io;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{once, try_unfold};
use http::{HeaderValue, header};

use crate::error::ApiError;

/// Length from which a piece is sent, bytes.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// What is made piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// The next piece, in blocking work; `None` behind the last one.
    fn next(&mut self) -> Result<Option<Bytes>, ApiError>;

    /// Whether it is known that nothing comes any more. An answer of one piece then is sent with its length.
    fn is_done(&self) -> bool {
        false
    }
}

/// An answer that is sent as it is made. The first piece is awaited: its error is told. Should a later one fail, the
/// connection is cut, so that an answer that ended early cannot be taken for a whole one.
pub(crate) async fn in_pieces(
    pieces: impl Pieces,
    content_type: impl TryInto<HeaderValue, Error: Display>,
) -> Result<Response, ApiError> {
    let (first, pieces) = next_piece(pieces).await?;
    Ok(goes_on(first, pieces, content_type))
}

/// The same when the first piece is made.
pub(crate) fn goes_on(
    first: Option<Bytes>,
    pieces: impl Pieces,
    content_type: impl TryInto<HeaderValue, Error: Display>,
) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type)];
    let first = match first {
        Some(first) if !pieces.is_done() => first,
        whole => return (headers, Body::from(whole.unwrap_or_default())).into_response(),
    };
    let rest = try_unfold(pieces, |pieces| async move {
        let (piece, pieces) = next_piece(pieces).await.map_err(|error| {
            tracing::warn!(error = error.message, "an answer is sent in part only");
            io::Error::other(error.message)
        })?;
        Ok(piece.map(|piece| (piece, pieces)))
    });
    let first = once(async { Ok::<Bytes, io::Error>(first) });
    (headers, Body::from_stream(first.chain(rest))).into_response()
}

/// Makes the next piece on a thread that may block; no thread waits for whoever reads slowly.
async fn next_piece<P: Pieces>(mut pieces: P) -> Result<(Option<Bytes>, P), ApiError> {
    let written = tokio::task::spawn_blocking(move || Ok((pieces.next()?, pieces)));
    written.await.map_err(ApiError::internal)?
}
