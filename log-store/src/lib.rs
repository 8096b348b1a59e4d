//! The embedded columnar log store, and the seam to other stores.
//!
//! Answers: which log lines match?

pub mod query;
pub mod document;
