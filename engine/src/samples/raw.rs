//! The newest samples of a series, as they came.
//!
//! ```text
//! words = first time | value*      while their times are evenly apart, as those of a scrape are
//!       = (time | value)*          else
//! ```
//! That halves what most of them take, and it is the largest part of a series that is young.

use std::ops::Range;

use watchfire_model::{Sample, Timestamp};

use crate::prefetch::prefetch;

/// Most samples; with the first time they are as large as what an allocator gives for them.
pub(super) const RAW_MAX: usize = 15;
/// Words of the first allocation: fewer samples are seldom all that a series gets.
const WORDS_MIN: usize = 4;
/// Words of as many evenly spaced samples as there can be.
const WORDS_EVEN: usize = RAW_MAX + 1;

/// A few samples whose times ascend strictly.
#[derive(Default)]
pub(super) struct Raw {
    words: Box<[u64]>,
    /// Distance of the times while they are evenly apart, milliseconds; 0 below two samples.
    step: u32,
    len: u8,
    is_uneven: bool,
}

impl Raw {
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Time of a sample by its number.
    pub(super) fn time(&self, at: usize) -> i64 {
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0).cast_signed();
        if self.is_uneven { word(2 * at) } else { word(0).wrapping_add(at as i64 * i64::from(self.step)) }
    }

    /// Value of a sample by its number.
    pub(super) fn value(&self, at: usize) -> f64 {
        let word = if self.is_uneven { 2 * at + 1 } else { at + 1 };
        f64::from_bits(self.words.get(word).copied().unwrap_or(0))
    }

    fn get(&self, at: usize) -> Sample {
        Sample { timestamp: Timestamp::from_millis(self.time(at)), value: self.value(at) }
    }

    /// Asks for its memory.
    pub(super) fn prefetch(&self) {
        prefetch(&self.words);
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        (self.len > 0).then(|| self.time(0))
    }

    pub(super) fn newest(&self) -> Option<i64> {
        self.len().checked_sub(1).map(|last| self.time(last))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sample> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Those with `start < time <= end`.
    pub(super) fn within(&self, start: i64, end: i64) -> impl DoubleEndedIterator<Item = Sample> {
        self.places(start, end).map(|at| self.get(at))
    }

    /// The numbers of those with `start < time <= end`.
    pub(super) fn places(&self, start: i64, end: i64) -> Range<usize> {
        // Mostly the newest ones are wanted.
        let upto = |time: i64| (0..self.len()).rev().find(|at| self.time(*at) <= time).map_or(0, |at| at + 1);
        upto(start)..upto(end)
    }

    /// Adds a sample that is newer than all; there are fewer than [`RAW_MAX`].
    pub(super) fn push(&mut self, sample: Sample) {
        let at = sample.timestamp.millis();
        if !self.is_uneven && self.len > 0 && !self.goes_on_evenly(at) {
            self.spread();
        }
        // Where the value goes; with it goes the time, if the words have it.
        let (place, has_time) = match self.len() {
            len if self.is_uneven => (2 * len + 1, true),
            len => (len + 1, len == 0),
        };
        if self.words.len() <= place {
            self.resize(WORDS_MIN.max(2 * self.words.len()));
        }
        if has_time {
            self.words[place - 1] = at.cast_unsigned();
        }
        self.words[place] = sample.value.to_bits();
        self.len += 1;
    }

    /// Whether the times are evenly apart also with this one.
    fn goes_on_evenly(&mut self, at: i64) -> bool {
        if self.len == 1 {
            self.step = at.checked_sub(self.time(0)).and_then(|step| u32::try_from(step).ok()).unwrap_or(0);
        }
        self.step > 0 && self.newest().is_some_and(|newest| newest.checked_add(i64::from(self.step)) == Some(at))
    }

    /// From here on each sample has a time of its own.
    fn spread(&mut self) {
        let samples: Vec<Sample> = self.iter().collect();
        self.is_uneven = true;
        self.len = 0;
        samples.into_iter().for_each(|sample| self.push(sample));
    }

    /// Drops all of them and keeps the room.
    pub(super) fn clear(&mut self) {
        if !self.is_uneven && self.words.len() > WORDS_EVEN {
            self.resize(WORDS_EVEN);
        }
        (self.step, self.len, self.is_uneven) = (0, 0, false);
    }

    /// Takes these in place of those that are there.
    pub(super) fn set(&mut self, samples: &[Sample]) {
        (self.step, self.len, self.is_uneven) = (0, 0, false);
        samples.iter().for_each(|sample| self.push(*sample));
    }

    /// Gives spare room back.
    pub(super) fn shrink_to_fit(&mut self) {
        let needed = match self.len() {
            len if self.is_uneven => 2 * len,
            0 => 0,
            len => len + 1,
        };
        self.resize(needed);
    }

    fn resize(&mut self, words: usize) {
        let mut all = std::mem::take(&mut self.words).into_vec();
        all.reserve_exact(words.saturating_sub(all.len()));
        all.resize(words, 0);
        self.words = all.into_boxed_slice();
    }

    /// Memory beside the value itself.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in(
            rounds in prop::collection::vec((prop::collection::vec(prop_oneof![8 => Just(10i64), 1 => 1i64..30, 1 => Just(1 << 40)], 0..=RAW_MAX), any::<bool>()), 1..6),
            range in (0i64..400, 0i64..400),
        ) {
            let (mut raw, mut time) = (Raw::default(), 0i64);
            for (steps, shrinks) in rounds {
                let mut model: Vec<(i64, u64)> = Vec::new();
                for step in steps {
                    time += step;
                    raw.push(Sample { timestamp: Timestamp::from_millis(time), value: time as f64 / 4.0 });
                    model.push((time, (time as f64 / 4.0).to_bits()));
                }
                if shrinks {
                    raw.shrink_to_fit();
                }
                let told = |sample: Sample| (sample.timestamp.millis(), sample.value.to_bits());
                prop_assert_eq!(raw.iter().map(told).collect::<Vec<_>>(), model.clone());
                prop_assert_eq!((raw.oldest(), raw.newest()), (model.first().map(|it| it.0), model.last().map(|it| it.0)));
                let wanted: Vec<_> = model.iter().filter(|it| it.0 > range.0 && it.0 <= range.1).copied().collect();
                prop_assert_eq!(raw.within(range.0, range.1).map(told).collect::<Vec<_>>(), wanted);
                raw.clear();
            }
        }
    }

    #[test]
    fn evenly_spaced_ones_take_half() {
        let fill = |raw: &mut Raw, jitter: i64| {
            raw.clear();
            for at in 0..RAW_MAX as i64 {
                raw.push(Sample { timestamp: Timestamp::from_millis(1000 * at + jitter * (at % 2)), value: 1.0 });
            }
        };
        let mut raw = Raw::default();
        fill(&mut raw, 0);
        assert_eq!(raw.memory_bytes(), 128);
        fill(&mut raw, 1);
        assert_eq!(raw.memory_bytes(), 256);
        fill(&mut raw, 0);
        raw.clear();
        assert_eq!(raw.memory_bytes(), 128, "room for uneven ones is kept only as long as they come");
    }
}
