//! Range selectors and subqueries: the samples of a left-open window before each step.
//!
//! A series is read once for all steps; each window is a slice of it, found by two pointers that only advance.

use std::ops::Range;

use watchfire_engine::{SeriesKind, SeriesView, in_turn};
use watchfire_model::sample::is_stale;
use watchfire_model::{LabelSet, Sample, Timestamp};

use super::column::{Column, Value};
use super::context::{Context, Looks, Steps};
use super::limits::EvalError;
use super::native::{self, distribution};
use super::parts::{self, Gathered};
use super::source;
use crate::ast::{Edges, Expr, MatrixSelector, Subquery};

/// One series with what lies in the windows of all steps.
pub(crate) struct Series<'s> {
    pub labels: &'s LabelSet,
    /// Ascending in time, without staleness markers. Of increments and distributions: the running total; none of
    /// distributions if it was not wanted.
    pub samples: &'s [Sample],
    /// The series itself if it holds increments or a distribution, which know their windows exactly.
    pub counted: Option<&'s SeriesView>,
    /// How many histograms there were in the evaluation before those of its samples that are in no other value.
    pub shelved: usize,
}

/// What of counted series is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Running totals, as of a counter.
    Totals,
    /// The windows, from the series itself.
    Windows,
}

/// The windows `(end - range, end]` of the steps.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    looks: Looks,
    pub range_ms: i64,
    pub edges: Edges,
    /// How far beyond its ends a window may look for what stands there.
    lookback_ms: i64,
}

impl Windows {
    /// Left end (outside) and right end (inside) of a step's window.
    pub fn bounds(&self, index: usize) -> (i64, i64) {
        let end = self.looks.at(index);
        (end.saturating_sub(self.range_ms), end)
    }

    /// The window and all beyond its ends that may decide what stands there: left end (outside) and right end (inside).
    pub fn reach(&self, index: usize) -> (i64, i64) {
        let (start, end) = self.bounds(index);
        match self.edges {
            Edges::Open => (start, end),
            Edges::Anchored => (start.saturating_sub(self.lookback_ms), end),
            Edges::Smoothed => (start.saturating_sub(self.lookback_ms), end.saturating_add(self.lookback_ms)),
        }
    }

    /// Whether nothing beyond its ends decides what a window gives.
    pub fn is_plain(&self) -> bool {
        self.edges == Edges::Open
    }

    /// How many distinct windows there are.
    pub fn distinct(&self) -> usize {
        self.looks.distinct()
    }

    /// A column from the values of the distinct windows.
    pub fn spread(&self, values: Vec<f64>) -> Vec<f64> {
        self.looks.spread(values)
    }
}

/// Finds each window in a series, step by step.
#[derive(Clone)]
pub(crate) struct Slices<'s> {
    samples: &'s [Sample],
    from: usize,
    to: usize,
}

impl<'s> Slices<'s> {
    pub fn new(samples: &'s [Sample]) -> Slices<'s> {
        Slices { samples, from: 0, to: 0 }
    }

    /// The samples in `(start, end]`; neither end may go back.
    pub fn advance(&mut self, start: i64, end: i64) -> &'s [Sample] {
        while self.samples.get(self.to).is_some_and(|sample| sample.timestamp.millis() <= end) {
            self.to += 1;
        }
        while self.from < self.to && self.samples[self.from].timestamp.millis() <= start {
            self.from += 1;
        }
        &self.samples[self.from..self.to]
    }
}

/// Calls back for each series of a range argument.
pub(crate) fn for_each_series(
    ctx: &Context,
    arg: &Expr,
    counted: Counted,
    each: &mut dyn FnMut(&Series, &Windows) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let ranges = Ranges::of(ctx, arg)?;
    let mut samples = Vec::new();
    for number in ranges.in_turn(0..ranges.count()) {
        each(&ranges.read(ctx, number, counted, &mut samples)?, ranges.windows())?;
    }
    ranges.used_up(ctx);
    Ok(())
}

