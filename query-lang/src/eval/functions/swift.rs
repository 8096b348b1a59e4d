//! The functions that dashboards and rules ask most, over columns: a series' windows lie where those of the series before it
//! lay, mostly, and what depends on times only is then known already. Each value is what the walk from window to window gives,
//! to the last bit.

use watchfire_engine::{Columns, SeriesView};
use watchfire_model::sample::is_stale;

use super::rate::{Resets, SURE, Stretch, ends, stretch};
use super::runs::{self, Sums};
use crate::eval::column::is_absent;
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::source;
use crate::eval::spans::{Run, Spans};
use crate::eval::window::{Selected, Windows};
use crate::functions::WindowFunction;

/// A function of the windows of one selector.
pub(super) struct Swift {
    kind: Kind,
    spans: Spans,
    columns: Columns,
    /// For each step what its window's times decide.
    steps: Steps,
    /// For each sample how many pairs of samples up to it count.
    pairs: Vec<f64>,
    /// Room for sums, and for the distances of a window's samples from its origin.
    sums: (Sums, Sums),
    xs: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `rate`, `increase`, `delta`.
    Change { is_counter: bool, per_second: bool },
    /// `irate`, `idelta`.
    LastTwo { per_second: bool },
    /// `resets`, `changes`.
    Pairs { falls_only: bool },
    /// `max_over_time`, `min_over_time`.
    Extreme { is_largest: bool },
    /// `sum_over_time`, `avg_over_time`.
    Sum { is_mean: bool },
    /// `deriv`, `predict_linear`: so many seconds ahead, if a number is given.
    Line { is_predicted: bool },
}

/// Of `Change`: the factor of a change that is not stretched to zero, the way to the start and the time between the outer
/// samples, seconds. Of `LastTwo`: the time between both, seconds.
#[derive(Default)]
struct Steps {
    factors: Vec<f64>,
    to_start: Vec<f64>,
    sampled: Vec<f64>,
}

impl Swift {
    /// `None` for what has to be walked.
    pub fn of(function: WindowFunction, windows: &Windows, steps: usize) -> Option<Swift> {
        let kind = match function {
            WindowFunction::Rate => Kind::Change { is_counter: true, per_second: true },
            WindowFunction::Increase => Kind::Change { is_counter: true, per_second: false },
            WindowFunction::Delta => Kind::Change { is_counter: false, per_second: false },
            WindowFunction::Irate => Kind::LastTwo { per_second: true },
            WindowFunction::Idelta => Kind::LastTwo { per_second: false },
            WindowFunction::Changes => Kind::Pairs { falls_only: false },
            WindowFunction::Resets => Kind::Pairs { falls_only: true },
            WindowFunction::MaxOverTime => Kind::Extreme { is_largest: true },
            WindowFunction::MinOverTime => Kind::Extreme { is_largest: false },
            WindowFunction::SumOverTime => Kind::Sum { is_mean: false },
            WindowFunction::AvgOverTime => Kind::Sum { is_mean: true },
            WindowFunction::Deriv => Kind::Line { is_predicted: false },
            WindowFunction::PredictLinear => Kind::Line { is_predicted: true },
            _ => return None,
        };
        (windows.is_plain() && windows.distinct() == steps).then(|| Swift {
            kind,
            spans: Spans::default(),
            columns: Columns::default(),
            steps: Steps::default(),
            pairs: Vec::new(),
            sums: Default::default(),
            xs: Vec::new(),
        })
    }

