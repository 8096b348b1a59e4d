//! Samples as two columns, for who goes over many of them.

use watchfire_model::Sample;

use crate::chunk::Encoded;

/// The samples of a series: a time and a value each, ascending in time. To be filled again and again.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Columns {
    /// Times, milliseconds.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// Values, as many as there are times.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many samples.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }

    /// Puts earlier ones before them.
    pub(crate) fn put_before(&mut self, samples: &[Sample]) {
        self.times.splice(..0, samples.iter().map(|sample| sample.timestamp.millis()));
        self.values.splice(..0, samples.iter().map(|sample| sample.value));
    }

    /// Appends later ones: as many times as values.
    pub(crate) fn extend(&mut self, times: impl Iterator<Item = i64>, values: impl Iterator<Item = f64>) {
        self.times.extend(times);
        self.values.extend(values);
        debug_assert_eq!(self.times.len(), self.values.len(), "a time for each value");
    }

    /// Keeps those whose value is wanted.
    pub fn retain(&mut self, wanted: impl Fn(f64) -> bool) {
        let mut kept = 0;
        for at in 0..self.times.len() {
            if wanted(self.values[at]) {
                self.times[kept] = self.times[at];
                self.values[kept] = self.values[at];
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    fn truncate(&mut self, len: usize) {
        self.times.truncate(len);
        self.values.truncate(len);
    }

    /// Appends the samples of an encoded run with `start < time <= end`; none of bytes that are no run.
    pub(crate) fn decode(&mut self, run: &impl Encoded, start: i64, end: i64) {
        let before = self.times.len();
        let whole = run.decode_onto(&mut self.times, &mut self.values);
        // What is in memory was made here, or decoded once when it was read.
        debug_assert!(whole.is_ok(), "a run in memory is whole");
        if whole.is_err() {
            return self.truncate(before);
        }
        let times = &self.times[before..];
        if times.last().is_some_and(|last| *last > end) {
            self.truncate(before + self.times[before..].partition_point(|time| *time <= end));
        }
        if self.times.get(before).is_some_and(|first| *first <= start) {
            let outside = before + self.times[before..].partition_point(|time| *time <= start);
            self.times.drain(before..outside);
            self.values.drain(before..outside);
        }
    }
}
