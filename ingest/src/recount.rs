//! Counts stored records again, and compares with what was counted as they came.
//!
//! Every record of the range goes through the extraction rules in force a second time; those from before a rule was in
//! force are left alone, as then. So what differs is a loss or a double count, or a rule, or `metrics.late_after`, that
//! was changed within the range.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use watchfire_engine::{Engine, OVERFLOW, SelectError, SourcePosition, TimeRange};
use watchfire_log_store::embedded::VisitRange;
use watchfire_log_store::{EmbeddedStore, TimeRange as LogRange};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, Timestamp};

use crate::consume::Counted;
use crate::extract::Extractor;

/// Records that go through the rules together.
const BATCH: usize = 1024;
/// Series told per metric, the largest differences first.
const SERIES_MAX: usize = 20;
/// By so much sums of fractions may differ, as a share of them.
const ROUNDING: f64 = 1e-9;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Recount {
    /// Records counted again.
    pub records: u64,
    /// Blocks that could not be read: their records are missing in what is stored.
    pub damaged_blocks: u64,
    /// Every counter, by name.
    pub metrics: Vec<MetricRecount>,
}

/// A counter.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRecount {
    /// Its name.
    pub metric: String,
    /// What the stored records give.
    pub stored: f64,
    /// What was counted.
    pub counted: f64,
    /// Whether all of the range is still in the engine.
    pub whole: bool,
    /// Series that differ, the largest difference first, at most 20; none where series were folded.
    pub series: Vec<SeriesRecount>,
}

/// A series that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesRecount {
    /// Its labels.
    pub labels: LabelSet,
    /// What the stored records give.
    pub stored: f64,
    /// What was counted.
    pub counted: f64,
}

impl MetricRecount {
    /// How much more was counted than is stored.
    pub fn difference(&self) -> f64 {
        difference(self.stored, self.counted)
    }

    /// Whether the sums and all series agree.
    pub fn agrees(&self) -> bool {
        self.difference() == 0.0 && self.series.is_empty()
    }
}

fn difference(stored: f64, counted: f64) -> f64 {
    let difference = counted - stored;
    if difference.abs() <= ROUNDING * stored.abs().max(counted.abs()) { 0.0 } else { difference }
}

/// Of the metrics of rules, the records that they have counted as they came. What is not in it counts always.
pub type Live = BTreeMap<String, Counted>;

/// Counts what was accepted in a range of whole seconds, its left end not inside. `pace` is called after every
/// thousand records or so; it may sleep, or say that it is enough: then there is no answer. Blocks.
///
/// The range should end a little before now, when all that was accepted by then is stored and counted.
///
/// Errors: the engine refuses to be asked.
pub fn recount(
    store: &EmbeddedStore,
    engine: &Engine,
    extractor: &mut Extractor,
    live: &Live,
    range: TimeRange,
    pace: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Option<Recount>, SelectError> {
    let mut enough = false;
    let mut stored = Stored::new(extractor, live, range);
    // Log ranges have their left end inside.
    let accepted = LogRange { start: range.start.plus_millis(1), end: range.end.plus_millis(1) };
    let report = store.visit(VisitRange { event: LogRange::ALL, accepted }, &mut |seq, record| {
        let mut bytes = Vec::with_capacity(512);
        record.encode(&mut bytes);
        stored.push(seq, bytes);
        if stored.batch.len() == BATCH {
            stored.add_up();
            enough = pace().is_break();
        }
        if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if enough {
        return Ok(None);
    }
    stored.add_up();
    let Stored { extractor, mut sums, .. } = stored;
    let names = extractor.counters();
    let metrics = names.into_iter().map(|metric| {
        let series = sums.remove(&metric).unwrap_or_default();
        compare(engine, metric, series, range)
    });
    Ok(Some(Recount {
        records: report.records,
        damaged_blocks: report.damaged_blocks,
        metrics: metrics.collect::<Result<_, _>>()?,
    }))
}

/// What the stored records give.
struct Stored<'e> {
    extractor: &'e mut Extractor,
    live: &'e Live,
    /// Where rules came into force or went, ascending.
    edges: Vec<u64>,
    range: TimeRange,
    batch: Vec<Vec<u8>>,
    /// One of the batch, which all are between the same edges.
    seq: u64,
    /// Metric → series → sum.
    sums: BTreeMap<String, BTreeMap<LabelSet, f64>>,
}

impl<'e> Stored<'e> {
    fn new(extractor: &'e mut Extractor, live: &'e Live, range: TimeRange) -> Stored<'e> {
        let mut edges: Vec<u64> = live.values().flat_map(Counted::edges).collect();
        edges.sort_unstable();
        Stored { extractor, live, edges, range, batch: Vec::new(), seq: 0, sums: BTreeMap::new() }
    }

    fn push(&mut self, seq: u64, record: Vec<u8>) {
        let part = |seq: u64| self.edges.partition_point(|edge| *edge <= seq);
        if part(seq) != part(self.seq) {
            self.add_up();
        }
        self.seq = seq;
        self.batch.push(record);
    }

    fn add_up(&mut self) {
        let nowhere = SourcePosition { queue: String::new(), epoch: 0, partition: 0, first_offset: 0, next_offset: 0 };
        let (derived, _) = self.extractor.extract(nowhere, self.batch.iter().map(Vec::as_slice));
        self.batch.clear();
        let is_live = |at: Timestamp| self.range.start < at && at <= self.range.end;
        for increment in derived.increments.into_iter().filter(|increment| !increment.late && is_live(increment.at)) {
            let metric = increment.labels.get(METRIC_NAME).unwrap_or_default().to_owned();
            if self.live.get(&metric).is_some_and(|counted| !counted.contains(self.seq)) {
                continue;
            }
            *self.sums.entry(metric).or_default().entry(increment.labels).or_default() += increment.count;
        }
    }
}

fn compare(
    engine: &Engine,
    metric: String,
    mut stored: BTreeMap<LabelSet, f64>,
    range: TimeRange,
) -> Result<MetricRecount, SelectError> {
    let all = engine.counted(&metric, range)?;
    let is_folded = |labels: &LabelSet| labels.iter().any(|(name, value)| name != METRIC_NAME && value == OVERFLOW);
    let folded = all.iter().any(|series| is_folded(&series.labels));
    let mut recount = MetricRecount {
        // Of nothing, `sum` makes a negative zero.
        stored: stored.values().fold(0.0, |sum, count| sum + count),
        counted: all.iter().fold(0.0, |sum, series| sum + series.live),
        whole: all.iter().all(|series| series.whole),
        series: Vec::new(),
        metric,
    };
    if folded {
        // Which series were folded depends on which came first.
        return Ok(recount);
    }
    for series in all {
        let stored = stored.remove(&series.labels).unwrap_or_default();
        recount.series.push(SeriesRecount { labels: series.labels, stored, counted: series.live });
    }
    recount.series.extend(stored.into_iter().map(|(labels, stored)| SeriesRecount { labels, stored, counted: 0.0 }));
    recount.series.retain(|series| difference(series.stored, series.counted) != 0.0);
    recount.series.sort_by(|a, b| {
        let size = |series: &SeriesRecount| (series.counted - series.stored).abs();
        size(b).total_cmp(&size(a))
    });
    recount.series.truncate(SERIES_MAX);
    Ok(recount)
}