    /// Replaces `out` by the values of a series, and says how many steps have one; `None` for a series that has to be walked.
    pub fn values(
        &mut self,
        ctx: &Context,
        selected: &Selected,
        view: &SeriesView,
        parameters: &[Vec<f64>],
        out: &mut Vec<f64>,
    ) -> Result<Option<usize>, EvalError> {
        let Selected { windows, start, end, .. } = selected;
        let Some(has_nan) = source::columns(ctx, view, *start, *end, &mut self.columns)? else { return Ok(None) };
        if has_nan {
            self.columns.retain(|value| !is_stale(value));
        }
        let is_new = self.spans.find(self.columns.times(), windows.distinct(), |step| windows.bounds(step));
        self.spans.clear(out);
        match self.kind {
            Kind::Change { is_counter, per_second } => {
                if is_new {
                    self.steps.stretch(&self.spans, self.columns.times(), windows, per_second);
                }
                self.changes(windows, is_counter, per_second, out);
            }
            Kind::LastTwo { per_second } => {
                if is_new {
                    self.steps.last_two(&self.spans, self.columns.times(), windows.distinct());
                }
                self.last_two(per_second, out);
            }
            Kind::Pairs { falls_only } => self.count_pairs(falls_only, out),
            Kind::Extreme { is_largest: true } => {
                self.each_run(|_, run, values| runs::extremes(ctx, run, values, |value, best| value > best, out))?;
            }
            Kind::Extreme { is_largest: false } => {
                self.each_run(|_, run, values| runs::extremes(ctx, run, values, |value, best| value < best, out))?;
            }
            Kind::Sum { is_mean: true } => {
                self.each_run(|sums, run, values| runs::means(ctx, run, values, &mut sums.0, out))?;
            }
            Kind::Sum { is_mean: false } => {
                self.each_run(|sums, run, values| runs::sums(ctx, run, values, &mut sums.0, out))?;
            }
            Kind::Line { is_predicted } => {
                let ahead = is_predicted.then(|| parameters.first().map_or(&[][..], |ahead| ahead));
                self.lines(ctx, ahead, out)?;
            }
        }
        // With enough samples there always is a value; that is how most series are.
        let needed = match self.kind {
            Kind::Change { .. } | Kind::LastTwo { .. } | Kind::Line { .. } => 2,
            Kind::Pairs { .. } | Kind::Extreme { .. } | Kind::Sum { .. } => 1,
        };
        let is_full = self.spans.all_hold(needed);
        Ok(Some(if is_full { out.len() } else { out.iter().filter(|value| !is_absent(**value)).count() }))
    }

    fn each_run(
        &mut self,
        mut each: impl FnMut(&mut (Sums, Sums), &Run, &[f64]) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let Swift { spans, columns, sums, .. } = self;
        spans.runs().iter().try_for_each(|run| each(sums, run, columns.values()))
    }

    /// Slopes of the lines through the windows, or with `ahead` where each will be after so many seconds from its step.
    fn lines(&mut self, ctx: &Context, ahead: Option<&[f64]>, out: &mut [f64]) -> Result<(), EvalError> {
        let Swift { spans, columns, sums: (ys, xys), xs, .. } = self;
        let times = columns.times();
        // Slopes count from the first sample, what is to come from the step.
        let origin = |run: &Run| if ahead.is_some() { ctx.steps.at(run.step) } else { times[run.from] };
        let is_even = |run: &Run| {
            let all = &times[run.from..run.to + run.many - 1];
            let distance = all[1] - all[0];
            (ahead.is_none() || distance == ctx.steps.step)
                && all.windows(2).fold(true, |even, pair| even & (pair[1] - pair[0] == distance))
        };
        for run in spans.runs().iter().filter(|run| run.samples() >= 2) {
            let at_once = if run.many == 1 || is_even(run) { run.many } else { 1 };
            for run in run.parts(at_once) {
                let origin = origin(&run);
                xs.clear();
                xs.extend(times[run.from..run.to].iter().map(|time| seconds(time - origin)));
                runs::lines(ctx, &run, xs, columns.values(), (ys, xys), |step, line| {
                    out[step] = match ahead {
                        None => line.slope,
                        Some(ahead) => line.slope * ahead.get(step).copied().unwrap_or(f64::NAN) + line.at_origin,
                    };
                })?;
            }
        }
        Ok(())
    }

    fn changes(&self, windows: &Windows, is_counter: bool, per_second: bool, out: &mut [f64]) {
        let values = self.columns.values();
        let falls = is_counter && values.windows(2).fold(false, |any, pair| any | (pair[1] < pair[0]));
        let mut resets = if falls { Resets::of_columns(self.columns.times(), values) } else { Resets::default() };
        let Steps { factors, to_start, sampled } = &self.steps;
        for run in self.spans.runs().iter().filter(|run| run.samples() >= 2) {
            let steps = run.step..run.step + run.many;
            let (first, last) = (run.at_first(values, 0), run.at_end(values, 1));
            let factors = &factors[steps.clone()];
            let results = &mut out[steps.clone()];
            if !is_counter {
                for (((result, factor), first), last) in results.iter_mut().zip(factors).zip(first).zip(last) {
                    *result = (last - first) * factor;
                }
                continue;
            }
            let (to_start, sampled) = (&to_start[steps.clone()], &sampled[steps]);
            let mut near_zero = false;
            for at in 0..run.many {
                let change = last[at] - first[at];
                near_zero |= is_near_zero(first[at], change, to_start[at], sampled[at]);
                results[at] = change * factors[at];
            }
            if falls || near_zero {
                self.corrected(run, windows, per_second, &mut resets, out);
            }
        }
    }

