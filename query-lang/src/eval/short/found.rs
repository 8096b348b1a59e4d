//! What kinds of series a short query finds.

use watchfire_engine::{Engine, SeriesKind, SeriesView, in_turn};
use watchfire_model::Sample;
use watchfire_model::sample::is_stale;

use crate::ast::{Expr, QUANTILE_WINDOW_MS, RATE_WINDOW_MS, ShortScope};
use crate::equivalent::Found;
use crate::eval::answer::Asked;
use crate::eval::context::Context;
use crate::eval::limits::{EvalError, Guard, Limits};
use crate::eval::{at_once, over_range, source};

/// That there are native histograms among the samples of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Natives {
    /// And nothing else.
    Alone,
    /// And numbers.
    Mixed,
}

impl Natives {
    pub fn found(self) -> Found {
        match self {
            Natives::Alone => Found::Natives,
            Natives::Mixed => Found::Samples,
        }
    }

    /// Where nothing in PromQL means the same.
    pub fn have_no(self, what: &str, scope: &ShortScope) -> EvalError {
        let metric = scope.selector.name.as_deref().unwrap_or_default();
        let reason = match self {
            Natives::Alone => {
                format!("`{metric}` holds native histograms, which have no {what}; ask for a quantile: `p99 {metric}`")
            }
            Natives::Mixed => format!(
                "`{metric}` holds native histograms and numbers, which have no {what} together; narrow the selection"
            ),
        };
        EvalError::Type { reason }
    }
}

/// Which native histograms there are in the windows of a whole query. Of a part of its times too they are those of all times,
/// so that all parts mean the same.
///
/// Errors: there are counted series beside them.
pub(super) fn natives(
    ctx: &Context,
    scope: &ShortScope,
    views: &[SeriesView],
    window_ms: i64,
) -> Result<Option<Natives>, EvalError> {
    let (start, end) = whole(ctx, window_ms);
    let all = match ctx.is_part {
        true => &source::select(ctx, &scope.selector.matchers, start, end)?,
        false => views,
    };
    if !in_turn(all).any(|view| view.has_natives(source::at(start), source::at(end))) {
        return Ok(None);
    }
    if all.iter().any(|view| !matches!(view.kind(), SeriesKind::Samples(_))) {
        let metric = scope.selector.name.as_deref().unwrap_or_default();
        let reason = format!("`{metric}` holds native histograms and counted series; narrow the selection");
        return Err(EvalError::Type { reason });
    }
    let mut samples = Vec::new();
    for view in in_turn(all) {
        if has_numbers(ctx, view, (start, end), &mut samples)? {
            return Ok(Some(Natives::Mixed));
        }
    }
    Ok(Some(Natives::Alone))
}

fn has_numbers(
    ctx: &Context,
    view: &SeriesView,
    (start, end): (i64, i64),
    samples: &mut Vec<Sample>,
) -> Result<bool, EvalError> {
    ctx.guard.tick()?;
    samples.clear();
    view.samples(source::at(start), source::at(end), samples);
    Ok(samples.iter().any(|sample| !is_stale(sample.value)))
}

/// All that lies in a window of any step of the whole query.
fn whole(ctx: &Context, window_ms: i64) -> (i64, i64) {
    let steps = match ctx.query_step {
        0 => 0,
        step => ctx.query_end.saturating_sub(ctx.query_start) / step * step,
    };
    (ctx.query_start.saturating_sub(window_ms), ctx.query_start.saturating_add(steps))
}

/// The kind of the series that a short query finds.
pub(crate) fn kind_found(expr: &Expr, engine: &Engine, asked: Asked, limits: &Limits) -> Result<Found, EvalError> {
    let (scope, window_ms) = match expr {
        Expr::ShortAggregate(node) => (&node.scope, node.scope.over_ms.unwrap_or(limits.lookback_ms)),
        Expr::ShortRate(node) => (&node.scope, node.scope.over_ms.unwrap_or(RATE_WINDOW_MS)),
        Expr::ShortQuantile(node) => (&node.scope, node.scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS)),
        _ => return Ok(Found::Unknown),
    };
    let guard = Guard::new(limits);
    let ctx = match asked {
        Asked::Instant(at) => at_once(engine, &guard, at),
        Asked::Range(steps) => over_range(engine, &guard, steps)?,
    };
    let (start, end) = whole(&ctx, window_ms);
    let views = source::select(&ctx, &scope.selector.matchers, start, end)?;
    if let Some(natives) = natives(&ctx, scope, &views, window_ms)? {
        return Ok(natives.found());
    }
    let of_kind = |view: &SeriesView| match view.kind() {
        SeriesKind::Samples(_) => Found::Samples,
        SeriesKind::Increments => Found::Increments,
        SeriesKind::Distribution => Found::Distribution,
    };
    let mut kinds = views.iter().map(of_kind);
    let first = kinds.next().unwrap_or(Found::Unknown);
    Ok(if kinds.all(|kind| kind == first) { first } else { Found::Unknown })
}
