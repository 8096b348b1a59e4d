//! Housekeeping: what is old goes, what is quiet is packed, what is empty leaves the index, memory is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::Timestamp;

use crate::blocks::Merge;
use crate::chunk::with_codec;
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::series::{Numbers, Series, SeriesState};

/// Every shard is swept once in this time, milliseconds.
const SWEEP_MS: i64 = 10_000;
/// Sweeps leave what rests as it is for this long after the engine was opened, milliseconds: who has nothing else to do
/// makes numbers of it meanwhile (see `resting`), and a start has better uses for the processor.
const LEFT_RESTING_MS: i64 = 60_000;
/// A series without numbers for this long is packed, milliseconds.
const QUIET_MS: i64 = 600_000;
/// Series of samples are looked at for what is old or quiet in one of this many sweeps; the others count their memory alone.
const OLD_SWEEPS: i64 = 6;
/// Label sets that no query asked for during this many sweeps are forgotten.
const LABELS_SWEEPS: i64 = 30;
/// Series looked at under one hold of a shard's lock.
const SERIES_AT_ONCE: u32 = 4096;
/// Memory pruning goes down to this share of the limit, in percent.
const PRUNE_TO_PERCENT: usize = 90;
/// Numbers of this long are never dropped for memory, milliseconds: rules look back over them, and what was
/// acknowledged a moment ago must be seen. When they and the series alone pass the limit, nothing is won by blinding
/// all metrics over and over: new series are refused instead, and the health says so.
pub(crate) const KEPT_MS: i64 = 3_600_000;
/// The log may grow by one part in so many of the last snapshot: a byte of it takes much longer to read at the start
/// than one of a snapshot.
const SNAPSHOT_SHARE: u64 = 4;
/// Samples go to blocks in stretches of this many milliseconds, or of this part of the memory window.
const STRETCH_MS: i64 = 6 * 3_600_000;
const STRETCHES: i64 = 4;
/// Wait, when memory is short, between two times that all is merged with counts in blocks that came late for them: each is
/// written anew for it. Milliseconds.
const MERGE_AGAIN_MS: i64 = 600_000;
/// Wait between two tries to move samples to blocks out of turn, milliseconds.
const SPILL_AGAIN_MS: i64 = 10_000;
/// Width of the steps in which memory pruning looks for its horizon, milliseconds.
const HORIZON_STEP_MS: i64 = 600_000;

/// What a sweep does beside counting memory.
#[derive(Clone, Copy)]
struct Sweep {
    /// What rests stays as it is.
    leave_resting: bool,
    /// Samples that are old go, and those of quiet series are packed.
    old_samples: bool,
}

impl Engine {
    /// What has to be done from time to time; call it every 100 ms or so. It syncs the log, sweeps a part of the
    /// series, keeps to the memory limit, and takes a snapshot when the log has grown long.
    pub fn tick(&self, now: Timestamp) {
        self.see_time(now);
        self.ticked.store(now.millis(), Ordering::Relaxed);
        if !self.wal.is_broken()
            && let Err(error) = self.wal.sync()
        {
            tracing::error!(%error, "the log of the engine cannot be synced");
        }
        let shards = self.registry.shards.len() as i64;
        let turn = now.millis().div_euclid((SWEEP_MS / shards).max(1));
        if self.sweep_turn.swap(turn, Ordering::Relaxed) != turn {
            let shard = turn.rem_euclid(shards) as usize;
            let sweep = turn.div_euclid(shards);
            let leave_resting = now.since(self.opened_at) < LEFT_RESTING_MS;
            self.sweep(shard, now, Sweep { leave_resting, old_samples: sweep % OLD_SWEEPS == 0 });
            if sweep % LABELS_SWEEPS == 0 {
                self.registry.shards[shard].read().age_for_queries();
            }
            if shard == 0 {
                self.forget_removed();
            }
            self.make_room_for_series(now);
            self.keep_to_memory_limit(now);
        }
        self.move_old_to_blocks(now);
        let due = self.config.snapshot_log_bytes.max(self.snapshot_bytes.load(Ordering::Relaxed) / SNAPSHOT_SHARE);
        let again_at = self.snapshot_again_at.load(Ordering::Relaxed);
        // A byte of counts takes a start about twice as long as one of samples.
        let grown = self.log_grown_bytes() + self.derived_bytes.load(Ordering::Relaxed);
        if (grown > due || self.wal.is_broken()) && now.millis() >= again_at {
            self.checkpoint_and_report(now);
        }
    }

