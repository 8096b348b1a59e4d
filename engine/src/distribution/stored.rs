//! What of a layer of observations lies in blocks: the minutes and hours of days that the memory window has left.
//!
//! ```text
//! stored = varint days, (varint first - last of the day before, varint last - first, bytes histogram of the day,
//!          varint spans, (varint file, place, varint histograms, varint first - first of the day, varint last - first)*)*
//! ```
//! Histograms add up. So what comes for hours in blocks lies in memory as all else does, a window is the sum of both, and the next
//! turn moves it behind the rest; what a day has several times is merged when the day becomes one. The histogram of a day stays in
//! memory, so a window reads blocks for the two days at its edges only, and a block that cannot be read costs no more than these.
//!
//! Invariants: days ascend, and each has something; the histogram of a day is the sum of all its spans, those that are lost too.

use std::ops::Range;
use std::sync::Arc;

use crate::blocks::{BlockFile, Blocks, Extent, Loads, Merge, Place};
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::distribution::dense::{Dense, with_dense};
use crate::distribution::detail::{DAY, Detail, HOUR, HOUR_MINUTES, MINUTE, WrittenDay, collect, covers, minutes_of};
use crate::distribution::layer::Layer;

/// Most days of a layer, and most spans of a day; what is read from a disk may not claim more.
const ENTRIES_MAX: usize = 1 << 20;
/// What came for hours in blocks goes there early if it takes so much memory, bytes.
const LATE_WORTH_BYTES: usize = 4096;

/// What of a day lies in blocks.
pub(super) struct Day {
    /// Where the first and the last minute begin, seconds.
    first: u32,
    last: u32,
    /// All of it.
    pub(super) total: Box<[u8]>,
    /// Where it lies, as far as the files are there.
    spans: Vec<Extent>,
}

/// All that lies in blocks.
#[derive(Default)]
pub(super) struct Stored {
    days: Vec<Day>,
    /// What is being written, until it is known where it lies.
    leaving: Option<Arc<Detail>>,
}

impl Day {
    fn number(&self) -> u32 {
        self.first / DAY
    }

    fn collect(&self, minutes: &Range<u32>, loads: &mut Loads, dense: &mut Dense) {
        if covers(minutes, self.first.into(), self.last.into()) {
            return dense.add_own(&self.total);
        }
        // All of them are asked for, so that all that are missing are read at once.
        for span in self.spans_within(minutes) {
            let Some(loaded) = loads.get(span) else { continue };
            if let Err(reason) = collect(&loaded, minutes, dense) {
                span.tell_damaged(&reason);
            }
        }
    }

    fn spans_within(&self, minutes: &Range<u32>) -> impl Iterator<Item = &Extent> {
        let [start, end] = [minutes.start, minutes.end].map(|minute| i64::from(minute) * i64::from(MINUTE));
        self.spans.iter().filter(move |span| span.first < end && span.last >= start)
    }

    fn add(&mut self, day: WrittenDay, file: &Arc<BlockFile>) {
        self.first = self.first.min(day.first);
        self.last = self.last.max(day.last);
        self.total = with_dense(|dense| {
            [&self.total, &day.total].into_iter().for_each(|total| dense.add_own(total));
            dense.to_piece()
        });
        self.spans.push(day.extent(file));
    }
}

