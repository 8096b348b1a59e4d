//! What the buckets of a histogram say of its observations: quantiles, fractions, deviations.
//!
//! Within a bucket observations lie evenly, of exponential ones evenly by their logarithms. The bucket around zero ends
//! at zero where a histogram has buckets on one side only.

use watchfire_model::histogram::Bucket;
use watchfire_model::{Histogram, Sum};

/// What there is to say of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The quantile lies among observations that are no numbers.
    QuantileIsNan,
    /// Observations that are no numbers count as the largest.
    QuantileIsSkewed,
    /// Observations that are no numbers are in no fraction.
    FractionsLackNan,
}

impl Doubt {
    /// In Prometheus' words.
    pub fn as_str(self) -> &'static str {
        match self {
            Doubt::QuantileIsNan => "input to histogram_quantile has NaN observations, result is NaN",
            Doubt::QuantileIsSkewed => "input to histogram_quantile has NaN observations, result is skewed higher",
            Doubt::FractionsLackNan => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        }
    }
}

/// The bucket around zero, cut off at zero where there is nothing on the other side.
fn one_sided(histogram: &Histogram, bucket: &mut Bucket) {
    match (histogram.negative().is_empty(), histogram.positive().is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The quantile `q`.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> (f64, Option<Doubt>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count() == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // What is no number is in no bucket: then only counting from below finds the rank.
    let has_nan = histogram.sum().is_nan();
    let from_below = has_nan || q < 0.5;
    let mut ascending = histogram.buckets();
    let found = if from_below {
        let rank = q * histogram.count();
        reached(ascending.by_ref(), rank)
    } else {
        let rank = (1.0 - q) * histogram.count();
        reached(histogram.buckets().rev(), rank)
    };
    let Reached { mut bucket, count, rank } = found;
    let is_custom = histogram.is_custom();
    if is_custom && bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return (bucket.upper, None);
        }
        bucket.lower = 0.0;
    } else if is_custom && bucket.upper == f64::INFINITY {
        return (bucket.lower, None);
    } else if !is_custom && bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(histogram, &mut bucket);
    }
    // What is no number, of infinite counts, stays so.
    let mut count = if count > histogram.count() { histogram.count() } else { count };
    if count < rank {
        // Above all buckets are only those that are no numbers.
        return if has_nan { (f64::NAN, Some(Doubt::QuantileIsNan)) } else { (bucket.upper, None) };
    }
    let inside = if from_below { rank - (count - bucket.count) } else { count - rank };
    let mut doubt = None;
    if has_nan {
        // As Prometheus does it: it counts what lies above, and takes the last bucket for the one that was found.
        for above in ascending {
            count += above.count;
            bucket = above;
        }
        doubt = (count < histogram.count()).then_some(Doubt::QuantileIsSkewed);
    }
    (within(&bucket, inside / bucket.count, is_custom), doubt)
}

/// The bucket in which a rank is reached, or the last, and how much was counted with it. Without buckets (which only a
/// division by 0 leaves) all of nothing lies at 0.
struct Reached {
    bucket: Bucket,
    count: f64,
    rank: f64,
}

fn reached(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Reached {
    let mut count = 0.0;
    let mut last = Bucket { lower: 0.0, upper: 0.0, count: 0.0, lower_inclusive: true, upper_inclusive: true };
    for bucket in buckets {
        let is_empty = bucket.count == 0.0;
        count += bucket.count;
        last = bucket;
        if !is_empty && count >= rank {
            break;
        }
    }
    Reached { bucket: last, count, rank }
}

/// The value at a share of a bucket.
fn within(bucket: &Bucket, share: f64, is_custom: bool) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if is_custom || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * share;
    }
    let (lower_log, upper_log) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (lower_log + (upper_log - lower_log) * share).exp2()
    } else {
        -(upper_log + (lower_log - upper_log) * (1.0 - share)).exp2()
    }
}

/// The share of the observations between two bounds.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, Option<Doubt>) {
    if histogram.count() == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let in_buckets = || histogram.buckets().map(|bucket| bucket.count).sum::<f64>();
    let has_nan = histogram.sum().is_nan();
    let count = if has_nan { in_buckets() } else { histogram.count() };
    let rank = |bound: f64| below(bound, histogram).map_or(count, |rank| if rank > count { count } else { rank });
    let share = (rank(upper) - rank(lower)) / histogram.count();
    (share, (has_nan && count < histogram.count()).then_some(Doubt::FractionsLackNan))
}

/// How many observations lie below a bound; `None` if it lies above all buckets.
fn below(bound: f64, histogram: &Histogram) -> Option<f64> {
    let mut rank = 0.0;
    for mut bucket in histogram.buckets() {
        let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if around_zero {
            one_sided(histogram, &mut bucket);
        }
        if bucket.lower >= bound {
            return Some(rank);
        }
        if bucket.upper > bound {
            let is_linear = histogram.is_custom() || around_zero;
            // Of a bucket without a beginning nothing is known.
            return Some(if is_linear && bucket.lower == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + bucket.count * bucket.fraction_below(bound, is_linear)
            });
        }
        rank += bucket.count;
    }
    None
}

/// The mean squared distance from the mean; each observation lies in the middle of its bucket.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum() / histogram.count();
    let mut squares = Sum::default();
    for bucket in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
        let Bucket { lower, upper, count, .. } = bucket;
        let middle = if histogram.is_custom() {
            (upper + lower) / 2.0
        } else if lower <= 0.0 && upper >= 0.0 {
            0.0
        } else if upper < 0.0 {
            -(upper * lower).sqrt()
        } else {
            (upper * lower).sqrt()
        };
        let difference = middle - mean;
        squares.add(count * difference * difference);
    }
    squares.total() / histogram.count()
}
