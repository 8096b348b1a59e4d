//! What the observations of a window look like together.

use std::sync::LazyLock;

use watchfire_model::histogram::{HistogramParts, index_of};
use watchfire_model::{Histogram, ResetHint};

use crate::distribution::dense::Dense;
use crate::distribution::scale::{PLACES, SCALE, answer_of};

/// The schema of the native histograms that windows are shown as: their buckets are 1.1 % wide, those here at most 1.6 %.
const NATIVE_SCHEMA: i8 = 6;
/// Half the smallest number that is told from zero is `0.5 / SCALE`; the threshold is the power of two below it.
const NATIVE_ZERO: f64 = 1.0 / (1u64 << 21) as f64;
const _: () = assert!(NATIVE_ZERO < 0.5 / SCALE && NATIVE_ZERO > 0.25 / SCALE);

/// The native bucket of each place: that of what is answered for it. That of 0 is the one around zero.
static NATIVE_BUCKETS: LazyLock<Vec<i32>> = LazyLock::new(|| {
    (0..PLACES).map(|place| if place == 0 { i32::MIN } else { index_of(answer_of(place), NATIVE_SCHEMA) }).collect()
});

/// Counts that are summed together on the way to a rank.
const SUMMED: usize = 32;

/// The merged observations of a window: exact count, sum, minimum and maximum, and quantiles.
///
/// Its buckets are pairs of those of `hdrhistogram`, but only the part that holds something: a window is made for each
/// quantile that somebody asks for, and most of the package's range would be zeros.
#[derive(Clone, Debug)]
pub struct DistributionWindow {
    /// Place of the first count.
    first: usize,
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl DistributionWindow {
    /// No observations.
    pub fn empty() -> DistributionWindow {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        DistributionWindow { first: 0, counts: Vec::new(), count: 0, sum: 0.0, min, max }
    }

    pub(super) fn from_dense(dense: &Dense) -> DistributionWindow {
        let (first, counts) = dense.used();
        DistributionWindow {
            first,
            counts: counts.to_vec(),
            // Each is a sum of few counts of at most `COUNT_MAX`.
            count: counts.iter().fold(0, |sum, count| sum.wrapping_add(*count)),
            sum: dense.sum,
            min: dense.min,
            max: dense.max,
        }
    }

    /// Adds the observations of another window.
    pub fn merge(&mut self, other: &DistributionWindow) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let first = self.first.min(other.first);
        let end = (self.first + self.counts.len()).max(other.first + other.counts.len());
        if first < self.first {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.first - first));
            self.first = first;
        }
        self.counts.resize(end - first, 0);
        for (have, more) in self.counts.iter_mut().skip(other.first - first).zip(&other.counts) {
            *have = have.saturating_add(*more);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many observations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest; `None` without observations.
    pub fn min(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.min)
    }

    /// The largest; `None` without observations.
    pub fn max(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.max)
    }

    /// Their mean; `None` without observations.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// Smallest observed value with at least a share `q` of all values at or below it.
    ///
    /// `q` lies in `[0, 1]` (p95 is `0.95`); it is clamped. In the recorded unit, off by at most the share
    /// [`DistributionWindow::relative_error`] of it (values of at least 0.00005 and at most 1e12; smaller ones
    /// by a millionth); 0 and 1 give the exact minimum and maximum. `None` without observations.
    /// Source: inverse of the empirical distribution (Hyndman and Fan 1996, type 1).
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count() == 0 || q.is_nan() {
            return None;
        }
        if q <= 0.0 {
            return Some(self.min);
        }
        if q >= 1.0 {
            return Some(self.max);
        }
        let wanted = rank(q, self.count).max(1);
        let (mut below, mut place) = (0u64, self.first);
        // Sums of several counts come quicker than one after the other.
        for counts in self.counts.chunks(SUMMED) {
            let with_these = below.saturating_add(counts.iter().fold(0, |sum, count| sum.wrapping_add(*count)));
            if with_these >= wanted {
                break;
            }
            (below, place) = (with_these, place + counts.len());
        }
        let rest = self.counts.get(place - self.first..).unwrap_or_default();
        let within = rest.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= wanted
        });
        Some(within.map_or(self.max, |within| answer_of(place + within)).clamp(self.min, self.max))
    }

    /// The same as a native histogram. Whatever is found in its buckets lies within 2.1 % of the true value.
    pub fn to_native(&self, hint: ResetHint) -> Histogram {
        let mut positive: Vec<(i32, f64)> = Vec::new();
        let mut zero_count = 0.0;
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        for (place, count) in counts {
            let count = *count as f64;
            match NATIVE_BUCKETS.get(self.first + place) {
                None | Some(&i32::MIN) => zero_count += count,
                Some(bucket) => match positive.last_mut() {
                    Some((last, have)) if last == bucket => *have += count,
                    _ => positive.push((*bucket, count)),
                },
            }
        }
        let parts = HistogramParts {
            schema: NATIVE_SCHEMA.into(),
            hint,
            zero_threshold: NATIVE_ZERO,
            zero_count,
            count: self.count as f64,
            sum: self.sum,
            positive,
            ..HistogramParts::default()
        };
        // Places ascend, and so do their buckets; no count is negative.
        Histogram::new(parts).expect("a window is a valid histogram")
    }

    /// How far a quantile can lie from the true value, as a share of it.
    pub const fn relative_error(&self) -> f64 {
        0.01
    }

    /// (Upper end, observations) of the buckets that hold any, ascending; every value of a bucket lies at or
    /// below its end and above the end of the bucket before it, within [`DistributionWindow::relative_error`].
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(place, count)| (answer_of(self.first + place), *count))
    }
}

