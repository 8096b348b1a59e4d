//! Live tail: what was stored a moment ago, handed to every reader whose filter it meets.
//!
//! The store's consumer publishes each batch once; a reader that cannot follow loses whole batches and learns which
//! records they held. Nothing is buffered without bound, and without readers publishing costs nothing.
//! A batch is gone through in [pieces], which readers with the same filter share.

pub mod pieces;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use watchfire_log_store::query::Query;

use pieces::{Piece, Pieces, Shape};

/// Most batches that a reader may be behind.
const BATCHES_MAX: usize = 32;
/// Bytes of batches that are kept for slow readers, all together; the newest batch is kept however large it is.
const BYTES_MAX: usize = 8 << 20;
/// How long readers may take to leave when the server stops.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A batch of stored records.
pub trait Stored: Send + Sync {
    /// The `seq` of the first record; the others follow without a gap.
    fn first_seq(&self) -> u64;
    /// How many records.
    fn count(&self) -> usize;
    /// Their bytes, about.
    fn bytes(&self) -> usize;
    /// Calls `visit` with the bytes of each record from an index on, in order, until it answers that it has enough.
    fn visit_from(&self, start: usize, visit: &mut dyn FnMut(&[u8]) -> bool);
}

/// A place in the ring of batches that readers go through; it is free when all have gone on, or when it is overwritten.
struct Kept {
    /// Without one it only takes the place of an older batch.
    batch: Option<Arc<dyn Stored>>,
    bytes: usize,
    /// Bytes of all places.
    total: Arc<AtomicUsize>,
}

impl Kept {
    fn new(batch: Option<Arc<dyn Stored>>, total: &Arc<AtomicUsize>) -> Arc<Kept> {
        let bytes = batch.as_ref().map_or(0, |batch| batch.bytes());
        total.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Kept { batch, bytes, total: total.clone() })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where batches are published and read.
pub struct TailHub {
    batches: broadcast::Sender<Arc<Kept>>,
    bytes: Arc<AtomicUsize>,
    readers: AtomicU64,
    /// True once nothing more will come; each reader holds a receiver.
    closing: watch::Sender<bool>,
    pieces: Pieces,
    /// Filters of those who read now; who asks the same has the same one.
    filters: Mutex<Vec<Weak<Query>>>,
}

impl Default for TailHub {
    fn default() -> TailHub {
        let batches = broadcast::Sender::new(BATCHES_MAX);
        TailHub {
            batches,
            bytes: Arc::default(),
            readers: AtomicU64::new(0),
            closing: watch::Sender::new(false),
            pieces: Pieces::default(),
            filters: Mutex::default(),
        }
    }
}

/// What a reader is handed.
#[derive(Debug)]
pub enum Tailed {
    /// Records that meet the filter, as they are sent.
    Piece(Arc<Piece>),
    /// The records with these sequence numbers went by because the reader was too slow, whether or not they meet the
    /// filter: by now only the store can tell.
    Dropped(Range<u64>),
}

impl TailHub {
    /// Hands a batch to all readers; `batch` is only made if there are any.
    pub fn publish(&self, batch: impl FnOnce() -> Arc<dyn Stored>) {
        if self.batches.receiver_count() == 0 {
            return;
        }
        let newest = Kept::new(Some(batch()), &self.bytes);
        // Each empty place drives out the oldest batch that somebody has not read yet.
        for _ in 1..BATCHES_MAX {
            if self.bytes.load(Ordering::Relaxed) <= BYTES_MAX.max(newest.bytes) {
                break;
            }
            let _ = self.batches.send(Kept::new(None, &self.bytes));
        }
        // Fails only when the last reader has just left.
        let _ = self.batches.send(newest);
    }

    /// Readers connected now.
    pub fn readers(&self) -> u64 {
        self.readers.load(Ordering::Relaxed)
    }

    /// Nothing more will come: whoever has read what is there is told the end. Waits until all have left, but not long.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(LEAVE_TIMEOUT, self.closing.closed()).await.is_err() {
            tracing::warn!(readers = self.readers(), "readers of the live tail did not leave in time and are cut");
        }
    }

    /// A new reader, from now on.
    pub fn read(self: &Arc<TailHub>, filter: Query, shape: Shape) -> TailReader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        let batches = self.batches.subscribe();
        let (closing, filter) = (self.closing.subscribe(), self.shared(filter));
        TailReader { hub: self.clone(), batches, closing, filter, shape, current: None, next_seq: None }
    }

    /// The filter as the others have it who ask the same.
    fn shared(&self, filter: Query) -> Arc<Query> {
        let mut filters = self.filters.lock();
        filters.retain(|filter| filter.strong_count() > 0);
        if let Some(same) = filters.iter().filter_map(Weak::upgrade).find(|other| **other == filter) {
            return same;
        }
        let filter = Arc::new(filter);
        filters.push(Arc::downgrade(&filter));
        filter
    }
}

