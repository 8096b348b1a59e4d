//! `limitk` and `limit_ratio`: some series of each group, whichever their values are.

use watchfire_model::LabelSet;
use xxhash_rust::xxh64::Xxh64;

use super::column::{ABSENT, Column, is_absent};
use super::context::Context;
use super::groups::Groups;
use super::limits::EvalError;
use super::notes::general;
use crate::ast::{Aggregate, AggregateOp, Span};

/// Whether any series are asked for; an error for a number of series that is no whole number of 64 bits.
pub(super) fn wants_any(op: AggregateOp, counts: &[f64]) -> Result<bool, EvalError> {
    let is_number = counts.iter().all(|count| !count.is_nan());
    // Where there are to be none at all, how far below it is does not matter.
    if is_number && counts.iter().all(|count| *count < 1.0) {
        return Ok(false);
    }
    match counts.iter().find(|count| count.is_nan() || count.abs() >= 9_223_372_036_854_775_808.0) {
        Some(count) => {
            let reason = format!("the parameter of `{}` is no whole number: {count}", op.as_str());
            Err(EvalError::Parameter { reason })
        }
        None => Ok(true),
    }
}

/// The first k of each group that have a value, in the order of the columns.
pub(super) fn first(
    ctx: &Context,
    node: &Aggregate,
    counts: &[f64],
    mut columns: Vec<Column>,
) -> Result<Vec<Column>, EvalError> {
    if !wants_any(node.op, counts)? {
        ctx.used_up(columns);
        return Ok(Vec::new());
    }
    let groups = Groups::new(ctx, &node.grouping, &columns)?;
    for members in groups.members() {
        for (step, count) in counts.iter().enumerate() {
            ctx.guard.tick()?;
            // Below 1 there are none; more than there are is all.
            let mut left = if *count < 1.0 { 0 } else { *count as usize };
            for at in &members {
                let value = &mut columns[*at].values[step];
                match left {
                    0 => *value = ABSENT,
                    _ if is_absent(*value) => {}
                    _ => left -= 1,
                }
            }
        }
    }
    columns.retain(Column::has_values);
    Ok(columns)
}

/// Those whose labels fall by chance, always the same, into the first share of all; into the last if it is negative.
pub(super) fn share(
    ctx: &Context,
    shares: &[f64],
    about: Span,
    mut columns: Vec<Column>,
) -> Result<Vec<Column>, EvalError> {
    if shares.iter().any(|share| share.is_nan()) {
        return Err(EvalError::Parameter { reason: "the ratio of `limit_ratio` is no number".to_owned() });
    }
    let largest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = shares.iter().copied().fold(f64::INFINITY, f64::min);
    for (outside, bound) in
        [(largest > 1.0).then_some((largest, 1)), (smallest < -1.0).then_some((smallest, -1))].into_iter().flatten()
    {
        let got = general(outside);
        ctx.guard.warn(format!("ratio value should be between -1 and 1, got {got}, capping to {bound}"), about);
    }
    for column in &mut columns {
        ctx.guard.tick()?;
        let place = place(&column.labels);
        for (value, share) in column.values.iter_mut().zip(shares) {
            let share = share.clamp(-1.0, 1.0);
            let is_inside = if share >= 0.0 { place < share } else { place >= 1.0 + share };
            if !is_inside {
                *value = ABSENT;
            }
        }
    }
    columns.retain(Column::has_values);
    Ok(columns)
}

/// Where labels fall between 0 and 1: the hash that Prometheus takes of them, so that both choose the same series.
fn place(labels: &LabelSet) -> f64 {
    let mut hash = Xxh64::new(0);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < 255 => hash.update(&[length]),
            // Longer texts have three bytes of length.
            _ => {
                let [first, second, third, ..] = text.len().to_le_bytes();
                hash.update(&[255, first, second, third]);
            }
        }
        hash.update(text.as_bytes());
    }
    hash.digest() as f64 / u64::MAX as f64
}
