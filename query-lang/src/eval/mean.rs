//! Means that lose nothing to rounding.

use watchfire_model::Sum;

/// A mean: a sum divided at the end, or, once the sum would overflow, a running mean.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    sum: Sum,
    /// Whether `sum` holds the running mean.
    is_running: bool,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum::of(value);
            return;
        }
        if !self.is_running {
            let mut sum = self.sum;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.is_running = true;
            let before = self.count - 1.0;
            self.sum = Sum { sum: self.sum.sum / before, rest: self.sum.rest / before };
        }
        let share = (self.count - 1.0) / self.count;
        self.sum = Sum { sum: share * self.sum.sum, rest: share * self.sum.rest };
        self.sum.add(value / self.count);
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0.0
    }

    /// NaN if nothing was added.
    pub fn mean(&self) -> f64 {
        if self.is_running {
            self.sum.sum + self.sum.rest
        } else {
            self.sum.sum / self.count + self.sum.rest / self.count
        }
    }
}

impl FromIterator<f64> for Mean {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Mean {
        let mut mean = Mean::default();
        values.into_iter().for_each(|value| mean.add(value));
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|value| mean.add(value));
        assert!((mean.mean() / f64::MAX - 1.0).abs() < 1e-15);
        let mut infinite = Mean::default();
        [f64::INFINITY, 1.0].into_iter().for_each(|value| infinite.add(value));
        assert_eq!(infinite.mean(), f64::INFINITY);
    }
}
