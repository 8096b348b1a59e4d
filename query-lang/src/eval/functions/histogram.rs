//! Classic histograms: series that differ only in `le`, each counting what is at or below it.

use super::arg;
use crate::ast::Call;
use crate::eval::column::{Column, Places, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::notes::check_quantile;
use crate::eval::quantile::{self, Bucket};
use crate::functions::HistogramFunction;

const BOUND_LABEL: &str = "le";

pub(super) fn eval(ctx: &Context, function: HistogramFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let HistogramFunction::Quantile = function;
    let (quantile_arg, buckets_arg) = (arg(call, 0)?, arg(call, 1)?);
    let q = crate::eval::eval_scalar(ctx, quantile_arg)?;
    q.iter().for_each(|q| check_quantile(ctx.guard, *q, quantile_arg.span()));
    let columns = crate::eval::eval_vector(ctx, buckets_arg)?;
    let mut places = Places::default();
    let mut out: Vec<Column> = Vec::new();
    let mut members: Vec<Vec<(f64, usize)>> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let bound = column.labels.get(BOUND_LABEL).unwrap_or_default();
        let Ok(upper) = bound.parse::<f64>() else {
            let text = format!("bucket label \"{BOUND_LABEL}\" is missing or has a malformed value of {bound:?}");
            ctx.guard.warn(text, buckets_arg.span());
            continue;
        };
        let labels = column.labels.retain(|name| name != BOUND_LABEL);
        let (place, is_new) = places.place(&labels);
        if is_new {
            out.push(ctx.column(labels)?);
            members.push(Vec::new());
        }
        members[place].push((upper, at));
    }
    let mut buckets = Vec::new();
    for (result, members) in out.iter_mut().zip(&members) {
        for (step, value) in result.values.iter_mut().enumerate() {
            ctx.guard.tick()?;
            let present = members.iter().map(|(upper, at)| Bucket { upper: *upper, count: columns[*at].values[step] });
            buckets.clear();
            buckets.extend(present.filter(|bucket| !is_absent(bucket.count)));
            if !buckets.is_empty() {
                let (quantile, lifted) = quantile::of_buckets(q[step], &mut buckets);
                *value = quantile;
                if let Some(lifted) = lifted {
                    ctx.guard.notes().note_lifted(lifted, ctx.steps.at(step), buckets_arg.span());
                }
            }
        }
    }
    ctx.used_up(columns);
    out.retain(Column::has_values);
    for column in &mut out {
        column.labels = without_name(&column.labels);
    }
    join_same_labels(out)
}
