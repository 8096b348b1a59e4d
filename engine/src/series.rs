//! One series: its identity and, behind its own lock, its numbers.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use parking_lot::Mutex;
use watchfire_model::{Histogram, Sample, Timestamp};

use crate::blocks::{Blocks, Extent, Held, Sealed, Stored};
use crate::bytes::{Cursor, Damaged};
use crate::chunk::Codec;
use crate::cumulative::Cumulative;
use crate::distribution::Distribution;
use crate::fingerprint::Fingerprint;
use crate::increments::Increments;
use crate::kind::{SeriesClass, SeriesKind};
use crate::limits::{Rejection, TimeBounds};
use crate::prefetch::prefetch_value;
use crate::resting::Resting;
use crate::samples::{Pushed, Samples};

/// Times of a query: `start < time <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Left end, not itself inside.
    pub start: Timestamp,
    /// Right end, inside.
    pub end: Timestamp,
}

impl TimeRange {
    /// All times.
    pub const ALWAYS: TimeRange =
        TimeRange { start: Timestamp::from_millis(i64::MIN), end: Timestamp::from_millis(i64::MAX) };
}

/// Which numbers of increments and distributions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// Those that count live, those that came late, and those put in afterwards.
    All,
    /// Only those that count live; what came late leaves no trace.
    Live,
}

/// How a count or an observation is dated, and so where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dated {
    /// By when it was accepted; in the running total.
    Live,
    /// By when it happened, as it came late.
    Late,
    /// By when it happened, put in by a backfill.
    Filled,
}

impl Dated {
    pub(crate) const ALL: [Dated; 3] = [Dated::Live, Dated::Late, Dated::Filled];

    pub(crate) fn of(late: bool) -> Dated {
        if late { Dated::Late } else { Dated::Live }
    }
}

/// The numbers of a series.
pub(crate) enum Numbers {
    Samples(Samples),
    Increments(Box<Increments>),
    Distribution(Box<Distribution>),
}

/// What the lock of a series guards.
pub(crate) struct SeriesState {
    numbers: Numbers,
    /// What a recovery found and nobody has needed yet; it comes into `numbers` before anything else.
    resting: Option<Box<Resting>>,
    /// Samples that lie on disk, older than those in `numbers`.
    stored: Option<Box<Stored>>,
}

/// One series. Its number (`id`) is never given to another one.
pub(crate) struct Series {
    pub(crate) id: u64,
    /// Of its label set.
    pub(crate) hash: Fingerprint,
    pub(crate) shard: u32,
    pub(crate) kind: SeriesKind,
    /// The stretch of the log in which its definition stands last; [`UNDEFINED`](crate::wal::UNDEFINED) if nowhere.
    pub(crate) defined: AtomicU16,
    /// It left the registry; whoever holds it must look the label set up again. Changes under the lock of its state only. There
    /// it would cost eight bytes, and with them the allocator gives 32 more for each series.
    pub(crate) removed: AtomicBool,
    /// Numbers of its label pairs in its shard, in the order of names.
    pub(crate) pairs: Box<[u32]>,
    pub(crate) state: Mutex<SeriesState>,
}

impl Series {
    /// Asks for the memory of the series itself.
    pub(crate) fn prefetch(&self) {
        prefetch_value(self);
    }

    /// Asks for what the series refers to; who holds it has its memory at hand.
    pub(crate) fn prefetch_numbers(&self) {
        self.prefetch_of(Samples::prefetch);
    }

    /// Asks for what that refers to in turn.
    pub(crate) fn prefetch_packed(&self) {
        self.prefetch_of(Samples::prefetch_packed);
    }

    fn prefetch_of(&self, ask: impl FnOnce(&Samples)) {
        if let Some(state) = self.state.try_lock()
            && let Numbers::Samples(samples) = &state.numbers
        {
            ask(samples);
        }
    }
}

impl SeriesState {
    pub(crate) fn new(numbers: Numbers) -> SeriesState {
        SeriesState { numbers, resting: None, stored: None }
    }

    /// Its numbers, all of them.
    pub(crate) fn numbers(&mut self) -> &mut Numbers {
        &mut self.whole().numbers
    }

    /// With nothing left that rests: it may bring something back from disk.
    fn whole(&mut self) -> &mut SeriesState {
        if self.resting.is_some() {
            self.settle(u32::MAX);
        }
        self
    }

