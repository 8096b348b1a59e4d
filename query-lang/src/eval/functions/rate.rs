//! `rate` and its kin: how a series changed within a window, by Prometheus' rules of extrapolation.

use watchfire_model::Sample;

use super::window::Window;
use crate::functions::WindowFunction;

/// Where a counter started again: found once per series, so that not every window is walked for it.
#[derive(Default)]
pub(crate) struct Resets {
    /// Time of the first sample after the reset, and the value before it; times ascend.
    resets: Vec<(i64, f64)>,
    /// The first that may still lie in a window.
    from: usize,
}

impl Resets {
    /// Looks through a series if the function needs its resets.
    pub(super) fn new(function: WindowFunction, samples: &[Sample]) -> Resets {
        match function {
            WindowFunction::Rate | WindowFunction::Increase => Resets::of(samples),
            _ => Resets { resets: Vec::new(), from: 0 },
        }
    }

    /// The resets of a series.
    pub(crate) fn of(samples: &[Sample]) -> Resets {
        let falls = samples.windows(2).filter(|pair| pair[1].value < pair[0].value);
        Resets { resets: falls.map(|pair| (pair[1].timestamp.millis(), pair[0].value)).collect(), from: 0 }
    }

    /// The same of a series that stands in columns.
    pub(super) fn of_columns(times: &[i64], values: &[f64]) -> Resets {
        let pairs = times.iter().skip(1).zip(values.windows(2));
        Resets {
            resets: pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, pair)| (*at, pair[0])).collect(),
            from: 0,
        }
    }

    /// Adds to a difference what the resets between two samples of a window hid. Windows may not go back.
    pub(super) fn corrected(&mut self, mut difference: f64, first: i64, last: i64) -> f64 {
        while self.resets.get(self.from).is_some_and(|(at, _)| *at <= first) {
            self.from += 1;
        }
        for (_, before) in self.resets[self.from..].iter().take_while(|(at, _)| *at <= last) {
            difference += before;
        }
        difference
    }
}

pub(super) fn value(function: WindowFunction, window: &Window, resets: &mut Resets) -> Option<f64> {
    let samples = window.samples;
    match function {
        WindowFunction::Rate => {
            let increase = extrapolated(samples, window.start, window.end, Some(resets))?;
            Some(increase.per_second((window.end - window.start) as f64 / 1000.0))
        }
        WindowFunction::Increase => Some(extrapolated(samples, window.start, window.end, Some(resets))?.total()),
        WindowFunction::Delta => Some(extrapolated(samples, window.start, window.end, None)?.total()),
        WindowFunction::Irate => last_two(samples, true),
        WindowFunction::Idelta => last_two(samples, false),
        WindowFunction::Changes => {
            let differs = |pair: &&[Sample]| {
                pair[0].value != pair[1].value && !(pair[0].value.is_nan() && pair[1].value.is_nan())
            };
            Some(samples.windows(2).filter(differs).count() as f64)
        }
        _ => Some(samples.windows(2).filter(|pair| pair[1].value < pair[0].value).count() as f64),
    }
}

/// A change between samples and by how much it is stretched to the ends of the window.
pub(crate) struct Extrapolated {
    change: f64,
    factor: f64,
}

impl Extrapolated {
    /// The change over the window.
    pub(crate) fn total(&self) -> f64 {
        self.change * self.factor
    }

    /// The change per second of a window of that length.
    pub(crate) fn per_second(&self, seconds: f64) -> f64 {
        self.change * (self.factor / seconds)
    }
}

/// More than what rounding can make of a product of three numbers.
pub(super) const SURE: f64 = 1.000_001;

/// The change over `(start, end]`, of a counter if `resets` are given. `None` with fewer than two samples.
///
/// If the outer samples are close to the ends of the window (1.1 times their mean distance), the change is
/// stretched up to the end, otherwise by half that distance; a counter's never below zero.
pub(crate) fn extrapolated(
    samples: &[Sample],
    start: i64,
    end: i64,
    resets: Option<&mut Resets>,
) -> Option<Extrapolated> {
    let [first, .., last] = samples else { return None };
    let (first_at, last_at) = (first.timestamp.millis(), last.timestamp.millis());
    let is_counter = resets.is_some();
    let mut change = last.value - first.value;
    if let Some(resets) = resets {
        change = resets.corrected(change, first_at, last_at);
    }
    let counter = is_counter.then_some((first.value, change));
    let factor = stretch(&Stretch { first_at, last_at, many: samples.len(), start, end, counter });
    Some(Extrapolated { change, factor })
}

/// What decides by how much a change between the outer samples of a window is stretched to its ends.
pub(crate) struct Stretch {
    /// Times of the outer samples, milliseconds.
    pub first_at: i64,
    pub last_at: i64,
    /// How many samples there are, at least two.
    pub many: usize,
    /// The ends of the window, milliseconds.
    pub start: i64,
    pub end: i64,
    /// Of a counter the first value and the change: it was not below zero before.
    pub counter: Option<(f64, f64)>,
}

/// By how much a change is stretched to the start and to the end of its window, and the time between the outer samples,
/// all in seconds; what a counter was before does not count here.
#[inline]
pub(super) fn ends(of: &Stretch) -> (f64, f64, f64) {
    let mut to_start = (of.first_at - of.start) as f64 / 1000.0;
    let mut to_end = (of.end - of.last_at) as f64 / 1000.0;
    let sampled = (of.last_at - of.first_at) as f64 / 1000.0;
    let distances = (of.many - 1) as f64;
    // Divisions are most of what this costs. Where a product shows that they decide nothing, they are left out.
    if to_start.max(to_end) * distances * SURE >= sampled * 1.1 {
        let distance = sampled / distances;
        let close = distance * 1.1;
        if to_start >= close {
            to_start = distance / 2.0;
        }
        if to_end >= close {
            to_end = distance / 2.0;
        }
    }
    (to_start, to_end, sampled)
}

/// The factor by which a change is stretched.
#[inline]
pub(crate) fn stretch(of: &Stretch) -> f64 {
    let (mut to_start, to_end, sampled) = ends(of);
    if let Some((first, change)) = of.counter
        && change > 0.0
        && first >= 0.0
        && sampled * first <= to_start * change * SURE
    {
        let to_zero = sampled * (first / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    (sampled + to_start + to_end) / sampled
}

/// `irate` and `idelta`: from the last two samples.
fn last_two(samples: &[Sample], per_second: bool) -> Option<f64> {
    let [.., before, last] = samples else { return None };
    let seconds = last.timestamp.since(before.timestamp) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    let was_reset = per_second && last.value < before.value;
    let change = if was_reset { last.value } else { last.value - before.value };
    Some(if per_second { change / seconds } else { change })
}
