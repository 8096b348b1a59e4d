//! The ring itself: exemplars in the order in which they came, those of each series by time, and an index of the series.
//!
//! Invariants: the exemplars of a series ascend in time; each stands in `order` once; a pair of the index has exactly the
//! series that carry it.

use std::collections::VecDeque;

use roaring::RoaringBitmap;
use watchfire_model::{LabelSet, Matcher, Timestamp};

use super::bytes::Encoder;
use super::{Exemplar, SeriesExemplars};
use crate::matching::{self, Indexed, Prepared};
use crate::paged::Paged;
use crate::pairs::Pairs;

/// Memory of a label beside its texts: their places, and what stands before each text.
const LABEL_BYTES: usize = 64;
/// Memory of an exemplar or a series beside its labels.
const ENTRY_BYTES: usize = 96;

/// A series that has exemplars.
struct OfSeries {
    labels: LabelSet,
    /// Its pairs in the index.
    pairs: Box<[u32]>,
    exemplars: VecDeque<Exemplar>,
}

/// See the module.
pub(super) struct Ring {
    by_labels: foldhash::HashMap<LabelSet, u32>,
    series: Paged<OfSeries>,
    live: RoaringBitmap,
    free: RoaringBitmap,
    index: Pairs,
    /// Whose the exemplars are, in the order in which they came.
    order: VecDeque<u32>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

/// Memory of labels, about.
fn bytes_of(labels: &LabelSet) -> usize {
    ENTRY_BYTES + labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_BYTES).sum::<usize>()
}

impl Ring {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Ring {
        Ring {
            by_labels: foldhash::HashMap::default(),
            series: Paged::default(),
            live: RoaringBitmap::new(),
            free: RoaringBitmap::new(),
            index: Pairs::default(),
            order: VecDeque::new(),
            bytes: 0,
            count_max,
            bytes_max,
        }
    }

    /// The newest exemplar of a series.
    pub(super) fn newest(&self, series: &LabelSet) -> Option<&Exemplar> {
        self.series.get(*self.by_labels.get(series)?)?.exemplars.back()
    }

    /// Takes an exemplar, if it stands behind all of its series; says where its series stands here then.
    pub(super) fn add(&mut self, series: &LabelSet, exemplar: Exemplar) -> Option<u32> {
        if self.newest(series).is_some_and(|before| exemplar.repeats(before) || !exemplar.follows(before)) {
            return None;
        }
        let slot = match self.by_labels.get(series) {
            Some(slot) => *slot,
            None => self.enter(series)?,
        };
        self.bytes += bytes_of(&exemplar.labels);
        self.series.get_mut(slot)?.exemplars.push_back(exemplar);
        self.order.push_back(slot);
        while self.order.len() > self.count_max || (self.bytes > self.bytes_max && self.order.len() > 1) {
            self.drop_first();
        }
        Some(slot)
    }

    /// Begins a series. `None`: the index has no room for a label, of which there would have to be gigabytes.
    fn enter(&mut self, labels: &LabelSet) -> Option<u32> {
        let slot = self.free.min().unwrap_or(self.series.next());
        let mut pairs = Vec::with_capacity(labels.len());
        for (name, value) in labels.iter() {
            let Ok((pair, bytes)) = self.index.insert(name.as_bytes(), value.as_bytes(), slot, None) else {
                self.leave_pairs(&pairs, slot);
                return None;
            };
            self.bytes += bytes;
            pairs.push(pair);
        }
        self.free.remove(slot);
        self.live.insert(slot);
        self.bytes += bytes_of(labels);
        let entry = OfSeries { labels: labels.clone(), pairs: pairs.into(), exemplars: VecDeque::new() };
        self.series.put(slot, entry);
        self.by_labels.insert(labels.clone(), slot);
        Some(slot)
    }

    fn leave_pairs(&mut self, pairs: &[u32], slot: u32) {
        for pair in pairs {
            self.bytes = self.bytes.saturating_sub(self.index.remove(*pair, slot));
        }
    }

    fn drop_first(&mut self) {
        let Some(slot) = self.order.pop_front() else { return };
        let Some(of_series) = self.series.get_mut(slot) else { return };
        let gone = of_series.exemplars.pop_front().map_or(0, |exemplar| bytes_of(&exemplar.labels));
        self.bytes = self.bytes.saturating_sub(gone);
        if of_series.exemplars.is_empty()
            && let Some(OfSeries { labels, pairs, .. }) = self.series.take(slot)
        {
            self.live.remove(slot);
            self.free.insert(slot);
            self.by_labels.remove(&labels);
            self.leave_pairs(&pairs, slot);
            self.bytes = self.bytes.saturating_sub(bytes_of(&labels));
        }
    }

