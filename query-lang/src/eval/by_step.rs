//! How many samples a query looks at as Prometheus counts them for `stats`: at each step as many as an evaluation of that
//! time alone would look at.
//!
//! Evaluations read a series once for all steps, and take short cuts that never see single windows. So this is counted
//! apart from them, for who asks, and costs about as much again. A histogram counts as so many floats as it would take the
//! room of in Prometheus' memory.

use watchfire_engine::Engine;
use watchfire_model::{Histogram, Timestamp};

use super::answer::{Asked, MatrixSeries, Outcome};
use super::column::is_absent;
use super::context::{Context, Detail, Steps};
use super::functions::{counts_or_buckets, infos};
use super::limits::{EvalError, Guard};
use super::selector::{self, Wanted};
use super::stream::Next;
use super::window::{Counted, Ranges};
use super::{STACK_BYTES, STACK_LEFT_BYTES};
use crate::ast::{Call, Edges, Expr, VectorSelector};
use crate::functions::{ConvertFunction, Family};
use crate::{Language, Query};

/// Samples that a query looked at, by step.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplesByStep {
    /// The first step.
    pub start: Timestamp,
    /// Distance between steps, milliseconds.
    pub step_ms: i64,
    /// Samples looked at: all of each window.
    pub queryable: Vec<u64>,
    /// Of them those that no window before had.
    pub read: Vec<u64>,
}

impl SamplesByStep {
    fn none_of(steps: Steps) -> SamplesByStep {
        SamplesByStep {
            start: Timestamp::from_millis(steps.start),
            step_ms: steps.step,
            queryable: vec![0; steps.count],
            read: vec![0; steps.count],
        }
    }

    /// Counts samples that nothing else looks at.
    fn add(&mut self, step: usize, samples: u64) {
        self.queryable[step] += samples;
        self.read[step] += samples;
    }

    /// Counts what a subquery of these counts read, each of its steps at the first step whose window has it. `width_ms` is
    /// that of the windows, and `offset_ms` how far they are moved back.
    fn add_read_of(&mut self, inner: &SamplesByStep, offset_ms: i64, width_ms: i64) {
        let last = self.read.len().saturating_sub(1);
        for (number, samples) in inner.read.iter().enumerate() {
            let at = inner.start.millis() + inner.step_ms * number as i64 + offset_ms;
            let since = at - self.start.millis();
            let step = if since <= 0 { 0 } else { (since + self.step_ms - 1) / self.step_ms };
            let step = usize::try_from(step).unwrap_or(last).min(last);
            // With one window all of it was evaluated for that.
            let is_between = last > 0 && since <= self.step_ms * step as i64 - width_ms;
            if let Some(read) = self.read.get_mut(step).filter(|_| !is_between) {
                *read += samples;
            }
        }
    }
}

/// Counts what an evaluation that gave this looked at; `None` for the short form, which Prometheus does not have, and where the
/// query has no time or memory left for that.
pub(super) fn count(
    query: &Query,
    engine: &Engine,
    asked: Asked,
    guard: &Guard,
    outcome: &Outcome,
) -> Result<Option<SamplesByStep>, EvalError> {
    if query.language() == Language::Short {
        return Ok(None);
    }
    match by_step(query, engine, asked, guard, outcome) {
        Err(EvalError::Timeout { .. } | EvalError::Memory { .. } | EvalError::Busy { .. }) => Ok(None),
        counted => counted.map(Some),
    }
}

