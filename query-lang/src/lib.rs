//! What does a text mean, and what is its value at time t?
//!
//! One grammar, one tree, one evaluator for two spellings: the short form (`p95 latency service=api
//! over 5m`) and PromQL. The parser and the tree know nothing of storage.
//!
//! Invariants:
//! - every text is answered with a tree or an error that points into it, whatever its length or depth;
//! - the printed form of a query reads back as the same tree;
//! - all of PromQL and of the short form has an answer: the differential test leaves nothing out.

pub mod ast;
pub mod equivalent;
pub mod error;
pub mod eval;
pub mod functions;
mod parse;
mod print;
mod query;
pub mod read;
pub mod series;
pub mod shared;
mod what_is_there;

pub use equivalent::Found;
pub use error::{ParseError, ParseErrorKind};
pub use eval::{
    Answer, Asked, CancelToken, EvalError, Held, InstantValues, Limits, MatrixSeries, Notes, Outcome, PointValue,
    QuantileElsewhere, QueryMemory, SamplesByStep, SamplesRead, answer, evaluate_instant, evaluate_range,
    evaluate_shared, histogram_text,
};
pub use parse::{BRACKETS_MAX, DEPTH_MAX, TEXT_BYTES_MAX, WORDS_MAX};
pub use query::{Language, Query};
pub use read::{LocalMetrics, MetricsRead, RangeSeries, RangeSteps};
pub use shared::{SharedColumns, SharedParts};

/// Reads a query; see [`Query::parse`].
pub fn parse(text: &str) -> Result<Query, ParseError> {
    Query::parse(text)
}
