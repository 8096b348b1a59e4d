//! Where and when an expression is evaluated.

use watchfire_engine::Engine;
use watchfire_model::LabelSet;

use super::column::{ABSENT, Column};
use super::limits::{EvalError, Forked, Guard};
use crate::ast::{At, Expr, Shift};
use crate::parse::QueryTimes;
use crate::shared::SharedColumns;

/// The times of an evaluation: `start + i * step` for `i` in `0..count`; milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    pub start: i64,
    pub step: i64,
    pub count: usize,
}

impl Steps {
    /// The time of a step.
    pub fn at(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    /// The last time.
    pub fn last(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// All times.
    pub fn times(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.count).map(|index| self.at(index))
    }
}

/// The times at which a selector looks: the steps moved by `offset`, or one time for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    steps: Steps,
    offset_ms: i64,
    fixed: Option<i64>,
}

impl Looks {
    /// The time at which it looks for a step.
    pub fn at(&self, index: usize) -> i64 {
        self.fixed.unwrap_or_else(|| self.steps.at(index)).saturating_sub(self.offset_ms)
    }

    /// How many steps there are.
    pub fn count(&self) -> usize {
        self.steps.count
    }

    /// How many distinct looks there are: one if `@` fixes the time, else one per step.
    pub fn distinct(&self) -> usize {
        if self.fixed.is_some() { self.steps.count.min(1) } else { self.steps.count }
    }

    /// The earliest.
    pub fn first(&self) -> i64 {
        self.at(0)
    }

    /// The latest.
    pub fn last(&self) -> i64 {
        self.at(self.steps.count.saturating_sub(1))
    }

    /// A column of as many values as there are steps, from those of the distinct looks.
    pub fn spread(&self, mut values: Vec<f64>) -> Vec<f64> {
        self.spread_in_place(&mut values);
        values
    }

    /// The same where the values stand.
    pub fn spread_in_place(&self, values: &mut Vec<f64>) {
        if self.fixed.is_some()
            && let Some(value) = values.first().copied()
        {
            values.resize(self.steps.count, value);
        }
    }
}

/// What is asked of the histograms of a part. As in Prometheus, which does not decode buckets that nobody asks for, nothing is
/// said of them where only counts and sums are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing has been said of it.
    Open,
    /// Counts and sums.
    Counts,
    /// Buckets, whatever stands below.
    Buckets,
}

/// What every part of an evaluation needs.
#[derive(Clone, Copy)]
pub(crate) struct Context<'e> {
    pub engine: &'e Engine,
    pub guard: &'e Guard<'e>,
    pub steps: Steps,
    /// The range of the whole query, for `@ start()` and `@ end()`; a subquery keeps it.
    pub query_start: i64,
    pub query_end: i64,
    /// The step of the whole query, for `step()`; 0 at one moment.
    pub query_step: i64,
    /// Whether the whole query asks for one moment, so that order has a meaning.
    pub is_instant: bool,
    /// Whether the steps are a part of more.
    pub is_part: bool,
    /// What other queries of this time have computed already; nothing at other times.
    pub shared: Option<&'e SharedColumns<'e>>,
    /// What is asked of histograms.
    pub detail: Detail,
}

/// A context for another core, which counts and notes on its own.
pub(crate) struct Fork<'e> {
    engine: &'e Engine,
    pub guard: Forked<'e>,
    steps: Steps,
    query_start: i64,
    query_end: i64,
    query_step: i64,
    is_instant: bool,
    is_part: bool,
    detail: Detail,
}

impl Fork<'_> {
    /// The context with a guard that [`Fork::guard`] gave.
    pub fn context<'g>(&'g self, guard: &'g Guard<'g>) -> Context<'g> {
        let &Fork { engine, guard: _, steps, query_start, query_end, query_step, is_instant, is_part, detail } = self;
        Context { engine, guard, steps, query_start, query_end, query_step, is_instant, is_part, shared: None, detail }
    }
}

impl<'e> Context<'e> {
    /// The same for another core.
    pub fn fork(&self) -> Fork<'e> {
        let Context { engine, steps, query_start, query_end, query_step, is_instant, is_part, detail, .. } = *self;
        let guard = self.guard.fork();
        Fork { engine, guard, steps, query_start, query_end, query_step, is_instant, is_part, detail }
    }

    /// What `step()` and `range()` stand for in a span.
    pub fn times(&self) -> QueryTimes {
        QueryTimes { step_ms: self.query_step, range_ms: self.query_end.saturating_sub(self.query_start) }
    }

    /// The same, at other times.
    pub fn at_steps(&self, steps: Steps) -> Result<Context<'e>, EvalError> {
        // Refused before anything of that length is made.
        let bytes = steps.count.saturating_mul(8);
        self.guard.reserve(bytes)?;
        self.guard.release(bytes);
        // Where counters begin anew within a subquery only buckets tell.
        Ok(Context { steps, is_part: false, shared: None, detail: Detail::Buckets, ..*self })
    }

    /// The same, where only counts and sums of histograms are asked for.
    pub fn of_counts(&self) -> Context<'e> {
        let detail = if self.detail == Detail::Open { Detail::Counts } else { self.detail };
        Context { detail, ..*self }
    }

    /// The same, where buckets of histograms are asked for.
    pub fn of_buckets(&self) -> Context<'e> {
        Context { detail: Detail::Buckets, ..*self }
    }

    /// Whether it is evaluated at several times.
    pub fn is_range(&self) -> bool {
        self.is_part || self.steps.count > 1
    }

    /// What is shared, and the number of this part in it, if it is one that several queries have.
    pub fn common(&self, expr: &Expr) -> Option<(&'e SharedColumns<'e>, usize)> {
        let shared = self.shared?;
        Some((shared, shared.number(expr)?))
    }

    /// When a shifted selector looks.
    pub fn looks(&self, shift: &Shift) -> Looks {
        let fixed = shift.at.map(|at| match at {
            At::Time(millis) => millis,
            At::Start => self.query_start,
            At::End => self.query_end,
        });
        Looks { steps: self.steps, offset_ms: shift.offset_ms, fixed }
    }

    /// A column without values.
    pub fn column(&self, labels: LabelSet) -> Result<Column, EvalError> {
        self.guard.reserve(Column::bytes(self.steps.count))?;
        Ok(Column { labels, values: vec![ABSENT; self.steps.count] })
    }

    /// Counts a column made elsewhere.
    pub fn keep(&self, labels: LabelSet, values: Vec<f64>) -> Result<Column, EvalError> {
        self.guard.reserve(Column::bytes(values.len()))?;
        Ok(Column { labels, values })
    }

    /// Gives the memory of columns back that are used up.
    pub fn used_up(&self, columns: Vec<Column>) {
        self.guard.release(columns.len() * Column::bytes(self.steps.count));
    }
}
