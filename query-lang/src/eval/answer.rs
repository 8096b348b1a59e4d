//! A query's whole answer, as Prometheus' API gives it: a value of any type, notes, what it cost.

use std::sync::Arc;

use watchfire_engine::Engine;
use watchfire_model::sample::is_stale;
use watchfire_model::{Histogram, LabelSet, Sample, Timestamp};

use super::by_step::SamplesByStep;
use super::column::{Column, Value, is_absent};
use super::context::Context;
use super::limits::{EvalError, Guard, Limits};
use super::memory::Held;
use super::native::is_histogram;
use super::notes::Notes;
use super::{by_step, edges, window};
use crate::Query;
use crate::ast::{Edges, Expr, ValueType};
use crate::read::{RangeSeries, RangeSteps};

/// When a query is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// At one time.
    Instant(Timestamp),
    /// At each time of a range.
    Range(RangeSteps),
}

/// What a series has at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// A series of a matrix; a time is in one of its lists only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its numbers, ascending in time.
    pub values: Vec<(Timestamp, f64)>,
    /// Its histograms, ascending in time.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// One number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// A value per series.
    Vector(Vec<(LabelSet, PointValue)>),
    /// Values at several times, per series.
    Matrix(Vec<MatrixSeries>),
}

impl Outcome {
    /// What it takes in memory, about; labels are those of the series.
    pub(super) fn bytes(&self) -> usize {
        let of_histogram = |histogram: &Histogram| size_of::<(Timestamp, Arc<Histogram>)>() + histogram.memory_bytes();
        match self {
            Outcome::Scalar(_) => 0,
            Outcome::Text(text) => text.len(),
            Outcome::Vector(series) => {
                let histograms = series.iter().filter_map(|(_, value)| match value {
                    PointValue::Float(_) => None,
                    PointValue::Histogram(histogram) => Some(of_histogram(histogram)),
                });
                size_of_val(series.as_slice()) + histograms.sum::<usize>()
            }
            Outcome::Matrix(series) => {
                let of_series = |series: &MatrixSeries| {
                    let histograms = series.histograms.iter().map(|(_, histogram)| of_histogram(histogram));
                    size_of::<MatrixSeries>() + size_of_val(series.values.as_slice()) + histograms.sum::<usize>()
                };
                series.iter().map(of_series).sum()
            }
        }
    }
}

/// A value, and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub outcome: Outcome,
    /// Warnings and infos.
    pub notes: Notes,
    /// Samples that were read for it.
    pub samples_read: u64,
    /// The same as Prometheus counts them, where that was asked for and is known.
    pub by_step: Option<SamplesByStep>,
    /// What it takes of the memory that evaluations share.
    pub memory: Held,
}

impl Answer {
    /// One that was made elsewhere.
    pub fn new(outcome: Outcome, notes: Notes, samples_read: u64) -> Answer {
        Answer { outcome, notes, samples_read, by_step: None, memory: Held::nothing() }
    }
}

/// Evaluates a query. At one time it may be of any type; a range of times wants a scalar or an instant vector.
///
/// Errors: as [`super::evaluate_range`].
pub fn answer(query: &Query, engine: &Engine, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
    let guard = Guard::new(limits);
    guard.look()?;
    let gaps_before = engine.gaps_met();
    let outcome = match asked {
        Asked::Instant(at) => instant(query, engine, at, &guard),
        Asked::Range(range) => over_range(query, engine, range, &guard),
    };
    let samples_read = guard.samples_read();
    limits.read.set(samples_read);
    if engine.gaps_met() > gaps_before {
        // Of another query that runs beside this one, perhaps: rather one warning too many.
        let told = "samples in a damaged block are missing, see /api/v1/health; values may be too small".to_owned();
        guard.warn(told, query.root().span());
    }
    let (outcome, notes) = (outcome?, guard.notes().told(query.text()));
    let by_step = match limits.by_step {
        true => by_step::count(query, engine, asked, &guard, &outcome)?,
        false => None,
    };
    let memory = guard.held(outcome.bytes())?;
    Ok(Answer { outcome, notes, samples_read, by_step, memory })
}

