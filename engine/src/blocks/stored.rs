//! What of one series lies in blocks.

use std::sync::Arc;

use watchfire_model::{Histogram, Sample};

use super::extent::{Extent, PIECES_MAX, Place};
use super::file::Blocks;
use crate::bytes::{Cursor, Damaged, put_varint, put_zigzag};
use crate::chunk::{Chunk, Codec};
use crate::natives::Run;
use crate::series::TimeRange;

/// What the samples of an extent are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Floats,
    Natives,
}

impl Held {
    pub(super) const ALL: [Held; 2] = [Held::Floats, Held::Natives];
}

/// Extents of one series, ascending by time, none of them within another.
#[derive(Default)]
struct Extents(Vec<Extent>);

/// All extents of a series.
#[derive(Default)]
pub(crate) struct Stored {
    floats: Extents,
    natives: Extents,
}

/// Extents that were picked, to be read when their series is not locked any more.
#[derive(Default)]
pub(crate) struct Picked {
    floats: Vec<Extent>,
    natives: Vec<Extent>,
}

impl Picked {
    pub(crate) fn has_floats(&self) -> bool {
        !self.floats.is_empty()
    }

    pub(crate) fn has_natives(&self) -> bool {
        !self.natives.is_empty()
    }

    /// Appends the floats with `start < time <= end`.
    pub(crate) fn read(&self, start: i64, end: i64, codec: &mut Codec, out: &mut Vec<Sample>) {
        self.floats.iter().for_each(|extent| extent.read(start, end, codec, out));
    }

    /// Appends the native histograms with `start < time <= end`.
    pub(crate) fn read_natives(&self, start: i64, end: i64, out: &mut Vec<(i64, Histogram)>) {
        self.natives.iter().for_each(|extent| extent.read_natives(start, end, out));
    }
}

impl Stored {
    fn lists(&self) -> [&Extents; 2] {
        [&self.floats, &self.natives]
    }

    fn list_mut(&mut self, held: Held) -> &mut Extents {
        match held {
            Held::Floats => &mut self.floats,
            Held::Natives => &mut self.natives,
        }
    }

    /// The extents of one kind.
    pub(super) fn extents(&self, held: Held) -> &[Extent] {
        match held {
            Held::Floats => &self.floats.0,
            Held::Natives => &self.natives.0,
        }
    }

    pub(super) fn extents_mut(&mut self, held: Held) -> &mut Vec<Extent> {
        &mut self.list_mut(held).0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists().iter().all(|list| list.0.is_empty())
    }

    /// Time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.lists().iter().filter_map(|list| list.newest()).max()
    }

    pub(crate) fn count(&self) -> u64 {
        self.lists().iter().flat_map(|list| &list.0).map(|extent| u64::from(extent.samples)).sum()
    }

    /// Whether there may be samples with `start < time <= end`.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        let (start, end) = (range.start.millis(), range.end.millis());
        self.lists().iter().any(|list| {
            list.newest().is_some_and(|newest| newest > start) && list.0.first().is_some_and(|one| one.first <= end)
        })
    }

    /// Those that may hold samples with `start < time <= end`, to be read when the series is not locked any more.
    pub(crate) fn within(&self, start: i64, end: i64) -> Picked {
        Picked { floats: self.floats.within(start, end), natives: self.natives.within(start, end) }
    }

    /// Whether there are native histograms with `start < time <= end`; `None` if only reading tells.
    pub(crate) fn has_natives(&self, start: i64, end: i64) -> Option<bool> {
        let within = self.natives.within(start, end);
        (within.is_empty() || within.iter().any(|extent| extent.first > start)).then_some(!within.is_empty())
    }

    /// Takes one that lies after all others of its kind.
    pub(crate) fn push(&mut self, held: Held, extent: Extent) {
        self.list_mut(held).0.push(extent);
    }

    /// Drops what lies wholly before a time; says how many samples went.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        Held::ALL.into_iter().map(|held| self.list_mut(held).prune(horizon)).sum()
    }

    /// Drops what lies wholly within `after < time <= until`; says how many samples went.
    pub(crate) fn remove_within(&mut self, after: i64, until: i64) -> u64 {
        let before = self.count();
        for held in Held::ALL {
            self.list_mut(held).0.retain(|extent| extent.first <= after || extent.last > until);
        }
        before - self.count()
    }

    /// Takes out all chunks from the extent on in which a time lies, or the first behind it, ascending.
    pub(crate) fn take_chunks_from(&mut self, at: i64, codec: &mut Codec) -> Vec<Arc<Chunk>> {
        self.floats.drain_from(at).flat_map(|extent| extent.chunks(codec)).collect()
    }

    /// The same of runs of native histograms.
    pub(crate) fn take_runs_from(&mut self, at: i64) -> Vec<Arc<Run>> {
        self.natives.drain_from(at).flat_map(|extent| extent.runs()).collect()
    }

    /// Memory beside the value itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.lists().iter().map(|list| list.0.capacity() * size_of::<Extent>()).sum()
    }

    /// Appends all of it for a snapshot.
    ///
    /// ```text
    /// stored  = extents of floats | [extents of native histograms]
    /// extents = varint how many, (varint file, varint at, varint bytes, varint samples, zigzag first - last before,
    ///           varint last - first)*
    /// ```
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.floats.write(out);
        if !self.natives.0.is_empty() {
            self.natives.write(out);
        }
    }

    /// Reads what `write` wrote. Extents of files that are not there are left out, and noted by `blocks`.
    pub(crate) fn read_from(cursor: &mut Cursor, blocks: &Blocks) -> Result<Stored, Damaged> {
        let floats = Extents::read_from(cursor, blocks)?;
        let natives = if cursor.is_empty() { Extents::default() } else { Extents::read_from(cursor, blocks)? };
        Ok(Stored { floats, natives })
    }
}

impl Extents {
    fn newest(&self) -> Option<i64> {
        self.0.last().map(|extent| extent.last)
    }

    fn within(&self, start: i64, end: i64) -> Vec<Extent> {
        let from = self.0.partition_point(|extent| extent.last <= start);
        self.0.iter().skip(from).take_while(|extent| extent.first <= end).cloned().collect()
    }

    fn prune(&mut self, horizon: i64) -> u64 {
        let gone = self.0.partition_point(|extent| extent.last < horizon);
        self.0.drain(..gone).map(|extent| u64::from(extent.samples)).sum()
    }

    fn drain_from(&mut self, at: i64) -> impl Iterator<Item = Extent> {
        let from = self.0.partition_point(|extent| extent.last < at);
        self.0.drain(from..)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut before = 0i64;
        for extent in &self.0 {
            put_varint(out, extent.file.number());
            put_varint(out, u64::from(extent.place.at));
            put_varint(out, u64::from(extent.place.bytes));
            put_varint(out, u64::from(extent.samples));
            put_zigzag(out, extent.first.wrapping_sub(before));
            put_varint(out, extent.last.wrapping_sub(extent.first).cast_unsigned());
            before = extent.last;
        }
    }

    fn read_from(cursor: &mut Cursor, blocks: &Blocks) -> Result<Extents, Damaged> {
        let mut extents = Extents::default();
        let mut before = i64::MIN;
        let (mut last, count) = (0i64, cursor.length(PIECES_MAX)?);
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
                extents.0.push(Extent { file, place: Place { at, bytes }, samples, first, last });
            }
        }
        Ok(extents)
    }
}
