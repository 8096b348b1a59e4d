//! Minutes and hours of observations on their way to a block, and as they lie in one.
//!
//! ```text
//! piece = bytes histogram of an hour | (u8 minute of it, bytes histogram)*       (histograms: see `piece`)
//! ```
//! A window takes the hours that lie wholly in it as they are, and of the two at its edges the minutes.

use std::io;
use std::ops::Range;

use crate::blocks::{BlockWriter, Extent, Loaded, Piece as BlockPiece, Place};
use crate::bytes::{Cursor, Damaged, put_bytes};
use crate::distribution::dense::{Dense, with_dense};
use crate::distribution::level::{Level, Piece};

/// Widths, seconds, and how many there are of one in the next.
pub(super) const MINUTE: u32 = 60;
pub(super) const HOUR: u32 = 3600;
pub(super) const DAY: u32 = 86_400;
pub(super) const HOUR_MINUTES: u32 = HOUR / MINUTE;
const DAY_HOURS: u32 = DAY / HOUR;

/// Minutes, and the hours that have the same observations.
#[derive(Default)]
pub(crate) struct Detail {
    pub(super) minutes: Level,
    pub(super) hours: Level,
}

/// What of a day is in the file being written.
pub(crate) struct WrittenDay {
    pub(super) place: Place,
    /// How many histograms.
    pub(super) count: u32,
    /// Where the first and the last minute begin, seconds.
    pub(super) first: u32,
    pub(super) last: u32,
    /// Its histogram.
    pub(super) total: Box<[u8]>,
}

/// The piece of an hour, put together.
struct HourPiece {
    count: u32,
    first: u32,
    last: u32,
    bytes: Vec<u8>,
}

impl HourPiece {
    fn piece(&self) -> BlockPiece<'_> {
        BlockPiece { samples: self.count, first: self.first.into(), last: self.last.into(), bytes: &self.bytes }
    }

    fn day(&self) -> u32 {
        self.first / DAY
    }
}

/// The piece of an hour, taken apart.
struct Hour<'p> {
    slot: u32,
    total: &'p [u8],
    minutes: Cursor<'p>,
}

impl<'p> Hour<'p> {
    fn of(piece: &BlockPiece<'p>) -> Result<Hour<'p>, Damaged> {
        let first = u32::try_from(piece.first).map_err(|_| Damaged("an hour is out of range"))?;
        let mut cursor = Cursor::new(piece.bytes);
        Ok(Hour { slot: first / HOUR, total: cursor.bytes()?, minutes: cursor })
    }

    fn each_minute(mut self, mut each: impl FnMut(Piece) -> Result<(), Damaged>) -> Result<(), Damaged> {
        while !self.minutes.is_empty() {
            let slot = self.slot * HOUR_MINUTES + u32::from(self.minutes.u8()?);
            each(Piece { slot, bytes: self.minutes.bytes()? })?;
        }
        Ok(())
    }
}

/// Whether all between two seconds lies in these minutes.
pub(super) fn covers(minutes: &Range<u32>, first: i64, last: i64) -> bool {
    let [start, end] = [minutes.start, minutes.end].map(|minute| i64::from(minute) * i64::from(MINUTE));
    start <= first && last < end
}

/// The pieces of an extent that have something of these minutes.
fn pieces_within<'l>(loaded: &'l Loaded, minutes: &Range<u32>) -> impl Iterator<Item = BlockPiece<'l>> + use<'l> {
    let [start, end] = [minutes.start, minutes.end].map(|minute| i64::from(minute) * i64::from(MINUTE));
    let from = loaded.begun_at(start).saturating_sub(1);
    let pieces = (from..).map_while(|at| loaded.piece(at)).take_while(move |piece| piece.first < end);
    pieces.filter(move |piece| piece.last >= start)
}

/// Adds what an extent has of these minutes.
pub(super) fn collect(loaded: &Loaded, minutes: &Range<u32>, dense: &mut Dense) -> Result<(), Damaged> {
    pieces_within(loaded, minutes).try_for_each(|piece| {
        let hour = Hour::of(&piece)?;
        if covers(minutes, piece.first, piece.last) {
            return dense.add_piece(hour.total);
        }
        let is_inside = |minute: &Piece| minutes.contains(&minute.slot);
        hour.each_minute(|minute| if is_inside(&minute) { dense.add_piece(minute.bytes) } else { Ok(()) })
    })
}

