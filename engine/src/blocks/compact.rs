//! Blocks of a day become one: a series has one extent of a day that is over, and lies in one place of the disk.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::extent::{Extent, Loaded, Place};
use super::file::{BlockFile, BlockWriter};
use super::spill::WrittenCounts;
use super::stored::Held;
use crate::distribution::{Detail, WrittenDay};
use crate::engine::Engine;
use crate::series::{Dated, Series};

const DAY_MS: i64 = 86_400_000;

fn day_of(extent: &Extent) -> i64 {
    extent.last.div_euclid(DAY_MS)
}

/// The extents of a day, as places in the list of a series, if there is more than one.
fn of_day(extents: &[Extent], day: i64) -> Option<Range<usize>> {
    let from = extents.partition_point(|extent| day_of(extent) < day);
    let to = extents.partition_point(|extent| day_of(extent) <= day);
    (to - from > 1).then_some(from..to)
}

/// Extents of a series that are in the file being written, as one.
struct Merged<'s> {
    series: &'s Arc<Series>,
    held: Held,
    before: Vec<Extent>,
    place: Place,
}

impl Merged<'_> {
    /// Has the series name the file instead of what was merged, if that is still what it names.
    fn swap(self, day: i64, file: &Arc<BlockFile>) {
        let mut state = self.series.state.lock();
        let Some(stored) = state.stored_mut() else { return };
        let Some(range) = of_day(stored.extents(self.held), day) else { return };
        let is_same = |(a, b): (&Extent, &Extent)| Arc::ptr_eq(&a.file, &b.file) && a.place == b.place;
        let now = &stored.extents(self.held)[range.clone()];
        if now.len() == self.before.len() && now.iter().zip(&self.before).all(is_same) {
            let samples = now.iter().map(|extent| extent.samples).sum();
            let (first, last) = (now[0].first, now[now.len() - 1].last);
            let extent = Extent { file: Arc::clone(file), place: self.place, samples, first, last };
            stored.extents_mut(self.held).splice(range, [extent]);
        }
    }
}

/// A day of observations that is in the file being written, as one.
struct MergedObserved<'s> {
    series: &'s Arc<Series>,
    dated: Dated,
    before: Vec<Extent>,
    days: Vec<WrittenDay>,
}

impl MergedObserved<'_> {
    fn swap(self, file: &Arc<BlockFile>) {
        if let Some(observed) = self.series.state.lock().observed() {
            self.days.iter().for_each(|merged| observed.replace(self.dated, &self.before, merged, file));
        }
    }
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
                series.filter(|series| series.state.lock().has_blocks()).cloned().collect::<Vec<_>>()
            })
            .collect();
        let mut days = BTreeSet::new();
        for series in &all {
            let mut state = series.state.lock();
            for dated in Dated::ALL {
                days.extend(state.count_layer(dated).into_iter().flat_map(|layer| layer.scattered_days()));
            }
            days.extend(state.observed().into_iter().flat_map(|observed| observed.scattered_days()));
            let Some(stored) = state.stored() else { continue };
            for held in Held::ALL {
                let pairs = stored.extents(held).windows(2).map(|pair| (day_of(&pair[0]), day_of(&pair[1])));
                days.extend(pairs.filter(|(day, next)| day == next).map(|(day, _)| day));
            }
        }
        days.into_iter().filter(|day| (day + 1) * DAY_MS <= before).try_for_each(|day| self.compact_day(&all, day))
    }

    fn compact_day(&self, all: &[Arc<Series>], day: i64) -> io::Result<()> {
        let (samples, counts, observed) = (Vec::new(), Vec::new(), Vec::new());
        let mut work = Compaction { day, writer: self.blocks.begin()?, samples, counts, observed };
        for series in all {
            if let Err(error) = work.take(series) {
                work.writer.give_up();
                return Err(error);
            }
            if work.writer.is_full() {
                break;
            }
        }
        let Compaction { writer, samples, counts, observed, .. } = work;
        if samples.is_empty() && counts.is_empty() && observed.is_empty() {
            writer.give_up();
            return Ok(());
        }
        let file = writer.finish(&self.blocks)?;
        samples.into_iter().for_each(|merged| merged.swap(day, &file));
        for merged in counts {
            merged.swap(&file);
        }
        observed.into_iter().for_each(|merged| merged.swap(&file));
        Ok(())
    }
}

/// A day that is being merged.
struct Compaction<'s> {
    day: i64,
    writer: BlockWriter,
    samples: Vec<Merged<'s>>,
    counts: Vec<WrittenCounts>,
    observed: Vec<MergedObserved<'s>>,
}

impl<'s> Compaction<'s> {
    fn take(&mut self, series: &'s Arc<Series>) -> io::Result<()> {
        for held in Held::ALL {
            // Extents never change; they are read while appends go on.
            let before = {
                let mut state = series.state.lock();
                let Some(stored) = state.stored() else { break };
                let Some(range) = of_day(stored.extents(held), self.day) else { continue };
                stored.extents(held)[range].to_vec()
            };
            let loaded: Vec<Loaded> = before.iter().filter_map(Extent::load).collect();
            // What cannot be read stays where it is: it may come back with its disk.
            if loaded.len() == before.len() {
                let place = self.writer.put(loaded.iter().flat_map(Loaded::pieces))?;
                self.samples.push(Merged { series, held, before, place });
            }
        }
        for dated in Dated::ALL {
            let scattered = series.state.lock().count_layer(dated).and_then(|layer| layer.scattered(self.day));
            if let Some(leaving) = scattered {
                self.counts.push(WrittenCounts::write(series, dated, leaving, &mut self.writer)?);
            }
            self.take_observed(series, dated)?;
        }
        Ok(())
    }

    fn take_observed(&mut self, series: &'s Arc<Series>, dated: Dated) -> io::Result<()> {
        let scattered = series.state.lock().observed().and_then(|observed| observed.scattered(dated, self.day));
        let Some(before) = scattered else { return Ok(()) };
        if let Some(detail) = Detail::read(&before) {
            let days = detail.write(&mut self.writer)?;
            self.observed.push(MergedObserved { series, dated, before, days });
        }
        Ok(())
    }
}
