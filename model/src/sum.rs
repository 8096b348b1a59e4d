//! A sum that loses nothing to rounding.

/// A sum with the rounding errors kept apart (Neumaier's variant of Kahan's summation), as Prometheus sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// The sum as it is without care.
    pub sum: f64,
    /// What was rounded away.
    pub rest: f64,
}

impl Sum {
    /// Of one value.
    pub fn of(value: f64) -> Sum {
        Sum { sum: value, rest: 0.0 }
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        // Chosen, not branched: so several sums can be added to at once.
        let (large, small) = if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
        let rest = self.rest + ((large - total) + small);
        self.rest = if total.abs() == f64::INFINITY { 0.0 } else { rest };
        self.sum = total;
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.sum + self.rest
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Sum {
        let mut sum = Sum::default();
        values.into_iter().for_each(|value| sum.add(value));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn nothing_is_lost() {
        let mut sum = Sum::default();
        [1e100, 1.0, -1e100, 1.0].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.total(), 2.0);
    }
}
