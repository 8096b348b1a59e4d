//! The short form: nodes whose meaning depends on the kind of the series found (API.md, 4).
//!
//! Series are pooled by the labels of `by`; every sample, second or observation of every series of
//! a pool counts alike. Windows are left-open; of increments they end with the current second.

mod distribution;
mod moment;
mod over;
mod quantiles;
mod rates;

use watchfire_engine::{SeriesKind, SeriesView};
use watchfire_model::{LabelSet, Timestamp};

use super::column::{Column, Places};
use super::context::Context;
use super::limits::{EvalError, Guard, Limits};
use super::source;
use crate::ast::{Expr, QUANTILE_WINDOW_MS, RATE_WINDOW_MS, ShortAggregate, ShortQuantile, ShortRate, ShortScope};

/// `sum|avg|min|max|count M …`
pub(crate) fn aggregate(ctx: &Context, node: &ShortAggregate) -> Result<Vec<Column>, EvalError> {
    match node.scope.over_ms {
        Some(window_ms) => over::eval(ctx, node.op, &node.scope, window_ms),
        None => moment::eval(ctx, node.op, &node.scope),
    }
}

/// `rate M …`
pub(crate) fn rate(ctx: &Context, node: &ShortRate) -> Result<Vec<Column>, EvalError> {
    rates::eval(ctx, &node.scope, node.scope.over_ms.unwrap_or(RATE_WINDOW_MS))
}

/// `pNN M …`
pub(crate) fn quantile(ctx: &Context, node: &ShortQuantile) -> Result<Vec<Column>, EvalError> {
    quantiles::eval(ctx, node.quantile(), &node.scope, node.scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS))
}

/// Series whose values are taken together.
struct Pool {
    labels: LabelSet,
    views: Vec<SeriesView>,
}

/// The series of a query with anything to say about windows of this length, pooled by `by`.
fn pools(ctx: &Context, scope: &ShortScope, window_ms: i64) -> Result<Vec<Pool>, EvalError> {
    let start = ctx.steps.start.saturating_sub(window_ms);
    let views = source::select(ctx, &scope.selector.matchers, start, ctx.steps.last())?;
    if scope.by.is_empty() {
        let pool = Pool { labels: LabelSet::empty(), views };
        return Ok(if pool.views.is_empty() { Vec::new() } else { vec![pool] });
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
    Ok(pools)
}

/// The window `(end - length, end]` of a step.
fn window(ctx: &Context, step: usize, window_ms: i64) -> (i64, i64) {
    let end = ctx.steps.at(step);
    (end.saturating_sub(window_ms), end)
}

/// The kind of the series that a short query finds, if it is a short query and they are all of one kind.
pub(crate) fn kind_found(
    expr: &Expr,
    engine: &watchfire_engine::Engine,
    at: i64,
    limits: &Limits,
) -> Option<SeriesKind> {
    let (scope, window_ms) = match expr {
        Expr::ShortAggregate(node) => (&node.scope, node.scope.over_ms.unwrap_or(limits.lookback_ms)),
        Expr::ShortRate(node) => (&node.scope, node.scope.over_ms.unwrap_or(RATE_WINDOW_MS)),
        Expr::ShortQuantile(node) => (&node.scope, node.scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS)),
        _ => return None,
    };
    let guard = Guard::new(limits);
    let ctx = super::at_once(engine, &guard, Timestamp::from_millis(at));
    let views = source::select(&ctx, &scope.selector.matchers, at.saturating_sub(window_ms), at).ok()?;
    let class = |kind: SeriesKind| std::mem::discriminant(&kind);
    let first = views.first()?.kind();
    views.iter().all(|view| class(view.kind()) == class(first)).then_some(first)
}
