//! Adding and subtracting histograms whose buckets may differ.

use std::cmp::Ordering;
use std::sync::Arc;

use super::amount::Amount;
use super::bounds::{CUSTOM_SCHEMA, exponential};
use super::{Buckets, Histogram, ResetHint};

/// Exponential and custom buckets do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a histogram with exponential buckets and one with custom buckets have nothing in common")]
pub struct Incompatible;

/// What there is to say of an addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// One began anew and the other says that it continues.
    pub resets_collide: bool,
    /// Custom bounds differed, and only those that both have are left.
    pub bounds_reconciled: bool,
}

impl<A: Amount> Histogram<A> {
    /// Adds another one. Of schemas the wider counts, of buckets around zero the wider, of custom bounds those that
    /// both have.
    pub fn add(&mut self, other: &Histogram) -> Result<Added, Incompatible> {
        self.add_signed(other, 1.0)
    }

    fn add_signed(&mut self, other: &Histogram, sign: f64) -> Result<Added, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let resets_collide = self.join_hints(other.hint);
        if !self.is_custom() {
            let zero_count = self.reconcile_zero(other);
            self.zero_count.add(sign * zero_count);
        }
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        if self.is_custom() && self.bounds != other.bounds {
            self.add_other_bounds(other, sign);
            return Ok(Added { resets_collide, bounds_reconciled: true });
        }
        self.widen(other.schema);
        let widened;
        let other = if other.schema > self.schema {
            widened = other.at_schema(self.schema);
            &widened
        } else {
            other
        };
        let threshold = if self.is_custom() { None } else { Some(self.zero_threshold) };
        let schema = self.schema;
        add_buckets(&mut self.positive, &other.positive, schema, threshold, sign);
        add_buckets(&mut self.negative, &other.negative, schema, threshold, sign);
        Ok(Added { resets_collide, bounds_reconciled: false })
    }

    /// What is known of a reset of both together. Says whether they contradict each other.
    fn join_hints(&mut self, other: ResetHint) -> bool {
        if self.hint == other {
            return false;
        }
        let both = [self.hint, other];
        self.hint = if both.contains(&ResetHint::Gauge) { ResetHint::Gauge } else { ResetHint::Unknown };
        !both.contains(&ResetHint::Gauge) && !both.contains(&ResetHint::Unknown)
    }

    /// Widens the bucket around zero until it and that of the other could be the same; gives what that of the other
    /// holds then.
    fn reconcile_zero(&mut self, other: &Histogram) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_of(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_count_of(threshold);
                self.drop_around_zero();
            }
            if self.zero_threshold.is_nan() || threshold.is_nan() {
                break;
            }
        }
        count
    }

    /// What the bucket around zero would hold if it were at least that wide, and how wide it would be: buckets are not
    /// cut in two.
    pub(super) fn zero_count_of(&self, threshold: f64) -> (A, f64) {
        let mut threshold = threshold;
        if threshold <= self.zero_threshold {
            return (self.zero_count, self.zero_threshold);
        }
        let mut count;
        'wider: loop {
            count = self.zero_count;
            for (is_positive, buckets) in [(true, &self.positive), (false, &self.negative)] {
                for (index, amount) in buckets {
                    let (lower, upper) =
                        (exponential(index.saturating_sub(1), self.schema), exponential(*index, self.schema));
                    if lower >= threshold {
                        break;
                    }
                    count.merge(*amount);
                    if upper > threshold {
                        if amount.value() != 0.0 {
                            threshold = upper;
                            if !is_positive {
                                continue 'wider;
                            }
                        }
                        break;
                    }
                }
            }
            return (count, threshold);
        }
    }

    /// Drops the buckets that the one around zero has taken in.
    fn drop_around_zero(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|(index, amount)| {
                exponential(index.saturating_sub(1), schema) >= threshold && !amount.is_nothing()
            });
        }
    }

    /// Adds buckets of other bounds: those of both are counted into the buckets of the bounds that both have.
    fn add_other_bounds(&mut self, other: &Histogram, sign: f64) {
        let common: Arc<[f64]> = self
            .bounds
            .iter()
            .copied()
            .filter(|bound| other.bounds.binary_search_by(|b| b.total_cmp(bound)).is_ok())
            .collect();
        let mut buckets = vec![A::default(); common.len() + 1];
        let place = |index: i32, bounds: &[f64]| {
            let bound = usize::try_from(index).ok().and_then(|index| bounds.get(index));
            bound.map_or(common.len(), |bound| common.partition_point(|have| have < bound))
        };
        for (index, amount) in &self.positive {
            buckets[place(*index, &self.bounds)].merge(*amount);
        }
        for (index, count) in &other.positive {
            buckets[place(*index, &other.bounds)].add(sign * count);
        }
        let numbered = (0i32..).zip(buckets).filter(|(_, amount)| !amount.is_nothing());
        self.positive = numbered.collect();
        self.bounds = common;
    }
}

impl Histogram {
    /// Subtracts another one. What it is then is for the caller to say: the hint is that of an addition.
    pub fn subtract(&mut self, other: &Histogram) -> Result<Added, Incompatible> {
        self.add_signed(other, -1.0)
    }
}

/// Adds buckets of the same schema. Those of `others` that lie within the bucket around zero were counted there.
fn add_buckets<A: Amount>(have: &mut Buckets<A>, others: &[(i32, f64)], schema: i8, threshold: Option<f64>, sign: f64) {
    let inside = threshold.filter(|_| schema != CUSTOM_SCHEMA);
    let others = match inside {
        Some(threshold) => {
            let first = others.iter().position(|(index, _)| exponential(*index, schema) > threshold);
            others.get(first.unwrap_or(others.len())..).unwrap_or_default()
        }
        None => others,
    };
    let same_buckets = have.len() == others.len() && have.iter().zip(others).all(|(have, other)| have.0 == other.0);
    if same_buckets {
        have.iter_mut().zip(others).for_each(|((_, amount), (_, count))| amount.add(sign * count));
        return;
    }
    let old = std::mem::take(have);
    have.reserve(old.len() + others.len());
    let (mut left, mut right) = (old.into_iter().peekable(), others.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(left), Some(right)) => left.0.cmp(&right.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => have.extend(left.next()),
            Ordering::Greater => have.extend(right.next().map(|(index, count)| (*index, A::from(sign * count)))),
            Ordering::Equal => {
                if let (Some((index, mut amount)), Some((_, count))) = (left.next(), right.next()) {
                    amount.add(sign * count);
                    have.push((index, amount));
                }
            }
        }
    }
}
