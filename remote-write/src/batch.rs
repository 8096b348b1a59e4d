//! What goes into one request: samples by series, and how far whoever made it has come with them.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use watchfire_engine::{Exemplar, SeriesKind};
use watchfire_model::Histogram;

use crate::labels::SentLabels;
use crate::place::Place;

/// Which series of those that are sent: its number in the engine, and which of several that are made of it.
pub(crate) type SentNumber = (u64, u8);

/// One series with its samples.
pub(crate) struct Series {
    pub(crate) labels: SentLabels,
    pub(crate) kind: SeriesKind,
    /// Times in milliseconds and values, in the order in which they were taken in.
    pub(crate) samples: Vec<(i64, Value)>,
    /// Likewise.
    pub(crate) exemplars: Vec<Arc<SentExemplar>>,
}

impl Series {
    /// Its samples, parted where numbers and histograms follow each other: receivers take one or the other of a series.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[(i64, Value)]> {
        self.samples.chunk_by(|(_, left), (_, right)| left.is_native() == right.is_native())
    }
}

/// What a series has at a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Native(Arc<Histogram>),
    Exemplar(Arc<SentExemplar>),
}

/// An exemplar, and the newest sample of its series before it, for a receiver that takes no exemplar without a sample: one
/// that it has already changes nothing there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SentExemplar {
    pub(crate) exemplar: Exemplar,
    pub(crate) beside: Option<(i64, Value)>,
}

impl Value {
    fn is_native(&self) -> bool {
        matches!(self, Value::Native(_))
    }
}

/// Samples for one request.
pub(crate) struct Batch {
    pub(crate) series: Vec<Series>,
    places: HashMap<SentNumber, usize, foldhash::fast::RandomState>,
    samples: usize,
    /// With it, everything of its shard before this place is settled.
    pub(crate) upto: Place,
    /// Which request of those under way at a restart all of it was in first; see [`UnderWay`](crate::place::UnderWay).
    pub(crate) under_way: usize,
    /// It is one of those: its receiver may have all of it.
    pub(crate) is_repeated: bool,
    /// When its first sample came.
    pub(crate) begun: Instant,
    /// The latest time in it, milliseconds.
    pub(crate) newest_ms: i64,
}

impl Batch {
    pub(crate) fn new(now: Instant, under_way: usize, is_repeated: bool) -> Batch {
        Batch {
            series: Vec::new(),
            places: HashMap::default(),
            samples: 0,
            upto: Place::default(),
            under_way,
            is_repeated,
            begun: now,
            newest_ms: i64::MIN,
        }
    }

    pub(crate) fn push(&mut self, number: SentNumber, labels: &SentLabels, kind: SeriesKind, at: i64, value: Value) {
        let place = *self.places.entry(number).or_insert_with(|| {
            let (samples, exemplars) = (Vec::new(), Vec::new());
            self.series.push(Series { labels: labels.clone(), kind, samples, exemplars });
            self.series.len() - 1
        });
        let Some(series) = self.series.get_mut(place) else { return };
        if let Value::Exemplar(sent) = value {
            if let Some(beside) = sent.beside.clone().filter(|_| series.samples.is_empty()) {
                series.samples.push(beside);
                self.samples += 1;
            }
            series.exemplars.push(sent);
        } else {
            series.samples.push((at, value));
        }
        self.samples += 1;
        self.newest_ms = self.newest_ms.max(at);
    }

    /// How many samples and exemplars it has.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Takes out what is older; gives how many samples and exemplars that were.
    pub(crate) fn drop_before(&mut self, oldest_ms: i64) -> usize {
        for series in &mut self.series {
            series.samples.retain(|(at, _)| *at >= oldest_ms);
            series.exemplars.retain(|sent| sent.exemplar.at.millis() >= oldest_ms);
        }
        self.series.retain(|series| !series.samples.is_empty() || !series.exemplars.is_empty());
        // Nothing is pushed any more.
        self.places.clear();
        let left = self.series.iter().map(|series| series.samples.len() + series.exemplars.len()).sum();
        std::mem::replace(&mut self.samples, left) - left
    }
}
