//! The PromQL that means the same as a short query.

use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, Grouping, Matching, MatrixSelector,
    NumberLiteral, QUANTILE_WINDOW_MS, RATE_WINDOW_MS, ShortAggregate, ShortOp, ShortQuantile, ShortRate, ShortScope,
};
use crate::functions;
use crate::query::Query;

/// Kinds of series between which the meaning of the short form differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing is known about the series, or they are of several kinds.
    Unknown,
    /// Ordinary samples, floats or some of them native histograms.
    Samples,
    /// Ordinary samples all of which are native histograms.
    Natives,
    /// Events counted per second.
    Increments,
    /// Distributions.
    Distribution,
}

impl Query {
    /// The PromQL that means the same whatever kind of series is found: the query itself if it is
    /// PromQL, for the short form only where one exists.
    pub fn promql(&self) -> Option<String> {
        self.promql_for(Found::Unknown)
    }

    /// The PromQL that means the same for series of this kind, where one exists.
    pub fn promql_for(&self, found: Found) -> Option<String> {
        let equivalent = match self.root() {
            Expr::ShortAggregate(node) => aggregate(node, found)?,
            Expr::ShortRate(node) => rate(node, found)?,
            Expr::ShortQuantile(node) => quantile(node, found)?,
            root => return Some(root.to_string()),
        };
        Some(equivalent.to_string())
    }
}

/// What `sum|avg|min|max|count M …` is in PromQL.
pub(crate) fn aggregate(node: &ShortAggregate, found: Found) -> Option<Expr> {
    let ShortAggregate { op, scope } = node;
    match scope.over_ms {
        Some(window_ms) => over(*op, scope, window_ms, found),
        None => at_the_moment(*op, scope, found),
    }
}

fn at_the_moment(op: ShortOp, scope: &ShortScope, found: Found) -> Option<Expr> {
    match (found, op) {
        // Native histograms have no order.
        (Found::Natives, ShortOp::Min | ShortOp::Max) | (Found::Distribution, _) => None,
        (Found::Unknown | Found::Samples | Found::Natives | Found::Increments, _) => {
            Some(pooled(op.in_promql(), scope, Expr::Vector(scope.selector.clone())))
        }
    }
}

fn over(op: ShortOp, scope: &ShortScope, window_ms: i64, found: Found) -> Option<Expr> {
    let pool = |op: AggregateOp, function: &str| Some(pooled(op, scope, window(function, scope, window_ms)?));
    match (found, op) {
        (Found::Samples, ShortOp::Sum) => pool(AggregateOp::Sum, "sum_over_time"),
        (Found::Samples, ShortOp::Count) => pool(AggregateOp::Sum, "count_over_time"),
        (Found::Samples, ShortOp::Min) => pool(AggregateOp::Min, "min_over_time"),
        (Found::Samples, ShortOp::Max) => pool(AggregateOp::Max, "max_over_time"),
        (Found::Samples, ShortOp::Avg) => {
            let (left, right) = (pool(AggregateOp::Sum, "sum_over_time")?, pool(AggregateOp::Sum, "count_over_time")?);
            Some(divided(left, right, scope))
        }
        // Of the observations in the window, as of a distribution.
        (Found::Natives, ShortOp::Sum) => call("histogram_sum", vec![pool(AggregateOp::Sum, "increase")?], scope),
        (Found::Natives, ShortOp::Count) => call("histogram_count", vec![pool(AggregateOp::Sum, "increase")?], scope),
        (Found::Natives, ShortOp::Avg) => call("histogram_avg", vec![pool(AggregateOp::Sum, "increase")?], scope),
        (Found::Natives, ShortOp::Min | ShortOp::Max) => None,
        (Found::Increments, ShortOp::Sum) => pool(AggregateOp::Sum, "increase"),
        // Every series has the same number of seconds, if they are whole.
        (Found::Increments, ShortOp::Avg) if window_ms % 1000 == 0 => pool(AggregateOp::Avg, "rate"),
        (Found::Increments, _) | (Found::Unknown | Found::Distribution, _) => None,
    }
}

/// What `rate M …` is in PromQL.
pub(crate) fn rate(node: &ShortRate, found: Found) -> Option<Expr> {
    let scope = &node.scope;
    let rate = window("rate", scope, scope.over_ms.unwrap_or(RATE_WINDOW_MS))?;
    let sum = pooled(AggregateOp::Sum, scope, rate);
    match found {
        Found::Unknown | Found::Samples | Found::Increments => Some(sum),
        // Observations per second.
        Found::Natives => call("histogram_count", vec![sum], scope),
        Found::Distribution => None,
    }
}

