//! Events of one series: those that count live, and those that came late.
//!
//! Late ones (dated by event time) are in windows and sums, not in the running total. A window `(start, end]`
//! is read in buckets of whole seconds: its end rounds up to the second, its length stays. So on whole seconds
//! it is the exact left-open window, and live it sees the current second.

use watchfire_model::{Sample, Timestamp};

use crate::bytes::{Cursor, Damaged};
use crate::chunk::Codec;
use crate::cumulative::Cumulative;
use crate::limits::bucket_second;
use crate::series::Layers;

/// A window without events is 0, and not absent, this long after the last one.
pub(crate) const QUIET_SECONDS: u32 = 86_400;

/// The events of one series.
#[derive(Default)]
pub(crate) struct Increments {
    live: Cumulative,
    late: Option<Box<Cumulative>>,
}

/// The seconds of a window: `after < second <= last`.
pub(crate) fn seconds_of(start: Timestamp, end: Timestamp) -> (i64, u32) {
    let last = bucket_second(end);
    let length_ms = end.since(start).max(0);
    ((i64::from(last) * 1000).saturating_sub(length_ms).div_euclid(1000), last)
}

impl Increments {
    pub(crate) fn add(&mut self, second: u32, count: f64, late: bool, codec: &mut Codec) {
        if late {
            self.late.get_or_insert_default().add(second, count, codec);
        } else {
            self.live.add(second, count, codec);
        }
    }

    fn layers(&self, which: Layers) -> impl Iterator<Item = &Cumulative> {
        std::iter::once(&self.live).chain(self.late_of(which))
    }

    fn late_of(&self, which: Layers) -> Option<&Cumulative> {
        self.late.as_deref().filter(|_| which == Layers::All)
    }

    /// Events of the window; `None` if the series had none in the 24 h before its end.
    pub(crate) fn increase(&self, start: Timestamp, end: Timestamp, layers: Layers, codec: &mut Codec) -> Option<f64> {
        let (after, last) = seconds_of(start, end);
        let (mut sum, mut latest) = (0.0, None);
        for layer in self.layers(layers) {
            let standing = layer.at(last, codec);
            sum += standing.total - layer.total_before(after, codec);
            latest = latest.max(standing.last);
        }
        latest.filter(|second| second.saturating_add(QUIET_SECONDS) > last).map(|_| sum)
    }

