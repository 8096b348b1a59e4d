//! Observations of one series as interval histograms; live ones, late ones and those of a backfill apart.

mod blocks;
mod dense;
mod detail;
mod layer;
mod level;
mod open;
mod piece;
mod rice;
mod scale;
mod stored;
#[cfg(test)]
mod tests;
mod window;

use watchfire_model::Timestamp;

use std::sync::Arc;

pub use window::DistributionWindow;

pub(crate) use detail::{Detail, WrittenDay};

use crate::blocks::{BlockFile, Blocks, Extent, Loads, Merge};
use crate::bytes::{Cursor, Damaged, put_bytes, put_value, put_varint};
use crate::distribution::dense::{Dense, with_dense};
use crate::distribution::layer::{LIVE, Layer, PAST};
use crate::distribution::stored::Stored;

use crate::increments::{HAS_FILLED, HAS_LATE, QUIET_SECONDS, STORED_BITS, seconds_of};
use crate::limits::bucket_second;
use crate::series::{Dated, Layers};

/// The observations of one series; those of an engine's series are this, with a log beside it.
#[derive(Default)]
pub struct Distribution {
    live: Layer,
    late: Option<Box<Layer>>,
    filled: Option<Box<Layer>>,
    /// Live observations since the series began; they survive pruning.
    count: u64,
    sum: f64,
    /// Of those, the ones that were pruned: a piece.
    pruned: Option<Box<[u8]>>,
    /// What time it is as far as is known, seconds.
    now: u32,
}

/// Says in the bytes of a distribution that what was pruned follows its layers.
const HAS_PRUNED: u8 = 4;

impl Distribution {
    /// Records a value in the second of a time. Says whether it lay outside the range that a histogram can hold.
    #[inline]
    pub fn record(&mut self, at: Timestamp, value: f64) -> bool {
        self.add(bucket_second(at), value, Dated::Live)
    }

    /// Closes the seconds that are over and lets fine levels go by age; the engine does it every ten seconds.
    pub fn settle(&mut self, now: Timestamp) {
        self.age(now.millis());
    }

    /// The observations of the window `(start, end]`, as a view of a series gives them.
    pub fn histogram(&self, start: Timestamp, end: Timestamp) -> Option<DistributionWindow> {
        self.window(start, end, Layers::All, &mut Loads::default())
    }

    /// Records a value in the bucket that ends at this second. Says whether it lay outside the range that a
    /// histogram can hold and went to its nearest end.
    #[inline]
    pub(crate) fn add(&mut self, bucket: u32, value: f64, dated: Dated) -> bool {
        let second = bucket.saturating_sub(1);
        let past = PAST.at(self.now);
        match dated {
            Dated::Live => {
                self.count += 1;
                self.sum += value;
                self.live.record(second, value, LIVE.at(self.now))
            }
            Dated::Late => self.late.get_or_insert_default().record_past(second, value, past),
            Dated::Filled => self.filled.get_or_insert_default().record_past(second, value, past),
        }
    }

    /// Takes out what backfills put into the buckets `after < second <= until`, which are whole hours.
    pub(crate) fn clear_filled(&mut self, after: u32, until: u32) {
        if let Some(filled) = &mut self.filled {
            // The bucket that ends at e begins at e - 1.
            filled.clear(after, until);
            if filled.is_empty() {
                self.filled = None;
            }
        }
    }

    /// The layers beside the live one.
    fn past(&self) -> impl Iterator<Item = &Layer> {
        [&self.late, &self.filled].into_iter().flatten().map(Box::as_ref)
    }

