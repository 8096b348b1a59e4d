//! The bounds of buckets, and the buckets in the order of their values.

use super::Histogram;
use super::fractions::FRACTIONS;

/// The schema of histograms whose bounds are listed.
pub const CUSTOM_SCHEMA: i8 = -53;
/// The exponential schema of the widest buckets: each reaches to 65,536 times its lower bound.
pub const SCHEMA_MIN: i8 = -4;
/// The exponential schema of the narrowest buckets: each is 0.27 % wide.
pub const SCHEMA_MAX: i8 = 8;

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to it.
    pub upper_inclusive: bool,
    /// How many observations.
    pub count: f64,
}

/// A fraction times a power of two, also where only both halves of the power are numbers.
fn scaled(fraction: f64, power: i64) -> f64 {
    // Beyond these it is 0 or infinite anyway.
    let power = power.clamp(-4000, 4000) as i32;
    let half = power / 2;
    fraction * 2f64.powi(half) * 2f64.powi(power - half)
}

/// The upper bound of an exponential bucket. The last one before that of infinity ends with the largest number.
pub(super) fn exponential(index: i32, schema: i8) -> f64 {
    let index = i64::from(index);
    let (fraction, power) = if schema < 0 {
        (0.5, (index << u32::from(schema.unsigned_abs())) + 1)
    } else {
        let schema = u32::from(schema.unsigned_abs()).min(8);
        let within = (index & ((1 << schema) - 1)) << (8 - schema);
        // A number of 8 bits.
        (FRACTIONS[within as usize & 255], (index >> schema) + 1)
    };
    if fraction == 0.5 && power == 1025 { f64::MAX } else { scaled(fraction, power) }
}

/// The number of the bucket that a bucket falls into when buckets become `2^shift` times as wide.
pub(super) fn widened(index: i32, shift: u32) -> i32 {
    (index.wrapping_sub(1) >> shift.min(31)).wrapping_add(1)
}

/// The number of the exponential bucket that a positive number falls into.
pub fn index_of(value: f64, schema: i8) -> i32 {
    let guess = (value.log2() * f64::from(schema).exp2()).ceil() as i32;
    // Logarithms are rounded.
    if value <= exponential(guess.wrapping_sub(1), schema) {
        guess.wrapping_sub(1)
    } else if value > exponential(guess, schema) {
        guess.wrapping_add(1)
    } else {
        guess
    }
}

impl Histogram {
    /// The upper bound of a custom bucket; infinite after the last, and below the first.
    fn custom_bound(&self, index: i32) -> f64 {
        match usize::try_from(index) {
            Ok(index) => self.bounds.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    /// The upper bound of a bucket of the positive side.
    pub(super) fn upper_of(&self, index: i32) -> f64 {
        if self.is_custom() { self.custom_bound(index) } else { exponential(index, self.schema) }
    }

    pub(super) fn positive_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        let (lower, upper) = (self.upper_of(index.saturating_sub(1)), self.upper_of(index));
        let lower_inclusive = if self.is_custom() { index == 0 } else { lower < 0.0 };
        Bucket { lower, upper, lower_inclusive, upper_inclusive: self.is_custom() || upper > 0.0, count }
    }

    pub(super) fn negative_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        let (lower, upper) = (-self.upper_of(index), -self.upper_of(index.saturating_sub(1)));
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
    }

    pub(super) fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// A bucket as it is next to the one around zero, which may reach into it.
    fn beside_zero(&self, mut bucket: Bucket) -> Bucket {
        let threshold = self.zero_threshold;
        if bucket.upper < 0.0 && bucket.upper > -threshold {
            bucket.upper = -threshold;
        } else if bucket.lower > 0.0 && bucket.lower < threshold {
            bucket.lower = threshold;
        }
        bucket
    }

    /// All buckets with the bounds of the schema, ascending; that around zero, which may reach into others, if it holds
    /// something.
    pub fn own_buckets(&self) -> impl Iterator<Item = Bucket> {
        let below = self.negative.iter().rev().map(|bucket| self.negative_bucket(*bucket));
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        below.chain(zero).chain(self.positive.iter().map(|bucket| self.positive_bucket(*bucket)))
    }

    /// All buckets, ascending, none reaching into that around zero; that one if it holds something.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        let below = self.negative.iter().rev().map(|bucket| self.beside_zero(self.negative_bucket(*bucket)));
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        let above = self.positive.iter().map(|bucket| self.beside_zero(self.positive_bucket(*bucket)));
        below.chain(zero).chain(above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_exponential_buckets() {
        for (index, schema, bound) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (1, -1, 4.0),
            (8, 3, 2.0),
            (1, 2, 1.189207115002721),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (64, -4, f64::MAX),
            (-1074, 0, 5e-324),
            (i32::MAX, 8, f64::INFINITY),
            (i32::MIN, -4, 0.0),
        ] {
            assert_eq!(exponential(index, schema), bound, "{index} of schema {schema}");
        }
    }

    #[test]
    fn a_number_lies_in_its_bucket() {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            for value in [1.0, 2.0, 1.5, 1e-6, 0.1, 1e9, 1e300, 1e-300, 65_536.0, f64::MAX] {
                let index = index_of(value, schema);
                let (lower, upper) = (exponential(index - 1, schema), exponential(index, schema));
                assert!(lower < value && value <= upper, "{value} in ({lower}, {upper}] of schema {schema}");
            }
        }
    }

    #[test]
    fn wider_buckets_hold_the_narrower() {
        for index in -20..20 {
            for shift in 0..4u32 {
                let wide = widened(index, shift);
                let schema = 4 - i8::try_from(shift).expect("small");
                assert!(exponential(index, 4) <= exponential(wide, schema));
                assert!(exponential(index - 1, 4) >= exponential(wide - 1, schema));
            }
        }
    }
}
