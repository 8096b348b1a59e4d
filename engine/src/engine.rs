//! The engine: registry, log and positions, from opening to closing.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use watchfire_model::Timestamp;

use crate::blocks::Blocks;
use crate::config::EngineConfig;
use crate::exemplars::Exemplars;
use crate::limits::{Rejection, TimeBounds};
use crate::losses::Losses;
use crate::positions::Positions;
use crate::recovery::{self, RecoveryReport};
use crate::registry::Registry;
use crate::wal::{self, CreateFile, Hold, Wal};

/// Closing takes a snapshot if the log has grown by more than this since the last one, bytes.
const CLOSE_LOG_BYTES: u64 = 1 << 20;

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the folder.
    #[error("{folder} is in use by another process; stop it, or choose another data folder")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A file was written by a later version.
    #[error("{file} has format version {version}, newer than this program reads; use the newer program")]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u16,
    },
    /// No snapshot can be read, and the log does not go back to the beginning: counting from a part would be wrong.
    #[error(
        "{folder}: no snapshot can be read and the log does not reach back to the beginning; restore a backup, or move the folder away to begin anew"
    )]
    SnapshotMissing {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The time-series engine. Share it in an `Arc`; every method takes `&self`.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) registry: Registry,
    pub(crate) wal: Wal,
    pub(crate) blocks: Blocks,
    pub(crate) exemplars: Exemplars,
    /// How far the sources are applied. Whoever adds counts or observations holds this from the writing of the
    /// record to the end of its application, so that memory follows the order of the log.
    pub(crate) positions: Mutex<Positions>,
    /// The latest time that was seen, milliseconds.
    clock: AtomicI64,
    /// Time of the last tick, milliseconds; it goes back where a clock is set back.
    pub(crate) ticked: AtomicI64,
    /// Only one snapshot is taken at a time.
    pub(crate) checkpointing: Mutex<()>,
    /// Length of the newest snapshot.
    pub(crate) snapshot_bytes: AtomicU64,
    /// What the log had written when the newest snapshot was begun.
    pub(crate) snapshot_at_bytes: AtomicU64,
    /// Bytes that counts and observations of logs took in the log since the last snapshot that its length led to, or
    /// the start.
    pub(crate) derived_bytes: AtomicU64,
    /// After a failure, when to try again, milliseconds.
    pub(crate) snapshot_again_at: AtomicI64,
    /// Damaged places that the opening found, and by which nothing is lost.
    pub(crate) harmless_damages: u64,
    /// What is lost by others, also by those that earlier ones found.
    pub(crate) losses: Losses,
    pub(crate) opened_at: Timestamp,
    /// The log has damage that no snapshot has settled yet.
    pub(crate) unsettled: AtomicBool,
    pub(crate) sweep_turn: AtomicI64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) snapshot_failures: AtomicU64,
    /// Memory let go since somebody asked, bytes.
    pub(crate) freed_bytes: AtomicU64,
    pub(crate) pruned: AtomicU64,
    /// Samples, seconds with events and intervals with observations that went to blocks.
    pub(crate) spilled: AtomicU64,
    /// The end of the stretch of time that was moved to blocks last, milliseconds.
    pub(crate) spilled_until: AtomicI64,
    /// When samples may be moved to blocks again, milliseconds.
    pub(crate) spill_again_at: AtomicI64,
    /// When all that came late for counts in blocks was merged with them last, milliseconds.
    pub(crate) merged_at: AtomicI64,
    /// Blocks that could not be written, and whether that was so the last time.
    pub(crate) spill_failures: AtomicU64,
    pub(crate) blocks_fail: AtomicBool,
    pub(crate) pruned_early: AtomicU64,
    /// Not even pruning brought the memory under its limit.
    pub(crate) memory_short: AtomicBool,
    /// When a series was refused last as there are as many as may be, milliseconds; `i64::MIN`: never.
    pub(crate) series_refused_at: AtomicI64,
    pub(crate) series_removed: AtomicU64,
    /// Those of them that made room for others, and when that is tried again, milliseconds.
    pub(crate) series_crowded_out: AtomicU64,
    pub(crate) room_again_at: AtomicI64,
    /// How many had been removed when those were last forgotten.
    pub(crate) forgotten_at: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) overflowed: AtomicU64,
    pub(crate) clamped: AtomicU64,
    pub(crate) rejected: [AtomicU64; Rejection::ALL.len()],
    /// What of the log is kept for those who will follow it.
    pub(crate) left_holds: Mutex<Vec<Hold>>,
    /// Locked as long as the engine lives.
    _folder_lock: File,
}

