//! Blocks of a day become one: a series has one extent of a day that is over, and lies in one place of the disk.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::extent::{Extent, Stored};
use crate::chunk::with_codec;
use crate::engine::Engine;
use crate::series::Series;

const DAY_MS: i64 = 86_400_000;

/// The extents of a day, as places in the list of a series, if there is more than one.
fn of_day(stored: &Stored, day: i64) -> Option<std::ops::Range<usize>> {
    let day_of = |extent: &Extent| extent.last.div_euclid(DAY_MS);
    let from = stored.extents.partition_point(|extent| day_of(extent) < day);
    let to = stored.extents.partition_point(|extent| day_of(extent) <= day);
    (to - from > 1).then_some(from..to)
}

impl Engine {
    /// Merges the extents of days that ended before a time. A day goes to a file of its own, so that it can go with it.
    ///
    /// Errors: the disk said no; what is not in a whole file stays where it is. The caller holds `checkpointing`.
    pub(crate) fn compact_blocks(&self, before: i64) -> io::Result<()> {
        let all: Vec<Arc<Series>> = self
            .registry
            .shards
            .iter()
            .flat_map(|shard| {
                let shard = shard.read();
                let series = shard.live().iter().filter_map(|slot| shard.slot(slot));
                series.filter(|series| series.state.lock().stored().is_some()).cloned().collect::<Vec<_>>()
            })
            .collect();
        let mut days = BTreeSet::new();
        for series in &all {
            let state = series.state.lock();
            let extents = state.stored().map_or(&[][..], |stored| &stored.extents);
            let days_of =
                extents.windows(2).map(|pair| (pair[0].last.div_euclid(DAY_MS), pair[1].last.div_euclid(DAY_MS)));
            days.extend(days_of.filter(|(day, next)| day == next).map(|(day, _)| day));
        }
        days.into_iter().filter(|day| (day + 1) * DAY_MS <= before).try_for_each(|day| self.compact_day(&all, day))
    }

    fn compact_day(&self, all: &[Arc<Series>], day: i64) -> io::Result<()> {
        let mut writer = self.blocks.begin()?;
        let mut merged = Vec::new();
        for series in all {
            // Extents never change; they are read while appends go on.
            let extents = {
                let state = series.state.lock();
                let Some(stored) = state.stored() else { continue };
                let Some(range) = of_day(stored, day) else { continue };
                stored.extents[range].to_vec()
            };
            let chunks: Vec<_> = with_codec(|codec| extents.iter().flat_map(|extent| extent.chunks(codec)).collect());
            let samples: u32 = chunks.iter().map(|chunk| chunk.count() as u32).sum();
            // What cannot be read stays where it is: it may come back with its disk.
            if samples != extents.iter().map(|extent| extent.samples).sum::<u32>() {
                continue;
            }
            match writer.put(chunks.iter().map(|chunk| &**chunk)) {
                Ok(place) => merged.push((series, extents, place, samples)),
                Err(error) => {
                    writer.give_up();
                    return Err(error);
                }
            }
            if writer.is_full() {
                break;
            }
        }
        if merged.is_empty() {
            writer.give_up();
            return Ok(());
        }
        let file = writer.finish(&self.blocks)?;
        for (series, before, place, samples) in merged {
            let mut state = series.state.lock();
            let Some(stored) = state.stored_mut() else { continue };
            let Some(range) = of_day(stored, day) else { continue };
            let is_same = |(a, b): (&Extent, &Extent)| Arc::ptr_eq(&a.file, &b.file) && a.place == b.place;
            let now = &stored.extents[range.clone()];
            if now.len() == before.len() && now.iter().zip(&before).all(is_same) {
                let (first, last) = (before[0].first, before[before.len() - 1].last);
                stored.extents.splice(range, [Extent { file: Arc::clone(&file), place, samples, first, last }]);
            }
        }
        Ok(())
    }
}
