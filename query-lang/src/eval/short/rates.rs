//! `rate M [over W]`: per second, the series of a pool added up.

use watchfire_engine::{SeriesKind, SeriesView};
use watchfire_model::{Sample, Sum};

use super::{Pool, distribution, window};
use crate::eval::column::{ABSENT, Column, is_absent};
use crate::eval::context::Context;
use crate::eval::cores;
use crate::eval::counted::Counted;
use crate::eval::functions::rate::{Resets, extrapolated};
use crate::eval::limits::EvalError;
use crate::eval::source;
use crate::eval::window::Slices;

/// Samples are counters and extrapolated by Prometheus' rules; events and observations are divided by the
/// window's length, and 0 when quiet.
pub(super) fn eval(ctx: &Context, pools: Vec<Pool>, window_ms: i64) -> Result<Vec<Column>, EvalError> {
    let mut out = Vec::new();
    for pool in pools {
        let mut sums: Vec<Option<Sum>> = vec![None; ctx.steps.count];
        let of_view = |ctx: &Context, samples: &mut Vec<Sample>, view: usize, rates: &mut Vec<f64>| {
            rates.resize(ctx.steps.count, ABSENT);
            of_series(ctx, &pool.views[view], window_ms, samples, rates)
        };
        cores::each_in_order(ctx, pool.views.len(), ctx.steps.count, of_view, |_, rates| {
            for (sum, rate) in sums.iter_mut().zip(rates).filter(|(_, rate)| !is_absent(**rate)) {
                sum.get_or_insert_default().add(*rate);
            }
        })?;
        let values = sums.iter().map(|sum| sum.map_or(ABSENT, |sum| sum.total())).collect();
        let column = ctx.keep(pool.labels, values)?;
        if column.has_values() {
            out.push(column);
        }
    }
    Ok(out)
}

/// Replaces what is absent by the rate of a series at each step that has one.
fn of_series(
    ctx: &Context,
    view: &SeriesView,
    window_ms: i64,
    samples: &mut Vec<Sample>,
    rates: &mut [f64],
) -> Result<(), EvalError> {
    let seconds = window_ms as f64 / 1000.0;
    let start = window(ctx, 0, window_ms).0;
    match view.kind() {
        SeriesKind::Samples(_) => {
            source::floats(ctx, view, start, ctx.steps.last(), samples)?;
            let mut slices = Slices::new(samples);
            let mut resets = Resets::of(samples);
            for (step, rate) in rates.iter_mut().enumerate() {
                ctx.guard.tick()?;
                let (start, end) = window(ctx, step, window_ms);
                if let Some(change) = extrapolated(slices.advance(start, end), start, end, Some(&mut resets)) {
                    *rate = change.per_second(seconds);
                }
            }
        }
        SeriesKind::Increments => {
            let mut counted = Counted::new(ctx, view, ctx.steps.count, start, ctx.steps.last())?;
            for (step, rate) in rates.iter_mut().enumerate() {
                let (start, end) = window(ctx, step, window_ms);
                if let Some(events) = counted.increase(ctx, start, end)? {
                    *rate = events / seconds;
                }
            }
        }
        SeriesKind::Distribution => {
            for (step, rate) in rates.iter_mut().enumerate() {
                let (start, end) = window(ctx, step, window_ms);
                if let Some(observations) = distribution::count(ctx, view, start, end)? {
                    *rate = observations / seconds;
                }
            }
        }
    }
    Ok(())
}
