//! `notifications`: what whoever looks at the server should know, once, or as server-sent events as it comes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use futures_util::stream::unfold;
use http::{StatusCode, header};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::reply::{Refused, success};
use crate::notices::{Notice, STOPPING};
use crate::state::Api;

/// Routes of this file.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/notifications", routing::get(notifications))
        .route("/api/v1/notifications/live", routing::get(live))
}

async fn notifications(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    success(&api.notices.active())
}

/// An event for each that is so now, and for each change; 204 when too many listen. Its end is that of the server.
async fn live(State(api): State<Arc<Api>>) -> Response {
    let Some((active, told)) = api.notices.listen() else { return StatusCode::NO_CONTENT.into_response() };
    let events = unfold(Events { waiting: active.into(), told, is_over: false }, |mut events| async move {
        events.next().await.map(|event| (Ok::<Bytes, Infallible>(event), events))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events)).into_response()
}

/// What a listener is told.
struct Events {
    waiting: VecDeque<Notice>,
    told: Receiver<Notice>,
    is_over: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let notice = match self.waiting.pop_front() {
                Some(notice) => notice,
                None => match self.told.recv().await {
                    Ok(notice) => notice,
                    // What came before the newest ones is passed over.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                },
            };
            // The server waits for its connections to end.
            self.is_over = notice.text == STOPPING;
            let json = serde_json::to_string(&notice).unwrap_or_default();
            return Some(Bytes::from(format!("data: {json}\n\n")));
        }
        None
    }
}
