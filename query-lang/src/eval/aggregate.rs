//! Aggregations over series: `sum by (a) (x)` and its kin.

use std::ops::Range;

use watchfire_model::LabelSet;

use super::column::{ABSENT, Column, Places, is_absent};
use super::context::Context;
use super::cores::{self, STEPS_AT_ONCE};
use super::groups::Groups;
use super::limits::EvalError;
use super::native;
use super::native::notes::ignored_in_aggregation;
use super::notes::check_quantile;
use super::stream::{self, Ended, Next};
use super::tally::Tallies;
use super::{binary, choose, extremes, quantile};
use crate::ast::{Aggregate, AggregateOp, BinaryOp, Expr, Grouping, Span};

pub(crate) fn eval(ctx: &Context, node: &Aggregate) -> Result<Vec<Column>, EvalError> {
    let parameter = node.parameter.as_ref();
    match (node.op, parameter) {
        (AggregateOp::TopK | AggregateOp::BottomK, Some(parameter)) => {
            let k = super::eval_scalar(ctx, parameter)?;
            let mut columns = super::eval_vector(ctx, &node.expr)?;
            if !choose::wants_any(node.op, &k)? {
                ctx.used_up(columns);
                return Ok(Vec::new());
            }
            ignore_histograms(ctx, node.op, &mut columns, node.span);
            extremes::eval(ctx, node, &k, columns)
        }
        (AggregateOp::LimitK, Some(parameter)) => {
            let k = super::eval_scalar(ctx, parameter)?;
            choose::first(ctx, node, &k, binary::in_order(ctx, &node.expr)?)
        }
        (AggregateOp::LimitRatio, Some(parameter)) => {
            let ratio = super::eval_scalar(ctx, parameter)?;
            choose::share(ctx, &ratio, parameter.span(), super::eval_vector(ctx, &node.expr)?)
        }
        (AggregateOp::Quantile, Some(parameter)) => {
            let q = super::eval_scalar(ctx, parameter)?;
            check_quantiles(ctx, &q, parameter.without_parens().span());
            let mut columns = super::eval_vector(ctx, &node.expr)?;
            ignore_histograms(ctx, node.op, &mut columns, node.expr.without_parens().span());
            quantiles(ctx, &node.grouping, &q, columns)
        }
        (AggregateOp::CountValues, Some(parameter)) => {
            let label = super::eval_label(parameter)?.ok_or_else(|| EvalError::Parameter {
                reason: "`count_values` needs the name of a label".to_owned(),
            })?;
            count_values(ctx, &node.grouping, label, super::eval_vector(ctx, &node.expr)?)
        }
        (op, _) => {
            if let Some(columns) = folded_as_made(ctx, node)? {
                return Ok(columns);
            }
            let shelved = ctx.shelved();
            let mut columns = match is_either(&node.expr) {
                true => binary::in_order(ctx, &node.expr)?,
                false => super::eval_vector(ctx, &node.expr)?,
            };
            let about = node.expr.without_parens().span();
            match op {
                AggregateOp::Sum | AggregateOp::Avg if ctx.hold_histograms(&columns) => {
                    let mut out = with_histograms(ctx, node, columns)?;
                    // What was added up is not needed any more.
                    ctx.forget_since(shelved, out.iter_mut().flat_map(|column| &mut column.values));
                    return Ok(out);
                }
                AggregateOp::Min | AggregateOp::Max | AggregateOp::StdDev | AggregateOp::StdVar => {
                    ignore_histograms(ctx, op, &mut columns, about);
                }
                _ => {}
            }
            let Some(mut folded) = Folded::new(ctx, node) else { return Ok(Vec::new()) };
            for column in &columns {
                folded.add(&column.labels, false, &column.values, false)?;
            }
            ctx.used_up(columns);
            folded.columns()
        }
    }
}

