//! Settings and reports of the embedded store.

use std::path::PathBuf;

use watchfire_model::Timestamp;

/// Settings of the embedded store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Its folder; made if it is not there.
    pub dir: PathBuf,
    /// Days of event time that are kept.
    pub retention_days: u32,
    /// Disk space for sealed blocks, bytes; past it the oldest days go.
    pub disk_limit_bytes: u64,
    /// Where records are written as compressed NDJSON before they are dropped; `None`: nowhere. Made if it is not there.
    pub archive_dir: Option<PathBuf>,
    /// Rows of a full block. In `1..=1_000_000`.
    pub block_rows: usize,
    /// Record bytes of a full block, should they come to this before the rows do.
    pub block_bytes: usize,
    /// Age at which the open block is sealed though it is not full, milliseconds since its first record came in.
    pub seal_age_ms: i64,
    /// Full blocks that may wait to be sealed; past it appending waits.
    pub pending_blocks_max: usize,
    /// Threads for searches, in each of their lanes.
    pub search_threads: usize,
    /// Memory for the directories of blocks read from disk, bytes.
    pub cache_bytes: usize,
}

impl StoreConfig {
    /// 30 days, 50 GiB, blocks of 65,536 rows or a minute, a search thread per core and lane.
    pub fn new(dir: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig {
            dir: dir.into(),
            retention_days: 30,
            disk_limit_bytes: 50 << 30,
            archive_dir: None,
            block_rows: 65_536,
            block_bytes: 64 << 20,
            seal_age_ms: 60_000,
            pending_blocks_max: 2,
            search_threads: std::thread::available_parallelism().map_or(2, |threads| threads.get()),
            cache_bytes: 64 << 20,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AppendReport {
    /// Records that a search finds from now on.
    pub appended: u64,
    /// Records that were there already.
    pub skipped: u64,
    /// Records that cannot be read; they are left out and counted.
    pub damaged: u64,
    /// Records below this offset are visible.
    pub visible_offset: u64,
}

/// Why a batch could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Sealing does not keep up, or cannot write. Nothing of the rest of the batch was taken; the same batch may be
    /// given again.
    #[error("full blocks that wait to be written: {pending}{}; try again", reason.as_deref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Behind {
        /// Full blocks that wait.
        pending: usize,
        /// What the last write failed with, if it failed.
        reason: Option<String>,
    },
    /// The store was closed.
    #[error("the log store is closed")]
    Closed,
}

/// What a column takes on disk, in all sealed blocks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ColumnSize {
    /// `message`, `service`, `fields.duration_ms`…; in brackets what no record names.
    pub name: String,
    /// Records that have a value.
    pub values: u64,
    /// Bytes of values.
    pub bytes: u64,
    /// Bytes of filters.
    pub filter_bytes: u64,
}

/// How the store stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Records that a search finds, sealed or not.
    pub records: u64,
    /// Records in sealed blocks.
    pub sealed_records: u64,
    /// Sealed blocks.
    pub sealed_blocks: u64,
    /// Bytes of sealed blocks on disk.
    pub disk_bytes: u64,
    /// Memory of what is not sealed, about, bytes.
    pub open_bytes: u64,
    /// Full blocks that wait to be sealed.
    pub pending_blocks: u64,
    /// Records that could not be read when they were appended.
    pub damaged_records_total: u64,
    /// Blocks sealed since the start.
    pub sealed_blocks_total: u64,
    /// Merges since the start.
    pub merges_total: u64,
    /// Attempts to seal, merge or drop that failed.
    pub write_errors_total: u64,
    /// What sealing, merging, dropping or the archive fails with, until it succeeds.
    pub last_write_error: Option<String>,
    /// When all that was due by time (dropping what is too old or too much, merging) was last done; not while the archive fails.
    pub last_upkeep: Option<Timestamp>,
    /// Records dropped because they were older than the retention.
    pub expired_records_total: u64,
    /// Records dropped early because the disk limit was reached.
    pub dropped_records_total: u64,
    /// Records written into the archive.
    pub archived_records_total: u64,
    /// Blocks that the start found missing or cut, or of which a search or a merge has met a damaged part; as long as they are
    /// among those that are searched.
    pub damaged_blocks: Vec<PathBuf>,
    /// Records that were accepted and never came, as the queue's files were damaged; as long as they would be kept.
    pub lost_records: u64,
    /// Manifests found damaged at the start, and made anew: 0 or 1.
    pub damaged_manifests: u64,
    /// Event time of the oldest record, milliseconds.
    pub oldest_ms: Option<i64>,
    /// Event time of the newest record, milliseconds.
    pub newest_ms: Option<i64>,
    /// Records below this offset are visible.
    pub visible_offset: u64,
    /// The queue must be replayed from here.
    pub sealed_offset: u64,
}