/// The rank of a quantile among so many values, from 1. A product that rounding has moved off a whole number is
/// that number: `0.999` of 1000 is 999, not the next one.
fn rank(q: f64, count: u64) -> u64 {
    let product = q * count as f64;
    let whole = product.round();
    let is_whole = (product - whole).abs() <= 4.0 * f64::EPSILON * whole;
    (if is_whole { whole } else { product.ceil() }) as u64
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use crate::distribution::dense::with_dense;
    use crate::distribution::scale::{DIGITS, MAX, place_of, scaled};

    use super::*;

    fn window_of(values: &[f64]) -> DistributionWindow {
        with_dense(|dense| {
            for value in values {
                dense.add(place_of(scaled(*value).0).into(), 1);
                dense.add_summary(*value, *value, *value);
            }
            DistributionWindow::from_dense(dense)
        })
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_package(
            parts in prop::collection::vec(prop::collection::vec((-3.0f64..9.0).prop_map(|e| 10f64.powf(e)), 0..60), 1..4),
            q in 0.001f64..0.999,
        ) {
            let mut package = Histogram::<u64>::new_with_max(MAX, DIGITS).expect("a valid range");
            let mut merged = DistributionWindow::empty();
            for values in &parts {
                values.iter().for_each(|value| package.saturating_record(scaled(*value).0));
                merged.merge(&window_of(values));
            }
            prop_assert_eq!(merged.count(), package.len());
            if package.is_empty() {
                prop_assert_eq!(merged.quantile(q), None);
                return Ok(());
            }
            let wanted = answer_of(place_of(package.value_at_quantile(q)).into());
            prop_assert_eq!(merged.quantile(q), Some(wanted.clamp(merged.min, merged.max)));
            let mut buckets: Vec<(f64, u64)> = Vec::new();
            for step in package.iter_recorded() {
                let answer = answer_of(place_of(step.value_iterated_to()).into());
                match buckets.last_mut() {
                    Some((have, count)) if *have == answer => *count += step.count_at_value(),
                    _ => buckets.push((answer, step.count_at_value())),
                }
            }
            prop_assert_eq!(merged.buckets().collect::<Vec<_>>(), buckets);
        }
    }

    proptest! {
        #[test]
        fn native_buckets_hold_what_was_observed(
            values in prop::collection::vec((-4.2f64..12.0).prop_map(|e| 10f64.powf(e)), 1..200),
        ) {
            let native = window_of(&values).to_native(ResetHint::Gauge);
            prop_assert_eq!(native.count(), values.len() as f64);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let mut rest = sorted.as_slice();
            for bucket in native.buckets() {
                // The count of a bucket: its values, each at most 1 % outside.
                let (inside, others) = rest.split_at(bucket.count as usize);
                for value in inside {
                    prop_assert!(*value > bucket.lower * 0.99 && *value < bucket.upper * 1.0101, "{value} {bucket:?}");
                }
                rest = others;
            }
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn zero_has_a_bucket_of_its_own() {
        let native = window_of(&[0.0, 1e-7, 1e-6, 2e-6, -5.0]).to_native(ResetHint::Unknown);
        assert_eq!((native.zero_count(), native.count()), (3.0, 5.0));
        assert_eq!(native.positive().iter().map(|(_, count)| count).sum::<f64>(), 2.0);
        assert_eq!(DistributionWindow::empty().to_native(ResetHint::Gauge).count(), 0.0);
    }

    #[test]
    fn a_share_of_a_whole_number_of_values_is_that_rank() {
        for (q, count, wanted) in [
            (0.999, 1000, 999),
            (99.9 / 100.0, 1000, 999),
            (7.0 / 100.0, 100, 7),
            (14.0 / 100.0, 50, 7),
            (28.0 / 100.0, 50, 14),
            (55.0 / 100.0, 200, 110),
            (0.5, 3, 2),
            (0.99, 101, 100),
            (1e-9, 10, 1),
        ] {
            assert_eq!(rank(q, count).max(1), wanted, "{q} of {count}");
        }
        let mut values = vec![1.0; 999];
        values.push(1000.0);
        let shown = window_of(&values).quantile(99.9 / 100.0).expect("there are values");
        assert!((shown - 1.0).abs() <= 0.01, "{shown}");
    }
}
