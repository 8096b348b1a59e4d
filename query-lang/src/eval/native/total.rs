//! Histograms added up, or their mean: a sum that is divided at the end, or, once the sum would overflow, a running mean.

use watchfire_model::histogram::Incompatible;
use watchfire_model::{Histogram, HistogramSum, ResetHint};

use super::notes::{Doing, Note, bounds_reconciled, resets_collide};

/// What has been added.
pub(crate) struct Total {
    sum: HistogramSum,
    count: f64,
    is_mean: bool,
    /// Whether `sum` holds the running mean.
    is_running: bool,
    /// One of them began anew.
    reset_seen: bool,
    /// One of them says that it continues.
    continued_seen: bool,
    bounds_reconciled: bool,
}

impl Total {
    pub fn of(first: &Histogram, is_mean: bool) -> Total {
        let sum = HistogramSum::of(first);
        let mut total = Total {
            sum,
            count: 1.0,
            is_mean,
            is_running: false,
            reset_seen: false,
            continued_seen: false,
            bounds_reconciled: false,
        };
        total.see(first.hint());
        total
    }

    fn see(&mut self, hint: ResetHint) {
        self.reset_seen |= hint == ResetHint::Reset;
        self.continued_seen |= hint == ResetHint::NotReset;
    }

    pub fn add(&mut self, next: &Histogram) -> Result<(), Incompatible> {
        self.see(next.hint());
        self.count += 1.0;
        if !self.is_mean {
            self.bounds_reconciled |= self.sum.add(next)?.bounds_reconciled;
            return Ok(());
        }
        if !self.is_running {
            let mut sum = self.sum.clone();
            self.bounds_reconciled |= sum.add(next)?.bounds_reconciled;
            if !sum.has_overflow() {
                self.sum = sum;
                return Ok(());
            }
            self.is_running = true;
            self.sum.multiply(1.0 / (self.count - 1.0));
        }
        self.sum.multiply((self.count - 1.0) / self.count);
        let mut part = next.clone();
        part.divide(self.count);
        self.bounds_reconciled |= self.sum.add(&part)?.bounds_reconciled;
        Ok(())
    }

    /// The sum or the mean.
    pub fn result(&self) -> Histogram {
        if self.is_mean && !self.is_running { self.sum.mean(self.count) } else { self.sum.total() }
    }

    /// What there is to say of the result.
    pub fn collision(&self) -> Option<Note> {
        (self.reset_seen && self.continued_seen).then(|| resets_collide(Doing::Aggregation))
    }

    /// What there is to say of the way to it.
    pub fn reconciliation(&self) -> Option<Note> {
        self.bounds_reconciled.then(|| bounds_reconciled(Doing::Aggregation))
    }
}