/// Appends which of these minutes an extent has.
pub(super) fn minutes_of(loaded: &Loaded, minutes: &Range<u32>, out: &mut Vec<u32>) -> Result<(), Damaged> {
    pieces_within(loaded, minutes).try_for_each(|piece| {
        Hour::of(&piece)?.each_minute(|minute| {
            out.extend(Some(minute.slot).filter(|slot| minutes.contains(slot)));
            Ok(())
        })
    })
}

impl Detail {
    pub(super) fn is_empty(&self) -> bool {
        self.hours.count() == 0 && self.minutes.count() == 0
    }

    pub(super) fn count(&self) -> u64 {
        (self.hours.count() + self.minutes.count()) as u64
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Detail>() + self.hours.memory_bytes() + self.minutes.memory_bytes()
    }

    /// Adds what it has of these minutes.
    pub(super) fn collect(&self, minutes: &Range<u32>, dense: &mut Dense) {
        let hours = minutes.start.div_ceil(HOUR_MINUTES)..minutes.end / HOUR_MINUTES;
        let mut add = |level: &Level, slots: Range<u32>| {
            level.between(slots.start, slots.end).for_each(|piece| dense.add_own(piece.bytes));
        };
        if hours.is_empty() {
            return add(&self.minutes, minutes.clone());
        }
        add(&self.minutes, minutes.start..hours.start * HOUR_MINUTES);
        add(&self.hours, hours.clone());
        add(&self.minutes, hours.end * HOUR_MINUTES..minutes.end);
    }

    /// What all these extents have together; `None`, and told, if one of them cannot be read.
    pub(crate) fn read(extents: &[Extent]) -> Option<Detail> {
        let mut detail = Detail::default();
        extents.iter().all(|extent| detail.add(extent)).then_some(detail)
    }

    fn add(&mut self, extent: &Extent) -> bool {
        let Some(loaded) = extent.load() else { return false };
        self.add_loaded(&loaded).inspect_err(|reason| extent.tell_damaged(reason)).is_ok()
    }

    fn add_loaded(&mut self, loaded: &Loaded) -> Result<(), Damaged> {
        loaded.pieces().try_for_each(|piece| {
            let hour = Hour::of(&piece)?;
            self.hours.merge(Piece { slot: hour.slot, bytes: hour.total })?;
            hour.each_minute(|minute| self.minutes.merge(minute))
        })
    }

    /// Writes all of it, each day to a place of its own, so that it can go when it is over.
    pub(crate) fn write(&self, writer: &mut BlockWriter) -> io::Result<Vec<WrittenDay>> {
        let hours: Vec<HourPiece> = self.hours.pieces().map(|hour| self.hour_piece(hour)).collect();
        hours.chunk_by(|a, b| a.day() == b.day()).map(|of_day| self.write_day(of_day, writer)).collect()
    }

    fn write_day(&self, of_day: &[HourPiece], writer: &mut BlockWriter) -> io::Result<WrittenDay> {
        let place = writer.put(of_day.iter().map(HourPiece::piece))?;
        let count = of_day.iter().map(|hour| hour.count).sum();
        let (first, last) = (of_day.first().map_or(0, |hour| hour.first), of_day.last().map_or(0, |hour| hour.last));
        let day = first / DAY;
        let total = with_dense(|dense| {
            let hours = self.hours.between(day * DAY_HOURS, (day + 1) * DAY_HOURS);
            hours.for_each(|hour| dense.add_own(hour.bytes));
            dense.to_piece()
        });
        Ok(WrittenDay { place, count, first, last, total })
    }

    fn hour_piece(&self, hour: Piece) -> HourPiece {
        let mut bytes = Vec::with_capacity(hour.bytes.len() + 2);
        put_bytes(&mut bytes, hour.bytes);
        let begins = hour.slot * HOUR_MINUTES;
        let (mut count, mut seen) = (1, None);
        for minute in self.minutes.between(begins, begins + HOUR_MINUTES) {
            bytes.push((minute.slot - begins) as u8);
            put_bytes(&mut bytes, minute.bytes);
            count += 1;
            seen = Some((seen.map_or(minute.slot, |(first, _)| first), minute.slot));
        }
        // Of an hour without minutes nothing is known but that it is somewhere in it.
        let whole = (hour.slot * HOUR, hour.slot * HOUR + (HOUR - 1));
        let (first, last) = seen.map_or(whole, |(first, last)| (first * MINUTE, last * MINUTE));
        HourPiece { count, first, last, bytes }
    }
}
