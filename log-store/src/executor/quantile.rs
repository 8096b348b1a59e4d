//! Quantiles of numbers: exact while they are few, then from logarithmic buckets (DDSketch, Masson et al. 2019).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::query::Number;
use crate::stats::EXACT_MAX;

/// Relative error of a bucket's middle: half of what is promised.
const ERROR: f64 = 0.005;
/// Ratio of a bucket's bounds.
const RATIO: f64 = (1.0 + ERROR) / (1.0 - ERROR);

/// Numbers, of which quantiles are asked.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    /// All of them, at most [`EXACT_MAX`].
    Exact(Vec<Number>),
    /// How many are in each bucket.
    Buckets(Buckets),
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers::Exact(Vec::new())
    }
}

/// Counts by [`key`], which ascends with the number, and the two ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    counts: BTreeMap<(i8, i32), u64>,
    total: u64,
    ends: Option<(Number, Number)>,
}

/// Order of numbers; NaN is left out where numbers are read.
pub(super) fn order(a: Number, b: Number) -> Ordering {
    a.compare(b).unwrap_or(Ordering::Equal)
}

/// Sign, and the power of [`RATIO`] at or above the magnitude (negated for negative numbers).
fn key(value: f64) -> (i8, i32) {
    // Beyond the range of the type (infinities) it saturates.
    let power = |magnitude: f64| (magnitude.ln() / RATIO.ln()).ceil() as i32;
    if value > 0.0 {
        (1, power(value))
    } else if value < 0.0 {
        (-1, power(-value).saturating_neg())
    } else {
        (0, 0)
    }
}

/// The number that stands for all of a bucket.
fn middle((sign, power): (i8, i32)) -> f64 {
    // In logarithms, or the largest numbers would overflow on the way.
    let magnitude = |power: i32| (f64::from(power) * RATIO.ln() - ((RATIO + 1.0) / 2.0).ln()).exp();
    match sign {
        0 => 0.0,
        1 => magnitude(power),
        _ => -magnitude(power.saturating_neg()),
    }
}

impl Buckets {
    fn add(&mut self, number: Number) {
        *self.counts.entry(key(number.as_f64())).or_default() += 1;
        self.total += 1;
        self.stretch(number, number);
    }

    fn stretch(&mut self, low: Number, high: Number) {
        self.ends = Some(match self.ends {
            None => (low, high),
            Some((least, most)) => (
                if order(low, least) == Ordering::Less { low } else { least },
                if order(high, most) == Ordering::Greater { high } else { most },
            ),
        });
    }
}

impl Numbers {
    /// Adds a number; not NaN.
    pub fn add(&mut self, number: Number) {
        match self {
            Numbers::Exact(numbers) if numbers.len() < EXACT_MAX => numbers.push(number),
            Numbers::Exact(numbers) => {
                let mut buckets = Buckets::default();
                numbers.iter().for_each(|number| buckets.add(*number));
                buckets.add(number);
                *self = Numbers::Buckets(buckets);
            }
            Numbers::Buckets(buckets) => buckets.add(number),
        }
    }

    /// Adds others.
    pub fn merge(&mut self, other: Numbers) {
        match (&mut *self, other) {
            (Numbers::Buckets(mine), Numbers::Buckets(theirs)) => {
                theirs.counts.iter().for_each(|(key, count)| *mine.counts.entry(*key).or_default() += count);
                mine.total += theirs.total;
                theirs.ends.iter().for_each(|(low, high)| mine.stretch(*low, *high));
            }
            (Numbers::Exact(_), mut buckets @ Numbers::Buckets(_)) => {
                std::mem::swap(self, &mut buckets);
                self.merge(buckets);
            }
            (_, Numbers::Exact(numbers)) => numbers.into_iter().for_each(|number| self.add(number)),
        }
    }

    /// The smallest number with at least a share `q` of all at or below it, and whether it is an estimate.
    pub fn quantile(&self, q: f64) -> (Option<Number>, bool) {
        // A hair less, so that 0.07 of 100 is the seventh, whatever floats make of it.
        let rank_of = |count: u64| ((q * count as f64 * (1.0 - 1e-12)).ceil() as u64).clamp(1, count.max(1));
        match self {
            Numbers::Exact(numbers) => {
                let mut numbers = numbers.clone();
                let rank = rank_of(numbers.len() as u64) as usize - 1;
                let value =
                    (rank < numbers.len()).then(|| *numbers.select_nth_unstable_by(rank, |a, b| order(*a, *b)).1);
                (value, false)
            }
            Numbers::Buckets(buckets) => {
                let rank = rank_of(buckets.total);
                let mut seen = 0;
                let bucket = buckets.counts.iter().find(|(_, count)| {
                    seen += **count;
                    seen >= rank
                });
                let value = bucket.zip(buckets.ends).map(|((key, _), (least, most))| {
                    let middle = Number::float(middle(*key));
                    if order(middle, least) == Ordering::Less {
                        least
                    } else if order(middle, most) == Ordering::Greater {
                        most
                    } else {
                        middle
                    }
                });
                (value, true)
            }
        }
    }

    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        match self {
            Numbers::Exact(numbers) => numbers.capacity() * size_of::<Number>(),
            Numbers::Buckets(buckets) => buckets.counts.len() * 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: &[f64]) -> Numbers {
        let mut all = Numbers::default();
        numbers.iter().for_each(|number| all.add(Number::float(*number)));
        all
    }

    #[test]
    fn nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (q, value) in [(0.0, 1), (0.07, 7), (0.5, 50), (0.501, 51), (0.95, 95), (0.999, 100), (1.0, 100)] {
            assert_eq!(of(&hundred).quantile(q), (Some(Number::Int(value)), false), "{q}");
        }
        assert_eq!(of(&[]).quantile(0.5), (None, false));
    }

    proptest! {
        #[test]
        fn many_are_within_a_percent(
            seeds in prop::collection::vec(prop_oneof![-1e6f64..1e6, 0.0f64..1.0, Just(0.0), 1e300f64..1e308, Just(f64::INFINITY)], 50),
            q in 0.0f64..=1.0,
            cut in 0usize..12_000,
        ) {
            let numbers: Vec<f64> = seeds.iter().cycle().take(12_000).enumerate().map(|(at, seed)| seed * (1.0 + at as f64 / 1e5)).collect();
            let (mut low, high) = (of(&numbers[..cut]), of(&numbers[cut..]));
            low.merge(high);
            let (found, is_approximate) = low.quantile(q);
            let mut sorted = numbers;
            sorted.sort_by(f64::total_cmp);
            let rank = ((q * 12_000.0 * (1.0 - 1e-12)).ceil() as usize).max(1) - 1;
            let (found, exact) = (found.expect("some").as_f64(), sorted[rank]);
            prop_assert!(is_approximate);
            prop_assert!(found == exact || (found - exact).abs() <= exact.abs() * 0.01, "{found} for {exact}");
        }
    }
}
