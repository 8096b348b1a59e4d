//! Leaving out the observations above or below a value, as `</` and `>/` of PromQL do: what lies in the bucket of the
//! value is shared out as a quantile would be found in it, and the sum is that of the middles of what is left.

use super::{Bucket, Histogram};

/// Which observations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Those below the value.
    Below,
    /// Those above it.
    Above,
}

/// Where a bucket lies, which says how values lie within it.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Evenly.
    Linear,
    /// Evenly by their logarithms.
    Positive,
    /// The same, mirrored.
    Negative,
}

impl Bucket {
    /// The share of the bucket at or below a value inside; evenly, or evenly by logarithms.
    pub fn fraction_below(&self, value: f64, is_linear: bool) -> f64 {
        if is_linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, value_log) = (self.lower.abs().log2(), self.upper.abs().log2(), value.abs().log2());
        if value > 0.0 { (value_log - lower) / (upper - lower) } else { 1.0 - (value_log - upper) / (lower - upper) }
    }
}

impl Histogram {
    /// Leaves out what is not kept.
    pub fn trim(&mut self, at: f64, kept: Kept) {
        let shape = |positive: bool| match (self.is_custom(), positive) {
            (true, _) => Shape::Linear,
            (false, true) => Shape::Positive,
            (false, false) => Shape::Negative,
        };
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut keep = |have: f64, (left, middle): (f64, f64)| {
            count += left;
            sum += middle * left;
            changed |= have != left;
            left
        };
        let mut positive = self.positive.clone();
        for (number, bucket) in positive.iter_mut().filter(|bucket| bucket.1 != 0.0).map(|b| (*b, b)) {
            bucket.1 = keep(number.1, part(self.positive_bucket(number), at, kept, shape(true)));
        }
        let mut negative = self.negative.clone();
        for (number, bucket) in negative.iter_mut().filter(|bucket| bucket.1 != 0.0).map(|b| (*b, b)) {
            bucket.1 = keep(number.1, part(self.negative_bucket(number), at, kept, shape(false)));
        }
        if self.zero_count > 0.0 {
            let holds = |buckets: &[(i32, f64)]| buckets.iter().any(|(_, count)| *count != 0.0);
            let mut bucket = self.zero_bucket();
            match (holds(&self.negative), holds(&self.positive)) {
                (true, false) => bucket.upper = 0.0,
                (false, true) => bucket.lower = 0.0,
                _ => {}
            }
            self.zero_count = keep(self.zero_count, part_of_zero(bucket, at, kept));
        }
        if changed {
            (self.count, self.sum) = (count, sum);
            (self.positive, self.negative) = (positive, negative);
            self.compact();
        }
    }
}

/// How much of a bucket is kept, and the middle of that.
fn part(bucket: Bucket, at: f64, kept: Kept, shape: Shape) -> (f64, f64) {
    let (is_whole, is_cut) = match kept {
        Kept::Below => (bucket.upper <= at, bucket.lower < at),
        Kept::Above => (bucket.lower >= at, bucket.upper > at),
    };
    if is_whole {
        return (bucket.count, middle(bucket.lower, bucket.upper, shape));
    }
    if !is_cut {
        return (0.0, 0.0);
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return part_of_endless(bucket, at, kept);
    }
    let below = if at <= bucket.lower {
        0.0
    } else if at >= bucket.upper {
        bucket.count
    } else {
        bucket.count * bucket.fraction_below(at, shape == Shape::Linear)
    };
    match kept {
        Kept::Below => (below, middle(bucket.lower, at, shape)),
        Kept::Above => (bucket.count - below, middle(at, bucket.upper, shape)),
    }
}

/// Of a bucket without an end nobody knows where its observations lie: it is kept whole or not at all, but for a first
/// custom bucket, which begins at 0 if it ends above.
fn part_of_endless(bucket: Bucket, at: f64, kept: Kept) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = bucket;
    let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
    match (lower == f64::NEG_INFINITY, kept) {
        (true, Kept::Below) if at >= upper => (count, 0.0),
        (true, Kept::Below) if at > 0.0 && upper > 0.0 && upper != f64::INFINITY => (count * at / upper, at / 2.0),
        (true, Kept::Below) if upper <= 0.0 => (count, at),
        (true, Kept::Above) if at <= lower => (count, 0.0),
        (true, Kept::Above) if at >= 0.0 && upper > at && upper != f64::INFINITY => {
            (count * (1.0 - at / upper), (at + upper) / 2.0)
        }
        (true, _) => (0.0, finite(upper)),
        (false, Kept::Above) if at >= lower => (count, at),
        (false, _) => (0.0, finite(lower)),
    }
}

fn part_of_zero(bucket: Bucket, at: f64, kept: Kept) -> (f64, f64) {
    let Bucket { lower, upper, count, .. } = bucket;
    let whole = (count, (lower + upper) / 2.0);
    match kept {
        Kept::Below if at <= lower => (0.0, 0.0),
        Kept::Below if at >= upper => whole,
        Kept::Below => (count * ((at - lower) / (upper - lower)), (lower + at) / 2.0),
        Kept::Above if at <= lower => whole,
        Kept::Above if at >= upper => (0.0, 0.0),
        Kept::Above => (count * ((upper - at) / (upper - lower)), (at + upper) / 2.0),
    }
}

fn middle(lower: f64, upper: f64, shape: Shape) -> f64 {
    match (lower.is_infinite(), upper.is_infinite(), shape) {
        (true, true, _) => 0.0,
        (true, false, _) if upper > 0.0 => upper / 2.0,
        (true, false, _) => upper,
        (false, true, _) => lower,
        (false, false, Shape::Linear) => (lower + upper) / 2.0,
        (false, false, Shape::Positive) => (lower * upper).abs().sqrt(),
        (false, false, Shape::Negative) => -(lower * upper).abs().sqrt(),
    }
}