impl WrittenDay {
    fn extent(&self, file: &Arc<BlockFile>) -> Extent {
        let (first, last) = (self.first.into(), self.last.into());
        Extent { file: Arc::clone(file), place: self.place, samples: self.count, first, last }
    }
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.days.is_empty() && self.leaving.is_none()
    }

    /// Whether something is being written: nothing of the layer may be let go for good then.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// The days that have something of these minutes.
    fn days_within(&self, minutes: &Range<u32>) -> impl Iterator<Item = &Day> + use<'_> {
        let (start, end) = (minutes.start, minutes.end);
        let from = self.days.partition_point(|day| day.last / MINUTE < start);
        self.days.iter().skip(from).take_while(move |day| start < end && day.first / MINUTE < end)
    }

    /// Adds what lies in these minutes.
    pub(super) fn collect(&self, minutes: Range<u32>, loads: &mut Loads, dense: &mut Dense) {
        self.days_within(&minutes).for_each(|day| day.collect(&minutes, loads, dense));
        self.leaving.iter().for_each(|leaving| leaving.collect(&minutes, dense));
    }

    /// Appends which of these minutes have observations, in no order.
    pub(super) fn minutes(&self, minutes: Range<u32>, loads: &mut Loads, out: &mut Vec<u32>) {
        for span in self.days_within(&minutes).flat_map(|day| day.spans_within(&minutes)) {
            let Some(loaded) = loads.get(span) else { continue };
            if let Err(reason) = minutes_of(&loaded, &minutes, out) {
                span.tell_damaged(&reason);
            }
        }
        let leaving = self.leaving.iter().flat_map(|leaving| leaving.minutes.between(minutes.start, minutes.end));
        out.extend(leaving.map(|minute| minute.slot));
    }

    /// Whether there is anything in these minutes, which are a day or more: so no day of ours can lie around them.
    pub(super) fn any(&self, minutes: Range<u32>) -> bool {
        let is_inside = |second: u32| minutes.contains(&(second / MINUTE));
        self.days_within(&minutes).any(|day| is_inside(day.first) || is_inside(day.last))
            || self
                .leaving
                .as_ref()
                .is_some_and(|leaving| leaving.minutes.between(minutes.start, minutes.end).next().is_some())
    }

    /// Whether blocks may have to be read for these minutes.
    pub(super) fn overlaps(&self, minutes: Range<u32>) -> bool {
        self.days_within(&minutes).next().is_some()
    }

    /// When the hour of the first observation begins, seconds.
    pub(super) fn oldest(&self) -> Option<u32> {
        let leaving = self.leaving.as_ref().and_then(|leaving| leaving.hours.first_slot());
        let of_days = self.days.first().map(|day| day.first / HOUR);
        of_days.into_iter().chain(leaving).min().map(|hour| hour * HOUR)
    }

    /// When the last minute with observations begins, seconds.
    pub(super) fn newest(&self) -> Option<u32> {
        let leaving = self.leaving.as_ref().and_then(|leaving| leaving.minutes.last_slot());
        self.days.last().map(|day| day.last).max(leaving.map(|minute| minute * MINUTE))
    }

    pub(super) fn count(&self) -> u64 {
        let spans = self.days.iter().flat_map(|day| &day.spans).map(|span| u64::from(span.samples));
        spans.sum::<u64>() + self.leaving.as_ref().map_or(0, |leaving| leaving.count())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let days = self.days.iter().map(|day| day.total.len() + day.spans.capacity() * size_of::<Extent>() + 32);
        let leaving = self.leaving.as_ref().map_or(0, |leaving| leaving.memory_bytes());
        size_of::<Stored>() + self.days.capacity() * size_of::<Day>() + days.sum::<usize>() + leaving
    }

    /// Takes out the days that are over at a second.
    pub(super) fn take_days_before(&mut self, second: u32) -> Vec<Day> {
        let over = self.days.partition_point(|day| day.last < second);
        self.days.drain(..over).collect()
    }

    /// The days of which there is more than one span.
    pub(super) fn scattered_days(&self) -> impl Iterator<Item = i64> {
        self.days.iter().filter(|day| day.spans.len() > 1).map(|day| day.number().into())
    }

    /// The spans of a day, if there is more than one.
    pub(super) fn scattered(&self, day: i64) -> Option<Vec<Extent>> {
        let day = self.days.iter().find(|have| i64::from(have.number()) == day)?;
        (day.spans.len() > 1).then(|| day.spans.clone())
    }

    /// Has one span take the place of all those of its day that it was made of, if they still are.
    pub(super) fn replace(&mut self, before: &[Extent], merged: &WrittenDay, file: &Arc<BlockFile>) {
        let Some(day) = self.days.iter_mut().find(|day| day.number() == merged.first / DAY) else { return };
        let is_same = |(a, b): (&Extent, &Extent)| Arc::ptr_eq(&a.file, &b.file) && a.place == b.place;
        if day.spans.len() == before.len() && day.spans.iter().zip(before).all(is_same) {
            day.spans = vec![merged.extent(file)];
        }
    }

    fn put(&mut self, written: WrittenDay, file: &Arc<BlockFile>) {
        match self.days.binary_search_by_key(&(written.first / DAY), Day::number) {
            Ok(at) => self.days[at].add(written, file),
            Err(at) => {
                let spans = vec![written.extent(file)];
                let WrittenDay { first, last, total, .. } = written;
                self.days.insert(at, Day { first, last, total, spans });
            }
        }
    }

    /// Appends all of it for a snapshot. None is taken while something is being written.
    fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.leaving.is_none(), "blocks and snapshots are written one after another");
        put_varint(out, self.days.len() as u64);
        let mut before = 0;
        for day in &self.days {
            put_varint(out, u64::from(day.first - before));
            put_varint(out, u64::from(day.last - day.first));
            put_bytes(out, &day.total);
            put_varint(out, day.spans.len() as u64);
            for span in &day.spans {
                put_varint(out, span.file.number());
                span.place.put(out);
                put_varint(out, u64::from(span.samples));
                // They lie within their day.
                put_varint(out, (span.first - i64::from(day.first)).cast_unsigned());
                put_varint(out, (span.last - span.first).cast_unsigned());
            }
            before = day.last;
        }
    }

    /// Reads what `write` wrote. Spans in files that are not there are left out, and noted by `blocks`.
    fn read_from(cursor: &mut Cursor, blocks: &Blocks) -> Result<Stored, Damaged> {
        let mut stored = Stored::default();
        let mut before: Option<u32> = None;
        for _ in 0..cursor.length(ENTRIES_MAX)? {
            let out_of_range = Damaged("a day of observations is out of range");
            let first = before.unwrap_or(0).checked_add(cursor.varint_u32()?).ok_or(out_of_range)?;
            let last = first.checked_add(cursor.varint_u32()?).ok_or(out_of_range)?;
            if first / DAY != last / DAY || before.is_some_and(|before| before / DAY >= first / DAY) {
                return Err(Damaged("days of observations do not ascend"));
            }
            let mut day = Day { first, last, total: cursor.bytes()?.into(), spans: Vec::new() };
            for _ in 0..cursor.length(ENTRIES_MAX)? {
                day.spans.extend(read_span(cursor, &day, blocks)?);
            }
            before = Some(last);
            stored.days.push(day);
        }
        Ok(stored)
    }
}

