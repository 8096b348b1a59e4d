//! `absent` and `absent_over_time`: one series where there is none.

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, MatchOp, Matcher};

use super::arg;
use super::edges::{self, edges_of};
use crate::ast::{Call, Edges, Expr};
use crate::eval::column::{ABSENT, Column, is_absent};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::window::{Counted, Slices, for_each_series};
use crate::functions::AbsenceFunction;

pub(super) fn eval(ctx: &Context, function: AbsenceFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let arg = arg(call, 0)?;
    let mut out = ctx.column(expected_labels(arg))?;
    out.values.fill(1.0);
    match function {
        AbsenceFunction::Absent => {
            for column in crate::eval::eval_vector(ctx, arg)? {
                let present = column.values.iter().map(|value| !is_absent(*value));
                clear(&mut out, present);
            }
        }
        AbsenceFunction::AbsentOverTime if edges_of(arg) != Edges::Open => {
            return Err(edges::refused(edges_of(arg), call.function.name));
        }
        AbsenceFunction::AbsentOverTime => for_each_series(ctx, arg, Counted::Totals, &mut |series, windows| {
            let mut slices = Slices::new(series.samples);
            let mut present = Vec::with_capacity(windows.distinct());
            for index in 0..windows.distinct() {
                ctx.guard.tick()?;
                let (start, end) = windows.bounds(index);
                present.push(if slices.advance(start, end).is_empty() { 0.0 } else { 1.0 });
            }
            clear(&mut out, windows.spread(present).into_iter().map(|value| value > 0.0));
            Ok(())
        })?,
    }
    Ok(if out.has_values() { vec![out] } else { Vec::new() })
}

fn clear(out: &mut Column, present: impl Iterator<Item = bool>) {
    for (value, present) in out.values.iter_mut().zip(present) {
        if present {
            *value = ABSENT;
        }
    }
}

/// The labels that the missing series would have: those that a selector asks for by `=`, once each. Of several
/// conditions on a label the last counts, those that only take series away after all others.
fn expected_labels(arg: &Expr) -> LabelSet {
    let matchers: &[Matcher] = match arg.without_parens() {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let must_be_set = |name: &str| matchers.iter().any(|matcher| matcher.name() == name && !matcher.matches_empty());
    let takes_away = |matcher: &&Matcher| {
        let is_negative = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        !must_be_set(matcher.name()) || (is_negative && matcher.matches_empty())
    };
    let (last, first): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(takes_away);
    let mut labels = LabelSet::empty();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in first.into_iter().chain(last).filter(|matcher| matcher.name() != METRIC_NAME) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels = labels.with(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels = labels.with(matcher.name(), "");
        }
    }
    labels
}