fn by_step(
    query: &Query,
    engine: &Engine,
    asked: Asked,
    guard: &Guard,
    outcome: &Outcome,
) -> Result<SamplesByStep, EvalError> {
    // Nothing else of the evaluation is left, and the limit of samples holds for this as it did for that.
    guard.keep_only(outcome.bytes())?;
    guard.read_again_since(0);
    let ctx = match asked {
        Asked::Instant(at) => super::at_once(engine, guard, at),
        Asked::Range(range) => super::over_range(engine, guard, range)?,
    };
    let query = &*query.at_times(ctx.times())?;
    let mut tally = SamplesByStep::none_of(ctx.steps);
    match (query.root().without_parens(), outcome) {
        (Expr::Matrix(_), Outcome::Matrix(series)) => tally.add(0, series.iter().map(samples_in).sum()),
        (Expr::Subquery(node), _) => {
            let ranges = Ranges::of(&ctx, query.root())?;
            let inner = of_inner(&ctx, &ranges, &node.expr)?;
            ranges.used_up(&ctx);
            tally.add(0, inner.queryable.iter().sum());
            tally.read[0] = inner.read.iter().sum();
        }
        (root, _) => of_part(&ctx, root, &mut tally)?,
    }
    Ok(tally)
}

/// The samples of a matrix.
fn samples_in(series: &MatrixSeries) -> u64 {
    let histograms: u64 = series.histograms.iter().map(|(_, histogram)| size_of_histogram(histogram)).sum();
    series.values.len() as u64 + histograms
}

/// Counts an expression. What `@` makes the same at each step is read once.
fn of_part(ctx: &Context, expr: &Expr, tally: &mut SamplesByStep) -> Result<(), EvalError> {
    ctx.guard.tick()?;
    stacker::maybe_grow(STACK_LEFT_BYTES, STACK_BYTES, || {
        // A range knows by itself that it is the same at each step.
        let is_range = matches!(expr, Expr::Matrix(_) | Expr::Subquery(_));
        if ctx.steps.count < 2 || is_range || !expr.is_step_invariant() {
            return of_parts(ctx, expr, tally);
        }
        let once = Context { steps: Steps { count: 1, ..ctx.steps }, ..*ctx };
        let mut of_once = SamplesByStep::none_of(once.steps);
        of_parts(&once, expr, &mut of_once)?;
        tally.queryable.iter_mut().for_each(|samples| *samples += of_once.queryable[0]);
        tally.read[0] += of_once.read[0];
        Ok(())
    })
}

fn of_parts(ctx: &Context, expr: &Expr, tally: &mut SamplesByStep) -> Result<(), EvalError> {
    match expr {
        Expr::Number(_) | Expr::String(_) => Ok(()),
        // Short forms are no parts of PromQL.
        Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => Ok(()),
        Expr::Vector(node) => of_selector(ctx, node, Wanted::Value, tally),
        Expr::Matrix(_) | Expr::Subquery(_) => of_range(ctx, expr, tally),
        Expr::Paren(node) => of_part(ctx, &node.expr, tally),
        Expr::Unary(node) => of_part(ctx, &node.expr, tally),
        Expr::Binary(node) => {
            let below = if node.op.is_trim() { ctx.of_buckets() } else { *ctx };
            of_part(&below, &node.left, tally)?;
            of_part(&below, &node.right, tally)
        }
        Expr::Aggregate(node) => {
            if let Some(parameter) = &node.parameter {
                of_part(ctx, parameter, tally)?;
            }
            of_part(ctx, &node.expr, tally)
        }
        Expr::Call(node) => of_call(ctx, node, tally),
    }
}

fn of_call(ctx: &Context, call: &Call, tally: &mut SamplesByStep) -> Result<(), EvalError> {
    let of_args = |ctx: &Context, tally: &mut SamplesByStep| {
        call.args.iter().try_for_each(|arg| of_part(ctx, arg.without_parens(), tally))
    };
    let first = call.args.first().map(Expr::without_parens);
    match (call.function.family, first) {
        (Family::Convert(ConvertFunction::Timestamp | ConvertFunction::StartTimestamp), Some(Expr::Vector(node))) => {
            of_selector(ctx, node, Wanted::Time, tally)
        }
        (Family::Info, Some(told)) => {
            of_part(ctx, told, tally)?;
            for column in infos(ctx, call)? {
                of_values(ctx, &column.values, tally);
            }
            Ok(())
        }
        (Family::Histogram(function), _) => of_args(&counts_or_buckets(ctx, function, call), tally),
        _ => of_args(ctx, tally),
    }
}

