//! Which samples and records are in this line?
//!
//! Everything that takes logs in: parsers, the normaliser, HTTP endpoints, syslog listeners; and what happens to a
//! record behind the queue: it is handed to the log store, and metrics are extracted from it.
//!
//! Invariants:
//! - an answer of success is given only after the queue has made the record durable;
//! - nothing that was sent is dropped silently: what is refused is told to the sender and counted;
//! - no bytes from outside make anything here panic.

//!
//! In reading order: [`json`] and [`draft`] (a parsed line), [`formats`], [`names`] and [`normalise`] (the canonical
//! record and its bytes), [`gather`] (from a text to batches), [`intake`] (what all ways in share), the ways in
//! ([`http`], [`syslog`], [`sources`], [`own_log`], [`own_line`]), behind the queue [`extract`] and [`consume`], and over
//! what is stored [`recount`] and [`backfill`]. Samples of Prometheus and its agents come in by `remote_write`, those of
//! OpenTelemetry by `otlp`, those of old files by `old_samples`.

pub mod backfill;
pub mod consume;
pub mod draft;
pub mod extract;
pub mod formats;
pub mod gather;
pub mod http;
pub mod id;
pub mod intake;
pub mod json;
pub mod json_text;
pub mod metrics;
pub mod names;
pub mod normalise;
mod old_samples;
mod otlp;
pub mod own_line;
pub mod own_log;
pub mod recount;
mod remote_write;
mod rooms;
pub mod sources;
pub mod syslog;
pub mod timestamp;

pub use intake::{Intake, Limits};
pub use metrics::IngestMetrics;
