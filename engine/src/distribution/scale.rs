//! Observed values and the buckets of a histogram.
//!
//! `hdrhistogram` counts integers. A value is recorded as millionths of its unit, so the range in which the
//! buckets of two significant digits keep their promise is 0.00005 to 1e12 units; smaller values are off by at
//! most a millionth, what lies outside (negative, or above 1e12) goes to the nearest end and is counted as clamped.
//!
//! Kept are pairs of the package's buckets, which halves what a histogram takes. The package answers a quantile with
//! the upper end of a bucket; of a pair the answer is its middle, so the error stays that of a single bucket, only on
//! both sides. The place of a pair is its number among the pairs.
//!
//! The package does not tell the number of a bucket, and a sparse form at rest needs one: `index_of` computes
//! what the package computes inside; a test holds the two together.

/// Recorded integers per unit.
pub(super) const SCALE: f64 = 1e6;
/// Largest recorded integer.
pub(super) const MAX: u64 = 1_000_000_000_000_000_000;
/// Significant digits of the histograms.
pub(super) const DIGITS: u8 = 2;
/// Buckets below this hold one integer each, and are not paired.
const EXACT: u16 = 256;
/// Places up to that of `MAX`.
pub(super) const PLACES: usize = place_of(MAX) as usize + 1;

/// The integer that stands for a value, and whether the value lay outside the range.
#[inline]
pub(super) fn scaled(value: f64) -> (u64, bool) {
    let scaled = value * SCALE;
    if scaled >= 0.0 && scaled <= MAX as f64 {
        // Signed integers of this size are quicker to come by.
        ((scaled + 0.5) as i64 as u64, false)
    } else if scaled < 0.0 {
        (0, true)
    } else {
        (MAX, true)
    }
}

/// The bucket of an integer in the package: 256 exact ones, then 128 per power of two.
#[inline]
const fn index_of(scaled: u64) -> u16 {
    let power = 56 - (scaled | 255).leading_zeros();
    // At most 52 powers above the first, 128 buckets each.
    (power as u16) * 128 + (scaled >> power) as u16
}

/// The place of a bucket of the package.
#[inline]
pub(super) const fn place_of_index(index: u16) -> u16 {
    if index < EXACT { index } else { EXACT / 2 + index / 2 }
}

/// The place of an integer.
#[inline]
pub(super) const fn place_of(scaled: u64) -> u16 {
    place_of_index(index_of(scaled))
}

/// The smallest integer of a bucket of the package.
const fn lowest_of(index: u16) -> u64 {
    if index < EXACT {
        return index as u64;
    }
    let power = (index - 128) >> 7;
    ((index - power * 128) as u64) << power
}

/// What is answered for the values of a place, in the recorded unit: the exact integer or the middle of the pair.
pub(super) fn answer_of(place: usize) -> f64 {
    // There are fewer than 2^12 places.
    let place = place as u16;
    let index = if place < EXACT { place } else { (place - EXACT / 2) * 2 };
    (lowest_of(index + 1) - 1) as f64 / SCALE
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_are_those_of_the_package(bits in 0u32..60, fill in any::<u64>()) {
            let scaled = ((1u64 << bits) | (fill & ((1 << bits) - 1))).min(MAX);
            let package = Histogram::<u64>::new_with_max(MAX, DIGITS).expect("a valid range");
            let index = index_of(scaled);
            prop_assert_eq!(lowest_of(index), package.lowest_equivalent(scaled));
            prop_assert_eq!(lowest_of(index + 1), package.next_non_equivalent(scaled));
            prop_assert_eq!(index_of(lowest_of(index)), index);
        }

        #[test]
        fn an_answer_is_within_a_hundredth(bits in 0u32..60, fill in any::<u64>()) {
            let scaled = ((1u64 << bits) | (fill & ((1 << bits) - 1))).min(MAX);
            let place = place_of(scaled);
            prop_assert!(usize::from(place) < PLACES);
            let (value, answer) = (scaled as f64 / SCALE, answer_of(place.into()));
            prop_assert!((answer - value).abs() <= 0.0079 * value, "{answer} for {value}");
            // Places ascend with the values, and none is left out.
            prop_assert!(place_of(scaled.saturating_sub(1)) <= place);
            prop_assert!(place == 0 || answer_of(usize::from(place) - 1) < answer);
        }
    }

    #[test]
    fn values_outside_go_to_the_ends() {
        assert_eq!(scaled(-1.0), (0, true));
        assert_eq!(scaled(-0.0), (0, false));
        assert_eq!(scaled(f64::INFINITY), (MAX, true));
        assert_eq!(scaled(f64::NAN), (MAX, true));
        assert_eq!(scaled(1e12), (MAX, false));
        assert_eq!(scaled(12.5), (12_500_000, false));
    }
}