fn read_span(cursor: &mut Cursor, day: &Day, blocks: &Blocks) -> Result<Option<Extent>, Damaged> {
    let (number, place, samples) = (cursor.varint()?, Place::read(cursor)?, cursor.varint_u32()?);
    let first = i64::from(day.first) + i64::from(cursor.varint_u32()?);
    let last = first + i64::from(cursor.varint_u32()?);
    if last > i64::from(day.last) {
        return Err(Damaged("a span lies outside of its day"));
    }
    Ok(blocks.named(number, place.bytes()).map(|file| Extent { file, place, samples, first, last }))
}

impl Layer {
    /// Takes out the whole hours before a second, to be written. Until whoever asks says what became of them, by
    /// [`Layer::put_left`] or [`Layer::stays`], they are read from there.
    pub(super) fn leaving(&mut self, before: i64, merge: Merge) -> Option<Arc<Detail>> {
        let until = u32::try_from(before.max(0)).unwrap_or(u32::MAX).min(self.built_hours()) / HOUR;
        let behind = self.stored.as_ref().and_then(|stored| stored.newest()).map_or(0, |newest| newest / HOUR + 1);
        let is_worth = merge == Merge::All || self.minutes_bytes(behind * HOUR_MINUTES) >= LATE_WORTH_BYTES;
        let detail = self.take_hours(if is_worth { 0 } else { behind.min(until) }..until);
        if detail.is_empty() {
            return None;
        }
        let detail = Arc::new(detail);
        let stored = self.stored.get_or_insert_default();
        debug_assert!(stored.leaving.is_none(), "blocks are written one after another");
        stored.leaving = Some(Arc::clone(&detail));
        Some(detail)
    }

    /// Has the file take the place of what was written to it, if that was not taken back meanwhile; says how many histograms
    /// left memory.
    pub(super) fn put_left(&mut self, detail: &Arc<Detail>, days: Vec<WrittenDay>, file: &Arc<BlockFile>) -> u64 {
        let Some(stored) = &mut self.stored else { return 0 };
        if stored.leaving.take_if(|leaving| Arc::ptr_eq(leaving, detail)).is_none() {
            return 0;
        }
        days.into_iter().for_each(|day| stored.put(day, file));
        detail.count()
    }

    /// Nothing was written: all stays where it was.
    pub(super) fn stays(&mut self) {
        if let Some(leaving) = self.stored.as_mut().and_then(|stored| stored.leaving.take()) {
            self.put_back(&leaving);
        }
        self.stored.take_if(|stored| stored.is_empty());
    }

    /// Brings back what blocks have of the days in which `[from, to)` begins and ends, and forgets what they have between: it is
    /// to be cleared. What cannot be read is lost.
    pub(super) fn bring_back(&mut self, from: u32, to: u32) {
        self.stays();
        let Some(stored) = &mut self.stored else { return };
        let start = stored.days.partition_point(|day| day.last < from);
        let end = stored.days.partition_point(|day| day.first < to).max(start);
        let days: Vec<Day> = stored.days.drain(start..end).collect();
        self.stored.take_if(|stored| stored.is_empty());
        for day in days.iter().filter(|day| day.first < from || day.last >= to) {
            let spans = day.spans.iter().filter_map(|span| Detail::read(std::slice::from_ref(span)));
            spans.for_each(|detail| self.put_back(&detail));
        }
    }

    /// Lets go of days before a second, which are over then; the caller has what they were.
    pub(super) fn take_days_before(&mut self, second: u32) -> Vec<Day> {
        let days = self.stored.as_mut().map_or_else(Vec::new, |stored| stored.take_days_before(second));
        self.stored.take_if(|stored| stored.is_empty());
        days
    }

    /// Appends, for a snapshot, where the rest of it lies.
    pub(super) fn write_stored(&self, out: &mut Vec<u8>) {
        if let Some(stored) = &self.stored {
            stored.write(out);
        }
    }

    /// Reads what `write_stored` wrote.
    pub(super) fn read_stored(&mut self, cursor: &mut Cursor, blocks: &Blocks) -> Result<(), Damaged> {
        self.stored = Some(Box::new(Stored::read_from(cursor, blocks)?)).filter(|stored| !stored.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().expect("a folder");
            let blocks = Blocks::open(dir.path()).expect("opens");
            if let Ok(stored) = Stored::read_from(&mut Cursor::new(&bytes), &blocks) {
                let (mut written, mut loads) = (Vec::new(), Loads::default());
                stored.write(&mut written);
                stored.minutes(0..u32::MAX / MINUTE, &mut loads, &mut Vec::new());
                prop_assert!(stored.days.windows(2).all(|pair| pair[0].number() < pair[1].number()));
            }
        }
    }
}
