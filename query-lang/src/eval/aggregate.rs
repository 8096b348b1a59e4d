//! Aggregations over series: `sum by (a) (x)` and its kin.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use watchfire_model::{LabelSet, Sum};

use super::column::{ABSENT, Column, Places, describes_metric, is_absent};
use super::context::Context;
use super::limits::EvalError;
use super::mean::Mean;
use super::native;
use super::native::notes::ignored_in_aggregation;
use super::notes::check_quantile;
use super::quantile;
use super::{choose, extremes};
use crate::ast::{Aggregate, AggregateOp, Grouping, Span};

pub(crate) fn eval(ctx: &Context, node: &Aggregate) -> Result<Vec<Column>, EvalError> {
    let parameter = node.parameter.as_ref();
    match (node.op, parameter) {
        (AggregateOp::TopK | AggregateOp::BottomK, Some(parameter)) => {
            let k = super::eval_scalar(ctx, parameter)?;
            let mut columns = super::eval_vector(ctx, &node.expr)?;
            ignore_histograms(ctx, node.op, &mut columns, node.span);
            extremes::eval(ctx, node, &k, columns)
        }
        (AggregateOp::LimitK, Some(parameter)) => {
            let k = super::eval_scalar(ctx, parameter)?;
            choose::first(ctx, node, &k, super::eval_vector(ctx, &node.expr)?)
        }
        (AggregateOp::LimitRatio, Some(parameter)) => {
            let ratio = super::eval_scalar(ctx, parameter)?;
            choose::share(ctx, &ratio, parameter.span(), super::eval_vector(ctx, &node.expr)?)
        }
        (AggregateOp::Quantile, Some(parameter)) => {
            let q = super::eval_scalar(ctx, parameter)?;
            q.iter().for_each(|q| check_quantile(ctx.guard, *q, parameter.without_parens().span()));
            let mut columns = super::eval_vector(ctx, &node.expr)?;
            ignore_histograms(ctx, node.op, &mut columns, node.expr.without_parens().span());
            quantiles(ctx, &node.grouping, &q, columns)
        }
        (AggregateOp::CountValues, Some(parameter)) => {
            let label = super::eval_text(parameter)?;
            if label.is_empty() {
                return Err(EvalError::Parameter { reason: "`count_values` needs the name of a label".to_owned() });
            }
            count_values(ctx, &node.grouping, label, super::eval_vector(ctx, &node.expr)?)
        }
        (op, _) => {
            let shelved = ctx.shelved();
            let mut columns = super::eval_vector(ctx, &node.expr)?;
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
            let groups = Groups::new(ctx, &node.grouping, &columns)?;
            let mut out = groups.empty_columns(ctx)?;
            fold(ctx, op, &columns, &groups.of, &mut out)?;
            ctx.used_up(columns);
            out.retain(Column::has_values);
            Ok(out)
        }
    }
}

/// Steps that are folded at once: what of a column lies in one line of the cache.
const FOLDED: usize = 8;

/// Folds columns into those of their groups, in the order of the columns at each step.
fn fold(ctx: &Context, op: AggregateOp, columns: &[Column], of: &[usize], out: &mut [Column]) -> Result<(), EvalError> {
    let bytes = out.len() * size_of::<[State; FOLDED]>();
    ctx.guard.reserve(bytes)?;
    let mut states = vec![[State::default(); FOLDED]; out.len()];
    for first in (0..ctx.steps.count).step_by(FOLDED) {
        let block = first..ctx.steps.count.min(first + FOLDED);
        states.fill([State::default(); FOLDED]);
        for (column, group) in columns.iter().zip(of) {
            ctx.guard.tick()?;
            for (state, value) in states[*group].iter_mut().zip(&column.values[block.clone()]) {
                if !is_absent(*value) {
                    state.add(op, *value);
                }
            }
        }
        for (column, states) in out.iter_mut().zip(&states) {
            for (value, state) in column.values[block.clone()].iter_mut().zip(states) {
                *value = state.result(op);
            }
        }
    }
    ctx.guard.release(bytes);
    Ok(())
}

/// Takes histograms out of an aggregation that has no use for them, and says so.
fn ignore_histograms(ctx: &Context, op: AggregateOp, columns: &mut Vec<Column>, about: Span) {
    if ctx.drop_histograms(columns) {
        ctx.note(ignored_in_aggregation(op.as_str()), about);
        columns.retain(Column::has_values);
    }
}

/// `sum` and `avg` where there are histograms.
fn with_histograms(ctx: &Context, node: &Aggregate, columns: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    let (is_mean, about) = (node.op == AggregateOp::Avg, node.expr.without_parens().span());
    let groups = Groups::new(ctx, &node.grouping, &columns)?;
    let mut out = groups.empty_columns(ctx)?;
    for step in 0..ctx.steps.count {
        let mut states = vec![State::default(); groups.labels.len()];
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
                    states[*group].add(node.op, value);
                }
            }
        }
        for ((column, state), native) in out.iter_mut().zip(&states).zip(&natives) {
            column.values[step] = if native.has_histogram() {
                native.result(ctx, about).map(|histogram| ctx.shelve(histogram)).transpose()?.unwrap_or(ABSENT)
            } else {
                state.result(node.op)
            };
        }
    }
    ctx.used_up(columns);
    out.retain(Column::has_values);
    Ok(out)
}

/// Which group each column belongs to, and the labels of the groups.
pub(super) struct Groups {
    of: Vec<usize>,
    labels: Vec<LabelSet>,
}

