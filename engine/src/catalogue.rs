//! What metrics there are: kind, help, how many series, which label names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::text::cut;

use crate::key;
use crate::kind::{MetricType, SeriesClass, SeriesKind};
use crate::notes::{MetricNote, Said};

/// One metric, for people who look around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name.
    pub name: String,
    /// What its series hold.
    pub kind: SeriesKind,
    /// What its sender says about it.
    pub help: Option<String>,
    /// How many series it has.
    pub series: u64,
    /// Names of its labels, sorted, without `__name__`.
    pub labels: Vec<String>,
    /// Points that went to its `__overflow__` series since the start.
    pub overflowed: u64,
}

#[derive(Default)]
struct Metric {
    /// Series by class.
    series: [u32; 3],
    sample_type: MetricType,
    help: Option<Arc<str>>,
    labels: BTreeSet<Arc<str>>,
    overflowed: u64,
    /// Memory of all that.
    bytes: usize,
}

impl Metric {
    fn kind(&self) -> SeriesKind {
        let [_, increments, distributions] = self.series;
        match (increments, distributions) {
            (_, 1..) => SeriesKind::Distribution,
            (1.., _) => SeriesKind::Increments,
            _ => SeriesKind::Samples(self.sample_type),
        }
    }

    /// Whether it is new what a sender says about it.
    fn hears(&self, said: &Said<'_>) -> bool {
        let is_sampled = matches!(self.kind(), SeriesKind::Samples(_));
        let is_new_type = said.sample_type != MetricType::Untyped && said.sample_type != self.sample_type;
        let help = cut(said.help, HELP_BYTES_MAX);
        let is_new_help = !help.is_empty() && self.help.as_deref() != Some(help);
        is_sampled && (is_new_type || is_new_help)
    }

    fn note(&self, name: &Arc<str>) -> MetricNote {
        MetricNote { name: name.clone(), sample_type: self.sample_type, help: self.help.clone() }
    }
}

/// Memory of a metric beside its texts: its place in the table, and what the allocator takes for its name.
const METRIC_BYTES: usize = (size_of::<Metric>() + size_of::<Arc<str>>()) * 3 / 2 + 24;
/// Memory of a label beside its text: its place in the set, and what the allocator takes for it.
const LABEL_BYTES: usize = 24 + 24;
/// Longest help that is kept, bytes; real ones are a sentence.
const HELP_BYTES_MAX: usize = 4096;
/// The smallest set of labels.
const LABELS_BYTES: usize = 11 * size_of::<Arc<str>>() + 16;

/// All metrics, by name. Its locks are never held while another lock is taken.
#[derive(Default)]
pub(crate) struct Catalogue {
    metrics: DashMap<Arc<str>, Metric, foldhash::fast::RandomState>,
    /// Memory of all of them.
    bytes: AtomicUsize,
    /// Held while what is said goes into memory and into the log: no other lock is held when it is taken.
    pub(crate) describing: Mutex<()>,
}

