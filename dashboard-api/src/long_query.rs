//! Query strings that are longer than the address of a request may be for hyper, up to what servers in Go read.
//!
//! An address holds 64 KiB at most (`http::Uri`). A longer query string is taken out of the request line under hyper
//! (`request_line.rs`), a mark stands in its place, and where the request is given to its service it has the query
//! string beside it, in its extensions. Requests of a connection come in the order of their lines.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use http::Uri;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest query string that stands in its address, bytes. The path has what is left.
pub(crate) const PLAIN_BYTES_MAX: usize = 60 << 10;
/// Longest query string, bytes.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// Query strings beyond the plain length that there may be at a time, over all connections.
const AT_ONCE_MAX: usize = 32;

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
}

/// The long query string of a request, among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct LongQuery {
    pub(crate) text: Bytes,
    /// Held as long as the request is.
    _room: Arc<OwnedSemaphorePermit>,
}

/// The long query strings of a connection whose requests were not served yet.
#[derive(Clone, Debug)]
pub(crate) struct OfConnection {
    shared: Arc<LongQueries>,
    waiting: Arc<Mutex<VecDeque<LongQuery>>>,
}

impl OfConnection {
    pub(crate) fn new(shared: Arc<LongQueries>) -> OfConnection {
        OfConnection { shared, waiting: Arc::default() }
    }

    /// Room for one more, if there is any.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.shared.room.clone().try_acquire_owned().ok()
    }

    /// Keeps a query string; what is to stand in its place.
    pub(crate) fn keep(&self, text: Vec<u8>, room: OwnedSemaphorePermit) -> &str {
        self.waiting.lock().push_back(LongQuery { text: text.into(), _room: Arc::new(room) });
        &self.shared.mark
    }

    /// The query string that was taken out of this address.
    pub(crate) fn take(&self, address: &Uri) -> Option<LongQuery> {
        if address.query() != Some(&self.shared.mark) {
            return None;
        }
        self.waiting.lock().pop_front()
    }
}
