//! Which samples does this series hold between these times?
//!
//! A synchronous, sharded, in-memory time-series store with a write-ahead log. Three kinds of series: *samples*
//! (values or native histograms at times, by Prometheus' rules), *increments* (events counted per second, exact) and
//! *distributions* (histograms of observations per interval).
//!
//! Invariants:
//! - what `append_samples` reports as accepted is durable; what `apply` takes is one record of the log together
//!   with the offsets that it was derived from, so a replay neither loses nor doubles a count;
//! - a series is in exactly one shard, by the hash of its label set; at most one shard lock is held at a time, and
//!   locks are taken in the order positions, exemplars, log, shard, series, samples that rest;
//! - times within a series ascend strictly; a posting list names exactly the series that carry its pair;
//! - the engine reads no clock: time comes with the call.
//!
//! Modules in reading order: [`Engine`] in `engine`, `append`, `runs`, `select`, `view`; then `registry`, `shard`, `fingerprint`,
//! `latest`, `pairs`, `postings`, `values`, `slots`, `automaton`, `matching`; the numbers in `samples`, `increments`, `cumulative`,
//! `distribution`, `natives`, `chunk`, `columns`, `exemplars`; the disk in `wal`,
//! `snapshot`, `recovery`, `losses`, `entering`, `forms`, `resting`, `blocks`; `cores`; who sends on what was taken in follows the log in `tail`; housekeeping in `prune` and `crowding`;
//! `backup`, `backfill`, `delete` and `counted` for who looks after the data.

mod append;
mod automaton;
mod backfill;
mod backup;
mod batch;
mod blocks;
mod bytes;
mod cardinality;
mod catalogue;
mod chunk;
mod columns;
mod config;
mod cores;
mod counted;
mod crowding;
mod cumulative;
mod delete;
mod distribution;
mod engine;
mod entering;
mod exemplars;
mod fingerprint;
mod forms;
mod increments;
mod key;
mod kind;
mod known;
mod latest;
mod limits;
mod losses;
mod matching;
mod natives;
mod notes;
mod paged;
mod pairs;
mod positions;
mod postings;
mod prefetch;
mod prune;
mod recovery;
mod registry;
mod resting;
mod runs;
mod samples;
mod select;
mod series;
mod shard;
mod slots;
mod snapshot;
mod stats;
mod tail;
mod values;
mod view;
mod wal;

pub use append::{AppendError, AppendReport, ApplyError, ApplyReport};
pub use backfill::{Backfill, BackfillError};
pub use backup::BackupReport;
pub use batch::{BatchSeries, Derived, GaugeSample, Increment, Observation, SampleBatch, SeriesHandle, SourcePosition};
pub use bytes::Damaged;
pub use cardinality::Cardinality;
pub use catalogue::{FamilyInfo, MetricInfo};
pub use chunk::Codec;
pub use columns::Columns;
pub use config::EngineConfig;
pub use counted::CountedSeries;
pub use delete::DeleteError;
pub use distribution::{Distribution, DistributionWindow};
pub use engine::{Engine, OpenError};
pub use exemplars::{Exemplar, SeriesExemplars};
pub use kind::{FamilyType, MetricType, SeriesKind};
pub use known::{KnownSeries, Spelling, Spellings};
pub use limits::Rejection;
pub use notes::Said;
pub use recovery::RecoveryReport;
pub use registry::OVERFLOW;
pub use select::{OneByOne, SelectError};
pub use series::TimeRange;
pub use stats::{EngineStats, LossStats};
pub use tail::{Follow, LogPosition, LogTail, Step};
pub use view::{SeriesView, in_turn};
pub use wal::segment::Damage;