    /// Makes numbers of what rests; of counts and observations, up to a place in the log. Says whether something is left.
    pub(crate) fn settle(&mut self, before: u32) -> bool {
        let Some(mut resting) = self.resting.take() else { return false };
        let is_left = resting.settle_into(&mut self.numbers, before);
        if let Some(samples) = resting.take_samples() {
            samples.settle_into(self);
        }
        self.resting = Some(resting).filter(|_| is_left);
        is_left
    }

    /// Whether something rests.
    pub(crate) fn rests(&self) -> bool {
        self.resting.is_some()
    }

    /// Where a recovery puts what is for later.
    pub(crate) fn resting(&mut self) -> &mut Resting {
        self.resting.get_or_insert_default()
    }

    /// Its samples, those in memory that were taken at or after a time: whatever lies on disk from there on is brought
    /// back, so that it can be changed. `None` if it has no samples but counts or observations.
    pub(crate) fn samples_from(&mut self, at: i64, codec: &mut Codec) -> Option<&mut Samples> {
        let stored = self.whole().stored.take_if(|stored| stored.newest().is_some_and(|newest| newest >= at));
        let Numbers::Samples(samples) = self.numbers() else { return None };
        if let Some(mut stored) = stored {
            samples.put_before(stored.take_chunks_from(at, codec), stored.take_runs_from(at));
            self.stored = Some(stored).filter(|stored| !stored.is_empty());
        }
        match &mut self.numbers {
            Numbers::Samples(samples) => Some(samples),
            Numbers::Increments(_) | Numbers::Distribution(_) => None,
        }
    }

    /// Takes a sample, in order or within the out-of-order window; an error for a series of counts.
    pub(crate) fn push(&mut self, sample: Sample, bounds: &TimeBounds, codec: &mut Codec) -> Result<Pushed, Rejection> {
        self.reach_back(sample.timestamp.millis(), bounds, codec)?;
        match self.numbers() {
            Numbers::Samples(samples) => samples.push(sample, bounds, codec),
            Numbers::Increments(_) | Numbers::Distribution(_) => Err(Rejection::KindMismatch),
        }
    }

    /// Takes a run in one go if its times ascend and lie behind all that is there; says whether it does. An empty run, and
    /// one for a series of counts, does not.
    pub(crate) fn extend(&mut self, run: &[Sample], codec: &mut Codec) -> bool {
        let newest = self.newest();
        let is_newer = run.first().is_some_and(|first| newest.is_none_or(|newest| first.timestamp.millis() > newest));
        match self.numbers() {
            Numbers::Samples(samples) => is_newer && samples.extend(run, codec),
            Numbers::Increments(_) | Numbers::Distribution(_) => false,
        }
    }

    /// Takes samples that were accepted once, whatever their times; those that are there already stay as they are.
    pub(crate) fn push_run(&mut self, run: &[Sample], codec: &mut Codec) {
        let newest = self.newest();
        let (old, new) =
            run.split_at(run.iter().take_while(|sample| Some(sample.timestamp.millis()) <= newest).count());
        let rest = if self.extend(new, codec) { &[] } else { new };
        for sample in old.iter().chain(rest) {
            let _ = self.push(*sample, &TimeBounds::ALL, codec);
        }
    }

    /// The same, but only those that fill blocks need be taken: says how many were, the others are to come again before what
    /// follows them.
    pub(crate) fn push_blocks(&mut self, run: &[Sample], codec: &mut Codec) -> usize {
        let newest = self.newest();
        let is_newer = run.first().is_some_and(|first| newest < Some(first.timestamp.millis()));
        let taken = match self.numbers() {
            Numbers::Samples(samples) if is_newer => samples.extend_blocks(run, codec),
            Numbers::Samples(_) | Numbers::Increments(_) | Numbers::Distribution(_) => None,
        };
        taken.unwrap_or_else(|| {
            self.push_run(run, codec);
            run.len()
        })
    }

    /// Takes a native histogram, in order or within the out-of-order window; an error for a series of counts.
    pub(crate) fn push_native(
        &mut self,
        at: i64,
        histogram: &Histogram,
        bounds: &TimeBounds,
        codec: &mut Codec,
    ) -> Result<Pushed, Rejection> {
        self.reach_back(at, bounds, codec)?;
        match self.numbers() {
            Numbers::Samples(samples) => samples.push_native(at, histogram, bounds, codec),
            Numbers::Increments(_) | Numbers::Distribution(_) => Err(Rejection::KindMismatch),
        }
    }

