//! Functions of a range in which there are histograms, and perhaps floats beside them.

use std::sync::Arc;

use watchfire_model::histogram::Incompatible;
use watchfire_model::{Histogram, ResetHint, Sample};

use super::is_histogram;
use super::notes::{
    Doing, Note, bounds_reconciled, ignored_in_range, mixed_schemas, mixed_with_floats, no_counter, no_gauge,
};
use super::total::Total;
use crate::ast::Span;
use crate::eval::column::ABSENT;
use crate::eval::context::Context;
use crate::eval::functions::rate::{Stretch, stretch};
use crate::eval::limits::EvalError;
use crate::functions::WindowFunction;

/// A histogram and its time, milliseconds.
pub(crate) type Point = (i64, Arc<Histogram>);

/// The samples of a series, floats and histograms apart.
pub(crate) struct Parted {
    pub floats: Vec<Sample>,
    pub histograms: Vec<Point>,
}

impl Parted {
    /// `None` if there are no histograms.
    pub fn of(ctx: &Context, samples: &[Sample]) -> Option<Parted> {
        if !ctx.has_histograms() || !samples.iter().any(|sample| is_histogram(sample.value)) {
            return None;
        }
        let mut parted = Parted { floats: Vec::new(), histograms: Vec::new() };
        for sample in samples {
            match ctx.histogram(sample.value) {
                Some(histogram) => parted.histograms.push((sample.timestamp.millis(), histogram)),
                None => parted.floats.push(*sample),
            }
        }
        Some(parted)
    }

    /// The histograms of `(start, end]`.
    pub fn inside(&self, start: i64, end: i64) -> &[Point] {
        let from = self.histograms.partition_point(|(at, _)| *at <= start);
        let to = self.histograms.partition_point(|(at, _)| *at <= end);
        self.histograms.get(from..to).unwrap_or_default()
    }
}

/// One window with at least one histogram.
pub(crate) struct Window<'w> {
    pub floats: &'w [Sample],
    pub histograms: &'w [Point],
    pub start: i64,
    pub end: i64,
}

/// Whom notes are about.
pub(crate) struct About<'a> {
    pub metric: &'a str,
    pub span: Span,
}

/// What a window gives.
pub(crate) enum Given {
    Value(f64),
    /// What the floats of the window give by themselves.
    Floats,
    Nothing,
}

/// The value of a window in which there are histograms.
pub(crate) fn value(
    ctx: &Context,
    function: WindowFunction,
    window: &Window,
    about: &About,
) -> Result<Given, EvalError> {
    let Window { floats, histograms, .. } = window;
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let first_float = floats.first().map(|sample| sample.timestamp.millis());
    let last_float = floats.last().map(|sample| sample.timestamp.millis());
    let (Some((first_at, first)), Some((last_at, last))) = (histograms.first(), histograms.last()) else {
        return Ok(Given::Floats);
    };
    match function {
        WindowFunction::Rate
        | WindowFunction::Increase
        | WindowFunction::Delta
        | WindowFunction::AvgOverTime
        | WindowFunction::SumOverTime
            if !floats.is_empty() =>
        {
            ctx.note(mixed_with_floats(about.metric), about.span);
            Ok(Given::Nothing)
        }
        WindowFunction::Rate | WindowFunction::Increase | WindowFunction::Delta => {
            shelved(ctx, rate(ctx, function, window, about))
        }
        WindowFunction::AvgOverTime | WindowFunction::SumOverTime => {
            shelved(ctx, total(ctx, histograms, function == WindowFunction::AvgOverTime, about))
        }
        WindowFunction::Irate | WindowFunction::Idelta => last_two(ctx, function, window, about),
        WindowFunction::Changes | WindowFunction::Resets => {
            Ok(Given::Value(count_pairs(window, function == WindowFunction::Resets)))
        }
        WindowFunction::CountOverTime => Ok(Given::Value((floats.len() + histograms.len()) as f64)),
        WindowFunction::PresentOverTime => Ok(Given::Value(1.0)),
        WindowFunction::FirstOverTime if first_float.is_none_or(|at| at >= *first_at) => copied(ctx, first),
        WindowFunction::LastOverTime if last_float.is_none_or(|at| at <= *last_at) => copied(ctx, last),
        WindowFunction::FirstOverTime | WindowFunction::LastOverTime => Ok(Given::Floats),
        WindowFunction::TsOfFirstOverTime => {
            Ok(Given::Value(seconds(first_float.map_or(*first_at, |at| at.min(*first_at)))))
        }
        WindowFunction::TsOfLastOverTime => {
            Ok(Given::Value(seconds(last_float.map_or(*last_at, |at| at.max(*last_at)))))
        }
        WindowFunction::Deriv
        | WindowFunction::PredictLinear
        | WindowFunction::DoubleExponentialSmoothing
        | WindowFunction::MinOverTime
        | WindowFunction::MaxOverTime
        | WindowFunction::TsOfMinOverTime
        | WindowFunction::TsOfMaxOverTime
        | WindowFunction::StdDevOverTime
        | WindowFunction::StdVarOverTime
        | WindowFunction::MadOverTime
        | WindowFunction::QuantileOverTime => {
            if floats.is_empty() {
                return Ok(Given::Nothing);
            }
            ctx.note(ignored_in_range(about.metric), about.span);
            Ok(Given::Floats)
        }
    }
}

