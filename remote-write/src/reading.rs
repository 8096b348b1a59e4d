//! What is read of the log: the samples of one record at a time, and the names of the series in use.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_engine::{Exemplar, Follow, SeriesKind};
use watchfire_model::{Histogram, LabelSet};

use crate::batch::{SentExemplar, Value};
use crate::config::{Destination, Protocol};
use crate::labels::SentLabels;

/// Names that are remembered at most since the last stretch. Fewer series can be alive at a time, so that the log tells a name
/// again, or memory still has it, when more were forgotten.
const NAMES_MAX: usize = 2_000_000;

/// Newest samples that are remembered of series, for the exemplars that follow them.
const RECENT_MAX: usize = 50_000;

/// A sample of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadSample {
    /// Which of its record.
    pub(crate) index: u32,
    pub(crate) series: u64,
    /// Milliseconds.
    pub(crate) at: i64,
    pub(crate) value: Value,
}

/// A series as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// `None`: the rules leave it out.
    pub(crate) labels: Option<SentLabels>,
    pub(crate) kind: SeriesKind,
}

type Names = HashMap<u64, Named, foldhash::fast::RandomState>;

/// What was read and is not handed on yet.
pub(crate) struct Reading {
    destination: Arc<Destination>,
    external: LabelSet,
    names: Names,
    /// Those told before the last stretch began.
    old_names: Names,
    /// Number of the record.
    pub(crate) record: u64,
    /// Its samples that are not handed on.
    pub(crate) samples: VecDeque<ReadSample>,
    index: u32,
    nameless: Vec<u64>,
    /// Native histograms of the record that are not sent.
    pub(crate) natives: u64,
    /// The newest samples of series in the order of the log, if somebody needs them: those of now, and those before.
    recent: Recent,
    older: Recent,
}

type Recent = HashMap<u64, (i64, Value), foldhash::fast::RandomState>;

impl Reading {
    pub(crate) fn new(destination: Arc<Destination>, external: LabelSet) -> Reading {
        Reading {
            destination,
            external,
            names: Names::default(),
            old_names: Names::default(),
            record: 0,
            samples: VecDeque::new(),
            index: 0,
            nameless: Vec::new(),
            natives: 0,
            recent: Recent::default(),
            older: Recent::default(),
        }
    }

    /// A record is going to be read.
    pub(crate) fn begin(&mut self, record: u64) {
        self.record = record;
        self.index = 0;
        self.natives = 0;
    }

    /// Puts what was read of a series behind the rest.
    fn put(&mut self, series: u64, at: i64, value: Value) {
        self.samples.push_back(ReadSample { index: self.index, series, at, value });
        self.index = self.index.saturating_add(1);
    }

    /// Remembers the newest sample of a series, if an exemplar may need it.
    fn remember(&mut self, series: u64, at: i64, value: &Value) {
        if self.destination.send_exemplars && self.destination.protocol == Protocol::V2 {
            if self.recent.len() >= RECENT_MAX {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(series, (at, value.clone()));
        }
    }

    /// What is known of a series.
    pub(crate) fn named(&self, series: u64) -> Option<&Named> {
        self.names.get(&series).or_else(|| self.old_names.get(&series))
    }

    /// The series of the record that have no name.
    pub(crate) fn take_nameless(&mut self) -> Vec<u64> {
        let mut numbers = std::mem::take(&mut self.nameless);
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Forgets all that was read.
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        self.names.clear();
        self.old_names.clear();
        self.recent.clear();
        self.older.clear();
    }
}

impl Follow for Reading {
    fn stretch(&mut self) {
        self.old_names = std::mem::take(&mut self.names);
    }

    fn series(&mut self, number: u64, kind: SeriesKind, labels: &[(&str, &str)]) {
        // Of what is counted the totals are sent, which are not in the log.
        if !matches!(kind, SeriesKind::Samples(_)) {
            return;
        }
        let named = match self.old_names.remove(&number) {
            // A number is of one series for ever.
            Some(named) => named,
            None => {
                let labels = SentLabels::new(labels.iter().copied(), &self.external, &self.destination.relabel);
                Named { labels, kind }
            }
        };
        if self.names.len() >= NAMES_MAX {
            self.stretch();
        }
        self.names.insert(number, named);
    }

    fn samples(&mut self, number: u64, samples: &[(i64, f64)]) {
        if self.named(number).is_none() {
            self.nameless.push(number);
        }
        for (at, value) in samples {
            self.put(number, *at, Value::Float(*value));
        }
        if let Some((at, value)) = samples.last() {
            self.remember(number, *at, &Value::Float(*value));
        }
    }

    fn native(&mut self, number: u64, at: i64, histogram: &Histogram) {
        if !self.destination.send_natives {
            self.natives += 1;
            return;
        }
        if self.named(number).is_none() {
            self.nameless.push(number);
        }
        let value = Value::Native(Arc::new(histogram.clone()));
        self.remember(number, at, &value);
        self.put(number, at, value);
    }

    fn exemplar(&mut self, number: u64, exemplar: Exemplar) {
        if !self.destination.send_exemplars {
            return;
        }
        if self.named(number).is_none() {
            self.nameless.push(number);
        }
        let beside = self.recent.get(&number).or_else(|| self.older.get(&number)).cloned();
        let at = exemplar.at.millis();
        self.put(number, at, Value::Exemplar(Arc::new(SentExemplar { exemplar, beside })));
    }
}
