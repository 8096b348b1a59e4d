//! The samples of one series: sealed chunks, a packed tail, and a few raw ones at the end; native histograms beside them.
//!
//! A new sample goes to the raw ones (at most 16). Full, they are packed into the last block of the tail, or into the next
//! one once that has 32 samples; a tail of 480 samples is encoded anew as one sealed chunk. So an append does not allocate,
//! and a series never keeps more than 16 samples at 16 bytes.
//!
//! ```text
//! tail  = block*
//! block = length u16 | first i64 | last i64 | bytes of a chunk
//! ```
//! Invariant: times ascend strictly from the sealed chunks through the tail to the raw ones.

mod merge;
mod remove;
mod sealed;

use std::sync::Arc;

use watchfire_model::sample::is_stale;
use watchfire_model::{Histogram, Sample, Timestamp};

use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::chunk::{CHUNK_SAMPLES_MAX, Chunk, Codec};
use crate::columns::Columns;
use crate::limits::{Rejection, TimeBounds};
use crate::natives::Natives;

/// Most raw samples of a series.
const RAW_MAX: usize = 16;
/// Most samples of a block of the tail: what a read of one sample decodes.
const BLOCK_MAX: usize = 32;
/// Samples in the tail that make a sealed chunk.
const SEAL_AT: usize = 480;
const BLOCK_HEADER: usize = 18;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Accepted,
    /// The series has this very sample.
    Known,
    /// The series has left the registry, and its label set is not at hand.
    Gone,
}

/// What is compressed.
#[derive(Default)]
struct Packed {
    sealed: Vec<Arc<Chunk>>,
    tail: Vec<u8>,
    tail_count: u16,
    /// Where the last block of the tail begins.
    last_block: u32,
}

/// The samples of one series.
#[derive(Default)]
pub(crate) struct Samples {
    raw: Vec<Sample>,
    /// Not there as long as the raw ones are all.
    packed: Option<Box<Packed>>,
    /// Not there as long as there are none. No time is that of a float too.
    natives: Option<Box<Natives>>,
}

/// Says in the bytes of a snapshot that there are packed samples, and that there are histograms.
const HAS_PACKED: u8 = 1;
const HAS_NATIVES: u8 = 2;

impl Packed {
    fn newest(&self) -> Option<i64> {
        self.last_block().map(|block| block.last).or_else(|| self.sealed.last().map(|chunk| chunk.last()))
    }

    fn oldest(&self) -> Option<i64> {
        self.sealed.first().map(|chunk| chunk.first()).or_else(|| blocks(&self.tail).next().map(|block| block.first))
    }

    fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.tail.is_empty()
    }

    fn count(&self) -> u64 {
        self.sealed.iter().map(|chunk| chunk.count() as u64).sum::<u64>() + u64::from(self.tail_count)
    }

    fn last_block(&self) -> Option<Block<'_>> {
        blocks(self.tail.get(self.last_block as usize..).unwrap_or_default()).next()
    }

    fn clear_tail(&mut self) {
        self.tail.clear();
        (self.tail_count, self.last_block) = (0, 0);
    }

    /// Adds a run that lies after everything else; a long tail becomes a sealed chunk.
    fn append(&mut self, run: &[Sample], codec: &mut Codec) {
        let room = self.last_block().map_or(0, |block| BLOCK_MAX.saturating_sub(block.count().into()));
        let (more, rest) = run.split_at(room.min(run.len()));
        if !more.is_empty() {
            self.extend_last_block(more, codec);
        }
        rest.chunks(BLOCK_MAX).for_each(|block| self.put_block(block, codec));
        if usize::from(self.tail_count) >= SEAL_AT {
            let mut run = Vec::with_capacity(usize::from(self.tail_count));
            self.read_tail(codec, &mut run);
            self.sealed.extend(codec.seal(&run).map(Arc::new));
            self.clear_tail();
        }
    }

    /// Packs the last block anew with some more samples.
    fn extend_last_block(&mut self, more: &[Sample], codec: &mut Codec) {
        let mut block = codec.take_room();
        if let Some(last) = self.last_block() {
            decode(last.bytes, i64::MIN, i64::MAX, codec, &mut block);
        }
        self.tail.truncate(self.last_block as usize);
        self.tail_count -= block.len() as u16;
        block.extend_from_slice(more);
        self.put_block(&block, codec);
        codec.give_back(block);
    }

    /// Appends a block to the tail.
    fn put_block(&mut self, block: &[Sample], codec: &mut Codec) {
        let (Some(first), Some(last)) = (block.first(), block.last()) else { return };
        let bytes = codec.encode(block);
        // A tail is some kilobytes.
        self.last_block = self.tail.len() as u32;
        let (needed, free) = (BLOCK_HEADER + bytes.len(), self.tail.capacity() - self.tail.len());
        if needed > free {
            // Twice as much, as is usual, would be a third of all memory for nothing.
            self.tail.reserve_exact(needed.max(self.tail.capacity() / 4));
        }
        // 32 samples of 16 bytes and the headers are far below 64 KiB.
        self.tail.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        self.tail.extend_from_slice(&first.timestamp.millis().to_le_bytes());
        self.tail.extend_from_slice(&last.timestamp.millis().to_le_bytes());
        self.tail.extend_from_slice(bytes);
        self.tail_count += block.len() as u16;
    }

    /// Puts a sample between others.
    fn insert(&mut self, sample: Sample, outside: bool, codec: &mut Codec) -> Result<Pushed, Rejection> {
        let at = sample.timestamp.millis();
        let first_of_tail = blocks(&self.tail).next().map(|block| block.first);
        let mut run = Vec::with_capacity(SEAL_AT + 1);
        if first_of_tail.is_some_and(|first| at >= first || self.sealed.is_empty()) {
            self.read_tail(codec, &mut run);
            let Some(place) = place_of(&run, sample, outside)? else { return Ok(Pushed::Known) };
            run.insert(place, sample);
            self.clear_tail();
            self.append(&run, codec);
            return Ok(Pushed::Accepted);
        }
        // The last chunk that begins at or before the sample, else the first one.
        let chunk_at = self.sealed.partition_point(|chunk| chunk.first() <= at).saturating_sub(1);
        let Some(chunk) = self.sealed.get(chunk_at) else { return Err(Rejection::OutOfOrder) };
        if codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, &mut run).is_err() {
            return Err(Rejection::OutOfOrder);
        }
        let Some(place) = place_of(&run, sample, outside)? else { return Ok(Pushed::Known) };
        run.insert(place, sample);
        let part = if run.len() > 2 * SEAL_AT { run.len().div_ceil(2) } else { run.len() };
        let chunks: Vec<Arc<Chunk>> = run.chunks(part).filter_map(|part| codec.seal(part)).map(Arc::new).collect();
        self.sealed.splice(chunk_at..=chunk_at, chunks);
        Ok(Pushed::Accepted)
    }

    /// The encoded runs in which there may be samples with `start < time <= end`, ascending.
    fn runs(&self, start: i64, end: i64) -> impl Iterator<Item = &[u8]> {
        let from = self.sealed.partition_point(|chunk| chunk.last() <= start);
        let sealed = self.sealed[from..].iter().take_while(move |chunk| chunk.first() <= end);
        sealed.map(|chunk| chunk.bytes()).chain(self.runs_of_tail(start, end))
    }

    fn runs_of_tail(&self, start: i64, end: i64) -> impl Iterator<Item = &[u8]> {
        blocks(&self.tail).filter(move |block| block.last > start && block.first <= end).map(|block| block.bytes)
    }

    /// All samples of the tail.
    fn read_tail(&self, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.runs_of_tail(i64::MIN, i64::MAX).for_each(|run| decode(run, i64::MIN, i64::MAX, codec, out));
    }

    /// Drops sealed chunks, and when there are none any more blocks of the tail, that lie wholly before a time.
    fn prune(&mut self, horizon: i64) {
        let old = self.sealed.partition_point(|chunk| chunk.last() < horizon);
        self.sealed.drain(..old);
        if self.sealed.is_empty() {
            self.sealed.shrink_to_fit();
            let (bytes, count) =
                blocks(&self.tail).take_while(|block| block.last < horizon).fold((0, 0), |(bytes, count), block| {
                    (bytes + BLOCK_HEADER + block.bytes.len(), count + block.count())
                });
            self.tail.drain(..bytes);
            self.tail_count = self.tail_count.saturating_sub(count);
            self.last_block = self.last_block.saturating_sub(bytes as u32);
        }
    }

    fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Packed, Damaged> {
        let mut packed = Packed::default();
        let mut newest = i64::MIN;
        for _ in 0..cursor.length(1 << 24)? {
            let chunk = Chunk::read(cursor.bytes()?, codec)?;
            ascending(newest, chunk.first())?;
            newest = chunk.last();
            packed.sealed.push(Arc::new(chunk));
        }
        let tail = cursor.bytes()?;
        let (mut count, mut covered) = (0, 0);
        for block in blocks(tail) {
            let chunk = Chunk::read(block.bytes, codec)?;
            if (chunk.first(), chunk.last()) != (block.first, block.last) {
                return Err(Damaged("a block of the tail lies about its times"));
            }
            ascending(newest, chunk.first())?;
            newest = chunk.last();
            count += chunk.count();
            packed.last_block = covered as u32;
            covered += BLOCK_HEADER + block.bytes.len();
        }
        if covered != tail.len() || count > CHUNK_SAMPLES_MAX {
            return Err(Damaged("a tail does not consist of blocks"));
        }
        packed.tail = tail.to_vec();
        packed.tail_count = count as u16;
        Ok(packed)
    }
}

