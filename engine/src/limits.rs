//! What bounds the times of points.

use watchfire_model::Timestamp;

/// Why one point was not taken. The rest of its batch was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// The series has a sample with this time and another value.
    #[error("the series has another value at this time already")]
    DuplicateTimestamp,
    /// Older than the series' newest sample by more than the out-of-order window.
    #[error(
        "out of order: older than the newest sample of its series by more than 10 minutes; backfill it with \
         `watchfire import metrics`"
    )]
    OutOfOrder,
    /// Older than the retention.
    #[error("too old: older than the retention")]
    TooOld,
    /// Further in the future than is accepted.
    #[error("too far in the future; check the clock of the sender")]
    TooFarInFuture,
    /// The engine holds as many series as it may.
    #[error("the limit of series is reached; drop labels with many values or raise `metrics.max_series`")]
    SeriesLimit,
    /// The engine uses as much memory as it may.
    #[error("the memory for series is used up; raise `metrics.memory_limit`")]
    MemoryLimit,
    /// The metric is counted from logs and takes no samples under its name, or none under labels that are counted.
    #[error(
        "a metric of that name is derived from logs here; choose another name, or for what was counted elsewhere other labels"
    )]
    KindMismatch,
    /// A count or an observation that is no number, or a negative count.
    #[error("the value is no number that can be counted")]
    NotCountable,
    /// More labels, or longer ones, than a series may have.
    #[error(
        "the label set is too large: more labels than `limits.labels_per_series`, or texts of more than 4 KiB for each of those"
    )]
    LabelsTooLarge,
}

impl Rejection {
    /// All reasons, in the order of `index`.
    pub const ALL: [Rejection; 9] = [
        Rejection::DuplicateTimestamp,
        Rejection::OutOfOrder,
        Rejection::TooOld,
        Rejection::TooFarInFuture,
        Rejection::SeriesLimit,
        Rejection::MemoryLimit,
        Rejection::KindMismatch,
        Rejection::NotCountable,
        Rejection::LabelsTooLarge,
    ];

    /// The reason as a label value: `duplicate_timestamp`, `out_of_order`…
    pub const fn as_str(self) -> &'static str {
        match self {
            Rejection::DuplicateTimestamp => "duplicate_timestamp",
            Rejection::OutOfOrder => "out_of_order",
            Rejection::TooOld => "too_old",
            Rejection::TooFarInFuture => "too_far_in_future",
            Rejection::SeriesLimit => "series_limit",
            Rejection::MemoryLimit => "memory_limit",
            Rejection::KindMismatch => "kind_mismatch",
            Rejection::NotCountable => "not_countable",
            Rejection::LabelsTooLarge => "labels_too_large",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Times that are accepted at one moment, milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBounds {
    pub(crate) oldest: i64,
    pub(crate) latest: i64,
    pub(crate) out_of_order_ms: i64,
}

impl TimeBounds {
    /// Bounds that accept everything: what was accepted once and is replayed.
    pub(crate) const ALL: TimeBounds = TimeBounds { oldest: i64::MIN, latest: i64::MAX, out_of_order_ms: i64::MAX };

    pub(crate) fn check(&self, at: i64) -> Result<(), Rejection> {
        if at < self.oldest {
            Err(Rejection::TooOld)
        } else if at > self.latest {
            Err(Rejection::TooFarInFuture)
        } else {
            Ok(())
        }
    }
}

/// The second whose bucket holds an event: buckets cover `(e - 1 s, e]` and are named by their end.
/// Clamped to what a bucket's number can say (1970 to 2106).
pub(crate) fn bucket_second(at: Timestamp) -> u32 {
    let up = at.millis().div_euclid(1000) + i64::from(at.millis().rem_euclid(1000) != 0);
    u32::try_from(up.max(0)).unwrap_or(u32::MAX)
}
