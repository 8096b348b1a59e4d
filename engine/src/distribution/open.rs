//! A second of which observations still come.

use hdrhistogram::Histogram;

use crate::distribution::piece::Dense;
use crate::distribution::scale::{DIGITS, MAX, index_of};

/// Values of an open second that are kept as a list; more go into a histogram.
const LIST_MAX: usize = 1024;

/// A second that still takes observations cheaply.
pub(super) struct Open {
    pub(super) second: u32,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) list: Vec<u16>,
    pub(super) many: Option<Box<Histogram<u32>>>,
}

impl Open {
    pub(super) fn new(second: u32, list: Vec<u16>) -> Open {
        Open { second, count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, list, many: None }
    }

    pub(super) fn record(&mut self, value: f64, scaled: u64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.many {
            Some(many) => many.saturating_record(scaled),
            None if self.list.len() < LIST_MAX => self.list.push(index_of(scaled)),
            None => {
                // Two digits up to the scale's end are a valid range; without it the list would only grow.
                match Histogram::new_with_max(MAX, DIGITS) {
                    Ok(mut many) => {
                        many.saturating_record(scaled);
                        self.many = Some(Box::new(many));
                    }
                    Err(_) => self.list.push(index_of(scaled)),
                }
            }
        }
    }

    pub(super) fn add_to(&self, dense: &mut Dense) {
        dense.add_summary(self.sum, self.min, self.max);
        self.list.iter().for_each(|index| dense.add(*index, 1));
        if let Some(many) = &self.many {
            for step in many.iter_recorded() {
                dense.add(index_of(step.value_iterated_to()), u64::from(step.count_at_value()));
            }
        }
    }
}
