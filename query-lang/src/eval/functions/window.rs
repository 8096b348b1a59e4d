//! Functions of the samples of a range: reads each series once and asks the families for each window.

use std::ops::Range;

use watchfire_engine::{SeriesKind, SeriesView};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Sample};

use super::swift::Swift;
use super::{arg, edges, over_time, rate, regression, smoothing};
use crate::ast::{Call, Edges, Expr, Span};
use crate::eval::column::{ABSENT, Column, describes_metric, is_absent, refuse_same_labels};
use crate::eval::context::Context;
use crate::eval::cores::{self, Done, Work};
use crate::eval::counted::Counted;
use crate::eval::limits::EvalError;
use crate::eval::native::window::{About, Parted};
use crate::eval::native::{self, is_histogram};
use crate::eval::notes::check_quantile;
use crate::eval::stream::{Ended, Made, Next, Take};
use crate::eval::window::{self, Ranges, Series, Slices, Windows};
use crate::functions::WindowFunction;

/// A window of one series.
#[derive(Clone, Copy)]
pub(super) struct Window<'s> {
    pub samples: &'s [Sample],
    /// Left end, outside; milliseconds.
    pub start: i64,
    /// Right end, inside; milliseconds.
    pub end: i64,
    /// The evaluation time, which `offset` does not move; milliseconds.
    pub now: i64,
    /// The scalar argument of the functions that take one, and a second one.
    pub parameter: f64,
    pub second: f64,
}

pub(super) fn eval(ctx: &Context, function: WindowFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let mut out = Vec::new();
    let ended = each(ctx, function, call, &mut |made| {
        out.push(made.kept(ctx)?);
        Ok(Next::Go)
    })?;
    if ended == Ended::MayRepeat {
        refuse_same_labels(&out)?;
    }
    Ok(out)
}

/// The same, column by column.
pub(in crate::eval) fn each(
    ctx: &Context,
    function: WindowFunction,
    call: &Call,
    take: &mut Take,
) -> Result<Ended, EvalError> {
    // `quantile_over_time` has its number first, `predict_linear` last.
    let range_at = usize::from(function == WindowFunction::QuantileOverTime);
    let range = arg(call, range_at)?;
    edges::check(function, range, call.function.name)?;
    let mut parameters = Vec::new();
    for (_, parameter) in call.args.iter().enumerate().filter(|(at, _)| *at != range_at) {
        parameters.push(crate::eval::eval_scalar(ctx, parameter)?);
    }
    // Notes of a range are about it; those of `quantile_over_time` about its number.
    let about = arg(call, 0)?;
    let about = if matches!(about.without_parens(), Expr::Subquery(_)) { Span::default() } else { about.span() };
    let ranges = Ranges::of(ctx, range)?;
    let mut results = Results {
        ctx,
        function,
        range,
        parameters: &parameters,
        parameter_at: arg(call, 0)?.span(),
        name: None,
        differ: true,
        take,
    };
    let making = Making { function, ranges: &ranges, parameters: &parameters, about, steps: ctx.steps.count };
    let give = &mut |done: Done| results.give(ranges.labels(done.input), ranges.counted(done.input).is_none(), done);
    let next = cores::in_order(ctx, &making, ranges.count(), give)?;
    let differ = results.differ;
    ranges.used_up(ctx);
    Ok(match (next, differ) {
        (Next::Stop, _) => Ended::Stopped,
        (Next::Go, true) => Ended::Whole,
        (Next::Go, false) => Ended::MayRepeat,
    })
}

fn is_rate(function: WindowFunction) -> bool {
    matches!(function, WindowFunction::Rate | WindowFunction::Increase)
}

/// What makes the columns of a call.
struct Making<'m> {
    function: WindowFunction,
    ranges: &'m Ranges,
    parameters: &'m [Vec<f64>],
    /// What notes are about.
    about: Span,
    steps: usize,
}

/// What it is made with.
#[derive(Default)]
struct Tools {
    swift: Option<Swift>,
    samples: Vec<Sample>,
    values: Vec<f64>,
}

