//! The seam between who asks (rules, the API) and who knows: the local engine or a remote cluster.

use watchfire_model::{LabelSet, Timestamp};

use crate::Query;
use crate::eval::{EvalError, Limits};

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

    /// The values at each time of a range.
    fn range(&self, query: &Query, steps: RangeSteps, limits: &Limits) -> Result<Vec<RangeSeries>, EvalError>;

    /// The PromQL that gives the same for the series that the query finds, where one exists.
    fn promql(&self, query: &Query, at: Timestamp) -> Option<String>;
}
