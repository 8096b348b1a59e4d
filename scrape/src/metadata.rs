//! What targets say about their metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_engine::{FamilyType, MetricType, Said};
use watchfire_exposition::Entry;
use watchfire_model::text::cut;

/// Longest help that is kept, bytes; real ones are a sentence.
const HELP_BYTES_MAX: usize = 4096;
/// Longest unit that is kept, bytes; real ones are a word.
const UNIT_BYTES_MAX: usize = 256;

/// What a target says about a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FamilyType,
    /// What it means; empty if nothing is said.
    pub help: String,
    /// Its unit; empty if none is said.
    pub unit: String,
}

/// By metric family.
pub type Families = BTreeMap<String, Metadata>;

struct Noted {
    metadata: Metadata,
    /// The round in which it was seen last.
    round: u64,
}

/// What a target has said, kept from scrape to scrape.
#[derive(Default)]
pub(crate) struct Notes {
    families: foldhash::HashMap<String, Noted>,
    /// The type said last: of the samples that follow.
    current: (String, FamilyType),
    changed: bool,
}

impl Notes {
    /// Before a body is read.
    pub(crate) fn begin(&mut self) {
        self.current = (String::new(), FamilyType::Unknown);
    }

    /// Takes in what is no sample.
    pub(crate) fn note(&mut self, entry: &Entry<'_>, round: u64) {
        match entry {
            Entry::Help { metric, text } => {
                let noted = self.of(metric, round);
                let text = cut(text, HELP_BYTES_MAX);
                let changed = noted.help != text;
                if changed {
                    noted.help = text.to_owned();
                }
                self.changed |= changed;
            }
            Entry::Type { metric, kind } => {
                let noted = self.of(metric, round);
                let changed = noted.kind != *kind;
                noted.kind = *kind;
                self.changed |= changed;
                self.current.0.clear();
                self.current.0.push_str(metric);
                self.current.1 = *kind;
            }
            Entry::Unit { metric, unit } => {
                let noted = self.of(metric, round);
                let unit = cut(unit, UNIT_BYTES_MAX);
                let changed = noted.unit != unit;
                if changed {
                    noted.unit = unit.to_owned();
                }
                self.changed |= changed;
            }
            Entry::Sample { .. } => {}
        }
    }

    fn of(&mut self, metric: &str, round: u64) -> &mut Metadata {
        if !self.families.contains_key(metric) {
            self.changed = true;
        }
        let noted =
            self.families.entry(metric.to_owned()).or_insert_with(|| Noted { metadata: Metadata::default(), round });
        noted.round = round;
        &mut noted.metadata
    }

    /// What the samples of a metric are, by the lines before it.
    pub(crate) fn type_of(&self, metric: &str) -> MetricType {
        let (family, kind) = (self.current.0.as_str(), self.current.1);
        let suffix = metric.strip_prefix(family).filter(|_| !family.is_empty());
        suffix.map_or(MetricType::Untyped, |suffix| kind.type_of(suffix))
    }

    /// All that the last body said.
    pub(crate) fn said(&self) -> impl Iterator<Item = Said<'_>> + Clone {
        self.families.iter().map(|(family, Noted { metadata: Metadata { kind, help, unit }, .. })| Said {
            family,
            declared: *kind,
            help,
            unit,
        })
    }

    /// After a body was read: forgets what was not in it. Answers what is known, if that has changed.
    pub(crate) fn end(&mut self, round: u64) -> Option<Arc<Families>> {
        let before = self.families.len();
        self.families.retain(|_, noted| noted.round == round);
        let changed = std::mem::take(&mut self.changed) || self.families.len() != before;
        let all = || self.families.iter().map(|(name, noted)| (name.clone(), noted.metadata.clone())).collect();
        changed.then(|| Arc::new(all()))
    }
}
