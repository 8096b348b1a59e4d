//! What appending, sealing and searching share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use watchfire_model::Timestamp;

use super::config::{StoreConfig, StoreStats};
use super::lost::Lost;
use super::snapshot::Snapshot;
use crate::open_block::Chunk;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The common state.
pub(crate) struct Shared {
    pub config: StoreConfig,
    /// Loaded by searches, changed through [`Shared::update`] only.
    snapshot: ArcSwap<Snapshot>,
    /// Guards changes of the snapshot.
    changing: Mutex<()>,
    pub sealed_offset: AtomicU64,
    /// The time of the last tick, milliseconds.
    now_ms: AtomicI64,
    /// A tick waits to be worked on; further ones only move the time.
    is_tick_due: AtomicBool,
    /// When upkeep last did all that was due, milliseconds; 0: not since the start.
    pub upkeep_ms: AtomicI64,
    /// Guards how many cuts wait to be sealed, and what the last write failed with.
    pub backlog: Mutex<Backlog>,
    /// Told when the backlog shrinks.
    pub backlog_shrank: Condvar,
    pub counters: Counters,
}

/// Cuts that wait.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub pending: usize,
    /// What sealing fails with, and what upkeep fails with, each until its own next success: upkeep that has nothing to
    /// do succeeds on a disk on which no block can be written.
    pub seal_error: Option<String>,
    pub upkeep_error: Option<String>,
    /// What the archive fails with; records are kept until it is written.
    pub archive_error: Option<String>,
    /// No more sealing: appending must not wait for it.
    pub is_closed: bool,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub damaged_records: AtomicU64,
    pub sealed_blocks: AtomicU64,
    pub merges: AtomicU64,
    pub write_errors: AtomicU64,
    pub expired_records: AtomicU64,
    pub dropped_records: AtomicU64,
    pub archived_records: AtomicU64,
    pub damaged_manifests: AtomicU64,
}

impl Backlog {
    /// What the store fails with at present.
    pub fn error(&self) -> Option<&String> {
        self.seal_error.as_ref().or(self.upkeep_error.as_ref()).or(self.archive_error.as_ref())
    }
}

/// A stretch of the queue to be sealed at once.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub chunks: Vec<Arc<Chunk>>,
    /// Offsets `start..end`.
    pub start: u64,
    pub end: u64,
    /// Those of them that never came.
    pub lost: Vec<Lost>,
}

/// A message to the sealing thread.
pub(crate) enum Message {
    Seal(Cut),
    /// Merge, drop what is too old or too much, by the time of the last [`Shared::tick`].
    Tick,
    /// Answer when everything before is done, or has failed.
    Flush(crossbeam_channel::Sender<Result<(), String>>),
    /// Do something while no file of the store changes.
    Still(Box<dyn FnOnce() + Send>),
    Stop,
}

impl Shared {
    pub fn new(config: StoreConfig, snapshot: Snapshot, sealed_offset: u64, counters: Counters) -> Shared {
        Shared {
            config,
            snapshot: ArcSwap::from_pointee(snapshot),
            changing: Mutex::new(()),
            sealed_offset: AtomicU64::new(sealed_offset),
            now_ms: AtomicI64::new(0),
            is_tick_due: AtomicBool::new(false),
            upkeep_ms: AtomicI64::new(0),
            backlog: Mutex::new(Backlog::default()),
            backlog_shrank: Condvar::new(),
            counters,
        }
    }

    /// Sets the time; true if a tick must be sent, because none is waiting.
    pub fn tick(&self, now: Timestamp) -> bool {
        self.now_ms.store(now.millis(), Ordering::SeqCst);
        !self.is_tick_due.swap(true, Ordering::SeqCst)
    }

    /// Begins the work of a tick; gives the time of the last one.
    pub fn take_tick(&self) -> Timestamp {
        self.is_tick_due.store(false, Ordering::SeqCst);
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes the snapshot; searches see all of the change or nothing of it.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let _guard = self.changing.lock();
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        change(&mut snapshot);
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Everything but the offsets of the writer.
    pub fn stats(&self) -> StoreStats {
        let snapshot = self.snapshot();
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = StoreStats {
            sealed_blocks: snapshot.sealed.len() as u64,
            lost_records: snapshot.lost.iter().map(|lost| lost.records).sum(),
            damaged_records_total: counter(&self.counters.damaged_records),
            sealed_blocks_total: counter(&self.counters.sealed_blocks),
            merges_total: counter(&self.counters.merges),
            write_errors_total: counter(&self.counters.write_errors),
            expired_records_total: counter(&self.counters.expired_records),
            dropped_records_total: counter(&self.counters.dropped_records),
            archived_records_total: counter(&self.counters.archived_records),
            damaged_manifests: counter(&self.counters.damaged_manifests),
            sealed_offset: self.sealed_offset.load(Ordering::Acquire),
            ..StoreStats::default()
        };
        {
            let backlog = self.backlog.lock();
            stats.pending_blocks = backlog.pending as u64;
            stats.last_write_error = backlog.error().cloned();
        }
        let upkeep_ms = self.upkeep_ms.load(Ordering::Relaxed);
        stats.last_upkeep = (upkeep_ms > 0).then(|| Timestamp::from_millis(upkeep_ms));
        let mut spans = Vec::with_capacity(snapshot.sealed.len() + snapshot.chunks.len());
        for block in &snapshot.sealed {
            stats.sealed_records += u64::from(block.info.rows);
            stats.disk_bytes += block.bytes;
            stats.damaged_blocks.extend(block.is_damaged().then(|| block.path.clone()));
            spans.push((block.info.time_min, block.info.time_max));
        }
        stats.records = stats.sealed_records;
        for chunk in &snapshot.chunks {
            let rows = chunk.rows.read();
            stats.records += rows.len() as u64;
            stats.open_bytes += rows.memory() as u64;
            if rows.len() > 0 {
                spans.push((rows.time_min, rows.time_max));
            }
        }
        stats.oldest_ms = spans.iter().map(|(oldest, _)| *oldest).min();
        stats.newest_ms = spans.iter().map(|(_, newest)| *newest).max();
        stats
    }
}
