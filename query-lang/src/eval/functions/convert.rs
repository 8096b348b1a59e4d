//! Between scalars and vectors, and the functions that give times.

use watchfire_model::LabelSet;

use super::arg;
use super::math::{larger, smaller};
use crate::ast::{Call, Expr};
use crate::eval::column::{Column, Value, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::selector::{self, Wanted};
use crate::functions::ConvertFunction;

pub(super) fn eval(ctx: &Context, function: ConvertFunction, call: &Call) -> Result<Value, EvalError> {
    match function {
        ConvertFunction::Time => Ok(Value::Scalar(ctx.steps.times().map(|at| at as f64 / 1000.0).collect())),
        ConvertFunction::Pi => Ok(Value::Scalar(vec![std::f64::consts::PI; ctx.steps.count])),
        ConvertFunction::Start => constant(ctx, ctx.query_start as f64 / 1000.0),
        ConvertFunction::End => constant(ctx, ctx.query_end as f64 / 1000.0),
        ConvertFunction::Step => constant(ctx, ctx.query_step as f64 / 1000.0),
        ConvertFunction::Range => constant(ctx, (ctx.query_end - ctx.query_start) as f64 / 1000.0),
        ConvertFunction::MaxOf => of_two(ctx, call, larger),
        ConvertFunction::MinOf => of_two(ctx, call, smaller),
        ConvertFunction::Vector => {
            let values = crate::eval::eval_scalar(ctx, arg(call, 0)?)?;
            Ok(Value::Vector(vec![ctx.keep(LabelSet::empty(), values)?]))
        }
        ConvertFunction::Scalar => scalar(ctx, arg(call, 0)?).map(Value::Scalar),
        ConvertFunction::Timestamp => timestamp(ctx, arg(call, 0)?).map(Value::Vector),
        // Start timestamps are not kept; a Prometheus that does not keep them gives nothing either.
        ConvertFunction::StartTimestamp => {
            let columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
            ctx.used_up(columns);
            Ok(Value::Vector(Vec::new()))
        }
    }
}

/// The same at every step.
fn constant(ctx: &Context, value: f64) -> Result<Value, EvalError> {
    Ok(Value::Scalar(vec![value; ctx.steps.count]))
}

/// A number from two.
fn of_two(ctx: &Context, call: &Call, choose: fn(f64, f64) -> f64) -> Result<Value, EvalError> {
    let mut values = crate::eval::eval_scalar(ctx, arg(call, 0)?)?;
    let others = crate::eval::eval_scalar(ctx, arg(call, 1)?)?;
    values.iter_mut().zip(others).for_each(|(value, other)| *value = choose(*value, other));
    Ok(Value::Scalar(values))
}

/// The value of the only series; NaN if there is none or more than one.
fn scalar(ctx: &Context, arg: &Expr) -> Result<Vec<f64>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg)?;
    ctx.drop_histograms(&mut columns);
    let mut values = Vec::with_capacity(ctx.steps.count);
    for step in 0..ctx.steps.count {
        let mut present = columns.iter().map(|column| column.values[step]).filter(|value| !is_absent(*value));
        values.push(match (present.next(), present.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        });
    }
    ctx.used_up(columns);
    Ok(values)
}

/// The times of the samples that a selector sees, the evaluation time for every other expression; seconds.
fn timestamp(ctx: &Context, arg: &Expr) -> Result<Vec<Column>, EvalError> {
    let mut columns = if let Expr::Vector(node) = arg.without_parens() {
        selector::eval(ctx, node, Wanted::Time)?
    } else {
        let mut columns = crate::eval::eval_vector(ctx, arg)?;
        for column in &mut columns {
            for (step, value) in column.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
                *value = ctx.steps.at(step) as f64 / 1000.0;
            }
        }
        columns
    };
    for column in &mut columns {
        column.labels = without_name(&column.labels);
    }
    join_same_labels(columns)
}
