//! Query strings that are longer than the address of a request may be for hyper, up to what servers in Go read.
//!
//! An address holds 64 KiB at most (`http::Uri`). A longer query string is taken out of the request line under hyper
//! (`request_line.rs`), a mark stands in its place, and where the request is given to its service it has the query
//! string beside it, in its extensions. Requests of a connection come in the order of their lines.
//!
//! There are places for some of them. Whoever finds none waits; whoever takes too long with the rest of a request loses
//! the place again, and what is left of the query string is read over. A request without a place is answered 503.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::error::ApiError;

/// Longest query string that stands in its address, bytes. The path has what is left.
pub(crate) const PLAIN_BYTES_MAX: usize = 60 << 10;
/// Longest query string, bytes.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// Query strings beyond the plain length that there may be at a time, over all connections.
pub(crate) const AT_ONCE_MAX: usize = 32;
/// So long a request waits for a place.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// So long a place is kept for a request that is not there as a whole, or whose turn has not come on its connection.
pub(crate) const HELD_MAX: Duration = Duration::from_secs(10);

/// What all connections share.
#[derive(Debug)]
pub struct LongQueries {
    room: Arc<Semaphore>,
    /// What stands in an address in place of its query string. No client knows it.
    mark: String,
}

impl LongQueries {
    /// Room for some. Errors: the system gives no random numbers.
    pub fn new() -> Result<LongQueries, getrandom::Error> {
        let mark = format!("long-query-{:016x}", getrandom::u64()?);
        Ok(LongQueries { room: Arc::new(Semaphore::new(AT_ONCE_MAX)), mark })
    }

    /// Places that nobody holds.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.room.available_permits()
    }
}

/// The long query string of a request, among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct LongQuery {
    pub(crate) text: Bytes,
    /// Held as long as the request is.
    _room: Arc<OwnedSemaphorePermit>,
}

/// Among the extensions of a request whose query string had no place, or not for long enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom;

impl NoRoom {
    /// What is answered to it.
    pub(crate) fn answer() -> Response {
        let message = "the parameters are longer than 60 KiB, and took too long to be sent, or too many others as long are \
                       being read";
        ApiError::unavailable("busy", message).hint("send long parameters by POST, in the body").into_response()
    }
}

/// A long query string as far as it came, and its place; empty once the place is lost.
#[derive(Debug)]
pub(crate) struct Held {
    kept: Arc<Mutex<Option<Kept>>>,
    /// Ends what would take the place away.
    timer: Option<AbortHandle>,
}

#[derive(Debug)]
struct Kept {
    text: Vec<u8>,
    room: OwnedSemaphorePermit,
}

impl Held {
    /// One with a place, for some time, or without.
    fn new(room: Option<OwnedSemaphorePermit>) -> Held {
        let kept = Arc::new(Mutex::new(room.map(|room| Kept { text: Vec::new(), room })));
        let timer = kept.lock().is_some().then(|| {
            let kept = kept.clone();
            let expiry = async move {
                sleep(HELD_MAX).await;
                kept.lock().take();
            };
            tokio::spawn(expiry).abort_handle()
        });
        Held { kept, timer }
    }

    /// Appends what came; if that is more than a query string may have, gives all of it back.
    pub(crate) fn push(&self, piece: &[u8]) -> Option<Vec<u8>> {
        let mut kept = self.kept.lock();
        let text = &mut kept.as_mut()?.text;
        text.extend_from_slice(piece);
        (text.len() > BYTES_MAX).then(|| std::mem::take(text))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

/// The long query strings of a connection whose requests were not served yet.
#[derive(Clone, Debug)]
pub(crate) struct OfConnection {
    shared: Arc<LongQueries>,
    waiting: Arc<Mutex<VecDeque<Held>>>,
}

impl OfConnection {
    pub(crate) fn new(shared: Arc<LongQueries>) -> OfConnection {
        OfConnection { shared, waiting: Arc::default() }
    }

    /// A place for one more, if there is any.
    pub(crate) fn place(&self) -> Option<Held> {
        self.shared.room.clone().try_acquire_owned().ok().map(|room| Held::new(Some(room)))
    }

    /// Waits for a place; one without it when that takes too long.
    pub(crate) fn place_in_time(&self) -> impl Future<Output = Held> + Send + use<> {
        let room = self.shared.room.clone();
        async move {
            let room = timeout(WAIT_MAX, room.acquire_owned()).await;
            Held::new(room.ok().and_then(Result::ok))
        }
    }

    /// Keeps a query string that is whole; what is to stand in its place.
    pub(crate) fn keep(&self, held: Held) -> &str {
        self.waiting.lock().push_back(held);
        &self.shared.mark
    }

    /// The query string that was taken out of this address, if one was.
    pub(crate) fn take(&self, address: &Uri) -> Option<Result<LongQuery, NoRoom>> {
        if address.query() != Some(&self.shared.mark) {
            return None;
        }
        let kept = self.waiting.lock().pop_front()?.kept.lock().take();
        Some(kept.map(|Kept { text, room }| LongQuery { text: text.into(), _room: Arc::new(room) }).ok_or(NoRoom))
    }
}

/// The layer of routes that look for parameters in the address alone: long ones are refused, as hyper refuses them.
pub async fn refuse(request: Request, next: Next) -> Response {
    if request.extensions().get::<LongQuery>().is_none() {
        return next.run(request).await;
    }
    let message = "the parameters are longer than 60 KiB; no call here takes as many";
    ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", message).into_response()
}