fn shelved(ctx: &Context, histogram: Option<Histogram>) -> Result<Given, EvalError> {
    Ok(match histogram {
        Some(histogram) => Given::Value(ctx.shelve(histogram)?),
        None => Given::Nothing,
    })
}

fn copied(ctx: &Context, histogram: &Histogram) -> Result<Given, EvalError> {
    ctx.shelve(histogram.clone()).map(Given::Value)
}

/// `sum_over_time`, `avg_over_time`.
fn total(ctx: &Context, histograms: &[Point], is_mean: bool, about: &About) -> Option<Histogram> {
    let ((_, first), rest) = histograms.split_first()?;
    let mut total = Total::of(first, is_mean);
    for (_, histogram) in rest {
        if total.add(histogram).is_err() {
            ctx.note(mixed_schemas(about.metric), about.span);
            return None;
        }
    }
    let notes = total.collision().into_iter().chain(total.reconciliation());
    notes.for_each(|note| ctx.note(note, about.span));
    Some(total.result())
}

/// `rate`, `increase`, `delta`: the difference, with what resets hid, stretched to the ends of the window.
fn rate(ctx: &Context, function: WindowFunction, window: &Window, about: &About) -> Option<Histogram> {
    let [(first_at, first), .., (last_at, _)] = window.histograms else { return None };
    let is_counter = function != WindowFunction::Delta;
    let mut notes = Vec::new();
    let change = change(window.histograms, is_counter, about.metric, &mut notes);
    if change.is_err() {
        notes.push(mixed_schemas(about.metric));
    }
    notes.into_iter().for_each(|note| ctx.note(note, about.span));
    let mut change = change.ok()?;
    let counter = is_counter.then(|| (first.count(), change.count()));
    let factor = stretch(&Stretch {
        first_at: *first_at,
        last_at: *last_at,
        many: window.histograms.len(),
        start: window.start,
        end: window.end,
        counter,
    });
    let seconds = if function == WindowFunction::Rate { (window.end - window.start) as f64 / 1000.0 } else { 1.0 };
    change.multiply(factor / seconds);
    Some(change)
}

/// The difference between the last and the first of at least two, with what resets hid.
fn change(
    histograms: &[Point],
    is_counter: bool,
    metric: &str,
    notes: &mut Vec<Note>,
) -> Result<Histogram, Incompatible> {
    let [(_, first), rest @ ..] = histograms else { return Err(Incompatible) };
    let ([(_, second), ..], [between @ .., (_, last)]) = (rest, rest) else { return Err(Incompatible) };
    let is_gauge = |histogram: &Histogram| histogram.hint() == ResetHint::Gauge;
    let ends_are_gauges = is_gauge(first) && is_gauge(last);
    if is_counter && histograms.iter().any(|(_, histogram)| is_gauge(histogram)) {
        notes.push(no_counter(metric));
    }
    // After a reset the first counts for nothing, whatever its buckets are.
    let nothing = Histogram::empty_like(second);
    let starts_anew = is_counter && second.is_reset_after(first);
    let first: &Histogram = if starts_anew { &nothing } else { first };
    let relevant = between.iter().filter(|_| is_counter).map(|(_, histogram)| &**histogram);
    let mut schema = first.schema().min(last.schema());
    if last.is_custom() != first.is_custom() {
        return Err(Incompatible);
    }
    for histogram in relevant {
        if histogram.is_custom() != first.is_custom() {
            notes.clear();
            return Err(Incompatible);
        }
        schema = schema.min(histogram.schema());
    }
    let mut change = last.at_schema(schema);
    if change.subtract(first)?.bounds_reconciled {
        notes.push(bounds_reconciled(Doing::Subtraction));
    }
    if is_counter {
        let mut before = first;
        for (_, histogram) in rest {
            if histogram.is_reset_after(before) && change.add(before)?.bounds_reconciled {
                notes.push(bounds_reconciled(Doing::Addition));
            }
            before = histogram;
        }
    } else if !ends_are_gauges {
        notes.push(no_gauge(metric));
    }
    change.set_hint(ResetHint::Gauge);
    change.compact();
    Ok(change)
}

