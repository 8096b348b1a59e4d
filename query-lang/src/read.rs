//! The seam between who asks (rules, the API) and who knows: the local engine or a remote cluster.

use std::sync::Arc;

use watchfire_engine::{Engine, FamilyInfo, MetricInfo, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};

use crate::Query;
use crate::equivalent::Found;
use crate::eval::{self, Answer, Asked, EvalError, InstantValues, Limits};
use crate::shared::SharedColumns;
use crate::what_is_there;

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

    /// The same for one of several queries that are asked at one time, with native histograms where they can be had; what the
    /// queries have in common may be computed once.
    fn instant_shared(
        &self,
        query: &Query,
        at: Timestamp,
        limits: &Limits,
        _: &SharedColumns<'_>,
    ) -> Result<InstantValues, EvalError> {
        Ok(InstantValues { values: self.instant(query, at, limits)?, ..InstantValues::default() })
    }

    /// The values at each time of a range.
    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError>;

    /// Whether answers are computed in this process, from what is in its memory or on its disk.
    fn computes_here(&self) -> bool {
        false
    }

    /// The whole answer: a value of any type, with notes.
    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError>;

    /// The PromQL that gives the same for the series that the query finds, where one exists.
    fn promql(&self, query: &Query, asked: Asked) -> Option<String>;

    /// The label sets of all series that one of the selectors finds, each once, sorted; at any time unless said.
    ///
    /// Errors: [`EvalError::Parameter`] for a selector without conditions, and what else stands in the way.
    fn series(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<LabelSet>, EvalError>;

    /// The names of labels of those series, or of all without a selector, sorted.
    fn label_names(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<String>, EvalError>;

    /// The values of a label of those series, or of all without a selector, sorted.
    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, EvalError>;

    /// The metrics whose name begins so, sorted by name.
    fn metrics(&self, prefix: &str) -> Result<Vec<MetricInfo>, EvalError>;

    /// What is known of the metric families whose name begins so, sorted by name.
    fn families(&self, prefix: &str) -> Result<Vec<FamilyInfo>, EvalError>;
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

    /// Which kind of series a query of the short form finds.
    pub fn found(&self, query: &Query, asked: Asked) -> Found {
        eval::found(query, &self.engine, asked)
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
    ) -> Result<InstantValues, EvalError> {
        eval::evaluate_shared(query, &self.engine, at, limits, shared)
    }

    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError> {
        eval::evaluate_range(query, &self.engine, steps, limits)
    }

    fn computes_here(&self) -> bool {
        true
    }

    fn answer(&self, query: &Query, asked: Asked, limits: &Limits) -> Result<Answer, EvalError> {
        eval::answer(query, &self.engine, asked, limits)
    }

    fn promql(&self, query: &Query, asked: Asked) -> Option<String> {
        query.promql_for(self.found(query, asked))
    }

    fn series(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<LabelSet>, EvalError> {
        what_is_there::series(&self.engine, selectors, range)
    }

    fn label_names(&self, selectors: &[Vec<Matcher>], range: Option<TimeRange>) -> Result<Vec<String>, EvalError> {
        Ok(what_is_there::label_names(&self.engine, selectors, range))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, EvalError> {
        Ok(what_is_there::label_values(&self.engine, name, selectors, range))
    }

    fn metrics(&self, prefix: &str) -> Result<Vec<MetricInfo>, EvalError> {
        Ok(self.engine.metrics(prefix))
    }

    fn families(&self, prefix: &str) -> Result<Vec<FamilyInfo>, EvalError> {
        Ok(self.engine.families(prefix))
    }
}
