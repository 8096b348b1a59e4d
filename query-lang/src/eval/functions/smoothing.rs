//! `double_exponential_smoothing`: a level and a trend that follow the samples, each by a share of its own.

use super::window::Window;
use crate::eval::limits::EvalError;

/// The level after the last sample; the parameters are the shares of the level and of the trend.
pub(super) fn value(window: &Window) -> Result<Option<f64>, EvalError> {
    for (name, share) in [("smoothing", window.parameter), ("trend", window.second)] {
        if share <= 0.0 || share >= 1.0 {
            let reason = format!("the {name} factor must lie between 0 and 1, and is {share}");
            return Err(EvalError::Parameter { reason });
        }
    }
    let (level_share, trend_share) = (window.parameter, window.second);
    let [first, second, ..] = window.samples else { return Ok(None) };
    let (mut before, mut level) = (0.0, first.value);
    let mut trend = second.value - first.value;
    for (at, sample) in window.samples.iter().skip(1).enumerate() {
        if at > 0 {
            trend = trend_share * (level - before) + (1.0 - trend_share) * trend;
        }
        let next = level_share * sample.value + (1.0 - level_share) * (level + trend);
        (before, level) = (level, next);
    }
    Ok(Some(level))
}