/// A sample of either kind.
enum Either<'w> {
    Float(f64),
    Histogram(&'w Histogram),
}

impl Window<'_> {
    /// All samples, ascending in time.
    fn both(&self) -> Vec<(i64, Either<'_>)> {
        let floats = self.floats.iter().map(|sample| (sample.timestamp.millis(), Either::Float(sample.value)));
        let histograms = self.histograms.iter().map(|(at, histogram)| (*at, Either::Histogram(histogram)));
        let mut both: Vec<(i64, Either)> = floats.chain(histograms).collect();
        both.sort_by_key(|(at, _)| *at);
        both
    }
}

/// `changes` and `resets`: a change between floats and histograms is both.
fn count_pairs(window: &Window, resets: bool) -> f64 {
    let both = window.both();
    let counts = |pair: &&[(i64, Either)]| match (&pair[0].1, &pair[1].1) {
        (Either::Float(before), Either::Float(now)) if resets => now < before,
        (Either::Float(before), Either::Float(now)) => now != before && !(now.is_nan() && before.is_nan()),
        (Either::Histogram(before), Either::Histogram(now)) if resets => now.is_reset_after(before),
        (Either::Histogram(before), Either::Histogram(now)) => !now.equals(before),
        _ => true,
    };
    both.windows(2).filter(counts).count() as f64
}

/// `irate` and `idelta`: from the last two samples.
fn last_two(ctx: &Context, function: WindowFunction, window: &Window, about: &About) -> Result<Given, EvalError> {
    let is_rate = function == WindowFunction::Irate;
    let both = window.both();
    let [.., (before_at, before), (last_at, last)] = both.as_slice() else { return Ok(Given::Nothing) };
    let (before, last) = match (before, last) {
        (Either::Float(_), Either::Float(_)) => return Ok(Given::Floats),
        (Either::Histogram(before), Either::Histogram(last)) => (*before, *last),
        _ => {
            ctx.note(mixed_with_floats(about.metric), about.span);
            return Ok(Given::Nothing);
        }
    };
    let gauges = [before, last].iter().filter(|histogram| histogram.hint() == ResetHint::Gauge).count();
    if is_rate && gauges > 0 {
        ctx.note(no_counter(about.metric), about.span);
    } else if !is_rate && gauges < 2 {
        ctx.note(no_gauge(about.metric), about.span);
    }
    let mut change = last.clone();
    if !is_rate || !last.is_reset_after(before) {
        match change.subtract(before) {
            Err(_) => {
                ctx.note(mixed_schemas(about.metric), about.span);
                return Ok(Given::Nothing);
            }
            Ok(added) if added.bounds_reconciled => ctx.note(bounds_reconciled(Doing::Subtraction), about.span),
            Ok(_) => {}
        }
    }
    change.set_hint(ResetHint::Gauge);
    change.compact();
    if is_rate {
        change.divide((last_at - before_at) as f64 / 1000.0);
    }
    ctx.shelve(change).map(Given::Value)
}

impl Given {
    /// The value, or that of the floats.
    pub fn or_floats(self, floats: impl FnOnce() -> Result<Option<f64>, EvalError>) -> Result<f64, EvalError> {
        Ok(match self {
            Given::Value(value) => value,
            Given::Floats => floats()?.unwrap_or(ABSENT),
            Given::Nothing => ABSENT,
        })
    }
}
