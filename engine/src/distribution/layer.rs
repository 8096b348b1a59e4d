//! Interval histograms of one series at several widths.
//!
//! The newest seconds are open; closed, a second becomes a piece of the finest level. When ten seconds are
//! complete they are merged into one piece of the next level, six of those into a minute, sixty into an hour. So a
//! long window needs few pieces. With age the finer levels go: seconds after 10 min, tens after a day (of what came
//! late or was filled in, after an hour; of a series so busy that they would take more than `DETAIL_BYTES`, earlier,
//! but not before an hour); from then on the edges of a window round down to the interval. Minutes and hours that are old
//! lie in blocks (see `stored`).
//!
//! Times here are the seconds at which a bucket begins: an event of bucket `e` (the second that ends at `e`)
//! stands at `e - 1`.
//!
//! Invariants: slots ascend strictly within a level; a level above the finest holds every observation before
//! `built`; every level holds every observation from `kept` on (up to `built`). What lies in blocks counts as held by the
//! levels of minutes and hours.

use std::ops::Range;

use crate::blocks::Loads;
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::distribution::dense::{Dense, with_dense};
use crate::distribution::detail::{Detail, HOUR, HOUR_MINUTES, MINUTE};
use crate::distribution::level::{Level, Piece};
use crate::distribution::open::Open;
use crate::distribution::scale::scaled;
use crate::distribution::stored::Stored;

/// Widths of the levels, seconds.
const WIDTHS: [u32; 4] = [1, 10, MINUTE, HOUR];
/// The levels of those that are kept as long as the retention says.
const MINUTES: usize = 2;
const HOURS: usize = 3;
/// How long seconds are kept, seconds.
const SECONDS_KEPT: u32 = 660;
/// Memory that seconds and tens of a series may take; past it tens go early.
const DETAIL_BYTES: usize = 400 << 10;
/// Tens stay at least so long, seconds.
const TENS_KEPT_MIN: u32 = 3600;
/// A second is closed this long after it began, seconds.
const CLOSE_AFTER: u32 = 3;

/// How long a layer keeps what in detail.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Seconds that may be open at once.
    open_max: usize,
    /// How many of the oldest are closed when there is no room for another one.
    closed_at_once: usize,
    /// How long tens are kept, seconds.
    tens_kept: u32,
    /// What time it is as far as is known, seconds.
    now: u32,
}

impl Pace {
    /// The same at a time, seconds.
    pub(super) const fn at(self, now: u32) -> Pace {
        Pace { now, ..self }
    }

    /// Before which seconds pieces of a second and of ten are too old to be kept.
    fn over(self) -> [u32; 2] {
        [SECONDS_KEPT, self.tens_kept].map(|kept| self.now.saturating_sub(kept))
    }
}

/// Of live observations: time goes on, and a second is over.
pub(super) const LIVE: Pace = Pace { open_max: 2, closed_at_once: 1, tens_kept: 86_400, now: 0 };
/// Of what comes late or is filled in: several senders work through the past side by side, and intervals that are merged
/// upwards one by one cost a hundred times as much as an observation. It is looked at from afar.
pub(super) const PAST: Pace = Pace { open_max: 32, closed_at_once: 32, tens_kept: 3600, now: 0 };
/// Earlier versions had as many open.
const OPEN_READ_MAX: usize = 128;

/// The observations of one series.
#[derive(Default)]
pub(super) struct Layer {
    /// Ascending.
    open: Vec<Open>,
    levels: [Level; 4],
    newest: Option<u32>,
    /// What lies in blocks.
    pub(super) stored: Option<Box<Stored>>,
}

impl Layer {
    /// Records a value; says whether it had to be clamped.
    #[inline]
    pub(super) fn record(&mut self, second: u32, value: f64, pace: Pace) -> bool {
        let (scaled, clamped) = scaled(value);
        match self.open.last_mut() {
            Some(open) if open.second == second => open.record(value, scaled),
            _ => self.record_in_another(second, value, scaled, pace),
        }
        clamped
    }

    /// Records a value of the past. What is too old for seconds or tens is gathered at the beginning of the interval that
    /// is kept of it.
    pub(super) fn record_past(&mut self, second: u32, value: f64, pace: Pace) -> bool {
        self.newest = self.newest.max(Some(second));
        let start = self.start_of_past(second, pace);
        self.record(start, value, pace)
    }