impl Work for Making<'_> {
    type Tools = Tools;

    fn tools(&self) -> Tools {
        Tools { swift: Swift::of(self.function, self.ranges.windows(), self.steps), ..Tools::default() }
    }

    fn width(&self) -> usize {
        self.steps
    }

    fn each(
        &self,
        ctx: &Context,
        tools: &mut Tools,
        inputs: Range<usize>,
        take: &mut cores::Take,
    ) -> Result<Next, EvalError> {
        let Tools { swift, samples, values } = tools;
        for input in self.ranges.in_turn(inputs) {
            let swiftly = match (self.ranges, &mut *swift) {
                (Ranges::Selected(selected), Some(swift)) => {
                    swift.values(ctx, selected, &selected.views[input], self.parameters, values)?
                }
                _ => None,
            };
            let present = match swiftly {
                Some(present) => present,
                None => {
                    *values = self.walked(ctx, input, samples)?;
                    values.iter().filter(|value| !is_absent(**value)).count()
                }
            };
            let is_full = present == values.len();
            if present > 0 && take(Done { input, values, is_full })? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Go)
    }
}

impl Making<'_> {
    /// The values of a series, window by window.
    fn walked(&self, ctx: &Context, input: usize, samples: &mut Vec<Sample>) -> Result<Vec<f64>, EvalError> {
        let (function, windows) = (self.function, self.ranges.windows());
        let wanted = if is_rate(function) { window::Counted::Windows } else { window::Counted::Totals };
        let series = self.ranges.read(ctx, input, wanted, samples)?;
        let mut values = match series.counted {
            Some(view) if is_rate(function) => counted(ctx, function, view, windows)?,
            _ => walked(ctx, function, &series, windows, self.parameters, self.about)?,
        };
        ctx.forget_since(series.shelved, values.iter_mut());
        Ok(values)
    }
}

/// The columns of a call, on their way to who takes them.
struct Results<'r> {
    ctx: &'r Context<'r>,
    function: WindowFunction,
    range: &'r Expr,
    parameters: &'r [Vec<f64>],
    /// What notes about the number of `quantile_over_time` are about.
    parameter_at: Span,
    /// The name of the metrics so far, as long as it is one.
    name: Option<String>,
    /// Label sets of series differ; without names they do if the names were all the same.
    differ: bool,
    take: &'r mut Take<'r>,
}

impl Results<'_> {
    /// Hands a column on.
    fn give(&mut self, labels: &LabelSet, is_samples: bool, done: Done) -> Result<Next, EvalError> {
        let Done { values, is_full, .. } = done;
        let function = self.function;
        if is_rate(function) && is_samples && values.iter().any(|v| !is_absent(*v) && !is_histogram(*v)) {
            check_counter(self.ctx, labels.metric_name(), self.range);
        }
        if function == WindowFunction::QuantileOverTime {
            let asked = self.parameters.iter().flatten();
            let seen = values.iter().zip(asked).filter(|(value, _)| !is_absent(**value));
            seen.for_each(|(_, q)| check_quantile(self.ctx.guard, *q, self.parameter_at));
        }
        let keeps_name = matches!(function, WindowFunction::LastOverTime | WindowFunction::FirstOverTime);
        self.differ &= keeps_name || self.loses_the_same_name(labels);
        (self.take)(Made { labels, loses_name: !keeps_name, values, is_full })
    }

    /// Whether nothing but a name that all so far have is lost.
    fn loses_the_same_name(&mut self, labels: &LabelSet) -> bool {
        let mut described = labels.iter().filter(|(name, _)| describes_metric(name));
        let own = match (described.next(), described.next()) {
            (None, _) => "",
            (Some((METRIC_NAME, own)), None) => own,
            (Some(_), _) => return false,
        };
        self.name.get_or_insert_with(|| own.to_owned()) == own
    }
}

/// Endings of names that counters have by custom.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

/// Notes a rate of what may not be a counter.
fn check_counter(ctx: &Context, metric: &str, range: &Expr) {
    if !metric.is_empty() && !COUNTER_ENDINGS.iter().any(|ending| metric.ends_with(ending)) {
        let endings = COUNTER_ENDINGS.join("/");
        let text = format!("metric might not be a counter, name does not end in {endings}: {metric:?}");
        // Prometheus has no place for a subquery.
        let is_subquery = matches!(range.without_parens(), Expr::Subquery(_));
        ctx.guard.inform(text, if is_subquery { Span::default() } else { range.span() });
    }
}

