//! `selector smoothed`: at each step what lies on the line between the samples before and after it.

use watchfire_engine::SeriesView;
use watchfire_model::{ResetHint, Sample};

use super::column::ABSENT;
use super::context::{Context, Looks};
use super::edges::{between, between_histograms, is_gauge};
use super::limits::EvalError;
use super::native::notes::{mixed_schemas, mixed_with_floats};
use super::native::window::{About, Parted};
use super::source;
use super::window::Slices;

/// The values of a series at each look; the newest sample within the lookback delta counts where none follows.
pub(crate) fn values(
    ctx: &Context,
    view: &SeriesView,
    looks: &Looks,
    about: &About,
    buffer: &mut Vec<Sample>,
) -> Result<Vec<f64>, EvalError> {
    let lookback = ctx.guard.limits().lookback_ms;
    let reach = |at: i64| (at.saturating_sub(lookback), at.saturating_add(lookback));
    source::samples(ctx, view, reach(looks.first()).0, reach(looks.last()).1, false, buffer)?;
    let parted = Parted::of(ctx, buffer);
    let floats = parted.as_ref().map_or(buffer.as_slice(), |parted| &parted.floats);
    let mut slices = Slices::new(floats);
    let mut values = Vec::with_capacity(looks.distinct());
    for index in 0..looks.distinct() {
        let at = looks.at(index);
        let (from, to) = reach(at);
        let samples = slices.advance(from, to);
        let histograms = parted.as_ref().map_or(&[][..], |parted| parted.inside(from, to));
        ctx.guard.tick()?;
        values.push(match (samples.is_empty(), histograms.is_empty()) {
            (_, true) => of_floats(samples, at).unwrap_or(ABSENT),
            (true, false) => of_histograms(ctx, histograms, at, about)?.unwrap_or(ABSENT),
            (false, false) => {
                ctx.note(mixed_with_floats(about.metric), about.span);
                ABSENT
            }
        });
    }
    Ok(values)
}

fn of_floats(samples: &[Sample], at: i64) -> Option<f64> {
    let after = samples.partition_point(|sample| sample.timestamp.millis() < at);
    let before = after.checked_sub(1).and_then(|before| samples.get(before));
    match (before, samples.get(after)) {
        (_, Some(exact)) if exact.timestamp.millis() == at => Some(exact.value),
        (Some(before), Some(after)) => Some(between(before, after, at, false)),
        (Some(before), None) => Some(before.value),
        (None, _) => None,
    }
}

fn of_histograms(
    ctx: &Context,
    histograms: &[super::native::window::Point],
    at: i64,
    about: &About,
) -> Result<Option<f64>, EvalError> {
    let after = histograms.partition_point(|(time, _)| *time < at);
    let before = after.checked_sub(1).and_then(|before| histograms.get(before));
    let shown = match (before, histograms.get(after)) {
        (_, Some((time, exact))) if *time == at => (**exact).clone(),
        (Some((before_at, before)), Some((after_at, after))) => {
            let is_counter = !(is_gauge(before) && is_gauge(after));
            let mut notes = Vec::new();
            let between = between_histograms((*before_at, before), (*after_at, after), at, is_counter, &mut notes);
            if between.is_err() {
                notes.push(mixed_schemas(about.metric));
            }
            notes.into_iter().for_each(|note| ctx.note(note, about.span));
            let Ok(between) = between else { return Ok(None) };
            between
        }
        (Some((_, before)), None) => {
            // What it says of a reset is about the sample before it.
            let mut carried = (**before).clone();
            carried.set_hint(ResetHint::Unknown);
            carried
        }
        (None, _) => return Ok(None),
    };
    ctx.shelve(shown).map(Some)
}
