//! Exemplars: single observations that stand for many, with labels that lead to where they come from (a trace).
//!
//! The newest of all series lie in one ring in memory, bounded in number and in bytes; what is new there takes the place of what
//! came first. They do not survive a restart, and outlive their series.
//! Source: `tsdb/exemplar.go` of Prometheus.
//!
//! Invariants: the exemplars of a series ascend in time; each stands in `order` once.

use std::collections::VecDeque;

use parking_lot::RwLock;
use watchfire_model::{LabelSet, Matcher, Timestamp};

use crate::batch::{BatchSeries, SampleBatch};
use crate::engine::Engine;

/// Most exemplars of all series, as with Prometheus by default.
const COUNT_MAX: usize = 100_000;
/// Most memory of them, bytes.
const BYTES_MAX: usize = 32 << 20;
/// Most characters of the names and values of an exemplar's labels, by OpenMetrics.
const LABEL_CHARS_MAX: usize = 128;
/// Memory of a label beside its texts: their places, and what stands before each text.
const LABEL_BYTES: usize = 64;
/// Memory of an exemplar or a series beside its labels.
const ENTRY_BYTES: usize = 96;

/// One observation of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Where it comes from, as `trace_id`.
    pub labels: LabelSet,
    /// What was observed.
    pub value: f64,
    /// When; of one without a time of its own, when it was seen first.
    pub at: Timestamp,
    /// Whether it has a time of its own.
    pub is_dated: bool,
}

/// Exemplars of a series, by time.
pub type SeriesExemplars = (LabelSet, Vec<Exemplar>);

impl Exemplar {
    /// Whether it is the same that was shown before.
    fn repeats(&self, before: &Exemplar) -> bool {
        let at_another_time = (self.is_dated || before.is_dated) && self.at != before.at;
        !at_another_time && self.labels == before.labels && self.value == before.value
    }

    /// Whether it may stand behind another one: later, or of the same time with another value or other labels.
    fn follows(&self, before: &Exemplar) -> bool {
        let by_value = self.value.partial_cmp(&before.value).unwrap_or(std::cmp::Ordering::Greater);
        self.at.cmp(&before.at).then(by_value).then_with(|| self.labels.cmp(&before.labels)).is_gt()
    }

    fn has_long_labels(&self) -> bool {
        let chars = self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        chars.sum::<usize>() > LABEL_CHARS_MAX
    }
}

/// See the module.
pub(crate) struct Exemplars {
    ring: RwLock<Ring>,
}

struct Ring {
    by_series: foldhash::HashMap<LabelSet, VecDeque<Exemplar>>,
    /// Whose the exemplars are, in the order in which they came.
    order: VecDeque<LabelSet>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

/// Memory of labels, about.
fn bytes_of(labels: &LabelSet) -> usize {
    ENTRY_BYTES + labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_BYTES).sum::<usize>()
}

impl Default for Exemplars {
    fn default() -> Exemplars {
        Exemplars { ring: RwLock::new(Ring::new(COUNT_MAX, BYTES_MAX)) }
    }
}

impl Ring {
    fn new(count_max: usize, bytes_max: usize) -> Ring {
        Ring { by_series: foldhash::HashMap::default(), order: VecDeque::new(), bytes: 0, count_max, bytes_max }
    }

    /// Takes an exemplar; says whether it is here now. What is out of order, or has labels that are too long, is not.
    fn add(&mut self, series: &LabelSet, exemplar: Exemplar) -> bool {
        if exemplar.has_long_labels() {
            return false;
        }
        if let Some(before) = self.by_series.get(series).and_then(|have| have.back()) {
            if exemplar.repeats(before) {
                return true;
            }
            if !exemplar.follows(before) {
                return false;
            }
        }
        self.bytes += bytes_of(&exemplar.labels);
        match self.by_series.get_mut(series) {
            Some(have) => have.push_back(exemplar),
            None => {
                self.bytes += bytes_of(series);
                self.by_series.insert(series.clone(), VecDeque::from([exemplar]));
            }
        }
        self.order.push_back(series.clone());
        while self.order.len() > self.count_max || (self.bytes > self.bytes_max && self.order.len() > 1) {
            self.drop_first();
        }
        true
    }

    fn drop_first(&mut self) {
        let Some(series) = self.order.pop_front() else { return };
        let Some(have) = self.by_series.get_mut(&series) else { return };
        self.bytes -= have.pop_front().map_or(0, |exemplar| bytes_of(&exemplar.labels));
        if have.is_empty() {
            self.by_series.remove(&series);
            self.bytes -= bytes_of(&series);
        }
    }

