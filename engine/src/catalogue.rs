//! What metrics there are: kind, how many series, which label names; and what is said about their families.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::text::cut;

use crate::key;
use crate::kind::{FamilyType, MetricType, SUFFIXES, SeriesClass, SeriesKind};
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
    pub labels: Vec<Arc<str>>,
    /// Points that went to its `__overflow__` series since the start.
    pub overflowed: u64,
}

/// What is known of a metric family: of a metric, or of several that are parts of one, as a histogram's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyInfo {
    /// Its name.
    pub name: Arc<str>,
    /// What its sender says that it is, or its samples tell.
    pub declared: FamilyType,
    /// What the series of this name hold.
    pub kind: SeriesKind,
    /// What its sender says about it.
    pub help: Option<Arc<str>>,
    /// Its unit, if its sender says it.
    pub unit: Option<Arc<str>>,
}

/// A name: of a metric with series, or of a family that has parts with series.
#[derive(Default)]
struct Metric {
    /// Series by class.
    series: [u32; 3],
    /// What its first series was sent as.
    sample_type: MetricType,
    declared: FamilyType,
    help: Option<Arc<str>>,
    unit: Option<Arc<str>>,
    labels: BTreeSet<Arc<str>>,
    overflowed: u64,
    /// Memory of all that.
    bytes: usize,
}

impl Metric {
    fn has_series(&self) -> bool {
        self.series != [0; 3]
    }

    fn kind(&self) -> SeriesKind {
        let [_, increments, distributions] = self.series;
        match (increments, distributions) {
            (_, 1..) => SeriesKind::Distribution,
            (1.., _) => SeriesKind::Increments,
            _ => SeriesKind::Samples(match self.declared.type_of("") {
                MetricType::Untyped => self.sample_type,
                told => told,
            }),
        }
    }

    fn declared(&self) -> FamilyType {
        match self.kind() {
            SeriesKind::Distribution => FamilyType::Histogram,
            kind => self.declared.or_of(kind),
        }
    }

    /// What the samples of a part are; `Untyped` if it has no such part.
    fn type_of_part(&self, suffix: &str) -> MetricType {
        // What is said of a counter is said of its series, if some bear its very name.
        let may_have = self.declared.has_parts() || !self.has_series();
        if may_have { self.declared.type_of(suffix) } else { MetricType::Untyped }
    }

    /// Whether it is new what a sender says about it.
    fn hears(&self, said: &Said<'_>) -> bool {
        let is_sampled = matches!(self.kind(), SeriesKind::Samples(_));
        let is_new_type = said.declared != FamilyType::Unknown && said.declared != self.declared();
        let is_new = |text: &str, known: &Option<Arc<str>>| !text.is_empty() && known.as_deref() != Some(text);
        let is_new_help = is_new(cut(said.help, HELP_BYTES_MAX), &self.help);
        is_sampled && (is_new_type || is_new_help || is_new(cut(said.unit, UNIT_BYTES_MAX), &self.unit))
    }

    /// Takes over what a sender says about it.
    fn hear(&mut self, said: &Said<'_>) {
        if said.declared != FamilyType::Unknown {
            self.declared = said.declared;
        }
        let texts = [(&mut self.help, said.help, HELP_BYTES_MAX), (&mut self.unit, said.unit, UNIT_BYTES_MAX)];
        for (known, text, bytes_max) in texts {
            let text = cut(text, bytes_max);
            if !text.is_empty() {
                self.bytes += text.len().saturating_sub(known.as_deref().map_or(0, str::len));
                *known = Some(text.into());
            }
        }
    }

    fn note(&self, name: &Arc<str>) -> MetricNote {
        let (help, unit) = (self.help.clone(), self.unit.clone());
        MetricNote { name: name.clone(), declared: self.declared, help, unit }
    }

    fn info(&self, name: &Arc<str>) -> FamilyInfo {
        let (help, unit) = (self.help.clone(), self.unit.clone());
        FamilyInfo { name: name.clone(), declared: self.declared(), kind: self.kind(), help, unit }
    }
}