impl Groups {
    pub fn new(ctx: &Context, grouping: &Grouping, columns: &[Column]) -> Result<Groups, EvalError> {
        let mut groups = Groups { of: Vec::with_capacity(columns.len()), labels: Vec::new() };
        let everything = !grouping.without && grouping.labels.is_empty();
        if everything {
            groups.of.resize(columns.len(), 0);
            groups.labels.extend(columns.first().map(|_| LabelSet::empty()));
            return Ok(groups);
        }
        // Most columns fall into a group that is there: its labels are compared where they are, not copied.
        let hasher = foldhash::fast::RandomState::default();
        let hash_of = |labels: &LabelSet| {
            let mut state = hasher.build_hasher();
            kept(grouping, labels).for_each(|label| label.hash(&mut state));
            state.finish()
        };
        let mut table: HashTable<usize> = HashTable::new();
        for column in columns {
            ctx.guard.tick()?;
            let hash = hash_of(&column.labels);
            let is_it = |group: &usize| groups.labels[*group].iter().eq(kept(grouping, &column.labels));
            let group = match table.find(hash, is_it) {
                Some(group) => *group,
                None => {
                    let group = groups.labels.len();
                    groups.labels.push(column.labels.retain(|name| keeps(grouping, name)));
                    table.insert_unique(hash, group, |group| hash_of(&groups.labels[*group]));
                    group
                }
            };
            groups.of.push(group);
        }
        Ok(groups)
    }

    fn empty_columns(&self, ctx: &Context) -> Result<Vec<Column>, EvalError> {
        self.labels.iter().map(|labels| ctx.column(labels.clone())).collect()
    }

    /// The columns of each group.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.labels.len()];
        for (column, group) in self.of.iter().enumerate() {
            members[*group].push(column);
        }
        members
    }
}

/// Whether a label is one of the group's.
fn keeps(grouping: &Grouping, name: &str) -> bool {
    let is_listed = grouping.labels.iter().any(|label| label == name);
    if grouping.without { !is_listed && !describes_metric(name) } else { is_listed }
}

/// The labels of a series that are its group's.
fn kept<'l>(grouping: &'l Grouping, labels: &'l LabelSet) -> impl Iterator<Item = (&'l str, &'l str)> {
    labels.iter().filter(|(name, _)| keeps(grouping, name))
}

/// What has been seen of a group at one step.
#[derive(Clone, Copy, Default)]
struct State {
    count: f64,
    sum: Sum,
    mean: Mean,
    /// Smallest or largest.
    extreme: f64,
    /// Running mean and sum of squared differences (Welford).
    center: f64,
    squares: f64,
}

impl State {
    fn add(&mut self, op: AggregateOp, value: f64) {
        self.count += 1.0;
        let is_first = self.count == 1.0;
        match op {
            AggregateOp::Sum => self.sum.add(value),
            AggregateOp::Avg => self.mean.add(value),
            AggregateOp::Min => {
                if is_first || value < self.extreme || self.extreme.is_nan() {
                    self.extreme = value;
                }
            }
            AggregateOp::Max => {
                if is_first || value > self.extreme || self.extreme.is_nan() {
                    self.extreme = value;
                }
            }
            AggregateOp::StdDev | AggregateOp::StdVar => {
                if is_first {
                    self.center = value;
                    self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
                } else {
                    let difference = value - self.center;
                    self.center += difference / self.count;
                    self.squares += difference * (value - self.center);
                }
            }
            AggregateOp::Count
            | AggregateOp::Group
            | AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::Quantile
            | AggregateOp::CountValues
            | AggregateOp::LimitK
            | AggregateOp::LimitRatio => {}
        }
    }

    fn result(&self, op: AggregateOp) -> f64 {
        if self.count == 0.0 {
            return ABSENT;
        }
        match op {
            AggregateOp::Sum => self.sum.total(),
            AggregateOp::Avg => self.mean.mean(),
            AggregateOp::Min | AggregateOp::Max => self.extreme,
            AggregateOp::StdDev => (self.squares / self.count).sqrt(),
            AggregateOp::StdVar => self.squares / self.count,
            AggregateOp::Group => 1.0,
            AggregateOp::Count
            | AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::Quantile
            | AggregateOp::CountValues
            | AggregateOp::LimitK
            | AggregateOp::LimitRatio => self.count,
        }
    }
}

fn quantiles(ctx: &Context, grouping: &Grouping, q: &[f64], columns: Vec<Column>) -> Result<Vec<Column>, EvalError> {
    let groups = Groups::new(ctx, grouping, &columns)?;
    let mut out = groups.empty_columns(ctx)?;
    let mut values = Vec::new();
    for (result, members) in out.iter_mut().zip(groups.members()) {
        for (step, q) in q.iter().enumerate() {
            ctx.guard.tick()?;
            values.clear();
            values.extend(members.iter().map(|at| columns[*at].values[step]).filter(|value| !is_absent(*value)));
            if !values.is_empty() {
                result.values[step] = quantile::of_values(*q, &mut values);
            }
        }
    }
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
    let mut places = Places::default();
    let mut out: Vec<Column> = Vec::new();
    for (column, group) in columns.iter().zip(&groups.of) {
        for (step, value) in column.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
            ctx.guard.tick()?;
            let text = match ctx.histogram(*value) {
                Some(histogram) => native::text::text(&histogram),
                None => printed(*value),
            };
            let labels = groups.labels[*group].with(label, &text);
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
