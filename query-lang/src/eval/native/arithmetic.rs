//! Binary operators of which at least one side is a histogram.

use watchfire_model::histogram::{Added, Incompatible, Kept};
use watchfire_model::{Histogram, ResetHint};

use super::is_histogram;
use super::notes::{Doing, Note, bounds_reconciled, incompatible_buckets, incompatible_types, resets_collide};
use crate::ast::{Binary, BinaryOp};
use crate::eval::column::ABSENT;
use crate::eval::context::Context;
use crate::eval::limits::EvalError;

/// What comes of a pair, and what is to be said of it.
struct Made {
    value: Outcome,
    note: Option<Note>,
}

enum Outcome {
    Histogram(Histogram),
    /// A comparison holds.
    Holds(bool),
    Nothing,
}

impl Made {
    fn histogram(histogram: Histogram) -> Made {
        Made { value: Outcome::Histogram(histogram), note: None }
    }

    fn nothing(note: Note) -> Made {
        Made { value: Outcome::Nothing, note: Some(note) }
    }
}

/// Whether a pair gives nothing because its sides do not go together: then it is as if they had not met.
pub(crate) fn do_not_meet(ctx: &Context, op: BinaryOp, left: f64, right: f64) -> bool {
    concerns(op, left, right) && matches!(made(ctx, op, left, right).value, Outcome::Nothing)
}

/// Whether a pair is one for this file.
pub(crate) fn concerns(op: BinaryOp, left: f64, right: f64) -> bool {
    is_histogram(left) || is_histogram(right) || op.is_trim()
}

/// The value of a pair; of a comparison that holds it is `kept`, or 1 with `bool`. A note replaces those of the pairs
/// before at the same step: Prometheus tells only the last.
pub(crate) fn outcome(
    ctx: &Context,
    node: &Binary,
    (left, right): (f64, f64),
    kept: f64,
    note: &mut Option<Note>,
) -> Result<f64, EvalError> {
    let op = node.op;
    let made = made(ctx, op, left, right);
    if made.note.is_some() {
        *note = made.note;
    }
    match made.value {
        Outcome::Histogram(mut histogram) => {
            if !op.is_trim() {
                histogram.compact();
            }
            ctx.shelve(histogram)
        }
        Outcome::Holds(holds) if node.returns_bool => Ok(f64::from(u8::from(holds))),
        Outcome::Holds(true) => Ok(kept),
        Outcome::Holds(false) | Outcome::Nothing => Ok(ABSENT),
    }
}

fn made(ctx: &Context, op: BinaryOp, left: f64, right: f64) -> Made {
    match (ctx.histogram(left), ctx.histogram(right)) {
        (Some(left), Some(right)) => of_two(op, &left, &right),
        (Some(histogram), None) => of_left(op, &histogram, right),
        (None, Some(histogram)) => of_right(op, left, &histogram),
        (None, None) => Made::nothing(incompatible_types("float", op.as_str(), "float")),
    }
}

fn of_left(op: BinaryOp, histogram: &Histogram, number: f64) -> Made {
    let mut made = histogram.clone();
    match op {
        BinaryOp::Multiply => made.multiply(number),
        BinaryOp::Divide => made.divide(number),
        BinaryOp::TrimUpper => made.trim(number, Kept::Below),
        BinaryOp::TrimLower => made.trim(number, Kept::Above),
        _ => return Made::nothing(incompatible_types("histogram", op.as_str(), "float")),
    }
    Made::histogram(made)
}

fn of_right(op: BinaryOp, number: f64, histogram: &Histogram) -> Made {
    if op != BinaryOp::Multiply {
        return Made::nothing(incompatible_types("float", op.as_str(), "histogram"));
    }
    let mut made = histogram.clone();
    made.multiply(number);
    Made::histogram(made)
}

fn of_two(op: BinaryOp, left: &Histogram, right: &Histogram) -> Made {
    match op {
        BinaryOp::Add => added(op, left, |sum| sum.add(right), Doing::Addition),
        BinaryOp::Subtract => {
            let subtract = |difference: &mut Histogram| {
                let added = difference.subtract(right);
                difference.set_hint(ResetHint::Gauge);
                added
            };
            added(op, left, subtract, Doing::Subtraction)
        }
        BinaryOp::Equal => Made { value: Outcome::Holds(left.equals(right)), note: None },
        BinaryOp::NotEqual => Made { value: Outcome::Holds(!left.equals(right)), note: None },
        _ => Made::nothing(incompatible_types("histogram", op.as_str(), "histogram")),
    }
}

fn added(
    op: BinaryOp,
    left: &Histogram,
    work: impl FnOnce(&mut Histogram) -> Result<Added, Incompatible>,
    doing: Doing,
) -> Made {
    let mut made = left.clone();
    match work(&mut made) {
        Err(Incompatible) => Made::nothing(incompatible_buckets(op.as_str())),
        // One that began anew and one that did not give no result.
        Ok(Added { resets_collide: true, .. }) => Made::nothing(resets_collide(doing)),
        Ok(Added { bounds_reconciled: reconciled, .. }) => {
            Made { value: Outcome::Histogram(made), note: reconciled.then(|| bounds_reconciled(doing)) }
        }
    }
}
