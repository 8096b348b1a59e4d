//! The samples of one series: sealed chunks, a packed tail, and a few raw ones at the end; native histograms beside them.
//!
//! A new sample goes to the raw ones (at most 15). Full, they are packed into the last block of the tail, or into the next
//! one once that has 30 samples; a tail of 480 samples is encoded anew as one sealed chunk. So an append does not allocate,
//! and a series never keeps more than 15 samples at 8 bytes, or at 16 if their times are uneven.
//!
//! Invariant: times ascend strictly from the sealed chunks through the tail to the raw ones.

mod merge;
mod packed;
mod raw;
mod remove;
mod sealed;
mod tail;

use std::sync::Arc;

use watchfire_model::sample::HISTOGRAM_NAN_BITS;
use watchfire_model::{Histogram, Sample, Timestamp};

use self::packed::Packed;
use self::raw::{RAW_MAX, Raw};
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::chunk::{Chunk, Codec, Encoded};
use crate::columns::Columns;
use crate::limits::{Rejection, TimeBounds};
use crate::natives::Natives;
use crate::prefetch::prefetch_value;

/// Most samples of a block of the tail: what a read of one sample decodes.
pub(crate) const BLOCK_MAX: usize = 2 * RAW_MAX;
/// Most raw samples in a snapshot, of this version or an earlier one.
const RAW_STORED_MAX: usize = 32;
/// Samples in the tail that make a sealed chunk.
const SEAL_AT: usize = 480;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Accepted,
    /// The series has this very sample.
    Known,
    /// The series has left the registry, and its label set is not at hand.
    Gone,
}

/// The samples of one series.
#[derive(Default)]
pub(crate) struct Samples {
    raw: Raw,
    /// Not there as long as the raw ones are all.
    packed: Option<Box<Packed>>,
    /// Not there as long as there are none. No time is that of a float too.
    natives: Option<Box<Natives>>,
}

/// Says in the bytes of a snapshot that there are packed samples, and that there are histograms.
const HAS_PACKED: u8 = 1;
const HAS_NATIVES: u8 = 2;

impl Samples {
    fn newest_float(&self) -> Option<i64> {
        self.raw.newest().or_else(|| self.packed.as_ref()?.newest())
    }

    /// Time of the newest sample or histogram.
    pub(crate) fn newest(&self) -> Option<i64> {
        let native = self.natives.as_ref().and_then(|natives| natives.newest());
        self.newest_float().max(native)
    }

