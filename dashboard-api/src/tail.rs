//! Live tail: what was stored a moment ago, handed to every reader whose filter it meets.
//!
//! The store's consumer publishes each batch once; a reader that cannot follow loses whole batches and is told
//! how many records they held. Nothing is buffered without bound, and without readers publishing costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::broadcast;
use watchfire_log_store::query::{Query, matches};
use watchfire_model::{LogRecord, RecordView};

/// Most batches that a reader may be behind.
const BATCHES_MAX: usize = 32;
/// Bytes of batches that are kept for slow readers, all together; the newest batch is kept however large it is.
const BYTES_MAX: usize = 8 << 20;
/// From this many records on, matching a batch leaves the async threads.
const RECORDS_INLINE_MAX: usize = 200;

/// A batch of stored records.
pub trait Stored: Send + Sync {
    /// The `seq` of the first record; the others follow without a gap.
    fn first_seq(&self) -> u64;
    /// How many records.
    fn count(&self) -> usize;
    /// Their bytes, about.
    fn bytes(&self) -> usize;
    /// Calls `visit` with the bytes of each record, in order.
    fn visit(&self, visit: &mut dyn FnMut(&[u8]));
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
}

impl Default for TailHub {
    fn default() -> TailHub {
        let batches = broadcast::Sender::new(BATCHES_MAX);
        TailHub { batches, bytes: Arc::default(), readers: AtomicU64::new(0) }
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
    batches: broadcast::Receiver<Arc<Kept>>,
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
            let kept = match self.batches.recv().await {
                Ok(kept) => kept,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            let Some(batch) = kept.batch.clone() else { continue };
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
                tokio::task::spawn_blocking(move || {
                    // Counted as kept for as long as somebody looks at it.
                    let _kept = kept;
                    matching(&*batch, &filter)
                })
                .await
                .unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use watchfire_log_store::query::parse;
    use watchfire_model::Timestamp;

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

        fn visit(&self, visit: &mut dyn FnMut(&[u8])) {
            let mut bytes = Vec::new();
            LogRecord { message: format!("number {}", self.seq), ..LogRecord::default() }.encode(&mut bytes);
            visit(&bytes);
        }
    }

    async fn seen(reader: &mut TailReader, until: u64) -> (Vec<u64>, u64) {
        let (mut seqs, mut dropped) = (Vec::new(), 0);
        while seqs.last() != Some(&until) {
            for tailed in reader.next().await.expect("the hub is there") {
                match tailed {
                    Tailed::Records(records) => seqs.extend(records.iter().map(|(seq, _)| *seq)),
                    Tailed::Dropped(count) => dropped += count,
                }
            }
        }
        (seqs, dropped)
    }

    #[tokio::test]
    async fn a_reader_asleep_keeps_a_few_megabytes_and_costs_the_others_nothing() {
        let hub = Arc::new(TailHub::default());
        let all = || parse("", Timestamp::now()).expect("everything");
        let (mut awake, mut asleep) = (hub.read(all()), hub.read(all()));
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