/// Memory of a metric beside its texts: its place in the table, and what the allocator takes for its name.
const METRIC_BYTES: usize = (size_of::<Metric>() + size_of::<Arc<str>>()) * 3 / 2 + 24;
/// Memory of a label beside its text: its place in the set, and what the allocator takes for it.
const LABEL_BYTES: usize = 24 + 24;
/// Longest help that is kept, bytes; real ones are a sentence.
const HELP_BYTES_MAX: usize = 4096;
/// Longest unit that is kept, bytes; real ones are a word.
const UNIT_BYTES_MAX: usize = 256;
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

    /// Counts a series that went; a metric without series is forgotten, unless it is a family that has parts.
    pub(crate) fn removed(&self, class: SeriesClass, name: &str) {
        let empty = self.metrics.get_mut(name).is_some_and(|mut metric| {
            let count = &mut metric.series[class as usize];
            *count = count.saturating_sub(1);
            !metric.has_series()
        });
        if empty {
            self.forget(name);
            let (family, _) = parted(name).unwrap_or_default();
            self.forget(family);
        }
    }

    /// Forgets a name, unless it or a part of it has series.
    fn forget(&self, name: &str) {
        let is_done = self.metrics.get(name).map(|metric| (metric.has_series(), metric.declared));
        let Some((false, declared)) = is_done else { return };
        if self.has_parts(name, declared) {
            return;
        }
        if let Some((_, metric)) = self.metrics.remove_if(name, |_, metric| !metric.has_series()) {
            self.bytes.fetch_sub(metric.bytes, Ordering::Relaxed);
        }
    }

    /// Whether a family that is declared so has series under the names of its parts.
    fn has_parts(&self, family: &str, declared: FamilyType) -> bool {
        SUFFIXES.iter().filter(|suffix| declared.type_of(suffix) != MetricType::Untyped).any(|suffix| {
            self.metrics.get(format!("{family}{suffix}").as_str()).is_some_and(|metric| metric.has_series())
        })
    }

    /// What a family says of a name that is a part of it, and what its samples are then.
    fn as_part<T>(&self, name: &str, tell: impl FnOnce(&Arc<str>, &Metric) -> T) -> Option<(T, MetricType)> {
        let (family, suffix) = parted(name)?;
        let family = self.metrics.get(family)?;
        let sample_type = family.type_of_part(suffix);
        (sample_type != MetricType::Untyped).then(|| (tell(family.key(), &family), sample_type))
    }

    /// How many series of a class the metric of this key has.
    pub(crate) fn series_of(&self, class: SeriesClass, key: &[u8]) -> u32 {
        let metric = metric_name(key).and_then(|name| self.metrics.get(name));
        metric.map_or(0, |metric| metric.series[class as usize])
    }

    /// Whether a metric is derived from logs.
    pub(crate) fn is_derived(&self, metric: &str) -> bool {
        self.metrics.get(metric).is_some_and(|metric| {
            metric.series[SeriesClass::Increments as usize] + metric.series[SeriesClass::Distribution as usize] > 0
        })
    }

    /// Counts points that went to the overflow series.
    pub(crate) fn overflowed(&self, key: &[u8], points: u64) {
        if let Some(mut metric) = metric_name(key).and_then(|name| self.metrics.get_mut(name)) {
            metric.overflowed += points;
        }
    }

    /// Whether there is the family, and it is new what a sender says about it.
    pub(crate) fn hears(&self, said: &Said<'_>) -> bool {
        match self.metrics.get(said.family).map(|metric| metric.hears(said)) {
            Some(hears) => hears,
            None => self.has_parts(said.family, said.declared),
        }
    }

    /// Notes what a sender says about a family that has series and is not counted; gives all that is said now, if that is
    /// new.
    pub(crate) fn describe(&self, said: &Said<'_>) -> Option<MetricNote> {
        if !self.hears(said) {
            return None;
        }
        let note = {
            let mut entry = self.metrics.entry(said.family.into()).or_default();
            let (name, metric) = entry.pair_mut();
            let before = metric.bytes;
            if before == 0 {
                metric.bytes = METRIC_BYTES + name.len();
            }
            metric.hear(said);
            self.bytes.fetch_add(metric.bytes - before, Ordering::Relaxed);
            metric.note(name)
        };
        // Its last part may have gone meanwhile.
        self.forget(said.family);
        Some(note)
    }

    /// Notes what was said before this process.
    pub(crate) fn restore(&self, note: &MetricNote) {
        let [help, unit] = [&note.help, &note.unit].map(|text| text.as_deref().unwrap_or_default());
        self.describe(&Said { family: &note.name, declared: note.declared, help, unit });
    }

    /// The kind of the metric of this name.
    pub(crate) fn kind(&self, name: &str) -> Option<SeriesKind> {
        let kind = self.metrics.get(name).filter(|metric| metric.has_series())?.kind();
        Some(match (kind, self.as_part(name, |_, _| ())) {
            (SeriesKind::Samples(_), Some(((), sample_type))) => SeriesKind::Samples(sample_type),
            (kind, _) => kind,
        })
    }

    /// The family that the metric of this name is a part of; the metric itself, if it is none.
    pub(crate) fn family_of(&self, name: &str) -> Option<FamilyInfo> {
        let family = self.as_part(name, |family, metric| metric.info(family)).map(|(info, _)| info);
        family.or_else(|| self.metrics.get(name).map(|metric| metric.info(metric.key())))
    }

    /// The families whose name begins so, sorted by name.
    pub(crate) fn families(&self, prefix: &str) -> Vec<FamilyInfo> {
        let named = self.metrics.iter().filter(|entry| entry.key().starts_with(prefix));
        let mut all: Vec<FamilyInfo> = named.map(|entry| entry.info(entry.key())).collect();
        // What is counted here is no part of what others send.
        all.retain(|info| {
            !matches!(info.kind, SeriesKind::Samples(_)) || self.as_part(&info.name, |_, _| ()).is_none()
        });
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Memory of all metrics.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was said about families, as far as the series themselves do not tell it.
    pub(crate) fn notes(&self) -> Vec<MetricNote> {
        self.metrics
            .iter()
            .filter(|entry| entry.help.is_some() || entry.unit.is_some() || entry.declared != FamilyType::Unknown)
            .map(|entry| entry.note(entry.key()))
            .collect()
    }

    /// The metrics whose name begins so, sorted by name.
    pub(crate) fn list(&self, prefix: &str) -> Vec<MetricInfo> {
        let mut all: Vec<MetricInfo> = self
            .metrics
            .iter()
            .filter(|entry| entry.has_series() && entry.key().starts_with(prefix))
            .map(|entry| {
                let metric = entry.value();
                MetricInfo {
                    name: entry.key().to_string(),
                    kind: metric.kind(),
                    help: metric.help.as_deref().map(str::to_owned),
                    series: metric.series.iter().map(|count| u64::from(*count)).sum(),
                    labels: metric.labels.iter().cloned().collect(),
                    overflowed: metric.overflowed,
                }
            })
            .collect();
        for info in &mut all {
            self.as_of_family(info);
        }
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Adds to what is known of a metric what is said of the family that it is a part of.
    fn as_of_family(&self, info: &mut MetricInfo) {
        if let (SeriesKind::Samples(_), Some((help, sample_type))) =
            (info.kind, self.as_part(&info.name, |_, family| family.help.clone()))
        {
            info.kind = SeriesKind::Samples(sample_type);
            info.help = help.as_deref().map(str::to_owned).or(info.help.take());
        }
    }
}

/// A name that ends like that of a part: the name of the family, and the suffix.
fn parted(name: &str) -> Option<(&str, &'static str)> {
    SUFFIXES.iter().find_map(|suffix| Some((name.strip_suffix(suffix)?, *suffix)))
}

fn metric_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key::value_of(key, METRIC_NAME).unwrap_or_default()).ok()
}
