//! What all ways in share: the parsers in force, limits, counters, and the road into the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use watchfire_log_store::LogStore;
use watchfire_model::{LogRecord, Timestamp};
use watchfire_queue::{AppendError, Checkpoint, Queue};

use crate::formats::{Format, Parsers};
use crate::gather::{Gathered, GatheredBatch, Origin, Reason, Worker};
use crate::id::IdMaker;
use crate::metrics::{IngestMetrics, SourceCounters};
use crate::rooms::Rooms;

/// Limits on what is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest body as sent, bytes (`limits.body`).
    pub body_bytes: usize,
    /// Longest body after decompression, bytes (`limits.decompressed`).
    pub decompressed_bytes: usize,
    /// Longest record, bytes (`limits.line`).
    pub line_bytes: usize,
    /// Bytes of all bodies that are in memory at once.
    pub in_flight_bytes: usize,
    /// How long the sender of a body may take.
    pub body_timeout: Duration,
    /// How long `POST /data/` waits until its record is found by searches.
    pub visible_timeout: Duration,
    /// Files that are followed which are open at once.
    pub followed_open: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 16 << 20,
            decompressed_bytes: 128 << 20,
            line_bytes: 1 << 20,
            in_flight_bytes: 384 << 20,
            body_timeout: Duration::from_secs(30),
            visible_timeout: Duration::from_secs(10),
            followed_open: 256,
        }
    }
}

/// First and longest wait before a refused append is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Parsers kept for reuse; more are made when more are needed at once.
const WORKERS_KEPT: usize = 16;

/// What all ways in share.
pub struct Intake {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) parsers: ArcSwap<Parsers>,
    pub(crate) limits: Limits,
    pub(crate) metrics: IngestMetrics,
    visible: watch::Receiver<u64>,
    store: Arc<dyn LogStore>,
    pub(crate) ids: IdMaker,
    pub(crate) in_flight: InFlight,
    /// CPU work off the async threads: at most as many at once as there are cores.
    pub(crate) cpu: Arc<Semaphore>,
    retention_ms: Option<i64>,
    draining: AtomicBool,
    /// Guards the workers that are not in use.
    workers: Mutex<Vec<Worker>>,
    pub(crate) rooms: Rooms,
}

impl Intake {
    /// Joins the parts. `retention_ms` is how far back records are kept, `None` for ever; `visible` is the offset below
    /// which searches find every record, as the log store tells it; `store` shows the original of a record that was sent
    /// again.
    pub fn new(
        queue: Arc<dyn Queue>,
        parsers: Parsers,
        limits: Limits,
        retention_ms: Option<i64>,
        metrics: IngestMetrics,
        visible: watch::Receiver<u64>,
        store: Arc<dyn LogStore>,
    ) -> Intake {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Intake {
            queue,
            parsers: ArcSwap::from_pointee(parsers),
            limits,
            metrics,
            visible,
            store,
            ids: IdMaker::default(),
            in_flight: InFlight { used: AtomicUsize::new(0), limit: limits.in_flight_bytes },
            cpu: Arc::new(Semaphore::new(cores)),
            retention_ms,
            draining: AtomicBool::new(false),
            workers: Mutex::new(Vec::new()),
            rooms: Rooms::default(),
        }
    }

    /// Puts other parsers in force, from the next record on.
    pub fn set_parsers(&self, parsers: Parsers) {
        self.parsers.store(Arc::new(parsers));
    }

    /// Refuses everything from now on with "not now".
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Intake::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets go of memory that is kept for the next request, if none came since the last call; to be called every second or so.
    pub fn rest(&self) {
        self.rooms.rest();
    }