    /// Moves what has left the memory window to blocks, a stretch of time at once, and has a snapshot say so: a start
    /// then reads none of it.
    fn move_old_to_blocks(&self, now: Timestamp) {
        let stretch = (self.config.memory_ms / STRETCHES).clamp(1, STRETCH_MS);
        let until = now.plus_millis(-self.config.memory_ms).millis().div_euclid(stretch) * stretch;
        let is_done = self.spilled_until.load(Ordering::Relaxed) >= until;
        if is_done || now.millis() < self.spill_again_at.load(Ordering::Relaxed) {
            return;
        }
        let moved = {
            let _one = self.checkpointing.lock();
            self.spill(until, Merge::All).and_then(|moved| self.compact_blocks(until).map(|()| moved))
        };
        match moved {
            Ok(moved) => {
                self.blocks_fail.store(false, Ordering::Relaxed);
                self.spilled_until.store(until, Ordering::Relaxed);
                self.merged_at.store(now.millis(), Ordering::Relaxed);
                if moved > 0 {
                    self.checkpoint_and_report(now);
                }
            }
            Err(error) => self.spill_failed(&error, now),
        }
    }

    fn spill_failed(&self, error: &std::io::Error, now: Timestamp) {
        tracing::error!(%error, "the engine cannot write a block; trying again in 10 s");
        self.blocks_fail.store(true, Ordering::Relaxed);
        self.spill_failures.fetch_add(1, Ordering::Relaxed);
        self.spill_again_at.store(now.plus_millis(SPILL_AGAIN_MS).millis(), Ordering::Relaxed);
    }

    /// Moves numbers to blocks because memory is short, unless that was tried a moment ago.
    fn move_early_to_blocks(&self, horizon: i64, now: Timestamp) {
        if now.millis() < self.spill_again_at.load(Ordering::Relaxed) {
            return;
        }
        let merge = if now.millis().saturating_sub(self.merged_at.load(Ordering::Relaxed)) >= MERGE_AGAIN_MS {
            Merge::All
        } else {
            Merge::WhereWorthIt
        };
        let _one = self.checkpointing.lock();
        match self.spill(horizon, merge) {
            Ok(_) => {
                self.blocks_fail.store(false, Ordering::Relaxed);
                if merge == Merge::All {
                    self.merged_at.store(now.millis(), Ordering::Relaxed);
                }
                // What little the next moment would bring is not worth a file.
                self.spill_again_at.store(now.plus_millis(SPILL_AGAIN_MS).millis(), Ordering::Relaxed);
            }
            Err(error) => self.spill_failed(&error, now),
        }
    }

    /// Lets go of what is gone in the table of what senders call their series, if anything is.
    fn forget_removed(&self) {
        let removed = self.series_removed.load(Ordering::Relaxed);
        if self.forgotten_at.swap(removed, Ordering::Relaxed) != removed {
            self.registry.known.forget_removed();
        }
    }