impl Engine {
    /// Opens a folder (made if it is not there) and recovers what was acknowledged.
    ///
    /// On a full disk it can be read and refuses what is new, until a [`Engine::tick`] finds room again.
    pub fn open(config: EngineConfig, now: Timestamp) -> Result<(Engine, RecoveryReport), OpenError> {
        Engine::open_with(config, now, wal::create)
    }

    fn open_with(
        config: EngineConfig,
        now: Timestamp,
        create: CreateFile,
    ) -> Result<(Engine, RecoveryReport), OpenError> {
        let at = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        std::fs::create_dir_all(&config.dir).map_err(at(&config.dir))?;
        let lock_path = config.dir.join("LOCK");
        let folder_lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(at(&lock_path))?;
        match folder_lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { folder: config.dir.clone() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        // What a crash left of a snapshot; it may be as large as one.
        let _ = std::fs::remove_file(config.dir.join(crate::snapshot::UNFINISHED));
        let mut losses = Losses::read(&config.dir, now).map_err(at(&config.dir))?;
        let blocks = Blocks::open(&config.dir).map_err(at(&config.dir))?;
        let recovered = recovery::recover(&config, &blocks, now)?;
        let wal = Wal::start(&config.dir, config.segment_bytes, recovered.next_lsn, recovered.log_bytes, create)
            .map_err(at(&config.dir))?;
        wal.in_snapshot(recovered.in_snapshot_below);
        if config.log_held_from.is_some() {
            wal.follow();
        }
        if !config.is_durable {
            wal.never_sync();
        }
        let left_holds = Mutex::new(config.log_held_from.map(|from| wal.hold(from)).into_iter().collect());
        let report = recovered.report;
        // What was decided about damage must not be decided anew, and differently, the next time.
        let found = report.damages.iter().filter(|damage| !damage.torn_tail).count() + report.replaced.len();
        let harmless_damages = found.saturating_sub(report.losses.len()) as u64;
        let unsettled = report.records_missing > 0 || found > 0;
        tell(&report, &losses);
        losses.add(&report, now);
        let mut positions = recovered.positions;
        positions.synced(recovered.next_lsn);
        let engine = Engine {
            config,
            registry: recovered.registry,
            wal,
            blocks,
            exemplars: recovered.exemplars,
            positions: Mutex::new(positions),
            clock: AtomicI64::new(now.millis()),
            ticked: AtomicI64::new(now.millis()),
            checkpointing: Mutex::new(()),
            snapshot_bytes: AtomicU64::new(recovered.snapshot_bytes),
            snapshot_at_bytes: AtomicU64::new(0),
            derived_bytes: AtomicU64::new(0),
            snapshot_again_at: AtomicI64::new(i64::MIN),
            harmless_damages,
            losses,
            opened_at: now,
            unsettled: AtomicBool::new(unsettled),
            sweep_turn: AtomicI64::new(i64::MIN),
            snapshots: AtomicU64::new(0),
            snapshot_failures: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            pruned: AtomicU64::new(0),
            spilled: AtomicU64::new(0),
            spilled_until: AtomicI64::new(i64::MIN),
            spill_again_at: AtomicI64::new(i64::MIN),
            merged_at: AtomicI64::new(i64::MIN),
            spill_failures: AtomicU64::new(0),
            blocks_fail: AtomicBool::new(false),
            pruned_early: AtomicU64::new(0),
            memory_short: AtomicBool::new(false),
            series_refused_at: AtomicI64::new(i64::MIN),
            series_removed: AtomicU64::new(0),
            series_crowded_out: AtomicU64::new(0),
            room_again_at: AtomicI64::new(i64::MIN),
            forgotten_at: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            clamped: AtomicU64::new(0),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
            left_holds,
            _folder_lock: folder_lock,
        };
        engine.registry.recount();
        if unsettled && !engine.wal.is_broken() {
            match engine.checkpoint() {
                // Nothing is taken in before a later tick has settled it.
                Err(error) if wal::is_no_room(&error) => engine.wal.mark_broken(),
                settled => settled.map_err(at(&engine.config.dir))?,
            }
        }
        Ok((engine, report))
    }

    /// The offset of a queue to read next; `None` if nothing of that life of it was ever applied.
    pub fn applied(&self, queue: &str, epoch: u64, partition: u32) -> Option<u64> {
        self.positions.lock().next(queue, epoch, partition)
    }

    /// The offset below which the queue may forget: everything derived from there survives a power cut.
    pub fn durable_offset(&self, queue: &str, epoch: u64, partition: u32) -> Option<u64> {
        let mut positions = self.positions.lock();
        positions.synced(self.wal.synced());
        positions.durable(queue, epoch, partition)
    }

    /// Makes everything durable that was taken in.
    pub fn sync(&self) -> io::Result<()> {
        self.wal.sync()
    }

    /// Makes everything durable, and the next start a short one. The engine can still be read.
    pub fn close(&self) -> io::Result<()> {
        self.wal.sync()?;
        if self.log_grown_bytes() > CLOSE_LOG_BYTES
            && let Err(error) = self.checkpoint()
        {
            tracing::warn!(%error, "the engine cannot write a snapshot; the next start reads the log");
        }
        self.wal.cut();
        Ok(())
    }

    /// How much longer the log is than at the last snapshot.
    pub(crate) fn log_grown_bytes(&self) -> u64 {
        self.wal.appended_bytes().saturating_sub(self.snapshot_at_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn see_time(&self, now: Timestamp) {
        self.clock.fetch_max(now.millis(), Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::Relaxed))
    }

    pub(crate) fn bounds(&self, now: Timestamp) -> TimeBounds {
        TimeBounds {
            oldest: now.millis().saturating_sub(self.config.retention_ms),
            latest: now.millis().saturating_add(self.config.future_ms),
            out_of_order_ms: self.config.out_of_order_ms,
        }
    }
}

/// Tells what a recovery found, and what earlier ones have lost.
fn tell(report: &RecoveryReport, before: &Losses) {
    if let Some(since) = before.since {
        let (path, places, records) = (before.path().display(), before.places, before.records);
        tracing::error!(%path, %since, places, records, "numbers of the engine were lost by damage that an earlier start found; restore a backup, or remove the file that says so");
    }
    for damage in &report.replaced {
        let (path, at, reason) = (damage.file.display(), damage.offset, &damage.reason);
        tracing::warn!(%path, at, reason, "a snapshot of the engine is damaged; the one before it or the log had all of it, and nothing is lost by it");
    }
    if report.records_lost > 0 || !report.losses.is_empty() {
        let first = report.losses.first().map(|damage| format!("{} at {}", damage.file.display(), damage.offset));
        tracing::error!(
            damages = report.losses.len(),
            first = first.as_deref().unwrap_or("a file is missing"),
            bytes = report.losses.iter().map(|damage| damage.bytes).sum::<u64>(),
            records_lost = report.records_lost,
            points_without_series = report.orphans,
            "files of the engine are damaged: these numbers are lost, all others are served"
        );
    }
    for damage in report.damages.iter().filter(|damage| !report.losses.contains(damage)) {
        let (path, at, bytes, reason) = (damage.file.display(), damage.offset, damage.bytes, &damage.reason);
        if damage.torn_tail {
            tracing::warn!(%path, at, bytes, "the end of the engine's log is not whole, as a crash leaves it, and is cut off");
        } else {
            tracing::warn!(%path, at, bytes, reason, "a place of the engine's log cannot be read; no record that was durable is lost by it");
        }
    }
}
