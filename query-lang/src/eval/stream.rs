//! Columns of a selector, or of a function of a range, one after the other: who only counts or adds them up need not have
//! them all in memory, and no labels are made for them.

use watchfire_model::LabelSet;

use super::binary;
use super::column::Column;
use super::context::Context;
use super::limits::EvalError;
use super::selector::{self, Wanted};
use super::{column::without_name, functions};
use crate::ast::{Binary, Expr};
use crate::functions::Family;

/// Values that are copied faster than new room for as many is found.
const FEW: usize = 32;

/// A column that is there until the next one is made.
pub(crate) struct Made<'m> {
    /// Of the series that it was made of.
    pub labels: &'m LabelSet,
    /// Whether the metric's name, and what else describes the metric, is no part of the result's labels.
    pub loses_name: bool,
    pub values: &'m mut Vec<f64>,
    /// Each step has a value.
    pub is_full: bool,
}

impl Made<'_> {
    /// As one that stays.
    pub fn kept(self, ctx: &Context) -> Result<Column, EvalError> {
        let labels = if self.loses_name { without_name(self.labels) } else { self.labels.clone() };
        // Of a few values a copy costs less than room for those to come.
        let values = if self.values.len() < FEW { self.values.clone() } else { std::mem::take(self.values) };
        ctx.keep(labels, values)
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    /// What was made so far is not needed.
    Stop,
}

/// What takes columns.
pub(crate) type Take<'t> = dyn FnMut(Made<'_>) -> Result<Next, EvalError> + 't;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All columns came, and no two have the same labels.
    Whole,
    /// All columns came; some may have the same labels.
    MayRepeat,
    Stopped,
}

/// Calls back with each column that has a value; `None`, and nothing was done, for an expression of another kind.
pub(crate) fn each(ctx: &Context, expr: &Expr, take: &mut Take) -> Result<Option<Ended>, EvalError> {
    let expr = expr.without_parens();
    // What others compute too is computed once, and kept.
    if ctx.common(expr).is_some() {
        return Ok(None);
    }
    match expr {
        Expr::Vector(selector) => selector::each(ctx, selector, Wanted::Value, take).map(Some),
        Expr::Call(call) => match call.function.family {
            Family::Window(function) => functions::window::each(ctx, function, call, take).map(Some),
            _ => Ok(None),
        },
        Expr::Binary(node) if node.op.is_comparison() && !node.returns_bool => compared(ctx, node, take),
        _ => Ok(None),
    }
}

/// The columns of a comparison with a number, as [`each`] makes them: labels are made for those only that are left.
pub(crate) fn compared_columns(ctx: &Context, node: &Binary) -> Result<Option<Vec<Column>>, EvalError> {
    if !node.op.is_comparison() || node.returns_bool {
        return Ok(None);
    }
    let (shelved, read) = (ctx.shelved(), ctx.guard.samples_read());
    let mut out = Vec::new();
    let ended = compared(ctx, node, &mut |made| {
        out.push(made.kept(ctx)?);
        Ok(Next::Go)
    })?;
    match ended {
        Some(Ended::Whole) => Ok(Some(out)),
        Some(Ended::MayRepeat | Ended::Stopped) => {
            ctx.used_up(out);
            begin_again(ctx, shelved, read);
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Forgets what was read since there were so many histograms and samples, as it is read again.
pub(crate) fn begin_again(ctx: &Context, shelved: usize, read: u64) {
    ctx.forget_since(shelved, std::iter::empty());
    ctx.guard.read_again_since(read);
}

/// Columns that are compared with a number.
fn compared(ctx: &Context, node: &Binary, take: &mut Take) -> Result<Option<Ended>, EvalError> {
    let (Expr::Number(number), false) = (node.right.without_parens(), ctx.common(&node.right).is_some()) else {
        return Ok(None);
    };
    let shelved = ctx.shelved();
    each(ctx, &node.left, &mut |made| {
        // Histograms compare otherwise.
        if ctx.shelved() > shelved {
            return Ok(Next::Stop);
        }
        let left = binary::filter(node.op, made.values, number.value);
        if left == 0 {
            return Ok(Next::Go);
        }
        let is_full = left == made.values.len();
        take(Made { is_full, ..made })
    })
}
