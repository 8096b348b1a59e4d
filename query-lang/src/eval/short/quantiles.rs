//! `pNN M [over W]`: a quantile over everything in the window of every series.

use watchfire_engine::{SeriesKind, SeriesView};
use watchfire_model::Sample;

use super::{Pool, distribution, window};
use crate::eval::column::{ABSENT, Column};
use crate::eval::context::Context;
use crate::eval::cores;
use crate::eval::counted::{Counted, seconds_in};
use crate::eval::limits::EvalError;
use crate::eval::quantile;
use crate::eval::source;
use crate::eval::window::Slices;

/// Of samples the exact quantile, interpolated; of increments that of the counts per second, a second
/// without events counting as 0; of distributions that of the merged histograms.
pub(super) fn eval(ctx: &Context, q: f64, pools: Vec<Pool>, window_ms: i64) -> Result<Vec<Column>, EvalError> {
    let mut out = Vec::new();
    for pool in pools {
        let distributions = pool.views.iter().filter(|view| view.kind() == SeriesKind::Distribution).count();
        let values = if distributions == 0 {
            of_numbers(ctx, q, &pool, window_ms)?
        } else if distributions == pool.views.len() {
            of_distributions(ctx, q, &pool, window_ms)?
        } else {
            return Err(EvalError::Labels {
                reason: "a quantile cannot mix a distribution with other series; narrow the selection",
                labels: pool.labels,
            });
        };
        let column = ctx.keep(pool.labels, values)?;
        if column.has_values() {
            out.push(column);
        }
    }
    Ok(out)
}

/// The quantile of the merged histograms at each step.
fn of_distributions(ctx: &Context, q: f64, pool: &Pool, window_ms: i64) -> Result<Vec<f64>, EvalError> {
    let of_step = |ctx: &Context, _: &mut (), step: usize, value: &mut Vec<f64>| {
        let (start, end) = window(ctx, step, window_ms);
        value.push(distribution::quantile(ctx, q, &pool.views, start, end)?.unwrap_or(ABSENT));
        Ok(())
    };
    let mut values = Vec::with_capacity(ctx.steps.count);
    cores::each_in_order(ctx, ctx.steps.count, 1, of_step, |_, value| values.extend(value))?;
    Ok(values)
}

/// The samples of every series of a pool for all windows.
fn read(ctx: &Context, views: &[&SeriesView], window_ms: i64) -> Result<Vec<Vec<Sample>>, EvalError> {
    let start = window(ctx, 0, window_ms).0;
    let mut all = Vec::with_capacity(views.len());
    for view in views {
        let mut samples = Vec::new();
        source::floats(ctx, view, start, ctx.steps.last(), &mut samples)?;
        ctx.guard.reserve(samples.len() * size_of::<Sample>())?;
        all.push(samples);
    }
    Ok(all)
}

fn of_numbers(ctx: &Context, q: f64, pool: &Pool, window_ms: i64) -> Result<Vec<f64>, EvalError> {
    let of_kind = |increments: bool| {
        let views = pool.views.iter().filter(move |view| (view.kind() == SeriesKind::Increments) == increments);
        views.collect::<Vec<_>>()
    };
    let all = read(ctx, &of_kind(false), window_ms)?;
    let counted = of_kind(true);
    let start = window(ctx, 0, window_ms).0;
    let counted = counted.iter().map(|view| Counted::new(ctx, view, ctx.steps.count, start, ctx.steps.last()));
    let counted = counted.collect::<Result<Vec<_>, _>>()?;
    let slices: Vec<Slices> = all.iter().map(|samples| Slices::new(samples)).collect();
    let of_step = |ctx: &Context, windows: &mut Option<_>, step: usize, value: &mut Vec<f64>| {
        let windows = windows.get_or_insert_with(|| Numbers {
            slices: slices.clone(),
            counted: counted.clone(),
            all: Vec::new(),
        });
        value.push(windows.quantile(ctx, q, window(ctx, step, window_ms), window_ms)?);
        Ok(())
    };
    let mut values = Vec::with_capacity(ctx.steps.count);
    cores::each_in_order(ctx, ctx.steps.count, 1, of_step, |_, value| values.extend(value))?;
    ctx.guard.release(all.iter().map(|samples| samples.len() * size_of::<Sample>()).sum());
    Ok(values)
}

/// What lies in the windows of some series, one window after the other.
struct Numbers<'n> {
    slices: Vec<Slices<'n>>,
    counted: Vec<Counted<'n>>,
    /// Of the window that is looked at.
    all: Vec<f64>,
}

impl Numbers<'_> {
    fn quantile(&mut self, ctx: &Context, q: f64, (start, end): (i64, i64), window_ms: i64) -> Result<f64, EvalError> {
        let Numbers { slices, counted, all } = self;
        all.clear();
        let mut quiet_seconds = 0;
        for slices in slices {
            all.extend(slices.advance(start, end).iter().map(|sample| sample.value));
        }
        for counted in counted {
            if counted.increase(ctx, start, end)?.is_none() {
                continue;
            }
            let seconds = counted.seconds(ctx, start, end)?;
            all.extend(seconds.iter().map(|(_, events)| *events));
            quiet_seconds += seconds_in(window_ms).saturating_sub(seconds.len());
        }
        // Ordering the numbers costs about as much as reading them.
        ctx.guard.samples(all.len() / 8)?;
        ctx.guard.reserve(all.len() * 8)?;
        let is_empty = all.is_empty() && quiet_seconds == 0;
        let value = if is_empty { ABSENT } else { quantile::with_zeros(q, all, quiet_seconds) };
        ctx.guard.release(all.len() * 8);
        Ok(value)
    }
}