    /// Bytes of bodies that are in memory now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.used.load(Ordering::Relaxed)
    }

    /// What is known of a text that arrived at `now`.
    pub(crate) fn origin(&self, now: Timestamp) -> Origin<'static> {
        Origin {
            now,
            oldest: self.retention_ms.map(|retention| now.plus_millis(-retention)),
            service: None,
            source: None,
            host: None,
            idempotency_key: None,
            line_max: self.limits.line_bytes,
            by_position: false,
            imported: false,
        }
    }

    /// Until when a request may wait for its records to be found by searches.
    pub(crate) fn visible_deadline(&self) -> Instant {
        Instant::now() + self.limits.visible_timeout
    }

    /// Waits until searches find the record with this offset; false if they do not by then.
    pub(crate) async fn wait_visible(&self, seq: u64, deadline: Instant) -> bool {
        let mut visible = self.visible.clone();
        matches!(tokio::time::timeout_at(deadline, visible.wait_for(|next| *next > seq)).await, Ok(Ok(_)))
    }

    /// The stored record with this offset, once it is visible; `None` if it is not there by then, or no more.
    pub(crate) async fn stored(&self, seq: u64, deadline: Instant) -> Option<LogRecord> {
        if !self.wait_visible(seq, deadline).await {
            return None;
        }
        match tokio::time::timeout_at(deadline, self.store.get(seq)).await.ok()? {
            Ok(hit) => hit.map(|hit| hit.record),
            Err(error) => {
                tracing::warn!(%error, seq, "the original of a repeated record could not be read");
                None
            }
        }
    }

    /// A worker for the time of the call.
    pub(crate) fn with_worker<R>(&self, work: impl FnOnce(&mut Worker) -> R) -> R {
        let mut worker = self.workers.lock().pop().unwrap_or_default();
        let result = work(&mut worker);
        if worker.is_bloated() {
            return result;
        }
        let mut kept = self.workers.lock();
        if kept.len() < WORKERS_KEPT {
            kept.push(worker);
        }
        result
    }

    /// Appends what was gathered to the queue and counts it; durable when it returns.
    ///
    /// If the queue refuses after it has taken a part, the rest is noted as refused in `gathered`: so the sender
    /// learns which records are safe.
    ///
    /// Errors: the queue took nothing.
    pub(crate) async fn submit(
        &self,
        gathered: &mut Gathered,
        counters: &SourceCounters,
        parsers: &Parsers,
    ) -> Result<Submitted, AppendError> {
        let mut done = Submitted::default();
        for part in std::mem::take(&mut gathered.batches) {
            let count = part.batch.len();
            match self.append(part, counters, parsers).await {
                Ok(part) => done.add(part),
                Err(error) => {
                    let reason = reason_of(&error);
                    // The records' places in the request are not known here; those of the first ones stand for all.
                    let index = u32::try_from(done.accepted + done.duplicates).unwrap_or(u32::MAX);
                    for _ in 0..count {
                        gathered.reject(index, reason, || error.to_string());
                    }
                    if done.first_offset.is_none() {
                        self.count_rejected(gathered);
                        return Err(error);
                    }
                }
            }
        }
        self.count_rejected(gathered);
        Ok(done)
    }

    /// Brings what was gathered into the queue, however long that takes. Records that the queue can never take are
    /// counted as refused.
    pub(crate) async fn submit_patiently(&self, gathered: &mut Gathered, counters: &SourceCounters, parsers: &Parsers) {
        for part in std::mem::take(&mut gathered.batches) {
            let mut wait = RETRY.0;
            while let Err(error) = self.append(part.clone(), counters, parsers).await {
                if !error.is_retryable() {
                    let reason = reason_of(&error);
                    tracing::warn!(%error, records = part.batch.len(), "records were not stored");
                    (0..part.batch.len()).for_each(|_| gathered.reject(0, reason, || error.to_string()));
                    break;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
        }
        self.count_rejected(gathered);
    }

    /// Appends what was gathered, in one batch, together with where its sources stand behind it; durable when it
    /// returns. What was refused is counted then, and only then.
    ///
    /// Errors: the queue took nothing.
    pub(crate) async fn append_moving(
        &self,
        gathered: &mut Gathered,
        checkpoints: Vec<Checkpoint>,
        counters: &SourceCounters,
        parsers: &Parsers,
    ) -> Result<(), AppendError> {
        let mut parts = std::mem::take(&mut gathered.batches).into_iter();
        let mut part = parts.next().unwrap_or_default();
        debug_assert!(parts.next().is_none(), "who moves sources gathers less than a batch at once");
        checkpoints.into_iter().for_each(|checkpoint| part.batch.checkpoint(checkpoint));
        self.append(part, counters, parsers).await?;
        self.count_rejected(gathered);
        Ok(())
    }

    async fn append(
        &self,
        part: GatheredBatch,
        counters: &SourceCounters,
        parsers: &Parsers,
    ) -> Result<Submitted, AppendError> {
        let GatheredBatch { batch, mut formats, keyed } = part;
        let appended = self.queue.append(batch).await?;
        for duplicate in &appended.duplicates {
            if let Ok(found) = keyed.binary_search_by_key(&duplicate.index, |(index, _)| *index)
                && let Some((_, format)) = keyed.get(found)
                && let Some(count) = formats.get_mut(format.index())
            {
                *count = count.saturating_sub(1);
            }
        }
        for (index, count) in formats.into_iter().enumerate() {
            counters.accepted(Format::from_index(index), parsers, u64::from(count));
        }
        let repeats: Vec<(u64, u64)> =
            appended.duplicates.iter().map(|duplicate| (u64::from(duplicate.index), duplicate.offset)).collect();
        let duplicates = repeats.len() as u64;
        if duplicates > 0 {
            self.metrics.duplicates.inc_by(duplicates);
        }
        let first_offset = match appended.duplicates.first() {
            Some(duplicate) if duplicate.index == 0 => duplicate.offset,
            _ => appended.first_offset,
        };
        Ok(Submitted { accepted: u64::from(appended.accepted), duplicates, first_offset: Some(first_offset), repeats })
    }

    fn count_rejected(&self, gathered: &Gathered) {
        for reason in Reason::ALL {
            let count = gathered.reasons.get(reason as usize).copied().unwrap_or_default();
            if count > 0 {
                self.metrics.rejected(reason, u64::from(count));
            }
        }
    }
}

/// What the queue did with a request's records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Submitted {
    /// Records stored.
    pub(crate) accepted: u64,
    /// Records that were there already.
    pub(crate) duplicates: u64,
    /// Offset of the first record, of the original if it is a repeat.
    pub(crate) first_offset: Option<u64>,
    /// Repeats: position among the records that were handed to the queue, and offset of the original.
    pub(crate) repeats: Vec<(u64, u64)>,
}