    /// The beginning of the finest interval that is kept of a second: nothing is made any more of what is finer.
    fn start_of_past(&mut self, second: u32, pace: Pace) -> u32 {
        for (finer, over) in pace.over().into_iter().enumerate().rev() {
            let width = WIDTHS[finer + 1];
            let start = second / width * width;
            let end = start.saturating_add(width);
            if end > over {
                continue;
            }
            let is_over = |layer: &Layer| layer.levels[..=finer].iter().all(|level| level.kept >= end);
            if !is_over(self) {
                self.pass_over(end, pace);
            }
            if is_over(self) {
                return start;
            }
        }
        second
    }

    /// Records a value in a second that is not the newest one open.
    #[inline(never)]
    fn record_in_another(&mut self, second: u32, value: f64, scaled: u64, pace: Pace) {
        self.newest = self.newest.max(Some(second));
        let at = match self.open.binary_search_by_key(&second, |open| open.second) {
            Ok(at) => return self.open[at].record(value, scaled),
            Err(at) => at,
        };
        let (at, list) = if self.open.len() >= pace.open_max {
            let list = self.close(pace.closed_at_once, pace);
            (self.open.partition_point(|open| open.second < second), list)
        } else {
            (at, Vec::new())
        };
        let mut open = Open::new(second, list);
        open.record(value, scaled);
        self.open.insert(at, open);
    }

    /// Turns the oldest open seconds, so many, into pieces; gives back an empty list of one of them. Each piece of a
    /// coarser level that some of them belong to is written once.
    fn close(&mut self, many: usize, pace: Pace) -> Vec<u16> {
        let many = many.min(self.open.len());
        if let Some(last) = self.open[..many].last() {
            self.pass_over(last.second.saturating_add(1), pace);
        }
        let closing = &self.open[..many];
        for (number, (level, width)) in self.levels.iter_mut().zip(WIDTHS).enumerate() {
            let start = closing.partition_point(|open| open.second < level.kept);
            let end = closing.partition_point(|open| number == 0 || open.second < level.built);
            let of_level = closing.get(start..end).unwrap_or_default();
            for of_slot in of_level.chunk_by(|a, b| a.second / width == b.second / width) {
                with_dense(|dense| {
                    of_slot.iter().for_each(|open| open.add_to(dense));
                    level.add(of_slot[0].second / width, dense);
                });
            }
        }
        let Some(newest) = self.open.drain(..many).next_back() else { return Vec::new() };
        let complete = newest.second.saturating_add(1);
        self.build(self.open.first().map_or(newest.second, |first| first.second.min(complete)));
        newest.into_list()
    }

    /// Has the coarser levels begin where the finer ones are over, up to a second: what is closed from now on goes to those
    /// at once, and no piece is made that the next look at its age would drop.
    fn pass_over(&mut self, until: u32, pace: Pace) {
        let [seconds_over, tens_over] = pace.over();
        let until = until.min(seconds_over);
        if until / WIDTHS[1] * WIDTHS[1] > self.levels[1].built {
            self.build(until);
            self.drop_before(0, seconds_over);
            self.drop_before(1, tens_over);
        }
    }

    /// Merges the slots that are complete before a second into the coarser levels.
    fn build(&mut self, complete: u32) {
        let mut complete = complete;
        for number in 1..WIDTHS.len() {
            let (finer, coarser) = self.levels.split_at_mut(number);
            let (Some(finer), Some(level)) = (finer.last(), coarser.first_mut()) else { return };
            let width = WIDTHS[number];
            let ratio = width / WIDTHS[number - 1];
            complete = complete / width * width;
            if complete <= level.built {
                complete = level.built;
                continue;
            }
            let pieces = finer.between(level.built / WIDTHS[number - 1], complete / WIDTHS[number - 1]);
            let mut pieces = pieces.peekable();
            while let Some(slot) = pieces.peek().map(|piece| piece.slot / ratio) {
                with_dense(|dense| {
                    while let Some(piece) = pieces.next_if(|piece| piece.slot / ratio == slot) {
                        dense.add_own(piece.bytes);
                    }
                    level.add(slot, dense);
                });
            }
            level.built = complete;
        }
    }

    /// Adds everything in `[from, to)` to the counts; edges round down to the interval that is still kept.
    pub(super) fn collect(&self, from: u32, to: u32, loads: &mut Loads, dense: &mut Dense) {
        let rounded = (self.round_down(from), self.round_down(to));
        if let Some(stored) = &self.stored {
            stored.collect(minutes_within(rounded), loads, dense);
        }
        self.collect_memory(rounded, dense);
    }

    /// Adds everything in `[from, to)` that is in memory.
    pub(super) fn collect_memory(&self, (from, to): (u32, u32), dense: &mut Dense) {
        self.collect_level(HOURS, from, to, dense);
        for open in self.open.iter().filter(|open| open.second >= from && open.second < to) {
            open.add_to(dense);
        }
    }