    /// Exemplars from `start` to `end`, both included, of the series that one of the selectors finds; by the labels of the
    /// series.
    pub(super) fn select(&self, selectors: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Vec<SeriesExemplars> {
        let mut slots = RoaringBitmap::new();
        for matchers in selectors {
            let prepared: Vec<Prepared> = matchers.iter().map(Prepared::new).collect();
            slots |= matching::select(self, &prepared);
        }
        let mut found = Vec::new();
        for OfSeries { labels, exemplars, .. } in slots.iter().filter_map(|slot| self.series.get(slot)) {
            let from = exemplars.partition_point(|exemplar| exemplar.at < start);
            let until = exemplars.partition_point(|exemplar| exemplar.at <= end);
            if from < until {
                found.push((labels.clone(), exemplars.range(from..until).cloned().collect()));
            }
        }
        found.sort_unstable_by(|a: &SeriesExemplars, b| a.0.cmp(&b.0));
        found
    }

    /// All of it as bytes for a snapshot, in pieces of about so many bytes.
    pub(super) fn pieces(&self, bytes: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut encoder = Encoder::default();
        let mut told: foldhash::HashMap<u32, usize> = foldhash::HashMap::default();
        for slot in &self.order {
            let nth = told.entry(*slot).or_default();
            let Some(OfSeries { labels, exemplars, .. }) = self.series.get(*slot) else { continue };
            let Some(exemplar) = exemplars.get(*nth) else { continue };
            *nth += 1;
            encoder.push(*slot, 0, labels, exemplar);
            if encoder.bytes() >= bytes {
                pieces.push(std::mem::take(&mut encoder).finish());
            }
        }
        if encoder.bytes() > 0 {
            pieces.push(encoder.finish());
        }
        pieces
    }
}

impl Indexed for Ring {
    fn pairs(&self) -> &Pairs {
        &self.index
    }

    fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    fn slots_end(&self) -> u32 {
        self.series.next()
    }

    fn each(&self, slots: &RoaringBitmap, mut each: impl FnMut(u32, &[u32])) {
        for (slot, series) in slots.iter().filter_map(|slot| Some((slot, self.series.get(slot)?))) {
            each(slot, &series.pairs);
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::MatchOp;

    use super::*;
    use crate::exemplars::bytes;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied()).expect("labels")
    }

    fn exemplar(at: i64, value: f64, id: &str) -> Exemplar {
        let labels = labels(&[("trace_id", id)]);
        Exemplar { labels, value, at: Timestamp::from_millis(at), is_dated: true }
    }

    fn told(ring: &Ring, selector: &[Matcher], from: i64, until: i64) -> Vec<(String, Vec<i64>)> {
        let (start, end) = (Timestamp::from_millis(from), Timestamp::from_millis(until));
        let times = |all: Vec<Exemplar>| all.iter().map(|exemplar| exemplar.at.millis()).collect();
        let found = ring.select(&[selector.to_vec()], start, end);
        found.into_iter().map(|(labels, all)| (labels.metric_name().to_owned(), times(all))).collect()
    }

    #[test]
    fn exemplars_stand_in_order_and_once() {
        let (mut ring, series) = (Ring::new(10, 1 << 20), labels(&[("__name__", "hits")]));
        let undated = |at, id| Exemplar { is_dated: false, ..exemplar(at, 1.0, id) };
        for (given, is_new) in [
            (exemplar(10, 1.0, "a"), true),
            (exemplar(10, 1.0, "a"), false),
            (exemplar(10, 0.5, "b"), false),
            (exemplar(10, 2.0, "c"), true),
            (exemplar(9, 3.0, "d"), false),
            (undated(20, "e"), true),
            (undated(30, "e"), false),
            (undated(40, "f"), true),
        ] {
            assert_eq!(ring.add(&series, given.clone()).is_some(), is_new, "{given:?}");
        }
        let all = [Matcher::equal("__name__", "hits")];
        assert_eq!(told(&ring, &all, 0, 100), [("hits".to_owned(), vec![10, 10, 20, 40])]);
        assert_eq!(told(&ring, &all, 20, 20), [("hits".to_owned(), vec![20])]);
        assert_eq!(told(&ring, &all, 21, 39), []);
        assert_eq!(told(&ring, &[Matcher::equal("__name__", "other")], 0, 100), []);
    }