    /// Time of the oldest sample or histogram.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let packed = self.packed.as_ref().and_then(|packed| packed.oldest());
        let float = packed.or_else(|| self.raw.oldest());
        let native = self.natives.as_ref().and_then(|natives| natives.oldest());
        float.into_iter().chain(native).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.packed.is_none() && self.natives.is_none()
    }

    pub(crate) fn count(&self) -> u64 {
        let packed = self.packed.as_ref().map_or(0, |packed| packed.count());
        self.raw.len() as u64 + packed + self.natives.as_ref().map_or(0, |natives| natives.count())
    }

    /// Takes a sample, in order or within the out-of-order window. What is no number keeps its bits, as with Prometheus, but
    /// for a few that are taken.
    pub(crate) fn push(&mut self, sample: Sample, bounds: &TimeBounds, codec: &mut Codec) -> Result<Pushed, Rejection> {
        let at = sample.timestamp.millis();
        bounds.check(at)?;
        let sample = plain(sample);
        if let Some(natives) = &self.natives {
            if natives.has(at) {
                return Err(Rejection::DuplicateTimestamp);
            }
            if let Err(rejection) = self.check_order(at, bounds) {
                // What is there already is known, however old.
                let mut have = Vec::new();
                self.read(at.saturating_sub(1), at, codec, &mut have);
                return match have.first() {
                    Some(have) if have.value.to_bits() == sample.value.to_bits() => Ok(Pushed::Known),
                    Some(_) => Err(Rejection::DuplicateTimestamp),
                    None => Err(rejection),
                };
            }
        }
        if let Some(newest) = self.raw.newest() {
            if at <= newest {
                return self.push_out_of_order(sample, bounds, codec);
            }
            if self.raw.len() >= RAW_MAX {
                self.pack(codec);
            }
        } else if self.newest_float().is_some_and(|newest| at <= newest) {
            return self.push_out_of_order(sample, bounds, codec);
        }
        self.raw.push(sample);
        Ok(Pushed::Accepted)
    }

    /// Takes a run in one go if its times ascend and lie behind all that is there; says whether it does.
    pub(crate) fn extend(&mut self, run: &[Sample], codec: &mut Codec) -> bool {
        if !self.lies_behind(run) {
            return false;
        }
        let all = self.raw.len() + run.len();
        if all <= RAW_MAX {
            run.iter().for_each(|sample| self.raw.push(plain(*sample)));
        } else {
            // What is left over after whole rounds of raw ones, as if they had come one by one.
            self.pack_with(run, (all - 1) / RAW_MAX * RAW_MAX, codec);
        }
        true
    }

    /// Takes, of a run as for `extend`, those that fill blocks together with what is there, and says how many that is; the
    /// others are to come again before what follows them.
    pub(crate) fn extend_blocks(&mut self, run: &[Sample], codec: &mut Codec) -> Option<usize> {
        if !self.lies_behind(run) {
            return None;
        }
        let open = self.packed.as_ref().map_or(0, |packed| packed.tail.open_count()) + self.raw.len();
        let taken = ((open + run.len()) / BLOCK_MAX * BLOCK_MAX).saturating_sub(open).min(run.len());
        if taken > 0 {
            self.pack_with(run.get(..taken)?, self.raw.len() + taken, codec);
        }
        Some(taken)
    }

    /// Whether the times of a run ascend and lie behind all that is there, and nothing else has to be looked at.
    fn lies_behind(&self, run: &[Sample]) -> bool {
        let newest = self.newest();
        self.natives.is_none()
            && run.is_sorted_by(|one, next| one.timestamp < next.timestamp)
            && run.first().is_none_or(|first| newest < Some(first.timestamp.millis()))
    }

    /// Packs so many samples of the raw ones and a run behind them; those that are over stay raw.
    fn pack_with(&mut self, run: &[Sample], many: usize, codec: &mut Codec) {
        let mut all = codec.take_room();
        all.extend(self.raw.iter().chain(run.iter().copied().map(plain)));
        let (packed, raw) = all.split_at(many.min(all.len()));
        self.raw.clear();
        self.raw.set(raw);
        let tail = self.packed.get_or_insert_default();
        packed.chunks(SEAL_AT).for_each(|part| tail.append(part, codec));
        codec.give_back(all);
    }

    /// An error if a time lies before the out-of-order window.
    fn check_order(&self, at: i64, bounds: &TimeBounds) -> Result<(), Rejection> {
        let oldest = self.newest().unwrap_or(i64::MIN).saturating_sub(bounds.out_of_order_ms);
        if at < oldest { Err(Rejection::OutOfOrder) } else { Ok(()) }
    }

    /// Takes a native histogram, in order or within the out-of-order window.
    pub(crate) fn push_native(
        &mut self,
        at: i64,
        histogram: &Histogram,
        bounds: &TimeBounds,
        codec: &mut Codec,
    ) -> Result<Pushed, Rejection> {
        bounds.check(at)?;
        let newest = self.newest();
        if newest.is_some_and(|newest| at <= newest) {
            if self.has_floats(at.saturating_sub(1), at, codec) {
                return Err(Rejection::DuplicateTimestamp);
            }
            // What is there already is known, however old.
            if !self.natives.as_ref().is_some_and(|natives| natives.has(at)) {
                self.check_order(at, bounds)?;
            }
        }
        let before = self.natives.as_ref().and_then(|natives| natives.newest());
        let follows = before.is_none_or(|before| !self.has_floats(before, at, codec));
        self.natives.get_or_insert_default().push(at, histogram, follows)
    }

    /// Whether there are floats with `start < time <= end`.
    fn has_floats(&self, start: i64, end: i64, codec: &mut Codec) -> bool {
        if self.newest_float().is_none_or(|newest| newest <= start) {
            return false;
        }
        let mut floats = Vec::new();
        self.read(start, end, codec, &mut floats);
        !floats.is_empty()
    }

    /// Appends the native histograms with `start < time <= end`, ascending.
    pub(crate) fn read_natives(&self, start: i64, end: i64, out: &mut Vec<(i64, Histogram)>) {
        if let Some(natives) = &self.natives {
            natives.read(start, end, out);
        }
    }

    fn push_out_of_order(
        &mut self,
        sample: Sample,
        bounds: &TimeBounds,
        codec: &mut Codec,
    ) -> Result<Pushed, Rejection> {
        let at = sample.timestamp.millis();
        let newest = self.newest_float().unwrap_or(i64::MIN);
        let outside = at < newest.saturating_sub(bounds.out_of_order_ms);
        if self.raw.len() >= RAW_MAX {
            self.pack(codec);
        }
        let in_raw = self.raw.oldest().is_some_and(|first| at >= first);
        if let (false, Some(packed)) = (in_raw, &mut self.packed) {
            return packed.insert(sample, outside, codec);
        }
        let mut raw: Vec<Sample> = self.raw.iter().collect();
        let Some(place) = place_of(&raw, sample, outside)? else { return Ok(Pushed::Known) };
        raw.insert(place, sample);
        self.raw.set(&raw);
        Ok(Pushed::Accepted)
    }

    /// Moves the raw samples to the tail.
    fn pack(&mut self, codec: &mut Codec) {
        let mut raw = [Sample { timestamp: Timestamp::from_millis(0), value: 0.0 }; RAW_MAX];
        raw.iter_mut().zip(self.raw.iter()).for_each(|(place, sample)| *place = sample);
        self.packed.get_or_insert_default().append(&raw[..self.raw.len()], codec);
        self.raw.clear();
    }

    /// Appends the samples with `start < time <= end`, ascending.
    pub(crate) fn read(&self, start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
        if let Some(packed) = &self.packed
            && self.raw.oldest().is_none_or(|first| start < first)
        {
            packed.runs(start, end).for_each(|run| decode(&run, start, end, codec, out));
        }
        out.extend(self.raw.within(start, end));
    }

    /// The same as columns.
    pub(crate) fn read_columns(&self, start: i64, end: i64, out: &mut Columns) {
        if let Some(packed) = &self.packed
            && self.raw.oldest().is_none_or(|first| start < first)
        {
            packed.runs(start, end).for_each(|run| out.decode(&run, start, end));
        }
        let raw = self.raw.places(start, end);
        out.extend(raw.clone().map(|at| self.raw.time(at)), raw.map(|at| self.raw.value(at)));
    }

    /// The newest sample with `start < time <= end`, if it is one of those that are not packed yet.
    pub(crate) fn newest_raw(&self, start: i64, end: i64) -> Option<Sample> {
        self.raw.within(start, end).next_back()
    }

    /// Asks for the memory of what is not packed yet, and of where the packed ones are.
    pub(crate) fn prefetch(&self) {
        self.raw.prefetch();
        if let Some(packed) = &self.packed {
            prefetch_value(&**packed);
        }
    }

    /// Asks for the memory of the packed ones.
    pub(crate) fn prefetch_packed(&self) {
        if let Some(packed) = &self.packed {
            packed.prefetch();
        }
    }

    /// Whether there are native histograms beside the numbers.
    pub(crate) fn has_natives(&self) -> bool {
        self.natives.is_some()
    }

    /// Whether there are native histograms with `start < time <= end`; `None` if only reading tells.
    pub(crate) fn has_natives_in(&self, start: i64, end: i64) -> Option<bool> {
        let ends = self.natives.as_ref().and_then(|natives| Some((natives.oldest()?, natives.newest()?)));
        let Some((oldest, newest)) = ends.filter(|(oldest, newest)| *oldest <= end && *newest > start) else {
            return Some(false);
        };
        (oldest > start || newest <= end).then_some(true)
    }

    /// Whether there may be samples with `start < time <= end`.
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        // The raw ones lie at hand; whether older ones are packed matters only where those come too late.
        let begins_before = |oldest: i64| oldest <= end;
        self.newest().is_some_and(|newest| newest > start)
            && (self.raw.oldest().is_some_and(begins_before) || self.oldest().is_some_and(begins_before))
    }

    /// Drops chunks that lie wholly before a time; says how many samples went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        if self.oldest().is_none_or(|oldest| oldest >= horizon) {
            return 0;
        }
        let before = self.count();
        if let Some(packed) = &mut self.packed {
            packed.prune(horizon);
            if packed.is_empty() {
                self.packed = None;
            }
        }
        if let Some(natives) = &mut self.natives {
            natives.prune(horizon);
            if natives.is_empty() {
                self.natives = None;
            }
        }
        if self.packed.is_none() && self.raw.newest().is_some_and(|newest| newest < horizon) {
            self.raw = Raw::default();
        }
        before - self.count()
    }

    /// Calls back with the end time and memory of each sealed chunk.
    pub(crate) fn sealed_sizes(&self, mut each: impl FnMut(i64, usize)) {
        let sealed = self.packed.iter().flat_map(|packed| &packed.sealed);
        sealed.for_each(|chunk| each(chunk.last(), chunk.memory_bytes()));
        if let Some(natives) = &self.natives {
            natives.sizes(each);
        }
    }

    /// Packs the raw samples of a series that has been quiet, and gives spare room back.
    pub(crate) fn compact(&mut self, codec: &mut Codec) {
        // A few samples take less room as they are than with the headers of a block.
        if self.raw.len() > RAW_MAX / 4 {
            self.pack(codec);
        }
        self.raw.shrink_to_fit();
        if let Some(natives) = &mut self.natives {
            natives.compact();
        }
        if let Some(packed) = &mut self.packed {
            packed.tail.shrink_to_fit();
            packed.sealed.shrink_to_fit();
        }
    }

    /// Memory beside the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        let packed = self.packed.as_ref().map_or(0, |packed| {
            size_of::<Packed>()
                + packed.sealed.iter().map(|chunk| chunk.memory_bytes()).sum::<usize>()
                + packed.sealed.capacity() * size_of::<Arc<Chunk>>()
                + packed.tail.memory_bytes()
        });
        let natives = self.natives.as_ref().map_or(0, |natives| natives.memory_bytes());
        packed + natives + self.raw.memory_bytes()
    }

    /// Appends all of it for a snapshot.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let packed = if self.packed.is_some() { HAS_PACKED } else { 0 };
        let natives = if self.natives.is_some() { HAS_NATIVES } else { 0 };
        out.push(packed | natives);
        if let Some(packed) = &self.packed {
            put_varint(out, packed.sealed.len() as u64);
            for chunk in &packed.sealed {
                put_bytes(out, chunk.bytes());
            }
            let mut tail = Vec::new();
            packed.tail.write(&mut tail);
            put_bytes(out, &tail);
        }
        put_varint(out, self.raw.len() as u64);
        for sample in self.raw.iter() {
            out.extend_from_slice(&sample.timestamp.millis().to_le_bytes());
            out.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        }
        if let Some(natives) = &self.natives {
            natives.write(out);
        }
    }

    /// Reads what `write` wrote, and checks the invariants.
    pub(crate) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Samples, Damaged> {
        let has = cursor.u8()?;
        let packed = (has & HAS_PACKED != 0).then(|| Packed::read_from(cursor, codec)).transpose()?.map(Box::new);
        let mut newest = packed.as_ref().and_then(|packed| packed.newest()).unwrap_or(i64::MIN);
        let mut samples = Samples { packed, ..Samples::default() };
        for _ in 0..cursor.length(RAW_STORED_MAX)? {
            let (at, value) = (cursor.i64()?, cursor.f64()?);
            ascending(newest, at)?;
            newest = at;
            if samples.raw.len() >= RAW_MAX {
                samples.pack(codec);
            }
            samples.raw.push(Sample { timestamp: Timestamp::from_millis(at), value });
        }
        samples.natives = (has & HAS_NATIVES != 0).then(|| Natives::read_from(cursor)).transpose()?.map(Box::new);
        Ok(samples)
    }
}

