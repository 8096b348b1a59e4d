//! A second of which observations still come.

use hdrhistogram::Histogram;

use crate::distribution::dense::Dense;
use crate::distribution::scale::{DIGITS, MAX, place_of};

/// Values of an open second that are kept as a list, which is quick to add to; more go into a histogram, which takes
/// more memory than a list of so many.
const LIST_MAX: usize = 8192;

/// A second that still takes observations cheaply.
pub(super) struct Open {
    pub(super) second: u32,
    sum: f64,
    min: f64,
    max: f64,
    list: Vec<u16>,
    many: Option<Box<Histogram<u32>>>,
}

impl Open {
    /// Nothing of a second yet; the list is that of an earlier one, or new.
    pub(super) fn new(second: u32, list: Vec<u16>) -> Open {
        Open { second, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, list, many: None }
    }

    #[inline]
    pub(super) fn record(&mut self, value: f64, scaled: u64) {
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if self.list.len() < LIST_MAX {
            self.list.push(place_of(scaled));
        } else {
            self.record_beyond(scaled);
        }
    }

    #[inline(never)]
    fn record_beyond(&mut self, scaled: u64) {
        match &mut self.many {
            Some(many) => many.saturating_record(scaled),
            // Two digits up to the scale's end are a valid range; without it the list would only grow.
            None => match Histogram::new_with_max(MAX, DIGITS) {
                Ok(mut many) => {
                    many.saturating_record(scaled);
                    self.many = Some(Box::new(many));
                }
                Err(_) => self.list.push(place_of(scaled)),
            },
        }
    }

    pub(super) fn add_to(&self, dense: &mut Dense) {
        dense.add_summary(self.sum, self.min, self.max);
        dense.add_each(&self.list);
        if let Some(many) = &self.many {
            for step in many.iter_recorded() {
                dense.add(place_of(step.value_iterated_to()).into(), u64::from(step.count_at_value()));
            }
        }
    }

    /// Its list, emptied for the next second; of about the size that this one needed.
    pub(super) fn into_list(self) -> Vec<u16> {
        let mut list = self.list;
        if list.capacity() > 4 * list.len() + 64 {
            return Vec::with_capacity(list.len() + 8);
        }
        list.clear();
        list
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let many = self.many.as_ref().map_or(0, |many| many.distinct_values() * 4 + 128);
        size_of::<Open>() + self.list.capacity() * 2 + many
    }
}