    fn collect_level(&self, number: usize, from: u32, to: u32, dense: &mut Dense) {
        let (Some(level), Some(width)) = (self.levels.get(number), WIDTHS.get(number)) else { return };
        if from >= to {
            return;
        }
        let end = if number == 0 { to } else { to.min(level.built) / width };
        let start = if number == 0 { from } else { from.max(level.kept).div_ceil(*width) };
        if start < end {
            level.between(start, end).for_each(|piece| dense.add_own(piece.bytes));
        }
        if let Some(finer) = number.checked_sub(1) {
            if start < end {
                self.collect_level(finer, from, start * width, dense);
                self.collect_level(finer, end * width, to, dense);
            } else {
                self.collect_level(finer, from, to, dense);
            }
        }
    }

    fn round_down(&self, second: u32) -> u32 {
        // What lies in blocks may be older than all that is kept in memory, and is in minutes.
        let finest = self.levels.iter().position(|level| level.kept <= second).unwrap_or(MINUTES);
        second / WIDTHS[finest] * WIDTHS[finest]
    }

    /// The ends (seconds) of the intervals within `[from, to)` that have observations, ascending: of each stretch of time
    /// those of the finest level that is kept there.
    pub(super) fn intervals(&self, from: u32, to: u32, loads: &mut Loads, out: &mut Vec<u32>) {
        let mut until = [to; WIDTHS.len()];
        for number in 1..WIDTHS.len() {
            until[number] = self.levels[number - 1].kept.min(until[number - 1]);
        }
        if let Some(stored) = &self.stored {
            let mut minutes = Vec::new();
            stored.minutes(from.div_ceil(MINUTE)..until[MINUTES].div_ceil(MINUTE), loads, &mut minutes);
            out.extend(minutes.into_iter().map(|minute| minute.saturating_add(1).saturating_mul(MINUTE)));
        }
        for ((level, width), until) in self.levels.iter().zip(WIDTHS).zip(until).rev() {
            let pieces = level.between(from.max(level.kept).div_ceil(width), until.div_ceil(width));
            out.extend(pieces.map(|piece| piece.slot.saturating_add(1).saturating_mul(width)));
        }
        let open = self.open.iter().filter(|open| open.second >= from && open.second < to);
        out.extend(open.map(|open| open.second.saturating_add(1)));
        out.sort_unstable();
        out.dedup();
    }

    /// Whether there is any observation in `[from, to)`, which is a day, as far as it is known.
    pub(super) fn any(&self, from: u32, to: u32) -> bool {
        self.newest.is_some_and(|newest| newest >= from && newest < to)
            || self.stored.as_ref().is_some_and(|stored| stored.any(minutes_within((from, to))))
            || self.open.iter().any(|open| open.second >= from && open.second < to)
            || self
                .levels
                .iter()
                .zip(WIDTHS)
                .any(|(level, width)| level.between(from.div_ceil(width), to / width).next().is_some())
    }

