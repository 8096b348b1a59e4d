//! What does another cluster answer to this query?
//!
//! `metrics.backend`: rules, the short form and the pages ask any server that speaks Prometheus' HTTP API (VictoriaMetrics, Mimir, Thanos)
//! instead of the local engine.
//!
//! Invariants:
//! - an answer is read within bounds, in bytes and in time, and no byte of it makes this panic;
//! - what the cluster cannot know (distributions) is answered by the local engine, and what neither can is refused by name.
//!
//! Modules in reading order: [`Cluster`] in `cluster`, which implements the seam of queries; `ask` makes a request, `reply` reads its
//! answer.

mod ask;
mod cluster;
mod reply;

pub use ask::Address;
pub use cluster::Cluster;
