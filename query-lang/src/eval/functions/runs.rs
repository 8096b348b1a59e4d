//! Functions of all samples of a window, for many windows at once: those of a run lie one sample behind each other, so that
//! the same sample of each of them stands in a row. Each window's samples are taken in their order, as when it is walked
//! alone, and so the values are the same to the last bit.

use watchfire_model::Sum;

use super::regression::Line;
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::eval::mean::Mean;
use crate::eval::spans::Run;

/// Windows that are taken at once: what is known of them stays near the processor.
const AT_ONCE: usize = 256;

/// Sums of some windows, reused from run to run.
#[derive(Default)]
pub(super) struct Sums {
    sums: Vec<f64>,
    rests: Vec<f64>,
}

impl Sums {
    /// Sums of nothing.
    fn clear(&mut self, many: usize) {
        for column in [&mut self.sums, &mut self.rests] {
            column.clear();
            column.resize(many, 0.0);
        }
    }

    /// Adds a value to each.
    #[inline]
    fn add(&mut self, values: impl Iterator<Item = f64>) {
        for ((sum, rest), value) in self.sums.iter_mut().zip(&mut self.rests).zip(values) {
            let mut of = Sum { sum: *sum, rest: *rest };
            of.add(value);
            (*sum, *rest) = (of.sum, of.rest);
        }
    }

    fn each(&self) -> impl Iterator<Item = Sum> {
        self.sums.iter().zip(&self.rests).map(|(sum, rest)| Sum { sum: *sum, rest: *rest })
    }
}

/// `max_over_time`, `min_over_time`: the first of the largest or smallest; anything beats NaN.
pub(super) fn extremes(
    ctx: &Context,
    run: &Run,
    values: &[f64],
    beats: impl Fn(f64, f64) -> bool,
    out: &mut [f64],
) -> Result<(), EvalError> {
    for run in run.parts(AT_ONCE) {
        let best = &mut out[run.step..][..run.many];
        best.copy_from_slice(run.at_first(values, 0));
        for at in 1..run.samples() {
            ctx.guard.tick()?;
            for (best, value) in best.iter_mut().zip(run.at_first(values, at)) {
                *best = if beats(*value, *best) | best.is_nan() { *value } else { *best };
            }
        }
    }
    Ok(())
}

/// `sum_over_time`
pub(super) fn sums(
    ctx: &Context,
    run: &Run,
    values: &[f64],
    sums: &mut Sums,
    out: &mut [f64],
) -> Result<(), EvalError> {
    for run in run.parts(AT_ONCE) {
        if run.many == 1 {
            ctx.guard.tick()?;
            out[run.step] = values[run.from..run.to].iter().copied().collect::<Sum>().total();
            continue;
        }
        sums.clear(run.many);
        for at in 0..run.samples() {
            ctx.guard.tick()?;
            sums.add(run.at_first(values, at).iter().copied());
        }
        let results = out[run.step..][..run.many].iter_mut();
        results.zip(sums.each()).for_each(|(result, sum)| *result = sum.total());
    }
    Ok(())
}

/// `avg_over_time`
pub(super) fn means(
    ctx: &Context,
    run: &Run,
    values: &[f64],
    sums: &mut Sums,
    out: &mut [f64],
) -> Result<(), EvalError> {
    let count = run.samples() as f64;
    for run in run.parts(AT_ONCE) {
        if run.many == 1 {
            ctx.guard.tick()?;
            out[run.step] = values[run.from..run.to].iter().copied().collect::<Mean>().mean();
            continue;
        }
        sums.clear(run.many);
        sums.sums.copy_from_slice(run.at_first(values, 0));
        for at in 1..run.samples() {
            ctx.guard.tick()?;
            sums.add(run.at_first(values, at).iter().copied());
        }
        for ((step, samples), sum) in run.windows().zip(sums.each()) {
            out[step] = if sum.sum.is_finite() {
                sum.sum / count + sum.rest / count
            } else {
                // A sum that is too large has a mean all the same.
                values[samples].iter().copied().collect::<Mean>().mean()
            };
        }
    }
    Ok(())
}

/// Lines through the windows of a run, whose samples lie at the same times `xs` (seconds) from the origin of their window.
pub(super) fn lines(
    ctx: &Context,
    run: &Run,
    xs: &[f64],
    values: &[f64],
    (ys, xys): (&mut Sums, &mut Sums),
    mut found: impl FnMut(usize, Line),
) -> Result<(), EvalError> {
    let count = xs.len() as f64;
    let (mut x, mut xx) = (Sum::default(), Sum::default());
    for at in xs {
        x.add(*at);
        xx.add(at * at);
    }
    for run in run.parts(AT_ONCE) {
        ys.clear(run.many);
        xys.clear(run.many);
        if run.many == 1 {
            ctx.guard.tick()?;
            let (mut y, mut xy) = (Sum::default(), Sum::default());
            for (x, value) in xs.iter().zip(&values[run.from..run.to]) {
                y.add(*value);
                xy.add(x * value);
            }
            (ys.sums[0], ys.rests[0], xys.sums[0], xys.rests[0]) = (y.sum, y.rest, xy.sum, xy.rest);
        } else {
            for (at, x) in xs.iter().enumerate() {
                ctx.guard.tick()?;
                let row = run.at_first(values, at);
                ys.add(row.iter().copied());
                xys.add(row.iter().map(|value| x * value));
            }
        }
        for ((step, samples), (y, xy)) in run.windows().zip(ys.each().zip(xys.each())) {
            let constant = values[samples.start];
            let line = match values[samples].iter().all(|value| *value == constant) {
                true => Line::level(constant),
                false => Line::of_sums(count, (x, xx), (y, xy)),
            };
            found(step, line);
        }
    }
    Ok(())
}