impl Submitted {
    fn add(&mut self, part: Submitted) {
        let before = self.accepted + self.duplicates;
        self.repeats.extend(part.repeats.iter().map(|(at, original)| (before + at, *original)));
        self.accepted += part.accepted;
        self.duplicates += part.duplicates;
        self.first_offset = self.first_offset.or(part.first_offset);
    }
}

fn reason_of(error: &AppendError) -> Reason {
    match error {
        AppendError::Full { .. } => Reason::QueueFull,
        AppendError::TooLarge { .. } => Reason::TooLong,
        AppendError::Reused => Reason::KeyReused,
        AppendError::Moved { .. } | AppendError::Io(_) | AppendError::Closed => Reason::QueueError,
    }
}

/// Bytes of bodies in memory, bounded.
pub(crate) struct InFlight {
    used: AtomicUsize,
    limit: usize,
}

/// What one request has of the bytes in flight; given back when dropped.
pub(crate) struct Share {
    intake: Arc<Intake>,
    bytes: usize,
}

impl Share {
    /// Nothing taken yet.
    pub(crate) fn new(intake: Arc<Intake>) -> Share {
        Share { intake, bytes: 0 }
    }

    /// Whether this request alone has taken more than there is for all.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.bytes > self.intake.in_flight.limit
    }

    /// Takes so many bytes more; false if there are no more.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let whole = &self.intake.in_flight;
        let before = whole.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= whole.limit
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.intake.in_flight.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
