//! The words every other crate speaks: times, labels, matchers, samples, histograms, log records, alerts.
//!
//! Knows no IO, no async, no JSON and no configuration. A type enters when three crates need it.
//!
//! Invariants:
//! - a [`LabelSet`] is sorted by name, names are unique, no value is empty;
//! - a [`Timestamp`] is milliseconds since the Unix epoch, UTC;
//! - the bytes that [`record::RecordWriter`] makes are read back by [`record::RecordView`] unchanged.

pub mod alert;
pub mod failpoint;
pub mod histogram;
pub mod labels;
pub mod level;
pub mod matcher;
pub mod nearest;
pub mod re2;
pub mod record;
pub mod sample;
pub mod service;
pub mod short;
pub mod sum;
pub mod text;
pub mod time;
pub mod uuid;

pub use alert::{Alert, AlertState};
pub use histogram::{Histogram, HistogramSum, ResetHint};
pub use labels::{LabelError, LabelSet};
pub use level::Level;
pub use matcher::{MatchOp, Matcher, MatcherBudget, MatcherError};
pub use nearest::nearest;
pub use record::{LogRecord, RecordReader, RecordView, RecordWriter, Value};
pub use sample::Sample;
pub use service::service_of_file;
pub use sum::Sum;
pub use time::Timestamp;
