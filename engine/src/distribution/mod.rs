//! Observations of one series as interval histograms; live ones, late ones and those of a backfill apart.

mod blocks;
mod dense;
mod layer;
mod level;
mod open;
mod piece;
mod rice;
mod scale;
#[cfg(test)]
mod tests;
mod window;

use watchfire_model::Timestamp;

pub use window::DistributionWindow;

use crate::bytes::{Cursor, Damaged, put_bytes, put_value, put_varint};
use crate::distribution::dense::{Dense, with_dense};
use crate::distribution::layer::{LIVE, Layer, PAST};

use crate::increments::{HAS_FILLED, HAS_LATE, QUIET_SECONDS, seconds_of};
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
        self.window(start, end, Layers::All)
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
            Dated::Late => self.late.get_or_insert_default().record(second, value, past),
            Dated::Filled => self.filled.get_or_insert_default().record(second, value, past),
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

    fn layers(&self, which: Layers) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.live).chain(self.past().filter(move |_| which == Layers::All))
    }

    /// The observations of `(start, end]`, its end rounded up to the second; `None` if there were none in the
    /// 24 h before the end either.
    pub(crate) fn window(&self, start: Timestamp, end: Timestamp, layers: Layers) -> Option<DistributionWindow> {
        let (after, last) = seconds_of(start, end);
        // The bucket that ends at e begins at e - 1.
        let from = u32::try_from(after.max(0)).unwrap_or(u32::MAX);
        let window = with_dense(|dense| {
            self.layers(layers).for_each(|layer| layer.collect(from, last, dense));
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
    pub(crate) fn running(&self, at: Timestamp) -> Option<DistributionWindow> {
        let window = with_dense(|dense| {
            self.add_pruned(dense);
            self.live.collect(0, bucket_second(at), dense);
            DistributionWindow::from_dense(dense)
        });
        (window.count() > 0).then_some(window)
    }

    fn add_pruned(&self, dense: &mut Dense) {
        if let Some(pruned) = &self.pruned {
            // Pieces are made by `with_piece` alone, and lie on disk under a checksum.
            let whole = dense.add_piece(pruned);
            debug_assert!(whole.is_ok(), "a piece is whole");
        }
    }

    /// The ends of the intervals of `(start, end]` with live observations, ascending.
    pub(crate) fn times(&self, start: Timestamp, end: Timestamp, out: &mut Vec<Timestamp>) {
        let (after, last) = seconds_of(start, end);
        let from = u32::try_from(after.max(0)).unwrap_or(u32::MAX);
        let mut seconds = Vec::new();
        self.live.intervals(from, last, &mut seconds);
        out.extend(seconds.into_iter().map(|second| Timestamp::from_millis(i64::from(second) * 1000)));
    }

    /// Count and sum of all live observations ever.
    pub(crate) fn totals(&self) -> (u64, f64) {
        (self.count, self.sum)
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
        self.now = u32::try_from(now.div_euclid(1000).max(0)).unwrap_or(u32::MAX);
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
        let second = u32::try_from(horizon.div_euclid(1000).max(0)).unwrap_or(u32::MAX);
        let goes = layer::prunes_before(second);
        if self.live.holds_before(goes) {
            self.pruned = Some(with_dense(|dense| {
                self.add_pruned(dense);
                self.live.collect(0, goes, dense);
                dense.with_piece(|piece| piece.into())
            }));
        }
        self.live.prune(second) + self.past_mut().map(|layer| layer.prune(second)).sum::<u64>()
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
