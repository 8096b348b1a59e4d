//! Counted events over many windows: read once where that is cheaper than asking the series for every window.

use std::sync::Arc;

use watchfire_engine::SeriesView;
use watchfire_model::{Sample, Timestamp};

use super::column::ABSENT;
use super::context::{Context, Looks};
use super::limits::EvalError;
use super::source;

/// Fewest windows for which a series is read.
const WINDOWS_MIN: usize = 8;
/// Seconds whose reading costs as much as asking for one window.
const SECONDS_PER_WINDOW: usize = 100;
/// A series that counted within this time is quiet, not gone; seconds.
const QUIET_SECONDS: i64 = 86_400;

/// Whether reading this span once is cheaper than asking so many times.
fn reading_pays(asked: usize, span_ms: i64) -> bool {
    let seconds = usize::try_from(span_ms / 1000).unwrap_or(usize::MAX);
    asked >= WINDOWS_MIN && seconds <= asked.saturating_mul(SECONDS_PER_WINDOW)
}

/// The whole second that a time belongs to, as increments are dated.
fn second_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(1000) + i64::from(at_ms.rem_euclid(1000) != 0)
}

/// How many whole seconds a window of increments has.
pub(crate) fn seconds_in(window_ms: i64) -> usize {
    usize::try_from(second_of(window_ms)).unwrap_or(0)
}

/// The windows of one series; they are asked for in ascending order, and a clone's apart from those of the other.
#[derive(Clone)]
pub(crate) struct Counted<'v> {
    view: &'v SeriesView,
    read: Option<Read>,
    asked: Vec<(Timestamp, f64)>,
}

/// The seconds with events of all windows, and the pointers to the current one.
#[derive(Clone)]
struct Read {
    seconds: Arc<[(Timestamp, f64)]>,
    /// Events before each of the seconds, and of all.
    before: Arc<[f64]>,
    from: usize,
    to: usize,
}

impl<'v> Counted<'v> {
    /// Of `windows` windows, the first from `start`, the last up to `end`.
    pub fn new(
        ctx: &Context,
        view: &'v SeriesView,
        windows: usize,
        start: i64,
        end: i64,
    ) -> Result<Counted<'v>, EvalError> {
        let mut counted = Counted { view, read: None, asked: Vec::new() };
        if !reading_pays(windows, end.saturating_sub(start)) {
            return Ok(counted);
        }
        let mut seconds = Vec::new();
        // One second more, in which a window can start that ends within a second.
        view.buckets(source::at(start.saturating_sub(1000)), source::at(end), &mut seconds);
        ctx.guard.samples(seconds.len())?;
        let mut total = 0.0;
        let mut before = Vec::with_capacity(seconds.len() + 1);
        for (_, events) in &seconds {
            before.push(total);
            total += events;
        }
        before.push(total);
        counted.read = Some(Read { seconds: seconds.into(), before: before.into(), from: 0, to: 0 });
        Ok(counted)
    }

    /// The events of `(start, end]`; 0 if the series is quiet, `None` if it had none for a day.
    pub fn increase(&mut self, ctx: &Context, start: i64, end: i64) -> Result<Option<f64>, EvalError> {
        ctx.guard.samples(1)?;
        if let Some(read) = &mut self.read {
            let last = read.advance(start, end);
            if read.to > read.from {
                return Ok(Some(read.before[read.to] - read.before[read.from]));
            }
            let newest = read.to.checked_sub(1).map(|at| read.seconds[at].0.millis() / 1000);
            if newest.is_some_and(|newest| newest + QUIET_SECONDS > last) {
                return Ok(Some(0.0));
            }
        }
        Ok(self.view.increase(source::at(start), source::at(end)))
    }

    /// The seconds of `(start, end]` that have events.
    pub fn seconds(&mut self, ctx: &Context, start: i64, end: i64) -> Result<&[(Timestamp, f64)], EvalError> {
        if let Some(read) = &mut self.read {
            read.advance(start, end);
            return Ok(&read.seconds[read.from..read.to]);
        }
        self.asked.clear();
        self.view.buckets(source::at(start), source::at(end), &mut self.asked);
        ctx.guard.samples(self.asked.len())?;
        Ok(&self.asked)
    }
}

impl Read {
    /// Moves to a window; gives its last second.
    fn advance(&mut self, start: i64, end: i64) -> i64 {
        let last = second_of(end);
        let after = last.saturating_mul(1000).saturating_sub((end - start).max(0)).div_euclid(1000);
        let second = |at: usize| self.seconds.get(at).map(|(at, _)| at.millis() / 1000);
        while second(self.to).is_some_and(|second| second <= last) {
            self.to += 1;
        }
        while self.from < self.to && second(self.from).is_some_and(|second| second <= after) {
            self.from += 1;
        }
        last
    }
}

/// The running total of a series at each look.
pub(crate) fn totals(ctx: &Context, view: &SeriesView, looks: &Looks) -> Result<Vec<f64>, EvalError> {
    let count = looks.distinct();
    let (first, last) = (looks.first(), looks.last());
    let mut values = Vec::with_capacity(count);
    if !reading_pays(count, last.saturating_sub(first)) {
        for index in 0..count {
            ctx.guard.samples(1)?;
            values.push(view.total_at(source::at(looks.at(index))).unwrap_or(ABSENT));
        }
        return Ok(values);
    }
    let mut samples: Vec<Sample> = Vec::new();
    source::samples(ctx, view, first, second_of(last).saturating_mul(1000), false, &mut samples)?;
    let mut value = view.total_at(source::at(first)).unwrap_or(ABSENT);
    let mut rest = samples.iter().peekable();
    for index in 0..count {
        let now = second_of(looks.at(index)).saturating_mul(1000);
        while let Some(sample) = rest.next_if(|sample| sample.timestamp.millis() <= now) {
            value = sample.value;
        }
        values.push(value);
    }
    Ok(values)
}
