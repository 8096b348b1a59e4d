//! The short form: nodes whose meaning depends on the kind of the series found (API.md, 4).
//!
//! Series are pooled by the labels of `by`; every sample, second or observation of every series of
//! a pool counts alike. Windows are left-open; of increments they end with the current second. Native
//! histograms that are ordinary samples are left to PromQL.

mod distribution;
mod elsewhere;
mod found;
mod moment;
mod over;
mod quantiles;
mod rates;

use watchfire_engine::SeriesView;
use watchfire_model::LabelSet;

use super::column::{Column, Places};
use super::context::Context;
use super::limits::EvalError;
use super::source;
use crate::ast::{Expr, QUANTILE_WINDOW_MS, RATE_WINDOW_MS, ShortAggregate, ShortQuantile, ShortRate, ShortScope};
use crate::equivalent;
pub use elsewhere::QuantileElsewhere;
pub(crate) use found::kind_found;

/// `sum|avg|min|max|count M …`
pub(crate) fn aggregate(ctx: &Context, node: &ShortAggregate) -> Result<Vec<Column>, EvalError> {
    let lookback_ms = ctx.guard.limits().lookback_ms;
    let (window_ms, seen_ms) = match node.scope.over_ms {
        Some(window_ms) => (window_ms, window_ms),
        // A distribution is seen for longer.
        None => (lookback_ms.max(QUANTILE_WINDOW_MS), lookback_ms),
    };
    let views = select(ctx, &node.scope, window_ms)?;
    if let Some(natives) = found::natives(ctx, &node.scope, &views, seen_ms)? {
        let equivalent = equivalent::aggregate(node, natives.found());
        return as_promql(ctx, equivalent, || natives.have_no(node.op.as_str(), &node.scope));
    }
    let pools = pools(views, &node.scope);
    match node.scope.over_ms {
        Some(window_ms) => over::eval(ctx, node.op, pools, window_ms),
        None => moment::eval(ctx, node.op, pools),
    }
}

/// `rate M …`
pub(crate) fn rate(ctx: &Context, node: &ShortRate) -> Result<Vec<Column>, EvalError> {
    let window_ms = node.scope.over_ms.unwrap_or(RATE_WINDOW_MS);
    let views = select(ctx, &node.scope, window_ms)?;
    if let Some(natives) = found::natives(ctx, &node.scope, &views, window_ms)? {
        let equivalent = equivalent::rate(node, natives.found());
        return as_promql(ctx, equivalent, || natives.have_no("rate", &node.scope));
    }
    rates::eval(ctx, pools(views, &node.scope), window_ms)
}

/// `pNN M …`
pub(crate) fn quantile(ctx: &Context, node: &ShortQuantile) -> Result<Vec<Column>, EvalError> {
    let window_ms = node.scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS);
    let views = select(ctx, &node.scope, window_ms)?;
    if let Some(natives) = found::natives(ctx, &node.scope, &views, window_ms)? {
        let equivalent = equivalent::quantile(node, natives.found());
        return as_promql(ctx, equivalent, || natives.have_no("quantile", &node.scope));
    }
    quantiles::eval(ctx, node.quantile(), pools(views, &node.scope), window_ms)
}

/// Native histograms are pooled as PromQL pools them: what is evaluated is what the answer shows.
fn as_promql(
    ctx: &Context,
    equivalent: Option<Expr>,
    none: impl FnOnce() -> EvalError,
) -> Result<Vec<Column>, EvalError> {
    super::eval_vector(ctx, &equivalent.ok_or_else(none)?)
}

/// Series whose values are taken together.
struct Pool {
    labels: LabelSet,
    views: Vec<SeriesView>,
}

/// The series of a query with anything to say about windows of this length.
fn select(ctx: &Context, scope: &ShortScope, window_ms: i64) -> Result<Vec<SeriesView>, EvalError> {
    let start = ctx.steps.start.saturating_sub(window_ms);
    source::select(ctx, &scope.selector.matchers, start, ctx.steps.last())
}

/// The same, pooled by `by`.
fn pools(views: Vec<SeriesView>, scope: &ShortScope) -> Vec<Pool> {
    if scope.by.is_empty() {
        let pool = Pool { labels: LabelSet::empty(), views };
        return if pool.views.is_empty() { Vec::new() } else { vec![pool] };
    }
    let mut places = Places::default();
    let mut pools: Vec<Pool> = Vec::new();
    for view in views {
        let labels = view.labels().retain(|name| scope.by.iter().any(|label| label == name));
        let (place, is_new) = places.place(&labels);
        if is_new {
            pools.push(Pool { labels, views: Vec::new() });
        }
        pools[place].views.push(view);
    }
    pools
}

/// The window `(end - length, end]` of a step.
fn window(ctx: &Context, step: usize, window_ms: i64) -> (i64, i64) {
    let end = ctx.steps.at(step);
    (end.saturating_sub(window_ms), end)
}
