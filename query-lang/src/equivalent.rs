//! The PromQL that means the same as a short query.

use std::fmt::Display;

use crate::ast::{Expr, Grouping, RATE_WINDOW_MS, ShortOp, ShortScope};
use crate::print::{GroupingWords, Selector};
use crate::query::Query;

/// Kinds of series between which the meaning of the short form differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing is known about the series, or they are of several kinds.
    Unknown,
    /// Ordinary samples.
    Samples,
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
        match self.root() {
            Expr::ShortAggregate(node) => aggregate(node.op, &node.scope, found),
            Expr::ShortRate(node) => match found {
                Found::Unknown | Found::Samples | Found::Increments => {
                    let window = node.scope.over_ms.unwrap_or(RATE_WINDOW_MS);
                    Some(grouped("sum", &node.scope, call("rate", &node.scope, window)))
                }
                Found::Distribution => None,
            },
            // A quantile over the samples of several series has no counterpart, and distributions are
            // not in PromQL yet.
            Expr::ShortQuantile(_) => None,
            root => Some(root.to_string()),
        }
    }
}

fn aggregate(op: ShortOp, scope: &ShortScope, found: Found) -> Option<String> {
    let Some(window) = scope.over_ms else {
        return match found {
            Found::Unknown | Found::Samples | Found::Increments => {
                Some(grouped(op.as_str(), scope, Selector { selector: &scope.selector, range_ms: None }))
            }
            Found::Distribution => None,
        };
    };
    match (found, op) {
        (Found::Samples, ShortOp::Sum) => Some(grouped("sum", scope, call("sum_over_time", scope, window))),
        (Found::Samples, ShortOp::Count) => Some(grouped("sum", scope, call("count_over_time", scope, window))),
        (Found::Samples, ShortOp::Min) => Some(grouped("min", scope, call("min_over_time", scope, window))),
        (Found::Samples, ShortOp::Max) => Some(grouped("max", scope, call("max_over_time", scope, window))),
        (Found::Samples, ShortOp::Avg) => {
            let sum = grouped("sum", scope, call("sum_over_time", scope, window));
            let count = grouped("sum", scope, call("count_over_time", scope, window));
            Some(format!("{sum} / {count}"))
        }
        (Found::Increments, ShortOp::Sum) => Some(grouped("sum", scope, call("increase", scope, window))),
        // Every series has the same number of seconds, if they are whole.
        (Found::Increments, ShortOp::Avg) if window % 1000 == 0 => {
            Some(grouped("avg", scope, call("rate", scope, window)))
        }
        (Found::Increments, _) | (Found::Unknown | Found::Distribution, _) => None,
    }
}

fn call(function: &str, scope: &ShortScope, range_ms: i64) -> String {
    format!("{function}({})", Selector { selector: &scope.selector, range_ms: Some(range_ms) })
}

fn grouped(op: &str, scope: &ShortScope, inner: impl Display) -> String {
    let grouping = Grouping { without: false, labels: scope.by.clone() };
    format!("{op}{}({inner})", GroupingWords(&grouping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalents_by_kind() {
        use Found::{Distribution, Increments, Samples, Unknown};
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
            ("sum(rate(m[5m]))by(a)", Unknown, Some("sum by (a) (rate(m[5m]))")),
        ] {
            let query = Query::parse(text).expect(text);
            let answer = query.promql_for(found);
            assert_eq!(answer.as_deref(), promql, "{text} of {found:?}");
            if let Some(promql) = promql {
                assert!(
                    Query::parse(promql).is_ok_and(|query| query.language() == crate::Language::PromQl),
                    "{promql}"
                );
            }
        }
    }
}
