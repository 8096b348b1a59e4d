//! Live tail: what was stored a moment ago, handed to every reader whose filter it meets.
//!
//! The store's consumer publishes each batch once; a reader that cannot follow loses whole batches and is told
//! how many records they held. Nothing is buffered without bound, and without readers publishing costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;
use watchfire_log_store::query::{Query, matches};
use watchfire_model::{LogRecord, RecordView};

/// Most batches that a reader may be behind.
const BATCHES_MAX: usize = 32;
/// From this many records on, matching a batch leaves the async threads.
const RECORDS_INLINE_MAX: usize = 200;

/// A batch of stored records.
pub trait Stored: Send + Sync {
    /// The `seq` of the first record; the others follow without a gap.
    fn first_seq(&self) -> u64;
    /// How many records.
    fn count(&self) -> usize;
    /// Calls `visit` with the bytes of each record, in order.
    fn visit(&self, visit: &mut dyn FnMut(&[u8]));
}

/// Where batches are published and read.
pub struct TailHub {
    batches: broadcast::Sender<Arc<dyn Stored>>,
    readers: AtomicU64,
}

impl Default for TailHub {
    fn default() -> TailHub {
        TailHub { batches: broadcast::Sender::new(BATCHES_MAX), readers: AtomicU64::new(0) }
    }
}

/// What a reader is handed.
#[derive(Debug)]
pub enum Tailed {
    /// Records that meet the filter, oldest first, each with its `seq`.
    Records(Vec<(u64, LogRecord)>),
    /// So many records went by unseen because the reader was too slow.
    Dropped(u64),
}

impl TailHub {
    /// Hands a batch to all readers; `batch` is only made if there are any.
    pub fn publish(&self, batch: impl FnOnce() -> Arc<dyn Stored>) {
        if self.batches.receiver_count() > 0 {
            // Fails only when the last reader has just left.
            let _ = self.batches.send(batch());
        }
    }

    /// Readers connected now.
    pub fn readers(&self) -> u64 {
        self.readers.load(Ordering::Relaxed)
    }

    /// A new reader, from now on.
    pub fn read(self: &Arc<TailHub>, filter: Query) -> TailReader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        let batches = self.batches.subscribe();
        TailReader { hub: self.clone(), batches, filter: Arc::new(filter), next_seq: None }
    }
}

/// One reader.
pub struct TailReader {
    hub: Arc<TailHub>,
    batches: broadcast::Receiver<Arc<dyn Stored>>,
    filter: Arc<Query>,
    next_seq: Option<u64>,
}

impl Drop for TailReader {
    fn drop(&mut self) {
        self.hub.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TailReader {
    /// Waits for something to show; `None` when the server stops.
    pub async fn next(&mut self) -> Option<Vec<Tailed>> {
        loop {
            let batch = match self.batches.recv().await {
                Ok(batch) => batch,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            let mut shown = Vec::new();
            let first = batch.first_seq();
            if let Some(expected) = self.next_seq
                && first > expected
            {
                shown.push(Tailed::Dropped(first - expected));
            }
            self.next_seq = Some(first + batch.count() as u64);
            let filter = self.filter.clone();
            let records = if batch.count() <= RECORDS_INLINE_MAX {
                matching(&*batch, &filter)
            } else {
                tokio::task::spawn_blocking(move || matching(&*batch, &filter)).await.unwrap_or_default()
            };
            if !records.is_empty() {
                shown.push(Tailed::Records(records));
            }
            if !shown.is_empty() {
                return Some(shown);
            }
        }
    }
}

fn matching(batch: &dyn Stored, filter: &Query) -> Vec<(u64, LogRecord)> {
    let mut seq = batch.first_seq();
    let mut records = Vec::new();
    batch.visit(&mut |bytes| {
        if let Ok(view) = RecordView::parse(bytes)
            && matches(filter, &view, seq)
        {
            records.push((seq, view.to_record()));
        }
        seq += 1;
    });
    records
}
