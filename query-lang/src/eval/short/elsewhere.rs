//! `pNN M …` over the samples of a store elsewhere: PromQL has no word for a quantile over the samples of several series, so
//! the store is asked for the samples.

use watchfire_model::{LabelSet, Sample, Timestamp};

use crate::ast::{Expr, MatrixSelector, QUANTILE_WINDOW_MS, ShortQuantile};
use crate::eval::answer::{Asked, MatrixSeries, Outcome, PointValue};
use crate::eval::column::Places;
use crate::eval::context::Steps;
use crate::eval::limits::{EvalError, Guard, Limits};
use crate::eval::window::Slices;
use crate::eval::{grid, quantile};
use crate::query::Query;

/// A quantile of samples that are not here.
pub struct QuantileElsewhere<'q> {
    node: &'q ShortQuantile,
    window_ms: i64,
    asked: Asked,
    steps: Steps,
}

impl Query {
    /// How `pNN M …` is asked of the samples of another store; `None` for all other queries.
    ///
    /// Errors: the range makes no sense, or has too many steps.
    pub fn quantile_elsewhere(
        &self,
        asked: Asked,
        limits: &Limits,
    ) -> Result<Option<QuantileElsewhere<'_>>, EvalError> {
        let Expr::ShortQuantile(node) = self.root() else { return Ok(None) };
        let steps = match asked {
            Asked::Instant(at) => Steps { start: at.millis(), step: 1, count: 1 },
            Asked::Range(range) => grid(range, limits)?,
        };
        let window_ms = node.scope.over_ms.unwrap_or(QUANTILE_WINDOW_MS);
        Ok(Some(QuantileElsewhere { node, window_ms, asked, steps }))
    }
}

impl QuantileElsewhere<'_> {
    /// The samples of all its windows as a range selector of PromQL, and the time to ask for that.
    pub fn samples(&self) -> (String, Timestamp) {
        let selector = self.node.scope.selector.clone();
        let (span, last) = (selector.span, self.steps.last());
        let range_ms = last.saturating_sub(self.steps.start).saturating_add(self.window_ms);
        let range = Expr::Matrix(MatrixSelector { selector, range_ms, range_expr: None, span });
        (range.to_string(), Timestamp::from_millis(last))
    }

    /// The quantiles of these samples, which ascend in time.
    ///
    /// Errors: limits.
    pub fn of(&self, found: Vec<MatrixSeries>, limits: &Limits) -> Result<Outcome, EvalError> {
        let guard = Guard::new(limits);
        let mut places = Places::default();
        let mut pools: Vec<(LabelSet, Vec<Vec<Sample>>)> = Vec::new();
        for MatrixSeries { labels, values, .. } in found {
            guard.samples(values.len())?;
            guard.reserve(values.len() * size_of::<Sample>())?;
            let pool = labels.retain(|name| self.node.scope.by.iter().any(|label| label == name));
            let (place, is_new) = places.place(&pool);
            if is_new {
                pools.push((pool, Vec::new()));
            }
            let sample = |(timestamp, value)| Sample { timestamp, value };
            pools[place].1.push(values.into_iter().map(sample).collect());
        }
        pools.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut series = Vec::with_capacity(pools.len());
        for (labels, pool) in pools {
            let values = self.of_pool(&pool, &guard)?;
            if !values.is_empty() {
                series.push(MatrixSeries { labels, values, ..MatrixSeries::default() });
            }
        }
        Ok(match self.asked {
            Asked::Range(_) => Outcome::Matrix(series),
            Asked::Instant(_) => {
                let one = |MatrixSeries { labels, values, .. }| {
                    values.first().map(|(_, value)| (labels, PointValue::Float(*value)))
                };
                Outcome::Vector(series.into_iter().filter_map(one).collect())
            }
        })
    }

    /// The quantile of all samples of each window that has any.
    fn of_pool(&self, pool: &[Vec<Sample>], guard: &Guard) -> Result<Vec<(Timestamp, f64)>, EvalError> {
        let mut windows: Vec<Slices> = pool.iter().map(|samples| Slices::new(samples)).collect();
        let (mut values, mut in_window) = (Vec::new(), Vec::new());
        for end in self.steps.times() {
            let start = end.saturating_sub(self.window_ms);
            in_window.clear();
            for samples in &mut windows {
                in_window.extend(samples.advance(start, end).iter().map(|sample| sample.value));
            }
            // Ordering the numbers costs about as much as reading them.
            guard.samples(in_window.len() / 8)?;
            if !in_window.is_empty() {
                let value = quantile::of_values(self.node.quantile(), &mut in_window);
                values.push((Timestamp::from_millis(end), value));
            }
        }
        Ok(values)
    }
}
