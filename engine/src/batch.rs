//! What is handed to the engine: samples that were pushed, and numbers derived from logs.

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Histogram, LabelError, LabelSet, Timestamp};

use crate::exemplars::Exemplar;
use crate::key;
use crate::kind::{MetricType, SeriesKind};
use crate::known::{KnownSeries, Spelling};
use crate::series::Series;

/// Where derived numbers come from. Together with them it is one record of the engine's log, so that a replay
/// of the queue changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourcePosition {
    /// Name of the queue.
    pub queue: String,
    /// The life of the queue's folder; offsets of different epochs are different records.
    pub epoch: u64,
    /// Partition of the queue, 0 for the embedded one.
    pub partition: u32,
    /// First offset that the numbers are derived from.
    pub first_offset: u64,
    /// The offset after the last one.
    pub next_offset: u64,
}

/// Events to be counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Increment {
    /// Their series, metric name included.
    pub labels: LabelSet,
    /// When they were accepted; when they happened if they are late.
    pub at: Timestamp,
    /// How many.
    pub count: f64,
    /// Dated by event time: in windows and sums, not in the running total.
    pub late: bool,
}

/// One value to be put into a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Its series, metric name included.
    pub labels: LabelSet,
    /// When it was accepted; when it happened if it is late.
    pub at: Timestamp,
    /// The value, in the unit of the metric.
    pub value: f64,
    /// Dated by event time.
    pub late: bool,
}

/// The newest value of something, taken from a log record.
#[derive(Clone, Debug, PartialEq)]
pub struct GaugeSample {
    /// Its series, metric name included.
    pub labels: LabelSet,
    /// When.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

/// Numbers derived from a run of queue records.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The records they are derived from.
    pub source: SourcePosition,
    /// Events counted.
    pub increments: Vec<Increment>,
    /// Values for distributions.
    pub observations: Vec<Observation>,
    /// Values for gauges; one that is out of order is counted as rejected.
    pub gauges: Vec<GaugeSample>,
    /// Most series of a metric, by its name; further label sets become the one whose values are all
    /// `__overflow__`. A metric without an entry has no cap.
    pub max_series: Arc<HashMap<String, u32>>,
}

impl Derived {
    /// Nothing yet, derived from these records.
    pub fn new(source: SourcePosition) -> Derived {
        Derived {
            source,
            increments: Vec::new(),
            observations: Vec::new(),
            gauges: Vec::new(),
            max_series: Arc::default(),
        }
    }
}

/// Whose the names are of what is counted from logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// No samples begin a series under them: what a page of metrics shows, perhaps our own, would be counted twice.
    Kept,
    /// Samples do whose labels are not those of a counted series.
    Shared,
}

/// A series within a [`SampleBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSeries(pub(crate) u32);

pub(crate) struct BatchEntry {
    pub(crate) kind: SeriesKind,
    pub(crate) known: Option<Known>,
    /// It is made also where there is no room for more series.
    pub(crate) beyond_limits: bool,
    start: u32,
    end: u32,
}

impl BatchEntry {
    /// Whether the label set is not at hand.
    pub(crate) fn is_without_key(&self) -> bool {
        matches!(self.known, Some(Known::Series(_)))
    }
}

/// A series of a batch that need not be looked up.
pub(crate) enum Known {
    /// Should it be gone, it is made again.
    Handle(SeriesHandle),
    /// Should it be gone, its points are not taken.
    Series(Arc<Series>),
}

/// A series that was looked up once, for who appends to it again and again. It stays usable when the series has
/// been pruned away meanwhile: the next append makes it again.
#[derive(Clone)]
pub struct SeriesHandle {
    pub(crate) series: Arc<Series>,
    pub(crate) key: Arc<[u8]>,
}

/// A number within a batch. For samples its time in milliseconds, else that of the event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) series: u32,
    pub(crate) late: bool,
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
}