/// The series of a range argument, by their numbers `0..count`.
pub(crate) enum Ranges {
    Selected(Selected),
    Subquery(Evaluated),
}

/// The series of a range selector.
pub(crate) struct Selected {
    pub views: Vec<SeriesView>,
    pub windows: Windows,
    /// All windows, and what lies beyond their ends, are within `(start, end]`.
    pub start: i64,
    pub end: i64,
}

/// What the expression of a subquery gave.
pub(crate) struct Evaluated {
    windows: Windows,
    steps: Steps,
    series: Gathered,
}

impl Ranges {
    pub fn of(ctx: &Context, arg: &Expr) -> Result<Ranges, EvalError> {
        match arg.without_parens() {
            Expr::Matrix(matrix) => Selected::of(ctx, matrix).map(Ranges::Selected),
            Expr::Subquery(subquery) => Evaluated::of(ctx, subquery).map(Ranges::Subquery),
            // The parser lets nothing else through as a range.
            other => Err(EvalError::Type { reason: format!("expected a range, got `{other}`") }),
        }
    }

    pub fn windows(&self) -> &Windows {
        match self {
            Ranges::Selected(selected) => &selected.windows,
            Ranges::Subquery(evaluated) => &evaluated.windows,
        }
    }

    /// The times at which the expression of a subquery is evaluated.
    pub fn inner_steps(&self) -> Option<Steps> {
        match self {
            Ranges::Selected(_) => None,
            Ranges::Subquery(evaluated) => Some(evaluated.steps),
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Ranges::Selected(selected) => selected.views.len(),
            Ranges::Subquery(Evaluated { series: Gathered::Whole(columns), .. }) => columns.len(),
            Ranges::Subquery(Evaluated { series: Gathered::Parts(series), .. }) => series.len(),
        }
    }

    pub fn labels(&self, number: usize) -> &LabelSet {
        match self {
            Ranges::Selected(selected) => selected.views[number].labels(),
            Ranges::Subquery(Evaluated { series: Gathered::Whole(columns), .. }) => &columns[number].labels,
            Ranges::Subquery(Evaluated { series: Gathered::Parts(series), .. }) => &series[number].0,
        }
    }

    /// A series that knows its windows exactly.
    pub fn counted(&self, number: usize) -> Option<&SeriesView> {
        let Ranges::Selected(selected) = self else { return None };
        let view = &selected.views[number];
        matches!(view.kind(), SeriesKind::Distribution | SeriesKind::Increments).then_some(view)
    }

    /// Numbers of series that are about to be read, one after the other.
    pub fn in_turn(&self, numbers: Range<usize>) -> impl Iterator<Item = usize> {
        let mut views = in_turn(match self {
            Ranges::Selected(selected) => &selected.views[numbers.clone()],
            Ranges::Subquery(_) => &[],
        });
        numbers.inspect(move |_| {
            views.next();
        })
    }

    /// Reads one of the series, into `samples`.
    pub fn read<'s>(
        &'s self,
        ctx: &Context,
        number: usize,
        wanted: Counted,
        samples: &'s mut Vec<Sample>,
    ) -> Result<Series<'s>, EvalError> {
        let shelved = ctx.shelved();
        match self {
            Ranges::Selected(selected) => selected.read(ctx, &selected.views[number], wanted, samples)?,
            Ranges::Subquery(evaluated) => evaluated.read(ctx, number, samples)?,
        }
        Ok(Series { labels: self.labels(number), samples, counted: self.counted(number), shelved })
    }

    /// Gives memory back.
    pub fn used_up(self, ctx: &Context) {
        let Ranges::Subquery(evaluated) = self else { return };
        match evaluated.series {
            Gathered::Whole(columns) => ctx.guard.release(columns.len() * Column::bytes(evaluated.steps.count)),
            Gathered::Parts(series) => {
                let many: usize = series.iter().map(|(_, points)| points.capacity()).sum();
                ctx.guard.release(many * size_of::<Sample>());
            }
        }
    }
}

