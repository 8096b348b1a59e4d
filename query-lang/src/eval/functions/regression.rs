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

/// The line of least squares through some samples.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Per second.
    pub slope: f64,
    pub at_origin: f64,
}

impl Line {
    /// Of samples that all have one value.
    pub fn level(value: f64) -> Line {
        match value.is_infinite() {
            true => Line { slope: f64::NAN, at_origin: f64::NAN },
            false => Line { slope: 0.0, at_origin: value },
        }
    }

    /// Of so many samples, from the sums of their distances `x` from the origin (seconds), of the squares of those, of the
    /// values, and of the products of both.
    pub fn of_sums(count: f64, (x, xx): (Sum, Sum), (y, xy): (Sum, Sum)) -> Line {
        let (x, y) = (x.total(), y.total());
        let covariance = xy.total() - x * y / count;
        let variance = xx.total() - x * x / count;
        let slope = covariance / variance;
        Line { slope, at_origin: y / count - slope * x / count }
    }
}

/// Times count from `origin`, milliseconds.
fn line(samples: &[Sample], origin: i64) -> Line {
    let constant = samples.first().map_or(0.0, |sample| sample.value);
    if samples.iter().all(|sample| sample.value == constant) {
        return Line::level(constant);
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let x = (sample.timestamp.millis() - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(sample.value);
        xy_sum.add(x * sample.value);
        xx_sum.add(x * x);
    }
    Line::of_sums(samples.len() as f64, (x_sum, xx_sum), (y_sum, xy_sum))
}
