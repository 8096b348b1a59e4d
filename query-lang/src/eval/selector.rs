//! Instant selectors: the newest sample within the lookback delta.

use std::ops::Range;

use watchfire_engine::{Columns, SeriesKind, SeriesView, in_turn};
use watchfire_model::Sample;

use super::column::{ABSENT, Column, is_absent};
use super::context::{Context, Looks};
use super::cores::{self, Done, Work};
use super::counted;
use super::limits::EvalError;
use super::native::distribution;
use super::native::window::About;
use super::spans::Spans;
use super::stream::{Ended, Made, Next, Take};
use super::{smoothed, source};
use crate::ast::{Edges, Span, VectorSelector};

/// What of the newest sample is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Value,
    /// Its time in seconds, for `timestamp()`.
    Time,
}

/// The value of a selector at each step.
pub(crate) fn eval(ctx: &Context, selector: &VectorSelector, wanted: Wanted) -> Result<Vec<Column>, EvalError> {
    let mut out = Vec::new();
    each(ctx, selector, wanted, &mut |made| {
        out.push(made.kept(ctx)?);
        Ok(Next::Go)
    })?;
    Ok(out)
}

/// The same, column by column.
pub(crate) fn each(
    ctx: &Context,
    selector: &VectorSelector,
    wanted: Wanted,
    take: &mut Take,
) -> Result<Ended, EvalError> {
    let looks = ctx.looks(&selector.shift);
    let lookback = ctx.guard.limits().lookback_ms;
    let start = looks.first().saturating_sub(lookback);
    // Of what counts the running total is known at every moment; of samples it can be smoothed.
    let is_smoothed = selector.edges == Edges::Smoothed && wanted == Wanted::Value;
    let end = if is_smoothed { looks.last().saturating_add(lookback) } else { looks.last() };
    let views = source::select_promql(ctx, &selector.matchers, start, end, selector.span)?;
    let reading = Reading { views: &views, looks, lookback, wanted, is_smoothed, span: selector.span };
    let next = cores::in_order(ctx, &reading, views.len(), &mut |Done { input, values, is_full }| {
        take(Made { labels: views[input].labels(), loses_name: false, values, is_full })
    })?;
    Ok(if next == Next::Stop { Ended::Stopped } else { Ended::Whole })
}

/// What reads the newest values of series.
struct Reading<'r> {
    views: &'r [SeriesView],
    looks: Looks,
    lookback: i64,
    wanted: Wanted,
    is_smoothed: bool,
    span: Span,
}

impl Work for Reading<'_> {
    type Tools = (Newest, Vec<Sample>, Vec<f64>);

    fn tools(&self) -> Self::Tools {
        let Reading { looks, lookback, .. } = *self;
        (Newest { looks, lookback, columns: Columns::default(), spans: Spans::default() }, Vec::new(), Vec::new())
    }

    fn width(&self) -> usize {
        self.looks.count()
    }

    fn each(
        &self,
        ctx: &Context,
        (newest_values, buffer, values): &mut Self::Tools,
        inputs: Range<usize>,
        take: &mut cores::Take,
    ) -> Result<Next, EvalError> {
        // What is newest lies at hand.
        let views = &self.views[inputs.clone()];
        let (at_hand, others) = views.split_at(if self.looks.distinct() == 1 { views.len() } else { 0 });
        for (input, view) in inputs.zip(at_hand.iter().chain(in_turn(others))) {
            let is_plain = !self.is_smoothed && self.wanted == Wanted::Value;
            let is_full = match is_plain.then(|| newest_values.of(ctx, view, values)).transpose()?.flatten() {
                Some(0) => continue,
                Some(present) => present == values.len(),
                None => {
                    *values = self.walked(ctx, view, buffer)?;
                    if values.iter().all(|value| is_absent(*value)) {
                        continue;
                    }
                    false
                }
            };
            self.looks.spread_in_place(values);
            if take(Done { input, values, is_full })? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Go)
    }
}

