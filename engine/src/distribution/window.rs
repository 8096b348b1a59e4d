//! What the observations of a window look like together.

use hdrhistogram::Histogram;

use crate::distribution::piece::Dense;
use crate::distribution::scale::{DIGITS, MAX, SCALE, lowest_of};

/// The merged observations of a window: exact count, sum, minimum and maximum, and quantiles.
#[derive(Clone, Debug)]
pub struct DistributionWindow {
    histogram: Histogram<u64>,
    sum: f64,
    min: f64,
    max: f64,
}

impl DistributionWindow {
    /// No observations.
    pub fn empty() -> DistributionWindow {
        // Two digits up to a fixed maximum: the arguments are valid.
        let mut histogram = Histogram::new_with_max(2, DIGITS).expect("the range of a histogram is valid");
        histogram.auto(true);
        DistributionWindow { histogram, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    pub(super) fn from_dense(dense: &Dense) -> DistributionWindow {
        let mut window = DistributionWindow::empty();
        if let Ok(mut histogram) = Histogram::new_with_max(dense.highest().clamp(2, 2 * MAX), DIGITS) {
            histogram.auto(true);
            window.histogram = histogram;
        }
        for (index, count) in dense.buckets() {
            window.histogram.saturating_record_n(lowest_of(index), count);
        }
        (window.sum, window.min, window.max) = (dense.sum, dense.min, dense.max);
        window
    }

    /// Adds the observations of another window.
    pub fn merge(&mut self, other: &DistributionWindow) {
        // An automatic histogram grows to what is added; only a counter past 2^64 could fail, and saturates.
        if self.histogram.add(&other.histogram).is_ok() {
            self.sum += other.sum;
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
    }

    /// How many observations.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest; `None` without observations.
    pub fn min(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.min)
    }

    /// The largest; `None` without observations.
    pub fn max(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.max)
    }

    /// Their mean; `None` without observations.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// Smallest observed value with at least a share `q` of all values at or below it.
    ///
    /// `q` lies in `[0, 1]` (p95 is `0.95`); it is clamped. In the recorded unit, off by at most the share
    /// [`DistributionWindow::relative_error`] of it (values of at least 0.00005 and at most 1e12; smaller ones
    /// by a millionth); 0 and 1 give the exact minimum and maximum. `None` without observations.
    /// Source: inverse of the empirical distribution (Hyndman and Fan 1996, type 1).
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count() == 0 || q.is_nan() {
            return None;
        }
        if q <= 0.0 {
            return Some(self.min);
        }
        Some((self.histogram.value_at_quantile(q.min(1.0)) as f64 / SCALE).clamp(self.min, self.max))
    }

    /// How far a quantile can lie from the true value, as a share of it.
    pub const fn relative_error(&self) -> f64 {
        0.01
    }

    /// (Upper end, observations) of the buckets that hold any, ascending; every value of a bucket lies at or
    /// below its end and above the end of the bucket before it, within [`DistributionWindow::relative_error`].
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.histogram.iter_recorded().map(|step| (step.value_iterated_to() as f64 / SCALE, step.count_at_value()))
    }
}
