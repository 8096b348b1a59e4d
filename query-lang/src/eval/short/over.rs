//! `sum|avg|min|max|count M over W`: over everything in the window of every series.

use watchfire_engine::{SeriesKind, SeriesView};
use watchfire_model::{Sample, Sum};

use super::{Pool, distribution, window};
use crate::ast::ShortOp;
use crate::eval::column::{ABSENT, Column, is_absent};
use crate::eval::context::Context;
use crate::eval::cores;
use crate::eval::counted::{Counted, seconds_in};
use crate::eval::limits::EvalError;
use crate::eval::source;
use crate::eval::window::Slices;

/// Numbers that make a tally.
const TALLY_NUMBERS: usize = 5;

/// What has been pooled of one window.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Whether any series spoke, be it of nothing.
    pub seen: bool,
    pub count: f64,
    pub sum: Sum,
    pub extreme: Option<f64>,
}

impl Tally {
    /// Adds one number.
    pub fn add(&mut self, op: ShortOp, value: f64) {
        self.seen = true;
        self.count += 1.0;
        self.sum.add(value);
        self.add_extreme(op, value);
    }

    /// Lets a number compete for the smallest or largest; anything beats NaN.
    pub fn add_extreme(&mut self, op: ShortOp, value: f64) {
        let beats = |have: f64| match op {
            ShortOp::Min => value < have || have.is_nan(),
            _ => value > have || have.is_nan(),
        };
        if self.extreme.is_none_or(beats) {
            self.extreme = Some(value);
        }
    }

    /// As numbers, which other cores can hand over.
    fn to_numbers(self) -> [f64; TALLY_NUMBERS] {
        let Tally { seen, count, sum, extreme } = self;
        [f64::from(u8::from(seen)), count, sum.sum, sum.rest, extreme.unwrap_or(ABSENT)]
    }

    /// Adds what was pooled elsewhere.
    fn join(&mut self, op: ShortOp, [seen, count, sum, rest, extreme]: [f64; TALLY_NUMBERS]) {
        if seen == 0.0 {
            return;
        }
        self.seen = true;
        self.count += count;
        self.sum.add(sum);
        self.sum.add(rest);
        if !is_absent(extreme) {
            self.add_extreme(op, extreme);
        }
    }

    /// The answer; of nothing, sum and count are 0 and the others have none.
    pub fn result(&self, op: ShortOp) -> f64 {
        if !self.seen {
            return ABSENT;
        }
        match op {
            ShortOp::Sum => self.sum.total(),
            ShortOp::Count => self.count,
            ShortOp::Avg if self.count == 0.0 => ABSENT,
            ShortOp::Avg => self.sum.total() / self.count,
            ShortOp::Min | ShortOp::Max => self.extreme.unwrap_or(ABSENT),
        }
    }
}

pub(super) fn eval(ctx: &Context, op: ShortOp, pools: Vec<Pool>, window_ms: i64) -> Result<Vec<Column>, EvalError> {
    let mut out = Vec::new();
    for pool in pools {
        let tallies = tally(ctx, op, &pool, window_ms)?;
        let values = tallies.iter().map(|tally| tally.result(op)).collect();
        let column = ctx.keep(pool.labels, values)?;
        if column.has_values() {
            out.push(column);
        }
    }
    Ok(out)
}

/// A tally for each step.
fn tally(ctx: &Context, op: ShortOp, pool: &Pool, window_ms: i64) -> Result<Vec<Tally>, EvalError> {
    let mut tallies = vec![Tally::default(); ctx.steps.count];
    let of_view = |ctx: &Context, samples: &mut Vec<Sample>, view: usize, numbers: &mut Vec<f64>| {
        let mut tallies = vec![Tally::default(); ctx.steps.count];
        of_series(ctx, op, &pool.views[view], window_ms, samples, &mut tallies)?;
        numbers.extend(tallies.into_iter().flat_map(Tally::to_numbers));
        Ok(())
    };
    cores::each_in_order(ctx, pool.views.len(), ctx.steps.count * TALLY_NUMBERS, of_view, |_, numbers| {
        let of_steps = tallies.iter_mut().zip(numbers.as_chunks().0);
        of_steps.for_each(|(tally, numbers)| tally.join(op, *numbers));
    })?;
    Ok(tallies)
}

/// Adds what a series has in the window of each step.
fn of_series(
    ctx: &Context,
    op: ShortOp,
    view: &SeriesView,
    window_ms: i64,
    samples: &mut Vec<Sample>,
    tallies: &mut [Tally],
) -> Result<(), EvalError> {
    let start = window(ctx, 0, window_ms).0;
    match view.kind() {
        SeriesKind::Samples(_) => {
            source::floats(ctx, view, start, ctx.steps.last(), samples)?;
            let mut slices = Slices::new(samples);
            for (step, tally) in tallies.iter_mut().enumerate() {
                ctx.guard.tick()?;
                let (start, end) = window(ctx, step, window_ms);
                slices.advance(start, end).iter().for_each(|sample| tally.add(op, sample.value));
            }
        }
        SeriesKind::Increments => {
            let mut counted = Counted::new(ctx, view, ctx.steps.count, start, ctx.steps.last())?;
            for (step, tally) in tallies.iter_mut().enumerate() {
                let (start, end) = window(ctx, step, window_ms);
                let Some(events) = counted.increase(ctx, start, end)? else { continue };
                tally.seen = true;
                tally.sum.add(events);
                tally.count += seconds_in(window_ms) as f64;
                if matches!(op, ShortOp::Min | ShortOp::Max) {
                    let seconds = counted.seconds(ctx, start, end)?;
                    seconds.iter().for_each(|(_, events)| tally.add_extreme(op, *events));
                    // A second without events counts as 0.
                    if seconds.len() < seconds_in(window_ms) {
                        tally.add_extreme(op, 0.0);
                    }
                }
            }
        }
        SeriesKind::Distribution => {
            for (step, tally) in tallies.iter_mut().enumerate() {
                let (start, end) = window(ctx, step, window_ms);
                distribution::tally(ctx, op, view, start, end, tally)?;
            }
        }
    }
    Ok(())
}
