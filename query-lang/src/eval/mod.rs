//! What is the value of a query at time t? A pure function of data and time.
//!
//! An expression gives a column per series: a value, or none, for each time of a grid of steps; one
//! moment is a grid of one step. Series are read once for all steps. A file per kind of expression:
//! `selector`, `window`, `binary`, `aggregate`, `functions`, and `short` for the nodes
//! of the short form.

mod aggregate;
mod answer;
mod binary;
mod by_step;
mod choose;
mod column;
mod context;
mod cores;
mod counted;
mod edges;
mod extremes;
mod functions;
mod groups;
mod limits;
mod mean;
mod memory;
mod native;
mod notes;
mod parts;
mod quantile;
mod selector;
mod short;
mod sides;
mod smoothed;
mod source;
mod spans;
mod stream;
mod tally;
mod window;

use std::sync::Arc;

use watchfire_engine::Engine;
use watchfire_model::{Histogram, LabelSet, Timestamp};

pub use answer::{Answer, Asked, MatrixSeries, Outcome, PointValue, answer};
pub use by_step::SamplesByStep;
pub use limits::{CancelToken, EvalError, Limits, SamplesRead};
pub use memory::{Held, QueryMemory};
pub use native::text::text as histogram_text;
pub use notes::Notes;
pub use short::QuantileElsewhere;

use crate::shared::SharedColumns;

use crate::Query;
use crate::ast::{AggregateOp, Expr, Unary, ValueType};
use crate::equivalent::Found;
use crate::functions::Family;
use crate::read::{RangeSeries, RangeSteps};
use column::{Column, Value, is_absent};
use context::{Context, Detail, Steps};
use limits::Guard;
use parts::Gathered;

/// The columns of a common part, as [`crate::shared`] keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Vec<Column>);

/// The values of a query at one time, in the order of labels unless the query gives one (`sort`, `topk`). A
/// scalar is one value without labels, a native histogram the number of its observations.
///
/// Errors: [`EvalError::Type`] for a query that gives a range or a text, and what else stands in the way.
pub fn evaluate_instant(
    query: &Query,
    engine: &Engine,
    at: Timestamp,
    limits: &Limits,
) -> Result<Vec<(LabelSet, f64)>, EvalError> {
    let guard = Guard::new(limits);
    guard.look()?;
    let ctx = at_once(engine, &guard, at);
    let query = &*query.at_times(ctx.times())?;
    let mut out = instant_values(query, evaluate(query, &ctx)?);
    count_observations(&ctx, out.iter_mut().map(|(_, value)| value));
    Ok(out)
}

/// Puts the number of observations in the place of each histogram.
fn count_observations<'v>(ctx: &Context, values: impl Iterator<Item = &'v mut f64>) {
    if ctx.has_histograms() {
        for value in values {
            *value = ctx.histogram(*value).map_or(*value, |histogram| histogram.count());
        }
    }
}

/// The values of a query at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstantValues {
    /// By series; of a native histogram the number of its observations.
    pub values: Vec<(LabelSet, f64)>,
    /// The native histograms among them, each with its place in the list; places ascend.
    pub histograms: Vec<(usize, Arc<Histogram>)>,
    /// How many samples were read for them; `None` where nobody knows.
    pub samples_read: Option<u64>,
}

/// [`evaluate_instant`] of one of several queries that are asked at one time: what they have in common is computed once.
/// All of them are asked at this time, until what is shared is forgotten.
///
/// Errors: as [`evaluate_instant`].
pub fn evaluate_shared(
    query: &Query,
    engine: &Engine,
    at: Timestamp,
    limits: &Limits,
    shared: &SharedColumns<'_>,
) -> Result<InstantValues, EvalError> {
    let guard = Guard::new(limits);
    guard.look()?;
    let ctx = Context { shared: Some(shared), ..at_once(engine, &guard, at) };
    let query = &*query.at_times(ctx.times())?;
    let mut values = instant_values(query, evaluate(query, &ctx)?);
    let mut histograms = Vec::new();
    if ctx.has_histograms() {
        for (place, (_, value)) in values.iter_mut().enumerate() {
            if let Some(histogram) = ctx.histogram(*value) {
                *value = histogram.count();
                histograms.push((place, histogram));
            }
        }
    }
    Ok(InstantValues { values, histograms, samples_read: Some(guard.samples_read()) })
}

/// The values at the one time of an instant query, in the order of labels unless the query gives one.
fn instant_values(query: &Query, columns: Vec<Column>) -> Vec<(LabelSet, f64)> {
    let values = columns.into_iter().filter_map(|column| Some((column.labels, *column.values.first()?)));
    let mut out: Vec<_> = values.filter(|(_, value)| !is_absent(*value)).collect();
    if !gives_order(query.root()) {
        out.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    }
    out
}

impl Query {
    /// Whether the order of its instant result means something (`sort`, `topk`).
    pub fn gives_order(&self) -> bool {
        gives_order(self.root())
    }
}