impl Catalogue {
    /// Counts new series of one kind and metric, with labels of the same names as this one.
    pub(crate) fn added(&self, kind: SeriesKind, key: &[u8], series: u32) {
        let Some(name) = metric_name(key) else { return };
        let mut metric = match self.metrics.get_mut(name) {
            Some(metric) => metric,
            None => self.metrics.entry(name.into()).or_default(),
        };
        metric.series[kind.class() as usize] += series;
        let mut more = if metric.bytes == 0 { METRIC_BYTES + name.len() } else { 0 };
        if let (SeriesKind::Samples(said), MetricType::Untyped) = (kind, metric.sample_type) {
            metric.sample_type = said;
        }
        for (label, _) in key::pairs(key) {
            let Ok(label) = std::str::from_utf8(label) else { continue };
            if label != METRIC_NAME && !metric.labels.contains(label) {
                more += if metric.labels.is_empty() { LABELS_BYTES } else { LABEL_BYTES } + label.len();
                metric.labels.insert(label.into());
            }
        }
        metric.bytes += more;
        self.bytes.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts a series that went; a metric without series is forgotten.
    pub(crate) fn removed(&self, class: SeriesClass, name: &str) {
        let empty = self.metrics.get_mut(name).is_some_and(|mut metric| {
            let count = &mut metric.series[class as usize];
            *count = count.saturating_sub(1);
            metric.series == [0; 3]
        });
        if empty {
            let removed = self.metrics.remove_if(name, |_, metric| metric.series == [0; 3]);
            if let Some((_, metric)) = removed {
                self.bytes.fetch_sub(metric.bytes, Ordering::Relaxed);
            }
        }
    }

    /// How many series of a class the metric of this key has.
    pub(crate) fn series_of(&self, class: SeriesClass, key: &[u8]) -> u32 {
        let metric = metric_name(key).and_then(|name| self.metrics.get(name));
        metric.map_or(0, |metric| metric.series[class as usize])
    }

    /// Whether the metric of this key is derived from logs.
    pub(crate) fn is_derived(&self, key: &[u8]) -> bool {
        let metric = metric_name(key).and_then(|name| self.metrics.get(name));
        metric.is_some_and(|metric| {
            metric.series[SeriesClass::Increments as usize] + metric.series[SeriesClass::Distribution as usize] > 0
        })
    }

    /// Counts points that went to the overflow series.
    pub(crate) fn overflowed(&self, key: &[u8], points: u64) {
        if let Some(mut metric) = metric_name(key).and_then(|name| self.metrics.get_mut(name)) {
            metric.overflowed += points;
        }
    }

    /// Whether there is the metric, and it is new what a sender says about it.
    pub(crate) fn hears(&self, said: &Said<'_>) -> bool {
        self.metrics.get(said.metric).is_some_and(|metric| metric.hears(said))
    }

    /// Notes what a sender says about a metric that has series and is not counted; gives all that is said now, if that
    /// is new.
    pub(crate) fn describe(&self, said: &Said<'_>) -> Option<MetricNote> {
        if !self.hears(said) {
            return None;
        }
        let mut entry = self.metrics.get_mut(said.metric)?;
        let (name, metric) = entry.pair_mut();
        if said.sample_type != MetricType::Untyped {
            metric.sample_type = said.sample_type;
        }
        let help = cut(said.help, HELP_BYTES_MAX);
        if !help.is_empty() {
            let more = help.len().saturating_sub(metric.help.as_deref().map_or(0, str::len));
            metric.bytes += more;
            self.bytes.fetch_add(more, Ordering::Relaxed);
            metric.help = Some(help.into());
        }
        Some(metric.note(name))
    }

    /// Notes what was said before this process.
    pub(crate) fn restore(&self, note: &MetricNote) {
        let help = note.help.as_deref().unwrap_or_default();
        self.describe(&Said { metric: &note.name, sample_type: note.sample_type, help });
    }

    /// The kind of the metric of this name.
    pub(crate) fn kind(&self, name: &str) -> Option<SeriesKind> {
        self.metrics.get(name).map(|metric| metric.kind())
    }

    /// What its sender says about the metric of this name.
    pub(crate) fn help(&self, name: &str) -> Option<Arc<str>> {
        self.metrics.get(name)?.help.clone()
    }

    /// Memory of all metrics.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was said about the metrics, as far as the series themselves do not tell it.
    pub(crate) fn notes(&self) -> Vec<MetricNote> {
        self.metrics
            .iter()
            .filter(|entry| entry.help.is_some() || entry.sample_type != MetricType::Untyped)
            .map(|entry| entry.note(entry.key()))
            .collect()
    }

    /// The metrics whose name begins so, sorted by name.
    pub(crate) fn list(&self, prefix: &str) -> Vec<MetricInfo> {
        let mut all: Vec<MetricInfo> = self
            .metrics
            .iter()
            .filter(|entry| entry.key().starts_with(prefix))
            .map(|entry| {
                let metric = entry.value();
                let labels: Vec<String> = metric.labels.iter().map(|label| label.to_string()).collect();
                MetricInfo {
                    name: entry.key().to_string(),
                    kind: metric.kind(),
                    help: metric.help.as_deref().map(str::to_owned),
                    series: metric.series.iter().map(|count| u64::from(*count)).sum(),
                    labels,
                    overflowed: metric.overflowed,
                }
            })
            .collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

fn metric_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key::value_of(key, METRIC_NAME).unwrap_or_default()).ok()
}
