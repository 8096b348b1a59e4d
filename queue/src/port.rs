//! The port: what the rest of the program needs of a queue, in our words and in those of no backend.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::batch::Batch;
use crate::embedded::{EmbeddedQueue, QueueStats};
use crate::error::{AppendError, ReadError};
use crate::reader::{ReadBatch, Reader};
use crate::shared::Appended;

/// An answer that comes later.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where to go on in each partition; a partition that is absent is read from its oldest record.
pub type Positions = BTreeMap<u32, u64>;

/// Durable batches in, the same batches out, for several consumers with a position of their own each.
pub trait Queue: Send + Sync {
    /// Appends a batch; `Ok` means durable. See [`EmbeddedQueue::append`].
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Batches from these positions on.
    fn batches(&self, from: &Positions) -> Box<dyn Batches>;

    /// A consumer is there, and has stored all below these positions.
    fn register(&self, consumer: &str, positions: &Positions);

    /// A consumer needs nothing below `offset` of a partition any more.
    fn release(&self, consumer: &str, partition: u32, offset: u64);

    /// Where a source stands; see [`Checkpoint`](crate::Checkpoint).
    fn checkpoint(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Where all sources stand whose keys begin with `prefix`.
    fn checkpoints(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// The figures now.
    fn stats(&self) -> QueueStats;

    /// Finishes what was begun and stops.
    fn close(&self);
}

/// Committed batches in the order of their offsets within a partition.
pub trait Batches: Send {
    /// The next batch; waits for it up to `timeout`, then answers `None`. Blocks the thread.
    ///
    /// # Errors
    /// See [`Reader::next`].
    fn next(&mut self, timeout: Duration) -> Result<Option<ReadBatch>, ReadError>;
}

impl Queue for EmbeddedQueue {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(EmbeddedQueue::append(self, batch))
    }

    fn batches(&self, from: &Positions) -> Box<dyn Batches> {
        let oldest = || EmbeddedQueue::stats(self).first_offset;
        Box::new(self.reader(from.get(&0).copied().unwrap_or_else(oldest)))
    }

    fn register(&self, consumer: &str, positions: &Positions) {
        EmbeddedQueue::register(self, consumer, positions.get(&0).copied().unwrap_or(0));
    }

    fn release(&self, consumer: &str, partition: u32, offset: u64) {
        if partition == 0 {
            EmbeddedQueue::release(self, consumer, offset);
        }
    }

    fn checkpoint(&self, key: &[u8]) -> Option<Vec<u8>> {
        EmbeddedQueue::checkpoint(self, key)
    }

    fn checkpoints(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        EmbeddedQueue::checkpoints(self, prefix)
    }

    fn stats(&self) -> QueueStats {
        EmbeddedQueue::stats(self)
    }

    fn close(&self) {
        EmbeddedQueue::close(self);
    }
}

impl Batches for Reader {
    fn next(&mut self, timeout: Duration) -> Result<Option<ReadBatch>, ReadError> {
        Reader::next(self, timeout)
    }
}
