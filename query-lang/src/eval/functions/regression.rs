//! `deriv` and `predict_linear`: the straight line of least squares.

use watchfire_model::{Sample, Sum};

use super::window::Window;
use crate::functions::WindowFunction;

pub(super) fn value(function: WindowFunction, window: &Window) -> Option<f64> {
    let [first, _, ..] = window.samples else { return None };
    if function == WindowFunction::Deriv {
        return Some(line(window.samples, first.timestamp.millis()).slope);
    }
    let line = line(window.samples, window.now);
    Some(line.slope * window.parameter + line.at_origin)
}

struct Line {
    /// Per second.
    slope: f64,
    at_origin: f64,
}

/// The line of least squares; times count from `origin`, milliseconds.
fn line(samples: &[Sample], origin: i64) -> Line {
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let x = (sample.timestamp.millis() - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(sample.value);
        xy_sum.add(x * sample.value);
        xx_sum.add(x * x);
    }
    let constant = samples.first().map_or(0.0, |sample| sample.value);
    if samples.iter().all(|sample| sample.value == constant) {
        return if constant.is_infinite() {
            Line { slope: f64::NAN, at_origin: f64::NAN }
        } else {
            Line { slope: 0.0, at_origin: constant }
        };
    }
    let count = samples.len() as f64;
    let (x, y) = (x_sum.total(), y_sum.total());
    let covariance = xy_sum.total() - x * y / count;
    let variance = xx_sum.total() - x * x / count;
    let slope = covariance / variance;
    Line { slope, at_origin: y / count - slope * x / count }
}
