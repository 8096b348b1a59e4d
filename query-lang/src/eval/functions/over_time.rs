//! The `…_over_time` family.

use watchfire_model::{Sample, Sum};

use super::window::Window;
use crate::eval::mean::Mean;
use crate::eval::quantile;
use crate::functions::WindowFunction;

/// `window` has at least one sample; `scratch` is reused between windows.
pub(super) fn value(function: WindowFunction, window: &Window, scratch: &mut Vec<f64>) -> Option<f64> {
    let samples = window.samples;
    let (first, last) = (samples.first()?, samples.last()?);
    let seconds = |sample: &Sample| sample.timestamp.millis() as f64 / 1000.0;
    Some(match function {
        WindowFunction::AvgOverTime => samples.iter().map(|sample| sample.value).collect::<Mean>().mean(),
        WindowFunction::SumOverTime => samples.iter().map(|sample| sample.value).collect::<Sum>().total(),
        WindowFunction::MinOverTime => extreme(samples, |value, have| value < have)?.value,
        WindowFunction::MaxOverTime => extreme(samples, |value, have| value > have)?.value,
        WindowFunction::TsOfMinOverTime => seconds(extreme(samples, |value, have| value <= have)?),
        WindowFunction::TsOfMaxOverTime => seconds(extreme(samples, |value, have| value >= have)?),
        WindowFunction::FirstOverTime => first.value,
        WindowFunction::LastOverTime => last.value,
        WindowFunction::TsOfFirstOverTime => seconds(first),
        WindowFunction::TsOfLastOverTime => seconds(last),
        WindowFunction::CountOverTime => samples.len() as f64,
        WindowFunction::StdDevOverTime => variance(samples).sqrt(),
        WindowFunction::StdVarOverTime => variance(samples),
        WindowFunction::QuantileOverTime => {
            fill(scratch, samples);
            quantile::of_values(window.parameter, scratch)
        }
        // The median of anything with a NaN is undefined.
        WindowFunction::MadOverTime if samples.iter().any(|sample| sample.value.is_nan()) => f64::NAN,
        WindowFunction::MadOverTime => {
            fill(scratch, samples);
            let median = quantile::of_values(0.5, scratch);
            scratch.iter_mut().for_each(|value| *value = (*value - median).abs());
            quantile::of_values(0.5, scratch)
        }
        _ => 1.0,
    })
}

fn fill(scratch: &mut Vec<f64>, samples: &[Sample]) {
    scratch.clear();
    scratch.extend(samples.iter().map(|sample| sample.value));
}

/// The sample that beats all before it; anything beats NaN.
fn extreme(samples: &[Sample], beats: impl Fn(f64, f64) -> bool) -> Option<&Sample> {
    let mut best = samples.first()?;
    for sample in samples {
        if beats(sample.value, best.value) || best.value.is_nan() {
            best = sample;
        }
    }
    Some(best)
}

/// Mean squared distance from the mean.
fn variance(samples: &[Sample]) -> f64 {
    let mut count = 0.0;
    let mut mean = Sum::default();
    let mut squares = Sum::default();
    for sample in samples {
        count += 1.0;
        let difference = sample.value - mean.total();
        mean.add(difference / count);
        squares.add(difference * (sample.value - mean.total()));
    }
    squares.total() / count
}
