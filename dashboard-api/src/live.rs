//! WebSockets that show records as they are stored: `/ws/logs` flat, `/ws` and `/` in D4's envelope.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::{Router, routing};
use futures_util::SinkExt;
use http::header::{self, HeaderMap};
use serde::Serialize;
use serde_json::json;
use watchfire_log_store::document::{Document, Names};
use watchfire_model::{LogRecord, Timestamp};

use crate::auth::credentials::SUBPROTOCOL;
use crate::error::ApiError;
use crate::filters::{FILTER_NAMES, filtered_query};
use crate::page;
use crate::params::Params;
use crate::state::Api;
use crate::tail::{TailReader, Tailed};

/// A reader that takes no message for this long is cut off.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a quiet connection is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What a client may send us; we only expect pongs.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How a record is wrapped.
#[derive(Clone, Copy)]
enum Shape {
    /// D2: the record itself, `seq` as integer id, the level in upper case.
    Flat,
    /// D4: `{topic, payload}`.
    Envelope,
}

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
    let reader = api.tail.read(filtered_query(params, Timestamp::now())?);
    // The only sub-protocol that is ever named back: another one may be a key.
    let upgrade =
        upgrade.protocols([SUBPROTOCOL]).max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| show(socket, reader, shape)))
}

async fn show(mut socket: WebSocket, mut reader: TailReader, shape: Shape) {
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let messages = tokio::select! {
            tailed = reader.next() => match tailed {
                Some(tailed) => render(tailed, shape),
                None => return,
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
            _ = ping.tick() => vec![Message::Ping(bytes::Bytes::new())],
        };
        for message in messages {
            match tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

fn render(tailed: Vec<Tailed>, shape: Shape) -> Vec<Message> {
    let mut messages = Vec::new();
    for tailed in tailed {
        match tailed {
            Tailed::Dropped(dropped) => messages.push(text(&json!({ "dropped": dropped }))),
            Tailed::Records(records) => {
                messages.extend(records.iter().map(|(seq, record)| record_message(*seq, record, shape)));
            }
        }
    }
    messages
}

fn text(value: &impl Serialize) -> Message {
    // A record has text keys only, so that it always serialises.
    Message::Text(Utf8Bytes::from(serde_json::to_string(value).unwrap_or_default()))
}

fn record_message(seq: u64, record: &LogRecord, shape: Shape) -> Message {
    let document = |names| Document { record, seq: Some(seq), names };
    match shape {
        Shape::Envelope => text(&Envelope { topic: "logs.insights", payload: document(Names::Canonical) }),
        Shape::Flat => text(&document(Names::D2)),
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'static str,
    payload: Document<'a>,
}
