//! Distributions: what the merged histograms of a window say.

use watchfire_engine::{DistributionWindow, SeriesView};

use super::over::Tally;
use crate::ast::ShortOp;
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::source;

/// The observations of `(start, end]`: empty if the series is only quiet, `None` if it is gone.
fn observed(ctx: &Context, view: &SeriesView, start: i64, end: i64) -> Result<Option<DistributionWindow>, EvalError> {
    // Merging histograms costs about as much as reading some hundred samples.
    ctx.guard.samples(256)?;
    Ok(view.histogram(source::at(start), source::at(end)))
}

/// Adds the observations of a window to a tally.
pub(super) fn tally(
    ctx: &Context,
    op: ShortOp,
    view: &SeriesView,
    start: i64,
    end: i64,
    tally: &mut Tally,
) -> Result<(), EvalError> {
    let Some(window) = observed(ctx, view, start, end)? else { return Ok(()) };
    tally.seen = true;
    tally.count += window.count() as f64;
    tally.sum.add(window.sum());
    let extreme = if op == ShortOp::Min { window.min() } else { window.max() };
    if let Some(value) = extreme {
        tally.add_extreme(op, value);
    }
    Ok(())
}

/// How many observations a window has; 0 when quiet.
pub(super) fn count(ctx: &Context, view: &SeriesView, start: i64, end: i64) -> Result<Option<f64>, EvalError> {
    Ok(observed(ctx, view, start, end)?.map(|window| window.count() as f64))
}

/// The quantile of the observations of several series; `None` if there are none.
pub(super) fn quantile(
    ctx: &Context,
    q: f64,
    views: &[SeriesView],
    start: i64,
    end: i64,
) -> Result<Option<f64>, EvalError> {
    let mut merged: Option<DistributionWindow> = None;
    for view in views {
        let Some(window) = observed(ctx, view, start, end)? else { continue };
        match &mut merged {
            Some(merged) => merged.merge(&window),
            None => merged = Some(window),
        }
    }
    Ok(merged.and_then(|window| window.quantile(q)))
}
