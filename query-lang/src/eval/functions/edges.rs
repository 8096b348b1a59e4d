//! Functions of a range whose ends are `anchored` or `smoothed`: changes from one end to the other, nothing extrapolated.

use std::sync::Arc;

use watchfire_model::histogram::Incompatible;
use watchfire_model::{Histogram, ResetHint, Sample};

use super::rate::{self, Resets};
use super::window::Window;
use crate::ast::{Edges, Expr};
use crate::eval::context::Context;
use crate::eval::edges::{around, between_histograms, ends, is_gauge, strictly_inside};
use crate::eval::limits::EvalError;
use crate::eval::native;
use crate::eval::native::notes::{
    Doing, Note, bounds_reconciled, mixed_schemas, mixed_with_floats, no_counter, no_gauge,
};
use crate::eval::native::window::{About, Point};
use crate::functions::WindowFunction;

/// The ends of a range argument.
pub(super) fn edges_of(range: &Expr) -> Edges {
    match range.without_parens() {
        Expr::Matrix(matrix) => matrix.selector.edges,
        _ => Edges::Open,
    }
}

/// Refuses ranges whose ends mean nothing to a function.
pub(super) fn check(function: WindowFunction, range: &Expr, name: &str) -> Result<(), EvalError> {
    let edges = edges_of(range);
    let is_change = matches!(function, WindowFunction::Rate | WindowFunction::Increase | WindowFunction::Delta);
    let counts_pairs = matches!(function, WindowFunction::Changes | WindowFunction::Resets);
    match edges {
        Edges::Open => Ok(()),
        Edges::Anchored if is_change || counts_pairs => Ok(()),
        Edges::Smoothed if is_change => Ok(()),
        Edges::Anchored | Edges::Smoothed => Err(refused(edges, name)),
    }
}

/// The error of a function that knows nothing of such ends.
pub(super) fn refused(edges: Edges, name: &str) -> EvalError {
    let others =
        if edges == Edges::Anchored { "changes, delta, increase, rate, resets" } else { "delta, increase, rate" };
    let word = edges.word().unwrap_or_default();
    EvalError::Parameter { reason: format!("`{word}` goes with {others}, not with {name}; leave it out here") }
}

/// A window with what lies beyond its ends within the lookback delta.
pub(super) struct Reach<'w> {
    pub floats: &'w [Sample],
    pub histograms: &'w [Point],
    /// Left end, outside; milliseconds.
    pub start: i64,
    /// Right end, inside; milliseconds.
    pub end: i64,
    pub edges: Edges,
}

