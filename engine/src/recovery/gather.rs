//! Samples gathered by their series before they go there, so that a series of many is met once for many of its samples.
//!
//! Series are ranked, and those of a bucket rank behind each other: what a sender has in one request comes in runs of such
//! series at one time, of which only the values are kept one by one. A bucket has so few series that its samples are sorted by
//! series within the processor's caches. Samples that fill no block of their series wait for those that come behind them; behind
//! the last ones nothing comes, and they rest until somebody needs one of their series.

use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_model::{Histogram, Sample, Timestamp};

use crate::chunk::{Codec, with_codec};
use crate::kind::SeriesKind;
use crate::limits::TimeBounds;
use crate::samples::BLOCK_MAX;
use crate::series::Series;

/// Buckets of a thread: one that is held up leaves some to the others.
pub(super) const BUCKETS_PER_THREAD: usize = 16;
/// Series of a bucket, a power of two.
const WIDTH_MIN: usize = 64;
const WIDTH_MAX: usize = 256;

/// What of the samples may be left for the next time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Those that fill no block of their series.
    Parts,
    Nothing,
    /// All of them, for who needs their series.
    All,
}

/// Samples at one time of series whose ranks follow each other.
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Run {
    first: u32,
    many: u32,
    at: i64,
}

impl Run {
    /// The places of its series in a bucket that begins with this rank.
    fn places(&self, first: u32) -> std::ops::Range<usize> {
        let begin = self.first - first;
        begin as usize..(begin + self.many) as usize
    }
}

/// A native histogram, with the rank of its series.
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Native {
    rank: u32,
    at: i64,
    histogram: Histogram,
}

/// What there is for the series of a bucket, in the order of the log.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct OfBucket {
    runs: Vec<Run>,
    /// Of all runs, one after another.
    values: Vec<f64>,
    natives: Vec<Native>,
}

/// What some records have for the series of all buckets.
pub(super) struct Gathered {
    of_buckets: Vec<OfBucket>,
    /// Series of a bucket are so many to the power of two.
    shift: u32,
    /// How many samples a bucket will have, about.
    expected: usize,
}

impl Gathered {
    /// Nothing yet for so many buckets of this width; about so many samples will come.
    pub(super) fn new(buckets: usize, width: u32, samples: usize) -> Gathered {
        let of_buckets: Vec<OfBucket> = (0..buckets).map(|_| OfBucket::default()).collect();
        Gathered { of_buckets, shift: width.trailing_zeros(), expected: samples / buckets.max(1) }
    }

    /// Adds samples at one time of the series of this rank and those behind it, one of each.
    #[inline]
    pub(super) fn samples(&mut self, mut rank: u32, at: i64, mut values: &[f64]) {
        while !values.is_empty() {
            let bucket = rank >> self.shift;
            let Some(OfBucket { runs, values: gathered, .. }) = self.of_buckets.get_mut(bucket as usize) else {
                return;
            };
            let in_bucket = (((bucket + 1) << self.shift) - rank) as usize;
            let (some, others) = values.split_at(values.len().min(in_bucket));
            // No more than a bucket has series.
            let many = some.len() as u32;
            match runs.last_mut() {
                Some(run) if run.at == at && run.first.wrapping_add(run.many) == rank => run.many += many,
                last => {
                    if last.is_none() {
                        gathered.reserve(self.expected);
                    }
                    runs.push(Run { first: rank, many, at });
                }
            }
            gathered.extend_from_slice(some);
            (rank, values) = (rank + many, others);
        }
    }

    /// By bucket, what there is of it in each of these, in their order.
    pub(super) fn by_bucket(mut all: Vec<Gathered>) -> impl Iterator<Item = Vec<OfBucket>> {
        let buckets = all.first().map_or(0, |gathered| gathered.of_buckets.len());
        let take = |gathered: &mut Gathered, bucket: usize| gathered.of_buckets.get_mut(bucket).map(std::mem::take);
        (0..buckets).map(move |bucket| all.iter_mut().filter_map(|gathered| take(gathered, bucket)).collect())
    }

    /// Adds a native histogram of the series of a rank.
    pub(super) fn native(&mut self, rank: u32, at: i64, histogram: Histogram) {
        if let Some(of_bucket) = self.of_buckets.get_mut((rank >> self.shift) as usize) {
            of_bucket.natives.push(Native { rank, at, histogram });
        }
    }
}

