//! `anchored` and `smoothed`: which samples decide what stands at the ends of a window, and what stands there.

use watchfire_model::Sample;
use watchfire_model::histogram::Incompatible;
use watchfire_model::{Histogram, ResetHint};

use super::native::notes::{Doing, Note, bounds_reconciled};

/// The samples from the newest at or before the left end (else the oldest) to the last one, or, if smoothed, to the first
/// at or after the right end. `None` if none is behind the left end.
pub(crate) fn around<T>(all: &[T], at: impl Fn(&T) -> i64, start: i64, end: i64, is_smoothed: bool) -> Option<&[T]> {
    let (last, before_last) = all.split_last()?;
    let first = before_last.partition_point(|sample| at(sample) <= start).saturating_sub(1);
    let last_index = match is_smoothed {
        true => before_last.partition_point(|sample| at(sample) < end),
        false => before_last.len(),
    };
    let last = all.get(last_index).unwrap_or(last);
    if at(last) <= start { None } else { all.get(first..=last_index) }
}

/// The samples of [`around`] without those at or beyond an end.
pub(crate) fn strictly_inside<T>(around: &[T], at: impl Fn(&T) -> i64, start: i64, end: i64) -> &[T] {
    let from = usize::from(around.first().is_some_and(|sample| at(sample) <= start));
    let to = around.len() - usize::from(around.last().is_some_and(|sample| at(sample) >= end));
    around.get(from..to).unwrap_or_default()
}

/// The numbers that stand at the left and at the right end, given [`around`].
pub(crate) fn ends(around: &[Sample], start: i64, end: i64, is_smoothed: bool, is_counter: bool) -> Option<(f64, f64)> {
    let (first, last) = (around.first()?, around.last()?);
    let left = match around.get(1) {
        Some(second) if is_smoothed && first.timestamp.millis() < start => between(first, second, start, is_counter),
        _ => first.value,
    };
    let right = match around {
        [.., before, last] if is_smoothed && last.timestamp.millis() > end => between(before, last, end, is_counter),
        _ => last.value,
    };
    Some((left, right))
}

/// The value on the line between two samples; a counter that began anew rises from zero.
pub(crate) fn between(before: &Sample, after: &Sample, at: i64, is_counter: bool) -> f64 {
    let from = if is_counter && after.value < before.value { 0.0 } else { before.value };
    let share = (at - before.timestamp.millis()) as f64;
    from + (after.value - from) * share / after.timestamp.since(before.timestamp) as f64
}

/// A range with what stands at its ends: two samples at the ends and those inside.
pub(crate) fn filled(all: &[Sample], start: i64, end: i64, is_smoothed: bool) -> Option<Vec<Sample>> {
    let millis = |sample: &Sample| sample.timestamp.millis();
    let around = around(all, millis, start, end, is_smoothed)?;
    let (left, right) = ends(around, start, end, is_smoothed, false)?;
    let inside = strictly_inside(around, millis, start, end);
    let mut filled = Vec::with_capacity(inside.len() + 2);
    filled.push(Sample { timestamp: super::source::at(start), value: left });
    filled.extend_from_slice(inside);
    filled.push(Sample { timestamp: super::source::at(end), value: right });
    Some(filled)
}

/// The histogram on the line between two; a counter that began anew rises from nothing.
pub(crate) fn between_histograms(
    (before_at, before): (i64, &Histogram),
    (after_at, after): (i64, &Histogram),
    at: i64,
    is_counter: bool,
    notes: &mut Vec<Note>,
) -> Result<Histogram, Incompatible> {
    if at == before_at {
        return Ok(before.clone());
    }
    let mut between = after.clone();
    if at == after_at {
        return Ok(between);
    }
    let share = (at - before_at) as f64 / (after_at - before_at) as f64;
    if is_counter && after.is_reset_after(before) {
        between.multiply(share);
        return Ok(between);
    }
    if between.subtract(before)?.bounds_reconciled {
        notes.push(bounds_reconciled(Doing::Subtraction));
    }
    between.multiply(share);
    if between.add(before)?.bounds_reconciled {
        notes.push(bounds_reconciled(Doing::Addition));
    }
    Ok(between)
}

/// Whether a histogram is said to be a gauge.
pub(crate) fn is_gauge(histogram: &Histogram) -> bool {
    histogram.hint() == ResetHint::Gauge
}
