//! Which samples does another server not have yet?
//!
//! Prometheus' `remote_write`: what the engine has taken in is read again from its log, sorted to shards by series, packed and
//! sent, by remote-write 1.0 or 2.0, until the receiver has answered. Running totals of what is counted from logs are added at
//! fixed times, as a scrape would see them.
//!
//! Invariants:
//! - a sample is settled when its receiver took it or refused it for good, and only then a restart does not read it again;
//! - each shard has one request under way, and a series is always in one shard: its samples arrive in their order;
//! - after a kill at any moment at most one request of each shard is sent again;
//! - memory is bounded: by the shards' queues, and by the names of the series that the log uses at the time.
//!
//! Modules in reading order: [`config`]; [`RemoteWrite`] in `remote_write`; a destination's thread in `feeder`, with where it
//! stands in `place` and `checkpoint`, what it reads in `reading` and `totals`, and when it needs more shards in `scale`; a shard in
//! `shard`, with what it sends in `batch`, `labels` and `encode`, and how in `send`; what people see in [`stats`].

mod batch;
mod checkpoint;
pub mod config;
mod encode;
mod feeder;
mod labels;
mod place;
mod reading;
mod remote_write;
mod scale;
mod send;
mod shard;
pub mod stats;
mod totals;

pub use remote_write::{CountedUntil, RemoteWrite};