    /// Whether blocks may have to be read for what is in `[from, to)`.
    pub(super) fn reads_disk(&self, from: u32, to: u32) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.overlaps(minutes_within((from, to))))
    }

    /// Whether anything is being written to a block: then nothing goes for good.
    pub(super) fn is_leaving(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.is_leaving())
    }

    /// Whether pruning all before a second would drop anything from memory.
    pub(super) fn holds_before(&self, second: u32) -> bool {
        let first = |(level, width): (&Level, u32)| Some(level.first_slot()?.saturating_mul(width));
        let pieces = self.levels.iter().zip(WIDTHS).filter_map(first);
        pieces.chain(self.open.first().map(|open| open.second)).any(|first| first < second)
    }

    /// The newest second with an observation.
    pub(super) fn newest(&self) -> Option<u32> {
        self.newest
    }

    /// The oldest second that is known.
    pub(super) fn oldest(&self) -> Option<u32> {
        let pieces = self.levels.iter().zip(WIDTHS);
        let pieces = pieces.filter_map(|(level, width)| Some(level.first_slot()?.saturating_mul(width)));
        let stored = self.stored.as_ref().and_then(|stored| stored.oldest());
        pieces.chain(self.open.iter().map(|open| open.second)).chain(self.newest).chain(stored).min()
    }

    /// How many pieces and open seconds there are.
    pub(super) fn count(&self) -> u64 {
        let stored = self.stored.as_ref().map_or(0, |stored| stored.count());
        stored + (self.levels.iter().map(Level::count).sum::<usize>() + self.open.len()) as u64
    }

    /// Closes what is old enough and lets the fine levels go by age.
    pub(super) fn age(&mut self, pace: Pace) {
        let now = pace.now;
        let settled = now.saturating_sub(CLOSE_AFTER);
        self.close(self.open.partition_point(|open| open.second < settled), pace);
        self.build(settled.min(self.open.first().map_or(u32::MAX, |open| open.second)));
        for (number, over) in pace.over().into_iter().enumerate() {
            self.drop_before(number, over);
        }
        while self.levels[0].memory_bytes() + self.levels[1].memory_bytes() > DETAIL_BYTES
            && let Some(oldest) = self.levels[1].first_slot().map(|slot| slot * WIDTHS[1])
            && oldest.saturating_add(TENS_KEPT_MIN) < now
        {
            let kept = self.levels[1].kept;
            self.drop_before(1, oldest.saturating_add(600).min(now - TENS_KEPT_MIN));
            if self.levels[1].kept == kept {
                break;
            }
        }
    }

    /// Drops the pieces of a level before a second, as far as the next level has them.
    fn drop_before(&mut self, number: usize, second: u32) {
        let next = number + 1;
        let second = match (self.levels.get(next), WIDTHS.get(next)) {
            (Some(coarser), Some(width)) => second.min(coarser.built) / width * width,
            _ => second,
        };
        if let Some(level) = self.levels.get_mut(number)
            && second > level.kept
        {
            level.kept = second;
            level.drop_before(second / WIDTHS[number]);
        }
    }

    /// Drops the seconds and tens before a second; minutes and hours stay. Says how many went.
    pub(super) fn drop_fine(&mut self, second: u32) -> u64 {
        let before = self.count();
        (0..MINUTES).for_each(|number| self.drop_before(number, second));
        before - self.count()
    }

    /// Drops everything before a second from memory; says how many pieces went.
    pub(super) fn prune(&mut self, second: u32) -> u64 {
        let before = self.count();
        let second = prunes_before(second);
        self.open.retain(|open| open.second >= second);
        for (level, width) in self.levels.iter_mut().zip(WIDTHS) {
            level.drop_before(second / width);
            level.kept = level.kept.max(second);
            level.built = level.built.max(second);
        }
        before - self.count()
    }

    /// Drops everything in `[from, to)`, as if it had never been; both are whole hours, so that all levels agree.
    pub(super) fn clear(&mut self, from: u32, to: u32) {
        self.bring_back(from, to);
        self.open.retain(|open| open.second < from || open.second >= to);
        for (level, width) in self.levels.iter_mut().zip(WIDTHS) {
            level.drop_between(from / width, to / width);
        }
        if self.newest.is_some_and(|newest| newest >= from && newest < to) {
            let pieces = self.levels.iter().zip(WIDTHS);
            let pieces = pieces.filter_map(|(level, width)| Some(level.last_slot()?.saturating_mul(width)));
            let stored = self.stored.as_ref().and_then(|stored| stored.newest());
            self.newest = pieces.chain(self.open.iter().map(|open| open.second)).chain(stored).max();
        }
    }

    /// Up to where hours are built, seconds.
    pub(super) fn built_hours(&self) -> u32 {
        self.levels[HOURS].built
    }

    /// Takes out hours and their minutes.
    pub(super) fn take_hours(&mut self, hours: Range<u32>) -> Detail {
        let minutes = hours.start * HOUR_MINUTES..hours.end * HOUR_MINUTES;
        Detail { minutes: self.levels[MINUTES].take(minutes), hours: self.levels[HOURS].take(hours) }
    }

    /// Puts hours and minutes back, added to what is there; what lies before all that is kept is too old by now.
    pub(super) fn put_back(&mut self, detail: &Detail) {
        for (number, of_level) in [(MINUTES, &detail.minutes), (HOURS, &detail.hours)] {
            let (level, width) = (&mut self.levels[number], WIDTHS[number]);
            let kept = level.kept;
            for piece in of_level.pieces().filter(|piece| piece.slot.saturating_mul(width) >= kept) {
                // Pieces are made by `with_piece` alone, and lie on disk under a checksum.
                let whole = level.merge(piece);
                debug_assert!(whole.is_ok(), "a piece is whole");
            }
        }
    }

    /// How long the minutes before one are together, bytes.
    pub(super) fn minutes_bytes(&self, before: u32) -> usize {
        self.levels[MINUTES].between(0, before).map(|piece| piece.bytes.len()).sum()
    }

    /// Whether nothing is left but the memory of the newest second.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Calls back with the end (seconds) and memory of each piece of the coarsest kept detail.
    pub(super) fn sizes(&self, mut each: impl FnMut(i64, usize)) {
        for (level, width) in self.levels.iter().zip(WIDTHS) {
            for piece in level.pieces() {
                each(i64::from(piece.slot.saturating_add(1)) * i64::from(width), piece.bytes.len());
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let pieces: usize = self.levels.iter().map(Level::memory_bytes).sum();
        let stored = self.stored.as_ref().map_or(0, |stored| stored.memory_bytes());
        pieces + stored + self.open.iter().map(Open::memory_bytes).sum::<usize>()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.newest.map_or(0, |newest| u64::from(newest) + 1));
        put_varint(out, self.open.len() as u64);
        for open in &self.open {
            put_varint(out, u64::from(open.second));
            with_dense(|dense| {
                open.add_to(dense);
                dense.with_piece(|bytes| put_bytes(out, bytes));
            });
        }
        for level in &self.levels {
            put_varint(out, u64::from(level.built));
            put_varint(out, u64::from(level.kept));
            // Pieces before this slot were written smaller once.
            put_varint(out, 0);
            put_varint(out, level.count() as u64);
            let mut before = 0;
            for piece in level.pieces() {
                put_varint(out, u64::from(piece.slot - before));
                before = piece.slot;
                put_bytes(out, piece.bytes);
            }
        }
    }

    /// Whether the bytes have the outline of a layer: steps over it.
    pub(super) fn check(cursor: &mut Cursor) -> Result<(), Damaged> {
        walk(cursor, |_| {})
    }

    pub(super) fn read_from(cursor: &mut Cursor) -> Result<Layer, Damaged> {
        let mut layer = Layer::default();
        let mut open: Vec<(u32, &[u8])> = Vec::new();
        walk(cursor, |part| match part {
            Part::Newest(newest) => layer.newest = newest,
            Part::Open { second, bytes } => open.push((second, bytes)),
            Part::Level { number, built, kept } => {
                if let Some(level) = layer.levels.get_mut(number) {
                    (level.built, level.kept) = (built, kept);
                }
            }
            Part::Piece { number, slot, bytes } => {
                if let Some(level) = layer.levels.get_mut(number) {
                    level.put(Piece { slot, bytes });
                }
            }
        })?;
        // What was open continues as closed: later observations of that second are merged into its pieces.
        for (second, bytes) in open {
            for (number, level) in layer.levels.iter_mut().enumerate() {
                if second >= level.kept && (number == 0 || second < level.built) {
                    with_dense(|dense| {
                        if dense.add_piece(bytes).is_ok() {
                            level.add(second / WIDTHS[number], dense);
                        }
                    });
                }
            }
        }
        Ok(layer)
    }
}