    /// Brings back what a sample of this time may meet, if it is not too old to be taken at all.
    fn reach_back(&mut self, at: i64, bounds: &TimeBounds, codec: &mut Codec) -> Result<(), Rejection> {
        if self.whole().stored.as_ref().and_then(|stored| stored.newest()).is_some_and(|stored| at <= stored) {
            bounds.check(at)?;
            if self.newest().is_some_and(|newest| at < newest.saturating_sub(bounds.out_of_order_ms)) {
                return Err(Rejection::OutOfOrder);
            }
            self.samples_from(at, codec);
        }
        Ok(())
    }

    /// It names nothing on disk any more.
    fn leave_disk(&mut self) {
        self.stored = None;
        match &mut self.numbers {
            Numbers::Samples(_) => {}
            Numbers::Increments(increments) => increments.leave_disk(),
            Numbers::Distribution(distribution) => distribution.leave_disk(),
        }
    }

    /// Whether anything of it lies on disk.
    pub(crate) fn has_blocks(&self) -> bool {
        match &self.numbers {
            Numbers::Samples(_) => self.stored.is_some(),
            Numbers::Increments(increments) => increments.has_stored(),
            Numbers::Distribution(distribution) => distribution.has_stored(),
        }
    }

    /// Whether a query of these times may have to read a disk.
    pub(crate) fn reads_disk(&self, range: TimeRange) -> bool {
        match &self.numbers {
            Numbers::Samples(_) => self.stored.as_ref().is_some_and(|stored| stored.overlaps(range)),
            Numbers::Increments(increments) => increments.reads_disk(range.start, range.end),
            Numbers::Distribution(distribution) => distribution.reads_disk(range.start, range.end),
        }
    }

    /// Appends, for a snapshot, where what of it lies on disk can be found there.
    pub(crate) fn write_blocks(&self, out: &mut Vec<u8>) {
        match &self.numbers {
            Numbers::Samples(_) => self.stored.iter().for_each(|stored| stored.write(out)),
            Numbers::Increments(increments) => increments.write_stored(out),
            Numbers::Distribution(distribution) => distribution.write_stored(out),
        }
    }

    /// Reads what `write_blocks` wrote, of a snapshot whose numbers are read, or of observations rest.
    pub(crate) fn read_blocks(&mut self, bytes: &[u8], blocks: &Blocks, codec: &mut Codec) -> Result<(), Damaged> {
        let mut cursor = Cursor::new(bytes);
        match &mut self.numbers {
            Numbers::Samples(_) => {
                self.stored =
                    Some(Box::new(Stored::read_from(&mut cursor, blocks)?)).filter(|stored| !stored.is_empty());
            }
            Numbers::Increments(increments) => increments.read_stored(&mut cursor, codec, blocks)?,
            Numbers::Distribution(distribution) => distribution.read_stored(&mut cursor, blocks)?,
        }
        Ok(())
    }

    /// What of its samples lies on disk.
    pub(crate) fn stored(&mut self) -> Option<&Stored> {
        self.whole().stored.as_deref()
    }

    pub(crate) fn stored_mut(&mut self) -> Option<&mut Stored> {
        self.stored.as_deref_mut()
    }

    /// What is sealed and ends before a time; of a series whose samples are all older, all of them are sealed for it.
    pub(crate) fn sealed_before(&mut self, time: i64, codec: &mut Codec) -> Sealed {
        match self.numbers() {
            Numbers::Samples(samples) => samples.sealed_before(time, codec),
            Numbers::Increments(_) | Numbers::Distribution(_) => Sealed::default(),
        }
    }

    /// A layer of its counts, if it has any.
    pub(crate) fn count_layer(&mut self, dated: Dated) -> Option<&mut Cumulative> {
        match self.numbers() {
            Numbers::Increments(increments) => increments.layer_mut(dated),
            Numbers::Samples(_) | Numbers::Distribution(_) => None,
        }
    }

    /// Its observations, if it has any; of those that rest, only what lies in blocks.
    pub(crate) fn observed(&mut self) -> Option<&mut Distribution> {
        match &mut self.numbers {
            Numbers::Distribution(distribution) => Some(distribution),
            Numbers::Samples(_) | Numbers::Increments(_) => None,
        }
    }

