//! `sum|avg|min|max|count M`: over the series at the moment.

use watchfire_engine::SeriesKind;

use super::over::Tally;
use super::{Pool, distribution, window};
use crate::ast::{QUANTILE_WINDOW_MS, Shift, ShortOp};
use crate::eval::column::{Column, is_absent};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::selector::{self, Wanted};

/// Each series gives its newest value within the lookback delta, increments their running total, also
/// when quiet. A distribution has no value at a moment: its observations of the last 5 minutes are taken.
pub(super) fn eval(ctx: &Context, op: ShortOp, pools: Vec<Pool>) -> Result<Vec<Column>, EvalError> {
    let looks = ctx.looks(&Shift::default());
    let mut buffer = Vec::new();
    let mut out = Vec::new();
    for pool in pools {
        let mut tallies = vec![Tally::default(); ctx.steps.count];
        for view in &pool.views {
            if view.kind() == SeriesKind::Distribution {
                for (step, tally) in tallies.iter_mut().enumerate() {
                    let (start, end) = window(ctx, step, QUANTILE_WINDOW_MS);
                    distribution::tally(ctx, op, view, start, end, tally)?;
                }
                continue;
            }
            let values = selector::newest(ctx, view, &looks, Wanted::Value, &mut buffer)?;
            for (tally, value) in tallies.iter_mut().zip(values) {
                if !is_absent(value) {
                    tally.add(op, value);
                }
            }
        }
        let column = ctx.keep(pool.labels, tallies.iter().map(|tally| tally.result(op)).collect())?;
        if column.has_values() {
            out.push(column);
        }
    }
    Ok(out)
}
