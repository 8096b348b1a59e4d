//! Exemplars: single observations that stand for many, with labels that lead to where they come from (a trace).
//!
//! The newest of all series lie in one [`ring`] in memory, bounded in number and in bytes; what is new there takes the place of
//! what came first. They outlive their series. What enters is a record of the log of its own, and a snapshot has all of the
//! ring, so that they are there after a crash.
//! Source: `tsdb/exemplar.go` of Prometheus.

mod bytes;
mod ring;

use std::io;

use parking_lot::RwLock;
use watchfire_model::{LabelSet, Matcher, Timestamp};

use crate::batch::{BatchSeries, SampleBatch};
use crate::engine::Engine;
use crate::wal::record::put_exemplars_head;
use bytes::Encoder;
pub(crate) use bytes::read;
use ring::Ring;

/// Most exemplars of all series, as with Prometheus by default.
const COUNT_MAX: usize = 100_000;
/// Most memory of them, bytes.
const BYTES_MAX: usize = 32 << 20;
/// Most characters of the names and values of an exemplar's labels, by OpenMetrics.
const LABEL_CHARS_MAX: usize = 128;

/// One observation of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Where it comes from, as `trace_id`.
    pub labels: LabelSet,
    /// What was observed.
    pub value: f64,
    /// When; of one without a time of its own, when it was seen first.
    pub at: Timestamp,
    /// Whether it has a time of its own.
    pub is_dated: bool,
}

/// Exemplars of a series, by time.
pub type SeriesExemplars = (LabelSet, Vec<Exemplar>);

impl Exemplar {
    /// Whether it is the same that was shown before.
    fn repeats(&self, before: &Exemplar) -> bool {
        let at_another_time = (self.is_dated || before.is_dated) && self.at != before.at;
        !at_another_time && self.labels == before.labels && self.value == before.value
    }

    /// Whether it may stand behind another one: later, or of the same time with another value or other labels.
    fn follows(&self, before: &Exemplar) -> bool {
        self.order(before).is_gt()
    }

    fn order(&self, other: &Exemplar) -> std::cmp::Ordering {
        let by_value = self.value.total_cmp(&other.value);
        self.at.cmp(&other.at).then(by_value).then_with(|| self.labels.cmp(&other.labels))
    }

    fn has_long_labels(&self) -> bool {
        let chars = self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        chars.sum::<usize>() > LABEL_CHARS_MAX
    }
}

/// See the module.
pub(crate) struct Exemplars {
    /// Held from the entering of exemplars to the end of the writing of their record, so that the log has them in the same
    /// order. No lock but that of the log is taken meanwhile.
    ring: RwLock<Ring>,
}

impl Default for Exemplars {
    fn default() -> Exemplars {
        Exemplars { ring: RwLock::new(Ring::new(COUNT_MAX, BYTES_MAX)) }
    }
}

impl Exemplars {
    /// Takes one that a snapshot or the log has; one that is there already changes nothing.
    pub(crate) fn restore(&self, series: &LabelSet, exemplar: Exemplar) {
        self.ring.write().add(series, exemplar);
    }

    /// All of them as bytes for a snapshot, in pieces of about so many bytes.
    pub(crate) fn pieces(&self, bytes: usize) -> Vec<Vec<u8>> {
        self.ring.read().pieces(bytes)
    }
}

impl SampleBatch {
    /// Adds an exemplar to a series of the batch. It is kept if the series has samples, here or in the engine.
    pub fn push_exemplar(&mut self, series: BatchSeries, exemplar: Exemplar) {
        self.exemplars.push((series, exemplar));
    }
}

/// What became of the exemplars of a batch.
#[derive(Default)]
pub(crate) struct Kept {
    /// How many are here now, new or not.
    pub(crate) count: u64,
    /// The series of those that are older than what their series had.
    pub(crate) out_of_order: Vec<BatchSeries>,
    /// The record of the log that has the new ones.
    pub(crate) lsn: Option<u64>,
}

impl Engine {
    /// The exemplars of the series that one of these selectors finds, from `start` to `end`, both included; by the labels of
    /// the series.
    pub fn exemplars(&self, selectors: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Vec<SeriesExemplars> {
        self.exemplars.ring.read().select(selectors, start, end)
    }

    /// Keeps those of a batch whose series there is, and writes a record of what is new. What has labels that are too long,
    /// or is out of order, is not kept; the latter is told. Each is compared with what its series had before the batch, whose own are
    /// put in order, as Prometheus does with those of a scrape.
    ///
    /// Errors: the log cannot be written; it waits for a snapshot then.
    pub(crate) fn keep_exemplars(
        &self,
        batch: &SampleBatch,
        id_of: impl Fn(BatchSeries) -> Option<u64>,
    ) -> io::Result<Kept> {
        let mut given: Vec<(BatchSeries, u64, LabelSet, &Exemplar)> = Vec::with_capacity(batch.exemplars.len());
        for (series, exemplar) in &batch.exemplars {
            let Some(id) = id_of(*series) else { continue };
            let labels = match given.last() {
                Some((last, _, labels, _)) if last == series => labels.clone(),
                _ => self.labels_of_series(batch, *series),
            };
            given.push((*series, id, labels, exemplar));
        }
        // A client gives those of a histogram by their values.
        given.sort_by(|(.., one), (.., other)| one.order(other));
        let mut kept = Kept::default();
        let mut record = Encoder::default();
        let mut ring = self.exemplars.ring.write();
        let mut had: foldhash::HashMap<LabelSet, Option<Exemplar>> = foldhash::HashMap::default();
        for (series, id, labels, exemplar) in given.into_iter().filter(|(.., exemplar)| !exemplar.has_long_labels()) {
            let before = had.entry(labels.clone()).or_insert_with(|| ring.newest(&labels).cloned());
            let in_order = |before: &Exemplar| exemplar.repeats(before) || exemplar.follows(before);
            if !before.as_ref().is_none_or(in_order) {
                kept.out_of_order.push(series);
                continue;
            }
            kept.count += 1;
            if let Some(slot) = ring.add(&labels, exemplar.clone()) {
                record.push(slot, id, &labels, exemplar);
            }
        }
        if record.bytes() > 0 {
            let mut head = Vec::new();
            put_exemplars_head(&record.finish(), &mut head);
            // Else the ring would hold what the log does not, and a repetition would be taken for known.
            kept.lsn = Some(self.wal.append_head(&head).inspect_err(|_| self.wal.mark_broken())?);
        }
        Ok(kept)
    }
}
