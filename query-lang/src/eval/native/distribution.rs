//! The engine's distributions as native histograms: a running total at a moment, and exact in a window.

use watchfire_engine::SeriesView;
use watchfire_model::{ResetHint, Sample, Timestamp};

use crate::eval::column::ABSENT;
use crate::eval::context::{Context, Looks};
use crate::eval::limits::EvalError;
use crate::eval::source;

/// Merging histograms costs about as much as reading so many samples.
pub(crate) const SAMPLES: usize = 256;

/// The running total at each look, also when quiet; absent before the first observation.
pub(crate) fn totals(ctx: &Context, view: &SeriesView, looks: &Looks) -> Result<Vec<f64>, EvalError> {
    (0..looks.distinct()).map(|index| total(ctx, view, source::at(looks.at(index)))).collect()
}

fn total(ctx: &Context, view: &SeriesView, at: Timestamp) -> Result<f64, EvalError> {
    ctx.guard.samples(SAMPLES)?;
    match view.running(at) {
        Some(window) => ctx.shelve(window.to_native(ResetHint::NotReset)),
        None => Ok(ABSENT),
    }
}

/// The running total at the end of each interval of `(start, end]` that has observations.
pub(crate) fn samples(
    ctx: &Context,
    view: &SeriesView,
    start: i64,
    end: i64,
    out: &mut Vec<Sample>,
) -> Result<(), EvalError> {
    out.clear();
    let mut times = Vec::new();
    view.observed_times(source::at(start), source::at(end), &mut times);
    for timestamp in times {
        let value = total(ctx, view, timestamp)?;
        // An interval that is not over yet ends after the window.
        if timestamp.millis() > start && timestamp.millis() <= end {
            out.push(Sample { timestamp, value });
        }
    }
    Ok(())
}

/// The observations of `(start, end]`, per second if its length is given in seconds: none if the series is only quiet,
/// absent if it had none for a day.
pub(crate) fn window(
    ctx: &Context,
    view: &SeriesView,
    start: i64,
    end: i64,
    seconds: Option<f64>,
) -> Result<f64, EvalError> {
    ctx.guard.samples(SAMPLES)?;
    let Some(window) = view.histogram(source::at(start), source::at(end)) else { return Ok(ABSENT) };
    let mut histogram = window.to_native(ResetHint::Gauge);
    if let Some(seconds) = seconds {
        histogram.divide(seconds);
    }
    ctx.shelve(histogram)
}