fn of_selector(
    ctx: &Context,
    selector: &VectorSelector,
    wanted: Wanted,
    tally: &mut SamplesByStep,
) -> Result<(), EvalError> {
    if selector.edges == Edges::Smoothed && wanted == Wanted::Value {
        // Prometheus does not count these.
        return Ok(());
    }
    let shelved = ctx.shelved();
    selector::each(ctx, selector, wanted, &mut |made| {
        of_values(ctx, made.values, tally);
        Ok(Next::Go)
    })?;
    ctx.forget_since(shelved, std::iter::empty());
    Ok(())
}

fn of_values(ctx: &Context, values: &[f64], tally: &mut SamplesByStep) {
    for (step, value) in values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
        tally.add(step, size(ctx, *value));
    }
}

/// Counts the windows of a function's range.
fn of_range(ctx: &Context, range: &Expr, tally: &mut SamplesByStep) -> Result<(), EvalError> {
    let ranges = Ranges::of(ctx, range)?;
    let is_subquery = if let Expr::Subquery(node) = range {
        let inner = of_inner(ctx, &ranges, &node.expr)?;
        tally.add_read_of(&inner, node.shift.offset_ms, node.range_ms);
        true
    } else {
        false
    };
    let windows = *ranges.windows();
    let mut samples = Vec::new();
    // How many there are before each sample, and of all.
    let mut before = Vec::new();
    for number in ranges.in_turn(0..ranges.count()) {
        let series = ranges.read(ctx, number, Counted::Totals, &mut samples)?;
        before.clear();
        before.push(0);
        before.extend(series.samples.iter().scan(0, |many, sample| {
            *many += size(ctx, sample.value);
            Some(*many)
        }));
        let up_to = |at: i64| before[series.samples.partition_point(|sample| sample.timestamp.millis() <= at)];
        for step in 0..ctx.steps.count {
            ctx.guard.tick()?;
            let (start, end) = windows.reach(step);
            tally.queryable[step] += up_to(end) - up_to(start);
            let known = if step == 0 { start } else { start.max(end.saturating_sub(ctx.steps.step)) };
            if !is_subquery && step < windows.distinct() {
                tally.read[step] += up_to(end) - up_to(known);
            }
        }
        ctx.forget_since(series.shelved, std::iter::empty());
    }
    ranges.used_up(ctx);
    Ok(())
}

/// Counts the expression of a subquery, at the subquery's own steps.
fn of_inner(ctx: &Context, ranges: &Ranges, expr: &Expr) -> Result<SamplesByStep, EvalError> {
    let inner = ctx.at_steps(ranges.inner_steps().unwrap_or(ctx.steps))?;
    let mut tally = SamplesByStep::none_of(inner.steps);
    // All of it was read for the range already.
    let read = ctx.guard.samples_read();
    ctx.guard.read_again_since(0);
    of_part(&inner, expr, &mut tally)?;
    ctx.guard.read_again_since(read);
    Ok(tally)
}

/// As how many floats a value counts.
fn size(ctx: &Context, value: f64) -> u64 {
    match ctx.histogram(value) {
        None => 1,
        // Buckets that nobody asks for are not decoded there.
        Some(_) if ctx.detail == Detail::Counts => HISTOGRAM_BYTES.div_euclid(FLOAT_BYTES),
        Some(histogram) => size_of_histogram(&histogram),
    }
}

/// What a histogram without buckets takes in Prometheus, with its time, and what a float with its time does.
const HISTOGRAM_BYTES: u64 = 168 + 8;
const FLOAT_BYTES: u64 = 16;

/// As how many floats a histogram with its buckets counts: bounds, counts and spans of counts take eight bytes each.
fn size_of_histogram(histogram: &Histogram) -> u64 {
    let sides = [histogram.positive(), histogram.negative()];
    let spans = sides.map(|buckets| buckets.chunk_by(|left, right| left.0 + 1 == right.0).count());
    let parts =
        spans.into_iter().sum::<usize>() + sides.map(Vec::len).into_iter().sum::<usize>() + histogram.bounds().len();
    (HISTOGRAM_BYTES + 8 * parts as u64).div_euclid(FLOAT_BYTES)
}
