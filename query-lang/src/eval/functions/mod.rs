//! Calls: a file per family of functions.

mod absence;
mod convert;
mod date;
mod edges;
mod histogram;
mod info;
mod label;
mod math;
mod natural;
mod over_time;
pub(crate) mod rate;
mod regression;
mod runs;
mod smoothing;
mod sort;
mod swift;
pub(super) mod window;

pub(super) use histogram::counts_or_buckets;
pub(super) use info::infos;

use super::column::Value;
use super::context::Context;
use super::limits::EvalError;
use crate::ast::{Call, Expr};
use crate::functions::Family;

pub(crate) fn eval(ctx: &Context, call: &Call) -> Result<Value, EvalError> {
    match call.function.family {
        Family::Math(function) => math::eval(ctx, function, call).map(Value::Vector),
        Family::Window(function) => window::eval(ctx, function, call).map(Value::Vector),
        Family::Absence(function) => absence::eval(ctx, function, call).map(Value::Vector),
        Family::Label(function) => label::eval(ctx, function, call).map(Value::Vector),
        Family::Sort(function) => sort::eval(ctx, function, call).map(Value::Vector),
        Family::Convert(function) => convert::eval(ctx, function, call),
        Family::Date(function) => date::eval(ctx, function, call).map(Value::Vector),
        Family::Histogram(function) => histogram::eval(ctx, function, call).map(Value::Vector),
        Family::Info => info::eval(ctx, call).map(Value::Vector),
    }
}

/// An argument whose presence the parser has checked.
fn arg(call: &Call, at: usize) -> Result<&Expr, EvalError> {
    call.args.get(at).ok_or_else(|| EvalError::Type { reason: format!("`{}` lacks an argument", call.function.name) })
}
