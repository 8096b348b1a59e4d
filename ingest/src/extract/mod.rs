//! Metrics out of logs: what every record is counted in, and what the configuration asks for.
//!
//! One pass over a batch of queue records gives one [`Derived`] for the engine: events are added up by series and
//! second before they are handed over, and label sets are made once and kept, so that a steady stream allocates
//! nothing per record.
//!
//! An event is dated by the moment its record was accepted; a record older than `late_after` by its own time, and
//! marked late.

mod built_in;
mod route;
mod rule;
mod series;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use watchfire_engine::{Derived, GaugeSample, Increment, Observation, SourcePosition};
use watchfire_model::record::RecordError;
use watchfire_model::{LabelSet, RecordReader, Timestamp};

pub use built_in::REQUEST_DURATION;
pub use route::normalise_route;
pub use rule::{RuleConfig, RuleError, RuleFault, RuleKind, RulePart};

use built_in::{BuiltIn, Told};
use rule::Rule;
use series::{SeriesId, SeriesTable};

/// Series kept between batches; above it the table starts anew.
const SERIES_KEPT_MAX: usize = 100_000;

/// When an event happened, for the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: Timestamp,
    late: bool,
}

/// An observation, and the place of the next one of its series.
struct Observed {
    moment: Moment,
    value: f64,
    next: Option<u32>,
}

/// Counts per series and second, and observations, of the batch at hand.
#[derive(Default)]
pub(crate) struct Collected {
    table: SeriesTable,
    observations: Vec<Observed>,
    /// Series with observations, and the place of the first one.
    observed: Vec<(SeriesId, u32)>,
    gauges: Vec<(SeriesId, Moment, f64)>,
}

impl Collected {
    fn observe(&mut self, series: SeriesId, moment: Moment, value: f64) {
        let place = self.observations.len() as u32;
        self.observations.push(Observed { moment, value, next: None });
        match self.table.observe(series, Some(place)).and_then(|before| self.observations.get_mut(before as usize)) {
            Some(before) => before.next = Some(place),
            None => self.observed.push((series, place)),
        }
    }
}

/// What one batch gave beside the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Records dated by their own time.
    pub late: u64,
    /// Values that are no finite number, or a negative one where there can be none.
    pub unusable: u64,
    /// Records that could not be read.
    pub damaged: u64,
}

impl BatchReport {
    /// Adds that of another batch.
    pub fn add(&mut self, other: BatchReport) {
        self.late += other.late;
        self.unusable += other.unusable;
        self.damaged += other.damaged;
    }
}

/// Takes numbers out of records.
pub struct Extractor {
    late_after_ms: i64,
    /// Absent where only some rules are asked for.
    built_in: Option<BuiltIn>,
    rules: Vec<Rule>,
    max_series: Arc<HashMap<String, u32>>,
    collected: Collected,
}

impl Extractor {
    /// With the rules of the configuration; `late_after_ms` is how old a record may be to be counted now. Relative
    /// times in conditions count from `now`.
    ///
    /// Errors: every fault of every rule.
    pub fn new(rules: &[RuleConfig], late_after_ms: i64, now: Timestamp) -> Result<Extractor, Vec<RuleFault>> {
        let mut max_series = built_in::max_series();
        let mut kinds: HashMap<&str, RuleKind> = HashMap::new();
        let mut compiled = Vec::with_capacity(rules.len());
        let mut faults = Vec::new();
        for (rule, config) in rules.iter().enumerate() {
            match Rule::new(config, now) {
                Ok(rule) => compiled.push(rule),
                Err(all) => faults.extend(all.into_iter().map(|(part, error)| RuleFault { rule, part, error })),
            }
            let earlier = *kinds.entry(&config.metric).or_insert(config.kind);
            if earlier != config.kind {
                let (name, kind, other) = (config.metric.clone(), config.kind.as_str(), earlier.as_str());
                let error = RuleError::OtherKind { name, kind, other };
                faults.push(RuleFault { rule, part: RulePart::Kind, error });
            }
            let cap = max_series.entry(config.metric.clone()).or_insert(0);
            *cap = (*cap).max(config.max_series);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Extractor {
            late_after_ms,
            built_in: Some(BuiltIn::default()),
            rules: compiled,
            max_series: Arc::new(max_series),
            collected: Collected::default(),
        })
    }

    /// With the rules of one metric only, which dates every record by its event time: for a backfill.
    ///
    /// Errors: as [`Extractor::new`].
    pub fn of_the_past(rules: &[RuleConfig], now: Timestamp) -> Result<Extractor, Vec<RuleFault>> {
        Ok(Extractor { built_in: None, ..Extractor::new(rules, i64::MIN, now)? })
    }

