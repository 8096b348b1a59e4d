//! Series of the engine as the evaluator sees them: the only file that asks the engine for series.

use hashbrown::HashSet;
use watchfire_engine::{Columns, SelectError, SeriesKind, SeriesView, TimeRange};
use watchfire_model::sample::is_stale;
use watchfire_model::{LabelSet, Matcher, Sample, Timestamp};

use super::context::Context;
use super::limits::EvalError;
use crate::ast::Span;

/// The series that satisfy the matchers and may have something in `(start, end]`, in the order of their labels.
pub(crate) fn select(ctx: &Context, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<SeriesView>, EvalError> {
    let range = TimeRange { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) };
    ctx.guard.tick()?;
    let found = if ctx.guard.limits().live_only {
        ctx.engine.select_live(matchers, range)
    } else {
        ctx.engine.select(matchers, range)
    };
    let found = found.map_err(unreadable)?;
    if ctx.guard.limits().at_once && found.iter().any(SeriesView::reads_disk) {
        return Err(EvalError::Timeout { timeout: ctx.guard.limits().timeout });
    }
    Ok(found)
}

fn unreadable(error: SelectError) -> EvalError {
    EvalError::Storage { reason: error.to_string(), retry: false }
}

/// The series for PromQL: each label set once. Where a series that is counted here has the labels of pushed samples, it is the
/// counted one, with a warning about the selector.
pub(crate) fn select_promql(
    ctx: &Context,
    matchers: &[Matcher],
    start: i64,
    end: i64,
    about: Span,
) -> Result<Vec<SeriesView>, EvalError> {
    let mut views = select(ctx, matchers, start, end)?;
    let is_counted = |view: &SeriesView| !matches!(view.kind(), SeriesKind::Samples(_));
    // Only different kinds can share a label set.
    let many = views.iter().filter(|view| is_counted(view)).count();
    if many > 0 && many < views.len() {
        let counted = views.iter().filter(|view| is_counted(view));
        let counted: HashSet<LabelSet> = counted.map(|view| view.labels().clone()).collect();
        let mut hidden = None;
        views.retain(|view| {
            let is_hidden = !is_counted(view) && counted.contains(view.labels());
            if is_hidden {
                hidden.get_or_insert_with(|| view.labels().clone());
            }
            !is_hidden
        });
        if let Some(labels) = hidden {
            let told =
                format!("samples were pushed under the labels of {labels}, which is counted here; they are not shown");
            ctx.guard.warn(told, about);
        }
    }
    Ok(views)
}

/// Reading a native histogram costs about as much as reading so many floats.
const SAMPLES_PER_NATIVE: usize = 16;

/// Replaces `out` by the samples of `(start, end]`, without staleness markers unless they are asked for.
pub(crate) fn samples(
    ctx: &Context,
    view: &SeriesView,
    start: i64,
    end: i64,
    keep_stale: bool,
    out: &mut Vec<Sample>,
) -> Result<(), EvalError> {
    out.clear();
    let mut natives = Vec::new();
    view.samples_and_natives(at(start), at(end), out, &mut natives);
    ctx.guard.samples(out.len() + natives.len() * SAMPLES_PER_NATIVE)?;
    if !natives.is_empty() {
        for (timestamp, histogram) in natives {
            out.push(Sample { timestamp, value: ctx.shelve(histogram)? });
        }
        out.sort_by_key(|sample| sample.timestamp);
    }
    if !keep_stale {
        out.retain(|sample| !is_stale(sample.value));
    }
    Ok(())
}

/// Replaces what is in `out` by the samples of `(start, end]`, staleness markers with them. `None` for a series that holds
/// anything but floats; else whether any of them is no number.
pub(crate) fn columns(
    ctx: &Context,
    view: &SeriesView,
    start: i64,
    end: i64,
    out: &mut Columns,
) -> Result<Option<bool>, EvalError> {
    if !view.columns(at(start), at(end), out) {
        return Ok(None);
    }
    ctx.guard.samples(out.len())?;
    Ok(Some(out.values().iter().fold(false, |any, value| any | value.is_nan())))
}

/// Replaces `out` by the floats of `(start, end]`, without staleness markers.
pub(crate) fn floats(
    ctx: &Context,
    view: &SeriesView,
    start: i64,
    end: i64,
    out: &mut Vec<Sample>,
) -> Result<(), EvalError> {
    out.clear();
    view.samples(at(start), at(end), out);
    ctx.guard.samples(out.len())?;
    out.retain(|sample| !is_stale(sample.value));
    Ok(())
}

/// The time that a window of increments ends at: they are looked at in whole seconds, rounded up.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