/// One reader.
pub struct TailReader {
    hub: Arc<TailHub>,
    batches: broadcast::Receiver<Arc<Kept>>,
    closing: watch::Receiver<bool>,
    filter: Arc<Query>,
    shape: Shape,
    /// The batch that is gone through, and the index of its next record.
    current: Option<(Arc<Kept>, usize)>,
    next_seq: Option<u64>,
}

impl Drop for TailReader {
    fn drop(&mut self) {
        if self.hub.readers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.hub.pieces.clear();
        }
    }
}

impl TailReader {
    /// What a record must meet to be shown.
    pub fn filter(&self) -> &Query {
        &self.filter
    }

    /// Waits for something to show; `None` when the server stops. Nothing is lost when the waiting is given up.
    pub async fn next(&mut self) -> Option<Tailed> {
        loop {
            if let Some(piece) = self.piece() {
                if !piece.messages.is_empty() {
                    return Some(Tailed::Piece(piece));
                }
                // A long batch in which nothing matches must not hold the thread.
                tokio::task::yield_now().await;
                continue;
            }
            let received = tokio::select! {
                // What is there comes before the end.
                biased;
                received = self.batches.recv() => received,
                _ = self.closing.wait_for(|closing| *closing) => return None,
            };
            let kept = match received {
                Ok(kept) => kept,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            let Some(batch) = &kept.batch else { continue };
            let first = batch.first_seq();
            let dropped = self.next_seq.unwrap_or(first)..first;
            self.next_seq = Some(first + batch.count() as u64);
            self.current = Some((kept, 0));
            if !dropped.is_empty() {
                return Some(Tailed::Dropped(dropped));
            }
        }
    }

    /// The next piece of the batch that is gone through, which is let go with its last one.
    fn piece(&mut self) -> Option<Arc<Piece>> {
        let (kept, start) = self.current.take()?;
        let batch = kept.batch.as_deref()?;
        let piece = self.hub.pieces.get(batch, start, &self.filter, self.shape);
        if piece.end < batch.count() {
            self.current = Some((kept, piece.end));
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use watchfire_log_store::query::parse;
    use watchfire_model::{LogRecord, Timestamp};

    use super::*;

    /// A batch of one record that says to be large.
    struct Large {
        seq: u64,
        bytes: usize,
    }

    impl Stored for Large {
        fn first_seq(&self) -> u64 {
            self.seq
        }

        fn count(&self) -> usize {
            1
        }

        fn bytes(&self) -> usize {
            self.bytes
        }

        fn visit_from(&self, start: usize, visit: &mut dyn FnMut(&[u8]) -> bool) {
            assert_eq!(start, 0);
            let mut bytes = Vec::new();
            LogRecord { message: format!("number {}", self.seq), ..LogRecord::default() }.encode(&mut bytes);
            visit(&bytes);
        }
    }

    async fn seen(reader: &mut TailReader, until: u64) -> (Vec<u64>, u64) {
        let (mut seqs, mut dropped) = (Vec::new(), 0);
        while seqs.last() != Some(&until) {
            match reader.next().await.expect("the hub is there") {
                Tailed::Piece(piece) => seqs.extend(piece.messages.iter().map(|text| {
                    let record: serde_json::Value = serde_json::from_str(text).expect("JSON");
                    record["payload"]["seq"].as_u64().expect("a number")
                })),
                Tailed::Dropped(seqs) => dropped += seqs.end - seqs.start,
            }
        }
        (seqs, dropped)
    }

    #[tokio::test]
    async fn a_reader_asleep_keeps_a_few_megabytes_and_costs_the_others_nothing() {
        let hub = Arc::new(TailHub::default());
        let all = || parse("", Timestamp::now()).expect("everything");
        let (mut awake, mut asleep) = (hub.read(all(), Shape::Envelope), hub.read(all(), Shape::Envelope));
        for seq in 0..100 {
            hub.publish(|| Arc::new(Large { seq, bytes: 3 << 20 }));
            assert_eq!(seen(&mut awake, seq).await, (vec![seq], 0));
            assert!(hub.bytes.load(Ordering::Relaxed) <= BYTES_MAX + (3 << 20));
        }
        let (seqs, dropped) = seen(&mut asleep, 99).await;
        assert!(seqs.ends_with(&[98, 99]) && seqs.len() as u64 + dropped <= 100, "{seqs:?}, {dropped} dropped");
        assert_eq!(hub.bytes.load(Ordering::Relaxed), 0);
        // One that is larger than all that may be kept is still shown.
        hub.publish(|| Arc::new(Large { seq: 100, bytes: 4 * BYTES_MAX }));
        assert_eq!(seen(&mut awake, 100).await, (vec![100], 0));
    }
}
