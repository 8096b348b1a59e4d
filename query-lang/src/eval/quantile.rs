//! Quantiles of values and of the buckets of classic histograms.

use std::cmp::Ordering;

/// Order of values in which NaN is smallest.
pub(crate) fn nan_first(left: &f64, right: &f64) -> Ordering {
    left.partial_cmp(right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

/// The quantile `q` in `[0, 1]`, interpolated between the two nearest values; infinite for other
/// `q`, NaN without values. Reorders the values.
pub(crate) fn of_values(q: f64, values: &mut [f64]) -> f64 {
    with_zeros(q, values, 0)
}

/// [`of_values`] of the values and so many zeros, which are never written down.
pub(crate) fn with_zeros(q: f64, values: &mut [f64], zeros: usize) -> f64 {
    let count = values.len().saturating_add(zeros);
    if count == 0 || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = q * (count - 1) as f64;
    let lower_at = (rank.floor() as usize).min(count - 1);
    let weight = rank - rank.floor();
    let below = if zeros == 0 { values.len() } else { values.iter().filter(|v| v.is_nan() || **v < 0.0).count() };
    // Of so few Go keeps the order of equal ones, of which 0 and -0 can be told apart by who divides by them.
    let is_sorted = zeros == 0 && values.len() <= 12;
    if is_sorted {
        values.sort_by(nan_first);
    }
    if zeros == 0 && !is_sorted {
        // What comes next is the smallest of those behind.
        let (_, lower, behind) = values.select_nth_unstable_by(lower_at, nan_first);
        let lower = *lower;
        let upper = behind.iter().copied().min_by(nan_first).unwrap_or(lower);
        return lower * (1.0 - weight) + upper * weight;
    }
    let mut nth = |at: usize| {
        if is_sorted {
            return values[at];
        }
        if at >= below && at - below < zeros {
            return 0.0;
        }
        let at = if at < below { at } else { at - zeros };
        *values.select_nth_unstable_by(at, nan_first).1
    };
    let lower = nth(lower_at);
    let upper = nth((lower_at + 1).min(count - 1));
    lower * (1.0 - weight) + upper * weight
}

/// One bucket of a classic histogram: how many observations are at or below `upper`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub upper: f64,
    pub count: f64,
}

impl From<(f64, f64)> for Bucket {
    fn from((upper, count): (f64, f64)) -> Bucket {
        Bucket { upper, count }
    }
}

/// Counts that differ by less than this share of their sum are taken as equal.
const COUNT_TOLERANCE: f64 = 1e-12;

/// Whether two counts differ by rounding only.
fn almost_equal(left: f64, right: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < COUNT_TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < COUNT_TOLERANCE
}

/// Buckets whose counts fell below an earlier one, and had to be lifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lifted {
    /// Smallest and largest bound of them.
    pub bounds: (f64, f64),
    /// By how much at most.
    pub by: f64,
}

/// The quantile `q` of cumulative buckets, linear within a bucket; Prometheus' rules for the edges:
/// NaN without a bucket up to +Inf, without a second one or without observations; the highest
/// finite bound if the quantile lies above it; 0 as the lower bound of the first positive bucket.
/// Tells too which buckets had to be lifted.
pub(crate) fn of_buckets(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Lifted>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if !sort(buckets) {
        return (f64::NAN, None);
    }
    let lifted = make_monotonic(buckets);
    (of_rising(q, buckets), lifted)
}

/// Sorts buckets and joins those of one bound; whether there is one up to +Inf.
fn sort(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|left, right| left.upper.total_cmp(&right.upper));
    buckets.dedup_by(|later, earlier| {
        let same = later.upper == earlier.upper;
        if same {
            earlier.count += later.count;
        }
        same
    });
    buckets.last().is_some_and(|last| last.upper == f64::INFINITY)
}

fn of_rising(q: f64, buckets: &[Bucket]) -> f64 {
    let [.., before_last, last] = buckets else { return f64::NAN };
    let observations = last.count;
    if observations == 0.0 {
        return f64::NAN;
    }
    let highest_bound = before_last.upper;
    let rank = q * observations;
    let reaches = |bucket: &Bucket| bucket.count >= rank;
    let at = buckets[..buckets.len() - 1].partition_point(|bucket| !reaches(bucket));
    if at == buckets.len() - 1 {
        return highest_bound;
    }
    let Bucket { upper, mut count } = buckets[at];
    let (mut lower, mut rank) = (0.0, rank);
    if at > 0 {
        let before = buckets[at - 1];
        lower = before.upper;
        count -= before.count;
        rank -= before.count;
    } else if upper <= 0.0 {
        return upper;
    }
    lower + (upper - lower) * (rank / count)
}

