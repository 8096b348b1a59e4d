//! What the engine tells about itself.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use watchfire_model::Timestamp;

use crate::engine::Engine;
use crate::limits::Rejection;

/// Figures of an engine; the totals count from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Series in memory.
    pub series: u64,
    /// Samples, seconds with events and intervals with observations in memory and in blocks, as last counted by a tick.
    pub samples: u64,
    /// Label pairs, each counted in every shard that has it.
    pub label_pairs: u64,
    /// Memory of all that, as last counted, bytes.
    pub memory_bytes: u64,
    /// What it may be, bytes.
    pub memory_limit_bytes: u64,
    /// Memory is past its limit, though all that may be dropped for it was: new series are refused.
    pub memory_short: bool,
    /// The most series that there may be.
    pub max_series: u64,
    /// When a series was refused last as there are as many as may be.
    pub series_refused_at: Option<Timestamp>,
    /// Length of the log on disk, bytes.
    pub log_bytes: u64,
    /// Length of the newest snapshot, bytes.
    pub snapshot_bytes: u64,
    /// Snapshots taken.
    pub snapshots_total: u64,
    /// Snapshots that failed.
    pub snapshot_failures_total: u64,
    /// Points taken.
    pub accepted_total: u64,
    /// Points that went to an `__overflow__` series.
    pub overflowed_total: u64,
    /// Files that hold what has left the memory window.
    pub block_files: u64,
    /// Bytes of these files.
    pub block_bytes: u64,
    /// Samples, seconds with events and intervals with observations that went to blocks.
    pub spilled_total: u64,
    /// Blocks that could not be written.
    pub block_failures_total: u64,
    /// Samples in blocks that could not be read, as far as somebody asked for them; each once.
    pub block_damaged_samples: u64,
    /// The blocks in service that they are in.
    pub damaged_blocks: Vec<PathBuf>,
    /// Samples, seconds and intervals dropped by age.
    pub pruned_total: u64,
    /// The same, dropped before their time because memory was short.
    pub pruned_early_total: u64,
    /// Series that left: because nothing of them was left, or to make room for others.
    pub series_removed_total: u64,
    /// Quiet series that were dropped with their numbers to make room for new ones.
    pub series_crowded_out_total: u64,
    /// Observations that were put to the nearest value that a distribution can hold.
    pub clamped_total: u64,
    /// Points not taken, by reason.
    pub rejected_total: Vec<(Rejection, u64)>,
    /// Damaged places that the last opening found in log and snapshots, torn tails apart, and those that earlier ones found
    /// and by which something is lost.
    pub recovered_damages: u64,
    /// Records of the log that were durable and are lost by them, as far as known.
    pub lost_records_total: u64,
    /// What is lost by damage, until somebody removes the file that says so.
    pub losses: Option<LossStats>,
    /// The log cannot be written until a snapshot succeeds.
    pub log_broken: bool,
}

/// Numbers that damage has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossStats {
    /// When the first of it was found.
    pub since: Timestamp,
    /// Places that were damaged.
    pub places: u64,
    /// The file that names them.
    pub file: PathBuf,
}

impl Engine {
    /// How often samples were asked for that stand in a damaged block and cannot be read: grows with each question that meets such,
    /// so that who asks can tell that something may be missing.
    pub fn gaps_met(&self) -> u64 {
        self.blocks.gaps_met()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> EngineStats {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let blocks = self.blocks.sizes();
        EngineStats {
            block_files: blocks.files,
            block_bytes: blocks.bytes,
            block_damaged_samples: blocks.damaged_samples,
            damaged_blocks: blocks.damaged,
            spilled_total: count(&self.spilled),
            block_failures_total: count(&self.spill_failures),
            series: self.registry.len() as u64,
            samples: self.registry.shards.iter().map(|shard| shard.read().numbers_count).sum(),
            label_pairs: self.registry.shards.iter().map(|shard| shard.read().pairs.len() as u64).sum(),
            memory_bytes: self.registry.memory_bytes() as u64,
            memory_limit_bytes: self.config.memory_limit_bytes as u64,
            memory_short: self.memory_short.load(Ordering::Relaxed),
            max_series: self.config.max_series as u64,
            series_refused_at: Some(self.series_refused_at.load(Ordering::Relaxed))
                .filter(|at| *at != i64::MIN)
                .map(Timestamp::from_millis),
            log_bytes: self.wal.disk_bytes(),
            accepted_total: count(&self.accepted),
            overflowed_total: count(&self.overflowed),
            rejected_total: Rejection::ALL
                .iter()
                .map(|reason| (*reason, count(&self.rejected[reason.index()])))
                .collect(),
            recovered_damages: self.harmless_damages + self.losses.places,
            lost_records_total: self.losses.records,
            losses: self.losses.stats(!self.unsettled.load(Ordering::Relaxed)),
            log_broken: self.wal.is_broken(),
            snapshot_bytes: count(&self.snapshot_bytes),
            snapshots_total: count(&self.snapshots),
            snapshot_failures_total: count(&self.snapshot_failures),
            pruned_total: count(&self.pruned),
            pruned_early_total: count(&self.pruned_early),
            series_removed_total: count(&self.series_removed),
            series_crowded_out_total: count(&self.series_crowded_out),
            clamped_total: count(&self.clamped),
        }
    }
}
