//! When there are nearly as many series as may be: those that have been quiet for longest make room for new ones.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use watchfire_model::Timestamp;

use crate::engine::Engine;
use crate::prune::KEPT_MS;
use crate::series::{Series, SeriesState};

/// Room is made when so many of all possible series are there, and until so many are, in percent.
const FULL_PERCENT: usize = 95;
const ENOUGH_PERCENT: usize = 90;
/// Wait between two tries, milliseconds: to look through a million series takes a tenth of a second.
const AGAIN_MS: i64 = 10_000;
/// Series with counts or observations younger than this stay in any case, milliseconds: for a day a window without events is 0 and not absent.
const COUNTS_QUIET_MS: i64 = 24 * 3_600_000;
/// Width of the steps in which quiet series are counted, milliseconds.
const STEP_MS: i64 = 600_000;

/// Since when a series is quiet, if it is for long enough to make room.
fn quiet_since(series: &Series, state: &mut SeriesState, now: Timestamp) -> Option<i64> {
    let quiet_ms = if series.kind.is_additive() { COUNTS_QUIET_MS } else { KEPT_MS };
    state.newest().filter(|newest| *newest < now.plus_millis(-quiet_ms).millis())
}

impl Engine {
    /// Drops quiet series, the quietest first, if there are nearly as many as may be.
    pub(crate) fn make_room_for_series(&self, now: Timestamp) {
        let percent = |share: usize| self.config.max_series / 100 * share;
        let have = self.registry.len();
        if have <= percent(FULL_PERCENT) || now.millis() < self.room_again_at.load(Ordering::Relaxed) {
            return;
        }
        self.room_again_at.store(now.plus_millis(AGAIN_MS).millis(), Ordering::Relaxed);
        let Some(horizon) = self.quiet_horizon(have - percent(ENOUGH_PERCENT), now) else { return };
        let before = self.series_removed.load(Ordering::Relaxed);
        for (number, shard) in self.registry.shards.iter().enumerate() {
            let goes = |series: &Series, state: &mut SeriesState| {
                quiet_since(series, state, now).is_some_and(|since| since < horizon)
            };
            let quiet: Vec<u32> = {
                let shard = shard.read();
                let live = shard.live().iter().filter_map(|slot| Some((slot, shard.slot(slot)?)));
                live.filter(|(_, series)| goes(series, &mut series.state.lock())).map(|(slot, _)| slot).collect()
            };
            self.remove(number, &quiet, goes);
            shard.write().shrink();
        }
        let gone = self.series_removed.load(Ordering::Relaxed) - before;
        self.series_crowded_out.fetch_add(gone, Ordering::Relaxed);
        let max = self.config.max_series;
        tracing::warn!(gone, max, "there are nearly as many series as may be: those quiet for longest are dropped");
    }

    /// A time such that at least so many series are quiet since before it, or as many as there are.
    fn quiet_horizon(&self, wanted: usize, now: Timestamp) -> Option<i64> {
        let mut by_step = BTreeMap::<i64, usize>::new();
        for shard in &self.registry.shards {
            let shard = shard.read();
            for series in shard.live().iter().filter_map(|slot| shard.slot(slot)) {
                if let Some(since) = quiet_since(series, &mut series.state.lock(), now) {
                    *by_step.entry(since.div_euclid(STEP_MS)).or_default() += 1;
                }
            }
        }
        let mut found = 0;
        let enough = by_step.iter().find(|(_, count)| {
            found += **count;
            found >= wanted
        });
        let step = enough.or(by_step.last_key_value()).map(|(step, _)| *step)?;
        Some((step + 1) * STEP_MS)
    }
}
