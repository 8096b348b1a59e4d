//! When which rules are due.
//!
//! Rules of one group with one interval are a *batch*: they are evaluated together, at one time. The times of a
//! batch are the multiples of its interval, moved by an offset in `[0, interval)` that is a hash of the
//! group's file and name: groups spread over the interval, and a restart or reload does not move them. A
//! batch that is late is evaluated once, for the newest of its times; the others are counted as missed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use watchfire_model::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// A clock that goes back by more than this is set, not slewed, and the times are laid out anew.
const SET_BACK_MS: i64 = 1000;

/// When one batch is due.
#[derive(Clone, Copy, Debug)]
struct Times {
    interval_ms: i64,
    offset_ms: i64,
}

impl Times {
    /// The first time of the batch that is later than `now`.
    fn after(self, now: Timestamp) -> Timestamp {
        let since = now.millis().saturating_sub(self.offset_ms);
        let slot = since.div_euclid(self.interval_ms).saturating_add(1);
        Timestamp::from_millis(slot.saturating_mul(self.interval_ms).saturating_add(self.offset_ms))
    }
}

/// A batch to evaluate now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Which, by the order in which they were added.
    pub batch: usize,
    /// The time to evaluate it at: the newest of its times that is not later than now.
    pub at: Timestamp,
    /// How many of its times before that were passed over.
    pub missed: u64,
}

/// The next time of every batch.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    times: Vec<Times>,
    next: BinaryHeap<Reverse<(Timestamp, usize)>>,
    newest_now: Option<Timestamp>,
}

impl Schedule {
    /// Adds a batch; its first time is the next one after `now`.
    pub fn add(&mut self, file: &str, group: &str, interval_ms: i64, now: Timestamp) {
        let interval_ms = interval_ms.max(1);
        let hash = xxh3_64(format!("{file}\0{group}").as_bytes());
        let offset_ms = i64::try_from(hash % interval_ms.unsigned_abs()).unwrap_or(0);
        let times = Times { interval_ms, offset_ms };
        self.next.push(Reverse((times.after(now), self.times.len())));
        self.times.push(times);
    }

    /// When the next batch is due; `now` at the earliest.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.was_set_back(now) {
            return (!self.times.is_empty()).then_some(now);
        }
        self.next.peek().map(|Reverse((at, _))| (*at).max(now))
    }

    /// Takes a batch that is due, and plans its next time.
    pub fn pop(&mut self, now: Timestamp) -> Option<Due> {
        if self.was_set_back(now) {
            self.next = self.times.iter().enumerate().map(|(at, times)| Reverse((times.after(now), at))).collect();
            self.newest_now = None;
        }
        self.newest_now = self.newest_now.max(Some(now));
        let Reverse((planned, batch)) = self.next.peek().copied()?;
        if planned > now {
            return None;
        }
        self.next.pop();
        let times = *self.times.get(batch)?;
        let next = times.after(now);
        self.next.push(Reverse((next, batch)));
        let at = next.plus_millis(-times.interval_ms);
        let missed = at.since(planned) / times.interval_ms;
        Some(Due { batch, at, missed: missed.unsigned_abs() })
    }

    fn was_set_back(&self, now: Timestamp) -> bool {
        self.newest_now.is_some_and(|newest| newest.since(now) > SET_BACK_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn schedule(interval_ms: i64) -> (Schedule, i64) {
        let mut schedule = Schedule::default();
        schedule.add("dir/a.json", "a", interval_ms, at(0));
        let first = schedule.next_due(at(0)).expect("a batch");
        (schedule, first.millis())
    }

    #[test]
    fn evaluates_at_aligned_times() {
        let (mut schedule, first) = schedule(1000);
        assert!((1..=1000).contains(&first));
        assert_eq!(schedule.pop(at(first - 1)), None);
        assert_eq!(schedule.pop(at(first + 3)), Some(Due { batch: 0, at: at(first), missed: 0 }));
        assert_eq!(schedule.pop(at(first + 3)), None);
        assert_eq!(schedule.next_due(at(first + 3)), Some(at(first + 1000)));
        let again = super::Schedule::default();
        assert_eq!(again.next_due(at(0)), None, "without batches nothing is due");
    }

    #[test]
    fn a_late_batch_skips_and_counts_what_it_missed() {
        let (mut schedule, first) = schedule(100);
        let due = schedule.pop(at(first + 350));
        assert_eq!(due, Some(Due { batch: 0, at: at(first + 300), missed: 3 }));
        assert_eq!(schedule.next_due(at(first + 350)), Some(at(first + 400)));
    }

    #[test]
    fn a_clock_set_back_does_not_silence_the_rules() {
        let (mut schedule, first) = schedule(1000);
        assert!(schedule.pop(at(first + 86_400_000)).is_some());
        assert_eq!(schedule.next_due(at(first + 500)), Some(at(first + 500)));
        assert_eq!(schedule.pop(at(first + 500)), None);
        assert_eq!(schedule.next_due(at(first + 500)), Some(at(first + 1000)));
    }

    #[test]
    fn groups_spread_over_the_interval() {
        let mut schedule = Schedule::default();
        for n in 0..100 {
            schedule.add(&format!("{n}.json"), &n.to_string(), 10_000, at(0));
        }
        let first_half = std::iter::from_fn(|| schedule.pop(at(5000))).count();
        assert!((25..=75).contains(&first_half), "{first_half}");
    }
}
