//! What goes into one request: samples by series, and how far whoever made it has come with them.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use watchfire_engine::{Exemplar, SeriesKind};
use watchfire_model::Histogram;

use crate::labels::SentLabels;
use crate::place::Place;

/// Which series of those that are sent: its number in the engine, and which of several that are made of it.
pub(crate) type SentNumber = (u64, u8);

/// One series with its samples.
pub(crate) struct Series {
    pub(crate) labels: SentLabels,
    pub(crate) kind: SeriesKind,
    /// Times in milliseconds and values, in the order in which they were taken in.
    pub(crate) samples: Vec<(i64, Value)>,
    /// Likewise.
    pub(crate) exemplars: Vec<Arc<SentExemplar>>,
}

impl Series {
    /// The times of all that it has, milliseconds.
    fn times(&self) -> impl Iterator<Item = i64> {
        let of_exemplars = self.exemplars.iter().map(|sent| sent.exemplar.at.millis());
        self.samples.iter().map(|(at, _)| *at).chain(of_exemplars)
    }

    /// Its samples, parted where numbers and histograms follow each other: receivers take one or the other of a series.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[(i64, Value)]> {
        self.samples.chunk_by(|(_, left), (_, right)| left.is_native() == right.is_native())
    }
}

/// What a series has at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Native(Arc<Histogram>),
    Exemplar(Arc<SentExemplar>),
}

/// An exemplar, and the newest sample of its series before it, for a receiver that takes no exemplar without a sample: one
/// that it has already changes nothing there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SentExemplar {
    pub(crate) exemplar: Exemplar,
    pub(crate) beside: Option<(i64, Value)>,
}

impl Value {
    fn is_native(&self) -> bool {
        matches!(self, Value::Native(_))
    }
}

/// Samples for one request.
pub(crate) struct Batch {
    pub(crate) series: Vec<Series>,
    places: HashMap<SentNumber, usize, foldhash::fast::RandomState>,
    samples: usize,
    /// With it, everything of its shard before this place is settled.
    pub(crate) upto: Place,
    /// Which request of those under way at a restart all of it was in first; see [`UnderWay`](crate::place::UnderWay).
    pub(crate) under_way: usize,
    /// It is one of those: its receiver may have all of it.
    pub(crate) is_repeated: bool,
    /// When its first sample came.
    pub(crate) begun: Instant,
    /// The latest time in it, milliseconds.
    pub(crate) newest_ms: i64,
}

impl Batch {
    pub(crate) fn new(now: Instant, under_way: usize, is_repeated: bool) -> Batch {
        Batch {
            series: Vec::new(),
            places: HashMap::default(),
            samples: 0,
            upto: Place::default(),
            under_way,
            is_repeated,
            begun: now,
            newest_ms: i64::MIN,
        }
    }

    pub(crate) fn push(&mut self, number: SentNumber, labels: &SentLabels, kind: SeriesKind, at: i64, value: Value) {
        let place = *self.places.entry(number).or_insert_with(|| {
            let (samples, exemplars) = (Vec::new(), Vec::new());
            self.series.push(Series { labels: labels.clone(), kind, samples, exemplars });
            self.series.len() - 1
        });
        let Some(series) = self.series.get_mut(place) else { return };
        if let Value::Exemplar(sent) = value {
            if let Some(beside) = sent.beside.clone().filter(|_| series.samples.is_empty()) {
                series.samples.push(beside);
                self.samples += 1;
            }
            series.exemplars.push(sent);
        } else {
            series.samples.push((at, value));
        }
        self.samples += 1;
        self.newest_ms = self.newest_ms.max(at);
    }

    /// How many samples and exemplars it has.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Takes out what is older; gives how many samples and exemplars that were.
    pub(crate) fn drop_before(&mut self, oldest_ms: i64) -> usize {
        for series in &mut self.series {
            series.samples.retain(|(at, _)| *at >= oldest_ms);
            series.exemplars.retain(|sent| sent.exemplar.at.millis() >= oldest_ms);
        }
        self.series.retain(|series| !series.samples.is_empty() || !series.exemplars.is_empty());
        // Nothing is pushed any more.
        self.places.clear();
        let left = self.series.iter().map(|series| series.samples.len() + series.exemplars.len()).sum();
        std::mem::replace(&mut self.samples, left) - left
    }
}