/// Samples by series, label sets as flat bytes: filling one does not allocate per label.
///
/// Beside ordinary samples it takes counted events and observations that are pushed and not derived from logs
/// (OTLP delta sums, `POST /api/v1/metrics` with a histogram): the kind of the series decides.
pub struct SampleBatch {
    pub(crate) received_at: Timestamp,
    /// Samples may be older than the out-of-order window.
    pub(crate) any_order: bool,
    /// Who may begin series under the names of what is counted.
    pub(crate) names: Names,
    pub(crate) keys: Vec<u8>,
    pub(crate) series: Vec<BatchEntry>,
    pub(crate) points: Vec<Point>,
    /// Numbers of the points that stand for native histograms, ascending, and those.
    pub(crate) natives: Vec<(u32, Histogram)>,
    pub(crate) exemplars: Vec<(BatchSeries, Exemplar)>,
    /// What senders call series, to be remembered.
    pub(crate) spelled: Vec<(Spelling, BatchSeries)>,
}

impl SampleBatch {
    /// An empty batch that arrived at this time; too old and too new are measured from it.
    pub fn new(received_at: Timestamp) -> SampleBatch {
        SampleBatch {
            received_at,
            any_order: false,
            names: Names::Kept,
            keys: Vec::new(),
            series: Vec::new(),
            points: Vec::new(),
            natives: Vec::new(),
            exemplars: Vec::new(),
            spelled: Vec::new(),
        }
    }

    /// When it arrived.
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// Makes room for so many series with a point each.
    pub fn reserve(&mut self, series: usize) {
        self.series.reserve(series);
        self.points.reserve(series);
    }

    /// Its samples may come in any order and be of any age within the retention, as those of an import: what is
    /// older than the newest of its series is put between what is there.
    pub fn in_any_order(mut self) -> SampleBatch {
        self.any_order = true;
        self
    }

    /// Its series may have the names of what is counted here, under other labels: they were counted elsewhere.
    pub fn counted_elsewhere(mut self) -> SampleBatch {
        self.names = Names::Shared;
        self
    }

    /// Empties the batch and keeps its room.
    pub fn clear(&mut self, received_at: Timestamp) {
        self.received_at = received_at;
        self.keys.clear();
        self.series.clear();
        self.points.clear();
        self.natives.clear();
        self.exemplars.clear();
        self.spelled.clear();
    }

    /// Names a series; points pushed with the answer belong to it.
    pub fn series(&mut self, kind: SeriesKind, labels: &LabelSet) -> BatchSeries {
        let start = self.keys.len();
        key::write(labels, &mut self.keys);
        self.add(kind, start)
    }

    /// Names a series by label pairs in any order; those with an empty value are dropped.
    ///
    /// Errors: a name twice, an empty name.
    pub fn series_of(&mut self, kind: SeriesKind, pairs: &mut [(&str, &str)]) -> Result<BatchSeries, LabelError> {
        let start = self.keys.len();
        key::write_pairs(pairs, &mut self.keys)?;
        Ok(self.add(kind, start))
    }

    /// Names a series that was looked up before (`Engine::handle`).
    pub fn series_again(&mut self, handle: &SeriesHandle) -> BatchSeries {
        self.add_known(handle.series.kind, Known::Handle(handle.clone()))
    }

    /// Names a series that the engine knows by what a sender calls it (`Engine::spellings`). Its points are told as gone
    /// in the report if it has been pruned away meanwhile.
    pub fn series_known(&mut self, known: &KnownSeries) -> BatchSeries {
        self.add_known(known.0.kind, Known::Series(known.0.clone()))
    }

    /// Has a series made also where there is no room for more of them: whoever watches the server needs it then most. For
    /// series of which there is a bounded number.
    pub fn beyond_limits(&mut self, series: BatchSeries) {
        if let Some(entry) = self.series.get_mut(series.0 as usize) {
            entry.beyond_limits = true;
        }
    }

    /// Says what its sender calls a series: the engine knows it by that once it has taken the batch.
    pub fn spell(&mut self, series: BatchSeries, spelling: Spelling) {
        self.spelled.push((spelling, series));
    }

    fn add_known(&mut self, kind: SeriesKind, known: Known) -> BatchSeries {
        self.series.push(BatchEntry { kind, known: Some(known), beyond_limits: false, start: 0, end: 0 });
        BatchSeries(self.series.len() as u32 - 1)
    }