/// What `pNN M …` is in PromQL. A quantile over the samples of several series has no counterpart, and that of
/// distributions is a more exact one.
pub(crate) fn quantile(node: &ShortQuantile, found: Found) -> Option<Expr> {
    let scope = &node.scope;
    match found {
        Found::Natives => {
            let rate = window("rate", scope, scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS))?;
            // The decimal as one writes it: 99.9 / 100 is not 0.999.
            let value = format!("{}e-2", node.percentile).parse().unwrap_or_else(|_| node.quantile());
            let q = Expr::Number(NumberLiteral { value, is_duration: false, span: scope.selector.span });
            call("histogram_quantile", vec![q, pooled(AggregateOp::Sum, scope, rate)], scope)
        }
        Found::Unknown | Found::Samples | Found::Increments | Found::Distribution => None,
    }
}

/// `FUNCTION(M[W])`
fn window(function: &str, scope: &ShortScope, range_ms: i64) -> Option<Expr> {
    let selector = scope.selector.clone();
    let span = selector.span;
    call(function, vec![Expr::Matrix(MatrixSelector { selector, range_ms, range_expr: None, span })], scope)
}

fn call(function: &str, args: Vec<Expr>, scope: &ShortScope) -> Option<Expr> {
    Some(Expr::Call(Call { function: functions::find(function)?, args, span: scope.selector.span }))
}

/// `OP by (…) (…)`
fn pooled(op: AggregateOp, scope: &ShortScope, expr: Expr) -> Expr {
    let grouping = Grouping { without: false, labels: scope.by.clone() };
    Expr::Aggregate(Box::new(Aggregate { op, expr, parameter: None, grouping, span: scope.selector.span }))
}

fn divided(left: Expr, right: Expr, scope: &ShortScope) -> Expr {
    let matching = Some(Matching::plain(Cardinality::OneToOne));
    let op = BinaryOp::Divide;
    Expr::Binary(Box::new(Binary { op, left, right, returns_bool: false, matching, span: scope.selector.span }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalents_by_kind() {
        use Found::{Distribution, Increments, Natives, Samples, Unknown};
        for (text, found, promql) in [
            ("rate m a=b", Unknown, Some(r#"sum(rate(m{a="b"}[1m]))"#)),
            ("rate m over 5m by a,b", Increments, Some("sum by (a, b) (rate(m[5m]))")),
            ("rate m", Distribution, None),
            ("max m a!~b by c", Samples, Some(r#"max by (c) (m{a!~"b"})"#)),
            ("sum m over 5m", Unknown, None),
            ("sum m over 5m", Samples, Some("sum(sum_over_time(m[5m]))")),
            ("sum m over 5m", Increments, Some("sum(increase(m[5m]))")),
            ("avg m over 5m", Increments, Some("avg(rate(m[5m]))")),
            ("avg m over 1500ms", Increments, None),
            (
                "avg m over 5m by a",
                Samples,
                Some("sum by (a) (sum_over_time(m[5m])) / sum by (a) (count_over_time(m[5m]))"),
            ),
            ("count m over 5m", Samples, Some("sum(count_over_time(m[5m]))")),
            ("max m over 5m", Increments, None),
            ("p95 m", Samples, None),
            ("count m by a", Natives, Some("count by (a) (m)")),
            ("sum m", Natives, Some("sum(m)")),
            ("max m", Natives, None),
            ("max m over 5m", Natives, None),
            ("rate m", Natives, Some("histogram_count(sum(rate(m[1m])))")),
            ("count m over 5m by a", Natives, Some("histogram_count(sum by (a) (increase(m[5m])))")),
            ("sum m over 5m", Natives, Some("histogram_sum(sum(increase(m[5m])))")),
            ("avg m over 5m", Natives, Some("histogram_avg(sum(increase(m[5m])))")),
            ("p99.9 m a=b", Natives, Some(r#"histogram_quantile(0.999, sum(rate(m{a="b"}[5m])))"#)),
            ("sum(rate(m[5m]))by(a)", Unknown, Some("sum by (a) (rate(m[5m]))")),
        ] {
            let query = Query::parse(text).expect(text);
            let answer = query.promql_for(found);
            assert_eq!(answer.as_deref(), promql, "{text} of {found:?}");
            if let Some(promql) = promql {
                let read = Query::parse(promql).expect(promql);
                assert_eq!(read.language(), crate::Language::PromQl, "{promql}");
                // What is evaluated in its place is what is shown.
                let made = match query.root() {
                    Expr::ShortAggregate(node) => aggregate(node, found),
                    Expr::ShortRate(node) => rate(node, found),
                    Expr::ShortQuantile(node) => quantile(node, found),
                    root => Some(root.clone()),
                };
                assert_eq!(made.as_ref(), Some(read.root()), "{promql}");
            }
        }
    }
}