impl Batch {
    /// Two parts of it, the older and the newer one, of one that has two samples at least.
    pub(crate) fn parted(self) -> (Batch, Batch) {
        let mut times: Vec<i64> = self.series.iter().flat_map(Series::times).collect();
        times.sort_unstable();
        let Some(first_newer) = first_of_newer(&times) else { return self.part_by_series() };
        let (mut older, mut newer) = (self.empty(), self.empty());
        for Series { labels, kind, samples, exemplars } in self.series {
            let is_older = |at: i64| at < first_newer;
            let (samples, newer_samples) = samples.into_iter().partition(|(at, _)| is_older(*at));
            let (exemplars, newer_exemplars) =
                exemplars.into_iter().partition(|sent| is_older(sent.exemplar.at.millis()));
            newer.take(Series { labels: labels.clone(), kind, samples: newer_samples, exemplars: newer_exemplars });
            older.take(Series { labels, kind, samples, exemplars });
        }
        (older, newer)
    }

    /// All samples are of one time.
    fn part_by_series(mut self) -> (Batch, Batch) {
        let (mut first, mut second) = (self.empty(), self.empty());
        let half = self.series.len() / 2;
        if half == 0 {
            // One series.
            for Series { labels, kind, mut samples, mut exemplars } in self.series {
                let from = if exemplars.is_empty() { samples.len() / 2 } else { samples.len() };
                let newer_samples = samples.split_off(from);
                let newer_exemplars = exemplars.split_off(if samples.is_empty() { exemplars.len() / 2 } else { 0 });
                first.take(Series { labels: labels.clone(), kind, samples, exemplars });
                second.take(Series { labels, kind, samples: newer_samples, exemplars: newer_exemplars });
            }
            return (first, second);
        }
        self.series.drain(half..).for_each(|series| second.take(series));
        self.series.drain(..).for_each(|series| first.take(series));
        (first, second)
    }

    /// Nothing of it yet.
    fn empty(&self) -> Batch {
        Batch { upto: self.upto, ..Batch::new(self.begun, self.under_way, self.is_repeated) }
    }

    /// Takes in a series of another one, if there is something of it.
    fn take(&mut self, series: Series) {
        let Some(newest) = series.times().max() else { return };
        self.newest_ms = self.newest_ms.max(newest);
        self.samples += series.samples.len() + series.exemplars.len();
        self.series.push(series);
    }
}

/// Where the newer ones of these ascending times begin: behind a gap that is longer than all others together, as behind samples of
/// the past among those of now, or with the middle one. None if all are the same.
fn first_of_newer(times: &[i64]) -> Option<i64> {
    let (first, last) = (*times.first()?, *times.last()?);
    let span = last.checked_sub(first)?;
    let gaps = times.windows(2).map(|pair| (pair[1] - pair[0], pair[1]));
    let (gap, behind) = gaps.max_by_key(|(gap, _)| *gap)?;
    let middle = *times.get(times.len() / 2)?;
    match gap {
        0 => None,
        gap if gap > span / 2 || middle == first => Some(behind),
        _ => Some(middle),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::LabelSet;

    use super::*;

    #[test]
    fn samples_of_the_past_are_parted_from_those_of_now() {
        for (times, first_newer) in [
            (&[][..], None),
            (&[7], None),
            (&[7, 7, 7], None),
            (&[7, 8], Some(8)),
            (&[1, 900, 901, 902, 903], Some(900)),
            (&[1, 2, 3, 4, 5, 6], Some(4)),
            (&[1, 1, 1, 2, 3, 4], Some(2)),
            (&[1, 1, 1, 1, 1, 2, 3], Some(3)),
        ] {
            assert_eq!(first_of_newer(times), first_newer, "{times:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_all_of_a_batch_in_order(pushed in prop::collection::vec((0u64..4, 0i64..9), 0..40)) {
            let mut batch = Batch::new(Instant::now(), 0, false);
            let labels = SentLabels::new([("a", "b")], &LabelSet::default(), &[]).expect("labels");
            for (place, (series, at)) in pushed.iter().enumerate() {
                batch.push((*series, 0), &labels, SeriesKind::Increments, *at, Value::Float(place as f64));
            }
            let mut whole: Vec<(i64, String)> = all(&batch);
            if batch.samples() < 2 {
                return Ok(());
            }
            let (older, newer) = batch.parted();
            prop_assert!(older.samples() > 0 && newer.samples() > 0);
            prop_assert_eq!(older.samples() + newer.samples(), pushed.len());
            prop_assert!(older.newest_ms <= newer.newest_ms);
            let mut parts = [all(&older), all(&newer)].concat();
            whole.sort();
            parts.sort();
            prop_assert_eq!(parts, whole);
        }
    }

    fn all(batch: &Batch) -> Vec<(i64, String)> {
        batch.series.iter().flat_map(|series| &series.samples).map(|(at, value)| (*at, format!("{value:?}"))).collect()
    }
}
