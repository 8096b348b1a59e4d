//! Events of one series: those that count live, those that came late, and those that a backfill put in.
//!
//! The latter two (dated by event time) are in windows and sums, not in the running total. A window `(start, end]`
//! is read in buckets of whole seconds: its end rounds up to the second, its length stays. So on whole seconds
//! it is the exact left-open window, and live it sees the current second.

use watchfire_model::{Sample, Timestamp};

use crate::blocks::{Blocks, Loads};
use crate::bytes::{Cursor, Damaged};
use crate::chunk::Codec;
use crate::cumulative::{Cumulative, add_up};
use crate::limits::bucket_second;
use crate::series::{Dated, Layers};

/// A window without events is 0, and not absent, this long after the last one.
pub(crate) const QUIET_SECONDS: u32 = 86_400;

/// The events of one series.
#[derive(Default)]
pub(crate) struct Increments {
    live: Cumulative,
    late: Option<Box<Cumulative>>,
    filled: Option<Box<Cumulative>>,
}

/// Events of some seconds, by how they are dated.
pub(crate) struct Sums {
    pub(crate) live: f64,
    pub(crate) late: f64,
    pub(crate) filled: f64,
    /// Nothing of these seconds was pruned.
    pub(crate) whole: bool,
}

/// Which layers beside the live one a piece of bytes has.
pub(crate) const HAS_LATE: u8 = 1;
pub(crate) const HAS_FILLED: u8 = 2;
/// The layers, and which of them have something in blocks.
pub(crate) const STORED_BITS: [(u8, Dated); 3] = [(1, Dated::Live), (2, Dated::Late), (4, Dated::Filled)];

/// The seconds of a window: `after < second <= last`.
pub(crate) fn seconds_of(start: Timestamp, end: Timestamp) -> (i64, u32) {
    let last = bucket_second(end);
    let length_ms = end.since(start).max(0);
    ((i64::from(last) * 1000).saturating_sub(length_ms).div_euclid(1000), last)
}

impl Increments {
    pub(crate) fn add(&mut self, second: u32, count: f64, dated: Dated, codec: &mut Codec) {
        match dated {
            Dated::Live => self.live.add(second, count, codec),
            Dated::Late => self.late.get_or_insert_default().add(second, count, codec),
            Dated::Filled => self.filled.get_or_insert_default().add(second, count, codec),
        }
    }

    /// Takes out what backfills put into the seconds `after < second <= until`.
    pub(crate) fn clear_filled(&mut self, after: u32, until: u32, codec: &mut Codec) {
        if let Some(filled) = &mut self.filled {
            filled.clear(i64::from(after), i64::from(until), codec);
            if filled.newest().is_none() {
                self.filled = None;
            }
        }
    }

    /// The layers beside the live one.
    fn past(&self) -> impl Iterator<Item = &Cumulative> {
        [&self.late, &self.filled].into_iter().flatten().map(Box::as_ref)
    }

    fn past_mut(&mut self) -> impl Iterator<Item = &mut Cumulative> {
        [&mut self.late, &mut self.filled].into_iter().flatten().map(Box::as_mut)
    }

    fn layers(&self, which: Layers) -> impl Iterator<Item = &Cumulative> {
        std::iter::once(&self.live).chain(self.past().filter(move |_| which == Layers::All))
    }

    /// A layer of its own; `None` if nothing of it ever came.
    pub(crate) fn layer(&self, dated: Dated) -> Option<&Cumulative> {
        match dated {
            Dated::Live => Some(&self.live),
            Dated::Late => self.late.as_deref(),
            Dated::Filled => self.filled.as_deref(),
        }
    }

    pub(crate) fn layer_mut(&mut self, dated: Dated) -> Option<&mut Cumulative> {
        match dated {
            Dated::Live => Some(&mut self.live),
            Dated::Late => self.late.as_deref_mut(),
            Dated::Filled => self.filled.as_deref_mut(),
        }
    }