    fn add(&mut self, kind: SeriesKind, start: usize) -> BatchSeries {
        // A batch is bounded by the body limit of its endpoint, far below 4 GiB.
        self.series.push(BatchEntry {
            kind,
            known: None,
            beyond_limits: false,
            start: start as u32,
            end: self.keys.len() as u32,
        });
        BatchSeries(self.series.len() as u32 - 1)
    }

    /// Adds a point: a sample, a count of events, or an observation, by the kind of the series.
    pub fn push(&mut self, series: BatchSeries, at: Timestamp, value: f64) {
        self.points.push(Point { series: series.0, late: false, at, value });
    }

    /// Adds a native histogram to a series of samples. Others take none: there it is refused as what cannot be counted.
    pub fn push_native(&mut self, series: BatchSeries, at: Timestamp, histogram: Histogram) {
        // A batch is bounded by the body limit of its endpoint.
        self.natives.push((self.points.len() as u32, histogram));
        self.push(series, at, f64::NAN);
    }

    /// Adds a count or an observation that is dated by event time and stays out of the running total.
    pub fn push_late(&mut self, series: BatchSeries, at: Timestamp, value: f64) {
        self.points.push(Point { series: series.0, late: true, at, value });
    }

    /// Whether the point of this number stands for a native histogram.
    pub fn is_native(&self, point: u32) -> bool {
        self.natives.binary_search_by_key(&point, |(number, _)| *number).is_ok()
    }

    /// The metric of the point of this number; `None` if the batch does not have its label set.
    pub fn metric_of(&self, point: u32) -> Option<&str> {
        let entry = self.series.get(self.points.get(point as usize)?.series as usize)?;
        std::str::from_utf8(key::value_of(self.key(entry), METRIC_NAME)?).ok()
    }

    /// How many points it has.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether it has no points.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Which of its series have points.
    pub(crate) fn with_points(&self) -> Vec<bool> {
        let mut with = vec![false; self.series.len()];
        for point in &self.points {
            if let Some(has) = with.get_mut(point.series as usize) {
                *has = true;
            }
        }
        with
    }

    pub(crate) fn entry(&self, series: BatchSeries) -> Option<&BatchEntry> {
        self.series.get(series.0 as usize)
    }

    /// The key of a series; empty if it is without.
    pub(crate) fn key<'b>(&'b self, entry: &'b BatchEntry) -> &'b [u8] {
        if let Some(Known::Handle(known)) = &entry.known {
            return &known.key;
        }
        self.keys.get(entry.start as usize..entry.end as usize).unwrap_or_default()
    }
}

/// The points of a [`Derived`] as a batch.
pub(crate) fn from_derived(derived: &Derived) -> SampleBatch {
    let mut runs = Runs::new(Timestamp::default());
    runs.batch.points.reserve_exact(derived.increments.len() + derived.observations.len() + derived.gauges.len());
    for Increment { labels, at, count, late } in &derived.increments {
        runs.point(SeriesKind::Increments, labels, *late, *at, *count);
    }
    for Observation { labels, at, value, late } in &derived.observations {
        runs.point(SeriesKind::Distribution, labels, *late, *at, *value);
    }
    for GaugeSample { labels, at, value } in &derived.gauges {
        runs.point(SeriesKind::Samples(MetricType::Gauge), labels, false, *at, *value);
    }
    runs.batch
}

/// A batch on its way, in which many points of a series come one after the other: it is named once for all of them.
pub(crate) struct Runs<'l> {
    pub(crate) batch: SampleBatch,
    last: Option<(SeriesKind, &'l LabelSet, BatchSeries)>,
}

impl<'l> Runs<'l> {
    pub(crate) fn new(received_at: Timestamp) -> Runs<'l> {
        Runs { batch: SampleBatch::new(received_at), last: None }
    }

    /// Adds a point of a series; one with the label set of the point before is of the same series.
    pub(crate) fn point(&mut self, kind: SeriesKind, labels: &'l LabelSet, late: bool, at: Timestamp, value: f64) {
        let series = match self.last {
            // Of sets that share their memory nothing is compared.
            Some((last_kind, last, series)) if last_kind == kind && last == labels => series,
            _ => self.batch.series(kind, labels),
        };
        self.last = Some((kind, labels, series));
        self.batch.points.push(Point { series: series.0, late, at, value });
    }
}
