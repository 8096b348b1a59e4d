//! Functions that make a number of each number.

use super::arg;
use crate::ast::Call;
use crate::eval::column::{ABSENT, Column, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::functions::MathFunction;

pub(super) fn eval(ctx: &Context, function: MathFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
    let mut parameters = Vec::new();
    for parameter in call.args.iter().skip(1) {
        parameters.push(crate::eval::eval_scalar(ctx, parameter)?);
    }
    ctx.drop_histograms(&mut columns);
    let parameter = |at: usize, step: usize, default: f64| parameters.get(at).map_or(default, |values| values[step]);
    for column in &mut columns {
        ctx.guard.tick()?;
        column.labels = without_name(&column.labels);
        for (step, value) in column.values.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = apply(function, *value, parameter(0, step, 1.0), parameter(1, step, 0.0));
            }
        }
    }
    columns.retain(Column::has_values);
    join_same_labels(columns)
}

fn apply(function: MathFunction, value: f64, first: f64, second: f64) -> f64 {
    match function {
        MathFunction::Abs => value.abs(),
        MathFunction::Ceil => value.ceil(),
        MathFunction::Floor => value.floor(),
        MathFunction::Sqrt => value.sqrt(),
        MathFunction::Ln => value.ln(),
        MathFunction::Log2 => value.log2(),
        MathFunction::Log10 => value.log10(),
        MathFunction::Exp => value.exp(),
        MathFunction::Sgn if value < 0.0 => -1.0,
        MathFunction::Sgn if value > 0.0 => 1.0,
        // Zero and NaN are their own sign.
        MathFunction::Sgn => value,
        MathFunction::Sin => value.sin(),
        MathFunction::Cos => value.cos(),
        MathFunction::Tan => value.tan(),
        MathFunction::Asin => value.asin(),
        MathFunction::Acos => value.acos(),
        MathFunction::Atan => value.atan(),
        MathFunction::Sinh => value.sinh(),
        MathFunction::Cosh => value.cosh(),
        MathFunction::Tanh => value.tanh(),
        MathFunction::Asinh => asinh(value),
        MathFunction::Acosh => acosh(value),
        MathFunction::Atanh => value.atanh(),
        MathFunction::Deg => value * 180.0 / std::f64::consts::PI,
        MathFunction::Rad => value * std::f64::consts::PI / 180.0,
        MathFunction::Round => {
            // The inverse is exact more often than the number itself, 0.1 for one.
            let inverse = 1.0 / first;
            (value * inverse + 0.5).floor() / inverse
        }
        MathFunction::Clamp if second < first => ABSENT,
        MathFunction::Clamp => larger(first, smaller(second, value)),
        MathFunction::ClampMin => larger(first, value),
        MathFunction::ClampMax => smaller(first, value),
    }
}

/// From here on `x + 1` is `x`, and `2 * x` may be infinite.
const LARGE: f64 = (1u64 << 53) as f64;

/// The inverse of `sinh`, also where twice the value is no number any more.
fn asinh(value: f64) -> f64 {
    let size = value.abs();
    if size > LARGE && size.is_finite() {
        return (size.ln() + std::f64::consts::LN_2).copysign(value);
    }
    value.asinh()
}

/// The inverse of `cosh`, also where twice the value is no number any more.
fn acosh(value: f64) -> f64 {
    if value > LARGE && value.is_finite() { value.ln() + std::f64::consts::LN_2 } else { value.acosh() }
}

/// The larger number; NaN if either is, unless the other is the largest there is, as in Go.
pub(super) fn larger(left: f64, right: f64) -> f64 {
    if left == f64::INFINITY || right == f64::INFINITY {
        return f64::INFINITY;
    }
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

/// The smaller number; NaN if either is, unless the other is the smallest there is, as in Go.
pub(super) fn smaller(left: f64, right: f64) -> f64 {
    if left == f64::NEG_INFINITY || right == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}