    /// The events of `start < second <= end` (both rounded up to seconds), by how they are dated.
    pub(crate) fn sums(&self, start: Timestamp, end: Timestamp, loads: &mut Loads, codec: &mut Codec) -> Sums {
        let (after, last) = (i64::from(bucket_second(start)), i64::from(bucket_second(end)));
        let mut buckets = Vec::new();
        let mut whole =
            self.layers(Layers::All).all(|layer| layer.pruned().is_none_or(|second| i64::from(second) <= after));
        let mut sum = |layer: &Cumulative| {
            buckets.clear();
            whole &= layer.buckets(after, last, loads, codec, &mut buckets);
            // Of nothing, `sum` makes a negative zero.
            buckets.iter().fold(0.0, |sum, (_, count)| sum + count)
        };
        let live = sum(&self.live);
        let late = self.late.as_deref().map_or(0.0, &mut sum);
        let filled = self.filled.as_deref().map_or(0.0, &mut sum);
        Sums { live, late, filled, whole }
    }

    /// Events of the window; `None` if the series had none in it, nor in the 24 h before its end.
    pub(crate) fn increase(
        &self,
        start: Timestamp,
        end: Timestamp,
        layers: Layers,
        loads: &mut Loads,
        codec: &mut Codec,
    ) -> Option<f64> {
        let (after, last) = seconds_of(start, end);
        let (mut sum, mut latest) = (0.0, None);
        for layer in self.layers(layers) {
            let window = layer.window(after, last, loads, codec);
            sum += window.total;
            latest = latest.max(window.last);
        }
        let is_seen = |second: &u32| i64::from(*second) > after || second.saturating_add(QUIET_SECONDS) > last;
        latest.filter(is_seen).map(|_| sum)
    }

    /// Appends (end of the second, count) for each second of the window with events.
    pub(crate) fn buckets(
        &self,
        start: Timestamp,
        end: Timestamp,
        layers: Layers,
        loads: &mut Loads,
        codec: &mut Codec,
        out: &mut Vec<(Timestamp, f64)>,
    ) {
        let (after, last) = seconds_of(start, end);
        let mut all = Vec::new();
        self.live.buckets(after, i64::from(last), loads, codec, &mut all);
        let live = all.len();
        for layer in self.layers(layers).skip(1) {
            layer.buckets(after, i64::from(last), loads, codec, &mut all);
        }
        if all.len() > live {
            add_up(&mut all);
        }
        out.extend(all.into_iter().map(|(second, count)| (end_of(second), count)));
    }

    /// The running total at a time, the current second with it; `None` before the first live event.
    pub(crate) fn total_at(&self, at: Timestamp, loads: &mut Loads, codec: &mut Codec) -> Option<f64> {
        let standing = self.live.at(bucket_second(at), loads, codec);
        standing.last.map(|_| standing.total)
    }

    /// Appends the running total at the end of each second with events, `start < time <= end`.
    pub(crate) fn totals(
        &self,
        start: Timestamp,
        end: Timestamp,
        loads: &mut Loads,
        codec: &mut Codec,
        out: &mut Vec<Sample>,
    ) {
        let (after, last) = (start.millis().div_euclid(1000), end.millis().div_euclid(1000));
        let mut all = Vec::new();
        self.live.buckets(after, last, loads, codec, &mut all);
        let mut total = self.live.total_before(after, loads, codec);
        out.extend(all.into_iter().map(|(second, count)| {
            total += count;
            Sample { timestamp: end_of(second), value: total }
        }));
    }

    /// Whether a query of this window may have to read a disk.
    pub(crate) fn reads_disk(&self, start: Timestamp, end: Timestamp) -> bool {
        let (after, last) = seconds_of(start, end);
        self.layers(Layers::All).any(|layer| layer.reads_disk(after, i64::from(last)))
    }

    /// Whether a query of this window can see the series: from its first event on, for ever.
    pub(crate) fn overlaps(&self, end: Timestamp, layers: Layers) -> bool {
        let last = bucket_second(end);
        self.layers(layers).any(|layer| layer.oldest().is_some_and(|oldest| oldest <= last))
    }

