//! `sort`, `sort_by_label` and their kin: the order of an instant result. Ranges are in the order of labels whatever is asked.

use std::cmp::Ordering;

use super::{arg, natural};
use crate::ast::Call;
use crate::eval::column::{ABSENT, Column};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::functions::SortFunction;

/// NaN comes last either way.
pub(super) fn eval(ctx: &Context, function: SortFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
    let by_labels_only = matches!(function, SortFunction::ByLabel | SortFunction::ByLabelDescending);
    // Histograms have no order by value.
    if !by_labels_only && ctx.drop_histograms(&mut columns) {
        columns.retain(Column::has_values);
    }
    // A range whose end no step reaches is one all the same.
    let is_whole_range = !ctx.is_instant && ctx.steps.start == ctx.query_start && ctx.query_start != ctx.query_end;
    if (ctx.is_range() || is_whole_range) && !call.is_step_invariant() {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        ctx.guard.warn(text.to_owned(), call.span);
    }
    if !ctx.is_instant || ctx.is_range() {
        return Ok(columns);
    }
    match function {
        SortFunction::Ascending | SortFunction::Descending => by_value(&mut columns, function),
        SortFunction::ByLabel | SortFunction::ByLabelDescending => {
            let names: Result<Vec<&str>, EvalError> = call.args.iter().skip(1).map(crate::eval::eval_text).collect();
            by_labels(&mut columns, &names?, function);
        }
    }
    Ok(columns)
}

fn by_value(columns: &mut [Column], function: SortFunction) {
    columns.sort_by(|left, right| {
        let labels = || left.labels.cmp(&right.labels);
        let value = |column: &Column| column.values.first().copied().unwrap_or(ABSENT);
        let (left, right) = (value(left), value(right));
        let by_value =
            if function == SortFunction::Descending { right.partial_cmp(&left) } else { left.partial_cmp(&right) };
        by_value.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan())).then_with(labels)
    });
}

/// By the values of these labels one after the other, in their natural order, and then by all labels.
fn by_labels(columns: &mut [Column], names: &[&str], function: SortFunction) {
    columns.sort_by(|left, right| {
        let by_name = |name: &&str| {
            natural::compare(left.labels.get(name).unwrap_or_default(), right.labels.get(name).unwrap_or_default())
        };
        let named = names.iter().map(by_name).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        let order = named.then_with(|| left.labels.cmp(&right.labels));
        if function == SortFunction::ByLabelDescending { order.reverse() } else { order }
    });
}
