//! The WebSocket of the live tail: opened through the same client as all else (key, certificates), read by a task
//! into a bounded buffer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, Role, WebSocketConfig};

use crate::failure::Failure;
use crate::server::Server;

/// Most bytes of messages that wait to be shown. Past it the socket is not read, and the server drops and counts.
const BUFFER_BYTES: usize = 8 << 20;
/// What a message counts beside its text.
const MESSAGE_OVERHEAD: usize = 64;
/// Longest text that tells how many were dropped.
const DROPPED_BYTES_MAX: usize = 64;
/// Largest message that is read; the server takes no longer lines.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Longest silence: the server asks every 20 s whether we live.
const SILENCE_MAX: Duration = Duration::from_secs(70);

/// What the socket brings.
pub enum Message {
    /// A record's JSON.
    Record(String),
    /// So many went by because we were too slow.
    Dropped(u64),
    /// The connection broke, and why.
    Lost(String),
}

/// An open socket.
pub struct Live {
    messages: mpsc::UnboundedReceiver<(Message, Option<OwnedSemaphorePermit>)>,
}

#[derive(Deserialize)]
struct Dropped {
    dropped: u64,
}

impl Live {
    /// Opens the socket. What is stored from then on comes through it.
    pub async fn open(server: &Server, params: &[(&str, Option<&str>)]) -> Result<Live, Failure> {
        let key = generate_key();
        let request = server.request(Method::GET, "/ws/logs", params);
        let request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
        let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, &key);
        let query = params.iter().find(|(name, _)| *name == "q").and_then(|(_, value)| *value);
        let response = server.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = server.accepted(response, query).await?;
            return Err(server.foreign(&format!("it answered {} instead of opening a WebSocket", response.status())));
        }
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes());
        if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(server.foreign(&"it opens no WebSocket"));
        }
        let upgraded = response.upgrade().await.map_err(|error| server.unreached(&error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        // Bounded by the bytes that the permits stand for.
        let (told, messages) = mpsc::unbounded_channel();
        tokio::spawn(read(socket, told));
        Ok(Live { messages })
    }

    /// A message that has come already.
    pub fn waiting(&mut self) -> Option<Message> {
        self.messages.try_recv().ok().map(|(message, _)| message)
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        match self.messages.recv().await {
            Some((message, _)) => message,
            None => Message::Lost("the connection was lost".to_owned()),
        }
    }
}

/// Reads frames until the connection breaks or nobody wants them any more.
async fn read<S>(mut socket: WebSocketStream<S>, told: mpsc::UnboundedSender<(Message, Option<OwnedSemaphorePermit>)>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let room = Arc::new(Semaphore::new(BUFFER_BYTES));
    let lost = loop {
        let text = match tokio::time::timeout(SILENCE_MAX, socket.next()).await {
            Ok(Some(Ok(Frame::Text(text)))) => text,
            Ok(Some(Ok(Frame::Close(Some(frame))))) if !frame.reason.is_empty() => {
                // The answer to it is queued already; this sends it.
                let _ = socket.close(None).await;
                break format!("the server closed the connection: {}", frame.reason);
            }
            Ok(Some(Ok(Frame::Close(_))) | None) => break "the server closed the connection".to_owned(),
            // Pings are answered by the library.
            Ok(Some(Ok(_))) => continue,
            Ok(Some(Err(error))) => break format!("the connection was lost: {error}"),
            Err(_) => break "the server is silent".to_owned(),
        };
        let bytes = (text.len() + MESSAGE_OVERHEAD).min(BUFFER_BYTES);
        let Ok(permit) = room.clone().acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await else {
            return;
        };
        // No record is that short.
        let dropped = (text.len() <= DROPPED_BYTES_MAX).then(|| serde_json::from_str::<Dropped>(&text).ok()).flatten();
        let message = match dropped {
            Some(Dropped { dropped }) => Message::Dropped(dropped),
            None => Message::Record(text.as_str().to_owned()),
        };
        if told.send((message, Some(permit))).is_err() {
            return;
        }
    };
    // Nobody listens any more at the end of the process.
    let _ = told.send((Message::Lost(lost), None));
}