impl Selected {
    fn of(ctx: &Context, matrix: &MatrixSelector) -> Result<Selected, EvalError> {
        let windows = Windows {
            looks: ctx.looks(&matrix.selector.shift),
            range_ms: matrix.range_ms,
            edges: matrix.selector.edges,
            lookback_ms: ctx.guard.limits().lookback_ms,
        };
        let (start, _) = windows.reach(0);
        let (_, end) = windows.reach(ctx.steps.count.saturating_sub(1));
        let views = source::select_promql(ctx, &matrix.selector.matchers, start, end, matrix.selector.span)?;
        Ok(Selected { views, windows, start, end })
    }

    fn read(
        &self,
        ctx: &Context,
        view: &SeriesView,
        wanted: Counted,
        samples: &mut Vec<Sample>,
    ) -> Result<(), EvalError> {
        let is_distribution = view.kind() == SeriesKind::Distribution;
        match wanted {
            Counted::Windows if is_distribution => samples.clear(),
            Counted::Totals if is_distribution => distribution::samples(ctx, view, self.start, self.end, samples)?,
            Counted::Windows | Counted::Totals => source::samples(ctx, view, self.start, self.end, false, samples)?,
        }
        Ok(())
    }
}

impl Evaluated {
    fn of(ctx: &Context, subquery: &Subquery) -> Result<Evaluated, EvalError> {
        let looks = ctx.looks(&subquery.shift);
        let windows = Windows { looks, range_ms: subquery.range_ms, edges: Edges::Open, lookback_ms: 0 };
        // A step that came to nothing is as none, as in Prometheus.
        let step_ms = subquery.step_ms.filter(|step_ms| *step_ms > 0).unwrap_or(ctx.guard.limits().default_step_ms);
        let steps = inner_steps(&windows, step_ms);
        let series = parts::gather(&ctx.at_steps(steps)?, &|part| columns_of(part, &subquery.expr))?;
        Ok(Evaluated { windows, steps, series })
    }

    fn read(&self, ctx: &Context, number: usize, samples: &mut Vec<Sample>) -> Result<(), EvalError> {
        samples.clear();
        let mut push = |timestamp: Timestamp, value: f64| {
            samples.push(Sample { timestamp, value: native::without_hint(ctx, value)? });
            Ok::<(), EvalError>(())
        };
        match &self.series {
            Gathered::Whole(columns) => {
                let values = self.steps.times().zip(&columns[number].values);
                values
                    .filter(|(_, value)| !is_stale(**value))
                    .try_for_each(|(at, value)| push(source::at(at), *value))?;
            }
            Gathered::Parts(series) => series[number].1.iter().try_for_each(|(at, value)| push(*at, *value))?,
        }
        ctx.guard.samples(samples.len())
    }
}

/// The columns of the expression of a subquery.
fn columns_of(inner: &Context, expr: &Expr) -> Result<Vec<Column>, EvalError> {
    match super::eval(inner, expr)? {
        Value::Vector(columns) => Ok(columns),
        Value::Scalar(values) => Ok(vec![inner.keep(LabelSet::empty(), values)?]),
        Value::Text => Ok(Vec::new()),
    }
}

/// The times at which a subquery is evaluated: multiples of its step inside its windows.
fn inner_steps(windows: &Windows, step: i64) -> Steps {
    let step = step.max(1);
    let (left, _) = windows.bounds(0);
    let last = windows.looks.last();
    let mut start = (left / step).saturating_mul(step);
    if start <= left {
        start = start.saturating_add(step);
    }
    let count = if start > last { 0 } else { (last - start) / step + 1 };
    Steps { start, step, count: usize::try_from(count).unwrap_or(usize::MAX) }
}