    /// Puts extents into the place of what they were written from. False if that is not what the series begins with any
    /// more: then nothing changes.
    pub(crate) fn store(&mut self, sealed: &Sealed, extents: impl Iterator<Item = (Held, Extent)>) -> bool {
        let Numbers::Samples(samples) = &mut self.numbers else { return false };
        let is_taken = samples.take_first(sealed);
        if is_taken {
            let stored = self.stored.get_or_insert_default();
            extents.for_each(|(held, extent)| stored.push(held, extent));
        }
        is_taken
    }

    /// Whether a query of these times can see anything of it.
    pub(crate) fn overlaps(&mut self, range: TimeRange, layers: Layers) -> bool {
        // Nothing that rests has to be made for who only asks which series there are.
        if self.rests() && range == TimeRange::ALWAYS && layers == Layers::All {
            return true;
        }
        self.whole().stored.as_ref().is_some_and(|stored| stored.overlaps(range))
            || self.numbers.overlaps(range, layers)
    }

    /// How many samples (or seconds, or intervals) it holds, in memory and on disk.
    pub(crate) fn count(&mut self) -> u64 {
        self.whole().stored.as_ref().map_or(0, |stored| stored.count()) + self.numbers.count()
    }

    /// Time of the newest number, milliseconds.
    pub(crate) fn newest(&mut self) -> Option<i64> {
        self.numbers().newest().max(self.stored.as_ref().and_then(|stored| stored.newest()))
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.stored.is_none() && self.numbers().is_empty()
    }

    /// Drops what lies before a time; says how many samples, seconds or intervals went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let mut gone = self.numbers().prune(horizon);
        if let Some(stored) = &mut self.stored {
            gone += stored.prune(horizon);
            self.stored.take_if(|stored| stored.is_empty());
        }
        gone
    }

    /// Removes the samples with `after < time <= until`; says how many there were.
    pub(crate) fn remove_samples(&mut self, after: i64, until: i64, codec: &mut Codec) -> u64 {
        let whole = self.whole().stored.as_mut().map_or(0, |stored| stored.remove_within(after, until));
        self.stored.take_if(|stored| stored.is_empty());
        let Some(samples) = self.samples_from(after.saturating_add(1), codec) else { return whole };
        whole + samples.remove(after, until, codec)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let stored = self.stored.as_ref().map_or(0, |stored| size_of::<Stored>() + stored.memory_bytes());
        self.numbers.memory_bytes() + stored + self.resting.as_ref().map_or(0, |resting| resting.memory_bytes())
    }
}

impl Numbers {
    pub(crate) fn new(class: SeriesClass) -> Numbers {
        match class {
            SeriesClass::Samples => Numbers::Samples(Samples::default()),
            SeriesClass::Increments => Numbers::Increments(Box::default()),
            SeriesClass::Distribution => Numbers::Distribution(Box::default()),
        }
    }

    /// Whether a query of these times can see anything of it.
    pub(crate) fn overlaps(&self, range: TimeRange, layers: Layers) -> bool {
        match self {
            Numbers::Samples(samples) => samples.overlaps(range.start.millis(), range.end.millis()),
            Numbers::Increments(increments) => increments.overlaps(range.end, layers),
            Numbers::Distribution(distribution) => distribution.overlaps(range.end, layers),
        }
    }

    /// Adds a count or an observation to a second; samples take none. Says whether the value was clamped.
    pub(crate) fn add(&mut self, second: u32, value: f64, dated: Dated, codec: &mut Codec) -> bool {
        match self {
            Numbers::Samples(_) => false,
            Numbers::Increments(increments) => {
                increments.add(second, value, dated, codec);
                false
            }
            Numbers::Distribution(distribution) => distribution.add(second, value, dated),
        }
    }

    /// Says what time it is, milliseconds, before something is added.
    pub(crate) fn see_time(&mut self, now: i64) {
        if let Numbers::Distribution(distribution) = self {
            distribution.see_time(now);
        }
    }

    /// Takes out what backfills put into the bucket seconds `after < second <= until`, which are whole hours.
    pub(crate) fn clear_filled(&mut self, after: u32, until: u32, codec: &mut Codec) {
        match self {
            Numbers::Samples(_) => {}
            Numbers::Increments(increments) => increments.clear_filled(after, until, codec),
            Numbers::Distribution(distribution) => distribution.clear_filled(after, until),
        }
    }

