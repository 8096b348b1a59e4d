//! The seam between who asks (rules, the API) and who knows: the local engine or a remote cluster.

use std::sync::Arc;

use watchfire_engine::Engine;
use watchfire_model::{LabelSet, Timestamp};

use crate::Query;
use crate::eval::{self, Answer, Asked, EvalError, Limits};
use crate::shared::SharedColumns;

/// The times of a range evaluation: `start`, `start + step`, … up to and including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSteps {
    /// First time.
    pub start: Timestamp,
    /// No time is later.
    pub end: Timestamp,
    /// Distance, milliseconds; positive.
    pub step_ms: i64,
}

/// One series of a range result: its labels and a value for each time at which it has one.
pub type RangeSeries = (LabelSet, Vec<(Timestamp, f64)>);

/// Evaluates queries. Calls block (the local engine computes, a remote cluster is asked over HTTP),
/// so async code calls it on threads for CPU work.
pub trait MetricsRead: Send + Sync {
    /// The values at one time; a scalar is one value without labels.
    fn instant(&self, query: &Query, at: Timestamp, limits: &Limits) -> Result<Vec<(LabelSet, f64)>, EvalError>;

    /// The same for one of several queries that are asked at one time; what they have in common may be computed once.
    fn instant_shared(
        &self,
        query: &Query,
        at: Timestamp,
        limits: &Limits,
        shared: &SharedColumns<'_>,
    ) -> Result<Vec<(LabelSet, f64)>, EvalError>;

    /// The values at each time of a range.
    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError>;

    /// The whole answer: a value of any type, with notes.
    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError>;

    /// The PromQL that gives the same for the series that the query finds, where one exists.
    fn promql(&self, query: &Query, at: Timestamp) -> Option<String>;
}

/// Evaluates on the engine of this process.
#[derive(Clone)]
pub struct LocalMetrics {
    engine: Arc<Engine>,
}

impl LocalMetrics {
    /// An adapter of this engine.
    pub fn new(engine: Arc<Engine>) -> LocalMetrics {
        LocalMetrics { engine }
    }
}

impl MetricsRead for LocalMetrics {
    fn instant(&self, query: &Query, at: Timestamp, limits: &Limits) -> Result<Vec<(LabelSet, f64)>, EvalError> {
        eval::evaluate_instant(query, &self.engine, at, limits)
    }

    fn instant_shared(
        &self,
        query: &Query,
        at: Timestamp,
        limits: &Limits,
        shared: &SharedColumns<'_>,
    ) -> Result<Vec<(LabelSet, f64)>, EvalError> {
        eval::evaluate_shared(query, &self.engine, at, limits, shared)
    }

    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError> {
        eval::evaluate_range(query, &self.engine, steps, limits)
    }

    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        eval::answer(query, &self.engine, asked, limits)
    }

    fn promql(&self, query: &Query, at: Timestamp) -> Option<String> {
        query.promql_for(eval::found(query, &self.engine, at))
    }
}