impl Reach<'_> {
    /// The value of a function that [`check`] lets through; windows of `resets` may not go back.
    pub fn value(
        &self,
        ctx: &Context,
        function: WindowFunction,
        resets: &mut Resets,
        about: &About,
    ) -> Result<Option<f64>, EvalError> {
        if matches!(function, WindowFunction::Changes | WindowFunction::Resets) {
            return self.pairs(ctx, function, resets, about);
        }
        let is_counter = function != WindowFunction::Delta;
        let seconds = if function == WindowFunction::Rate { (self.end - self.start) as f64 / 1000.0 } else { 1.0 };
        match (self.floats.is_empty(), self.histograms.is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(self.change(is_counter.then_some(resets)).map(|change| change / seconds)),
            (true, false) => {
                let mut notes = Vec::new();
                let change = self.change_of_histograms(is_counter, about.metric, &mut notes);
                if change.is_err() {
                    notes.push(mixed_schemas(about.metric));
                }
                notes.into_iter().for_each(|note| ctx.note(note, about.span));
                let Ok(Some(mut change)) = change else { return Ok(None) };
                if function == WindowFunction::Rate {
                    change.divide(seconds);
                }
                change.set_hint(ResetHint::Gauge);
                change.compact();
                ctx.shelve(change).map(Some)
            }
            (false, false) => {
                ctx.note(mixed_with_floats(about.metric), about.span);
                Ok(None)
            }
        }
    }

    fn is_smoothed(&self) -> bool {
        self.edges == Edges::Smoothed
    }

    /// `changes` and `resets` of the samples inside and of the newest before them.
    fn pairs(
        &self,
        ctx: &Context,
        function: WindowFunction,
        resets: &mut Resets,
        about: &About,
    ) -> Result<Option<f64>, EvalError> {
        let mut first_float = self.floats.partition_point(|sample| sample.timestamp.millis() <= self.start);
        let mut first_histogram = self.histograms.partition_point(|(at, _)| *at <= self.start);
        if first_float == self.floats.len() && first_histogram == self.histograms.len() {
            return Ok(None);
        }
        let before = |first: usize| first.checked_sub(1);
        let float_at = before(first_float).and_then(|at| self.floats.get(at)).map(|sample| sample.timestamp.millis());
        let histogram_at = before(first_histogram).and_then(|at| self.histograms.get(at)).map(|(at, _)| *at);
        match (float_at, histogram_at) {
            (None, None) => {}
            (float, histogram) if float >= histogram => first_float -= 1,
            _ => first_histogram -= 1,
        }
        let samples = self.floats.get(first_float..).unwrap_or_default();
        let histograms = self.histograms.get(first_histogram..).unwrap_or_default();
        let (start, end) = (self.start, self.end);
        let of_floats = Window { samples, start, end, now: end, parameter: f64::NAN, second: f64::NAN };
        if histograms.is_empty() {
            return Ok(rate::value(function, &of_floats, resets));
        }
        let window = native::window::Window { floats: samples, histograms, start, end };
        let given = native::window::value(ctx, function, &window, about)?;
        given.or_floats(|| Ok(rate::value(function, &of_floats, resets))).map(Some)
    }

    /// The change of numbers from end to end, of a counter if resets are given.
    fn change(&self, resets: Option<&mut Resets>) -> Option<f64> {
        let millis = |sample: &Sample| sample.timestamp.millis();
        let around = around(self.floats, millis, self.start, self.end, self.is_smoothed())?;
        if self.is_smoothed() && around.first().is_some_and(|first| millis(first) > self.end) {
            return None;
        }
        let (left, right) = ends(around, self.start, self.end, self.is_smoothed(), resets.is_some())?;
        let change = right - left;
        let Some(resets) = resets else { return Some(change) };
        // What stands at the ends knows of the resets beyond them.
        let before = |now: f64, before: f64| if now < before { before } else { 0.0 };
        let hidden = match strictly_inside(around, millis, self.start, self.end) {
            [] => before(right, left),
            [first, .., last] => {
                resets.corrected(before(first.value, left), millis(first), millis(last)) + before(right, last.value)
            }
            [only] => before(only.value, left) + before(right, only.value),
        };
        Some(change + hidden)
    }

    /// The same of histograms; `None` if nothing is inside.
    fn change_of_histograms(
        &self,
        is_counter: bool,
        metric: &str,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Histogram>, Incompatible> {
        let (start, end, is_smoothed) = (self.start, self.end, self.is_smoothed());
        let Some(around) = around(self.histograms, |(at, _)| *at, start, end, is_smoothed) else { return Ok(None) };
        let ([(first_at, first), ..], [.., (last_at, last)]) = (around, around) else { return Ok(None) };
        if is_smoothed && *first_at > end {
            return Ok(None);
        }
        for (_, histogram) in around {
            if histogram.is_custom() != first.is_custom() {
                return Err(Incompatible);
            }
            if is_counter && is_gauge(histogram) {
                notes.push(no_counter(metric));
            }
        }
        let left = match around {
            [(_, _), (second_at, second), ..] if is_smoothed && *first_at < start => {
                between_histograms((*first_at, first), (*second_at, second), start, is_counter, notes)?
            }
            _ => (**first).clone(),
        };
        let right = match around {
            [.., (before_at, before), (_, _)] if is_smoothed && *last_at > end => {
                between_histograms((*before_at, before), (*last_at, last), end, is_counter, notes)?
            }
            _ => (**last).clone(),
        };
        let are_gauges = is_gauge(&left) && is_gauge(&right);
        if !is_counter && !are_gauges {
            notes.push(no_gauge(metric));
        }
        let mut change = right.clone();
        if change.subtract(&left)?.bounds_reconciled {
            notes.push(bounds_reconciled(Doing::Subtraction));
        }
        if is_counter
            && let Some(hidden) = hidden_by_resets(around, &left, &right, is_smoothed.then_some(start), notes)?
            && change.add(&hidden)?.bounds_reconciled
        {
            notes.push(bounds_reconciled(Doing::Addition));
        }
        Ok(Some(change))
    }
}

/// What resets between the ends hid. A smoothed left end knows of a reset up to the sample behind it.
fn hidden_by_resets(
    around: &[Point],
    left: &Histogram,
    right: &Histogram,
    smoothed_start: Option<i64>,
    notes: &mut Vec<Note>,
) -> Result<Option<Histogram>, Incompatible> {
    let mut before = left;
    let mut rest: &[(i64, Arc<Histogram>)] = around.get(1..).unwrap_or_default();
    if let ([(first_at, first), (_, second), ..], Some(start)) = (around, smoothed_start)
        && *first_at < start
        && second.is_reset_after(first)
    {
        before = second;
        rest = around.get(2..).unwrap_or_default();
    }
    // The last one is what stands at the right end, or decides about it.
    let Some((_, between)) = rest.split_last() else { return Ok(None) };
    let mut hidden: Option<Histogram> = None;
    for now in between.iter().map(|(_, histogram)| &**histogram).chain([right]) {
        if now.is_reset_after(before) {
            match &mut hidden {
                None => hidden = Some(before.clone()),
                Some(hidden) => {
                    if hidden.add(before)?.bounds_reconciled {
                        notes.push(bounds_reconciled(Doing::Addition));
                    }
                }
            }
        }
        before = now;
    }
    Ok(hidden)
}
