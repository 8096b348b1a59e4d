//! Means that lose nothing to rounding.

use std::ops::Range;

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

/// Adds a value to each of some sums, which stand in two columns so that several go through at once.
pub(super) fn add_to_sums(sums: &mut [f64], rests: &mut [f64], values: &[f64]) {
    for ((sum, rest), value) in sums.iter_mut().zip(rests).zip(values) {
        let mut of = Sum { sum: *sum, rest: *rest };
        of.add(*value);
        (*sum, *rest) = (of.sum, of.rest);
    }
}

/// Many means, a value to each at a time.
#[derive(Default)]
pub(crate) struct Means {
    counts: Vec<f64>,
    sums: Vec<f64>,
    rests: Vec<f64>,
    is_running: Vec<bool>,
}

impl Means {
    /// Memory of one.
    pub const BYTES: usize = 3 * size_of::<f64>() + size_of::<bool>();

    /// Makes it so many.
    pub fn resize(&mut self, many: usize) {
        self.counts.resize(many, 0.0);
        // Zero added to the first value would be zero where that is minus zero.
        self.sums.resize(many, -0.0);
        self.rests.resize(many, 0.0);
        self.is_running.resize(many, false);
    }

    /// Adds a value to each of these.
    pub fn add_all(&mut self, places: Range<usize>, values: &[f64]) {
        let is_plain = !self.is_running[places.clone()].iter().fold(false, |any, is_running| any | is_running);
        let sums = &mut self.sums[places.clone()];
        let overflows = sums.iter().zip(values).fold(false, |any, (sum, value)| any | (sum + value).is_infinite());
        if overflows || !is_plain {
            places.zip(values).for_each(|(at, value)| self.add(at, *value));
            return;
        }
        add_to_sums(sums, &mut self.rests[places.clone()], values);
        self.counts[places].iter_mut().for_each(|count| *count += 1.0);
    }

    /// Adds a value to one.
    pub fn add(&mut self, at: usize, value: f64) {
        let mut mean = self.get(at);
        mean.add(value);
        self.counts[at] = mean.count;
        (self.sums[at], self.rests[at]) = (mean.sum.sum, mean.sum.rest);
        self.is_running[at] = mean.is_running;
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Mean {
        let sum = Sum { sum: self.sums[at], rest: self.rests[at] };
        Mean { count: self.counts[at], sum, is_running: self.is_running[at] }
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
