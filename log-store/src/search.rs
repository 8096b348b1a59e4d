//! What a search asks for, and what it gets.

use std::time::Duration;

use watchfire_model::{LogRecord, Timestamp};

use crate::cursor::Cursor;
use crate::query::{Field, Query};

/// Event times from `start` (included) to `end` (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First time inside.
    pub start: Timestamp,
    /// First time after it.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange =
        TimeRange { start: Timestamp::from_millis(i64::MIN), end: Timestamp::from_millis(i64::MAX) };

    /// Whether `at` is inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// Which hit comes first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first, by (event time, seq).
    #[default]
    NewestFirst,
    /// Oldest first, by (event time, seq).
    OldestFirst,
    /// By the numeric value of a field; records without one come last, equal ones newest first. No cursors.
    ByField {
        /// The field.
        field: Field,
        /// Largest first.
        descending: bool,
    },
}

/// A search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// What must be true of a record.
    pub query: Query,
    /// Of which event times.
    pub range: TimeRange,
    /// Hits to return at most.
    pub limit: usize,
    /// Hits to leave out first (after the cursor, if there is one).
    pub offset: usize,
    /// Where the page before ended; only with an order by time, and the query, range and order of that page.
    pub cursor: Option<Cursor>,
    /// The moment that times relative to now were taken from; the cursor carries it to the next page.
    pub now: Timestamp,
    /// Which hits come first.
    pub order: Order,
    /// Whether all matches are counted. If not, only as much is looked at as the page needs (with an order by time):
    /// total, levels and bars are then those of the blocks looked at, and of no use.
    pub with_totals: bool,
    /// Bars of the histogram at most; 0 for none.
    pub buckets: usize,
    /// Time after which the search is given up.
    pub time_limit: Duration,
    /// Memory for hits and decoded columns, bytes.
    pub memory_limit_bytes: usize,
}

impl SearchRequest {
    /// The newest 100 records that match, with default limits (30 s, 256 MiB).
    pub fn new(query: Query, range: TimeRange) -> SearchRequest {
        SearchRequest {
            query,
            range,
            limit: 100,
            offset: 0,
            cursor: None,
            now: Timestamp::default(),
            order: Order::NewestFirst,
            with_totals: true,
            buckets: 0,
            time_limit: Duration::from_secs(30),
            memory_limit_bytes: 256 << 20,
        }
    }
}

impl SearchRequest {
    /// The same for the same question over the same range of time: what a cursor belongs to, beside the order.
    pub fn fingerprint(&self) -> u64 {
        let TimeRange { start, end } = self.range;
        let text = format!("{} {} {}", start.millis(), end.millis(), self.query);
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }
}

/// A record found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its sequence number: the offset in the queue.
    pub seq: u64,
    /// All of it.
    pub record: LogRecord,
}

/// Counts over event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Where the first bar begins, milliseconds since the epoch; a multiple of the step.
    pub start_ms: i64,
    /// Width of a bar.
    pub step_ms: i64,
    /// The bars from `start_ms` on, without gaps.
    pub buckets: Vec<Bucket>,
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Records in it.
    pub total: u64,
    /// By level number.
    pub levels: [u64; 8],
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResponse {
    /// Records that match, on all pages.
    pub total: u64,
    /// False if a block of the range is damaged, as far as the search has met that or it is known, or records may be missing that
    /// the queue has lost.
    pub total_exact: bool,
    /// This page.
    pub hits: Vec<Hit>,
    /// For the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// If buckets were asked for.
    pub histogram: Option<Histogram>,
    /// Matching records by level number.
    pub levels: [u64; 8],
    /// What it took.
    pub cost: SearchCost,
}

/// What a search took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SearchCost {
    /// Blocks in the range of time, open chunks included.
    pub blocks: u64,
    /// Blocks that could not be read in full and were left out, or whose records are counted and cannot all be read; reported,
    /// never silent.
    pub damaged_blocks: u64,
    /// Bytes read from disk.
    pub read_bytes: u64,
    /// Bytes after decoding.
    pub decoded_bytes: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It took too long.
    #[error("the search took longer than {} ms; narrow the time range or the query", limit.as_millis())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// Nobody waits for it any more.
    #[error("the search was cancelled")]
    Cancelled,
    /// Hits, columns or groups need more memory than allowed.
    #[error("the search needs more than {limit} bytes of memory; ask for fewer records or groups at once")]
    Memory {
        /// The limit, bytes.
        limit: usize,
    },
    /// A cursor with an order by field.
    #[error("a cursor walks by time only; use `offset` with `sort`")]
    CursorWithSort,
    /// A cursor of another query, range or order.
    #[error("this cursor belongs to another search; pass it with the same q, filters, range and order")]
    CursorMismatch,
    /// Steps of time that are too many, or no width at all.
    #[error("the range has more than {limit} steps of this width; choose a larger step or a shorter range")]
    Steps {
        /// The limit.
        limit: usize,
    },
    /// Figures of too many groups and times.
    #[error("the answer has more than {limit} rows; choose a larger step, a shorter range or a smaller limit")]
    Rows {
        /// The limit.
        limit: usize,
    },
    /// The store is closed, or a remote one is away.
    #[error("the log store is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl SearchError {
    /// Whether the same search may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, SearchError::TimedOut { .. } | SearchError::Unavailable { .. })
    }
}
