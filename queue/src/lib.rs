//! The queue: give me the next batch; I am done with it. It does not know what the bytes mean.
//!
//! The embedded queue is a log in segment files. Appends of all callers are committed in groups: one write, one
//! fdatasync, then all answers. What holds always:
//!
//! - An `Ok` of [`EmbeddedQueue::append`] means that the records survive a power failure; readers see nothing else.
//! - Offsets ascend without gaps, are never given twice, and a batch lies in one piece, or is not there at all.
//! - Where a source stands ([`Checkpoint`]) becomes durable together with the records that it covers, or neither does.
//! - A record whose key was seen within a day (or among the newest four million keys) is stored once, also across
//!   restarts and the deletion of the record, and also while the first one is still in flight.
//! - Disk and memory are bounded: appends beyond the disk limit are refused until consumers release records, appends
//!   beyond the memory limit wait.
//! - After a failed write or sync nothing is built on the page cache: the next commit begins a new file.
//! - A flipped byte loses the records of its frame, which are counted, and nothing else.
//!
//! Reading order: [`batch`](Batch), `frame` (the layout on disk), `checkpoint` (where sources stand), `plan` (what one commit holds), `commit` (its
//! thread), `log` (what readers see), `reader`, `walk` (frames in files), `recovery`, `janitor` (deletion),
//! `sidecar` and `state_file`, `dedup`, [`port`](Queue).

mod batch;
mod checkpoint;
mod commit;
mod config;
mod consumers;
mod dedup;
mod disk;
mod embedded;
mod error;
mod frame;
mod janitor;
mod log;
mod plan;
mod port;
mod reader;
mod recovery;
mod shared;
mod sidecar;
mod state_file;
mod walk;

// The helpers of the tests serve inner and outer ones.
#[cfg(test)]
extern crate self as watchfire_queue;
#[cfg(test)]
mod tests;

pub use batch::{Batch, DedupKey, Records};
pub use checkpoint::{CHECKPOINT_KEY_BYTES_MAX, CHECKPOINT_VALUE_BYTES_MAX, Checkpoint};
pub use config::QueueConfig;
pub use embedded::{DISK_LIMIT_MIN, EmbeddedQueue, QueueStats};
pub use error::{AppendError, Damage, OpenError, ReadError, RecoveryReport, TornTail};
pub use port::{Batches, BoxFuture, Positions, Queue};
pub use reader::{ReadBatch, Reader};
pub use shared::{Appended, Duplicate};