    /// The changes of a counter that began again, or may have begun at zero within the window.
    fn corrected(&self, run: &Run, windows: &Windows, per_second: bool, resets: &mut Resets, out: &mut [f64]) {
        let (times, values) = (self.columns.times(), self.columns.values());
        let Steps { factors, to_start, sampled } = &self.steps;
        for (step, samples) in run.windows() {
            let (from, to) = (samples.start, samples.end - 1);
            let change = resets.corrected(values[to] - values[from], times[from], times[to]);
            out[step] = change
                * if is_near_zero(values[from], change, to_start[step], sampled[step]) {
                    let (start, end) = windows.bounds(step);
                    let factor = stretch(&Stretch {
                        first_at: times[from],
                        last_at: times[to],
                        many: samples.len(),
                        start,
                        end,
                        counter: Some((values[from], change)),
                    });
                    if per_second { factor / seconds(end - start) } else { factor }
                } else {
                    factors[step]
                };
        }
    }

    fn last_two(&self, per_second: bool, out: &mut [f64]) {
        let values = self.columns.values();
        for run in self.spans.runs().iter().filter(|run| run.samples() >= 2) {
            let steps = run.step..run.step + run.many;
            let (before, last) = (run.at_end(values, 2), run.at_end(values, 1));
            let lengths = &self.steps.factors[steps.clone()];
            for (((result, length), before), last) in out[steps].iter_mut().zip(lengths).zip(before).zip(last) {
                let was_reset = per_second & (last < before);
                let change = if was_reset { *last } else { last - before };
                *result = if per_second { change / length } else { change };
            }
        }
    }

    fn count_pairs(&mut self, falls_only: bool, out: &mut [f64]) {
        let values = self.columns.values();
        let mut many = 0.0;
        self.pairs.clear();
        self.pairs.extend(values.first().map(|_| 0.0));
        self.pairs.extend(values.windows(2).map(|pair| {
            let counts = if falls_only {
                pair[1] < pair[0]
            } else {
                pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan())
            };
            many += f64::from(u8::from(counts));
            many
        }));
        for run in self.spans.runs() {
            let (first, last) = (run.at_first(&self.pairs, 0), run.at_end(&self.pairs, 1));
            let results = &mut out[run.step..][..run.many];
            for ((result, first), last) in results.iter_mut().zip(first).zip(last) {
                *result = last - first;
            }
        }
    }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// Whether a counter may have been zero after the start to which its change is stretched: then that goes less far.
#[inline]
fn is_near_zero(first: f64, change: f64, to_start: f64, sampled: f64) -> bool {
    (change > 0.0) & (first >= 0.0) & (sampled * first <= to_start * change * SURE)
}

impl Steps {
    fn stretch(&mut self, spans: &Spans, times: &[i64], windows: &Windows, per_second: bool) {
        self.clear(windows.distinct());
        // Where samples are as regular as steps, all windows are alike.
        let (mut shape_before, mut made) = (None, (f64::NAN, f64::NAN, f64::NAN));
        for run in spans.runs().iter().filter(|run| run.samples() >= 2) {
            for (step, samples) in run.windows() {
                let (start, end) = windows.bounds(step);
                let (first_at, last_at) = (times[samples.start], times[samples.end - 1]);
                let shape = (first_at - start, last_at - first_at, end - last_at, samples.len());
                if shape_before != Some(shape) {
                    shape_before = Some(shape);
                    let of = Stretch { first_at, last_at, many: samples.len(), start, end, counter: None };
                    let factor = stretch(&of);
                    let (to_start, _, sampled) = ends(&of);
                    made = (if per_second { factor / seconds(end - start) } else { factor }, to_start, sampled);
                }
                (self.factors[step], self.to_start[step], self.sampled[step]) = made;
            }
        }
    }

    fn last_two(&mut self, spans: &Spans, times: &[i64], steps: usize) {
        self.clear(steps);
        for run in spans.runs().iter().filter(|run| run.samples() >= 2) {
            for (step, samples) in run.windows() {
                self.factors[step] = seconds(times[samples.end - 1] - times[samples.end - 2]);
            }
        }
    }

    fn clear(&mut self, steps: usize) {
        for column in [&mut self.factors, &mut self.to_start, &mut self.sampled] {
            column.clear();
            column.resize(steps, f64::NAN);
        }
    }
}
