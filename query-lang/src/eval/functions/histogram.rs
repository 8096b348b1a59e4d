//! Histograms: native ones, and classic ones, which are series that differ only in `le`, each counting what is at or
//! below it.

use std::ops::Range;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Histogram, LabelSet};

use super::arg;
use crate::ast::{Call, Expr};
use crate::eval::column::{ABSENT, Column, Places, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::cores;
use crate::eval::limits::EvalError;
use crate::eval::native::estimate::{self, Doubt};
use crate::eval::native::is_histogram;
use crate::eval::native::notes::mixed_with_classic;
use crate::eval::notes::{check_quantile, general_float};
use crate::eval::quantile::{self, Bucket};
use crate::functions::HistogramFunction;

const BOUND_LABEL: &str = "le";

/// Numbers of histograms, which are not needed afterwards.
pub(super) fn eval(ctx: &Context, function: HistogramFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let shelved = ctx.shelved();
    let columns = numbers(&counts_or_buckets(ctx, function, call), function, call)?;
    ctx.forget_since(shelved, std::iter::empty());
    Ok(columns)
}

/// The context of the arguments of a call.
pub(in crate::eval) fn counts_or_buckets<'e>(
    ctx: &Context<'e>,
    function: HistogramFunction,
    call: &Call,
) -> Context<'e> {
    let asks_for_counts =
        matches!(function, HistogramFunction::Avg | HistogramFunction::Count | HistogramFunction::Sum)
            && !call.args.iter().any(cuts);
    if asks_for_counts { ctx.of_counts() } else { ctx.of_buckets() }
}

/// Whether histograms are cut somewhere in it.
fn cuts(expr: &Expr) -> bool {
    let mut found = false;
    expr.for_each_part(&mut |part| found |= matches!(part, Expr::Binary(node) if node.op.is_trim()));
    found
}

fn numbers(ctx: &Context, function: HistogramFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    match function {
        HistogramFunction::Quantile => {
            let q = quantile_arg(ctx, arg(call, 0)?)?;
            let histograms = Histograms::new(ctx, arg(call, 1)?)?;
            histograms.quantiles(ctx, &q)
        }
        HistogramFunction::Quantiles => quantiles(ctx, call),
        HistogramFunction::Fraction => {
            let lower = crate::eval::eval_scalar(ctx, arg(call, 0)?)?;
            let upper = crate::eval::eval_scalar(ctx, arg(call, 1)?)?;
            let histograms = Histograms::new(ctx, arg(call, 2)?)?;
            histograms.each(
                ctx,
                |_, step, buckets| quantile::fraction(lower[step], upper[step], buckets),
                |step, native| estimate::fraction(lower[step], upper[step], native),
            )
        }
        HistogramFunction::Avg => of_native(ctx, call, |histogram| histogram.sum() / histogram.count()),
        HistogramFunction::Count => of_native(ctx, call, Histogram::count),
        HistogramFunction::Sum => of_native(ctx, call, Histogram::sum),
        HistogramFunction::StdDev => of_native(ctx, call, |histogram| estimate::variance(histogram).sqrt()),
        HistogramFunction::StdVar => of_native(ctx, call, estimate::variance),
    }
}

/// A number from each native histogram; floats have none.
fn of_native(ctx: &Context, call: &Call, number: impl Fn(&Histogram) -> f64) -> Result<Vec<Column>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
    for column in &mut columns {
        ctx.guard.tick()?;
        column.labels = column.labels.retain(|name| name != METRIC_NAME);
        for value in &mut column.values {
            *value = ctx.histogram(*value).map_or(ABSENT, |histogram| number(&histogram));
        }
    }
    columns.retain(Column::has_values);
    join_same_labels(columns)
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
        let mut columns = histograms.quantiles(ctx, &q)?;
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
    /// Columns with native histograms, and the place in `all` of a classic one of the same labels.
    natives: Vec<(usize, Option<usize>)>,
}