/// The minutes that lie wholly in `[from, to)`.
fn minutes_within((from, to): (u32, u32)) -> Range<u32> {
    from.div_ceil(MINUTE)..to / MINUTE
}

/// What goes when all before a second is pruned: whole hours, so that no level knows of a part of an hour that another
/// does not.
pub(super) fn prunes_before(second: u32) -> u32 {
    second / 3600 * 3600
}

/// A part of the bytes of a layer; see [`Layer::write`].
enum Part<'a> {
    Newest(Option<u32>),
    Open { second: u32, bytes: &'a [u8] },
    Level { number: usize, built: u32, kept: u32 },
    Piece { number: usize, slot: u32, bytes: &'a [u8] },
}

/// Walks over the parts of a layer, in the order in which they are written.
fn walk<'a>(cursor: &mut Cursor<'a>, mut each: impl FnMut(Part<'a>)) -> Result<(), Damaged> {
    each(Part::Newest(cursor.varint_u32()?.checked_sub(1)));
    for _ in 0..cursor.length(OPEN_READ_MAX)? {
        each(Part::Open { second: cursor.varint_u32()?, bytes: cursor.bytes()? });
    }
    for number in 0..WIDTHS.len() {
        each(Part::Level { number, built: cursor.varint_u32()?, kept: cursor.varint_u32()? });
        cursor.varint_u32()?;
        let mut slot = 0u32;
        for at in 0..cursor.length(1 << 24)? {
            let step = cursor.varint_u32()?;
            if step == 0 && at > 0 {
                return Err(Damaged("the slots of a distribution do not ascend"));
            }
            slot = slot.checked_add(step).ok_or(Damaged("a slot is out of range"))?;
            each(Part::Piece { number, slot, bytes: cursor.bytes()? });
        }
    }
    Ok(())
}
