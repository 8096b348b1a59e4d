//! Behind the queue: one thread hands records to the log store, another takes metrics out of them.
//!
//! A consumer goes on where its target stands, not where it stopped: the store says up to where it has sealed, the
//! engine up to where it has applied. What fails is tried again until it succeeds or the consumer is stopped; nothing
//! is skipped but records that are damaged or deleted, which are counted and logged.

mod metrics;
mod spans;
mod store;

pub use metrics::{ExtractorSlot, MetricsConsumer, QUEUE_NAME};
pub use spans::{Counted, LiveSpans, SpansError};
pub use store::{StoreConsumer, Tail};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Gauge, IntGauge};
use watchfire_model::{RecordView, Timestamp};
use watchfire_queue::{Batches, Queue, ReadBatch, ReadError};

use crate::metrics::IngestMetrics;

/// How long a consumer waits for records before it looks at its stop flag.
const WAIT: Duration = Duration::from_millis(200);
/// First and longest wait before something that failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

/// How far behind a consumer is, and the way to stop it. Shared with whoever reports health.
pub struct Progress {
    name: &'static str,
    queue: Arc<dyn Queue>,
    stop: AtomicBool,
    next_offset: AtomicU64,
    /// When the newest record that was taken in had been accepted, milliseconds; until there is one, our beginning.
    newest_ms: AtomicI64,
    failing: AtomicBool,
    lag_records: IntGauge,
    lag_seconds: Gauge,
}

/// How far behind a consumer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// Records that it has not taken in.
    pub records: u64,
    /// Time since the newest record that it has taken in was accepted (since the start, if it has taken in none yet),
    /// seconds; 0 when there is none behind it.
    pub seconds: f64,
    /// Whether its last attempt failed.
    pub failing: bool,
}

impl Progress {
    /// Of a consumer of this queue that stands at `next_offset`.
    pub fn new(name: &'static str, queue: Arc<dyn Queue>, next_offset: u64, metrics: &IngestMetrics) -> Progress {
        Progress {
            name,
            queue,
            stop: AtomicBool::new(false),
            next_offset: AtomicU64::new(next_offset),
            newest_ms: AtomicI64::new(Timestamp::now().millis()),
            failing: AtomicBool::new(false),
            lag_records: metrics.lag_records.with_label_values(&[name]),
            lag_seconds: metrics.lag_seconds.with_label_values(&[name]),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Lets the consumer end after the batch at hand.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// The same for one whose last attempt failed: what is left stays in the queue for the next start.
    pub fn stop_if_failing(&self) {
        if self.failing.load(Ordering::Acquire) && !self.stop.swap(true, Ordering::AcqRel) {
            let left = self.queue.stats().next_offset.saturating_sub(self.next_offset());
            tracing::warn!(consumer = self.name, left, "what cannot be taken in now is left to the next start");
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The offset after the last record that was taken in.
    pub fn next_offset(&self) -> u64 {
        self.next_offset.load(Ordering::Acquire)
    }

    /// How far behind it is at `now`; sets the gauges too.
    pub fn lag(&self, now: Timestamp) -> Lag {
        let records = self.queue.stats().next_offset.saturating_sub(self.next_offset());
        let newest = self.newest_ms.load(Ordering::Acquire);
        let seconds = if records == 0 { 0.0 } else { (now.millis() - newest).max(0) as f64 / 1000.0 };
        self.lag_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.lag_seconds.set(seconds);
        Lag { records, seconds, failing: self.failing.load(Ordering::Acquire) }
    }

    /// The batch was taken in.
    fn took(&self, batch: &ReadBatch) {
        if let Some(newest) = batch.records().last().and_then(accepted_at) {
            self.newest_ms.store(newest.millis(), Ordering::Release);
        }
        self.next_offset.store(batch.next_offset(), Ordering::Release);
    }

    /// Tries something until it succeeds; `None` if the consumer is stopped before, or `give_up` says so.
    fn retry<T, E: std::fmt::Display>(
        &self,
        doing: &'static str,
        give_up: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Option<T> {
        let mut wait = RETRY.0;
        loop {
            match attempt() {
                Ok(value) => {
                    self.failing.store(false, Ordering::Release);
                    return Some(value);
                }
                Err(error) if give_up(&error) => return None,
                Err(error) => {
                    // One line when it begins to fail and one per longest wait, not one per attempt.
                    if !self.failing.swap(true, Ordering::AcqRel) || wait == RETRY.1 {
                        tracing::warn!(consumer = self.name, %error, "cannot {doing}, trying again");
                    }
                }
            }
            if self.is_stopped() {
                return None;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// The next batch; `None` when the consumer shall end. `idle` is called when there was none for a while.
    fn next(&self, batches: &mut dyn Batches, mut idle: impl FnMut()) -> Option<ReadBatch> {
        let mut wait = RETRY.0;
        while !self.is_stopped() {
            match batches.next(WAIT) {
                Ok(Some(batch)) => return Some(self.told(batch)),
                Ok(None) => idle(),
                Err(ReadError::Closed) => return None,
                Err(error) => {
                    self.tell(&error);
                    if let ReadError::Io { .. } = error {
                        std::thread::sleep(wait);
                        wait = (wait * 2).min(RETRY.1);
                    }
                }
            }
        }
        None
    }

    /// The next batch if it is there already.
    fn more(&self, batches: &mut dyn Batches) -> Option<ReadBatch> {
        if self.is_stopped() {
            return None;
        }
        match batches.next(Duration::ZERO) {
            Ok(batch) => batch.map(|batch| self.told(batch)),
            Err(error) => {
                self.tell(&error);
                None
            }
        }
    }

    /// A batch that was read, after its losses were told.
    fn told(&self, batch: ReadBatch) -> ReadBatch {
        if batch.lost_before() > 0 {
            tracing::error!(consumer = self.name, records = batch.lost_before(), "damaged records are lost");
        }
        batch
    }

    fn tell(&self, error: &ReadError) {
        match error {
            // The next attempt ends the consumer.
            ReadError::Closed => {}
            ReadError::Deleted { wanted, first_offset } => {
                tracing::error!(
                    consumer = self.name,
                    wanted,
                    first_offset,
                    "records were deleted before they were read"
                );
            }
            ReadError::Io { .. } => {
                tracing::warn!(consumer = self.name, %error, "cannot read the queue, trying again");
            }
        }
    }
}

fn accepted_at(record: &[u8]) -> Option<Timestamp> {
    RecordView::parse(record).ok().map(|view| view.accepted_at())
}
