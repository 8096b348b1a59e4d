//! Fills the past of a metric whose extraction rule is new, from stored records, hour by hour.

use std::ops::ControlFlow;

use watchfire_engine::{Backfill, BackfillError, Engine, SourcePosition, TimeRange};
use watchfire_log_store::embedded::VisitRange;
use watchfire_log_store::{EmbeddedStore, TimeRange as LogRange};
use watchfire_model::{LogRecord, Timestamp};

use crate::consume::Counted;
use crate::extract::Extractor;

const HOUR_MS: i64 = 3_600_000;
/// Records that go through the rule together.
const BATCH: usize = 1024;
/// Values of one hour that are in memory at most.
const HOUR_VALUES_MAX: usize = 20_000_000;

/// What was filled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Filled {
    /// Hours that were filled anew.
    pub hours: u64,
    /// Records looked at.
    pub records: u64,
    /// Records left alone, because they were counted as they came.
    pub counted_before: u64,
    /// Numbers put in: values of a distribution, and counts, those of one series and second as one.
    pub filled: u64,
    /// Numbers that the engine did not take: too old, or no room.
    pub refused: u64,
    /// Blocks that could not be read.
    pub damaged_blocks: u64,
}

/// Why filling stopped; the hours before are filled, and it may be called again.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] BackfillError),
    /// An hour has more values than there is memory for.
    #[error("the hour until {until} has more than {HOUR_VALUES_MAX} values; make the rule's `where` narrower")]
    TooMany {
        /// Its end.
        until: Timestamp,
    },
}

/// Fills the hours that lie in, or reach into, a range. `extractor` has only the metric's rules and dates by event time
/// ([`Extractor::of_the_past`]); `counted` are the records that were counted as they came. May be repeated: what a backfill put there before is replaced. Blocks.
///
/// Errors: see [`FillError`].
pub fn backfill(
    store: &EmbeddedStore,
    engine: &Engine,
    extractor: &mut Extractor,
    (metric, max_series): (&str, u32),
    counted: &Counted,
    range: TimeRange,
) -> Result<Filled, FillError> {
    let mut filled = Filled::default();
    let mut from = range.start.millis().div_euclid(HOUR_MS) * HOUR_MS;
    while from < range.end.millis() {
        let (start, end) = (Timestamp::from_millis(from), Timestamp::from_millis(from + HOUR_MS));
        let hour = TimeRange { start, end };
        let mut past = Hour::new(extractor, metric, max_series, hour);
        // Log ranges have their left end inside.
        let event = LogRange { start: start.plus_millis(1), end: end.plus_millis(1) };
        let report = store.visit(VisitRange { event, accepted: LogRange::ALL }, &mut |seq, record| {
            if counted.contains(seq) {
                filled.counted_before += 1;
                return ControlFlow::Continue(());
            }
            past.push(record)
        });
        filled.records += report.records;
        filled.damaged_blocks += report.damaged_blocks;
        if past.put(engine, &mut filled)? {
            filled.hours += 1;
        }
        from += HOUR_MS;
    }
    Ok(filled)
}

/// An hour being gathered.
struct Hour<'e> {
    extractor: &'e mut Extractor,
    batch: Vec<Vec<u8>>,
    past: Backfill,
    overflows: bool,
}

impl<'e> Hour<'e> {
    fn new(extractor: &'e mut Extractor, metric: &str, max_series: u32, range: TimeRange) -> Hour<'e> {
        let past = Backfill {
            metric: metric.to_owned(),
            range,
            increments: Vec::new(),
            observations: Vec::new(),
            max_series: Some(max_series),
        };
        Hour { extractor, batch: Vec::new(), past, overflows: false }
    }

    fn push(&mut self, record: &LogRecord) -> ControlFlow<()> {
        let mut bytes = Vec::with_capacity(512);
        record.encode(&mut bytes);
        self.batch.push(bytes);
        if self.batch.len() == BATCH {
            self.extract();
        }
        if self.overflows { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn extract(&mut self) {
        let nowhere = SourcePosition { queue: String::new(), epoch: 0, partition: 0, first_offset: 0, next_offset: 0 };
        let (derived, _) = self.extractor.extract(nowhere, self.batch.iter().map(Vec::as_slice));
        self.batch.clear();
        self.past.increments.extend(derived.increments);
        self.past.observations.extend(derived.observations);
        self.overflows = self.past.increments.len() + self.past.observations.len() > HOUR_VALUES_MAX;
    }

    /// Hands the hour over, an empty one too: an earlier backfill may have left something there. True if there was
    /// something in it.
    fn put(mut self, engine: &Engine, filled: &mut Filled) -> Result<bool, FillError> {
        self.extract();
        if self.overflows {
            return Err(FillError::TooMany { until: self.past.range.end });
        }
        let report = engine.backfill(&self.past)?;
        let offered = (self.past.increments.len() + self.past.observations.len()) as u64;
        let refused = report.rejected.iter().map(|(_, points)| points).sum();
        filled.refused += refused;
        filled.filled += offered.saturating_sub(refused);
        Ok(offered > 0)
    }
}
