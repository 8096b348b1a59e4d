//! Which queries were evaluated, and which scrapes got no answer?
//!
//! Prometheus' `query_log_file` and `scrape_failure_log_file`: files that are appended to, a JSON object in each line,
//! with Prometheus' keys.
//!
//! Invariants:
//! - who writes a line waits for no disk, and nothing of theirs fails because it cannot be written: that is counted;
//! - what waits to be written is bounded in bytes;
//! - a reload opens every file anew, so that one that was renamed is let go.
//!
//! Modules in reading order: [`JsonLogs`] in `logs`, a file in `file`; the lines in [`query`] and [`scrape`].

mod file;
mod logs;
pub mod query;
pub mod scrape;

pub use logs::{JsonLogs, OpenError, Opened};