    /// Every counter that records are counted in.
    pub fn counters(&self) -> BTreeSet<String> {
        let built_in = self.built_in.iter().flat_map(|_| built_in::COUNTERS).map(str::to_owned);
        let rules = self.rules.iter().filter(|rule| rule.kind() == RuleKind::Counter);
        built_in.chain(rules.map(|rule| rule.metric().to_owned())).collect()
    }

    /// Every metric that records are counted in: counters, and distributions.
    pub fn counted(&self) -> BTreeSet<String> {
        let built_in = self.built_in.iter().map(|_| built_in::REQUEST_DURATION.to_owned());
        let rules = self.rules.iter().filter(|rule| rule.kind() == RuleKind::Distribution);
        self.counters().into_iter().chain(built_in).chain(rules.map(|rule| rule.metric().to_owned())).collect()
    }

    /// The metrics of the rules.
    pub fn metrics(&self) -> Vec<&str> {
        self.rules.iter().map(Rule::metric).collect()
    }

    /// Makes a route known that the engine already has, so that the limit of routes per service holds over restarts.
    pub fn know_route(&mut self, service: &str, route: &str) {
        if let Some(built_in) = &mut self.built_in {
            built_in.know_route(service, route, &mut self.collected.table);
        }
    }

    /// Takes the numbers out of a batch of records of which the first has the offset `source.first_offset`.
    pub fn extract<'r>(
        &mut self,
        source: SourcePosition,
        records: impl Iterator<Item = &'r [u8]>,
    ) -> (Derived, BatchReport) {
        let report = self.collect(source.first_offset, records);
        (self.take(source), report)
    }

    /// Takes the numbers out of records of which the first has this offset, and keeps them for [`Extractor::take`].
    pub fn collect<'r>(&mut self, first_offset: u64, records: impl Iterator<Item = &'r [u8]>) -> BatchReport {
        let mut report = BatchReport::default();
        for (bytes, seq) in records.zip(first_offset..) {
            if self.record(bytes, seq, &mut report).is_err() {
                report.damaged += 1;
            }
        }
        report
    }

    fn record(&mut self, bytes: &[u8], seq: u64, report: &mut BatchReport) -> Result<(), RecordError> {
        let mut reader = RecordReader::new(bytes)?;
        let told = self.built_in.is_some().then(|| Told::read(&mut reader)).transpose()?;
        let view = &reader.finish()?;
        let accepted_at = view.accepted_at();
        let late = view.is_imported() || accepted_at.since(view.timestamp()) > self.late_after_ms;
        let moment = Moment { at: if late { view.timestamp() } else { accepted_at }, late };
        report.late += u64::from(late);
        if let (Some(built_in), Some(told)) = (&mut self.built_in, told) {
            built_in.record(view, told, moment, &mut self.collected, report);
        }
        for rule in &mut self.rules {
            rule.record(view, seq, moment, &mut self.collected, report);
        }
        Ok(())
    }

    /// The numbers collected so far, as one record of the engine's log.
    pub fn take(&mut self, source: SourcePosition) -> Derived {
        let Collected { table, observations, observed, gauges } = &mut self.collected;
        let mut derived = Derived::new(source);
        derived.max_series = Arc::clone(&self.max_series);
        table.take_counts(|labels: &LabelSet, second_end, late, count| {
            derived.increments.push(Increment { labels: labels.clone(), at: second_end, count, late });
        });
        // Side by side, what belongs to a series is looked up, logged and put in once.
        derived.observations.reserve(observations.len());
        observed.sort_unstable();
        for (series, first) in observed.drain(..) {
            table.observe(series, None);
            let mut next = Some(first);
            while let Some(&Observed { moment: Moment { at, late }, value, next: following }) =
                next.and_then(|place| observations.get(place as usize))
            {
                derived.observations.push(Observation { labels: table.labels(series), at, value, late });
                next = following;
            }
        }
        observations.clear();
        // Of one moment the newest value counts.
        let mut places: HashMap<(SeriesId, Timestamp), usize> = HashMap::new();
        for (series, Moment { at, .. }, value) in gauges.drain(..) {
            match places.get(&(series, at)).and_then(|place| derived.gauges.get_mut(*place)) {
                Some(sample) => sample.value = value,
                None => {
                    places.insert((series, at), derived.gauges.len());
                    derived.gauges.push(GaugeSample { labels: table.labels(series), at, value });
                }
            }
        }
        if self.collected.table.len() > SERIES_KEPT_MAX {
            self.forget_series();
        }
        derived
    }

    /// Starts the table of series anew; what is still in use comes back with its next record.
    fn forget_series(&mut self) {
        if let Some(built_in) = &mut self.built_in {
            built_in.forget_series();
        }
        self.rules.iter_mut().for_each(Rule::forget_series);
        self.collected.table.clear();
    }
}

#[cfg(test)]
mod tests;