    #[test]
    fn the_first_make_room_and_memory_is_bounded() {
        let series = |number: i64| labels(&[("__name__", "hits"), ("number", &number.to_string())]);
        let all = [Matcher::equal("__name__", "hits")];
        let mut ring = Ring::new(3, 1 << 20);
        for number in 0..5 {
            assert!(ring.add(&series(number % 2), exemplar(number, 1.0, "a")).is_some());
        }
        assert_eq!(told(&ring, &all, 0, 9), [("hits".to_owned(), vec![2, 4]), ("hits".to_owned(), vec![3])]);
        let mut ring = Ring::new(1000, 8000);
        for number in 0..500 {
            assert!(ring.add(&series(number), exemplar(number, 1.0, "a")).is_some());
            assert!(ring.bytes <= 8000 && ring.by_labels.len() == ring.order.len());
        }
        assert!(ring.order.len() > 3);
        while !ring.order.is_empty() {
            ring.drop_first();
        }
        assert_eq!((ring.bytes, ring.by_labels.len(), ring.index.len()), (0, 0, 0));
    }

    #[test]
    fn the_index_finds_what_the_matchers_say() {
        let mut ring = Ring::new(60, 1 << 20);
        for number in 0..100i64 {
            let (name, zone) = (["hits", "misses"][number as usize % 2], ["", "a", "b"][number as usize % 3]);
            let number_text = (number % 7).to_string();
            let series = labels(&[("__name__", name), ("zone", zone), ("number", &number_text)]);
            assert!(ring.add(&series, exemplar(number, 1.0, "a")).is_some());
        }
        let matcher = |op, name: &str, value: &str| Matcher::new(name, op, value).expect("valid");
        for matchers in [
            vec![],
            vec![matcher(MatchOp::Equal, "__name__", "hits")],
            vec![matcher(MatchOp::Equal, "__name__", "hits"), matcher(MatchOp::NotEqual, "zone", "a")],
            vec![matcher(MatchOp::Equal, "__name__", "hits"), matcher(MatchOp::Equal, "zone", "")],
            vec![matcher(MatchOp::Regex, "__name__", "h.*|x"), matcher(MatchOp::Regex, "number", "[1-3]")],
            vec![matcher(MatchOp::NotRegex, "number", "[1-3]"), matcher(MatchOp::NotEqual, "zone", "")],
            vec![matcher(MatchOp::Equal, "zone", "c"), matcher(MatchOp::NotEqual, "number", "9")],
            vec![matcher(MatchOp::Equal, "nothing", "c")],
            vec![matcher(MatchOp::Regex, "nothing", ".*"), matcher(MatchOp::Equal, "number", "4")],
        ] {
            let mut wanted: Vec<&LabelSet> =
                ring.by_labels.keys().filter(|labels| matchers.iter().all(|one| one.matches_labels(labels))).collect();
            wanted.sort();
            let found =
                ring.select(std::slice::from_ref(&matchers), Timestamp::from_millis(0), Timestamp::from_millis(99));
            assert_eq!(found.iter().map(|(labels, _)| labels).collect::<Vec<_>>(), wanted, "{matchers:?}");
        }
    }

    #[test]
    fn pieces_bring_all_of_it_back() {
        let mut ring = Ring::new(100, 1 << 20);
        for number in 0..150i64 {
            let series = labels(&[("__name__", "hits"), ("number", &(number % 4).to_string())]);
            let given =
                Exemplar { is_dated: number % 5 > 0, ..exemplar(number, number as f64 / 8.0, &number.to_string()) };
            assert!(ring.add(&series, given).is_some());
        }
        let pieces = ring.pieces(500);
        assert!(pieces.len() > 3);
        let mut again = Ring::new(100, 1 << 20);
        for piece in &pieces {
            bytes::read(piece, |_, series, exemplar| {
                assert!(again.add(&series, exemplar).is_some());
            })
            .expect("whole");
        }
        let all = |ring: &Ring| ring.select(&[vec![]], Timestamp::from_millis(0), Timestamp::from_millis(200));
        assert_eq!(all(&again), all(&ring));
        assert_eq!((again.order.len(), again.bytes), (ring.order.len(), ring.bytes));
    }
}