/// Some series that rank behind each other, with what is left of their samples for the next time.
pub(super) struct Bucket {
    /// Rank of its first series, and how many it has at most.
    first: u32,
    width: u32,
    left: BySeries,
}

impl Bucket {
    /// The buckets of so many series, about so many of them.
    pub(super) fn of_all(series: usize, buckets: usize) -> Vec<Bucket> {
        let width = series.div_ceil(buckets).next_power_of_two().clamp(WIDTH_MIN, WIDTH_MAX);
        let bucket = |number: usize| {
            let (first, width) = ((number * width) as u32, width as u32);
            Bucket { first, width, left: BySeries::default() }
        };
        (0..series.div_ceil(width)).map(bucket).collect()
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// Puts what was gathered into the series, one after another, each in the order of the parts. Says how many samples are of
    /// series that take none.
    pub(super) fn put<'s>(
        &mut self,
        parts: Vec<OfBucket>,
        rooms: &Rooms,
        series_of: impl Fn(u32) -> Option<&'s Arc<Series>>,
        leave: Leave,
    ) -> u64 {
        let takes_samples = |rank| series_of(rank).filter(|series| matches!(series.kind, SeriesKind::Samples(_)));
        // Histograms have to find all samples that came before them.
        let leave = if parts.iter().any(|part| !part.natives.is_empty()) { Leave::Nothing } else { leave };
        if leave == Leave::All {
            return self.leave_resting(parts, takes_samples);
        }
        let mut orphans = 0;
        let mut all = BySeries::of(&self.left, &parts, self.first, self.width, rooms.take());
        with_codec(|codec| {
            all.take(|place, run| match takes_samples(self.first + place) {
                Some(series) => put_run(series, run, leave, codec),
                None => {
                    orphans += run.len() as u64;
                    run.len()
                }
            });
            for Native { rank, at, histogram } in parts.iter().flat_map(|part| &part.natives) {
                match takes_samples(*rank) {
                    Some(series) => {
                        let _ = series.state.lock().push_native(*at, histogram, &TimeBounds::ALL, codec);
                    }
                    None => orphans += 1,
                }
            }
        });
        self.left = BySeries { samples: all.samples.get(..all.many()).unwrap_or_default().to_vec(), ends: all.ends };
        rooms.give_back(all.samples);
        orphans
    }

    /// Leaves all that there is to those who need its series. Says how many samples are of series that take none.
    fn leave_resting<'s>(
        &mut self,
        parts: Vec<OfBucket>,
        takes_samples: impl Fn(u32) -> Option<&'s Arc<Series>>,
    ) -> u64 {
        let left = std::mem::take(&mut self.left);
        let counts = BySeries::counts(&left, &parts, self.first, self.width);
        let gathered = Unsorted { left, parts, first: self.first, width: self.width };
        let resting = Arc::new(RestingSamples(Mutex::new(OfResting::Unsorted(gathered))));
        let mut orphans = 0;
        for (place, count) in (0u32..).zip(counts).filter(|(_, count)| *count > 0) {
            match takes_samples(self.first + place) {
                Some(series) => series.state.lock().resting().put_samples(resting.clone(), place),
                None => orphans += u64::from(count),
            }
        }
        orphans
    }
}

/// Samples of a bucket that are not in their series yet. The first who needs those of one of them sorts them all.
pub(crate) struct RestingSamples(Mutex<OfResting>);

enum OfResting {
    Unsorted(Unsorted),
    Sorted(BySeries),
}

struct Unsorted {
    left: BySeries,
    parts: Vec<OfBucket>,
    first: u32,
    width: u32,
}

impl RestingSamples {
    /// Hands over the samples of the series with this place in the bucket.
    pub(crate) fn with(&self, place: u32, take: impl FnOnce(&[Sample])) {
        let mut resting = self.0.lock();
        if let OfResting::Unsorted(Unsorted { left, parts, first, width }) = &*resting {
            let sorted = BySeries::of(left, parts, *first, *width, Vec::new());
            *resting = OfResting::Sorted(sorted);
        }
        if let OfResting::Sorted(sorted) = &*resting {
            take(sorted.of_series(place));
        }
    }
}