    /// Appends (end of the second, count) for each second of the window with events.
    pub(crate) fn buckets(
        &self,
        start: Timestamp,
        end: Timestamp,
        layers: Layers,
        codec: &mut Codec,
        out: &mut Vec<(Timestamp, f64)>,
    ) {
        let (after, last) = seconds_of(start, end);
        let mut all = Vec::new();
        self.live.buckets(after, i64::from(last), codec, &mut all);
        if let Some(late) = self.late_of(layers) {
            let live = all.len();
            late.buckets(after, i64::from(last), codec, &mut all);
            if all.len() > live {
                all.sort_by_key(|(second, _)| *second);
                all.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 += next.1;
                    }
                    same
                });
            }
        }
        out.extend(all.into_iter().map(|(second, count)| (end_of(second), count)));
    }

    /// The running total at a time, the current second with it; `None` before the first live event.
    pub(crate) fn total_at(&self, at: Timestamp, codec: &mut Codec) -> Option<f64> {
        let standing = self.live.at(bucket_second(at), codec);
        standing.last.map(|_| standing.total)
    }

    /// Appends the running total at the end of each second with events, `start < time <= end`.
    pub(crate) fn totals(&self, start: Timestamp, end: Timestamp, codec: &mut Codec, out: &mut Vec<Sample>) {
        let (after, last) = (start.millis().div_euclid(1000), end.millis().div_euclid(1000));
        let mut all = Vec::new();
        self.live.buckets(after, last, codec, &mut all);
        let mut total = self.live.total_before(after, codec);
        out.extend(all.into_iter().map(|(second, count)| {
            total += count;
            Sample { timestamp: end_of(second), value: total }
        }));
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
        self.live.prune(horizon) + self.late.as_mut().map_or(0, |late| late.prune(horizon))
    }

    /// Calls back with the end (milliseconds) and memory of each packed chunk.
    pub(crate) fn packed_sizes(&self, mut each: impl FnMut(i64, usize)) {
        self.layers(Layers::All).for_each(|layer| layer.packed_sizes(|end, bytes| each(end * 1000, bytes)));
    }

    pub(crate) fn compact(&mut self, codec: &mut Codec) {
        self.live.compact(codec);
        if let Some(late) = &mut self.late {
            late.compact(codec);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let late = self.late.as_ref().map_or(0, |late| size_of::<Cumulative>() + late.memory_bytes());
        size_of::<Increments>() + self.live.memory_bytes() + late
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.live.write(out);
        out.push(u8::from(self.late.is_some()));
        if let Some(late) = &self.late {
            late.write(out);
        }
    }

    pub(crate) fn read_from(cursor: &mut Cursor, codec: &mut Codec) -> Result<Increments, Damaged> {
        let live = Cumulative::read_from(cursor, codec)?;
        let late = if cursor.u8()? == 1 { Some(Box::new(Cumulative::read_from(cursor, codec)?)) } else { None };
        Ok(Increments { live, late })
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
            let (mut increments, mut codec) = (Increments::default(), Codec::default());
            for (at, count, late) in &events {
                increments.add(bucket_second(Timestamp::from_millis(*at)), f64::from(*count), *late, &mut codec);
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
                prop_assert_eq!(increments.increase(start, end, Layers::All, &mut codec), had_any.then(|| sum(true, &inside)));
                let had_live = events.iter().any(|(at, _, late)| !late && before(*at));
                prop_assert_eq!(increments.increase(start, end, Layers::Live, &mut codec), had_live.then(|| sum(false, &inside)));
                let mut live = Vec::new();
                increments.buckets(start, end, Layers::Live, &mut codec, &mut live);
                prop_assert_eq!(live.iter().map(|(_, count)| count).sum::<f64>(), sum(false, &inside));
                prop_assert_eq!(increments.overlaps(end, Layers::Live), had_live);
                prop_assert_eq!(increments.total_at(end, &mut codec), had_live.then(|| sum(false, &before)));
                let mut buckets = Vec::new();
                increments.buckets(start, end, Layers::All, &mut codec, &mut buckets);
                prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert_eq!(buckets.iter().map(|(_, count)| count).sum::<f64>(), sum(true, &inside));
                let mut totals = Vec::new();
                increments.totals(start, end, &mut codec, &mut totals);
                for sample in totals {
                    prop_assert!(sample.timestamp > start && sample.timestamp <= end);
                    prop_assert_eq!(Some(sample.value), increments.total_at(sample.timestamp, &mut codec));
                }
            }
        }
    }

    #[test]
    fn quiet_is_zero_for_a_day_and_then_absent() {
        let (mut increments, mut codec) = (Increments::default(), Codec::default());
        increments.add(1_000_000, 3.0, false, &mut codec);
        let increase = |increments: &Increments, end: i64, codec: &mut Codec| {
            increments.increase(Timestamp::from_millis(end - 60_000), Timestamp::from_millis(end), Layers::All, codec)
        };
        assert_eq!(increase(&increments, 999_999_000, &mut codec), None);
        assert_eq!(increase(&increments, 999_999_001, &mut codec), Some(3.0), "the current second is seen");
        assert_eq!(increase(&increments, 1_000_059_000, &mut codec), Some(3.0));
        assert_eq!(increase(&increments, 1_000_060_000, &mut codec), Some(0.0));
        assert_eq!(increase(&increments, 1_086_399_000, &mut codec), Some(0.0));
        assert_eq!(increase(&increments, 1_086_400_000, &mut codec), None);
        increments.prune(1_080_000_000);
        assert_eq!(increase(&increments, 1_086_399_000, &mut codec), Some(0.0), "pruned, but remembered");
        assert_eq!(increments.total_at(Timestamp::from_millis(1_086_399_000), &mut codec), Some(3.0));
    }
}
