//! Which samples and records are in this line?
//!
//! Everything that takes logs in: parsers, the normaliser, HTTP endpoints, syslog listeners; and what happens to a
//! record behind the queue: it is handed to the log store, and metrics are extracted from it.
//!
//! Invariants:
//! - an answer of success is given only after the queue has made the record durable;
//! - nothing that was sent is dropped silently: what is refused is told to the sender and counted;
//! - no bytes from outside make anything here panic.

pub mod json;

pub mod draft;
pub mod formats;
pub mod id;
pub mod json_text;
pub mod names;
pub mod normalise;
pub mod timestamp;