/// Puts samples that were accepted once into their series (if they are there already, the snapshot brought them), and says how
/// many of them: all, unless some may be left.
fn put_run(series: &Series, run: &[Sample], leave: Leave, codec: &mut Codec) -> usize {
    if leave == Leave::Nothing {
        series.state.lock().push_run(run, codec);
        return run.len();
    }
    // One that is not touched is not waited for.
    if run.len() < BLOCK_MAX { 0 } else { series.state.lock().push_blocks(run, codec) }
}

/// Room to sort in that goes from bucket to bucket: to have it from the system anew each time costs more than the sorting.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Vec<Sample>>>);

impl Rooms {
    fn take(&self) -> Vec<Sample> {
        self.0.lock().pop().unwrap_or_default()
    }

    fn give_back(&self, room: Vec<Sample>) {
        self.0.lock().push(room);
    }
}

/// Samples sorted by their series, each series' in the order they came in: counted first, so that each goes to its place at
/// once.
#[derive(Default)]
struct BySeries {
    /// Behind those of the last series others may stand.
    samples: Vec<Sample>,
    /// By the place of a series in its bucket, where its samples end.
    ends: Vec<u32>,
}

impl BySeries {
    /// What is left from before, and behind it what some parts have for so many series from a rank on. `samples`: room for them.
    fn of(left: &BySeries, parts: &[OfBucket], first: u32, series: u32, mut samples: Vec<Sample>) -> BySeries {
        let mut ends = BySeries::counts(left, parts, first, series);
        let mut sum = 0;
        for end in &mut ends {
            // Where they begin, until each is in its place.
            sum += std::mem::replace(end, sum);
        }
        let nothing = Sample { timestamp: Timestamp::from_millis(0), value: 0.0 };
        if samples.len() < sum as usize {
            samples.resize(sum as usize, nothing);
        }
        for (place, run) in left.runs() {
            let begin = ends[place] as usize;
            ends[place] += run.len() as u32;
            samples[begin..begin + run.len()].copy_from_slice(run);
        }
        for part in parts {
            let mut values = part.values.iter();
            for run in &part.runs {
                let timestamp = Timestamp::from_millis(run.at);
                let nexts = ends.get_mut(run.places(first)).unwrap_or_default();
                for (next, value) in nexts.iter_mut().zip(values.by_ref().take(run.many as usize)) {
                    if let Some(place) = samples.get_mut(*next as usize) {
                        *place = Sample { timestamp, value: *value };
                    }
                    *next += 1;
                }
            }
        }
        BySeries { samples, ends }
    }

    /// How many samples each of the series has.
    fn counts(left: &BySeries, parts: &[OfBucket], first: u32, series: u32) -> Vec<u32> {
        let mut counts = vec![0u32; series as usize];
        // A window of the log has some millions at most.
        for (place, run) in left.runs() {
            counts[place] = run.len() as u32;
        }
        for run in parts.iter().flat_map(|part| &part.runs) {
            counts.get_mut(run.places(first)).unwrap_or_default().iter_mut().for_each(|count| *count += 1);
        }
        counts
    }

    /// The samples of the series with this place.
    fn of_series(&self, place: u32) -> &[Sample] {
        let end = |place: u32| self.ends.get(place as usize).map_or(0, |end| *end as usize);
        self.samples.get(place.checked_sub(1).map_or(0, end)..end(place)).unwrap_or_default()
    }

