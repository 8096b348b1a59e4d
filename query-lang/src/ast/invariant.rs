//! Whether an expression has the same value at every step of a range, because `@` fixes all of its times.

use super::{Call, Expr};

/// Functions whose value depends on the time of evaluation itself.
const TIMED: [&str; 14] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "step",
];

impl Expr {
    /// Whether `@` (or having no times at all) makes it the same at every step.
    pub fn is_step_invariant(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::String(_) => true,
            Expr::Vector(node) => node.shift.at.is_some(),
            Expr::Matrix(node) => node.selector.shift.at.is_some(),
            Expr::Subquery(node) => node.shift.at.is_some(),
            Expr::Unary(node) => node.expr.is_step_invariant(),
            Expr::Paren(node) => node.expr.is_step_invariant(),
            Expr::Binary(node) => node.left.is_step_invariant() && node.right.is_step_invariant(),
            // The parameter of an aggregation is looked at once then, as in Prometheus.
            Expr::Aggregate(node) => node.expr.is_step_invariant(),
            Expr::Call(node) => node.is_step_invariant(),
            Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => false,
        }
    }
}

impl Call {
    /// Whether its value is the same at every step.
    pub fn is_step_invariant(&self) -> bool {
        let name = self.function.name;
        let is_timestamp_of_selector = name == "timestamp"
            && self.args.iter().all(|arg| matches!(arg.without_parens(), Expr::Vector(_)) && arg.is_step_invariant());
        is_timestamp_of_selector || (!TIMED.contains(&name) && self.args.iter().all(Expr::is_step_invariant))
    }
}
