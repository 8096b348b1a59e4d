//! The packed samples of a series that are not sealed yet: blocks one after another.
//!
//! ```text
//! tail  = time before it i64 | block*
//! block = length u16 | gap varint | step varint | [span varint, if uneven] | head of a chunk | [column of times, if uneven] | values
//! ```
//! `gap` lies between the last sample before the block, or the time before the tail, and its first one. `step` is the distance of the times; 0 if
//! they are not evenly apart, and `span` is then how far the last one lies behind the first. Times are most often even, and a
//! column of them would take as much as a third of the values.
//!
//! A snapshot has blocks with chunks in them, which say all by themselves:
//!
//! ```text
//! tail on disk  = block*
//! block on disk = length u16 | first i64 | last i64 | bytes of a chunk
//! ```

use watchfire_model::Sample;

use super::{BLOCK_MAX, ascending, decode};
use crate::bytes::{Cursor, Damaged, put_varint};
use crate::chunk::{CHUNK_SAMPLES_MAX, Codec, Encoded, Head, ints};
use crate::prefetch::prefetch;

/// Samples of a block that small ones became. To begin a block takes who reads it as long as twenty samples, and a dozen bytes;
/// but the last ones stay small, as the last one is packed anew while it grows and is often all that is read of a series.
pub(super) const MERGED: usize = 4 * BLOCK_MAX;

/// Where the first block begins.
const FIRST_BLOCK: usize = size_of::<i64>();

/// The smallest room, bytes: even a series whose value never changes needs nearly as much before it is sealed.
const ROOM_MIN: usize = 256;
/// The largest room that is always twice as large as the one before, bytes.
const ROOM_DOUBLED: usize = 512;

/// See the module.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Time of the last sample, if there is one.
    newest: i64,
    /// Where the last block begins.
    last_block: u32,
    count: u16,
}

/// A block.
#[derive(Clone, Copy)]
pub(super) struct Block<'t> {
    /// What the gap counts from: time of the sample before it, if there is one.
    after: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Bytes that it takes.
    length: usize,
    /// Distance of its times if they are evenly apart, else 0.
    step: u64,
    pub(super) head: Head,
    /// Its columns.
    columns: &'t [u8],
}

impl<'t> Block<'t> {
    /// Reads a block that stands behind a time. All that is added wraps around: times may be as far apart as numbers go.
    ///
    /// Inlined, as a block that is handed over in memory costs as much as to read it.
    #[inline(always)]
    fn read(cursor: &mut Cursor<'t>, after: i64) -> Result<Block<'t>, Damaged> {
        let length = cursor.u16()?;
        let mut cursor = Cursor::new(cursor.take(usize::from(length))?);
        let first = after.wrapping_add_unsigned(cursor.varint()?);
        let step = cursor.varint()?;
        let span = if step == 0 { cursor.varint()? } else { 0 };
        let head = Head::read(&mut cursor)?;
        let even_span = step.wrapping_mul((head.count as u64).wrapping_sub(1));
        let last = first.wrapping_add_unsigned(if step == 0 { span } else { even_span });
        let length = 2 + usize::from(length);
        Ok(Block { after, first, last, length, step, head, columns: cursor.rest() })
    }

    /// Appends it as it stands on disk.
    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        let chunk = out.len();
        self.head.put(out);
        if self.step > 0 {
            ints::write_steps(self.first, self.step.cast_signed(), self.head.count - 1, out);
        }
        out.extend_from_slice(self.columns);
        // What a block takes is far below 64 KiB: it was read from such a one, or has few samples.
        let length = (out.len() - chunk) as u16;
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
    }
}