    /// The newest second with an event.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.layers(Layers::All).filter_map(Cumulative::newest).max()
    }

    /// How many seconds are kept in detail.
    pub(crate) fn count(&self) -> u64 {
        self.layers(Layers::All).map(Cumulative::count).sum()
    }

    pub(crate) fn has_buckets(&self) -> bool {
        self.layers(Layers::All).any(Cumulative::has_buckets)
    }

    /// Forgets the detail of seconds before a time (milliseconds); the running total stays.
    pub(crate) fn prune(&mut self, horizon: i64) -> u64 {
        let horizon = horizon.div_euclid(1000);
        self.live.prune(horizon) + self.past_mut().map(|layer| layer.prune(horizon)).sum::<u64>()
    }

    /// Forgets the detail in memory of seconds before a time (milliseconds), which cannot go to blocks.
    pub(crate) fn drop_from_memory(&mut self, horizon: i64) -> u64 {
        let horizon = horizon.div_euclid(1000);
        self.live.drop_from_memory(horizon) + self.past_mut().map(|layer| layer.drop_from_memory(horizon)).sum::<u64>()
    }

    /// The series has left: nothing on disk is named any more.
    pub(crate) fn leave_disk(&mut self) {
        self.live.leave_disk();
        self.past_mut().for_each(Cumulative::leave_disk);
    }

    /// Calls back with the end (milliseconds) and memory of each packed chunk.
    pub(crate) fn packed_sizes(&self, mut each: impl FnMut(i64, usize)) {
        self.layers(Layers::All).for_each(|layer| layer.packed_sizes(|end, bytes| each(end * 1000, bytes)));
    }

    pub(crate) fn compact(&mut self, codec: &mut Codec) {
        self.live.compact(codec);
        self.past_mut().for_each(|layer| layer.compact(codec));
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let past: usize = self.past().map(|layer| size_of::<Cumulative>() + layer.memory_bytes()).sum();
        size_of::<Increments>() + self.live.memory_bytes() + past
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.live.write(out);
        let late = if self.late.is_some() { HAS_LATE } else { 0 };
        let filled = if self.filled.is_some() { HAS_FILLED } else { 0 };
        out.push(late | filled);
        self.past().for_each(|layer| layer.write(out));
    }

    pub(crate) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Increments, Damaged> {
        let live = Cumulative::read_from(cursor, codec)?;
        let has = cursor.u8()?;
        let mut layer = |bit: u8| {
            let there = has & bit != 0;
            there.then(|| Cumulative::read_from(cursor, codec).map(Box::new)).transpose()
        };
        Ok(Increments { live, late: layer(HAS_LATE)?, filled: layer(HAS_FILLED)? })
    }

    /// Whether anything of it lies in blocks.
    pub(crate) fn has_stored(&self) -> bool {
        self.layers(Layers::All).any(Cumulative::has_stored)
    }

    /// Appends, for a snapshot, where the rest of it lies.
    ///
    /// ```text
    /// u8: 1 of those counted live, 2 of late ones, 4 of filled ones | of each of these: see `cumulative::stored`
    /// ```
    pub(crate) fn write_stored(&self, out: &mut Vec<u8>) {
        let has =
            |(bit, dated): &(u8, Dated)| self.layer(*dated).is_some_and(|layer| layer.has_stored()).then_some(*bit);
        out.push(STORED_BITS.iter().filter_map(has).sum());
        let layers = STORED_BITS.iter().filter_map(|(_, dated)| self.layer(*dated));
        layers.for_each(|layer| layer.write_stored(out));
    }

    /// Reads what `write_stored` wrote, to what `write` wrote.
    pub(crate) fn read_stored(
        &mut self,
        cursor: &mut Cursor,
        codec: &mut Codec,
        blocks: &Blocks,
    ) -> Result<(), Damaged> {
        let has = cursor.u8()?;
        for (_, dated) in STORED_BITS.iter().filter(|(bit, _)| has & bit != 0) {
            let layer = self.layer_mut(*dated).ok_or(Damaged("nothing in memory stands behind what lies in blocks"))?;
            layer.read_stored(cursor, codec, blocks)?;
        }
        Ok(())
    }
}

