//! WebSockets that show records as they are stored: `/ws/logs` flat, `/ws` and `/` in D4's envelope.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::{Router, routing};
use futures_util::SinkExt;
use http::header::{self, HeaderMap};
use serde_json::json;
use watchfire_log_store::query::Query;
use watchfire_log_store::{SearchRequest, TimeRange};
use watchfire_model::Timestamp;

use crate::auth::credentials::SUBPROTOCOL;
use crate::error::ApiError;
use crate::filters::{FILTER_NAMES, filtered_query};
use crate::page;
use crate::params::Params;
use crate::state::Api;
use crate::tail::pieces::{Piece, Shape, text};
use crate::tail::{TailReader, Tailed};

/// A reader that takes nothing for this long is cut off.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a quiet connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long we wait for a client to answer that it has heard of the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a client may send us; we only expect pongs.
const MESSAGE_BYTES_MAX: usize = 4096;
/// From so many bytes on messages are written to the socket.
const WRITE_BUFFER_BYTES: usize = 16 << 10;

/// Routes of this file. On `/` whoever asks for no upgrade gets the page.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/ws/logs", routing::get(flat))
        .route("/ws", routing::get(envelope))
        .route("/", routing::get(root))
}

/// The upgrade, or why there is none.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn flat(State(api): State<Arc<Api>>, upgrade: Upgrade, params: Params) -> Result<Response, ApiError> {
    open(api, upgrade, &params, Shape::Flat)
}

async fn root(
    api: State<Arc<Api>>,
    upgrade: Upgrade,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    if headers.contains_key(header::UPGRADE) { envelope(api, upgrade, params).await } else { Ok(page::page(&headers)) }
}

async fn envelope(State(api): State<Arc<Api>>, upgrade: Upgrade, params: Params) -> Result<Response, ApiError> {
    open(api, upgrade, &params, Shape::Envelope)
}

fn open(api: Arc<Api>, upgrade: Upgrade, params: &Params, shape: Shape) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::new(http::StatusCode::BAD_REQUEST, "no_websocket", rejection.body_text())
            .hint("records are streamed here over a WebSocket; to search, GET /api/v1/logs/search")
    })?;
    params.only(&[&FILTER_NAMES, &["q"]])?;
    let reader = api.tail.read(filtered_query(params, Timestamp::now())?, shape);
    // The only sub-protocol that is ever named back: another one may be a key.
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    Ok(upgrade.on_upgrade(move |socket| show(api, socket, reader)))
}

async fn show(api: Arc<Api>, mut socket: WebSocket, mut reader: TailReader) {
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let sent = tokio::select! {
            tailed = reader.next() => match tailed {
                Some(Tailed::Piece(piece)) => tokio::time::timeout(SEND_TIMEOUT, send(&mut socket, &piece)).await,
                Some(Tailed::Dropped(seqs)) => match unseen(&api, reader.filter(), seqs).await {
                    0 => continue,
                    dropped => {
                        let told = Message::Text(text(&json!({ "dropped": dropped })));
                        tokio::time::timeout(SEND_TIMEOUT, socket.send(told)).await
                    }
                },
                None => return say_goodbye(socket).await,
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_))) => {
                    // The answer to the close frame is queued already; this sends it.
                    let _ = tokio::time::timeout(SEND_TIMEOUT, socket.close()).await;
                    return;
                }
                Some(Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            _ = ping.tick() => {
                tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::Ping(bytes::Bytes::new()))).await
            }
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Tells that the server stops, and waits for the client's own close frame, so that nothing cuts ours off.
async fn say_goodbye(mut socket: WebSocket) {
    let frame = CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("the server is stopping") };
    let told = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // Whoever does not answer is let go all the same.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, told).await;
}

/// How many of the records that went by would have been shown. They are stored before they pass here.
async fn unseen(api: &Api, filter: &Query, seqs: Range<u64>) -> u64 {
    let all = seqs.end - seqs.start;
    let query = filter.clone().and(Query::numbered(seqs));
    let request =
        SearchRequest { limit: 0, time_limit: api.limits.timeout, ..SearchRequest::new(query, TimeRange::ALL) };
    // A gap that cannot be looked at is told as if all of it had been wanted: no loss is silent.
    api.store.search(request).await.map_or(all, |found| found.total)
}

/// Sends what there is to show, a message for each record, with as few writes as they need.
async fn send(socket: &mut WebSocket, piece: &Piece) -> Result<(), axum::Error> {
    for message in &piece.messages {
        socket.feed(Message::Text(message.clone())).await?;
    }
    socket.flush().await
}