/// Increments and distributions know their windows exactly.
fn counted(
    ctx: &Context,
    function: WindowFunction,
    view: &SeriesView,
    windows: &Windows,
) -> Result<Vec<f64>, EvalError> {
    let seconds = if function == WindowFunction::Rate { windows.range_ms as f64 / 1000.0 } else { 1.0 };
    let count = windows.distinct();
    if view.kind() == SeriesKind::Distribution {
        let seconds = (function == WindowFunction::Rate).then_some(seconds);
        let windows_of = (0..count).map(|index| windows.bounds(index));
        let values = windows_of.map(|(start, end)| native::distribution::window(ctx, view, start, end, seconds));
        return Ok(windows.spread(values.collect::<Result<_, _>>()?));
    }
    let (start, _) = windows.bounds(0);
    let (_, end) = windows.bounds(count.saturating_sub(1));
    let mut counted = Counted::new(ctx, view, count, start, end)?;
    let mut values = Vec::with_capacity(count);
    for index in 0..count {
        let (start, end) = windows.bounds(index);
        let increase = counted.increase(ctx, start, end)?;
        values.push(increase.map_or(ABSENT, |events| events / seconds));
    }
    Ok(windows.spread(values))
}

/// A value from each window. Only functions that look at the evaluation time or a parameter differ between the
/// steps of a fixed window.
fn walked(
    ctx: &Context,
    function: WindowFunction,
    series: &Series,
    windows: &Windows,
    parameters: &[Vec<f64>],
    about: Span,
) -> Result<Vec<f64>, EvalError> {
    let count = if parameters.is_empty() { windows.distinct() } else { ctx.steps.count };
    let parted = Parted::of(ctx, series.samples);
    let floats = parted.as_ref().map_or(series.samples, |parted| &parted.floats);
    let mut slices = Slices::new(floats);
    let mut resets = rate::Resets::new(function, floats);
    let mut scratch = Vec::new();
    let mut values = Vec::with_capacity(count);
    for index in 0..count {
        let (start, end) = windows.bounds(index);
        let (from, to) = windows.reach(index);
        let samples = slices.advance(from, to);
        // Walking a window costs as much as reading it.
        ctx.guard.tick()?;
        let parameter =
            |at: usize| parameters.get(at).and_then(|values| values.get(index)).copied().unwrap_or(f64::NAN);
        let (first, second) = (parameter(0), parameter(1));
        let window = Window { samples, start, end, now: ctx.steps.at(index), parameter: first, second };
        let mut of_floats = || match function {
            _ if samples.is_empty() => Ok(None),
            WindowFunction::DoubleExponentialSmoothing => smoothing::value(&window),
            _ => Ok(value(function, &window, &mut resets, &mut scratch)),
        };
        let histograms = parted.as_ref().map_or(&[][..], |parted| parted.inside(from, to));
        let about = About { metric: series.labels.metric_name(), span: about };
        if windows.edges != Edges::Open {
            let reach = edges::Reach { floats: samples, histograms, start, end, edges: windows.edges };
            values.push(reach.value(ctx, function, &mut resets, &about)?.unwrap_or(ABSENT));
            continue;
        }
        if histograms.is_empty() {
            values.push(of_floats()?.unwrap_or(ABSENT));
            continue;
        }
        let window = native::window::Window { floats: samples, histograms, start, end };
        let given = native::window::value(ctx, function, &window, &about)?;
        values.push(given.or_floats(of_floats)?);
    }
    Ok(if count == ctx.steps.count { values } else { windows.spread(values) })
}

fn value(function: WindowFunction, window: &Window, resets: &mut rate::Resets, scratch: &mut Vec<f64>) -> Option<f64> {
    match function {
        WindowFunction::Rate
        | WindowFunction::Increase
        | WindowFunction::Delta
        | WindowFunction::Irate
        | WindowFunction::Idelta
        | WindowFunction::Changes
        | WindowFunction::Resets => rate::value(function, window, resets),
        WindowFunction::Deriv | WindowFunction::PredictLinear => regression::value(function, window),
        // It alone can fail.
        WindowFunction::DoubleExponentialSmoothing => None,
        WindowFunction::AvgOverTime
        | WindowFunction::MinOverTime
        | WindowFunction::MaxOverTime
        | WindowFunction::SumOverTime
        | WindowFunction::CountOverTime
        | WindowFunction::FirstOverTime
        | WindowFunction::LastOverTime
        | WindowFunction::PresentOverTime
        | WindowFunction::StdDevOverTime
        | WindowFunction::StdVarOverTime
        | WindowFunction::MadOverTime
        | WindowFunction::QuantileOverTime
        | WindowFunction::TsOfFirstOverTime
        | WindowFunction::TsOfLastOverTime
        | WindowFunction::TsOfMinOverTime
        | WindowFunction::TsOfMaxOverTime => over_time::value(function, window, scratch),
    }
}
