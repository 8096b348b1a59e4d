//! How counts are added up: plainly, or without loss.

use crate::Sum;

/// A count that others are added to.
pub trait Amount: Copy + Default + From<f64> {
    /// Adds a number.
    fn add(&mut self, value: f64);
    /// Adds another one.
    fn merge(&mut self, other: Self);
    /// What it is.
    fn value(self) -> f64;
    /// Whether nothing is left of it, not even what rounding hid.
    fn is_nothing(self) -> bool;
}

impl Amount for f64 {
    fn add(&mut self, value: f64) {
        *self += value;
    }

    fn merge(&mut self, other: f64) {
        *self += other;
    }

    fn value(self) -> f64 {
        self
    }

    fn is_nothing(self) -> bool {
        self == 0.0
    }
}

impl Amount for Sum {
    fn add(&mut self, value: f64) {
        Sum::add(self, value);
    }

    fn merge(&mut self, other: Sum) {
        Sum::add(self, other.sum);
        Sum::add(self, other.rest);
    }

    fn value(self) -> f64 {
        self.sum
    }

    fn is_nothing(self) -> bool {
        self.sum == 0.0 && self.rest == 0.0
    }
}

impl From<f64> for Sum {
    fn from(value: f64) -> Sum {
        Sum::of(value)
    }
}