    /// The place of each series that has samples, with them.
    fn runs(&self) -> impl Iterator<Item = (usize, &[Sample])> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let all = begins.zip(&self.ends).enumerate();
        all.filter_map(|(place, (begin, end))| {
            let run = self.samples.get(begin as usize..*end as usize).filter(|run| !run.is_empty())?;
            Some((place, run))
        })
    }

    /// Hands the samples of each series that has some on, with its place; as many go as `take` says, the others stay.
    fn take(&mut self, mut take: impl FnMut(u32, &[Sample]) -> usize) {
        let (mut begin, mut kept) = (0, 0);
        for (place, end) in (0u32..).zip(&mut self.ends) {
            let run = begin..*end as usize;
            begin = run.end;
            let taken = match self.samples.get(run.clone()) {
                Some(samples) if !samples.is_empty() => take(place, samples).min(samples.len()),
                _ => 0,
            };
            let stays = run.start + taken..run.end;
            let many = stays.len();
            self.samples.copy_within(stays, kept);
            kept += many;
            *end = kept as u32;
        }
    }

    /// How many samples there are.
    fn many(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many samples of series from rank 64 on, at times that are their numbers.
    fn samples(numbers: std::ops::Range<u32>) -> Vec<(u32, i64, f64)> {
        numbers.map(|at| (64 + at * 7919 % 13, i64::from(at), f64::from(at))).collect()
    }

    fn gathered(samples: &[(u32, i64, f64)]) -> Gathered {
        let mut gathered = Gathered::new(3, 64, samples.len());
        samples.iter().for_each(|(rank, at, value)| gathered.samples(*rank, *at, &[*value]));
        gathered
    }

    fn sorted(left: &BySeries, parts: Vec<Gathered>) -> BySeries {
        let parts = Gathered::by_bucket(parts).nth(1).expect("a second bucket");
        BySeries::of(left, &parts, 64, 64, vec![Sample { timestamp: Timestamp::from_millis(7), value: 7.0 }; 100])
    }

    fn runs(by_series: &BySeries) -> Vec<(usize, Vec<(i64, f64)>)> {
        let of = |run: &[Sample]| run.iter().map(|one| (one.timestamp.millis(), one.value)).collect();
        by_series.runs().map(|(place, run)| (place, of(run))).collect()
    }

    /// What is wanted of each series, without so many of the first.
    fn wanted(samples: &[(u32, i64, f64)], without: usize) -> Vec<(usize, Vec<(i64, f64)>)> {
        let of_place = |place: usize| samples.iter().filter(move |(rank, ..)| *rank as usize == 64 + place);
        let of = |place: usize| of_place(place).map(|(_, at, value)| (*at, *value)).skip(without).collect();
        (0..13usize).map(|place| (place, of(place))).filter(|(_, run): &(usize, Vec<_>)| !run.is_empty()).collect()
    }

    #[test]
    fn samples_are_sorted_by_series_and_stay_in_their_order() {
        let all = samples(0..1000);
        let (first, second) = all.split_at(400);
        assert_eq!(runs(&sorted(&BySeries::default(), vec![gathered(first), gathered(second)])), wanted(&all, 0));
    }

    #[test]
    fn what_is_left_comes_before_what_follows() {
        let all = samples(0..1000);
        let (first, second) = all.split_at(400);
        let mut by_series = sorted(&BySeries::default(), vec![gathered(first)]);
        by_series.take(|_, run| run.len().min(20));
        assert_eq!(runs(&by_series), wanted(first, 20));
        let mut by_series = sorted(&by_series, vec![gathered(second)]);
        assert_eq!(runs(&by_series), wanted(&all, 20));
        let of_series = |place: usize| (place, by_series.of_series(place as u32).len());
        let counts = |(place, run): (usize, &[Sample])| (place, run.len());
        assert!(by_series.runs().map(counts).eq((0..13).map(of_series)) && by_series.of_series(20).is_empty());
        by_series.take(|_, run| run.len());
        assert_eq!(runs(&by_series), []);
    }

    #[test]
    fn runs_are_of_series_behind_each_other_at_one_time() {
        let mut gathered = Gathered::new(3, 64, 0);
        let all = [(0, 1), (1, 1), (2, 1), (2, 2), (3, 2), (64, 2), (65, 2), (4, 2), (9, 2)];
        all.iter().for_each(|(rank, at)| gathered.samples(*rank, *at, &[0.0]));
        let runs = |bucket: usize| -> Vec<(u32, u32)> {
            gathered.of_buckets[bucket].runs.iter().map(|run| (run.first, run.many)).collect()
        };
        assert_eq!((runs(0), runs(1)), (vec![(0, 3), (2, 3), (9, 1)], vec![(64, 2)]));
    }

    #[test]
    fn buckets_hold_all_series() {
        for series in [0, 1, 63, 64, 65, 10_000, 1_000_000] {
            let buckets = Bucket::of_all(series, 32);
            let end = buckets.last().map_or(0, |bucket| (bucket.first + bucket.width) as usize);
            assert!(end >= series && end < series + WIDTH_MAX, "{series}");
            assert!(buckets.iter().enumerate().all(|(at, bucket)| bucket.first == at as u32 * bucket.width));
        }
    }
}