impl<'e> Histograms<'e> {
    fn new(ctx: &Context, arg: &'e Expr) -> Result<Histograms<'e>, EvalError> {
        let columns = crate::eval::eval_vector(ctx, arg)?;
        let mut places = Places::default();
        let mut all: Vec<(LabelSet, Vec<(f64, usize)>)> = Vec::new();
        let mut natives = Vec::new();
        let has_natives = ctx.has_histograms();
        for (at, column) in columns.iter().enumerate() {
            ctx.guard.tick()?;
            if has_natives && column.values.iter().any(|value| is_histogram(*value)) {
                natives.push((at, None));
                if column.values.iter().all(|value| is_histogram(*value) || is_absent(*value)) {
                    continue;
                }
            }
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
        for (at, classic) in &mut natives {
            *classic = all.iter().position(|(labels, _)| *labels == columns[*at].labels);
        }
        Ok(Histograms { columns, arg, all, natives })
    }

    /// A value from the buckets that a histogram has at a step, and one from each native histogram.
    fn each(
        &self,
        ctx: &Context,
        value: impl Fn(&Context, usize, &mut Vec<Bucket>) -> f64 + Sync,
        of_native: impl Fn(usize, &Histogram) -> (f64, Option<Doubt>) + Sync,
    ) -> Result<Vec<Column>, EvalError> {
        let classic = self.all.len();
        let natives = self.natives.iter().map(|(at, _)| &self.columns[*at].labels);
        let labels = self.all.iter().map(|(labels, _)| labels).chain(natives);
        let mut out = labels.map(|labels| ctx.column(without_name(labels))).collect::<Result<Vec<Column>, _>>()?;
        let of_steps =
            |ctx: &Context, buckets: &mut Vec<Bucket>, number: usize, steps: Range<usize>, results: &mut Vec<f64>| {
                for step in steps {
                    ctx.guard.tick()?;
                    results.push(match number.checked_sub(classic) {
                        None => {
                            self.buckets(&self.all[number].1, step, buckets);
                            let has_value = !buckets.is_empty() && !self.has_native_twin(number, step);
                            if has_value { value(ctx, step, buckets) } else { ABSENT }
                        }
                        Some(native) => self.native_value(ctx, &self.natives[native], step, buckets, &of_native),
                    });
                }
                Ok(())
            };
        cores::by_steps(ctx, out.len(), 1, of_steps, |number, steps, results| {
            out[number].values[steps].copy_from_slice(results);
        })?;
        out.retain(Column::has_values);
        join_same_labels(out)
    }

    /// A value from a native histogram, if one stands there alone.
    fn native_value(
        &self,
        ctx: &Context,
        (at, classic): &(usize, Option<usize>),
        step: usize,
        buckets: &mut Vec<Bucket>,
        value: impl Fn(usize, &Histogram) -> (f64, Option<Doubt>),
    ) -> f64 {
        let Some(histogram) = ctx.histogram(self.columns[*at].values[step]) else { return ABSENT };
        if let Some((_, members)) = classic.and_then(|classic| self.all.get(classic)) {
            self.buckets(members, step, buckets);
            if !buckets.is_empty() {
                ctx.note(mixed_with_classic(), self.arg.span());
                return ABSENT;
            }
        }
        let (number, doubt) = value(step, &histogram);
        if let Some(doubt) = doubt {
            ctx.guard.inform(doubt.as_str().to_owned(), self.arg.span());
        }
        number
    }

    /// The buckets that a classic histogram has at a step.
    fn buckets(&self, members: &[(f64, usize)], step: usize, buckets: &mut Vec<Bucket>) {
        let counts = members.iter().map(|(upper, at)| (*upper, self.columns[*at].values[step]));
        buckets.clear();
        buckets.extend(counts.filter(|(_, count)| !is_absent(*count) && !is_histogram(*count)).map(Bucket::from));
    }

    /// Whether a native histogram of the same labels stands at a step.
    fn has_native_twin(&self, number: usize, step: usize) -> bool {
        let twins = self.natives.iter().filter(|(_, classic)| *classic == Some(number));
        twins.into_iter().any(|(at, _)| is_histogram(self.columns[*at].values[step]))
    }

    /// The quantile of each step, of each histogram.
    fn quantiles(&self, ctx: &Context, q: &[f64]) -> Result<Vec<Column>, EvalError> {
        self.each(
            ctx,
            |ctx, step, buckets| self.quantile(ctx, q[step], step, buckets),
            |step, native| estimate::quantile(q[step], native),
        )
    }

    fn quantile(&self, ctx: &Context, q: f64, step: usize, buckets: &mut Vec<Bucket>) -> f64 {
        let (quantile, lifted) = quantile::of_buckets(q, buckets);
        if let Some(lifted) = lifted {
            ctx.guard.notes().note_lifted(lifted, ctx.steps.at(step), self.arg.span());
        }
        quantile
    }
}