fn end_of(second: u32) -> Timestamp {
    Timestamp::from_millis(i64::from(second) * 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition itself, event by event.
        #[test]
        fn windows_count_events(
            events in prop::collection::vec((1_000i64..90_000, 1u8..5, any::<bool>()), 0..200),
            windows in prop::collection::vec((0i64..90_000, 0i64..50_000), 1..20),
        ) {
            let (mut increments, mut loads, mut codec) = (Increments::default(), Loads::default(), Codec::default());
            for (at, count, late) in &events {
                increments.add(bucket_second(Timestamp::from_millis(*at)), f64::from(*count), Dated::of(*late), &mut codec);
            }
            for (end, length) in windows {
                let (start, end) = (Timestamp::from_millis(end - length), Timestamp::from_millis(end));
                let end_second = (end.millis() + 999).div_euclid(1000);
                let inside = |at: i64| {
                    let second = (at + 999).div_euclid(1000);
                    second * 1000 > end_second * 1000 - length && second <= end_second
                };
                let sum = |late_too: bool, inside: &dyn Fn(i64) -> bool| -> f64 {
                    events.iter().filter(|(at, _, late)| (late_too || !late) && inside(*at)).map(|(_, count, _)| f64::from(*count)).sum()
                };
                let before = |at: i64| (at + 999).div_euclid(1000) <= end_second;
                let had_any = events.iter().any(|(at, ..)| before(*at));
                prop_assert_eq!(increments.increase(start, end, Layers::All, &mut loads, &mut codec), had_any.then(|| sum(true, &inside)));
                let had_live = events.iter().any(|(at, _, late)| !late && before(*at));
                prop_assert_eq!(increments.increase(start, end, Layers::Live, &mut loads, &mut codec), had_live.then(|| sum(false, &inside)));
                let mut live = Vec::new();
                increments.buckets(start, end, Layers::Live, &mut loads, &mut codec, &mut live);
                prop_assert_eq!(live.iter().map(|(_, count)| count).sum::<f64>(), sum(false, &inside));
                prop_assert_eq!(increments.overlaps(end, Layers::Live), had_live);
                prop_assert_eq!(increments.total_at(end, &mut loads, &mut codec), had_live.then(|| sum(false, &before)));
                let mut buckets = Vec::new();
                increments.buckets(start, end, Layers::All, &mut loads, &mut codec, &mut buckets);
                prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert_eq!(buckets.iter().map(|(_, count)| count).sum::<f64>(), sum(true, &inside));
                let mut totals = Vec::new();
                increments.totals(start, end, &mut loads, &mut codec, &mut totals);
                for sample in totals {
                    prop_assert!(sample.timestamp > start && sample.timestamp <= end);
                    prop_assert_eq!(Some(sample.value), increments.total_at(sample.timestamp, &mut loads, &mut codec));
                }
            }
        }
    }

    #[test]
    fn quiet_is_zero_for_a_day_and_then_absent() {
        let (mut increments, mut loads, mut codec) = (Increments::default(), Loads::default(), Codec::default());
        increments.add(1_000_000, 3.0, Dated::Live, &mut codec);
        let increase = |increments: &Increments, end: i64, codec: &mut Codec| {
            increments.increase(
                Timestamp::from_millis(end - 60_000),
                Timestamp::from_millis(end),
                Layers::All,
                &mut Loads::default(),
                codec,
            )
        };
        assert_eq!(increase(&increments, 999_999_000, &mut codec), None);
        assert_eq!(increase(&increments, 999_999_001, &mut codec), Some(3.0), "the current second is seen");
        assert_eq!(increase(&increments, 1_000_059_000, &mut codec), Some(3.0));
        assert_eq!(increase(&increments, 1_000_060_000, &mut codec), Some(0.0));
        assert_eq!(increase(&increments, 1_086_399_000, &mut codec), Some(0.0));
        assert_eq!(increase(&increments, 1_086_400_000, &mut codec), None);
        let week = Timestamp::from_millis(1_604_800_000 - 100_000);
        let of_week = increments.increase(week.plus_millis(-604_800_000), week, Layers::All, &mut loads, &mut codec);
        assert_eq!(of_week, Some(3.0), "what a window has is never absent");
        increments.prune(1_080_000_000);
        assert_eq!(increase(&increments, 1_086_399_000, &mut codec), Some(0.0), "pruned, but remembered");
        assert_eq!(increments.total_at(Timestamp::from_millis(1_086_399_000), &mut loads, &mut codec), Some(3.0));
    }
}
