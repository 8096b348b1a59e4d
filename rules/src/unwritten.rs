//! Samples of rules that are not in the store yet, and who has to wait for them.
//!
//! What rules give is written together, as each write is synced. But a rule sees what rules before it recorded, also in
//! the same round; so what is waiting is written before a rule that may read it.

use std::collections::BTreeSet;
use std::sync::Arc;

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelSet, MatchOp, Matcher};
use watchfire_query_lang::Query;

use crate::samples::{SampleSink, SeriesSample, SinkError};
use crate::snapshot::Health;
use crate::table::Slot;

/// Which metrics a query reads.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Those it names, sorted.
    names: Vec<String>,
    /// What it says of names otherwise, per selector; none of it means all metrics.
    patterns: Vec<Vec<Matcher>>,
}

impl Reads {
    /// What a query reads.
    pub fn of(query: &Query) -> Reads {
        let mut reads = Reads::default();
        query.root().for_each_selector(&mut |matchers| {
            let of_name = matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME);
            match of_name.clone().find(|matcher| matcher.op() == MatchOp::Equal) {
                Some(matcher) => reads.names.push(matcher.value().to_owned()),
                None => reads.patterns.push(of_name.cloned().collect()),
            }
        });
        reads.names.sort_unstable();
        reads.names.dedup();
        reads
    }

    fn any_of(&self, metrics: &BTreeSet<String>) -> bool {
        let matches = |pattern: &Vec<Matcher>| metrics.iter().any(|name| pattern.iter().all(|one| one.matches(name)));
        self.names.iter().any(|name| metrics.contains(name)) || self.patterns.iter().any(matches)
    }
}

/// Samples that wait to be written.
#[derive(Debug, Default)]
pub struct Unwritten {
    samples: Vec<SeriesSample>,
    /// The metrics of the samples; the last ones may be missing.
    metrics: BTreeSet<String>,
    /// How many of the samples are counted in `metrics`.
    seen: usize,
    /// The recording rules that they come from.
    rules: Vec<Arc<Slot>>,
}

impl Unwritten {
    pub(crate) fn new(samples: Vec<SeriesSample>) -> Unwritten {
        Unwritten { samples, ..Unwritten::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> &[SeriesSample] {
        &self.samples
    }

    /// Where samples are added.
    pub(crate) fn out(&mut self) -> &mut Vec<SeriesSample> {
        &mut self.samples
    }

    /// Notes that samples of a recording rule are among them.
    pub(crate) fn of_rule(&mut self, slot: &Arc<Slot>) {
        self.rules.push(Arc::clone(slot));
    }

    /// Whether a rule that reads so would miss some of them.
    pub(crate) fn hold_up(&mut self, reads: &Reads) -> bool {
        let mut before: Option<&LabelSet> = None;
        for SeriesSample { labels, .. } in self.samples.iter().skip(self.seen) {
            let name = labels.metric_name();
            if before.is_none_or(|before| before.metric_name() != name) && !self.metrics.contains(name) {
                self.metrics.insert(name.to_owned());
            }
            before = Some(labels);
        }
        self.seen = self.samples.len();
        reads.any_of(&self.metrics)
    }

    /// Writes them. The recording rules that those come from that are refused have failed.
    pub fn write(&mut self, sink: &dyn SampleSink) -> Result<(), SinkError> {
        let Unwritten { samples, rules, .. } = std::mem::take(self);
        if samples.is_empty() {
            return Ok(());
        }
        sink.write(&samples).inspect_err(|error| {
            let is_refused = |slot: &Arc<Slot>| error.refused.is_empty() || error.refused.contains(slot.rule.name());
            for slot in rules.iter().filter(|slot| is_refused(slot)) {
                let mut state = slot.state.lock();
                state.health = Health::Err;
                state.last_error = Some(error.to_string());
            }
        })
    }
}
