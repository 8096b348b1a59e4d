//! `sort` and `sort_desc`: the order of an instant result. Ranges are in the order of labels whatever is asked.

use super::arg;
use crate::ast::Call;
use crate::eval::column::{ABSENT, Column};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::functions::SortFunction;

/// NaN comes last either way.
pub(super) fn eval(ctx: &Context, function: SortFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
    if ctx.steps.count > 1 && !call.is_step_invariant() {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        ctx.guard.warn(text.to_owned(), call.span);
    }
    if !ctx.is_instant || ctx.steps.count > 1 {
        return Ok(columns);
    }
    columns.sort_by(|left, right| {
        let labels = || left.labels.cmp(&right.labels);
        let value = |column: &Column| column.values.first().copied().unwrap_or(ABSENT);
        let (left, right) = (value(left), value(right));
        let ascending = left.partial_cmp(&right).map(|order| match function {
            SortFunction::Ascending => order,
            SortFunction::Descending => order.reverse(),
        });
        ascending.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan())).then_with(labels)
    });
    Ok(columns)
}
