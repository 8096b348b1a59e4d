//! A native histogram: how many observations lie in buckets whose bounds follow from a schema.
//!
//! What Prometheus calls a float histogram, with its meaning; so the operations here are those of PromQL.
//!
//! Of an exponential schema `s` (−4 to 8) the bucket `i` reaches from `2^((i−1)/2^s)`, outside, to `2^(i/2^s)`, and the
//! same mirrored below zero; what is near zero lies in a bucket of its own. Of the custom schema (−53) the bucket `i`
//! reaches from the bound before up to the bound `i`, and the one after the last bound to infinity.
//!
//! A bucket may be empty: that there is one says where observations could have been, which quantiles near zero go by, and
//! tells histograms apart. Rates and sums leave empty ones out ([`Histogram::compact`]).
//!
//! Invariants: the numbers of the buckets of a side ascend strictly; a custom histogram has only positive buckets, none
//! after the one of infinity, and nothing near zero.

mod add;
mod amount;
mod bounds;
mod fractions;
mod reset;
mod trim;
mod validate;

use std::sync::Arc;

pub use add::{Added, Incompatible};
use amount::Amount;
pub use bounds::{Bucket, CUSTOM_SCHEMA, SCHEMA_MAX, SCHEMA_MIN, index_of};
pub use trim::Kept;
pub use validate::{HistogramError, HistogramParts, buckets_of_spans};

use crate::Sum;

/// What is known of whether a histogram continues the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Nothing.
    #[default]
    Unknown,
    /// It began anew.
    Reset,
    /// It continues.
    NotReset,
    /// It is no counter.
    Gauge,
}

/// Buckets of one side: their numbers and how many observations they hold.
pub type Buckets<A = f64> = Vec<(i32, A)>;

/// A histogram. `A` is how its counts are added up: plainly, or as [`Sum`] without loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram<A = f64> {
    schema: i8,
    hint: ResetHint,
    zero_threshold: f64,
    zero_count: A,
    count: A,
    sum: A,
    positive: Buckets<A>,
    negative: Buckets<A>,
    bounds: Arc<[f64]>,
}

/// Histograms added up without loss.
pub type HistogramSum = Histogram<Sum>;

impl<A> Histogram<A> {
    /// Its schema.
    pub fn schema(&self) -> i8 {
        self.schema
    }

    /// Whether its buckets have bounds of their own.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// What is known of whether it began anew.
    pub fn hint(&self) -> ResetHint {
        self.hint
    }

    /// Says whether it began anew.
    pub fn set_hint(&mut self, hint: ResetHint) {
        self.hint = hint;
    }

    /// Half the width of the bucket around zero.
    pub fn zero_threshold(&self) -> f64 {
        self.zero_threshold
    }

    /// The upper bounds of custom buckets, without infinity.
    pub fn bounds(&self) -> &Arc<[f64]> {
        &self.bounds
    }
}

impl Histogram {
    /// Without observations, with the buckets of another one.
    pub fn empty_like(other: &Histogram) -> Histogram {
        Histogram {
            schema: other.schema,
            hint: ResetHint::Unknown,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            bounds: other.bounds.clone(),
        }
    }

    /// How many observations.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Their sum; NaN if one of them was none.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many observations lie near zero.
    pub fn zero_count(&self) -> f64 {
        self.zero_count
    }

    /// The buckets above zero, or all custom ones.
    pub fn positive(&self) -> &Buckets {
        &self.positive
    }

    /// The buckets below zero; the first is the one next to it.
    pub fn negative(&self) -> &Buckets {
        &self.negative
    }

