//! What the engine is told when it starts.

use std::path::PathBuf;

/// Settings of an engine; they do not change while it runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Folder of the log and the snapshots; it belongs to one process at a time.
    pub dir: PathBuf,
    /// Number of shards, a power of two.
    pub shards: usize,
    /// The window that stays in memory, milliseconds; what has left it goes to blocks on disk. When memory is short, younger
    /// numbers go there too, and of observations seconds and tens, which have no blocks, are dropped with a warning.
    pub memory_ms: i64,
    /// Numbers older than this are dropped, milliseconds.
    pub retention_ms: i64,
    /// Memory for series and their numbers, bytes. Past it the oldest numbers leave memory first, those of the last hour
    /// excepted, then new series are refused.
    pub memory_limit_bytes: usize,
    /// Most series. When there are nearly as many, those that have been quiet for longest go (samples for an hour at least,
    /// counts for a day); when none is, new ones are refused.
    pub max_series: usize,
    /// Most labels of a series, the metric name included.
    pub labels_per_series: usize,
    /// Bytes of names and values for each label that a series may have; one may take what all may.
    pub label_bytes: usize,
    /// A sample may be this much older than the newest one of its series, milliseconds.
    pub out_of_order_ms: i64,
    /// A sample may be this far in the future, milliseconds.
    pub future_ms: i64,
    /// A file of the log is followed by the next one at this size, bytes.
    pub segment_bytes: u64,
    /// A snapshot is taken when the log since the last one is longer than this and than a quarter of that snapshot, bytes.
    pub snapshot_log_bytes: u64,
    /// Somebody will follow the log from this record on: it is kept until [`Engine::let_go_of_log`].
    ///
    /// [`Engine::let_go_of_log`]: crate::Engine::let_go_of_log
    pub log_held_from: Option<u64>,
    /// What is acknowledged survives a power cut. Off only where the folder is thrown away at the end: syncing takes longer
    /// than everything else.
    pub is_durable: bool,
}

impl EngineConfig {
    /// The defaults, with the data in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> EngineConfig {
        const HOUR_MS: i64 = 3_600_000;
        EngineConfig {
            dir: dir.into(),
            shards: 16,
            memory_ms: 24 * HOUR_MS,
            retention_ms: 15 * 24 * HOUR_MS,
            memory_limit_bytes: 1 << 30,
            max_series: 1_000_000,
            labels_per_series: 64,
            label_bytes: 4096,
            out_of_order_ms: 600_000,
            future_ms: 600_000,
            segment_bytes: 64 << 20,
            snapshot_log_bytes: 64 << 20,
            log_held_from: None,
            is_durable: true,
        }
    }
}
