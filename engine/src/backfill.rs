//! Counts and observations of the past, put in from stored logs for a metric that was not extracted then.
//!
//! They lie beside what was counted live and what came late, dated by event time: in windows and sums, not in the
//! running total, unseen by rules. A backfill replaces what backfills before it put into the same hours, so it may be
//! repeated, after a crash too, and never counts twice. Who fills gives only records that the running extraction has
//! not counted itself.

use std::io;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Timestamp};

use crate::append::{ApplyReport, Origin, Outcome};
use crate::batch::{Increment, Observation, Runs};
use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::engine::Engine;
use crate::kind::SeriesKind;
use crate::limits::bucket_second;
use crate::series::TimeRange;

const HOUR_SECONDS: u32 = 3600;

/// The numbers of some past hours of one metric.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// Its name; all numbers are of series of that name.
    pub metric: String,
    /// The hours, left end not inside. Both ends are whole hours, as a distribution keeps no finer detail of old days.
    pub range: TimeRange,
    /// Events counted, `at` when they happened; `late` says nothing here.
    pub increments: Vec<Increment>,
    /// Values of a distribution, likewise.
    pub observations: Vec<Observation>,
    /// Most series of the metric; further label sets become the one whose values are all `__overflow__`.
    pub max_series: Option<u32>,
}

/// Why nothing was put in.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The log could not be written or synced; a retry can help when the disk has room again.
    #[error("the log of the engine cannot be written: {0}")]
    Log(#[from] io::Error),
    /// The range does not begin and end with an hour, or is empty.
    #[error("a range of {start} to {end} is not of whole hours; widen it to whole hours")]
    NotWholeHours {
        /// Left end.
        start: Timestamp,
        /// Right end.
        end: Timestamp,
    },
    /// A number of another metric.
    #[error("{labels} is no series of the metric that is filled")]
    OtherMetric {
        /// Its series.
        labels: LabelSet,
    },
    /// A number that happened outside of the range.
    #[error("{at} lies outside of the range that is filled")]
    OutsideRange {
        /// When.
        at: Timestamp,
    },
}

/// Some hours of a metric, as they stand in the log: bucket seconds `after < second <= until`.
///
/// ```text
/// hours = text metric | varint after | varint until
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    pub(crate) metric: String,
    pub(crate) after: u32,
    pub(crate) until: u32,
}

impl Hours {
    fn of(metric: &str, range: TimeRange) -> Result<Hours, BackfillError> {
        let wrong = || BackfillError::NotWholeHours { start: range.start, end: range.end };
        let hour = |at: Timestamp| {
            let second = u32::try_from(at.millis().div_euclid(1000)).ok()?;
            (at.millis().rem_euclid(1000) == 0 && second.is_multiple_of(HOUR_SECONDS)).then_some(second)
        };
        match (hour(range.start), hour(range.end)) {
            (Some(after), Some(until)) if after < until => Ok(Hours { metric: metric.to_owned(), after, until }),
            _ => Err(wrong()),
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.metric.as_bytes());
        put_varint(out, u64::from(self.after));
        put_varint(out, u64::from(self.until));
    }

    pub(crate) fn read(cursor: &mut Cursor) -> Result<Hours, Damaged> {
        let hours =
            Hours { metric: cursor.text()?.to_owned(), after: cursor.varint_u32()?, until: cursor.varint_u32()? };
        let whole = hours.after.is_multiple_of(HOUR_SECONDS) && hours.until.is_multiple_of(HOUR_SECONDS);
        if whole && hours.after < hours.until { Ok(hours) } else { Err(Damaged("a backfill is not of whole hours")) }
    }

    fn check(&self, labels: &LabelSet, at: Timestamp) -> Result<(), BackfillError> {
        let second = bucket_second(at);
        if labels.get(METRIC_NAME) != Some(&self.metric) {
            Err(BackfillError::OtherMetric { labels: labels.clone() })
        } else if second <= self.after || second > self.until {
            Err(BackfillError::OutsideRange { at })
        } else {
            Ok(())
        }
    }
}

impl Engine {
    /// Puts numbers into past hours of a metric in place of all that backfills put there before, as one record of the
    /// log: all of it or nothing. Durable when this returns. Single points are refused as the report says (older than
    /// the retention, no number, no room).
    ///
    /// Oldest hours first is cheapest. Errors: see [`BackfillError`]; nothing has changed then.
    pub fn backfill(&self, backfill: &Backfill) -> Result<ApplyReport, BackfillError> {
        let hours = Hours::of(&backfill.metric, backfill.range)?;
        let mut runs = Runs::new(self.now());
        for Increment { labels, at, count, .. } in &backfill.increments {
            hours.check(labels, *at)?;
            runs.point(SeriesKind::Increments, labels, true, *at, *count);
        }
        for Observation { labels, at, value, .. } in &backfill.observations {
            hours.check(labels, *at)?;
            runs.point(SeriesKind::Distribution, labels, true, *at, *value);
        }
        let batch = runs.batch;
        let mut outcome = Outcome::default();
        let lsn = {
            let _ordered = self.positions.lock();
            let mut targets = self.resolve_all(&batch, &|_| backfill.max_series);
            self.commit(&batch, &mut targets, Origin::Backfill(&hours), &mut outcome)?
        };
        if let Some(lsn) = lsn {
            self.wal.sync_to(lsn)?;
        }
        self.count(&outcome);
        Ok(outcome.into_apply_report())
    }
}