    fn select(&self, selectors: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Vec<SeriesExemplars> {
        let is_asked = |labels: &LabelSet| {
            selectors.iter().any(|matchers| matchers.iter().all(|matcher| matcher.matches_labels(labels)))
        };
        let mut found = Vec::new();
        for (labels, have) in &self.by_series {
            let from = have.partition_point(|exemplar| exemplar.at < start);
            let until = have.partition_point(|exemplar| exemplar.at <= end);
            if from < until && is_asked(labels) {
                found.push((labels.clone(), have.range(from..until).cloned().collect()));
            }
        }
        found.sort_unstable_by(|a: &SeriesExemplars, b| a.0.cmp(&b.0));
        found
    }
}

impl SampleBatch {
    /// Adds an exemplar to a series of the batch. It is kept if the series has samples, here or in the engine.
    pub fn push_exemplar(&mut self, series: BatchSeries, exemplar: Exemplar) {
        self.exemplars.push((series, exemplar));
    }
}

impl Engine {
    /// The exemplars of the series that one of these selectors finds, from `start` to `end`, both included; by the labels of
    /// the series.
    pub fn exemplars(&self, selectors: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Vec<SeriesExemplars> {
        self.exemplars.ring.read().select(selectors, start, end)
    }

    /// Keeps those of a batch whose samples are stored; says how many are here now.
    pub(crate) fn keep_exemplars(&self, batch: &SampleBatch, is_series: impl Fn(BatchSeries) -> bool) -> u64 {
        let mut named: Option<(BatchSeries, LabelSet)> = None;
        let mut kept = 0;
        for (series, exemplar) in batch.exemplars.iter().filter(|(series, _)| is_series(*series)) {
            let labels = match &named {
                Some((last, labels)) if last == series => labels,
                _ => &named.insert((*series, self.labels_of_series(batch, *series))).1,
            };
            kept += u64::from(self.exemplars.ring.write().add(labels, exemplar.clone()));
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied()).expect("labels")
    }

    fn exemplar(at: i64, value: f64, id: &str) -> Exemplar {
        let labels = labels(&[("trace_id", id)]);
        Exemplar { labels, value, at: Timestamp::from_millis(at), is_dated: true }
    }

    fn told(ring: &Ring, selector: Matcher, from: i64, until: i64) -> Vec<(String, Vec<i64>)> {
        let (start, end) = (Timestamp::from_millis(from), Timestamp::from_millis(until));
        let times = |all: Vec<Exemplar>| all.iter().map(|exemplar| exemplar.at.millis()).collect();
        let found = ring.select(&[vec![selector]], start, end);
        found.into_iter().map(|(labels, all)| (labels.metric_name().to_owned(), times(all))).collect()
    }

    #[test]
    fn exemplars_stand_in_order_and_once() {
        let (mut ring, series) = (Ring::new(10, 1 << 20), labels(&[("__name__", "hits")]));
        let undated = |at, id| Exemplar { is_dated: false, ..exemplar(at, 1.0, id) };
        let long = "x".repeat(LABEL_CHARS_MAX);
        for (given, is_here) in [
            (exemplar(10, 1.0, "a"), true),
            (exemplar(10, 1.0, "a"), true),
            (exemplar(10, 0.5, "b"), false),
            (exemplar(10, 2.0, "c"), true),
            (exemplar(9, 3.0, "d"), false),
            (exemplar(11, 3.0, &long), false),
            (undated(20, "e"), true),
            (undated(30, "e"), true),
            (undated(40, "f"), true),
        ] {
            assert_eq!(ring.add(&series, given.clone()), is_here, "{given:?}");
        }
        let all = Matcher::equal("__name__", "hits");
        assert_eq!(told(&ring, all.clone(), 0, 100), [("hits".to_owned(), vec![10, 10, 20, 40])]);
        assert_eq!(told(&ring, all.clone(), 20, 20), [("hits".to_owned(), vec![20])]);
        assert_eq!(told(&ring, all, 21, 39), []);
        assert_eq!(told(&ring, Matcher::equal("__name__", "other"), 0, 100), []);
    }

    #[test]
    fn the_first_make_room_and_memory_is_bounded() {
        let series = |number: i64| labels(&[("__name__", "hits"), ("number", &number.to_string())]);
        let all = Matcher::equal("__name__", "hits");
        let mut ring = Ring::new(3, 1 << 20);
        for number in 0..5 {
            assert!(ring.add(&series(number % 2), exemplar(number, 1.0, "a")));
        }
        assert_eq!(told(&ring, all.clone(), 0, 9), [("hits".to_owned(), vec![2, 4]), ("hits".to_owned(), vec![3])]);
        let mut ring = Ring::new(1000, 4000);
        for number in 0..500 {
            assert!(ring.add(&series(number), exemplar(number, 1.0, "a")));
            assert!(ring.bytes <= 4000 && ring.by_series.len() == ring.order.len());
        }
        assert!(ring.order.len() > 3);
        while !ring.order.is_empty() {
            ring.drop_first();
        }
        assert_eq!((ring.bytes, ring.by_series.len()), (0, 0));
    }
}