/// The share of the observations between two bounds, linear within a bucket; nothing of a bucket without an end.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    let has_all = sort(buckets);
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return f64::NAN };
    if !has_all || last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let bottom = if first.upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let below = |bound: f64| {
        let (mut from, mut rank) = (bottom, 0.0);
        for bucket in buckets.iter() {
            if from >= bound {
                return rank;
            }
            if bucket.upper > bound {
                let inside = (bucket.count - rank) * (bound - from) / (bucket.upper - from);
                return if from == f64::NEG_INFINITY { bucket.count } else { rank + inside };
            }
            (from, rank) = (bucket.upper, bucket.count);
        }
        last.count
    };
    // Counts that do not rise may lead above all.
    (below(upper).min(last.count) - below(lower).min(last.count)) / last.count
}

/// Lifts counts that fall below an earlier one, and levels differences that are only rounding.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Lifted> {
    let mut before = buckets.first()?.count;
    let mut lifted: Option<Lifted> = None;
    for bucket in buckets.iter_mut().skip(1) {
        if almost_equal(bucket.count, before) {
            bucket.count = before;
        } else if bucket.count < before {
            let by = before - bucket.count;
            let so_far = lifted.unwrap_or(Lifted { bounds: (bucket.upper, bucket.upper), by });
            let bounds = (so_far.bounds.0.min(bucket.upper), so_far.bounds.1.max(bucket.upper));
            lifted = Some(Lifted { bounds, by: so_far.by.max(by) });
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    lifted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        assert!(of_values(0.5, &mut []).is_nan());
        assert_eq!(of_values(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(of_values(1.1, &mut [1.0]), f64::INFINITY);
        assert_eq!(of_values(0.5, &mut [3.0, 1.0]), 2.0);
        assert_eq!(of_values(1.0, &mut [3.0, f64::NAN, 1.0]), 3.0);
        assert!(of_values(0.0, &mut [3.0, f64::NAN, 1.0]).is_nan());
        assert!(of_buckets(0.5, &mut vec![Bucket { upper: 1.0, count: 5.0 }]).0.is_nan());
        let bucket = |upper, count| Bucket { upper, count };
        let histogram = || vec![bucket(f64::INFINITY, 10.0), bucket(1.0, 2.0), bucket(2.0, 8.0)];
        assert_eq!(of_buckets(0.5, &mut histogram()), (1.5, None));
        assert_eq!(of_buckets(0.1, &mut histogram()), (0.5, None));
        assert_eq!(of_buckets(0.95, &mut histogram()), (2.0, None));
        let mut falling = vec![bucket(1.0, 5.0), bucket(2.0, 4.5), bucket(4.0, 3.0), bucket(f64::INFINITY, 6.0)];
        let lifted = Lifted { bounds: (2.0, 4.0), by: 2.0 };
        assert_eq!(of_buckets(1.0, &mut falling), (4.0, Some(lifted)));
    }

    proptest! {
        #[test]
        fn like_a_sorted_list(q in 0.0f64..=1.0, values in prop::collection::vec(-1e6f64..1e6, 1..60)) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = q * (sorted.len() - 1) as f64;
            let (lower, upper) = (sorted[rank.floor() as usize], sorted[(rank.floor() as usize + 1).min(sorted.len() - 1)]);
            let weight = rank - rank.floor();
            prop_assert_eq!(of_values(q, &mut values.clone()), lower * (1.0 - weight) + upper * weight);
        }

        #[test]
        fn zeros_need_not_be_written(q in 0.0f64..=1.0, mut values in prop::collection::vec(-5i8..5, 0..20), zeros in 0usize..20) {
            let mut all: Vec<f64> = values.drain(..).map(f64::from).collect();
            let mut some = all.clone();
            all.resize(all.len() + zeros, 0.0);
            prop_assert_eq!(with_zeros(q, &mut some, zeros).to_bits(), of_values(q, &mut all).to_bits());
        }
    }
}