    /// All that is counted, one after the other, to change it.
    fn amounts(&mut self) -> impl Iterator<Item = &mut f64> {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|(_, count)| count);
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets)
    }

    /// As many times; by a negative number it becomes a gauge.
    pub fn multiply(&mut self, factor: f64) {
        self.amounts().for_each(|amount| *amount *= factor);
        if factor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
    }

    /// A part; by a negative number it becomes a gauge, and by 0 it has no buckets any more.
    pub fn divide(&mut self, divisor: f64) {
        self.amounts().for_each(|amount| *amount /= divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        if divisor < 0.0 {
            self.hint = ResetHint::Gauge;
        }
    }

    /// Leaves empty buckets out.
    pub fn compact(&mut self) {
        self.positive.retain(|(_, count)| *count != 0.0);
        self.negative.retain(|(_, count)| *count != 0.0);
    }

    /// Leaves empty buckets out, but for so many between two neighbours that hold something; adds as many where they lack.
    /// Where that is done, to skip few costs more than to list them.
    pub fn compact_but_between(&mut self, empty_max: usize) {
        self.compact();
        for buckets in [&mut self.positive, &mut self.negative] {
            let missing = |pair: &[(i32, f64)]| (pair[0].0 + 1..pair[1].0).len();
            let filled: Vec<i32> = buckets
                .windows(2)
                .filter(|pair| (1..=empty_max).contains(&missing(pair)))
                .flat_map(|pair| pair[0].0 + 1..pair[1].0)
                .collect();
            buckets.extend(filled.into_iter().map(|place| (place, 0.0)));
            buckets.sort_unstable_by_key(|(place, _)| *place);
        }
    }

    /// The same with wider buckets; as it is if they are not wider, or of its own bounds.
    pub fn at_schema(&self, schema: i8) -> Histogram {
        let mut copy = self.clone();
        copy.widen(schema);
        copy
    }

    /// Whether all of it is the same, bit by bit, its empty buckets too, whatever is known of a reset.
    pub fn equals(&self, other: &Histogram) -> bool {
        self.is_alike(other, |_| true)
    }

    /// Whether it tells the same of the same observations: which empty buckets either has is not looked at.
    pub fn holds_the_same(&self, other: &Histogram) -> bool {
        self.is_alike(other, |count| count != 0.0)
    }

    /// Whether all of it is the same, of the buckets those whose counts are `looked_at`.
    fn is_alike(&self, other: &Histogram, looked_at: impl Fn(f64) -> bool) -> bool {
        let same = |left: f64, right: f64| left.to_bits() == right.to_bits();
        let same_buckets = |left: &Buckets, right: &Buckets| {
            let [left, right] = [left, right].map(|side| side.iter().filter(|(_, count)| looked_at(*count)));
            left.map(|(place, count)| (place, count.to_bits())).eq(right.map(|(place, count)| (place, count.to_bits())))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && (!self.is_custom() || self.bounds == other.bounds)
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }

    /// Memory that it takes, about.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Histogram>() + (self.positive.capacity() + self.negative.capacity()) * size_of::<(i32, f64)>()
    }
}

impl<A: Amount> Histogram<A> {
    /// Merges buckets up to this schema, if it is a wider one.
    fn widen(&mut self, schema: i8) {
        if self.is_custom() || schema == CUSTOM_SCHEMA || schema >= self.schema {
            return;
        }
        // Schemas lie between -4 and 8.
        let shift = u32::from(self.schema.abs_diff(schema));
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.iter_mut().for_each(|(index, _)| *index = bounds::widened(*index, shift));
            buckets.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    earlier.1.merge(later.1);
                }
                same
            });
        }
        self.schema = schema;
    }
}

impl HistogramSum {
    /// Begins with this one.
    pub fn of(first: &Histogram) -> HistogramSum {
        let sums = |buckets: &Buckets| buckets.iter().map(|(index, count)| (*index, Sum::of(*count))).collect();
        HistogramSum {
            schema: first.schema,
            hint: first.hint,
            zero_threshold: first.zero_threshold,
            zero_count: Sum::of(first.zero_count),
            count: Sum::of(first.count),
            sum: Sum::of(first.sum),
            positive: sums(&first.positive),
            negative: sums(&first.negative),
            bounds: first.bounds.clone(),
        }
    }

    /// All that was added, each amount as a function makes it of its sum.
    fn made_by(&self, make: impl Fn(&Sum) -> f64) -> Histogram {
        let made = |buckets: &Buckets<Sum>| buckets.iter().map(|(index, sum)| (*index, make(sum))).collect();
        Histogram {
            schema: self.schema,
            hint: self.hint,
            zero_threshold: self.zero_threshold,
            zero_count: make(&self.zero_count),
            count: make(&self.count),
            sum: make(&self.sum),
            positive: made(&self.positive),
            negative: made(&self.negative),
            bounds: self.bounds.clone(),
        }
    }

    /// What the histograms are together.
    pub fn total(&self) -> Histogram {
        self.made_by(Sum::total)
    }

    /// What so many histograms are on average.
    pub fn mean(&self, count: f64) -> Histogram {
        self.made_by(|sum| sum.sum / count + sum.rest / count)
    }

    /// Makes a part of all that was added.
    pub fn multiply(&mut self, factor: f64) {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|(_, sum)| sum);
        for amount in [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets) {
            *amount = Sum { sum: amount.sum * factor, rest: amount.rest * factor };
        }
    }

    /// Whether something of it has become infinite.
    pub fn has_overflow(&self) -> bool {
        let buckets = self.positive.iter().chain(&self.negative).map(|(_, sum)| sum);
        [&self.zero_count, &self.count, &self.sum].into_iter().chain(buckets).any(|sum| sum.sum.is_infinite())
    }
}

#[cfg(test)]
mod tests;