impl Reading<'_> {
    /// The values of a series whose samples are looked at one by one.
    fn walked(&self, ctx: &Context, view: &SeriesView, buffer: &mut Vec<Sample>) -> Result<Vec<f64>, EvalError> {
        let shelved = ctx.shelved();
        let mut values = match view.kind() {
            SeriesKind::Samples(_) if self.is_smoothed => {
                let about = About { metric: view.labels().metric_name(), span: self.span };
                smoothed::values(ctx, view, &self.looks, &about, buffer)?
            }
            SeriesKind::Samples(_) | SeriesKind::Increments | SeriesKind::Distribution => {
                newest(ctx, view, &self.looks, self.wanted, buffer)?
            }
        };
        ctx.forget_since(shelved, values.iter_mut());
        Ok(values)
    }
}

/// The newest values of series that hold floats only.
struct Newest {
    looks: Looks,
    lookback: i64,
    columns: Columns,
    spans: Spans,
}

impl Newest {
    /// Replaces `values` by the newest value at each look, and says how many there are; `None` for other series.
    fn of(&mut self, ctx: &Context, view: &SeriesView, values: &mut Vec<f64>) -> Result<Option<usize>, EvalError> {
        let Newest { looks, lookback, columns, spans } = self;
        let (start, end) = (looks.first().saturating_sub(*lookback), looks.last());
        if looks.distinct() == 1
            && let Some(newest) = view.newest(source::at(start), source::at(end))
        {
            ctx.guard.samples(1)?;
            values.clear();
            values.push(newest.value);
            return Ok(Some(usize::from(!is_absent(newest.value))));
        }
        let Some(has_nan) = source::columns(ctx, view, start, end, columns)? else { return Ok(None) };
        spans.find(columns.times(), looks.distinct(), |step| {
            let at = looks.at(step);
            (at.saturating_sub(*lookback), at)
        });
        spans.clear(values);
        let mut present = 0;
        for run in spans.runs() {
            // A series that ended has its marker there, which stands for no value in a column too.
            values[run.step..][..run.many].copy_from_slice(run.at_end(columns.values(), 1));
            present += run.many;
        }
        if has_nan {
            present = values.iter().filter(|value| !is_absent(**value)).count();
        }
        Ok(Some(present))
    }
}

/// The newest value of a series at each look: of samples within the lookback delta, of increments
/// and distributions the running total, also when quiet.
pub(crate) fn newest(
    ctx: &Context,
    view: &SeriesView,
    looks: &Looks,
    wanted: Wanted,
    buffer: &mut Vec<Sample>,
) -> Result<Vec<f64>, EvalError> {
    let mut values = vec![ABSENT; looks.distinct()];
    match view.kind() {
        SeriesKind::Samples(_) => {
            let lookback = ctx.guard.limits().lookback_ms;
            source::samples(ctx, view, looks.first().saturating_sub(lookback), looks.last(), true, buffer)?;
            let mut seen = 0;
            for (index, value) in values.iter_mut().enumerate() {
                let at = looks.at(index);
                seen += buffer[seen..].iter().take_while(|sample| sample.timestamp.millis() <= at).count();
                if let Some(sample) = buffer[..seen].last()
                    && sample.timestamp.millis() > at.saturating_sub(lookback)
                {
                    *value = match wanted {
                        Wanted::Value => sample.value,
                        Wanted::Time if is_absent(sample.value) => ABSENT,
                        Wanted::Time => sample.timestamp.millis() as f64 / 1000.0,
                    };
                }
            }
        }
        SeriesKind::Increments => {
            values = counted::totals(ctx, view, looks)?;
            if wanted == Wanted::Time {
                stand_at_looks(&mut values, looks);
            }
        }
        SeriesKind::Distribution => {
            values = distribution::totals(ctx, view, looks)?;
            if wanted == Wanted::Time {
                stand_at_looks(&mut values, looks);
            }
        }
    }
    Ok(values)
}

/// A running total stands at every moment: its time is that of the look.
fn stand_at_looks(values: &mut [f64], looks: &Looks) {
    for (index, value) in values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
        *value = looks.at(index) as f64 / 1000.0;
    }
}