impl Encoded for Block<'_> {
    fn decode_onto(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), Damaged> {
        let mut cursor = Cursor::new(self.columns);
        if self.step > 0 {
            let time = |at: usize| self.first.wrapping_add_unsigned(self.step.wrapping_mul(at as u64));
            times.extend((0..self.head.count).map(time));
        } else {
            ints::decode_onto(&mut cursor, self.head.count, times, |time| time)?;
        }
        self.head.decode_values(&mut cursor, values)
    }
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Asks for its memory.
    pub(super) fn prefetch(&self) {
        prefetch(&self.bytes);
    }

    /// How many samples.
    pub(super) fn count(&self) -> usize {
        usize::from(self.count)
    }

    pub(super) fn newest(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.newest)
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.blocks().next().map(|block| block.first)
    }

    /// Drops all samples and keeps the room.
    pub(super) fn clear(&mut self) {
        *self = Tail { bytes: std::mem::take(&mut self.bytes), ..Tail::default() };
        self.bytes.clear();
    }

    /// Gives spare room back.
    pub(super) fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Memory beside the value itself.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The time before its first block; anything if there is none.
    fn begins_after(&self) -> i64 {
        self.bytes.first_chunk().map_or(0, |after| i64::from_le_bytes(*after))
    }

    /// The blocks, ascending.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.blocks_from(FIRST_BLOCK, self.begins_after())
    }

    /// Those from a place on that stands behind a time.
    fn blocks_from(&self, at: usize, mut after: i64) -> impl Iterator<Item = Block<'_>> {
        let mut cursor = Cursor::new(self.bytes.get(at..).unwrap_or_default());
        std::iter::from_fn(move || {
            let block = Block::read(&mut cursor, after).ok()?;
            after = block.last;
            Some(block)
        })
    }

    /// The blocks behind a time, ascending, and maybe some before it: only the last one can be found without going through all
    /// before it. It is looked at first where the time lies in the newer half.
    pub(super) fn blocks_behind(&self, time: i64) -> impl Iterator<Item = Block<'_>> {
        let is_recent = i64::midpoint(self.begins_after(), self.newest) <= time;
        let last = if is_recent { self.last_block().filter(|last| last.after <= time) } else { None };
        let all = last.is_none().then(|| self.blocks());
        last.into_iter().chain(all.into_iter().flatten())
    }

    fn last_block(&self) -> Option<Block<'_>> {
        let mut cursor = Cursor::new(self.bytes.get(self.last_block as usize..).unwrap_or_default());
        let block = Block::read(&mut cursor, 0).ok().filter(|_| !self.is_empty())?;
        // Where it stands is known by its end.
        let moved = self.newest.wrapping_sub(block.last);
        let at = |time: i64| time.wrapping_add(moved);
        Some(Block { after: at(block.after), first: at(block.first), last: self.newest, ..block })
    }

    /// How many samples are in a block that has room for more.
    pub(super) fn open_count(&self) -> usize {
        self.last_block().map(|block| block.head.count).filter(|count| *count < BLOCK_MAX).unwrap_or(0)
    }

    /// Adds a run that lies after everything else.
    pub(super) fn append(&mut self, run: &[Sample], codec: &mut Codec) {
        let room = self.last_block().map_or(0, |block| BLOCK_MAX.saturating_sub(block.head.count));
        let (more, rest) = run.split_at(room.min(run.len()));
        if !more.is_empty() {
            self.extend_last_block(more, codec);
        }
        // Of a long run nothing is put in small blocks first that would be merged at once.
        let long = rest.len().saturating_sub(1) / MERGED * MERGED;
        let (long, rest) = rest.split_at(if self.is_aligned() { long } else { 0 });
        long.chunks(MERGED).for_each(|block| self.put_block(block, codec));
        for block in rest.chunks(BLOCK_MAX) {
            let are_complete = !self.is_empty() && self.is_aligned();
            self.put_block(block, codec);
            if are_complete {
                self.merge_before_last(codec);
            }
        }
    }

    /// Whether all blocks may be merged ones.
    fn is_aligned(&self) -> bool {
        self.count().is_multiple_of(MERGED)
    }

    /// Makes one block of the small ones right before the last one.
    fn merge_before_last(&mut self, codec: &mut Codec) {
        let Some((last_first, last_count)) = self.last_block().map(|last| (last.first, last.head.count)) else {
            return;
        };
        let (mut at, mut from, mut after) = (FIRST_BLOCK, FIRST_BLOCK, self.begins_after());
        for block in self.blocks() {
            at += block.length;
            if block.head.count > BLOCK_MAX {
                (from, after) = (at, block.last);
            }
        }
        let mut samples = codec.take_room();
        let small = self.blocks_from(from, after).take_while(|block| block.first < last_first);
        small.for_each(|block| decode(&block, i64::MIN, i64::MAX, codec, &mut samples));
        if samples.len() > BLOCK_MAX {
            let last = self.bytes.split_off(self.last_block as usize);
            let (newest, count) = (self.newest, self.count);
            self.count -= (samples.len() + last_count) as u16;
            self.newest = after;
            self.bytes.truncate(if self.is_empty() { 0 } else { from });
            self.put_block(&samples, codec);
            self.make_room(last.len());
            self.last_block = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&last);
            (self.newest, self.count) = (newest, count);
        }
        codec.give_back(samples);
    }

    /// Packs the last block anew with some more samples.
    fn extend_last_block(&mut self, more: &[Sample], codec: &mut Codec) {
        let mut block = codec.take_room();
        if let Some(last) = self.last_block() {
            decode(&last, i64::MIN, i64::MAX, codec, &mut block);
            self.newest = last.after;
        }
        self.count -= block.len() as u16;
        self.bytes.truncate(if self.count == 0 { 0 } else { self.last_block as usize });
        block.extend_from_slice(more);
        self.put_block(&block, codec);
        codec.give_back(block);
    }

    fn put_block(&mut self, block: &[Sample], codec: &mut Codec) {
        let (Some(first), Some(last)) = (block.first(), block.last()) else { return };
        let (first, last) = (first.timestamp.millis(), last.timestamp.millis());
        let step = step_of(block.iter().map(|sample| sample.timestamp.millis()));
        let after = self.newest().unwrap_or(first);
        let bytes = codec.encode_behind(|out| put_times(after, first, last, step, out), block, step == 0);
        self.put(first, last, block.len(), bytes);
    }

    /// Appends the bytes of a block.
    fn put(&mut self, first: i64, last: i64, count: usize, block: &[u8]) {
        let is_first = self.is_empty();
        self.make_room(if is_first { FIRST_BLOCK } else { 0 } + 2 + block.len());
        if is_first {
            self.bytes.extend_from_slice(&first.to_le_bytes());
        }
        // A tail is some kilobytes, and a block far below 64 KiB.
        self.last_block = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&(block.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(block);
        self.newest = last;
        self.count += count as u16;
    }

    fn make_room(&mut self, bytes: usize) {
        let needed = self.bytes.len() + bytes;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(room_for(needed) - self.bytes.len());
        }
    }

    /// Drops the blocks at the beginning that lie wholly before a time.
    pub(super) fn prune(&mut self, horizon: i64) {
        if self.newest().is_some_and(|newest| newest < horizon) {
            *self = Tail::default();
            return;
        }
        let old = self.blocks().take_while(|block| block.last < horizon);
        let (bytes, count) = old.fold((0, 0), |(bytes, count), block| (bytes + block.length, count + block.head.count));
        let Some(next) = self.blocks().find(|block| block.last >= horizon).filter(|_| count > 0) else { return };
        let after = next.after.to_le_bytes();
        self.bytes.drain(FIRST_BLOCK..FIRST_BLOCK + bytes);
        self.bytes[..FIRST_BLOCK].copy_from_slice(&after);
        self.count = self.count.saturating_sub(count as u16);
        self.last_block = self.last_block.saturating_sub(bytes as u32);
    }

    /// Appends it as it stands on disk.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.blocks().for_each(|block| block.write(out));
    }

    /// Reads what `write` wrote and stands behind a time, and checks the invariants.
    pub(super) fn read_from(bytes: &[u8], mut newest: i64, codec: &mut Codec) -> Result<Tail, Damaged> {
        let (mut tail, mut cursor, mut block) = (Tail::default(), Cursor::new(bytes), Vec::new());
        while !cursor.is_empty() {
            let length = cursor.u16()?;
            let (first, last) = (cursor.i64()?, cursor.i64()?);
            let chunk = codec.check(cursor.take(usize::from(length))?)?;
            if (chunk.first, chunk.last) != (first, last) {
                return Err(Damaged("a block of the tail lies about its times"));
            }
            ascending(newest, first)?;
            newest = last;
            if tail.count() + chunk.head.count > CHUNK_SAMPLES_MAX {
                return Err(Damaged("a tail is too long"));
            }
            let step = step_of(chunk.times.iter().copied());
            block.clear();
            put_times(tail.newest().unwrap_or(first), first, last, step, &mut block);
            chunk.head.put(&mut block);
            block.extend_from_slice(if step > 0 { chunk.values } else { chunk.columns });
            if block.len() > usize::from(u16::MAX) {
                return Err(Damaged("a block of the tail is too long"));
            }
            tail.put(first, last, chunk.head.count, &block);
        }
        Ok(tail)
    }
}

/// Bytes that a tail takes which needs that many. Few sizes, and such as an allocator finds in single pages: as all series
/// pass through them, the few that stay at a size would hold all the room that the others had there.
fn room_for(bytes: usize) -> usize {
    let double = bytes.next_power_of_two().max(ROOM_MIN);
    let between = double / 4 * 3;
    if bytes <= between && between > ROOM_DOUBLED { between } else { double }
}

/// The distance of the times, if it is the same everywhere, else 0.
fn step_of(times: impl Iterator<Item = i64> + Clone) -> u64 {
    let mut steps = times.clone().zip(times.skip(1)).map(|(time, next)| next.wrapping_sub(time).cast_unsigned());
    let Some(step) = steps.next() else { return 1 };
    if steps.all(|other| other == step) { step } else { 0 }
}

fn put_times(after: i64, first: i64, last: i64, step: u64, out: &mut Vec<u8>) {
    put_varint(out, first.wrapping_sub(after).cast_unsigned());
    put_varint(out, step);
    if step == 0 {
        put_varint(out, last.wrapping_sub(first).cast_unsigned());
    }
}