/// Whether the order of an instant result means something.
fn gives_order(expr: &Expr) -> bool {
    match expr.without_parens() {
        Expr::Aggregate(node) => matches!(node.op, AggregateOp::TopK | AggregateOp::BottomK),
        Expr::Call(node) => matches!(node.function.family, Family::Sort(_)),
        _ => false,
    }
}

/// The values of a query at each time of a range, series in the order of their labels; of a native histogram the number
/// of its observations.
///
/// Errors: as [`evaluate_instant`], and [`EvalError::Steps`] and [`EvalError::Range`].
pub fn evaluate_range(
    query: &Query,
    engine: &Engine,
    range: RangeSteps,
    limits: &Limits,
) -> Result<Vec<RangeSeries>, EvalError> {
    let guard = Guard::new(limits);
    guard.look()?;
    let ctx = over_range(engine, &guard, range)?;
    let query = &*query.at_times(ctx.times())?;
    let mut out = range_series(query, &ctx)?;
    count_observations(&ctx, out.iter_mut().flat_map(|(_, points)| points).map(|(_, value)| value));
    Ok(out)
}

/// The points of each series that has any, in the order of labels.
fn range_series(query: &Query, ctx: &Context) -> Result<Vec<RangeSeries>, EvalError> {
    let mut series = match parts::gather(ctx, &|part| evaluate(query, part))? {
        Gathered::Whole(columns) => columns.into_iter().filter_map(|column| points_of(column, ctx.steps)).collect(),
        Gathered::Parts(series) => series,
    };
    series.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(series)
}

/// The points of a column, if it has any.
fn points_of(column: Column, steps: Steps) -> Option<RangeSeries> {
    let present = steps.times().zip(column.values).filter(|(_, value)| !is_absent(*value));
    let points: Vec<_> = present.map(|(at, value)| (Timestamp::from_millis(at), value)).collect();
    (!points.is_empty()).then_some((column.labels, points))
}

/// The kind of the series that a query in the short form finds.
pub(crate) fn found(query: &Query, engine: &Engine, asked: Asked) -> Found {
    short::kind_found(query.root(), engine, asked, &Limits::default()).unwrap_or(Found::Unknown)
}

fn grid(range: RangeSteps, limits: &Limits) -> Result<Steps, EvalError> {
    if range.step_ms <= 0 {
        return Err(EvalError::Range { reason: "the step must be greater than 0" });
    }
    let length = range.end.since(range.start);
    if length < 0 {
        return Err(EvalError::Range { reason: "the end of the range lies before its start" });
    }
    let steps = length.unsigned_abs() / range.step_ms.unsigned_abs() + 1;
    let count = usize::try_from(steps).unwrap_or(usize::MAX);
    if count > limits.steps_max {
        return Err(EvalError::Steps { steps, limit: limits.steps_max });
    }
    Ok(Steps { start: range.start.millis(), step: range.step_ms, count })
}

/// At one time.
fn at_once<'e>(engine: &'e Engine, guard: &'e Guard<'e>, at: Timestamp) -> Context<'e> {
    let steps = Steps { start: at.millis(), step: 1, count: 1 };
    Context {
        engine,
        guard,
        steps,
        query_start: at.millis(),
        query_end: at.millis(),
        query_step: 0,
        is_instant: true,
        is_part: false,
        shared: None,
        detail: Detail::Open,
    }
}

/// Over a range; its last step may lie before its end.
fn over_range<'e>(engine: &'e Engine, guard: &'e Guard<'e>, range: RangeSteps) -> Result<Context<'e>, EvalError> {
    let steps = grid(range, guard.limits())?;
    let (query_start, query_end) = (range.start.millis(), range.end.millis());
    Ok(Context {
        engine,
        guard,
        steps,
        query_start,
        query_end,
        query_step: range.step_ms,
        is_instant: false,
        is_part: false,
        shared: None,
        detail: Detail::Open,
    })
}

/// The columns of a query that gives a scalar or an instant vector.
fn evaluate(query: &Query, ctx: &Context) -> Result<Vec<Column>, EvalError> {
    let wrong_type = |found: ValueType, hint: &str| EvalError::Type {
        reason: format!("the query gives a {}, not values at a time{hint}", found.name()),
    };
    match query.value_type() {
        ValueType::Matrix => {
            Err(wrong_type(ValueType::Matrix, "; wrap it in a function such as `rate(…)` or leave the range out"))
        }
        ValueType::String => Err(wrong_type(ValueType::String, "")),
        ValueType::Scalar | ValueType::Vector => match eval(ctx, query.root())? {
            Value::Vector(columns) => Ok(columns),
            Value::Scalar(values) => Ok(vec![Column { labels: LabelSet::empty(), values }]),
            Value::Text => Err(wrong_type(ValueType::String, "")),
        },
    }
}

