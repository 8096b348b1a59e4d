//! What is measured, a scenario per file.

pub mod burst;
pub mod churn;
pub mod data;
pub mod day;
pub mod latency;
pub mod single;
pub mod start;
pub mod sustained;