    /// How many samples (or seconds, or intervals) it holds.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Numbers::Samples(samples) => samples.count(),
            Numbers::Increments(increments) => increments.count(),
            Numbers::Distribution(distribution) => distribution.count(),
        }
    }

    /// Time of the newest number, milliseconds.
    pub(crate) fn newest(&self) -> Option<i64> {
        match self {
            Numbers::Samples(samples) => samples.newest(),
            Numbers::Increments(increments) => increments.newest().map(|second| i64::from(second) * 1000),
            Numbers::Distribution(distribution) => distribution.newest().map(|second| i64::from(second) * 1000),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Numbers::Samples(samples) => samples.is_empty(),
            Numbers::Increments(increments) => !increments.has_buckets(),
            Numbers::Distribution(distribution) => distribution.is_empty(),
        }
    }

    /// Drops what lies before a time; says how many samples, seconds or intervals went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        match self {
            Numbers::Samples(samples) => samples.prune(horizon),
            Numbers::Increments(increments) => increments.prune(horizon),
            Numbers::Distribution(distribution) => distribution.prune(horizon),
        }
    }

    /// Drops what lies before a time from memory, though it is not in blocks; says how many samples, seconds or intervals
    /// went.
    pub(crate) fn drop_from_memory(&mut self, horizon: i64) -> u64 {
        match self {
            Numbers::Samples(samples) => samples.prune(horizon),
            Numbers::Increments(increments) => increments.drop_from_memory(horizon),
            Numbers::Distribution(distribution) => distribution.drop_from_memory(horizon),
        }
    }

    /// Lets the fine intervals of a distribution go by age; `now` in milliseconds.
    pub(crate) fn age(&mut self, now: i64) {
        if let Numbers::Distribution(distribution) = self {
            distribution.age(now);
        }
    }

    /// Calls back with the end (milliseconds) and memory of each sealed piece.
    pub(crate) fn sealed_sizes(&self, each: impl FnMut(i64, usize)) {
        match self {
            Numbers::Samples(samples) => samples.sealed_sizes(each),
            Numbers::Increments(increments) => increments.packed_sizes(each),
            Numbers::Distribution(distribution) => distribution.sizes(each),
        }
    }

    /// Packs what a quiet series keeps open.
    pub(crate) fn compact(&mut self, codec: &mut Codec) {
        match self {
            Numbers::Samples(samples) => samples.compact(codec),
            Numbers::Increments(increments) => increments.compact(codec),
            Numbers::Distribution(_) => {}
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Numbers::Samples(samples) => samples.memory_bytes(),
            Numbers::Increments(increments) => increments.memory_bytes(),
            Numbers::Distribution(distribution) => distribution.memory_bytes(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Numbers::Samples(samples) => samples.write(out),
            Numbers::Increments(increments) => increments.write(out),
            Numbers::Distribution(distribution) => distribution.write(out),
        }
    }

    pub(crate) fn read_from(class: SeriesClass, cursor: &mut Cursor, codec: &mut Codec) -> Result<Numbers, Damaged> {
        Ok(match class {
            SeriesClass::Samples => Numbers::Samples(Samples::read_from(cursor, codec)?),
            SeriesClass::Increments => Numbers::Increments(Box::new(Increments::read_from(cursor, codec)?)),
            SeriesClass::Distribution => Numbers::Distribution(Box::new(Distribution::read_from(cursor)?)),
        })
    }
}

impl Series {
    /// Whether it left the registry; who holds the lock of its state knows it for as long.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// It has left the registry, and names nothing on disk any more; this is its state.
    pub(crate) fn remove(&self, state: &mut SeriesState) {
        self.removed.store(true, Ordering::Relaxed);
        state.leave_disk();
    }

    /// Memory of the series without its numbers: itself, its reference counts, its list of pairs and its places
    /// in the registry and the postings.
    pub(crate) fn identity_bytes(pairs: usize) -> usize {
        size_of::<Series>() + 16 + pairs * 4 + 8 + 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_with_its_counts_takes_what_an_allocator_gives() {
        assert_eq!(size_of::<Series>() + 2 * size_of::<usize>(), 128);
    }
}
