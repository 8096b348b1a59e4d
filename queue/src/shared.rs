//! What the handle, the committer, the janitor and the readers of one queue share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::batch::Batch;
use crate::checkpoint::Checkpoints;
use crate::config::QueueConfig;
use crate::consumers::Consumers;
use crate::disk::Disk;
use crate::error::AppendError;
use crate::log::{DamageLog, LogState};
use crate::sidecar::SegmentKeys;

/// Unit in which waiting appends are counted against the memory limit.
const PERMIT_BYTES: usize = 256;

/// A commit is worth its cost when so many bytes wait; it waits for no more callers then.
pub(crate) const GATHER_BYTES: usize = 256 << 10;

/// Where a record of the batch stood already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Which record of the batch, from 0.
    pub index: u32,
    /// The offset of the record that had the key first.
    pub offset: u64,
}

/// The answer to an append: the records are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The epoch of the queue that the offsets belong to.
    pub epoch: u64,
    /// Offset of the first accepted record; the others follow in their order, without the duplicates.
    pub first_offset: u64,
    /// Number of accepted records.
    pub accepted: u32,
    /// The records that were there already, in the order of their indices.
    pub duplicates: Vec<Duplicate>,
}

pub(crate) type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// An append that waits for its commit.
pub(crate) struct Request {
    pub batch: Batch,
    pub permits: u32,
    pub answer: Answer,
}

/// What the committer has to do.
#[derive(Default)]
pub(crate) struct Inbox {
    pub requests: Vec<Request>,
    /// Offsets below are used up, with whom to tell.
    pub advance: Vec<(u64, mpsc::Sender<()>)>,
    pub closing: bool,
    /// Bytes of `requests`.
    pub bytes: usize,
    /// The committer sleeps and wants the signal when so many requests are there.
    pub wake_at: Option<usize>,
}

/// What the janitor has to do.
#[derive(Default)]
pub(crate) struct Chores {
    pub sealed: Vec<SegmentKeys>,
    pub released: bool,
    pub stopping: bool,
}

/// Figures that only grow, and some that change.
#[derive(Default)]
pub(crate) struct Counters {
    pub records: AtomicU64,
    pub record_bytes: AtomicU64,
    pub duplicates: AtomicU64,
    pub commits: AtomicU64,
    pub sync_nanos: AtomicU64,
    pub full: AtomicU64,
    pub io_errors: AtomicU64,
    /// Writes fail; see `Committer::failed_at`.
    pub write_failing: AtomicBool,
    pub dedup_keys: AtomicU64,
    pub dedup_forgotten_early: AtomicU64,
    /// Offset of the oldest remembered key; `u64::MAX` if there is none.
    pub dedup_oldest_offset: AtomicU64,
    pub segments_deleted: AtomicU64,
}

pub(crate) struct Shared {
    pub config: QueueConfig,
    pub disk: Disk,
    pub epoch: u64,
    opened_ms: i64,
    opened: Instant,
    pub log: Mutex<LogState>,
    pub readable: Condvar,
    pub damage: Mutex<DamageLog>,
    pub inbox: Mutex<Inbox>,
    pub work: Condvar,
    pub permits: Semaphore,
    permits_max: u32,
    pub consumers: Mutex<Consumers>,
    /// Where sources stand, durably. Only the committer changes it.
    pub checkpoints: Mutex<Checkpoints>,
    pub chores: Mutex<Chores>,
    pub chore: Condvar,
    /// Bytes on disk: segments, their keys, and keys of deleted segments.
    pub disk_bytes: AtomicU64,
    pub counters: Counters,
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "what opening found, part by part")]
    pub(crate) fn new(
        config: QueueConfig,
        disk: Disk,
        epoch: u64,
        now_ms: i64,
        log: LogState,
        damage: DamageLog,
        consumers: Consumers,
        checkpoints: Checkpoints,
    ) -> Arc<Shared> {
        let permits = (config.in_flight_bytes / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(1 << 24));
        let counters = Counters { dedup_oldest_offset: AtomicU64::new(u64::MAX), ..Counters::default() };
        Arc::new(Shared {
            disk,
            epoch,
            opened_ms: now_ms,
            opened: Instant::now(),
            disk_bytes: AtomicU64::new(log.segment_bytes()),
            log: Mutex::new(log),
            readable: Condvar::new(),
            damage: Mutex::new(damage),
            inbox: Mutex::default(),
            work: Condvar::new(),
            permits: Semaphore::new(permits),
            permits_max: permits as u32,
            consumers: Mutex::new(consumers),
            checkpoints: Mutex::new(checkpoints),
            chores: Mutex::default(),
            chore: Condvar::new(),
            counters,
            config,
        })
    }

    /// Milliseconds since the epoch: the time that opening was told, and what has passed since.
    pub(crate) fn now_ms(&self) -> i64 {
        self.opened_ms.saturating_add(i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// How much of the memory limit an append takes.
    pub(crate) fn permits_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / PERMIT_BYTES + 1).unwrap_or(u32::MAX).min(self.permits_max)
    }

    /// Hands an append to the committer.
    pub(crate) fn submit(&self, request: Request) -> Result<(), AppendError> {
        let mut inbox = self.inbox.lock();
        if inbox.closing {
            return Err(AppendError::Closed);
        }
        inbox.bytes += request.batch.bytes();
        inbox.requests.push(request);
        if inbox.wake_at.is_some_and(|count| inbox.requests.len() >= count || inbox.bytes >= GATHER_BYTES) {
            inbox.wake_at = None;
            self.work.notify_one();
        }
        Ok(())
    }

    /// Wakes the janitor: consumers have moved.
    pub(crate) fn tidy(&self) {
        self.chores.lock().released = true;
        self.chore.notify_one();
    }

    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
