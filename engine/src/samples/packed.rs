//! What is compressed of a series: sealed chunks, and blocks of a tail behind them.
//!
//! ```text
//! tail  = block*
//! block = length u16 | first i64 | last i64 | bytes of a chunk
//! ```

use std::sync::Arc;

use watchfire_model::Sample;

use super::{BLOCK_MAX, Pushed, SEAL_AT, ascending, decode, place_of};
use crate::bytes::{Cursor, Damaged};
use crate::chunk::{CHUNK_SAMPLES_MAX, Chunk, Codec};
use crate::limits::Rejection;

const BLOCK_HEADER: usize = 18;

/// What is compressed.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) sealed: Vec<Arc<Chunk>>,
    pub(super) tail: Vec<u8>,
    pub(super) tail_count: u16,
    /// Where the last block of the tail begins.
    last_block: u32,
}

impl Packed {
    pub(super) fn newest(&self) -> Option<i64> {
        self.last_block().map(|block| block.last).or_else(|| self.sealed.last().map(|chunk| chunk.last()))
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.sealed.first().map(|chunk| chunk.first()).or_else(|| blocks(&self.tail).next().map(|block| block.first))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.tail.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.sealed.iter().map(|chunk| chunk.count() as u64).sum::<u64>() + u64::from(self.tail_count)
    }

    fn last_block(&self) -> Option<Block<'_>> {
        blocks(self.tail.get(self.last_block as usize..).unwrap_or_default()).next()
    }

    /// How many samples are in a block that has room for more.
    pub(super) fn open_count(&self) -> usize {
        self.last_block().map_or(0, |block| usize::from(block.count()) % BLOCK_MAX)
    }

    pub(super) fn clear_tail(&mut self) {
        self.tail.clear();
        (self.tail_count, self.last_block) = (0, 0);
    }

    /// Adds a run that lies after everything else; a long tail becomes a sealed chunk.
    pub(super) fn append(&mut self, run: &[Sample], codec: &mut Codec) {
        if self.tail.is_empty() && run.len() >= SEAL_AT {
            self.sealed.extend(codec.seal(run).map(Arc::new));
            return;
        }
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
    pub(super) fn insert(&mut self, sample: Sample, outside: bool, codec: &mut Codec) -> Result<Pushed, Rejection> {
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
    pub(super) fn runs(&self, start: i64, end: i64) -> impl Iterator<Item = &[u8]> {
        let from = self.sealed.partition_point(|chunk| chunk.last() <= start);
        let sealed = self.sealed[from..].iter().take_while(move |chunk| chunk.first() <= end);
        sealed.map(|chunk| chunk.bytes()).chain(self.runs_of_tail(start, end))
    }

    fn runs_of_tail(&self, start: i64, end: i64) -> impl Iterator<Item = &[u8]> {
        blocks(&self.tail).filter(move |block| block.last > start && block.first <= end).map(|block| block.bytes)
    }

    /// All samples of the tail.
    pub(super) fn read_tail(&self, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.runs_of_tail(i64::MIN, i64::MAX).for_each(|run| decode(run, i64::MIN, i64::MAX, codec, out));
    }

    /// Drops sealed chunks, and when there are none any more blocks of the tail, that lie wholly before a time.
    pub(super) fn prune(&mut self, horizon: i64) {
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

    pub(super) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Packed, Damaged> {
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

/// A block of the tail.
pub(super) struct Block<'a> {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) bytes: &'a [u8],
}

impl Block<'_> {
    /// Number of samples: the second field of a chunk's bytes.
    pub(super) fn count(&self) -> u16 {
        let mut cursor = Cursor::new(self.bytes.get(1..).unwrap_or_default());
        cursor.varint().map_or(0, |count| count.min(u64::from(u16::MAX)) as u16)
    }
}

/// The blocks of a tail, ascending.
pub(super) fn blocks(tail: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut cursor = Cursor::new(tail);
    std::iter::from_fn(move || {
        let length = cursor.u16().ok()?;
        let (first, last) = (cursor.i64().ok()?, cursor.i64().ok()?);
        Some(Block { first, last, bytes: cursor.take(usize::from(length)).ok()? })
    })
}
