//! What a group has come to so far, for each measure.

use std::cmp::Ordering;

use super::distinct::Distinct;
use super::quantile::{Numbers, order};
use crate::query::Number;
use crate::stats::{Figure, Measure};

/// A sum that does not depend on the order of integers, and hardly on that of floats (Neumaier's summation).
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    count: u64,
    ints: i128,
    floats: f64,
    lost: f64,
}

impl Total {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Int(int) => self.ints += i128::from(int),
            Number::Float(float) => self.add_float(float),
        }
    }

    fn add_float(&mut self, float: f64) {
        let sum = self.floats + float;
        // With an infinity there is nothing to lose.
        if sum.is_finite() {
            let (large, small) =
                if self.floats.abs() >= float.abs() { (self.floats, float) } else { (float, self.floats) };
            self.lost += (large - sum) + small;
        }
        self.floats = sum;
    }

    fn merge(&mut self, other: Total) {
        self.count += other.count;
        self.ints += other.ints;
        self.add_float(other.floats);
        self.lost += other.lost;
    }

    fn sum(&self) -> Number {
        match i64::try_from(self.ints) {
            Ok(int) if self.floats == 0.0 && self.lost == 0.0 => Number::Int(int),
            _ => Number::float(self.ints as f64 + (self.floats + self.lost)),
        }
    }
}

/// A figure in the making.
#[derive(Clone, Debug)]
pub(super) enum Making {
    Count(u64),
    Distinct(Distinct),
    Sum(Total),
    Avg(Total),
    Min(Option<Number>),
    Max(Option<Number>),
    Quantile(f64, Numbers),
}

impl Making {
    pub fn of(measure: &Measure) -> Making {
        match measure {
            Measure::Count => Making::Count(0),
            Measure::Distinct(_) => Making::Distinct(Distinct::default()),
            Measure::Sum(_) => Making::Sum(Total::default()),
            Measure::Avg(_) => Making::Avg(Total::default()),
            Measure::Min(_) => Making::Min(None),
            Measure::Max(_) => Making::Max(None),
            Measure::Quantile(_, q) => Making::Quantile(*q, Numbers::default()),
        }
    }

    /// Adds a record's number, if numbers are what it is made from.
    pub fn add_number(&mut self, number: Number) {
        match self {
            Making::Count(_) | Making::Distinct(_) => {}
            Making::Sum(total) | Making::Avg(total) => total.add(number),
            Making::Min(least) => {
                if least.is_none_or(|least| order(number, least) == Ordering::Less) {
                    *least = Some(number);
                }
            }
            Making::Max(most) => {
                if most.is_none_or(|most| order(number, most) == Ordering::Greater) {
                    *most = Some(number);
                }
            }
            Making::Quantile(_, numbers) => numbers.add(number),
        }
    }

    /// Adds records, if it counts them.
    pub fn add_records(&mut self, records: u64) {
        if let Making::Count(count) = self {
            *count += records;
        }
    }

    /// Adds a text by its hash, if it counts texts.
    pub fn add_text(&mut self, hash: u64) {
        if let Making::Distinct(distinct) = self {
            distinct.add(hash);
        }
    }

    /// Adds the texts of other records, if it counts texts.
    pub fn add_distinct(&mut self, other: &Distinct) {
        if let Making::Distinct(distinct) = self {
            distinct.merge(other.clone());
        }
    }

    /// Adds the same measure of other records.
    pub fn merge(&mut self, other: Making) {
        match (self, other) {
            (Making::Count(mine), Making::Count(theirs)) => *mine += theirs,
            (Making::Distinct(mine), Making::Distinct(theirs)) => mine.merge(theirs),
            (Making::Sum(mine), Making::Sum(theirs)) | (Making::Avg(mine), Making::Avg(theirs)) => mine.merge(theirs),
            (mine @ (Making::Min(_) | Making::Max(_)), Making::Min(theirs) | Making::Max(theirs)) => {
                theirs.iter().for_each(|number| mine.add_number(*number));
            }
            (Making::Quantile(_, mine), Making::Quantile(_, theirs)) => mine.merge(theirs),
            // Both sides are made from the same list of measures.
            _ => debug_assert!(false, "two measures in one place"),
        }
    }

    /// The figure.
    pub fn figure(&self) -> Figure {
        let exact = |value| Figure { value, is_approximate: false };
        let whole = |count: u64| Some(Number::Int(i64::try_from(count).unwrap_or(i64::MAX)));
        match self {
            Making::Count(count) => exact(whole(*count)),
            Making::Distinct(distinct) => {
                let (count, is_approximate) = distinct.count();
                Figure { value: whole(count), is_approximate }
            }
            Making::Sum(total) => exact((total.count > 0).then(|| total.sum())),
            Making::Avg(total) => {
                exact((total.count > 0).then(|| Number::float(total.sum().as_f64() / total.count as f64)))
            }
            Making::Min(number) | Making::Max(number) => exact(*number),
            Making::Quantile(q, numbers) => {
                let (value, is_approximate) = numbers.quantile(*q);
                Figure { value, is_approximate }
            }
        }
    }

    /// About the memory beside itself, bytes.
    pub fn memory(&self) -> usize {
        match self {
            Making::Distinct(distinct) => distinct.memory(),
            Making::Quantile(_, numbers) => numbers.memory(),
            Making::Count(_) | Making::Sum(_) | Making::Avg(_) | Making::Min(_) | Making::Max(_) => 0,
        }
    }
}
