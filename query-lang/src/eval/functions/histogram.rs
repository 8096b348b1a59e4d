//! Classic histograms: series that differ only in `le`, each counting what is at or below it.

use watchfire_model::LabelSet;

use super::arg;
use crate::ast::{Call, Expr};
use crate::eval::column::{Column, Places, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::notes::{check_quantile, general_float};
use crate::eval::quantile::{self, Bucket};
use crate::functions::HistogramFunction;

const BOUND_LABEL: &str = "le";

pub(super) fn eval(ctx: &Context, function: HistogramFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    match function {
        HistogramFunction::Quantile => {
            let q = quantile_arg(ctx, arg(call, 0)?)?;
            let histograms = Histograms::new(ctx, arg(call, 1)?)?;
            histograms.each(ctx, |step, buckets| histograms.quantile(ctx, q[step], step, buckets))
        }
        HistogramFunction::Quantiles => quantiles(ctx, call),
        HistogramFunction::Fraction => {
            let lower = crate::eval::eval_scalar(ctx, arg(call, 0)?)?;
            let upper = crate::eval::eval_scalar(ctx, arg(call, 1)?)?;
            let histograms = Histograms::new(ctx, arg(call, 2)?)?;
            histograms.each(ctx, |step, buckets| quantile::fraction(lower[step], upper[step], buckets))
        }
    }
}

fn quantile_arg(ctx: &Context, arg: &Expr) -> Result<Vec<f64>, EvalError> {
    let q = crate::eval::eval_scalar(ctx, arg)?;
    q.iter().for_each(|q| check_quantile(ctx.guard, *q, arg.span()));
    Ok(q)
}

/// `histogram_quantiles(v, label, q…)`: each quantile under its own value of the label.
fn quantiles(ctx: &Context, call: &Call) -> Result<Vec<Column>, EvalError> {
    let label = crate::eval::eval_text(arg(call, 1)?)?;
    let mut all = Vec::new();
    for arg in call.args.iter().skip(2) {
        all.push(quantile_arg(ctx, arg)?);
    }
    let histograms = Histograms::new(ctx, arg(call, 0)?)?;
    let mut out: Vec<Column> = Vec::new();
    for q in all {
        let mut columns = histograms.each(ctx, |step, buckets| histograms.quantile(ctx, q[step], step, buckets))?;
        // A quantile that is not the same at every step has a series for each of its values.
        let mut distinct = q.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup_by(|left, right| left.to_bits() == right.to_bits());
        for value in distinct {
            for column in &mut columns {
                let mut part = ctx.column(column.labels.with(label, &general_float(value)))?;
                let steps = part.values.iter_mut().zip(&column.values).zip(&q);
                let of_value = steps.filter(|(_, at)| at.to_bits() == value.to_bits());
                of_value.for_each(|((to, from), _)| *to = *from);
                if part.has_values() {
                    out.push(part);
                }
            }
        }
        ctx.used_up(columns);
    }
    join_same_labels(out)
}

/// Buckets by the histogram that they belong to.
struct Histograms<'e> {
    columns: Vec<Column>,
    arg: &'e Expr,
    /// Labels without the bound, and bound and column of each bucket.
    all: Vec<(LabelSet, Vec<(f64, usize)>)>,
}

impl<'e> Histograms<'e> {
    fn new(ctx: &Context, arg: &'e Expr) -> Result<Histograms<'e>, EvalError> {
        let columns = crate::eval::eval_vector(ctx, arg)?;
        let mut places = Places::default();
        let mut all: Vec<(LabelSet, Vec<(f64, usize)>)> = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            ctx.guard.tick()?;
            let bound = column.labels.get(BOUND_LABEL).unwrap_or_default();
            let Ok(upper) = bound.parse::<f64>() else {
                let text = format!("bucket label \"{BOUND_LABEL}\" is missing or has a malformed value of {bound:?}");
                ctx.guard.warn(text, arg.span());
                continue;
            };
            let labels = column.labels.retain(|name| name != BOUND_LABEL);
            let (place, is_new) = places.place(&labels);
            if is_new {
                all.push((labels, Vec::new()));
            }
            all[place].1.push((upper, at));
        }
        Ok(Histograms { columns, arg, all })
    }

    /// A value from the buckets that a histogram has at a step.
    fn each(
        &self,
        ctx: &Context,
        mut value: impl FnMut(usize, &mut Vec<Bucket>) -> f64,
    ) -> Result<Vec<Column>, EvalError> {
        let mut out = Vec::with_capacity(self.all.len());
        let mut buckets = Vec::new();
        for (labels, members) in &self.all {
            let mut result = ctx.column(without_name(labels))?;
            for (step, result) in result.values.iter_mut().enumerate() {
                ctx.guard.tick()?;
                let counts = members.iter().map(|(upper, at)| (*upper, self.columns[*at].values[step]));
                buckets.clear();
                buckets.extend(counts.filter(|(_, count)| !is_absent(*count)).map(Bucket::from));
                if !buckets.is_empty() {
                    *result = value(step, &mut buckets);
                }
            }
            out.push(result);
        }
        out.retain(Column::has_values);
        join_same_labels(out)
    }

    fn quantile(&self, ctx: &Context, q: f64, step: usize, buckets: &mut Vec<Bucket>) -> f64 {
        let (quantile, lifted) = quantile::of_buckets(q, buckets);
        if let Some(lifted) = lifted {
            ctx.guard.notes().note_lifted(lifted, ctx.steps.at(step), self.arg.span());
        }
        quantile
    }
}