fn over_range(query: &Query, engine: &Engine, range: RangeSteps, guard: &Guard) -> Result<Outcome, EvalError> {
    let ctx = super::over_range(engine, guard, range)?;
    let query = &*query.at_times(ctx.times())?;
    Ok(shown_matrix(&ctx, super::range_series(query, &ctx)?))
}

fn instant(query: &Query, engine: &Engine, at: Timestamp, guard: &Guard) -> Result<Outcome, EvalError> {
    let ctx = super::at_once(engine, guard, at);
    let query = &*query.at_times(ctx.times())?;
    match query.value_type() {
        ValueType::String => Ok(Outcome::Text(super::eval_text(query.root())?.to_owned())),
        ValueType::Matrix => Ok(shown_matrix(&ctx, matrix(&ctx, query.root())?)),
        ValueType::Scalar | ValueType::Vector => match super::eval(&ctx, query.root())? {
            Value::Scalar(values) => Ok(Outcome::Scalar(values.first().copied().unwrap_or(f64::NAN))),
            Value::Vector(columns) => {
                let shown = |(labels, value)| match ctx.histogram(value) {
                    Some(histogram) => (labels, PointValue::Histogram(histogram)),
                    None => (labels, PointValue::Float(value)),
                };
                Ok(Outcome::Vector(super::instant_values(query, columns).into_iter().map(shown).collect()))
            }
            Value::Text => Err(EvalError::Type { reason: "a text stands in the place of values".to_owned() }),
        },
    }
}

/// Series with numbers and histograms apart.
fn shown_matrix(ctx: &Context, all: Vec<RangeSeries>) -> Outcome {
    let has_histograms = ctx.has_histograms();
    let shown = |(labels, points): RangeSeries| {
        if !has_histograms {
            return MatrixSeries { labels, values: points, histograms: Vec::new() };
        }
        let mut series = MatrixSeries { labels, ..MatrixSeries::default() };
        for (at, value) in points {
            match ctx.histogram(value) {
                Some(histogram) => series.histograms.push((at, histogram)),
                None => series.values.push((at, value)),
            }
        }
        series
    };
    Outcome::Matrix(all.into_iter().map(shown).collect())
}

/// The samples of a range and what stands at its ends.
fn with_edges(samples: &[Sample], (start, end): (i64, i64), edges: Edges) -> Result<Vec<Sample>, EvalError> {
    if samples.iter().any(|sample| is_histogram(sample.value)) {
        let word = edges.word().unwrap_or_default();
        return Err(EvalError::Parameter { reason: format!("a range of histograms cannot be shown `{word}`") });
    }
    Ok(edges::filled(samples, start, end, edges == Edges::Smoothed).unwrap_or_default())
}

/// The samples of a range selector or subquery.
fn matrix(ctx: &Context, root: &Expr) -> Result<Vec<RangeSeries>, EvalError> {
    let mut out: Vec<RangeSeries> = Vec::new();
    window::for_each_series(ctx, root, window::Counted::Totals, &mut |series, windows| {
        let (start, end) = windows.bounds(0);
        let (from, to) = windows.reach(0);
        let samples = window::Slices::new(series.samples).advance(from, to);
        let filled;
        let inside = match windows.edges {
            Edges::Open => samples,
            edges @ (Edges::Anchored | Edges::Smoothed) => {
                filled = with_edges(samples, (start, end), edges)?;
                &filled
            }
        };
        if !inside.is_empty() {
            ctx.guard.reserve(Column::bytes(2 * inside.len()))?;
            out.push((series.labels.clone(), inside.iter().map(|sample| (sample.timestamp, sample.value)).collect()));
        }
        Ok(())
    })?;
    debug_assert!(out.iter().flat_map(|(_, points)| points).all(|(_, value)| !is_stale(*value) && !is_absent(*value)));
    out.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    Ok(out)
}
