//! Records to the log store, and to whoever watches them pass.

use std::sync::Arc;

use watchfire_log_store::EmbeddedStore;
use watchfire_log_store::embedded::AppendError;
use watchfire_queue::{Positions, Queue, ReadBatch};

use super::Progress;
use crate::metrics::IngestMetrics;

/// Is told of every batch once searches find it; must not block.
pub type Tail = Box<dyn Fn(&ReadBatch) + Send>;

/// Hands records to the embedded store.
pub struct StoreConsumer {
    queue: Arc<dyn Queue>,
    store: Arc<EmbeddedStore>,
    tail: Tail,
    progress: Arc<Progress>,
}

impl StoreConsumer {
    /// Name of the consumer at the queue.
    pub const NAME: &'static str = "log_store";

    /// Registers at the queue with what the store has sealed.
    pub fn new(queue: Arc<dyn Queue>, store: Arc<EmbeddedStore>, tail: Tail, metrics: &IngestMetrics) -> StoreConsumer {
        let sealed = store.sealed_offset();
        queue.register(Self::NAME, &Positions::from([(0, sealed)]));
        store.expect_until(queue.stats().next_offset);
        let progress = Arc::new(Progress::new(Self::NAME, Arc::clone(&queue), sealed, metrics));
        StoreConsumer { queue, store, tail, progress }
    }

    /// How far it is, and the way to stop it.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Runs until it is stopped or the queue is closed and read to its end. Blocks the thread.
    pub fn run(self) {
        let StoreConsumer { queue, store, tail, progress } = self;
        let mut released = store.sealed_offset();
        let mut batches = queue.batches(&Positions::from([(0, released)]));
        let mut release = || {
            let sealed = store.sealed_offset();
            if sealed > released {
                released = sealed;
                queue.release(Self::NAME, 0, sealed);
            }
        };
        while let Some(batch) = progress.next(&mut *batches, &mut release) {
            let closed = |error: &AppendError| *error == AppendError::Closed;
            let appended =
                progress.retry("store records", closed, || store.append(batch.first_offset(), batch.records()));
            let Some(report) = appended else { return };
            if report.damaged > 0 {
                tracing::error!(records = report.damaged, "records could not be read and are left out");
            }
            progress.took(&batch);
            tail(&batch);
            release();
        }
    }
}
