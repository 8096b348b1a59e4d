//! What an embedded queue may use, and where it lives.

use std::path::PathBuf;
use std::time::Duration;

/// Bytes of disk that a kept dedup key takes in its sidecar file.
const KEY_DISK_BYTES: u64 = crate::sidecar::ENTRY_BYTES as u64;
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Settings of an [`EmbeddedQueue`](crate::EmbeddedQueue). [`QueueConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// The folder; made if it is absent. One process at a time may hold it.
    pub dir: PathBuf,
    /// Most bytes of disk for segments and keys together; appends that would exceed it are refused. At least 1 MiB.
    pub disk_limit_bytes: u64,
    /// Size at which a new segment file begins. At most a quarter of the disk limit is used, so that released
    /// segments can always make room; a batch must fit into one segment.
    pub segment_bytes: u64,
    /// How long a key is remembered, milliseconds.
    pub dedup_window_ms: i64,
    /// Most keys that are remembered; the oldest go first. So many as fit into an eighth of the disk limit are used.
    pub dedup_keys_max: usize,
    /// How long a commit waits for callers that the last commits have shown to be there. A single caller never waits,
    /// and nobody waits when all of them are back; else it costs this much at most and saves a sync.
    pub gather_max: Duration,
    /// Most bytes of committed records kept in memory for readers that keep up; the others read from files.
    pub tail_bytes: usize,
    /// Most bytes of appends that wait for their commit; further callers wait before they are taken in.
    pub in_flight_bytes: usize,
    /// Called at the named places of the write path, so that crash tests can die there.
    pub failpoint: fn(&'static str),
}

impl QueueConfig {
    /// The defaults: 10 GiB of disk, segments of 64 MiB, keys for 24 hours and at most 4 million of them.
    pub fn new(dir: impl Into<PathBuf>) -> QueueConfig {
        QueueConfig {
            dir: dir.into(),
            disk_limit_bytes: 10 << 30,
            segment_bytes: 64 << 20,
            dedup_window_ms: 24 * 3600 * 1000,
            dedup_keys_max: 4_000_000,
            gather_max: Duration::from_millis(1),
            tail_bytes: 32 << 20,
            in_flight_bytes: 64 << 20,
            failpoint: |_| {},
        }
    }

    /// The segment size that is used under the disk limit.
    pub(crate) fn effective_segment_bytes(&self) -> u64 {
        self.segment_bytes.min(self.disk_limit_bytes / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    }

    /// Whether segments are smaller than they should be, as the disk limit is small.
    pub(crate) fn is_segment_cut(&self) -> bool {
        self.effective_segment_bytes() < self.segment_bytes
    }

    /// Most bytes of checkpoints: each segment names all of them once.
    pub(crate) fn checkpoint_bytes_max(&self) -> usize {
        usize::try_from(self.effective_segment_bytes() / 8).unwrap_or(usize::MAX)
    }

    /// The number of keys that is used under the disk limit.
    pub(crate) fn effective_keys_max(&self) -> usize {
        let fitting = self.disk_limit_bytes / 8 / KEY_DISK_BYTES;
        self.dedup_keys_max.min(usize::try_from(fitting).unwrap_or(usize::MAX)).min(1 << 30)
    }
}
