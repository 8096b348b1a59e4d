//! Range selectors and subqueries: the samples of a left-open window before each step.
//!
//! A series is read once for all steps; each window is a slice of it, found by two pointers that only advance.

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
    match arg.without_parens() {
        Expr::Matrix(matrix) => of_selector(ctx, matrix, counted, each),
        Expr::Subquery(subquery) => of_subquery(ctx, subquery, each),
        // The parser lets nothing else through as a range.
        other => Err(EvalError::Type { reason: format!("expected a range, got `{other}`") }),
    }
}

/// The series of a range selector.
pub(crate) struct Selected {
    pub views: Vec<SeriesView>,
    pub windows: Windows,
    /// All windows, and what lies beyond their ends, are within `(start, end]`.
    pub start: i64,
    pub end: i64,
}

impl Selected {
    pub fn of(ctx: &Context, matrix: &MatrixSelector) -> Result<Selected, EvalError> {
        let windows = Windows {
            looks: ctx.looks(&matrix.selector.shift),
            range_ms: matrix.range_ms,
            edges: matrix.selector.edges,
            lookback_ms: ctx.guard.limits().lookback_ms,
        };
        let (start, _) = windows.reach(0);
        let (_, end) = windows.reach(ctx.steps.count.saturating_sub(1));
        let views = source::select_promql(ctx, &matrix.selector.matchers, start, end)?;
        Ok(Selected { views, windows, start, end })
    }

    /// Calls back with one of the series; `samples` is overwritten.
    pub fn series(
        &self,
        ctx: &Context,
        view: &SeriesView,
        wanted: Counted,
        samples: &mut Vec<Sample>,
        each: &mut dyn FnMut(&Series, &Windows) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let shelved = ctx.shelved();
        let is_distribution = view.kind() == SeriesKind::Distribution;
        match wanted {
            Counted::Windows if is_distribution => samples.clear(),
            Counted::Totals if is_distribution => distribution::samples(ctx, view, self.start, self.end, samples)?,
            Counted::Windows | Counted::Totals => source::samples(ctx, view, self.start, self.end, false, samples)?,
        }
        let counted = (is_distribution || view.kind() == SeriesKind::Increments).then_some(view);
        each(&Series { labels: view.labels(), samples, counted, shelved }, &self.windows)
    }
}

fn of_selector(
    ctx: &Context,
    matrix: &MatrixSelector,
    wanted: Counted,
    each: &mut dyn FnMut(&Series, &Windows) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let selected = Selected::of(ctx, matrix)?;
    let mut samples = Vec::new();
    in_turn(&selected.views).try_for_each(|view| selected.series(ctx, view, wanted, &mut samples, each))
}

fn of_subquery(
    ctx: &Context,
    subquery: &Subquery,
    each: &mut dyn FnMut(&Series, &Windows) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let windows =
        Windows { looks: ctx.looks(&subquery.shift), range_ms: subquery.range_ms, edges: Edges::Open, lookback_ms: 0 };
    let steps = inner_steps(&windows, subquery.step_ms.unwrap_or(ctx.guard.limits().default_step_ms));
    let inner = ctx.at_steps(steps)?;
    let mut samples = Vec::new();
    let mut give = |labels: &LabelSet, points: &mut dyn Iterator<Item = (Timestamp, f64)>| {
        samples.clear();
        let shelved = ctx.shelved();
        for (timestamp, value) in points {
            samples.push(Sample { timestamp, value: native::without_hint(ctx, value)? });
        }
        ctx.guard.samples(samples.len())?;
        each(&Series { labels, samples: &samples, counted: None, shelved }, &windows)
    };
    match parts::gather(&inner, &|part| columns_of(part, &subquery.expr))? {
        Gathered::Whole(columns) => {
            for column in &columns {
                let present = steps.times().zip(&column.values).filter(|(_, value)| !is_stale(**value));
                give(&column.labels, &mut present.map(|(at, value)| (source::at(at), *value)))?;
            }
            inner.used_up(columns);
        }
        Gathered::Parts(series) => {
            for (labels, points) in series {
                let bytes = points.capacity() * size_of::<Sample>();
                give(&labels, &mut points.into_iter())?;
                ctx.guard.release(bytes);
            }
        }
    }
    Ok(())
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