/// The stack goes on in a new piece of `STACK_BYTES` when less than `STACK_LEFT_BYTES` are left: whatever thread a
/// query of the deepest kind is evaluated on, it has room.
const STACK_LEFT_BYTES: usize = 128 << 10;
const STACK_BYTES: usize = 1 << 20;

/// The value of an expression at each step; one that other queries have too is taken from them.
fn eval(ctx: &Context, expr: &Expr) -> Result<Value, EvalError> {
    ctx.guard.tick()?;
    stacker::maybe_grow(STACK_LEFT_BYTES, STACK_BYTES, || match ctx.common(expr) {
        Some((shared, number)) => eval_common(ctx, expr, shared, number),
        None => compute(ctx, expr),
    })
}

fn compute(ctx: &Context, expr: &Expr) -> Result<Value, EvalError> {
    match expr {
        Expr::Number(number) => Ok(Value::Scalar(vec![number.value; ctx.steps.count])),
        Expr::String(_) => Ok(Value::Text),
        Expr::Vector(node) => selector::eval(ctx, node, selector::Wanted::Value).map(Value::Vector),
        Expr::Matrix(_) | Expr::Subquery(_) => {
            Err(EvalError::Type { reason: format!("the range `{expr}` has no value at one time") })
        }
        Expr::Paren(paren) => eval(ctx, &paren.expr),
        Expr::Unary(node) => eval_unary(ctx, node),
        Expr::Binary(node) => binary::eval(ctx, node),
        Expr::Aggregate(node) => aggregate::eval(ctx, node).map(Value::Vector),
        Expr::Call(node) => functions::eval(ctx, node),
        Expr::ShortAggregate(node) => short::aggregate(ctx, node).map(Value::Vector),
        Expr::ShortRate(node) => short::rate(ctx, node).map(Value::Vector),
        Expr::ShortQuantile(node) => short::quantile(ctx, node).map(Value::Vector),
    }
}

/// The value of a part that other queries have too.
fn eval_common(ctx: &Context, expr: &Expr, shared: &SharedColumns, number: usize) -> Result<Value, EvalError> {
    if let Some(Columns(columns)) = shared.get(number) {
        ctx.guard.reserve(columns.len() * Column::bytes(ctx.steps.count))?;
        return Ok(Value::Vector(columns));
    }
    match compute(ctx, expr)? {
        // What stands for a histogram means something in its own query only.
        Value::Vector(columns) if !ctx.has_histograms() => {
            let columns = Columns(columns);
            shared.keep(number, &columns);
            Ok(Value::Vector(columns.0))
        }
        value => Ok(value),
    }
}

/// The columns of an expression that the parser proved to be an instant vector.
fn eval_vector(ctx: &Context, expr: &Expr) -> Result<Vec<Column>, EvalError> {
    match eval(ctx, expr)? {
        Value::Vector(columns) => Ok(columns),
        Value::Scalar(values) => Ok(vec![ctx.keep(LabelSet::empty(), values)?]),
        Value::Text => Err(EvalError::Type { reason: format!("expected an instant vector, got `{expr}`") }),
    }
}

/// The values of an expression that the parser proved to be a scalar.
fn eval_scalar(ctx: &Context, expr: &Expr) -> Result<Vec<f64>, EvalError> {
    match eval(ctx, expr)? {
        Value::Scalar(values) => Ok(values),
        Value::Vector(_) | Value::Text => Err(EvalError::Type { reason: format!("expected a scalar, got `{expr}`") }),
    }
}

/// The text of an expression that the parser proved to be one.
fn eval_text(expr: &Expr) -> Result<&str, EvalError> {
    match expr.without_parens() {
        Expr::String(text) => Ok(&text.value),
        other => Err(EvalError::Type { reason: format!("expected a string, got `{other}`") }),
    }
}

/// The same of a text that names a label; `None` if nothing can be called so.
fn eval_label(expr: &Expr) -> Result<Option<&str>, EvalError> {
    let name = eval_text(expr)?;
    let is_text = matches!(expr.without_parens(), Expr::String(text) if text.bytes.is_none());
    Ok((is_text && !name.is_empty()).then_some(name))
}

fn eval_unary(ctx: &Context, node: &Unary) -> Result<Value, EvalError> {
    let value = eval(ctx, &node.expr)?;
    if !node.negative {
        return Ok(value);
    }
    match value {
        Value::Scalar(values) => Ok(Value::Scalar(values.into_iter().map(|value| -value).collect())),
        Value::Vector(mut columns) => {
            for column in &mut columns {
                column.labels = column::without_name(&column.labels);
                for value in column.values.iter_mut().filter(|value| !is_absent(**value)) {
                    *value = match ctx.histogram(*value) {
                        Some(histogram) => {
                            let mut negative = (*histogram).clone();
                            negative.multiply(-1.0);
                            ctx.shelve(negative)?
                        }
                        None => -*value,
                    };
                }
            }
            column::join_same_labels(columns).map(Value::Vector)
        }
        Value::Text => Err(EvalError::Type { reason: "a sign stands before a text".to_owned() }),
    }
}
