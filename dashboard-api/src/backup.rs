//! `POST /api/v1/backup`: everything, as one consistent cut, in a stream.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::header;
use tokio::sync::mpsc;

use crate::error::ApiError;
use crate::maintenance::Refusal;
use crate::state::Api;

/// Writes a cut that was made; its error is told in the log only, since the answer has begun by then.
pub type Packing = Box<dyn FnOnce(&mut dyn Write) -> Result<(), String> + Send>;
/// Makes a cut. Blocks.
pub type Begin = Arc<dyn Fn() -> Result<Packing, Refusal> + Send + Sync>;

/// Bytes that go out together.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the client.
const PIECES: usize = 4;
/// A client that takes nothing for so long is gone: its backup keeps files on the disk that are no more needed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Routes of this file.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/backup", routing::post(backup))
}

async fn backup(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let begin = api.backup.clone();
    let begun = tokio::task::spawn_blocking(move || begin()).await.map_err(ApiError::internal)?;
    let packing = begun?;
    let (pieces, mut taken) = mpsc::channel(PIECES);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut out = Outgoing { runtime, pieces, filled: Vec::with_capacity(PIECE_BYTES) };
        if let Err(reason) = packing(&mut out).and_then(|()| out.flush().map_err(|error| error.to_string())) {
            // Ends the answer before its time, so that nobody takes it for whole.
            let _ = out.send(Err(io::Error::other(reason)));
        }
    });
    let body = Body::from_stream(poll_fn(move |context| taken.poll_recv(context)));
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body).into_response())
}

/// The answer's body, as a blocking writer.
struct Outgoing {
    runtime: tokio::runtime::Handle,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    filled: Vec<u8>,
}

impl Outgoing {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self.runtime.block_on(self.pieces.send_timeout(piece, PATIENCE));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client takes nothing any more"))
    }
}

impl Write for Outgoing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.filled.extend_from_slice(buffer);
        if self.filled.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filled.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.filled, Vec::with_capacity(PIECE_BYTES));
        self.send(Ok(piece.into()))
    }
}