impl Samples {
    fn newest_float(&self) -> Option<i64> {
        self.raw.last().map(|sample| sample.timestamp.millis()).or_else(|| self.packed.as_ref()?.newest())
    }

    /// Time of the newest sample or histogram.
    pub(crate) fn newest(&self) -> Option<i64> {
        let native = self.natives.as_ref().and_then(|natives| natives.newest());
        self.newest_float().max(native)
    }

    /// Time of the oldest sample or histogram.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let packed = self.packed.as_ref().and_then(|packed| packed.oldest());
        let float = packed.or_else(|| self.raw.first().map(|sample| sample.timestamp.millis()));
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

    /// Takes a sample, in order or within the out-of-order window. Of what is no number only the staleness marker keeps
    /// its bits.
    pub(crate) fn push(&mut self, sample: Sample, bounds: &TimeBounds, codec: &mut Codec) -> Result<Pushed, Rejection> {
        let at = sample.timestamp.millis();
        bounds.check(at)?;
        let sample = with_one_nan(sample);
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
        if let Some(last) = self.raw.last() {
            if at <= last.timestamp.millis() {
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
        let newest = self.newest();
        let ascends = run.is_sorted_by(|one, next| one.timestamp < next.timestamp);
        if self.natives.is_some()
            || !ascends
            || run.first().is_some_and(|first| newest >= Some(first.timestamp.millis()))
        {
            return false;
        }
        let run = run.iter().copied().map(with_one_nan);
        if self.raw.len() + run.len() <= RAW_MAX {
            self.raw.extend(run);
            return true;
        }
        let mut all = codec.take_room();
        all.extend(self.raw.drain(..).chain(run));
        // What is left over after whole rounds of raw ones, as if they had come one by one.
        let (packed, raw) = all.split_at((all.len() - 1) / RAW_MAX * RAW_MAX);
        self.raw.extend(raw.iter().copied());
        let tail = self.packed.get_or_insert_default();
        packed.chunks(SEAL_AT).for_each(|part| tail.append(part, codec));
        codec.give_back(all);
        true
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
        let in_raw = self.raw.first().is_some_and(|first| at >= first.timestamp.millis());
        if let (false, Some(packed)) = (in_raw, &mut self.packed) {
            return packed.insert(sample, outside, codec);
        }
        let Some(place) = place_of(&self.raw, sample, outside)? else { return Ok(Pushed::Known) };
        self.raw.insert(place, sample);
        Ok(Pushed::Accepted)
    }

    /// Moves the raw samples to the tail.
    fn pack(&mut self, codec: &mut Codec) {
        self.packed.get_or_insert_default().append(&self.raw, codec);
        self.raw.clear();
    }

    /// Appends the samples with `start < time <= end`, ascending.
    pub(crate) fn read(&self, start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
        if let Some(packed) = &self.packed
            && self.raw.first().is_none_or(|first| start < first.timestamp.millis())
        {
            packed.runs(start, end).for_each(|run| decode(run, start, end, codec, out));
        }
        out.extend_from_slice(self.raw_within(start, end));
    }

    /// Those with `start < time <= end` that are not packed yet.
    fn raw_within(&self, start: i64, end: i64) -> &[Sample] {
        let from = self.raw.partition_point(|sample| sample.timestamp.millis() <= start);
        let to = self.raw.partition_point(|sample| sample.timestamp.millis() <= end);
        self.raw.get(from..to).unwrap_or_default()
    }

    /// The same as columns.
    pub(crate) fn read_columns(&self, start: i64, end: i64, out: &mut Columns) {
        if let Some(packed) = &self.packed
            && self.raw.first().is_none_or(|first| start < first.timestamp.millis())
        {
            packed.runs(start, end).for_each(|run| out.decode(run, start, end));
        }
        out.extend(self.raw_within(start, end));
    }

    /// The newest sample with `start < time <= end`, if it is one of those that are not packed yet.
    pub(crate) fn newest_raw(&self, start: i64, end: i64) -> Option<Sample> {
        self.raw_within(start, end).last().copied()
    }

    /// Whether there are native histograms beside the numbers.
    pub(crate) fn has_natives(&self) -> bool {
        self.natives.is_some()
    }

    /// Whether there may be samples with `start < time <= end`.
    pub(crate) fn overlaps(&self, start: i64, end: i64) -> bool {
        self.newest().is_some_and(|newest| newest > start) && self.oldest().is_some_and(|oldest| oldest <= end)
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
        if self.packed.is_none() && self.raw.last().is_some_and(|last| last.timestamp.millis() < horizon) {
            self.raw = Vec::new();
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
                + packed.tail.capacity()
        });
        let natives = self.natives.as_ref().map_or(0, |natives| natives.memory_bytes());
        packed + natives + self.raw.capacity() * size_of::<Sample>()
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
            put_bytes(out, &packed.tail);
        }
        put_varint(out, self.raw.len() as u64);
        for sample in &self.raw {
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
        // There were as many raw ones as in a block, before.
        for _ in 0..cursor.length(BLOCK_MAX)? {
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

/// Of what is no number only the staleness marker keeps its bits.
fn with_one_nan(sample: Sample) -> Sample {
    let is_other = sample.value.is_nan() && !is_stale(sample.value);
    Sample { value: if is_other { f64::NAN } else { sample.value }, ..sample }
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

struct Block<'a> {
    first: i64,
    last: i64,
    bytes: &'a [u8],
}

impl Block<'_> {
    /// Number of samples: the second field of a chunk's bytes.
    fn count(&self) -> u16 {
        let mut cursor = Cursor::new(self.bytes.get(1..).unwrap_or_default());
        cursor.varint().map_or(0, |count| count.min(u64::from(u16::MAX)) as u16)
    }
}

/// Appends the samples of a run in memory with `start < time <= end`.
fn decode(run: &[u8], start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
    let whole = codec.decode_range(run, start, end, out);
    // It was made here, or decoded once when it was read from a disk.
    debug_assert!(whole.is_ok(), "a run in memory is whole");
}

fn blocks(tail: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut cursor = Cursor::new(tail);
    std::iter::from_fn(move || {
        let length = cursor.u16().ok()?;
        let (first, last) = (cursor.i64().ok()?, cursor.i64().ok()?);
        Some(Block { first, last, bytes: cursor.take(usize::from(length)).ok()? })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use watchfire_model::histogram::HistogramParts;

    use super::*;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { timestamp: Timestamp::from_millis(at), value }
    }

    fn check(samples: &Samples, model: &BTreeMap<i64, u64>, codec: &mut Codec, range: (i64, i64)) {
        let mut got = Vec::new();
        samples.read(range.0, range.1, codec, &mut got);
        let wanted: Vec<(i64, u64)> =
            model.iter().filter(|(at, _)| **at > range.0 && **at <= range.1).map(|(at, bits)| (*at, *bits)).collect();
        let got: Vec<(i64, u64)> = got.iter().map(|s| (s.timestamp.millis(), s.value.to_bits())).collect();
        assert_eq!(got, wanted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn behave_like_a_sorted_map(
            steps in prop::collection::vec((prop_oneof![9 => 1i64..30, 1 => -400i64..400], 0i64..3), 1..1500),
            window in prop_oneof![Just(0i64), Just(300), Just(i64::MAX)],
            range in (-500i64..40_000, -500i64..40_000),
            horizon in 0i64..40_000,
        ) {
            let mut codec = Codec::default();
            let (mut samples, mut model) = (Samples::default(), BTreeMap::<i64, u64>::new());
            let bounds = TimeBounds { out_of_order_ms: window, ..TimeBounds::ALL };
            let mut time = 10_000;
            for (step, value) in steps {
                time += step;
                let newest = model.last_key_value().map(|(at, _)| *at);
                let sample = sample(time, value as f64);
                let wanted = match (model.get(&time), newest) {
                    (Some(bits), _) if *bits == sample.value.to_bits() => Ok(Pushed::Known),
                    (Some(_), _) => Err(Rejection::DuplicateTimestamp),
                    (None, Some(newest)) if time < newest.saturating_sub(window) => Err(Rejection::OutOfOrder),
                    (None, _) => Ok(Pushed::Accepted),
                };
                // A sample between chunks may meet a neighbour's run that does not hold its twin, never the reverse.
                prop_assert_eq!(samples.push(sample, &bounds, &mut codec), wanted);
                if wanted == Ok(Pushed::Accepted) { model.insert(time, sample.value.to_bits()); }
            }
            prop_assert_eq!(samples.count(), model.len() as u64);
            prop_assert_eq!(samples.newest(), model.last_key_value().map(|(at, _)| *at));
            prop_assert_eq!(samples.oldest(), model.first_key_value().map(|(at, _)| *at));
            check(&samples, &model, &mut codec, (i64::MIN, i64::MAX));
            check(&samples, &model, &mut codec, range);

            let mut bytes = Vec::new();
            samples.write(&mut bytes);
            let mut again = Samples::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
            check(&again, &model, &mut codec, range);
            again.compact(&mut codec);
            check(&again, &model, &mut codec, range);

            let gone = samples.prune(horizon);
            let mut left = Vec::new();
            samples.read(i64::MIN, i64::MAX, &mut codec, &mut left);
            prop_assert_eq!(left.len() as u64 + gone, model.len() as u64);
            check(&samples, &model, &mut codec, (horizon.max(range.0), i64::MAX));
        }

        #[test]
        fn runs_come_in_as_their_samples_do(
            runs in prop::collection::vec(prop::collection::vec((1i64..30, 0i64..3), 1..700), 1..6),
        ) {
            let mut codec = Codec::default();
            let (mut at_once, mut one_by_one, mut model) = (Samples::default(), Samples::default(), BTreeMap::new());
            let mut time = 0;
            for steps in runs {
                let next = |(step, value): (i64, i64)| {
                    time += step;
                    sample(time, if value == 2 { f64::from_bits(0xfff0_4849_0000_0001) } else { value as f64 })
                };
                let run: Vec<Sample> = steps.into_iter().map(next).collect();
                prop_assert!(at_once.extend(&run, &mut codec));
                prop_assert!(!at_once.extend(&run, &mut codec), "it is there already");
                for sample in run {
                    prop_assert_eq!(one_by_one.push(sample, &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
                    model.insert(sample.timestamp.millis(), with_one_nan(sample).value.to_bits());
                }
            }
            check(&at_once, &model, &mut codec, (i64::MIN, i64::MAX));
            prop_assert_eq!(at_once.count(), one_by_one.count());
            prop_assert_eq!(at_once.newest(), one_by_one.newest());
            let mut bytes = Vec::new();
            at_once.write(&mut bytes);
            prop_assert!(Samples::read_from(&mut Cursor::new(&bytes), &mut codec).is_ok());
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Samples::read_from(&mut Cursor::new(&bytes), &mut Codec::default());
        }
    }

    #[test]
    fn floats_and_histograms_share_their_times() {
        let mut codec = Codec::default();
        let mut samples = Samples::default();
        let bounds = TimeBounds { out_of_order_ms: 100, ..TimeBounds::ALL };
        let histogram = |count: f64| {
            let parts = HistogramParts { count, positive: vec![(1, count)], ..HistogramParts::default() };
            Histogram::new(parts).expect("valid")
        };
        let mut float = |samples: &mut Samples, at: i64| samples.push(sample(at, 1.0), &bounds, &mut codec);
        assert_eq!(float(&mut samples, 1000), Ok(Pushed::Accepted));
        let mut codec = Codec::default();
        let mut native = |samples: &mut Samples, at: i64, count: f64| {
            samples.push_native(at, &histogram(count), &bounds, &mut codec)
        };
        assert_eq!(native(&mut samples, 1000, 1.0), Err(Rejection::DuplicateTimestamp));
        assert_eq!(native(&mut samples, 1200, 1.0), Ok(Pushed::Accepted));
        assert_eq!(native(&mut samples, 1200, 1.0), Ok(Pushed::Known));
        assert_eq!(native(&mut samples, 1200, 2.0), Err(Rejection::DuplicateTimestamp));
        assert_eq!(native(&mut samples, 1050, 1.0), Err(Rejection::OutOfOrder));
        assert_eq!(native(&mut samples, 1150, 1.0), Ok(Pushed::Accepted));
        assert_eq!(float(&mut samples, 1200), Err(Rejection::DuplicateTimestamp));
        assert_eq!(float(&mut samples, 1050), Err(Rejection::OutOfOrder));
        assert_eq!(float(&mut samples, 1000), Ok(Pushed::Known), "what is there is known, however old");
        assert_eq!(float(&mut samples, 1300), Ok(Pushed::Accepted));
        assert_eq!((samples.count(), samples.oldest(), samples.newest()), (4, Some(1000), Some(1300)));
        let mut bytes = Vec::new();
        samples.write(&mut bytes);
        let mut codec = Codec::default();
        let mut again = Samples::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
        let mut natives = Vec::new();
        again.read_natives(i64::MIN, i64::MAX, &mut natives);
        assert_eq!(natives.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1150, 1200]);
        assert_eq!(again.prune(1250), 2, "raw samples go together");
        assert_eq!((again.count(), again.oldest()), (2, Some(1000)));
    }

    #[test]
    fn what_is_no_number_is_one() {
        let (mut samples, mut codec) = (Samples::default(), Codec::default());
        let odd = f64::from_bits(0xfff0_4849_0000_0001);
        assert_eq!(samples.push(sample(1, odd), &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
        assert_eq!(samples.push(sample(1, f64::NAN), &TimeBounds::ALL, &mut codec), Ok(Pushed::Known));
    }

    #[test]
    fn all_blocks_but_the_last_are_full() {
        let (mut samples, mut codec) = (Samples::default(), Codec::default());
        for i in 0..10_000 {
            assert_eq!(samples.push(sample(i * 10_000, i as f64), &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
            let packed = samples.packed.iter().flat_map(|packed| blocks(&packed.tail));
            let counts: Vec<u16> = packed.map(|block| block.count()).collect();
            let full = counts.split_last().map_or(&[][..], |(_, full)| full);
            assert!(full.iter().all(|count| usize::from(*count) == BLOCK_MAX), "{counts:?}");
        }
        assert!(samples.memory_bytes() < 12_000, "{} bytes", samples.memory_bytes());
    }
}