    fn past_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        [&mut self.late, &mut self.filled].into_iter().flatten().map(Box::as_mut)
    }

    fn layer(&self, dated: Dated) -> Option<&Layer> {
        match dated {
            Dated::Live => Some(&self.live),
            Dated::Late => self.late.as_deref(),
            Dated::Filled => self.filled.as_deref(),
        }
    }

    fn layer_mut(&mut self, dated: Dated) -> Option<&mut Layer> {
        match dated {
            Dated::Live => Some(&mut self.live),
            Dated::Late => self.late.as_deref_mut(),
            Dated::Filled => self.filled.as_deref_mut(),
        }
    }

    /// The same, made if it is not there.
    fn layer_made(&mut self, dated: Dated) -> &mut Layer {
        match dated {
            Dated::Live => &mut self.live,
            Dated::Late => self.late.get_or_insert_default(),
            Dated::Filled => self.filled.get_or_insert_default(),
        }
    }

    fn layers(&self, which: Layers) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.live).chain(self.past().filter(move |_| which == Layers::All))
    }

    /// The observations of `(start, end]`, its end rounded up to the second; `None` if there were none in the
    /// 24 h before the end either.
    pub(crate) fn window(
        &self,
        start: Timestamp,
        end: Timestamp,
        layers: Layers,
        loads: &mut Loads,
    ) -> Option<DistributionWindow> {
        let (after, last) = seconds_of(start, end);
        // The bucket that ends at e begins at e - 1.
        let from = u32::try_from(after.max(0)).unwrap_or(u32::MAX);
        let window = with_dense(|dense| {
            self.layers(layers).for_each(|layer| layer.collect(from, last, loads, dense));
            DistributionWindow::from_dense(dense)
        });
        let window = (window.count() > 0).then_some(window);
        window.or_else(|| {
            let recent = self.layers(layers).any(|layer| layer.any(last.saturating_sub(QUIET_SECONDS), last));
            recent.then(DistributionWindow::empty)
        })
    }

    /// All live observations up to a time, rounded up to the second: those that were pruned too. `None` before the first
    /// of those that are known.
    pub(crate) fn running(&self, at: Timestamp, loads: &mut Loads) -> Option<DistributionWindow> {
        let window = with_dense(|dense| {
            self.add_pruned(dense);
            self.live.collect(0, bucket_second(at), loads, dense);
            DistributionWindow::from_dense(dense)
        });
        (window.count() > 0).then_some(window)
    }

    fn add_pruned(&self, dense: &mut Dense) {
        self.pruned.iter().for_each(|pruned| dense.add_own(pruned));
    }

    /// The ends of the intervals of `(start, end]` with live observations, ascending.
    pub(crate) fn times(&self, start: Timestamp, end: Timestamp, loads: &mut Loads, out: &mut Vec<Timestamp>) {
        let (after, last) = seconds_of(start, end);
        let from = u32::try_from(after.max(0)).unwrap_or(u32::MAX);
        let mut seconds = Vec::new();
        self.live.intervals(from, last, loads, &mut seconds);
        out.extend(seconds.into_iter().map(|second| Timestamp::from_millis(i64::from(second) * 1000)));
    }

    /// Count and sum of all live observations ever.
    pub(crate) fn totals(&self) -> (u64, f64) {
        (self.count, self.sum)
    }

    /// Whether a query of this window may have to read a disk.
    pub(crate) fn reads_disk(&self, start: Timestamp, end: Timestamp) -> bool {
        let (after, last) = seconds_of(start, end);
        let from = u32::try_from(after.max(0)).unwrap_or(u32::MAX);
        self.layers(Layers::All).any(|layer| layer.reads_disk(from, last))
    }

    /// Whether a query that ends here can see anything.
    pub(crate) fn overlaps(&self, end: Timestamp, layers: Layers) -> bool {
        let last = bucket_second(end);
        self.layers(layers).any(|layer| layer.oldest().is_some_and(|oldest| oldest < last))
    }

    /// The end of the newest second with an observation.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.layers(Layers::All).filter_map(Layer::newest).max().map(|second| second.saturating_add(1))
    }

    pub(crate) fn count(&self) -> u64 {
        self.layers(Layers::All).map(Layer::count).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers(Layers::All).all(Layer::is_empty)
    }

    /// Says what time it is, milliseconds: seconds and tens that are over by then are not made.
    pub(crate) fn see_time(&mut self, now: i64) {
        self.now = second_of(now);
    }

    /// Closes old seconds, merges them upwards, lets fine levels go by age. `now` in milliseconds.
    pub(crate) fn age(&mut self, now: i64) {
        self.see_time(now);
        let now = self.now;
        self.live.age(LIVE.at(now));
        self.past_mut().for_each(|layer| layer.age(PAST.at(now)));
    }

    /// Drops what lies before a time (milliseconds); the totals stay.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let second = second_of(horizon);
        let before = self.count();
        if !self.live.is_leaving() {
            let days = self.live.take_days_before(layer::prunes_before(second));
            if !days.is_empty() {
                self.add_to_pruned(|_, dense| days.iter().for_each(|day| dense.add_own(&day.total)));
            }
        }
        for layer in self.past_mut().filter(|layer| !layer.is_leaving()) {
            layer.take_days_before(layer::prunes_before(second));
        }
        self.drop_from_memory(horizon);
        before - self.count()
    }

    /// The same of what is in memory: it cannot go to blocks, and memory is short. What lies in blocks stays.
    pub(crate) fn drop_from_memory(&mut self, horizon: i64) -> u64 {
        let second = second_of(horizon);
        let goes = layer::prunes_before(second);
        let before = self.count();
        if !self.live.is_leaving() {
            if self.live.holds_before(goes) {
                self.add_to_pruned(|live, dense| live.collect_memory((0, goes), dense));
            }
            self.live.prune(second);
        }
        for layer in self.past_mut().filter(|layer| !layer.is_leaving()) {
            layer.prune(second);
        }
        before - self.count()
    }

    /// Adds to what was pruned.
    fn add_to_pruned(&mut self, add: impl FnOnce(&Layer, &mut Dense)) {
        let pruned = with_dense(|dense| {
            self.add_pruned(dense);
            add(&self.live, dense);
            dense.to_piece()
        });
        self.pruned = Some(pruned);
    }

    /// Drops seconds and tens before a time (milliseconds), as memory is short: they do not go to blocks. Minutes stay.
    pub(crate) fn drop_fine(&mut self, horizon: i64) -> u64 {
        let second = second_of(horizon);
        self.live.drop_fine(second) + self.past_mut().map(|layer| layer.drop_fine(second)).sum::<u64>()
    }

    /// Calls back with the end (milliseconds) and memory of each piece.
    pub(crate) fn sizes(&self, mut each: impl FnMut(i64, usize)) {
        self.layers(Layers::All).for_each(|layer| layer.sizes(|end, bytes| each(end * 1000, bytes)));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let past: usize = self.past().map(|layer| size_of::<Layer>() + layer.memory_bytes()).sum();
        let pruned = self.pruned.as_ref().map_or(0, |pruned| pruned.len() + 16);
        size_of::<Distribution>() + self.live.memory_bytes() + past + pruned
    }

    /// What of a layer has to be written so that all before a second is in blocks. Whoever asks says what became of it: by
    /// [`Distribution::put_left`] or [`Distribution::stays`].
    pub(crate) fn leaving(&mut self, dated: Dated, before: i64, merge: Merge) -> Option<Arc<Detail>> {
        self.layer_mut(dated)?.leaving(before, merge)
    }

    /// Has the file take the place of what was written to it; says how many histograms left memory.
    pub(crate) fn put_left(
        &mut self,
        dated: Dated,
        detail: &Arc<Detail>,
        days: Vec<WrittenDay>,
        file: &Arc<BlockFile>,
    ) -> u64 {
        self.layer_mut(dated).map_or(0, |layer| layer.put_left(detail, days, file))
    }

    /// Nothing was written: all stays where it is.
    pub(crate) fn stays(&mut self, dated: Dated) {
        self.layer_mut(dated).into_iter().for_each(Layer::stays);
    }

    /// The days that lie in several places of blocks.
    pub(crate) fn scattered_days(&self) -> impl Iterator<Item = i64> {
        let stored = self.layers(Layers::All).filter_map(|layer| layer.stored.as_deref());
        stored.flat_map(Stored::scattered_days)
    }

    /// The places of a day of a layer, if there are several.
    pub(crate) fn scattered(&self, dated: Dated, day: i64) -> Option<Vec<Extent>> {
        self.layer(dated)?.stored.as_ref()?.scattered(day)
    }

    /// Has one place take that of those that it was merged from, if they still are where the day lies.
    pub(crate) fn replace(&mut self, dated: Dated, before: &[Extent], merged: &WrittenDay, file: &Arc<BlockFile>) {
        if let Some(stored) = self.layer_mut(dated).and_then(|layer| layer.stored.as_mut()) {
            stored.replace(before, merged, file);
        }
    }

    /// Whether anything of it lies in blocks.
    pub(crate) fn has_stored(&self) -> bool {
        self.layers(Layers::All).any(|layer| layer.stored.is_some())
    }

    /// The series has left: nothing on disk is named any more.
    pub(crate) fn leave_disk(&mut self) {
        self.live.stored = None;
        self.past_mut().for_each(|layer| layer.stored = None);
    }

    /// Takes over what lies in blocks from what was only known of it so far.
    pub(crate) fn take_stored(&mut self, known: &mut Distribution) {
        for dated in Dated::ALL {
            if let Some(stored) = known.layer_mut(dated).and_then(|layer| layer.stored.take()) {
                self.layer_made(dated).stored = Some(stored);
            }
        }
    }

    /// Appends, for a snapshot, where the rest of it lies.
    ///
    /// ```text
    /// u8: 1 of live observations, 2 of late ones, 4 of filled ones | of each of these: see `stored`
    /// ```
    pub(crate) fn write_stored(&self, out: &mut Vec<u8>) {
        let has =
            |(bit, dated): &(u8, Dated)| self.layer(*dated).is_some_and(|layer| layer.stored.is_some()).then_some(*bit);
        out.push(STORED_BITS.iter().filter_map(has).sum());
        self.layers(Layers::All).for_each(|layer| layer.write_stored(out));
    }

    /// Reads what `write_stored` wrote.
    pub(crate) fn read_stored(&mut self, cursor: &mut Cursor, blocks: &Blocks) -> Result<(), Damaged> {
        let has = cursor.u8()?;
        let mut layers = STORED_BITS.iter().filter(|(bit, _)| has & bit != 0);
        layers.try_for_each(|(_, dated)| self.layer_made(*dated).read_stored(cursor, blocks))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        put_value(out, self.sum);
        self.live.write(out);
        let late = if self.late.is_some() { HAS_LATE } else { 0 };
        let filled = if self.filled.is_some() { HAS_FILLED } else { 0 };
        let pruned = if self.pruned.is_some() { HAS_PRUNED } else { 0 };
        out.push(late | filled | pruned);
        self.past().for_each(|layer| layer.write(out));
        if let Some(pruned) = &self.pruned {
            put_bytes(out, pruned);
        }
    }

    /// Whether the bytes have the outline of a distribution: steps over it without a look into its histograms.
    pub(crate) fn check(cursor: &mut Cursor) -> Result<(), Damaged> {
        cursor.varint()?;
        cursor.value()?;
        Layer::check(cursor)?;
        let has = cursor.u8()?;
        (0..(has & (HAS_LATE | HAS_FILLED)).count_ones()).try_for_each(|_| Layer::check(cursor))?;
        if has & HAS_PRUNED != 0 { cursor.bytes().map(|_| ()) } else { Ok(()) }
    }

    /// Reads what was written; its histograms are believed, as they lie under a checksum.
    pub(crate) fn read_from(cursor: &mut Cursor) -> Result<Distribution, Damaged> {
        let (count, sum) = (cursor.varint()?, cursor.value()?);
        let live = Layer::read_from(cursor)?;
        let has = cursor.u8()?;
        let mut layer = |bit: u8| (has & bit != 0).then(|| Layer::read_from(cursor).map(Box::new)).transpose();
        let (late, filled) = (layer(HAS_LATE)?, layer(HAS_FILLED)?);
        let pruned = if has & HAS_PRUNED != 0 { Some(cursor.bytes()?.into()) } else { None };
        Ok(Distribution { live, late, filled, count, sum, pruned, now: 0 })
    }
}

/// The second of a time in milliseconds.
fn second_of(millis: i64) -> u32 {
    u32::try_from(millis.div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}
