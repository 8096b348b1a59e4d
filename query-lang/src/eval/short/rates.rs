//! `rate M [over W]`: per second, the series of a pool added up.

use watchfire_engine::SeriesKind;
use watchfire_model::Sum;

use super::{distribution, pools, window};
use crate::ast::ShortScope;
use crate::eval::column::{ABSENT, Column};
use crate::eval::context::Context;
use crate::eval::counted::Counted;
use crate::eval::functions::rate::{Resets, extrapolated};
use crate::eval::limits::EvalError;
use crate::eval::source;
use crate::eval::window::Slices;

/// Samples are counters and extrapolated by Prometheus' rules; events and observations are divided by the
/// window's length, and 0 when quiet.
pub(super) fn eval(ctx: &Context, scope: &ShortScope, window_ms: i64) -> Result<Vec<Column>, EvalError> {
    let seconds = window_ms as f64 / 1000.0;
    let mut samples = Vec::new();
    let mut out = Vec::new();
    for pool in pools(ctx, scope, window_ms)? {
        let mut sums: Vec<Option<Sum>> = vec![None; ctx.steps.count];
        let mut add = |step: usize, value: Option<f64>| {
            if let Some(value) = value {
                sums[step].get_or_insert_default().add(value);
            }
        };
        for view in &pool.views {
            match view.kind() {
                SeriesKind::Samples(_) => {
                    let start = window(ctx, 0, window_ms).0;
                    source::floats(ctx, view, start, ctx.steps.last(), &mut samples)?;
                    let mut slices = Slices::new(&samples);
                    let mut resets = Resets::of(&samples);
                    for step in 0..ctx.steps.count {
                        ctx.guard.tick()?;
                        let (start, end) = window(ctx, step, window_ms);
                        let change = extrapolated(slices.advance(start, end), start, end, Some(&mut resets));
                        add(step, change.map(|change| change.per_second(seconds)));
                    }
                }
                SeriesKind::Increments => {
                    let start = window(ctx, 0, window_ms).0;
                    let mut counted = Counted::new(ctx, view, ctx.steps.count, start, ctx.steps.last())?;
                    for step in 0..ctx.steps.count {
                        let (start, end) = window(ctx, step, window_ms);
                        add(step, counted.increase(ctx, start, end)?.map(|events| events / seconds));
                    }
                }
                SeriesKind::Distribution => {
                    for step in 0..ctx.steps.count {
                        let (start, end) = window(ctx, step, window_ms);
                        let observations = distribution::count(ctx, view, start, end)?;
                        add(step, observations.map(|count| count / seconds));
                    }
                }
            }
        }
        let values = sums.iter().map(|sum| sum.map_or(ABSENT, |sum| sum.total())).collect();
        let column = ctx.keep(pool.labels, values)?;
        if column.has_values() {
            out.push(column);
        }
    }
    Ok(out)
}
