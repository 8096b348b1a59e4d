//! The samples of one series that lie in blocks.

use std::sync::Arc;

use watchfire_model::Sample;

use super::file::{BlockFile, Blocks, checked};
use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};
use crate::chunk::{Chunk, Codec};
use crate::series::TimeRange;

/// Most chunks of an extent; what is read from a disk may not claim more.
const CHUNKS_MAX: usize = 1 << 20;

/// Where an extent lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) at: u32,
    pub(super) bytes: u32,
}

/// A run of chunks of one series in one block.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(super) file: Arc<BlockFile>,
    pub(super) place: Place,
    pub(super) samples: u32,
    /// Times of the first and the last sample, milliseconds.
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Extent {
    /// Appends the samples with `start < time <= end`. What cannot be read is told, and is not there.
    pub(crate) fn read(&self, start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.each_chunk(|head, bytes| {
            if head.last <= start || head.first > end {
                return Ok(());
            }
            codec.decode_range(bytes, start, end, out)
        });
    }

    /// Its chunks, to be in memory again.
    pub(super) fn chunks(&self, codec: &mut Codec) -> Vec<Arc<Chunk>> {
        let mut chunks = Vec::new();
        self.each_chunk(|_, bytes| {
            chunks.push(Arc::new(Chunk::read(bytes, codec)?));
            Ok(())
        });
        chunks
    }

    fn each_chunk(&self, mut each: impl FnMut(ChunkHead, &[u8]) -> Result<(), Damaged>) {
        let bytes = match self.file.read(self.place) {
            Ok(bytes) => bytes,
            Err(error) => return self.file.tell_damaged(self.place, self.samples, &error),
        };
        let mut left = self.samples;
        let result = chunks_of(&bytes).and_then(|chunks| {
            chunks.into_iter().try_for_each(|(head, bytes)| {
                each(head, bytes)?;
                left = left.saturating_sub(head.samples);
                Ok(())
            })
        });
        if let Err(reason) = result {
            self.file.tell_damaged(self.place, left, &reason);
        }
    }
}

/// What an extent says of a chunk before its bytes.
#[derive(Clone, Copy)]
struct ChunkHead {
    samples: u32,
    first: i64,
    last: i64,
}

/// Appends an extent of these chunks.
pub(super) fn put_extent<'c>(chunks: impl Iterator<Item = &'c Chunk> + Clone, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_varint(out, chunks.clone().count() as u64);
    let mut before = 0i64;
    for chunk in chunks.clone() {
        put_varint(out, chunk.count() as u64);
        put_zigzag(out, chunk.first().wrapping_sub(before));
        put_varint(out, chunk.last().wrapping_sub(chunk.first()).cast_unsigned());
        put_varint(out, chunk.bytes().len() as u64);
        before = chunk.last();
    }
    chunks.for_each(|chunk| out.extend_from_slice(chunk.bytes()));
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

fn chunks_of(bytes: &[u8]) -> Result<Vec<(ChunkHead, &[u8])>, Damaged> {
    let mut cursor = checked(bytes)?;
    let count = cursor.length(CHUNKS_MAX)?;
    let mut heads = Vec::with_capacity(count.min(bytes.len()));
    let mut before = 0i64;
    for _ in 0..count {
        let samples = u32::try_from(cursor.varint()?).map_err(|_| Damaged("a chunk has too many samples"))?;
        let first = before.wrapping_add(cursor.zigzag()?);
        let last = first.wrapping_add(cursor.varint()?.cast_signed());
        let length = usize::try_from(cursor.varint()?).map_err(|_| Damaged("a chunk is too long"))?;
        heads.push((ChunkHead { samples, first, last }, length));
        before = last;
    }
    heads.into_iter().map(|(head, length)| Ok((head, cursor.take(length)?))).collect()
}

/// All extents of a series, ascending by time, none of them within another.
#[derive(Default)]
pub(crate) struct Stored {
    pub(super) extents: Vec<Extent>,
}

impl Stored {
    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.extents.last().map(|extent| extent.last)
    }

    pub(crate) fn count(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.samples)).sum()
    }

    /// Whether there may be samples with `start < time <= end`.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        let (start, end) = (range.start.millis(), range.end.millis());
        self.newest().is_some_and(|newest| newest > start) && self.extents.first().is_some_and(|one| one.first <= end)
    }

    /// Those that may hold samples with `start < time <= end`, to be read when the series is not locked any more.
    pub(crate) fn within(&self, start: i64, end: i64) -> Vec<Extent> {
        let from = self.extents.partition_point(|extent| extent.last <= start);
        let extents = self.extents.iter().skip(from).take_while(|extent| extent.first <= end);
        extents.cloned().collect()
    }

    /// Takes one that lies after all others.
    pub(crate) fn push(&mut self, extent: Extent) {
        self.extents.push(extent);
    }

    /// Drops what lies wholly before a time; says how many samples went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let gone = self.extents.partition_point(|extent| extent.last < horizon);
        self.extents.drain(..gone).map(|extent| u64::from(extent.samples)).sum()
    }

    /// Drops what lies wholly within `after < time <= until`; says how many samples went.
    pub(crate) fn remove_within(&mut self, after: i64, until: i64) -> u64 {
        let before = self.count();
        self.extents.retain(|extent| extent.first <= after || extent.last > until);
        before - self.count()
    }

    /// Takes out everything from the extent on in which a time lies, or the first behind it: its chunks, ascending.
    pub(crate) fn take_from(&mut self, at: i64, codec: &mut Codec) -> Vec<Arc<Chunk>> {
        let from = self.extents.partition_point(|extent| extent.last < at);
        self.extents.drain(from..).flat_map(|extent| extent.chunks(codec)).collect()
    }

    /// Memory beside the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.extents.capacity() * size_of::<Extent>()
    }

    /// Appends all of it for a snapshot.
    ///
    /// ```text
    /// varint extents, (varint file, varint at, varint bytes, varint samples, zigzag first - last before, varint last - first)*
    /// ```
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.extents.len() as u64);
        let mut before = 0i64;
        for extent in &self.extents {
            put_varint(out, extent.file.number());
            put_varint(out, u64::from(extent.place.at));
            put_varint(out, u64::from(extent.place.bytes));
            put_varint(out, u64::from(extent.samples));
            put_zigzag(out, extent.first.wrapping_sub(before));
            put_varint(out, extent.last.wrapping_sub(extent.first).cast_unsigned());
            before = extent.last;
        }
    }

    /// Reads what `write` wrote. Extents of files that are not there are left out, and noted by `blocks`.
    pub(crate) fn read_from(cursor: &mut Cursor, blocks: &Blocks) -> Result<Stored, Damaged> {
        let mut stored = Stored::default();
        let mut before = i64::MIN;
        let (mut last, count) = (0i64, cursor.length(CHUNKS_MAX)?);
        for _ in 0..count {
            let number = cursor.varint()?;
            let mut small = || u32::try_from(cursor.varint()?).map_err(|_| Damaged("an extent is too long"));
            let (at, bytes, samples) = (small()?, small()?, small()?);
            let first = last.wrapping_add(cursor.zigzag()?);
            last = first.wrapping_add(cursor.varint()?.cast_signed());
            if first <= before || last < first {
                return Err(Damaged("extents do not ascend"));
            }
            before = last;
            if let Some(file) = blocks.named(number, bytes) {
                stored.extents.push(Extent { file, place: Place { at, bytes }, samples, first, last });
            }
        }
        Ok(stored)
    }
}