/// The bit that tells quiet NaNs from signalling ones, which no processor makes.
const QUIET: u64 = 1 << 51;
const SIGN: u64 = 1 << 63;

/// A NaN by which evaluations mean something else is made quiet, and so is the one that a minus before it turns into that.
fn plain(sample: Sample) -> Sample {
    let bits = sample.value.to_bits();
    let is_taken = [bits, bits ^ SIGN].iter().any(|bits| bits >> 32 == u64::from(HISTOGRAM_NAN_BITS));
    Sample { value: if is_taken { f64::from_bits(bits | QUIET) } else { sample.value }, ..sample }
}

fn ascending(before: i64, next: i64) -> Result<(), Damaged> {
    // The first time of all may be the smallest number there is.
    if next > before || before == i64::MIN { Ok(()) } else { Err(Damaged("the times of a series do not ascend")) }
}

/// Where a sample belongs in a run; `None` if the run has it.
fn place_of(run: &[Sample], sample: Sample, outside: bool) -> Result<Option<usize>, Rejection> {
    match run.binary_search_by_key(&sample.timestamp, |have| have.timestamp) {
        Ok(at) if run[at].value.to_bits() == sample.value.to_bits() => Ok(None),
        Ok(_) => Err(Rejection::DuplicateTimestamp),
        Err(_) if outside => Err(Rejection::OutOfOrder),
        Err(at) => Ok(Some(at)),
    }
}

/// Appends the samples of a run in memory with `start < time <= end`.
fn decode(run: &(impl Encoded + ?Sized), start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
    let whole = codec.decode_range(run, start, end, out);
    // It was made here, or decoded once when it was read from a disk.
    debug_assert!(whole.is_ok(), "a run in memory is whole");
}

#[cfg(test)]
mod tests;
