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
    let mut nth = |at: usize| {
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

/// Counts that differ by less than this share are taken as equal.
const COUNT_TOLERANCE: f64 = 1e-12;

/// The quantile `q` of cumulative buckets, linear within a bucket; Prometheus' rules for the edges:
/// NaN without a bucket up to +Inf, without a second one or without observations; the highest
/// finite bound if the quantile lies above it; 0 as the lower bound of the first positive bucket.
pub(crate) fn of_buckets(q: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|left, right| left.upper.total_cmp(&right.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|later, earlier| {
        let same = later.upper == earlier.upper;
        if same {
            earlier.count += later.count;
        }
        same
    });
    make_monotonic(buckets);
    let [.., before_last, last] = buckets.as_slice() else { return f64::NAN };
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

/// Lifts counts that fall below an earlier one, and levels differences that are only rounding.
fn make_monotonic(buckets: &mut [Bucket]) {
    let Some(first) = buckets.first() else { return };
    let mut before = first.count;
    for bucket in buckets.iter_mut().skip(1) {
        let difference = (bucket.count - before).abs();
        if difference != 0.0 && difference / bucket.count <= COUNT_TOLERANCE {
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    let mut most = buckets[0].count;
    for bucket in buckets.iter_mut() {
        if bucket.count > most {
            most = bucket.count;
        } else {
            bucket.count = most;
        }
    }
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
        assert!(of_buckets(0.5, &mut vec![Bucket { upper: 1.0, count: 5.0 }]).is_nan());
        let bucket = |upper, count| Bucket { upper, count };
        let histogram = || vec![bucket(f64::INFINITY, 10.0), bucket(1.0, 2.0), bucket(2.0, 8.0)];
        assert_eq!(of_buckets(0.5, &mut histogram()), 1.5);
        assert_eq!(of_buckets(0.1, &mut histogram()), 0.5);
        assert_eq!(of_buckets(0.95, &mut histogram()), 2.0);
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
