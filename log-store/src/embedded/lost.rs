//! Records that were accepted and never came: the queue's file was damaged before they were taken from it.
//!
//! Each record has a number, and they come without gaps. So a gap is a loss, and a total over a time in which a lost
//! record may lie is not exact. When they happened nobody knows any more; most records happen about when those before
//! and after them in the queue do, so a day on either side of these is taken.

use super::shared::DAY_MS;
use crate::sealed::wire::{Wire, WireError, put_signed, put_varint};
use crate::search::TimeRange;

/// Lost records lie this much before and after their neighbours at most, we take it.
const MARGIN_MS: i64 = DAY_MS;
/// Stretches that are told apart; beyond it the oldest become one.
const STRETCHES_MAX: usize = 1024;

/// A stretch of the queue of which records are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Offsets `start..end`.
    pub start: u64,
    pub end: u64,
    /// How many of them are missing.
    pub records: u64,
    /// Earliest and latest time of its neighbours, milliseconds.
    pub time_min: i64,
    pub time_max: i64,
}

impl Lost {
    /// Whether one of them may lie in a range of event times.
    pub fn may_be_in(&self, range: TimeRange) -> bool {
        self.time_min.saturating_sub(MARGIN_MS) < range.end.millis()
            && range.start.millis() <= self.time_max.saturating_add(MARGIN_MS)
    }

    /// Whether all of them lie before a time, milliseconds.
    pub fn is_before(&self, oldest: i64) -> bool {
        self.time_max.saturating_add(MARGIN_MS) < oldest
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.start);
        put_varint(out, self.end);
        put_varint(out, self.records);
        put_signed(out, self.time_min);
        put_signed(out, self.time_max);
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Lost, WireError> {
        Ok(Lost {
            start: wire.varint()?,
            end: wire.varint()?,
            records: wire.varint()?,
            time_min: wire.signed()?,
            time_max: wire.signed()?,
        })
    }
}

/// Adds a stretch to those that are known, which are in the order of the queue.
pub(crate) fn add(known: &mut Vec<Lost>, lost: Lost) {
    if known.iter().any(|other| other.start <= lost.start && lost.end <= other.end) {
        return;
    }
    let at = known.partition_point(|other| other.start < lost.start);
    known.insert(at, lost);
    if known.len() > STRETCHES_MAX {
        let second = known.remove(1);
        if let Some(first) = known.first_mut() {
            first.end = first.end.max(second.end);
            first.records = first.records.saturating_add(second.records);
            first.time_min = first.time_min.min(second.time_min);
            first.time_max = first.time_max.max(second.time_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::Timestamp;

    fn lost(start: u64, time_ms: i64) -> Lost {
        Lost { start, end: start + 2, records: 1, time_min: time_ms, time_max: time_ms + 5 }
    }

    #[test]
    fn ranges_within_a_day_of_the_neighbours_may_lack_records() {
        let of =
            |start: i64, end: i64| TimeRange { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) };
        let lost = lost(7, 10 * DAY_MS);
        assert!(lost.may_be_in(TimeRange::ALL));
        assert!(lost.may_be_in(of(10 * DAY_MS, 10 * DAY_MS + 1)));
        assert!(lost.may_be_in(of(0, 9 * DAY_MS + 1)) && !lost.may_be_in(of(0, 9 * DAY_MS)));
        assert!(lost.may_be_in(of(11 * DAY_MS + 5, i64::MAX)) && !lost.may_be_in(of(11 * DAY_MS + 6, i64::MAX)));
        assert!(!lost.is_before(11 * DAY_MS + 5) && lost.is_before(11 * DAY_MS + 6));
    }

    #[test]
    fn many_stretches_become_fewer_and_none_is_forgotten() {
        let mut known = Vec::new();
        for number in (0..3000).rev() {
            add(&mut known, lost(number * 10, number as i64 * DAY_MS));
            add(&mut known, lost(number * 10, number as i64 * DAY_MS));
        }
        assert_eq!(known.len(), STRETCHES_MAX);
        assert_eq!(known.iter().map(|lost| lost.records).sum::<u64>(), 3000);
        assert!(known.is_sorted_by_key(|lost| lost.start));
        assert_eq!(known.first().map(|first| (first.start, first.time_min)), Some((0, 0)));
    }
}