/// Folds columns into those of their groups as they are made; `None` where they have to stand beside each other first.
fn folded_as_made(ctx: &Context, node: &Aggregate) -> Result<Option<Vec<Column>>, EvalError> {
    let Some(mut folded) = Folded::new(ctx, node) else { return Ok(None) };
    let (shelved, read) = (ctx.shelved(), ctx.guard.samples_read());
    let ended = stream::each(ctx, &node.expr, &mut |made| {
        // Histograms are added up otherwise, or left out.
        if ctx.shelved() > shelved {
            return Ok(Next::Stop);
        }
        folded.add(made.labels, made.loses_name, made.values, made.is_full)?;
        Ok(Next::Go)
    })?;
    match ended {
        Some(Ended::Whole) => folded.columns().map(Some),
        // Nothing is left of the first attempt.
        Some(Ended::MayRepeat | Ended::Stopped) => {
            folded.forget();
            stream::begin_again(ctx, shelved, read);
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Columns that are folded into those of their groups, in the order in which they come.
struct Folded<'f> {
    ctx: &'f Context<'f>,
    groups: Groups<'f>,
    tallies: Tallies,
}

impl<'f> Folded<'f> {
    fn new(ctx: &'f Context<'f>, node: &'f Aggregate) -> Option<Folded<'f>> {
        let tallies = Tallies::new(node.op, ctx.steps.count)?;
        Some(Folded { ctx, groups: Groups::of_none(&node.grouping), tallies })
    }

    fn add(&mut self, labels: &LabelSet, loses_name: bool, values: &[f64], is_full: bool) -> Result<(), EvalError> {
        self.ctx.guard.tick()?;
        let (group, is_new) = self.groups.place(labels, loses_name);
        if is_new {
            self.ctx.guard.reserve(self.tallies.group_bytes())?;
            self.tallies.add_group();
        }
        self.tallies.add(group, values, is_full);
        Ok(())
    }

    fn forget(&self) {
        self.ctx.guard.release(self.tallies.group_bytes() * self.groups.labels.len());
    }

    fn columns(self) -> Result<Vec<Column>, EvalError> {
        let labels = self.groups.labels.iter().enumerate();
        let columns = labels.map(|(group, labels)| self.ctx.keep(labels.clone(), self.tallies.result(group)));
        let mut columns = columns.collect::<Result<Vec<Column>, EvalError>>()?;
        columns.retain(Column::has_values);
        self.forget();
        Ok(columns)
    }
}

/// Warns of what is no quantile: that there is one that is no number, or else the largest and the smallest.
fn check_quantiles(ctx: &Context, quantiles: &[f64], about: Span) {
    if quantiles.iter().any(|q| q.is_nan()) {
        return check_quantile(ctx.guard, f64::NAN, about);
    }
    check_quantile(ctx.guard, quantiles.iter().copied().fold(0.0, f64::max), about);
    check_quantile(ctx.guard, quantiles.iter().copied().fold(1.0, f64::min), about);
}

/// Takes histograms out of an aggregation that has no use for them, and says so.
fn ignore_histograms(ctx: &Context, op: AggregateOp, columns: &mut Vec<Column>, about: Span) {
    if ctx.drop_histograms(columns) {
        ctx.note(ignored_in_aggregation(op.as_str()), about);
        columns.retain(Column::has_values);
    }
}

/// Whether the columns of an expression have an order of their own: those of the left side come first.
fn is_either(expr: &Expr) -> bool {
    matches!(expr.without_parens(), Expr::Binary(node) if node.op == BinaryOp::Or)
}

/// `sum` and `avg` where there are histograms.
fn with_histograms(ctx: &Context, node: &Aggregate, mut columns: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    // What is said of those that do not go together depends on which comes first.
    if !is_either(&node.expr) {
        columns.sort_by(|left, right| left.labels.cmp(&right.labels));
    }
    let (is_mean, about) = (node.op == AggregateOp::Avg, node.expr.without_parens().span());
    let groups = Groups::new(ctx, &node.grouping, &columns)?;
    let mut out = empty_columns(ctx, &groups)?;
    let of_step = |ctx: &Context, step: usize, values: &mut Vec<f64>| {
        let Some(mut floats) = Tallies::new(node.op, 1) else { return Ok(()) };
        groups.labels.iter().for_each(|_| floats.add_group());
        let mut natives: Vec<native::aggregate::Group> = Vec::new();
        natives.resize_with(groups.labels.len(), Default::default);
        for (column, group) in columns.iter().zip(&groups.of) {
            ctx.guard.tick()?;
            let value = column.values[step];
            if is_absent(value) {
                continue;
            }
            match ctx.histogram(value) {
                Some(histogram) => {
                    natives[*group].add(&histogram, column.labels.metric_name(), is_mean);
                }
                None => {
                    natives[*group].see_float();
                    floats.add(*group, &[value], true);
                }
            }
        }
        for (group, native) in natives.iter().enumerate() {
            values.push(if native.has_histogram() {
                native.result(ctx, about).map(|histogram| ctx.shelve(histogram)).transpose()?.unwrap_or(ABSENT)
            } else {
                floats.result(group).first().copied().unwrap_or(ABSENT)
            });
        }
        Ok(())
    };
    let many = groups.labels.len();
    let of_steps = |ctx: &Context, _: &mut (), _, mut steps: Range<usize>, values: &mut Vec<f64>| {
        steps.try_for_each(|step| of_step(ctx, step, values))
    };
    cores::by_steps(ctx, 1, many, of_steps, |_, steps, values| {
        for (step, values) in steps.zip(values.chunks(many)) {
            out.iter_mut().zip(values).for_each(|(column, value)| column.values[step] = *value);
        }
    })?;
    ctx.used_up(columns);
    out.retain(Column::has_values);
    Ok(out)
}

/// A column without values for each group.
fn empty_columns(ctx: &Context, groups: &Groups) -> Result<Vec<Column>, EvalError> {
    groups.labels.iter().map(|labels| ctx.column(labels.clone())).collect()
}

fn quantiles(ctx: &Context, grouping: &Grouping, q: &[f64], columns: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    let groups = Groups::new(ctx, grouping, &columns)?;
    let mut out = empty_columns(ctx, &groups)?;
    let members = groups.members();
    let of_steps = |ctx: &Context,
                    at_steps: &mut [Vec<f64>; STEPS_AT_ONCE],
                    group: usize,
                    steps: Range<usize>,
                    results: &mut Vec<f64>| {
        at_steps.iter_mut().for_each(Vec::clear);
        for column in members[group].iter().map(|at| &columns[*at]) {
            let values = &column.values[steps.clone()];
            for (at_step, value) in at_steps.iter_mut().zip(values).filter(|(_, value)| !is_absent(**value)) {
                at_step.push(*value);
            }
        }
        for (values, q) in at_steps.iter_mut().zip(&q[steps]) {
            ctx.guard.tick()?;
            results.push(if values.is_empty() { ABSENT } else { quantile::of_values(*q, values) });
        }
        Ok(())
    };
    cores::by_steps(ctx, members.len(), 1, of_steps, |group, steps, results| {
        out[group].values[steps].copy_from_slice(results);
    })?;
    ctx.used_up(columns);
    out.retain(Column::has_values);
    Ok(out)
}

/// `count_values`: how many series of a group have each value.
fn count_values(
    ctx: &Context,
    grouping: &Grouping,
    label: &str,
    columns: Vec<Column>,
) -> Result<Vec<Column>, EvalError> {
    let groups = Groups::new(ctx, grouping, &columns)?;
    // A label that the grouping leaves out is not in the result either.
    let is_left_out = grouping.without && grouping.labels.iter().any(|name| name == label);
    let mut places = Places::default();
    let mut out: Vec<Column> = Vec::new();
    for (column, group) in columns.iter().zip(&groups.of) {
        for (step, value) in column.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
            ctx.guard.tick()?;
            let text = || match ctx.histogram(*value) {
                Some(histogram) => native::text::text(&histogram),
                None => printed(*value),
            };
            let labels = &groups.labels[*group];
            let labels = if is_left_out { labels.clone() } else { labels.with(label, &text()) };
            let (place, is_new) = places.place(&labels);
            if is_new {
                out.push(ctx.column(labels)?);
            }
            let count = &mut out[place].values[step];
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
    ctx.used_up(columns);
    Ok(out)
}

/// A value as Prometheus writes it into a label: all digits, no exponent.
fn printed(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}