    fn checkpoint_and_report(&self, now: Timestamp) {
        let appended = self.wal.appended_bytes();
        let derived = self.derived_bytes.load(Ordering::Relaxed);
        match self.checkpoint() {
            Ok(()) => {
                self.snapshot_at_bytes.store(appended, Ordering::Relaxed);
                self.derived_bytes.fetch_sub(derived, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(%error, "the engine cannot write a snapshot; trying again in 5 s");
                self.snapshot_failures.fetch_add(1, Ordering::Relaxed);
                self.snapshot_again_at.store(now.plus_millis(5000).millis(), Ordering::Relaxed);
            }
        }
    }

    /// Sweeps all shards at once: for tests, and before a measurement.
    pub fn sweep_all(&self, now: Timestamp) {
        self.see_time(now);
        let sweep = Sweep { leave_resting: false, old_samples: true };
        (0..self.registry.shards.len()).for_each(|shard| self.sweep(shard, now, sweep));
        self.make_room_for_series(now);
        self.forget_removed();
        self.keep_to_memory_limit(now);
    }

    /// Memory that sweeps have let go since the last call, roughly, bytes. The engine knows no allocator: who chose
    /// it has it give that memory back to the system when it has become much.
    pub fn take_freed_bytes(&self) -> u64 {
        self.freed_bytes.swap(0, Ordering::Relaxed)
    }

    fn sweep(&self, number: usize, now: Timestamp, what: Sweep) {
        let horizon = now.plus_millis(-self.config.retention_ms).millis();
        let (mut bytes, mut count, mut slot) = (0usize, 0u64, 0u32);
        let mut empty = Vec::new();
        loop {
            let shard = self.registry.shards[number].read();
            let end = shard.slots_end().min(slot.saturating_add(SERIES_AT_ONCE));
            if slot >= end {
                break;
            }
            for slot in slot..end {
                let Some(series) = shard.slot(slot) else { continue };
                let mut state = series.state.lock();
                if what.leave_resting && state.rests() {
                    bytes += state.memory_bytes();
                    continue;
                }
                if what.old_samples || series.kind.is_additive() {
                    self.sweep_series(series, &mut state, horizon, now);
                }
                if is_over(series, &mut state, horizon) {
                    empty.push(slot);
                }
                bytes += state.memory_bytes();
                count += state.count();
            }
            slot = end;
        }
        let identity_before = self.registry.shards[number].read().identity_bytes;
        self.remove(number, &empty, |series, state| is_over(series, state, horizon));
        let mut shard = self.registry.shards[number].write();
        let freed = identity_before.saturating_sub(shard.identity_bytes) + shard.numbers_bytes.saturating_sub(bytes);
        self.freed_bytes.fetch_add(freed as u64, Ordering::Relaxed);
        (shard.numbers_bytes, shard.numbers_count) = (bytes, count);
        if !empty.is_empty() {
            shard.shrink();
        }
    }

    fn sweep_series(&self, series: &Arc<Series>, state: &mut SeriesState, horizon: i64, now: Timestamp) {
        let gone = state.prune(horizon);
        if gone > 0 {
            self.pruned.fetch_add(gone, Ordering::Relaxed);
        }
        state.numbers().age(now.millis());
        let quiet = state.numbers().newest().is_some_and(|newest| newest < now.plus_millis(-QUIET_MS).millis());
        if quiet && series.kind != SeriesKind::Distribution {
            with_codec(|codec| state.numbers().compact(codec));
        }
    }

    /// Takes series of a shard out that still are to go when nobody can add to them.
    pub(crate) fn remove(&self, number: usize, slots: &[u32], goes: impl Fn(&Series, &mut SeriesState) -> bool) {
        for some in slots.chunks(256) {
            // Whoever adds counts holds this from finding a series to filling it.
            let _ordered = self.positions.lock();
            let mut shard = self.registry.shards[number].write();
            for slot in some {
                let Some(series) = shard.slot(*slot).cloned() else { continue };
                let mut state = series.state.lock();
                if goes(&series, &mut state) {
                    series.remove(&mut state);
                    drop(state);
                    self.registry.remove(&mut shard, *slot);
                    self.series_removed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Past the limit the oldest numbers go to blocks first, whatever series they are of; then seconds and tens of
    /// observations for good. The youngest stay in any case.
    fn keep_to_memory_limit(&self, now: Timestamp) {
        let limit = self.config.memory_limit_bytes;
        let mut used = self.registry.recount();
        if used > limit {
            // What is kept to answer faster goes before any number: the first call makes it old, the second forgets it.
            for shard in &self.registry.shards {
                let shard = shard.read();
                shard.age_for_queries();
                shard.age_for_queries();
            }
            let before = std::mem::replace(&mut used, self.registry.recount());
            self.freed_bytes.fetch_add(before.saturating_sub(used) as u64, Ordering::Relaxed);
        }
        if used > limit {
            let wanted = used - limit / 100 * PRUNE_TO_PERCENT;
            if let Some(horizon) = self.horizon_that_frees(wanted) {
                let horizon = horizon.min(now.plus_millis(-KEPT_MS).millis());
                self.move_early_to_blocks(horizon, now);
                self.drop_from_memory(i64::MIN);
                used = self.registry.recount();
                let gone = if used > limit { self.drop_from_memory(horizon) } else { 0 };
                if gone > 0 && horizon > now.plus_millis(-self.config.memory_ms).millis() {
                    tracing::warn!(
                        used,
                        limit,
                        "memory for series is short: numbers younger than the memory window are dropped"
                    );
                }
                used = self.registry.recount();
            }
        }
        let is_short = used > limit;
        if self.memory_short.swap(is_short, Ordering::Relaxed) != is_short && is_short {
            tracing::warn!(
                used,
                limit,
                "series and their newest numbers take all their memory: new series are refused"
            );
        }
    }

    /// Drops what is older from memory, and counts anew what memory all series take; gives how many numbers went. What can go to
    /// blocks stays as long as these can be written.
    fn drop_from_memory(&self, horizon: i64) -> u64 {
        let with_all = self.blocks_fail.load(Ordering::Relaxed);
        let mut all_gone = 0;
        for number in 0..self.registry.shards.len() {
            let shard = self.registry.shards[number].read();
            let mut bytes = 0;
            for series in shard.live().iter().filter_map(|slot| shard.slot(slot)) {
                let mut state = series.state.lock();
                all_gone += match state.numbers() {
                    Numbers::Samples(_) | Numbers::Increments(_) if !with_all => 0,
                    Numbers::Distribution(distribution) if !with_all => distribution.drop_fine(horizon),
                    numbers => numbers.drop_from_memory(horizon),
                };
                bytes += state.memory_bytes();
            }
            drop(shard);
            let mut shard = self.registry.shards[number].write();
            self.freed_bytes.fetch_add(shard.numbers_bytes.saturating_sub(bytes) as u64, Ordering::Relaxed);
            shard.numbers_bytes = bytes;
        }
        self.pruned_early.fetch_add(all_gone, Ordering::Relaxed);
        all_gone
    }

    /// A time such that the sealed numbers before it take at least so many bytes; `None` if there are none.
    fn horizon_that_frees(&self, wanted: usize) -> Option<i64> {
        let mut by_step = std::collections::BTreeMap::<i64, usize>::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            for series in shard.live().iter().filter_map(|slot| shard.slot(slot)) {
                series.state.lock().numbers().sealed_sizes(|end, bytes| {
                    *by_step.entry(end.div_euclid(HORIZON_STEP_MS)).or_default() += bytes;
                });
            }
        }
        let mut freed = 0;
        let mut horizon = None;
        for (step, bytes) in by_step {
            freed += bytes;
            horizon = Some((step + 1).saturating_mul(HORIZON_STEP_MS));
            if freed >= wanted {
                break;
            }
        }
        horizon
    }
}

/// Whether nothing of a series is left to be told. A counter that memory pressure stripped of its detail still
/// has its running total, and stays as long as the retention says.
fn is_over(series: &Series, state: &mut SeriesState, horizon: i64) -> bool {
    let old = !series.kind.is_additive() || state.newest().is_none_or(|newest| newest < horizon);
    state.is_empty() && old
}
